//! Factors that the host checks, names, and the mailed code as a proof.

use keywright_twofactor::{CHANGE_FACTORS, Purpose, VerifyOutcome};
use serde_json::json;

use crate::api::{get, post, token};
use crate::browser::Browser;
use crate::host::{PASSWORD, Site, site, site_with, with_mail, without_mail};

const ADD: &str = "/authenticators/add";

#[tokio::test]
async fn a_passkey_is_listed_renamed_and_removed() {
    let site = site().await;
    let (id, codes) = site.enrol_passkey("<i>Key</i>").await;
    let mut browser = Browser::new(&site);
    browser.get("/").await.has("Two-factor authentication is on");
    for text in ["&lt;i&gt;Key&lt;/i&gt;", "Passkey · Added on ", "10 unused codes left", "more than your password"] {
        browser.page.has(text);
    }
    assert!(!browser.page.body.contains("<i>"));

    let (rename, remove) = (format!("/authenticators/{id}/rename"), format!("/authenticators/{id}/remove"));
    browser.get(&rename).await.has("Recovery code");
    browser.post(&rename, &[("name", "Blue key"), ("proof", PASSWORD)]).await.has("This is not a recovery code.");
    assert_eq!(browser.page.status, 422);
    browser.page.has("value=\"Blue key\"");
    browser.post(&rename, &[("name", ""), ("proof", &codes[0])]).await.has("Enter a name of 1 to 64 characters.");
    assert_eq!(browser.page.status, 422);
    browser.post(&rename, &[("name", "Blue key"), ("proof", &codes[0])]).await.has("The name was changed.");
    browser.page.has("Blue key");
    browser.get(&remove).await.has("It is your last factor.");
    browser.post(&remove, &[("proof", &codes[0])]).await.has("This code is wrong or was used before.");
    browser.post(&remove, &[("proof", &codes[1])]).await.has("The factor was removed.");
    browser.page.has("Two-factor authentication is off");
    browser.get("/activity").await.has("A second factor was removed");
    assert_eq!(browser.get(&rename).await.status, 404);
}

#[tokio::test]
async fn an_authenticator_is_renamed_with_a_code() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, _) = browser.enrol().await;
    let id = site.two_factor.enrolled(&site.world.account).await.unwrap().devices[0].id;
    let rename = format!("/authenticators/{id}/rename");
    browser.get(&rename).await.has("Rename Phone");
    browser.post(&rename, &[("name", "Tablet")]).await.has("Enter a code from your authenticator app.");
    let code = browser.code(&key, 0);
    browser.post(&rename, &[("name", "Tablet"), ("proof", &code)]).await.has("Tablet");
    assert_eq!(site.host.ended.load(std::sync::atomic::Ordering::SeqCst), 1, "only the enrolment ended sessions");
}

/// The host asks the passkey itself, in the session that then uses the pages.
#[tokio::test]
async fn a_proof_that_the_host_obtained_is_enough() {
    use keywright_core::SessionId;
    use keywright_twofactor::{Assertion, Method, Rule, StepUpPolicy, TwoFactorPolicy};

    use crate::host::PASSKEY;
    let rule = Rule::strongest_of(&[Method::Attested(PASSKEY), Method::Password]).remembered(60);
    let step_up = StepUpPolicy::builder().attested(PASSKEY).default_rule(rule).build().unwrap();
    let site = site_with("/", TwoFactorPolicy::builder().step_up(step_up).build().unwrap()).await;
    let (id, _) = site.enrol_passkey("Key").await;
    let mut browser = Browser::new(&site);
    browser.get(ADD).await.has("no factor with which this can be confirmed here");
    browser.post(ADD, &[("name", "Phone"), ("proof", PASSWORD)]).await.has("no factor with which");
    let (account, session) = (&site.world.account, SessionId::new("one"));
    let purpose = Purpose::from(CHANGE_FACTORS);
    let challenge = site.two_factor.challenge(account, session, &purpose, None).await.unwrap();
    let assertion = Assertion::new(id, challenge.as_bytes());
    let verdict = site.two_factor.step_up_assertion(account, &CHANGE_FACTORS, session, &assertion).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    browser.get(ADD).await;
    browser.post(ADD, &[("name", "Phone")]).await.has("Scan the code");
}

