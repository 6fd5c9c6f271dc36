//! Requests that HTTP allows and no client of the protocols sends: each has one answer on the whole
//! server, in the form of the protocol that its path belongs to.
#![expect(clippy::indexing_slicing, reason = "a panic in a test is a failed test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::{Answer, raw, text};
use crate::program::{Folder, Server, new_folder};

const NEXTCLOUD: &str = "/index.php/apps/passwords/api/1.0/session/open";
const ROCKETCHAT: &str = "/api/v1/users.removeOtherTokens";
const LIBREPASS: &str = "/api/auth/oauth?grantType=login";

/// An endpoint of each protocol that takes a body, and an empty object as far as it goes.
const ENDPOINTS: [&str; 3] = [NEXTCLOUD, ROCKETCHAT, LIBREPASS];

fn start() -> (Folder, Server) {
    let folder = new_folder();
    folder.write(
        "accounts.toml",
        "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password\"]\n\
         [account.rocketchat]\nuser_id = \"alice-id\"\nauth_tokens = [\"alice-auth-token\"]\n",
    );
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    (folder, server)
}

/// The logins of all protocols.
fn logins() -> String {
    let basic = STANDARD.encode("alice:alice-app-password");
    format!("authorization: Basic {basic}\r\nx-user-id: alice-id\r\nx-auth-token: alice-auth-token\r\n")
}

fn post(server: &Server, path: &str, headers: &str, body: &str) -> Answer {
    raw(server, text("POST", path, &format!("{}{headers}", logins()), body).as_bytes())
}

