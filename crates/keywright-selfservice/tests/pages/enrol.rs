//! Enrolling, replacing and removing authenticators.

use std::sync::atomic::Ordering;

use crate::browser::Browser;
use crate::host::{PASSWORD, site};

#[tokio::test]
async fn the_first_authenticator_is_set_up_in_two_forms() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/").await.has("Two-factor authentication is off");
    let key = browser.begin("My <i>phone</i>").await;
    browser.page.has("<svg xmlns");
    browser.page.has("otpauth://totp/");
    assert!(!browser.page.body.contains("<i>phone"));
    browser.confirm(&browser.code(&key, 0)).await.has("Keep your recovery codes");
    browser.page.has("My &lt;i&gt;phone&lt;/i&gt;");
    assert_eq!(browser.page.codes().len(), 10);
    assert_eq!(site.host.ended.load(Ordering::SeqCst), 1, "the acting session stays, the others end");
    browser.get("/").await.has("Two-factor authentication is on");
    browser.page.has("10 unused codes left");
    browser.page.has("An authenticator app was added");
}

#[tokio::test]
async fn a_wrong_code_shows_the_same_key_again() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let key = browser.begin("Phone").await;
    for (code, message) in [("000000", "not correct"), ("12", "Enter the 6 digits"), ("", "Enter the 6 digits")] {
        browser.confirm(code).await.has(message);
        assert_eq!((browser.page.status.as_u16(), browser.page.hidden("key")), (422, key.clone()));
        browser.page.has("<title>Error: ");
        browser.page.has("role=\"alert\"");
        browser.page.has("aria-invalid=\"true\"");
    }
    browser.confirm(&browser.code(&key, 300)).await.has("300 seconds ahead");
    browser.confirm(&browser.code(&key, 0)).await.has("Keep your recovery codes");
}

#[tokio::test]
async fn too_many_wrong_codes_end_the_enrolment() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.begin("Phone").await;
    for _ in 0..keywright_twofactor::ENROLMENT_TRIES {
        browser.confirm("000000").await;
    }
    assert_eq!(browser.page.status, 422);
    browser.confirm("000000").await.has("Nothing is waiting for this code");
    browser.page.has("Start over");
    assert_eq!(browser.page.status, 409);
}

#[tokio::test]
async fn the_enrolment_of_another_session_cannot_be_confirmed() {
    let site = site().await;
    let (mut one, mut two) = (Browser::new(&site), Browser::of_session(&site, "two"));
    let key = one.begin("Phone").await;
    two.get("/").await;
    let code = two.code(&key, 0);
    two.post("/authenticators/confirm", &[("key", &key), ("name", "x"), ("code", &code)])
        .await
        .has("Nothing is waiting");
    one.confirm(&code).await.has("Keep your recovery codes");
}

#[tokio::test]
async fn an_enrolment_expires() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let key = browser.begin("Phone").await;
    site.clock.advance(86_400);
    browser.confirm(&browser.code(&key, 0)).await.has("Nothing is waiting");
}

#[tokio::test]
async fn of_two_tabs_the_newer_key_works() {
    let site = site().await;
    let (mut old, mut new) = (Browser::new(&site), Browser::new(&site));
    let first = old.begin("Phone").await;
    let second = new.begin("Phone").await;
    assert_ne!(first, second);
    old.confirm(&old.code(&first, 0)).await.has("only the newest key works");
    new.confirm(&new.code(&second, 0)).await.has("Keep your recovery codes");
    old.confirm(&old.code(&first, 0)).await.has("Nothing is waiting");
}

#[tokio::test]
async fn a_second_device_takes_a_code_and_makes_no_codes() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, _) = browser.enrol().await;
    browser.get("/authenticators/add").await.has("or a recovery code");
    for (proof, status, message) in [
        (PASSWORD, 422, "This is not a code"),
        ("", 422, "Enter a code"),
        ("000000", 422, "This code is wrong"),
        (browser.code(&key, 600).as_str(), 422, "This code is wrong"),
    ] {
        let fields = [("name", "Tablet"), ("proof", proof)];
        assert_eq!(browser.post("/authenticators/add", &fields).await.status, status, "{proof}");
        browser.page.has(message);
        browser.page.has("value=\"Tablet\"");
    }
    let fields = [("name", "Tablet"), ("proof", &browser.code(&key, 0))];
    browser.post("/authenticators/add", &fields).await.has("Scan the code");
    let other = browser.page.hidden("key");
    browser.confirm(&browser.code(&other, 0)).await.has("The authenticator app is set up.");
    browser.page.has("10 unused codes left");
}

#[tokio::test]
async fn a_device_is_replaced_and_the_last_is_removed() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, _) = browser.enrol().await;
    let remove = link(&browser.get("/").await.body, "/remove");
    let id = remove.split('/').nth(2).unwrap().to_owned();
    browser.get(&format!("/authenticators/add?replaces={id}")).await.has("replaces “Phone”");
    let fields = [("name", "New"), ("proof", &browser.code(&key, 0)), ("replaces", &id)];
    browser.post("/authenticators/add", &fields).await.has("Scan the code");
    let new = browser.page.hidden("key");
    browser.confirm(&browser.code(&new, 0)).await.has("<strong>New</strong>");
    assert!(!browser.page.body.contains("<strong>Phone</strong>"));
    site.clock.advance(30);
    assert_eq!(browser.get(&remove).await.status, 404, "it is gone");

    let remove = link(&browser.get("/").await.body, "/remove");
    browser.get(&remove).await.has("It is your last factor");
    browser.post(&remove, &[("proof", "000000")]).await.has("This code is wrong");
    let code = browser.code(&new, 0);
    browser.post(&remove, &[("proof", &code)]).await.has("The factor was removed.");
    browser.page.has("Two-factor authentication is off");
    browser.get("/authenticators/add").await;
    browser.post(&remove, &[("proof", &code)]).await.has("does not exist");
}

#[tokio::test]
async fn names_are_checked_before_a_code_is_spent() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, _) = browser.enrol().await;
    let code = browser.code(&key, 0);
    let long = "x".repeat(65);
    browser.get("/authenticators/add").await;
    for name in ["", "  ", &long, "a\u{7}b"] {
        browser.post("/authenticators/add", &[("name", name), ("proof", &code)]).await.has("1 to 64 characters");
        assert_eq!(browser.page.status, 422);
    }
    browser.post("/authenticators/add", &[("name", "Ok"), ("proof", &code)]).await.has("Scan the code");
}

/// Sixteen requests carry the right code at the same time, and one sets the device up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_confirmations_one_is_granted() {
    let site = std::sync::Arc::new(site().await);
    let mut browser = Browser::new(&site);
    let key = browser.begin("Phone").await;
    let (code, page) = (browser.code(&key, 0), browser.page.clone());
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (site, code, page) = (site.clone(), code.clone(), page.clone());
            tokio::spawn(async move {
                let mut racer = Browser { page, ..Browser::new(&site) };
                racer.confirm(&code).await.status.as_u16()
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409, 503].contains(status)), "{statuses:?}");
}

/// Returns the first link whose path ends like this.
fn link(html: &str, end: &str) -> String {
    let links = html.split("href=\"").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]);
    links.into_iter().find(|link| link.ends_with(end)).unwrap().to_owned()
}