async fn mailed(mails: bool) -> Site {
    let site = site_with("/", with_mail()).await;
    site.require_mail(mails).await;
    site
}

#[tokio::test]
async fn a_mailed_code_authorizes_where_nothing_stronger_is_enrolled() {
    let site = mailed(true).await;
    let mut browser = Browser::new(&site);
    browser.get("/").await.has("Codes by e-mail");
    browser.get(ADD).await.has("we will send a code to eve+&lt;b&gt;@example.org");
    assert!(!browser.page.body.contains("name=\"proof\""), "there is no code yet");
    assert!(site.host.mailed.lock().unwrap().is_empty(), "opening a page mails nothing");
    browser.post(ADD, &[("name", "Tablet"), ("send", "1")]).await.has("The code is on its way.");
    browser.page.has("value=\"Tablet\"");
    browser.page.has("name=\"proof\"");
    let code = site.mailed();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for typed in [wrong, "12", PASSWORD] {
        browser.post(ADD, &[("name", "Tablet"), ("proof", typed)]).await.has("wrong or no longer valid");
        assert_eq!(browser.page.status, 422);
    }
    browser.post(ADD, &[("name", "Tablet"), ("send", "1")]).await.has("You can ask again in");
    assert_eq!((browser.page.status.as_u16(), site.host.mailed.lock().unwrap().len()), (429, 1));
    assert!(browser.page.headers.contains_key("retry-after"));
    let mut other = Browser::of_session(&site, "two");
    other.get(ADD).await;
    other.post(ADD, &[("name", "x"), ("proof", &code)]).await.has("wrong or no longer valid");
    browser.post(ADD, &[("name", "Tablet"), ("proof", &code)]).await.has("Scan the code");
    let key = browser.page.hidden("key");
    browser.get(ADD).await;
    browser.post(ADD, &[("name", "Tablet"), ("proof", &code)]).await.has("wrong or no longer valid");
    // The newest key is another one now.
    drop(key);
}

#[tokio::test]
async fn a_mailed_code_expires_and_is_no_choice_beside_an_app() {
    let site = mailed(true).await;
    let mut browser = Browser::new(&site);
    browser.get(ADD).await;
    browser.post(ADD, &[("name", "Phone"), ("send", "1")]).await;
    site.clock.advance(600);
    browser.post(ADD, &[("name", "Phone"), ("proof", &site.mailed())]).await.has("wrong or no longer valid");
    browser.post(ADD, &[("name", "Phone"), ("send", "1")]).await.has("on its way");
    browser.post(ADD, &[("name", "Phone"), ("proof", &site.mailed())]).await.has("Scan the code");
    let code = browser.code(&browser.page.hidden("key"), 0);
    browser.confirm(&code).await.has("Keep your recovery codes");
    let sent = site.host.mailed.lock().unwrap().len();
    site.clock.advance(60);
    browser.get(ADD).await.has("Code from your authenticator app");
    browser.post(ADD, &[("name", "x"), ("send", "1")]).await.has("Code from your authenticator app");
    assert_eq!(site.host.mailed.lock().unwrap().len(), sent, "no mail for what takes a code of the app");
}

/// The password is weaker than what the account requires, so it is not asked for in vain.
#[tokio::test]
async fn without_mail_or_permission_the_pages_ask_for_nothing_that_does_not_help() {
    for (policy, mails) in [(with_mail(), false), (without_mail(), true)] {
        let site = site_with("/", policy).await;
        site.require_mail(mails).await;
        let mut browser = Browser::new(&site);
        browser.get(ADD).await.has("no factor with which this can be confirmed here");
        for fields in [&[("name", "x"), ("proof", PASSWORD)], &[("name", "x"), ("send", "1")]] {
            browser.post(ADD, fields).await.has("no factor with which");
        }
        assert!(site.host.mailed.lock().unwrap().is_empty());
        assert!(site.two_factor.enrolled(&site.world.account).await.unwrap().devices.is_empty());
    }
}

