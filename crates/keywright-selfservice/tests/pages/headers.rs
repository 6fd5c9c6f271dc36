//! The headers of every page, its language, and what a page may contain.

use http::Request;

use crate::browser::{Browser, Page};
use crate::host::{Site, site, site_below};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Returns every page that a GET shows, and those after some posts.
async fn pages(site: &Site, language: &'static str) -> Vec<Page> {
    let mut browser = Browser { language, ..Browser::new(site) };
    let mut pages = Vec::new();
    site.host.address.store(true, std::sync::atomic::Ordering::SeqCst);
    let paths = [
        "/",
        "/activity",
        "/authenticators/add",
        "/sessions/end",
        "/confirm/delete",
        "/admit?token=x%3Cb%3E",
        "/nothing",
    ];
    for path in paths {
        pages.push(browser.get(path).await.clone());
    }
    browser.get("/confirm/delete").await;
    pages.push(browser.post("/confirm/delete", &[]).await.clone());
    browser.get("/confirm/wipe").await;
    pages.push(browser.post("/confirm/wipe", &[]).await.clone());
    let key = browser.begin("<img src=x>").await;
    pages.push(browser.page.clone());
    pages.push(browser.confirm("000000").await.clone());
    let code = browser.code(&key, 0);
    pages.push(browser.confirm(&code).await.clone());
    pages.push(browser.get("/").await.clone());
    pages.push(browser.get("/recovery-codes").await.clone());
    pages
}

#[tokio::test]
async fn every_page_is_closed_to_other_sites_and_to_caches() {
    let site = site().await;
    for page in pages(&site, "en").await {
        let header = |name: &str| page.headers.get(name).unwrap_or_else(|| panic!("{name} at {}", page.path));
        assert_eq!(header("content-security-policy"), POLICY, "{}", page.path);
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
    }
}

#[tokio::test]
async fn every_page_is_whole_and_has_nothing_that_its_policy_forbids() {
    for language in ["en", "de"] {
        let site = site().await;
        for page in pages(&site, language).await {
            let (path, body) = (&page.path, &page.body);
            assert!(body.starts_with("<!DOCTYPE html><html lang=\""), "{path}");
            for part in [format!("<html lang=\"{language}\">").as_str(), "<meta name=\"viewport\"", "<main id=\"main\""]
            {
                assert!(body.contains(part), "{part} at {path}");
            }
            for once in ["<title>", "<h1>", "<main"] {
                assert_eq!(body.matches(once).count(), 1, "{once} at {path}: {body}");
            }
            for forbidden in ["<style", " style=", "javascript:", "<script>", "onclick", "<img", "<b>"] {
                assert!(!body.contains(forbidden), "{forbidden} at {path}: {body}");
            }
            assert!(!body.contains("{}"), "{path}");
            // Each field has a label.
            for field in body.split("<input ").skip(1).filter(|field| !field.starts_with("type=\"hidden\"")) {
                let id = field.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
                assert!(body.contains(&format!("<label for=\"{id}\">")), "{id} at {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_language_is_the_browsers() {
    let site = site().await;
    let mut browser = Browser { language: "de-AT, en;q=0.5", ..Browser::new(&site) };
    browser.get("/").await.has("Zwei-Faktor-Authentisierung ist ausgeschaltet");
    browser.page.has("Das Konto wurde angelegt");
    browser.get("/confirm/delete").await.has("Konto löschen");
    browser.language = "fr";
    browser.get("/").await.has("Two-factor authentication is off");
}

#[tokio::test]
async fn paths_follow_the_base() {
    let site = site_below("/me/security/").await;
    let mut browser = Browser::new(&site);
    assert_eq!(browser.get("/").await.status, 404);
    let page = browser.get("/me/security/").await;
    page.has("href=\"/me/security/authenticators/add\"");
    page.has("href=\"/me/security/assets/style.css?v=");
    assert_eq!(browser.get("/me/security/assets/style.css").await.status, 200);
    assert_eq!(browser.page.headers["content-type"], "text/css; charset=utf-8");
    browser.page.has(".after-10{--wait:10s}");
}

#[tokio::test]
async fn methods_and_sizes_are_limited() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let put = browser.send(Request::put("/"), "").await;
    assert_eq!((put.status.as_u16(), &put.headers["allow"]), (405, &"GET, HEAD, OPTIONS".parse().unwrap()));
    assert_eq!(browser.send(Request::options("/authenticators/add"), "").await.status, 204);
    let head = browser.send(Request::head("/"), "").await.clone();
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], browser.get("/").await.body.len().to_string().as_str());
    let long = "x".repeat(20_000);
    assert_eq!(browser.send(Request::post("/authenticators/add"), &long).await.status, 413);
}
