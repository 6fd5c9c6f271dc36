//! The JSON API, and its description.

use std::collections::{BTreeMap, BTreeSet};

use http::Request;
use keywright_selfservice::Endpoint;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::host::{PASSWORD, site};

pub(crate) async fn post(browser: &mut Browser<'_>, token: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(format!("/security/v1/{path}"))
        .header("content-type", "application/json")
        .header("x-form-token", token);
    let page = browser.send(request, &body.to_string()).await;
    (page.status.as_u16(), serde_json::from_str(&page.body).unwrap())
}

pub(crate) async fn get(browser: &mut Browser<'_>, path: &str) -> Value {
    serde_json::from_str(&browser.get(&format!("/security/v1/{path}")).await.body).unwrap()
}

/// Returns the token of the session's forms.
pub(crate) async fn token(browser: &mut Browser<'_>) -> String {
    get(browser, "session").await["form_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_authenticator_is_set_up_and_removed() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let token = token(&mut browser).await;
    assert_eq!(get(&mut browser, "overview").await["proof"], "password");
    let (status, wrong) =
        post(&mut browser, &token, "authenticators", &json!({ "name": "Phone", "proof": "no" })).await;
    assert_eq!((status, &wrong["error"]), (422, &json!("proof_wrong")));
    let body = json!({ "name": "Phone", "proof": PASSWORD });
    let (status, begun) = post(&mut browser, &token, "authenticators", &body).await;
    assert_eq!((status, &begun["digits"]), (200, &json!(6)));
    let key = begun["key"].as_str().unwrap().to_owned();
    let code = json!({ "code": browser.code(&key, 0) });
    let (status, active) = post(&mut browser, &token, "authenticators/confirm", &code).await;
    assert_eq!((status, active["recovery_codes"].as_array().unwrap().len()), (200, 10));
    let (status, gone) = post(&mut browser, &token, "authenticators/confirm", &code).await;
    assert_eq!((status, &gone["error"]), (409, &json!("none_pending")));
    let overview = get(&mut browser, "overview").await;
    assert_eq!((&overview["proof"], &overview["recovery_codes"]), (&json!("code"), &json!(10)));
    site.clock.advance(30);
    let id = overview["authenticators"][0]["id"].as_str().unwrap();
    let proof = json!({ "proof": browser.code(&key, 0) });
    assert_eq!(post(&mut browser, &token, &format!("authenticators/{id}/remove"), &proof).await.0, 200);
    assert_eq!(get(&mut browser, "overview").await["authenticators"], json!([]));
    let activity = get(&mut browser, "activity").await["activity"].to_string();
    assert!(activity.contains("An authenticator app was removed"), "{activity}");
}

#[tokio::test]
async fn codes_sessions_and_confirmations() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let (key, _) = browser.enrol().await;
    let token = token(&mut browser).await;
    let proof = json!({ "proof": browser.code(&key, 0) });
    let (status, made) = post(&mut browser, &token, "recovery-codes", &proof).await;
    assert_eq!((status, made["recovery_codes"].as_array().unwrap().len()), (200, 10));
    assert_eq!(post(&mut browser, &token, "recovery-codes/keep", &json!({})).await.0, 200);
    assert_eq!(post(&mut browser, &token, "recovery-codes/keep", &json!({})).await.0, 409);
    let (_, begun) = post(&mut browser, &token, "confirm/delete", &json!({})).await;
    let typed = json!({ "typed": begun["code"] });
    assert_eq!(post(&mut browser, &token, "confirm/delete/grant", &typed).await.0, 200);
    assert_eq!(post(&mut browser, &token, "confirm/delete/grant", &typed).await.1["error"], "denied");
    assert_eq!(site.host.performed.lock().unwrap().len(), 1);
    assert_eq!(post(&mut browser, &token, "sessions/end", &json!({})).await.0, 200);
}

#[tokio::test]
async fn a_call_without_the_token_or_with_another_body_is_refused() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let token = token(&mut browser).await;
    assert_eq!(post(&mut browser, "", "sessions/end", &json!({})).await.1["error"], "form_token");
    for body in [json!([]), json!({ "name": 1 }), json!("x")] {
        assert_eq!(post(&mut browser, &token, "sessions/end", &body).await.1["error"], "bad_body");
    }
    let request = Request::post("/security/v1/sessions/end").header("x-form-token", &token);
    assert_eq!(browser.send(request, "{}").await.status, 400, "not stated to be JSON");
    browser.session = None;
    assert_eq!(browser.get("/security/v1/overview").await.status, 401);
}

/// `docs/selfservice.openapi.json` against the table of routes.
#[test]
fn the_description_has_the_paths_and_methods_that_are_served() {
    let document: Value = serde_json::from_str(include_str!("../../../../docs/selfservice.openapi.json")).unwrap();
    let documented: BTreeMap<String, BTreeSet<String>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().filter(|key| ["get", "post"].contains(&key.as_str()));
            (path.clone(), methods.map(|method| method.to_ascii_uppercase()).collect())
        })
        .collect();
    let served: BTreeMap<String, BTreeSet<String>> = Endpoint::ALL
        .iter()
        .filter(|endpoint| endpoint.is_api())
        .map(|endpoint| {
            let methods = endpoint.methods().iter().map(|method| method.as_str().to_owned());
            (format!("/{}", endpoint.path()), methods.collect())
        })
        .collect();
    assert_eq!(documented, served);
}
