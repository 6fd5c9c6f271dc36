//! Actions of the host that must be confirmed.

use crate::browser::Browser;
use crate::host::{PASSWORD, Site, site};

fn performed(site: &Site) -> Vec<String> {
    site.host.performed.lock().unwrap().clone()
}

fn shown(browser: &Browser<'_>) -> String {
    let rest = &browser.page.body[browser.page.body.find("<p class=\"shown\"><code>").unwrap() + 23..];
    rest[..rest.find('<').unwrap()].to_owned()
}

#[tokio::test]
async fn a_typed_code_confirms_once() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/confirm/delete").await.has("Delete the &lt;b&gt;account&lt;/b&gt;");
    browser.post("/confirm/delete", &[]).await.has("type this code");
    let code = shown(&browser);
    browser.post("/confirm/delete/grant", &[("typed", "wrong")]).await.has("That was not the code");
    assert_eq!(browser.page.status, 422);
    let second = shown(&browser);
    assert_ne!(code, second);
    let page = browser.page.clone();
    browser.post("/confirm/delete/grant", &[("typed", &second)]).await.has("It is done.");
    browser.page = page;
    browser.post("/confirm/delete/grant", &[("typed", &second)]).await.has("That was not the code");
    assert_eq!(performed(&site), ["delete"]);
}

#[tokio::test]
async fn a_password_confirms_after_the_wait() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/confirm/wipe").await;
    browser.post("/confirm/wipe", &[]).await.has("Enter your password, and wait");
    browser.page.has("delayed after-");
    browser.post("/confirm/wipe/grant", &[("typed", PASSWORD)]).await.has("a new wait has begun");
    site.clock.advance(11);
    browser.post("/confirm/wipe/grant", &[("typed", "wrong")]).await.has("This password is wrong");
    browser.post("/confirm/wipe/grant", &[("typed", "")]).await.has("Enter your password.");
    browser.post("/confirm/wipe/grant", &[("typed", PASSWORD)]).await.has("It is done.");
    assert_eq!(performed(&site), ["wipe"]);
    browser.get("/confirm/wipe").await;
    browser.post("/confirm/wipe/grant", &[("typed", PASSWORD)]).await.has("a new wait has begun");
    assert_eq!(performed(&site), ["wipe"], "nothing is confirmed twice");
}

#[tokio::test]
async fn an_unknown_action_and_another_session_confirm_nothing() {
    let site = site().await;
    let (mut one, mut two) = (Browser::new(&site), Browser::of_session(&site, "two"));
    assert_eq!(one.get("/confirm/nothing").await.status, 404);
    one.get("/confirm/delete").await;
    one.post("/confirm/delete", &[]).await;
    let code = shown(&one);
    two.get("/confirm/delete").await;
    two.post("/confirm/delete/grant", &[("typed", &code)]).await.has("That was not the code");
    assert!(performed(&site).is_empty());
}
