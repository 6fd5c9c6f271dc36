//! Every route that changes something, as an attacker calls it: without a session, from another
//! site, without the session's token, with another method, and without the proof.

use http::{Method, Request};
use keywright_core::AccountId;
use keywright_selfservice::Endpoint;
use serde_json::Value;

use crate::api::token;
use crate::browser::Browser;
use crate::host::{PASSWORD, Site, site};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// The routes that require a proof beside the session, with what they need to get as far as that.
const WITH_PROOF: &[(Endpoint, &[(&str, &str)])] = &[
    (Endpoint::Enrol, &[("name", "x")]),
    (Endpoint::Remove, &[]),
    (Endpoint::Rename, &[("name", "x")]),
    (Endpoint::Recovery, &[]),
    (Endpoint::ApiEnrol, &[("name", "x")]),
    (Endpoint::ApiRemove, &[]),
    (Endpoint::ApiRename, &[("name", "x")]),
    (Endpoint::ApiRecovery, &[]),
];

/// The routes that act without more than the session: they end something, cancel something, or begin
/// what is confirmed later.
const WITHOUT_PROOF: &[Endpoint] = &[
    Endpoint::EnrolConfirm,
    Endpoint::RecoveryKeep,
    Endpoint::RecoveryFile,
    Endpoint::Browser,
    Endpoint::BrowsersForget,
    Endpoint::SessionsEnd,
    Endpoint::AddressCancel,
    Endpoint::Confirm,
    Endpoint::ConfirmGrant,
    Endpoint::SignOut,
    Endpoint::ApiEnrolConfirm,
    Endpoint::ApiMailedCode,
    Endpoint::ApiRecoveryKeep,
    Endpoint::ApiBrowserRename,
    Endpoint::ApiBrowserForget,
    Endpoint::ApiBrowsersForget,
    Endpoint::ApiSessionsEnd,
    Endpoint::ApiAddressCancel,
    Endpoint::ApiConfirm,
    Endpoint::ApiConfirmGrant,
];

/// An account with an authenticator, browsers and a pending address.
struct Scene {
    site: Site,
    device: String,
}

impl Scene {
    async fn new() -> Self {
        let site = site().await;
        Browser::new(&site).enrol().await;
        *site.host.browsers.lock().unwrap() = vec![("b1".into(), "Laptop".into())];
        site.host.address.store(true, std::sync::atomic::Ordering::SeqCst);
        let device = site.two_factor.enrolled(account(&site)).await.unwrap().devices[0].id.to_string();
        Self { site, device }
    }

    fn path(&self, endpoint: Endpoint) -> String {
        let id = if endpoint.path().contains("browsers/") { "b1" } else { &self.device };
        format!("/{}", endpoint.path().replace("{id}", id).replace("{action}", "delete"))
    }

    /// Everything that an attacker could change, and how much was written to the log.
    async fn state(&self) -> String {
        let host = &self.site.host;
        let enrolled = self.site.two_factor.enrolled(account(&self.site)).await.unwrap();
        let events = self.site.world.driver.recent_events(account(&self.site), 1_000).await.unwrap();
        let (performed, browsers) = (host.performed.lock().unwrap(), host.browsers.lock().unwrap());
        format!("{enrolled:?} {performed:?} {browsers:?} {:?} {:?} {}", host.ended, host.address, events.len())
    }
}

fn account(site: &Site) -> &AccountId {
    &site.world.account
}

fn mutating() -> impl Iterator<Item = Endpoint> {
    Endpoint::ALL.iter().copied().filter(|endpoint| {
        endpoint.methods().contains(&Method::POST) && *endpoint != Endpoint::Admit // its token is the link's
    })
}

/// A request with the fields as the endpoint takes them.
fn request(endpoint: Endpoint, path: &str, token: &str, fields: &[(&str, &str)]) -> (http::request::Builder, String) {
    if endpoint.is_api() {
        let object = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let body = Value::Object(object).to_string();
        return (Request::post(path).header("content-type", JSON).header("x-form-token", token), body);
    }
    let fields = [("form_token", token)].into_iter().chain(fields.iter().copied());
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    (Request::post(path).header("content-type", FORM), body)
}