#[tokio::test]
async fn the_api_has_the_same_acts() {
    let site = mailed(true).await;
    let mut browser = Browser::new(&site);
    let form_token = token(&mut browser).await;
    let overview = get(&mut browser, "overview").await;
    assert_eq!((&overview["proof"], &overview["mailed_codes"]), (&json!("mailed_code"), &json!(true)));
    assert_eq!(overview["mail_address"], "eve+<b>@example.org");
    let new = json!({ "name": "Phone", "proof": PASSWORD });
    assert_eq!(post(&mut browser, &form_token, "authenticators", &new).await.1["error"], "proof_wrong");
    let (status, sent) = post(&mut browser, &form_token, "mailed-code", &json!({})).await;
    assert_eq!((status, &sent["sent_to"]), (200, &json!("eve+<b>@example.org")));
    let (status, again) = post(&mut browser, &form_token, "mailed-code", &json!({})).await;
    assert_eq!((status, &again["error"]), (429, &json!("wait")));
    let new = json!({ "name": "Phone", "proof": site.mailed() });
    let (status, begun) = post(&mut browser, &form_token, "authenticators", &new).await;
    assert_eq!(status, 200, "{begun}");
    let code = json!({ "code": browser.code(begun["key"].as_str().unwrap(), 0) });
    assert_eq!(post(&mut browser, &form_token, "authenticators/confirm", &code).await.0, 200);
    let (status, refused) = post(&mut browser, &form_token, "mailed-code", &json!({})).await;
    assert_eq!((status, &refused["error"]), (409, &json!("no_mail_needed")));

    let site = crate::host::site().await;
    let (id, codes) = site.enrol_passkey("Key").await;
    let mut browser = Browser::new(&site);
    let form_token = token(&mut browser).await;
    let overview = get(&mut browser, "overview").await;
    assert_eq!((&overview["proof"], &overview["authenticators"]), (&json!("recovery_code"), &json!([])));
    let factor = &overview["factors"][0];
    assert_eq!((&factor["name"], &factor["method"]), (&json!("Key"), &json!("passkey")));
    let (rename, remove) = (format!("authenticators/{id}/rename"), format!("authenticators/{id}/remove"));
    let name = json!({ "name": "Blue" });
    assert_eq!(post(&mut browser, &form_token, &rename, &name).await.1["error"], "proof_missing");
    let name = json!({ "name": "a\u{7}", "proof": codes[0] });
    assert_eq!(post(&mut browser, &form_token, &rename, &name).await.1["error"], "bad_name");
    let name = json!({ "name": "Blue", "proof": codes[0] });
    assert_eq!(post(&mut browser, &form_token, &rename, &name).await.0, 200);
    assert_eq!(get(&mut browser, "overview").await["factors"][0]["name"], "Blue");
    assert_eq!(post(&mut browser, &form_token, &remove, &json!({ "proof": codes[1] })).await.0, 200);
    assert_eq!(post(&mut browser, &form_token, &rename, &name).await.0, 404);
}

#[tokio::test]
async fn the_api_lists_renames_and_forgets_browsers() {
    let site = site().await;
    let names = [("b1", "Laptop"), ("b2", "Phone"), ("b3", "Library")];
    *site.host.browsers.lock().unwrap() = names.map(|(id, name)| (id.into(), name.into())).into();
    let mut browser = Browser::new(&site);
    let form_token = token(&mut browser).await;
    let listed = get(&mut browser, "browsers").await;
    assert_eq!(
        listed["browsers"][0],
        json!({ "id": "b1", "name": "Laptop", "last_used": 1_796_021_100_u64, "expires": 1_796_107_500_u64 })
    );
    assert_eq!(post(&mut browser, &form_token, "browsers/b1/rename", &json!({ "name": "Desk" })).await.0, 200);
    let (status, refused) = post(&mut browser, &form_token, "browsers/b1/rename", &json!({ "name": " " })).await;
    assert_eq!((status, &refused["error"]), (422, &json!("bad_name")));
    assert_eq!(post(&mut browser, &form_token, "browsers/b2/forget", &json!({})).await.0, 200);
    for act in ["rename", "forget"] {
        assert_eq!(post(&mut browser, &form_token, &format!("browsers/b2/{act}"), &json!({})).await.0, 404, "{act}");
    }
    let names = get(&mut browser, "browsers").await["browsers"].to_string();
    assert!(names.contains("Desk") && !names.contains("Phone"), "{names}");
    assert_eq!(post(&mut browser, &form_token, "browsers/forget", &json!({})).await.0, 200);
    assert_eq!(get(&mut browser, "browsers").await, json!({ "browsers": [] }));
}
