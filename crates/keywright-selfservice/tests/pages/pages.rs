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

#[tokio::test]
async fn remembered_browsers_are_renamed_and_forgotten() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    assert!(!browser.get("/").await.body.contains("Remembered browsers"));
    let three = ["one", "two", "three"].map(|id| (id.to_owned(), format!("{id} <b>")));
    *site.host.browsers.lock().unwrap() = three.to_vec();
    browser.get("/").await.has("one &lt;b&gt;");
    browser.page.has("remembered until 1 December 2026");
    browser.get("/browsers/one").await;
    browser.post("/browsers/one", &[("name", " ")]).await.has("1 to 64 characters");
    browser.post("/browsers/one", &[("name", "Desk")]).await.has("The browser was renamed.");
    browser.page.has("<strong>Desk</strong>");
    browser.post("/browsers/two", &[("forget", "1")]).await.has("The browser was forgotten.");
    assert!(!browser.page.body.contains("<strong>two"));
    assert_eq!(browser.get("/browsers/two").await.status, 404);
    browser.get("/").await;
    browser.post("/browsers", &[]).await.has("The browser was forgotten.");
    assert!(site.host.browsers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_host_has_its_own_frame_and_chooses_the_language() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    site.host.framed.store(true, Ordering::SeqCst);
    browser.get("/").await.has("<body class=\"mine\">");
    browser.page.has("<title>Account security – Example &lt;Mail></title>");
    browser.page.has("<main id=\"main\"");
    browser.get("/?lang=de").await.has("<html lang=\"de\">");
    browser.get("/?lang=xx").await.has("<html lang=\"en\">");
}