#[test]
fn every_mutating_route_is_in_one_of_the_tables() {
    let listed: Vec<Endpoint> = WITH_PROOF.iter().map(|(one, _)| *one).chain(WITHOUT_PROOF.iter().copied()).collect();
    for endpoint in mutating() {
        assert_eq!(listed.iter().filter(|one| **one == endpoint).count(), 1, "{endpoint:?}");
    }
    assert_eq!(listed.len(), mutating().count());
    // The description names the refusals of a proof, and only there a wait.
    let document: Value = serde_json::from_str(include_str!("../../../../docs/selfservice.openapi.json")).unwrap();
    for endpoint in mutating().filter(|endpoint| endpoint.is_api()) {
        let responses = &document["paths"][format!("/{}", endpoint.path())]["post"]["responses"];
        for status in ["401", "403", "413"] {
            assert!(responses[status].is_object(), "{status} of {endpoint:?}");
        }
        if WITH_PROOF.iter().any(|(one, _)| *one == endpoint) {
            assert!(responses["422"].is_object() && responses["429"].is_object(), "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn without_session_token_or_own_origin_nothing_is_changed() {
    let scene = Scene::new().await;
    let (mut browser, mut other) = (Browser::new(&scene.site), Browser::of_session(&scene.site, "two"));
    let (own, foreign) = (token(&mut browser).await, token(&mut other).await);
    let before = scene.state().await;
    for endpoint in mutating() {
        let path = scene.path(endpoint);
        // Nobody.
        browser.session = None;
        let (head, body) = request(endpoint, &path, &own, &[]);
        let status = browser.send(head, &body).await.status.as_u16();
        assert_eq!(status, if endpoint.is_api() { 401 } else { 303 }, "{path}");
        if !endpoint.is_api() {
            assert_eq!(browser.page.headers["location"], "/login");
        }
        browser.session = Some("one");
        // Another token, or none, or one in the address.
        for wrong in ["", &foreign, &own[..own.len() - 1], &format!("{own}0"), "é"] {
            let (head, body) = request(endpoint, &path, wrong, &[]);
            assert_eq!(browser.send(head, &body).await.status, 403, "{path} with {wrong:?}");
        }
        let (head, body) = request(endpoint, &format!("{path}?form_token={own}"), "", &[]);
        assert_eq!(browser.send(head, &body).await.status, 403, "{path}");
        // Another site with the right token.
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "http://example.org.evil.example"),
            ("origin", "https://example.org:8443"),
            ("origin", "example.org"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "Same-Origin"),
        ] {
            let (head, body) = request(endpoint, &path, &own, &[]);
            let status = browser.send(head.header(name, value), &body).await.status;
            assert_eq!(status, 403, "{path} with {name}: {value}");
        }
        // What another site can send without being asked first: a form, or text.
        for simple in ["text/plain", "multipart/form-data; boundary=x", if endpoint.is_api() { FORM } else { JSON }] {
            let (head, body) = (Request::post(&path).header("content-type", simple), format!("form_token={own}"));
            let head = head.header("x-form-token", &own);
            let status = browser.send(head, &body).await.status.as_u16();
            assert_eq!(status, if endpoint.is_api() { 400 } else { 403 }, "{path} as {simple}");
        }
        // Other methods.
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"] {
            let head = Request::builder().method(method).uri(&path).header("content-type", FORM);
            let head = head.header("x-form-token", &own).header("x-http-method-override", "POST");
            let status = browser.send(head, &format!("form_token={own}&_method=POST")).await.status.as_u16();
            assert!([200, 204, 404, 405].contains(&status), "{method} {path}: {status}");
        }
        // A body that is too large, whatever it is.
        let (head, _) = request(endpoint, &path, &own, &[]);
        assert_eq!(browser.send(head, &"x".repeat(16 * 1024 + 1)).await.status, 413, "{path}");
        assert_eq!(scene.state().await, before, "{path}");
    }
    // With all of it, each route is reached.
    for endpoint in mutating() {
        let path = scene.path(endpoint);
        let (head, body) = request(endpoint, &path, &own, &[]);
        let head = head.header("origin", "https://example.org").header("sec-fetch-site", "same-origin");
        let status = browser.send(head, &body).await.status.as_u16();
        let bad_file = endpoint == Endpoint::RecoveryFile && status == 403;
        assert!(![401, 403, 405, 500].contains(&status) || bad_file, "{path}: {status}");
    }
}

#[tokio::test]
async fn what_takes_a_proof_is_not_done_without_it() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.site);
    let own = token(&mut browser).await;
    let before = scene.site.two_factor.enrolled(account(&scene.site)).await.unwrap();
    for (endpoint, fields) in WITH_PROOF {
        let path = scene.path(*endpoint);
        // An account with an authenticator takes no password in its place, and a button for a mail
        // proves nothing.
        for proof in [vec![], vec![("proof", "")], vec![("proof", PASSWORD)], vec![("send", "1")]] {
            let sent: Vec<_> = fields.iter().copied().chain(proof.clone()).collect();
            let (head, body) = request(*endpoint, &path, &own, &sent);
            let page = browser.send(head, &body).await;
            let is_shown_again = proof == [("send", "1")] && page.status == 200 && !endpoint.is_api();
            assert!(page.status == 422 || is_shown_again, "{path} with {proof:?}: {}", page.status);
            assert!(!page.body.contains("otpauth:") && !page.body.contains("\"codes\""), "{path}");
        }
    }
    // Wrong codes are counted over all of them together.
    let mut statuses = Vec::new();
    for (endpoint, fields) in WITH_PROOF {
        let sent: Vec<_> = fields.iter().copied().chain([("proof", "000000")]).collect();
        let (head, body) = request(*endpoint, &scene.path(*endpoint), &own, &sent);
        statuses.push(browser.send(head, &body).await.status.as_u16());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), WITH_PROOF.len() - 5, "{statuses:?}");
    assert_eq!(scene.site.two_factor.enrolled(account(&scene.site)).await.unwrap(), before);
}

