//! Requests of the protocol to the real processes: each is answered by the protocol, not by the framework.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic in a test is a failed test")]

use acceptance::Scene;
use serde_json::json;
use ureq::http::Method;

/// `alice` with her app token.
const ALICE: (&str, &str) = ("authorization", "Basic YWxpY2U6Y29ycmVjdC1ob3JzZS1hcHAtdG9rZW4=");
/// `alice` with a wrong one.
const WRONG: (&str, &str) = ("authorization", "Basic YWxpY2U6d3Jvbmc=");

fn is_mounted(program: &str, bases: &[&str]) {
    let scene = Scene::start(program);
    for base in bases {
        let api = format!("{base}/api/1.0");
        let get = |path: &str, login| scene.browser().send(Method::GET, path, &[login], "");
        let begun = get(&format!("{api}/session/request"), ALICE);
        assert_eq!((begun.status, &begun.body), (200, &json!({})), "{base}: {begun:?}");
        let session = begun.headers["x-api-session"].to_str().unwrap();
        // Without a challenge, the session is open at once.
        let headers = [ALICE, ("x-api-session", session)];
        let opened = scene.browser().send(Method::POST, &format!("{api}/session/open"), &headers, "{}");
        assert_eq!((opened.status, &opened.body["success"]), (200, &json!(true)), "{base}: {opened:?}");
        // A stock client repeats slashes.
        assert_eq!(get(&format!("{base}/api//1.0/session/request"), ALICE).status, 200, "{base}");
        let unknown = get(&format!("{api}/nothing"), ALICE);
        assert_eq!((unknown.status, unknown.body["id"].is_string()), (404, true), "{base}: {unknown:?}");
        assert!(unknown.headers.contains_key("x-api-session"), "{base}");
        let refused = get(&format!("{api}/session/request"), WRONG);
        assert_eq!((refused.status, refused.headers.contains_key("x-api-session")), (401, false), "{base}");
    }
    let elsewhere = scene.browser().send(Method::GET, "/index.php/apps/files/x", &[ALICE], "");
    assert_eq!((elsewhere.status, elsewhere.headers.contains_key("x-api-session")), (404, false));
}

#[test]
fn in_axum_nested_not_nested_and_below_a_folder() {
    let bases = ["/index.php/apps/passwords", "/apps/passwords", "/cloud/index.php/apps/passwords"];
    is_mounted(env!("CARGO_BIN_EXE_nextcloud-axum"), &bases);
}

#[test]
fn in_actix_web() {
    is_mounted(env!("CARGO_BIN_EXE_nextcloud-actix-web"), &["/index.php/apps/passwords", "/apps/passwords"]);
}

#[test]
fn in_poem_nested_not_nested_and_below_a_folder() {
    let bases = ["/index.php/apps/passwords", "/apps/passwords", "/cloud/index.php/apps/passwords"];
    is_mounted(env!("CARGO_BIN_EXE_nextcloud-poem"), &bases);
}
