//! Requests that are too many, too large, or malformed, and what is logged about them.

use librepass_client::Kind;

use super::scene::{Scene, quick, refusal};
use crate::client::Answer;
use crate::program::Server;

const EMAIL: &str = "user@example.org";
const PASSWORD: &str = "correct horse";

#[track_caller]
fn is_refusal(answer: &Answer, status: u16, code: &str) {
    let members = format!("\"error\":\"{code}\",\"status\":{status}");
    assert!(answer.status == status && answer.body.contains(&members), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// `Authorization` with a good token.
fn authorization(scene: &Scene, server: &Server) -> String {
    scene.register(server, EMAIL, PASSWORD);
    let session = scene.log_in(server, EMAIL, PASSWORD).unwrap();
    format!("authorization: Bearer {}\r\n", session.login().token().expose())
}

#[test]
fn paths_and_methods() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    let info = scene.send(&server, "GET", "/actuator/info", "", "");
    assert!(info.status == 200 && info.body.contains("\"group\":\"dev.medzik.librepass\""), "{info:?}");
    for path in ["/api/", "/api/auth", "/api/auth/prelogin", "/api/user/delete/", "/api/cipher/a/b", "/api/x"] {
        is_refusal(&scene.send(&server, "GET", path, "", ""), 404, "LP-404");
    }
    for (method, path) in [("GET", "/api/user/password"), ("PUT", "/api/auth/oauth"), ("HEAD", "/api/auth/oauth")] {
        let answer = scene.send(&server, method, path, "", "");
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
    }
    // The longer path is another protocol's.
    assert!(!scene.send(&server, "GET", "/api/v1/nothing", "", "").body.contains("LP-"));
    is_refusal(&scene.send(&server, "PATCH", "/api/user/password", "", "{not json"), 401, "LP-Invalid-Token");
    server.stop();
}

#[test]
fn bodies_that_are_too_large() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    // Announced, not sent: nothing of it is waited for.
    let announced = |bytes: usize| format!("content-length: {bytes}\r\n");
    let mebibyte = 1024 * 1024;
    let answer = scene.send(&server, "POST", "/api/auth/register", &announced(mebibyte + 1), "");
    is_refusal(&answer, 413, "LP-Invalid-Body");
    let answer = scene.send(&server, "POST", "/api/cipher/sync", &announced(mebibyte), "");
    is_refusal(&answer, 401, "LP-Invalid-Token");
    let authorization = authorization(&scene, &server);
    let sync = format!("{{\"lastSyncTimestamp\":0,\"updated\":[],\"deleted\":[]{}}}", " ".repeat(mebibyte));
    let taken = scene.send(&server, "POST", "/api/cipher/sync", &authorization, &sync);
    assert_eq!(taken.status, 200, "a vault may be large: {taken:?}");
    for (method, path) in [("POST", "/api/cipher/sync"), ("PATCH", "/api/user/password"), ("PATCH", "/api/user/email")]
    {
        let headers = format!("{authorization}{}", announced(64 * mebibyte + 1));
        is_refusal(&scene.send(&server, method, path, &headers, ""), 413, "LP-Invalid-Body");
    }
    let headers = format!("{authorization}{}", announced(mebibyte + 1));
    is_refusal(&scene.send(&server, "POST", "/api/user/setup/2fa", &headers, ""), 413, "LP-Invalid-Body");
    server.stop();
}

#[test]
fn a_vault_has_room_for_so_many_and_an_update_takes_none() {
    let scene = Scene::new();
    let server = scene.start(&["--vault-limit", "3"]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    let seal = || session.seal(Kind::NOTE, b"{}").unwrap();
    let mut three = [seal(), seal(), seal()];
    session.put(&three).unwrap();
    for cipher in &mut three {
        cipher.protected_data = seal().protected_data;
    }
    session.put(&three).unwrap();
    assert_eq!(refusal(session.put(&[seal()])), "LP-Invalid-Cipher");
    assert_eq!(refusal(session.put(&[three[0].clone(), seal()])), "LP-Invalid-Cipher");
    session.remove(&[&three[0].id]).unwrap();
    session.put(&[seal()]).unwrap();
    assert_eq!(session.read().unwrap().len(), 3);
    server.stop();
}

#[test]
fn twenty_calls_then_429() {
    let scene = Scene::new();
    let server = scene.start(&["--rate-limits", "on"]);
    let ask = || scene.send(&server, "GET", "/api/auth/preLogin?email=", "", "");
    // On a slow machine one or two more may be admitted, because one call is restored every six
    // seconds.
    let refused = (0..200).map(|_| ask()).find(|answer| answer.status != 200).unwrap();
    is_refusal(&refused, 429, "LP-RateLimit");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=7).contains(&wait), "{refused:?}");
    assert_eq!(scene.send(&server, "GET", "/actuator/info", "", "").status, 200);
    assert!(server.log().contains("refused_by=\"requests_of_peer\""), "{}", server.log());
    server.stop();

    let server = scene.start(&[]);
    let ask = || scene.send(&server, "GET", "/api/auth/preLogin?email=", "", "");
    assert!((0..50).all(|_| ask().status == 200));
    server.stop();
}

#[test]
fn guesses_are_counted_whatever_the_limits_are() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let wrong = || scene.client(&server).log_in(EMAIL, "planted-guess");
    let refused = (0..30).map(|_| refusal(wrong())).find(|code| code != "LP-Invalid-Shared-Secret");
    assert_eq!(refused.as_deref(), Some("LP-RateLimit"));
    server.stop();
}

#[test]
fn the_log_names_the_endpoint_and_repeats_nothing() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    for (method, path) in [
        ("GET", "/api/auth/preLogin?email=planted@example.org"),
        ("GET", "/api/user/verifyNewEmail?user=planted&code=planted"),
        ("GET", "/api/auth/verifyEmail?user=3a469748-bc30-5a0b-8a3a-eafa3fe5bc54&code=planted"),
        ("GET", "/api/cipher/planted"),
        ("POST", "/api/auth/oauth?grantType=planted"),
        ("GET", "/api/planted"),
    ] {
        let headers = "authorization: Bearer planted\r\nx-client: planted\r\n";
        scene.send(&server, method, path, headers, "");
    }
    scene.client(&server).register("planted@example.org", PASSWORD, Some("planted"), quick()).unwrap();
    let log = server.log();
    assert!(!log.contains("planted") && !log.contains('?'), "{log}");
    assert!(log.contains("route=\"/api/user/verifyNewEmail\"") && log.contains("route=\"/api/cipher/{id}\""), "{log}");
    server.stop();
}
