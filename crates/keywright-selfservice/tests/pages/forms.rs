//! Forms that are not from a page of the session, and the limits of guesses.

use std::sync::atomic::Ordering;

use http::Request;

use crate::browser::Browser;
use crate::host::{PASSWORD, site};

const FORM: &str = "application/x-www-form-urlencoded";
const ADD: &str = "/authenticators/add";

#[tokio::test]
async fn a_form_without_the_sessions_token_does_nothing() {
    let site = site().await;
    let (mut one, mut two) = (Browser::new(&site), Browser::of_session(&site, "two"));
    one.get(ADD).await;
    two.get(ADD).await;
    let own = one.page.hidden("form_token");
    for token in ["", "0", &"0".repeat(32), &two.page.hidden("form_token"), &own.to_uppercase()] {
        one.post_with(ADD, token, &[("name", "x"), ("proof", PASSWORD)]).await.has("This form is out of date");
        assert_eq!(one.page.status, 403);
    }
    one.post_with(ADD, &own, &[("name", "x"), ("proof", PASSWORD)]).await.has("Scan the code");
}

#[tokio::test]
async fn a_form_from_another_site_does_nothing() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get(ADD).await;
    let body = format!("form_token={}&name=x&proof=correct+horse", browser.page.hidden("form_token"));
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "none", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "https://example.org.evil.example", 403),
        ("origin", "", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://example.org", 200),
        ("origin", "null", 200),
    ] {
        let request = Request::post(ADD).header("content-type", FORM).header(name, value);
        assert_eq!(browser.send(request, &body).await.status.as_u16(), status, "{name}: {value}");
    }
    for (content_type, status) in [("text/plain", 403), ("application/json", 403), (FORM, 200)] {
        let request = Request::post(ADD).header("content-type", content_type);
        assert_eq!(browser.send(request, &body).await.status.as_u16(), status, "{content_type}");
    }
}

#[tokio::test]
async fn without_login_there_is_only_the_log_in_page() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.session = None;
    for endpoint in keywright_selfservice::Endpoint::ALL {
        let path = format!("/{}", endpoint.path().replace("{id}", "x").replace("{action}", "delete"));
        for method in endpoint.methods() {
            let request = Request::builder().method(method).uri(&path).header("content-type", FORM);
            let page = browser.send(request, "").await;
            match page.status.as_u16() {
                303 => assert_eq!(page.headers["location"], "/login", "{path}"),
                401 => assert!(endpoint.is_api(), "{path}"),
                status => assert!(
                    status == 200 && (path.starts_with("/assets/") || path == "/admit")
                        || status == 404 && path == "/admit",
                    "{method} {path}: {status}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn wrong_passwords_lead_to_a_wait_that_the_page_states() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get(ADD).await;
    for _ in 0..4 {
        browser.post(ADD, &[("name", "x"), ("proof", "wrong")]).await.has("This password is wrong.");
        assert!(!browser.page.headers.contains_key("retry-after"));
    }
    browser.post(ADD, &[("name", "x"), ("proof", "wrong")]).await.has("You can try again in 30 seconds.");
    assert_eq!(browser.page.headers["retry-after"], "30");
    browser.post(ADD, &[("name", "x"), ("proof", PASSWORD)]).await.has("so this one was not checked");
    assert_eq!((browser.page.status.as_u16(), &browser.page.headers["retry-after"]), (429, &"30".parse().unwrap()));
    site.clock.advance(30);
    browser.post(ADD, &[("name", "x"), ("proof", PASSWORD)]).await.has("Scan the code");
}

/// A host without capacity for a hash costs no guess.
#[tokio::test]
async fn a_busy_host_is_told_and_costs_nothing() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get(ADD).await;
    let page = browser.page.clone();
    site.host.busy.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        browser.page = page.clone();
        browser.post(ADD, &[("name", "x"), ("proof", PASSWORD)]).await.has("Please try again in 7 seconds");
        assert_eq!((browser.page.status.as_u16(), &browser.page.headers["retry-after"]), (503, &"7".parse().unwrap()));
    }
    site.host.busy.store(false, Ordering::SeqCst);
    browser.page = page;
    browser.post(ADD, &[("name", "x"), ("proof", PASSWORD)]).await.has("Scan the code");
}