/// Asserts an answer's status and that its body has the form of the protocol.
fn is_of_the_protocol(path: &str, answer: &Answer, status: u16, case: &str) {
    assert_eq!(answer.status, status, "{path}, {case}: {answer:?}");
    let media = answer.header("content-type").unwrap_or_default();
    assert!(media.starts_with("application/json"), "{path}, {case}: {answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let failed = status >= 400;
    let formed = match path {
        NEXTCLOUD if failed => body["status"] == "error" && body["message"].is_string() && !body["id"].is_null(),
        NEXTCLOUD => body["success"] == true,
        ROCKETCHAT => body["success"] == !failed && body["error"].is_string() == failed,
        _ => body["error"].as_str().is_some_and(|code| code.starts_with("LP-")) && body["status"] == status,
    };
    assert!(formed, "{path}, {case}: {answer:?}");
}

const JSON: &str = "content-type: application/json\r\n";

/// The same body for all three, and the status that each protocol answers it with, in the order of
/// [`ENDPOINTS`]. LibrePass lacks the members of a log-in in an empty object, so it has no success.
#[test]
fn bodies() {
    let (_folder, server) = start();
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (case, headers, body, expected) in [
        ("nothing", "", "", [200, 200, 400]),
        ("nothing, declared", JSON, "", [200, 200, 400]),
        ("an empty object", JSON, "{}", [200, 200, 400]),
        ("blanks around it", JSON, " \r\n\t{} ", [200, 200, 400]),
        ("a charset", "content-type: application/json; charset=utf-8\r\n", "{}", [200, 200, 400]),
        ("capitals", "CONTENT-TYPE: Application/JSON\r\n", "{}", [200, 200, 400]),
        ("blanks alone", JSON, "  ", [400, 400, 400]),
        ("a byte-order mark", JSON, "\u{feff}{}", [400, 400, 400]),
        ("a member twice", JSON, r#"{"x":1,"x":1}"#, [400, 400, 400]),
        ("a member twice, escaped", JSON, "{\"x\":1,\"\\u0078\":1}", [400, 400, 400]),
        ("a member twice, within", JSON, r#"{"x":{"y":1,"y":2}}"#, [400, 400, 400]),
        ("a comma at the end", JSON, "{},", [400, 400, 400]),
        ("two objects", JSON, "{}{}", [400, 400, 400]),
        ("a comment", JSON, "{}//", [400, 400, 400]),
        ("single quotes", JSON, "{'x':1}", [400, 400, 400]),
        ("a number that is none", JSON, "{\"x\":NaN}", [400, 400, 400]),
        ("half a surrogate", JSON, "{\"\\ud800\":1}", [400, 400, 400]),
        ("a control character", JSON, "{\"x\":\"\u{1}\"}", [400, 400, 400]),
        ("a NUL", JSON, "{}\0", [400, 400, 400]),
        ("a list", JSON, "[]", [400, 400, 400]),
        ("null", JSON, "null", [400, 400, 400]),
        ("a text", JSON, "\"x\"", [400, 400, 400]),
        ("ten thousand lists", JSON, deep.as_str(), [400, 400, 400]),
        ("another media type", "content-type: text/plain\r\n", "{}", [415, 400, 400]),
        ("XML", "content-type: application/xml\r\n", "<x/>", [415, 400, 400]),
        ("JSON, almost", "content-type: application/jsonp\r\n", "{}", [415, 400, 400]),
        ("no media type", "", "{}", [415, 400, 400]),
        ("a media type that is none", "content-type: json\r\n", "{}", [415, 400, 400]),
    ] {
        for (path, status) in ENDPOINTS.into_iter().zip(expected) {
            is_of_the_protocol(path, &post(&server, path, headers, body), status, case);
        }
    }
    server.stop();
}

#[test]
fn bodies_in_chunks() {
    let (_folder, server) = start();
    let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
    let head = |path| text("POST", path, &format!("{}{chunked}", logins()), "");
    for (case, chunks, expected) in [
        ("one", "2\r\n{}\r\n0\r\n\r\n", [200, 200, 400]),
        ("two", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", [200, 200, 400]),
        ("none", "0\r\n\r\n", [200, 200, 400]),
        ("with an extension and a trailer", "2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n", [200, 200, 400]),
    ] {
        for (path, status) in ENDPOINTS.into_iter().zip(expected) {
            let answer = raw(&server, format!("{}{chunks}", head(path)).as_bytes());
            is_of_the_protocol(path, &answer, status, case);
        }
    }
    // What is no chunk is a body that cannot be read.
    for broken in ["z\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}\r\n"] {
        for path in ENDPOINTS {
            let answer = raw(&server, format!("{}{broken}", head(path)).as_bytes());
            is_of_the_protocol(path, &answer, 400, broken);
        }
    }
    // With a length and chunks at once, the chunks count (RFC 9112 § 6.3). If the length did, the
    // body would be no JSON.
    for (path, status) in ENDPOINTS.into_iter().zip([200, 200, 400]) {
        let both = text("POST", path, &format!("{}{chunked}content-length: 1\r\n", logins()), "");
        let answer = raw(&server, format!("{both}2\r\n{{}}\r\n0\r\n\r\n").as_bytes());
        is_of_the_protocol(path, &answer, status, "a length too");
    }
    server.stop();
}

/// Paths are exact: nothing is decoded, and only Nextcloud folds slashes (decision 51).
#[test]
fn paths() {
    let (_folder, server) = start();
    for (path, status) in [
        ("/index.php/apps/passwords/api/1.0/session/open", 200),
        ("/index.php//apps/passwords/api/1.0//session/open", 200),
        ("/apps/passwords/api/1.0/session/open", 200),
        ("/index.php/apps/passwords/api/1.0/session%2fopen", 404),
        ("/index.php/apps/passwords/api/1.0/session%2Fopen", 404),
        ("/index.php/apps/passwords/api/1.0/session/%6fpen", 404),
        ("/index.php/apps/passwords/api/1.0/session/open/", 404),
        ("/index.php/apps/passwords/api/1.0/session/./open", 404),
        ("/index.php/apps/passwords/api/1.0/x/../session/open", 404),
        ("/index.php/apps/passwords/api/1.0/Session/Open", 404),
        ("/index.php/apps/passwords/api/1.0/session/open;x=y", 404),
        ("/index.php/apps/passwords/api/1.0/session/open%00", 404),
        ("/index.php/apps/passwords/api/1.0/session/%ff", 404),
    ] {
        is_of_the_protocol(NEXTCLOUD, &post(&server, path, JSON, "{}"), status, path);
    }
    for (path, status) in [
        ("/api/v1/users.removeOtherTokens", 200),
        ("/api/v1/users.removeOtherTokens?user=bob", 200),
        ("/api/v1//users.removeOtherTokens", 404),
        ("/api/v1/users%2eremoveOtherTokens", 404),
        ("/api/v1/users.removeOtherTokens/", 404),
        ("/api/v1/users.removeothertokens", 404),
        ("/api/v1/%2e%2e/v1/users.removeOtherTokens", 404),
        ("/api/v1/", 404),
    ] {
        is_of_the_protocol(ROCKETCHAT, &post(&server, path, JSON, "{}"), status, path);
    }
    for path in [
        "/api//auth/oauth?grantType=login",
        "/api/auth%2foauth?grantType=login",
        "/api/auth/oauth/?grantType=login",
        "/api/Auth/oauth",
        "/api/",
        "/api/auth/%00",
    ] {
        is_of_the_protocol(LIBREPASS, &post(&server, path, JSON, "{}"), 404, path);
    }
    for path in ["//", "//api/v1/info", "/api", "/%2fapi/v1/info", "/index.php", "/index.php/", "/.well-known/x"] {
        let answer = raw(&server, text("GET", path, "", "").as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (404, "not found\n"), "{path}");
    }
    server.stop();
}

/// `HEAD` is answered as `GET` without the body where it does nothing, and is a wrong method
/// elsewhere; never is there a body.
#[test]
fn methods() {
    let (_folder, server) = start();
    let call = |method: &str, path: &str| raw(&server, text(method, path, &logins(), "").as_bytes());
    for (path, reads) in [
        ("/index.php/apps/passwords/api/1.0/session/keepalive", true),
        (NEXTCLOUD, false),
        ("/api/v1/me", true),
        ("/api/info", true),
        (ROCKETCHAT, false),
        ("/api/auth/oauth?grantType=login", false),
        ("/health", true),
        ("/login", true),
    ] {
        let head = call("HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (if reads { 200 } else { 405 }, ""), "{path}: {head:?}");
        if reads {
            let get = call("GET", path);
            assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}: {head:?}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        }
    }
    for path in ENDPOINTS {
        for method in ["GET", "PUT", "PATCH", "DELETE", "TRACE", "CONNECTED", "BREW"] {
            let answer = call(method, path);
            is_of_the_protocol(path, &answer, 405, method);
            assert_eq!(answer.header("allow"), Some("POST, OPTIONS"), "{path}: {answer:?}");
        }
        let options = call("OPTIONS", path);
        assert_eq!((options.status, options.body.as_str()), (204, ""), "{path}: {options:?}");
        assert_eq!(options.header("access-control-allow-origin"), None, "{path}");
    }
    server.stop();
}

/// Headers of 100 KB are within what the server reads: they are judged by the protocol, as logins
/// that are none. Beyond the limit the answer is HTTP's own.
#[test]
fn long_headers() {
    let (_folder, server) = start();
    let long = "y".repeat(100_000);
    for (path, header, status) in [
        (NEXTCLOUD, format!("x-other: {long}\r\n"), 200),
        (NEXTCLOUD, format!("x-api-session: {long}\r\n"), 200),
        (ROCKETCHAT, format!("x-other: {long}\r\n"), 200),
        (ROCKETCHAT, format!("x-2fa-method: {long}\r\n"), 200),
        (LIBREPASS, format!("x-client: {long}\r\n"), 400),
        (NEXTCLOUD, format!("content-type: {long}\r\n"), 415),
        (NEXTCLOUD, format!("cookie: nc_passwords={long}\r\n"), 200),
    ] {
        let own = if header.starts_with("content-type") { "" } else { JSON };
        is_of_the_protocol(path, &post(&server, path, &format!("{own}{header}"), "{}"), status, &header[..20]);
    }
    for (path, login) in [
        ("/index.php/apps/passwords/api/1.0/session/request", format!("authorization: Basic {long}\r\n")),
        ("/index.php/apps/passwords/api/1.0/session/request", format!("authorization: Bearer {long}\r\n")),
        ("/api/v1/me", format!("x-user-id: alice\r\nx-auth-token: {long}\r\n")),
        ("/api/cipher", format!("authorization: Bearer {long}\r\n")),
    ] {
        let answer = raw(&server, text("GET", path, &login, "").as_bytes());
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert!(answer.header("content-type").is_some_and(|media| media.starts_with("application/json")), "{path}");
    }
    let huge = format!("x: {}\r\n", "y".repeat(1024 * 1024));
    for path in ENDPOINTS {
        assert_eq!(post(&server, path, &huge, "{}").status, 431, "{path}");
    }
    server.stop();
}
