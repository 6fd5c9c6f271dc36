//! Recovery codes.

use crate::browser::Browser;
use crate::host::site;

#[tokio::test]
async fn new_codes_are_live_when_they_are_kept() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, old) = browser.enrol().await;
    browser.get("/recovery-codes").await;
    let code = browser.code(&key, 0);
    browser.post("/recovery-codes", &[("proof", &code)]).await.has("do not work until you confirm");
    let new = browser.page.codes();
    assert!(new.iter().all(|code| !old.contains(code)));
    let kept = browser.page.clone();
    // Until then, the old ones work and the new ones do not.
    browser.get("/authenticators/add").await;
    browser.post("/authenticators/add", &[("name", "x"), ("proof", &new[0])]).await.has("This code is wrong");
    browser.page = kept;
    browser.post("/recovery-codes/keep", &[]).await.has("The old ones are void");
    browser.get("/authenticators/add").await;
    browser.post("/authenticators/add", &[("name", "x"), ("proof", &old[0])]).await.has("This code is wrong");
    browser.post("/authenticators/add", &[("name", "x"), ("proof", &new[0])]).await.has("Scan the code");
    browser.get("/").await.has("9 unused codes left");
}

#[tokio::test]
async fn codes_of_another_session_cannot_be_kept() {
    let site = site().await;
    let (mut one, mut two) = (Browser::new(&site), Browser::of_session(&site, "two"));
    let (key, _) = one.enrol().await;
    one.get("/recovery-codes").await;
    one.post("/recovery-codes", &[("proof", &one.code(&key, 0))]).await;
    two.get("/").await;
    two.post("/recovery-codes/keep", &[]).await.has("can no longer be confirmed");
    assert_eq!(two.page.status, 409);
    one.post("/recovery-codes/keep", &[]).await.has("The old ones are void");
    one.post("/recovery-codes/keep", &[]).await.has("can no longer be confirmed");
}

#[tokio::test]
async fn codes_are_saved_without_script() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.begin("Phone").await;
    let key = browser.page.hidden("key");
    browser.confirm(&browser.code(&key, 0)).await;
    let codes = browser.page.hidden("codes");
    let page = browser.page.clone();
    browser.post("/recovery-codes/file", &[("codes", &codes)]).await;
    assert_eq!(browser.page.headers["content-disposition"], "attachment; filename=\"recovery-codes.txt\"");
    assert_eq!(browser.page.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(browser.page.headers["x-content-type-options"], "nosniff");
    browser.page.has(&codes);
    for bad in ["", "<b>", &"x\n".repeat(100)] {
        browser.page = page.clone();
        assert_eq!(browser.post("/recovery-codes/file", &[("codes", bad)]).await.status, 403, "{bad}");
    }
}

#[tokio::test]
async fn codes_need_an_authenticator() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    assert_eq!(browser.get("/recovery-codes").await.status, 409);
    browser.page.has("Set up an authenticator app first");
}
