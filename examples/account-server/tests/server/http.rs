//! HTTP itself: what is served, what is not, and malformed requests.

use crate::client::{BASE, Client, get, raw, text};
use crate::program::{Folder, Server, new_folder};

const MEBIBYTE: usize = 1024 * 1024;

fn start(more: &[&str]) -> (Folder, Server) {
    let folder = new_folder();
    folder.write(
        "accounts.toml",
        "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password\"]\n",
    );
    let server = folder.start(&[&["--store", "memory:", "--accounts", "accounts.toml"], more].concat());
    (folder, server)
}

fn alice(server: &Server) -> Client<'_> {
    Client::new(server, "alice", "alice-app-password")
}

#[test]
fn what_there_is_besides_the_protocol() {
    let (_folder, server) = start(&[]);
    let health = get(&server, "/health");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let root = get(&server, "/");
    assert_eq!((root.status, root.header("location")), (303, Some("/login")));
    let page = get(&server, "/login");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(page.body.contains("account-server") && !page.body.contains("alice"));
    assert_eq!(raw(&server, text("HEAD", "/health", "", "").as_bytes()).status, 200);
    assert_eq!(raw(&server, text("POST", "/health", "", "x").as_bytes()).status, 405);
    for path in ["/nothing", "/health/", "/index.php/apps/files/", "/apps", "/%ff", "/..%2f"] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
    server.stop();
}

#[test]
fn unknown_paths_and_methods_of_the_protocol() {
    let (_folder, server) = start(&[]);
    for endpoint in ["", "nothing", "session", "session/open/", "session/request/more", "account/reset%00"] {
        let answer = alice(&server).get(endpoint);
        assert_eq!(answer.status, 404, "{endpoint}: {answer:?}");
        assert!(answer.body.contains("\"status\":\"error\""), "{endpoint}: {answer:?}");
    }
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        let answer = alice(&server).call(method, "session/open", "");
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
    }
    assert_eq!(alice(&server).call("HEAD", "account/reset", "").status, 405, "HEAD asks for nothing");
    assert!(alice(&server).call("OPTIONS", "session/open", "").status < 500);
    server.stop();
}

/// Through the router, which knows paths in one form only.
#[test]
fn stock_applications_find_the_protocol_in_their_own_ways() {
    let (_folder, server) = start(&[]);
    let headers = format!("{}x-api-session: \r\n", alice(&server).headers());
    for path in [
        "/index.php/apps/passwords/api//1.0/session/open",
        "/apps/passwords/api/1.0/session/open?a=b",
        "//apps//passwords/api/1.0/session/open",
    ] {
        let answer = raw(&server, text("POST", path, &headers, "").as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"keys":[],"success":true}"#), "{path}");
        assert!(answer.header("x-api-session").is_some(), "{path}");
    }
    for path in ["/apps/passwords/", "/index.php/apps/passwords/api//1.0/passwords/list", "/apps/passwords/api/1.1/x"] {
        let answer = raw(&server, text("GET", path, &headers, "").as_bytes());
        answer.is_refusal(404, "135d4069");
        assert!(answer.header("x-api-session").is_some(), "{path}");
    }
    let form = format!("{headers}content-type: application/x-www-form-urlencoded\r\n");
    let settings = text("POST", "/apps/passwords/api/1.0/settings/get", &form, "0=server.baseUrl&1=server.app.version");
    let answer = raw(&server, settings.as_bytes());
    let shown = format!(r#"{{"server.app.version":"2026.7","server.baseUrl":"http://{}/"}}"#, server.address());
    assert_eq!((answer.status, answer.body), (200, shown));
    let page = text("POST", "/apps/passwords/api/1.0/session/open", &format!("{form}origin: http://evil\r\n"), "a=b");
    raw(&server, page.as_bytes()).is_refusal(415, "990e339c");
    let head = raw(&server, text("HEAD", "/apps/passwords/api/1.0/session/keepalive", &headers, "").as_bytes());
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, Some("16"), ""));
    // The log names the route, in one form.
    let log = server.log();
    assert!(log.contains("route=\"/index.php/apps/passwords/api/1.0/session/open\" status=200"), "{log}");
    server.stop();
}

#[test]
fn bodies_that_are_too_large() {
    let (_folder, server) = start(&[]);
    let answer = alice(&server).post("session/open", &format!("{{}}{}", " ".repeat(MEBIBYTE - 1)));
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("\"status\":\"error\""), "{answer:?}");

    // Without a length: it is counted as it comes.
    let headers =
        format!("{}content-type: application/json\r\ntransfer-encoding: chunked\r\n", alice(&server).headers());
    let chunk = format!("{:x}\r\n{}\r\n", MEBIBYTE + 1, " ".repeat(MEBIBYTE + 1));
    let request = format!("{}{chunk}", text("POST", &format!("{BASE}session/open"), &headers, ""));
    assert_eq!(raw(&server, request.as_bytes()).status, 413);

    let most = format!("{{}}{}", " ".repeat(MEBIBYTE - 2));
    assert_eq!(alice(&server).post("session/open", &most).status, 200);
    server.stop();

    let (_folder, server) = start(&["--max-body", "2000"]);
    assert_eq!(alice(&server).post("session/open", &format!("{{}}{}", " ".repeat(1_999))).status, 413);
    assert_eq!(alice(&server).post("session/open", &format!("{{}}{}", " ".repeat(1_998))).status, 200);
    server.stop();
}

#[test]
fn requests_that_are_none() {
    let (_folder, server) = start(&[]);
    for (name, bytes, status) in [
        ("no HTTP", b"hello\r\n\r\n".to_vec(), 400),
        ("a NUL in a header", text("GET", "/health", "x: \0\r\n", "").into_bytes(), 400),
        ("two lengths", text("POST", "/health", "content-length: 1\r\ncontent-length: 2\r\n", "").into_bytes(), 400),
        ("many headers", text("GET", "/health", &"x: y\r\n".repeat(1_000), "").into_bytes(), 431),
        ("a long header", text("GET", "/health", &format!("x: {}\r\n", "y".repeat(MEBIBYTE)), "").into_bytes(), 431),
        ("a long path", text("GET", &format!("/{}", "y".repeat(70_000)), "", "").into_bytes(), 414),
    ] {
        assert_eq!(raw(&server, &bytes).status, status, "{name}");
    }
    let long = "y".repeat(100_000);
    let answer = Client::new(&server, &long, &long).get("session/request");
    assert!(matches!(answer.status, 401 | 431), "{answer:?}");
    assert_eq!(get(&server, "/health").status, 200, "it is still there");
    server.stop();
}

#[test]
fn the_log_repeats_nothing_of_a_request() {
    let (_folder, server) = start(&[]);
    let mut alice = alice(&server);
    alice.get("account/reset?code=Planted-Code");
    alice.get("planted-path");
    alice.post("session/open", "{\"challenge\": \"planted-body");
    alice.post("session/open", "{\"challenge\": [\"planted-body\"]}");
    alice.call("PLANTEDMETHOD", "session/open", "");
    Client::new(&server, "planted-name", "planted-password").get("session/request");
    get(&server, "/planted-path?q=planted-query");
    let log = server.log();
    assert!(!log.to_ascii_lowercase().contains("planted"), "{log}");
    assert!(log.contains("route=\"/index.php/apps/passwords/api/1.0/account/reset\" status=403"), "{log}");
    assert!(log.contains("method=\"other\""), "{log}");
    server.stop();
}
