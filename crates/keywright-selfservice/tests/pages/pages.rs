//! The smaller pages.

use std::sync::atomic::Ordering;

use http::Request;

use crate::browser::Browser;
use crate::host::site;

#[tokio::test]
async fn other_sessions_end() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/sessions/end").await.has("This one stays");
    browser.post("/sessions/end", &[]).await.has("All other sessions were ended.");
    assert_eq!(site.host.ended.load(Ordering::SeqCst), 1);
    browser.get("/activity").await.has("All other sessions were ended");
}

#[tokio::test]
async fn a_change_of_address_is_cancelled() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    site.host.address.store(true, Ordering::SeqCst);
    browser.get("/").await.has("Your address will change to new@example.org");
    browser.post("/address/cancel", &[]).await.has("was cancelled");
    assert!(!browser.page.body.contains("new@example.org"));
}

#[tokio::test]
async fn a_mailed_link_asks_first_and_admits_on_post() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.session = None;
    browser.get("/admit?token=good").await.has("Allow this network");
    assert_eq!(browser.page.hidden("token"), "good");
    for (token, admit, status, text) in [
        ("good", "here", 200, "You can sign in now"),
        ("good", "refused", 429, "three times a day"),
        ("bad", "here", 404, "not valid any more"),
    ] {
        let request = Request::post("/admit").header("content-type", "application/x-www-form-urlencoded");
        let page = browser.send(request, &format!("token={token}&admit={admit}")).await;
        assert_eq!(page.status.as_u16(), status);
        page.has(text);
    }
    let request = Request::post("/admit")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(browser.send(request, "token=good&admit=here").await.status, 403);
}

#[tokio::test]
async fn signing_out_removes_the_cookie() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/").await;
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(
        (&page.headers["location"], &page.headers["set-cookie"]),
        (&"/login".parse().unwrap(), &"session=; Max-Age=0".parse().unwrap())
    );
}