#[tokio::test]
async fn addresses_that_are_not_the_routes_are_nothing() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.site);
    for path in [
        "//",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/\\evil.example",
        "/./",
        "/authenticators//add",
        "/authenticators/add/",
        "/authenticators/add;x=1",
        "/%61uthenticators/add",
        "/authenticators%2Fadd",
        "/AUTHENTICATORS/add",
        "/authenticators/../activity",
        "/authenticators/%2e%2e/remove",
        "/authenticators/x%0d%0aset-cookie:%20a=b/remove",
        "/browsers/%3Cscript%3E",
        "/confirm/delete%00",
        "/confirm/delete/",
        "/security/v1",
        "/security/v1/",
    ] {
        let page = browser.send(Request::get(path), "").await;
        assert_eq!(page.status, 404, "{path}");
        assert!(!page.headers.contains_key("location") && !page.headers.contains_key("set-cookie"), "{path}");
        assert!(!page.body.contains("<script>") && !page.body.contains("evil"), "{path}");
    }
    // Where a redirection goes is not for the request to say.
    for query in ["?done=//evil.example", "?done=codes%0d%0aset-cookie:a=b", "?next=https://evil.example", "?done=x"] {
        let page = browser.send(Request::get(format!("/{query}")), "").await;
        assert!(page.status == 200 && !page.body.contains("evil") && !page.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn unusual_bodies_are_refused_or_read_in_one_way() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.site);
    let own = token(&mut browser).await;
    let before = scene.state().await;
    // Of a repeated token the first counts, in a form as in a header.
    for body in
        [format!("form_token=x&form_token={own}"), format!("form_token[]={own}"), format!("form_token={own}%00")]
    {
        let head = Request::post("/sessions/end").header("content-type", FORM);
        assert_eq!(browser.send(head, &body).await.status, 403, "{body}");
    }
    let head = Request::post("/security/v1/sessions/end").header("x-form-token", "x").header("x-form-token", &own);
    assert_eq!(browser.send(head, "").await.status, 403);
    for body in ["%", "%ff%fe", "=", "&&&", "form_token", "\u{feff}"] {
        let head = Request::post("/authenticators/add").header("content-type", FORM);
        assert_eq!(browser.send(head, body).await.status, 403, "{body:?}");
    }
    let deep = "[".repeat(8_000);
    let nested = format!("{{\"name\":{deep}");
    for body in
        ["null", "[]", "1", "{", "{\"name\":null}", "{\"name\":{}}", "{} {}", "{\"a\":\"\\ud800\"}", &deep, &nested]
    {
        let head = Request::post("/security/v1/sessions/end").header("content-type", JSON).header("x-form-token", &own);
        assert_eq!(browser.send(head, body).await.status, 400, "{body:.20}");
    }
    for content_type in ["text/json", "application/jsonp", "application/json, text/plain", ""] {
        let head = Request::post("/security/v1/sessions/end").header("content-type", content_type);
        assert_eq!(browser.send(head.header("x-form-token", &own), "{}").await.status, 400, "{content_type}");
    }
    assert_eq!(scene.state().await, before);
}

/// No answer of the pages or the API is kept by a cache, interpreted as something else, or framed.
#[tokio::test]
async fn every_answer_is_closed_whatever_its_status() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.site);
    let own = token(&mut browser).await;
    for endpoint in Endpoint::ALL {
        if matches!(endpoint, Endpoint::Style | Endpoint::Script) {
            continue;
        }
        let path = scene.path(*endpoint);
        for method in ["GET", "HEAD", "POST", "PUT"] {
            for (session, sent) in [(None, ""), (Some("one"), ""), (Some("one"), own.as_str())] {
                browser.session = session;
                let kind = if endpoint.is_api() { JSON } else { FORM };
                let body = if endpoint.is_api() { String::new() } else { format!("form_token={sent}") };
                let head = Request::builder().method(method).uri(&path).header("content-type", kind);
                let page = browser.send(head.header("x-form-token", sent), &body).await;
                let header = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap());
                let at = format!("{method} {path}: {}", page.status);
                assert_eq!(header("cache-control"), "no-store", "{at}");
                assert_eq!(header("referrer-policy"), "no-referrer", "{at}");
                assert_eq!(header("x-content-type-options"), "nosniff", "{at}");
                assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{at}");
                assert!(!page.headers.contains_key("access-control-allow-origin"), "{at}");
                if header("content-type").starts_with("text/html") && page.status != 303 {
                    assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{at}");
                }
            }
        }
    }
}
