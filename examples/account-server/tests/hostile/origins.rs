//! Proxies, browsers on other sites, and what goes in the clear.

use keywright_testing::process::Server;

use crate::scene::{KNOWN, ask, basic, connect, connect_from, folder, request, session_request, start};

const NEXTCLOUD: &str = "/index.php/apps/passwords/api/1.0/session/request";

#[test]
fn behind_a_proxy_each_client_has_its_own_limits() {
    let folder = folder();
    let server = start(&folder, &["--trusted-proxy", "127.0.0.1", "--public-url", "https://accounts.example.org"]);
    let pre_login = |from: &str, client: &str| {
        let headers = format!("x-forwarded-for: {client}\r\n");
        // Each name has a limit too.
        let path = format!("/api/auth/preLogin?email={client}%40example.org");
        ask(connect_from(&server, from), &request("GET", &path, &headers, "")).0
    };
    // 20 pass at once; on a slow machine one or two more.
    let refused = (0..100).any(|_| pre_login("127.0.0.1", "203.0.113.9") == 429);
    assert!(refused, "a client has a limit");
    assert_ne!(pre_login("127.0.0.1", "198.51.100.1"), 429, "the next client has a limit of its own");
    let local = folder.start(&["--store", "memory:", "--accounts", "accounts.toml"]);
    let forged = |client: &str| {
        let text =
            request("GET", "/api/auth/preLogin?email=a%40example.org", &format!("x-forwarded-for: {client}\r\n"), "");
        ask(connect(&local), &text).0
    };
    assert!((0..100).any(|number| forged(&format!("203.0.113.{number}")) == 429), "a forged header is not believed");
    local.stop();
    server.stop();
}

#[test]
fn whether_a_client_used_https_is_known_from_its_proxy() {
    let folder = folder();
    let proxied = |options: &[&str]| {
        start(&folder, &[&["--listen", "0.0.0.0:0", "--trusted-proxy", "127.0.0.1"], options].concat())
    };
    let server = proxied(&[]);
    let address = server.address().replace("0.0.0.0", "127.0.0.1");
    let send = |path: &str, headers: &str| {
        let text = request("GET", path, &format!("{}{headers}", basic(KNOWN)), "");
        ask(std::net::TcpStream::connect(&address).unwrap(), &text)
    };
    let (status, refusal) = send(NEXTCLOUD, "x-forwarded-proto: http\r\n");
    assert!(status == 400 && refusal.contains("6304571a"), "{refusal}");
    let (status, refusal) = send("/api/auth/preLogin", "");
    assert!(
        status == 400 && refusal.contains("\"message\":\"plain HTTP is refused; use https\",\"status\":400"),
        "{refusal}"
    );
    assert_eq!(send(NEXTCLOUD, "x-forwarded-proto: https\r\n").0, 200);
    assert_eq!(send(NEXTCLOUD, "forwarded: for=203.0.113.9;proto=https\r\n").0, 200);
    assert_eq!(send("/health", "").0, 200);
    server.stop();

    let server = proxied(&["--public-url", "https://accounts.example.org"]);
    let address = server.address().replace("0.0.0.0", "127.0.0.1");
    let text = session_request(KNOWN);
    assert_eq!(ask(std::net::TcpStream::connect(&address).unwrap(), &text).0, 200);
    server.stop();

    let server = start(&folder, &["--listen", "0.0.0.0:0", "--insecure"]);
    let address = server.address().replace("0.0.0.0", "127.0.0.1");
    assert_eq!(ask(std::net::TcpStream::connect(&address).unwrap(), &text).0, 200);
    server.stop();
}

#[test]
fn mail_does_not_go_in_the_clear_to_other_machines() {
    let folder = folder();
    let refused = folder.refuse(&["--store", "memory:", "--smtp", "smtp://u:sesame@mail.example.org"]);
    assert!(refused.contains("in the clear") && refused.contains("--insecure"), "{refused}");
    assert!(!refused.contains("sesame"), "{refused}");
    start(&folder, &["--smtp", "smtp://mail.example.org", "--insecure"]).stop();
    start(&folder, &["--smtp", "smtp://mail.example.org?tls=required"]).stop();
}

#[test]
fn pages_of_named_origins_may_call_and_no_others() {
    let folder = folder();
    let server =
        start(&folder, &["--cors-origin", "https://vault.example.org", "--cors-origin", "http://localhost:3000"]);
    let preflight = |origin: &str| {
        let headers = format!(
            "origin: {origin}\r\naccess-control-request-method: PUT\r\n\
             access-control-request-headers: authorization,content-type\r\n"
        );
        ask(connect(&server), &request("OPTIONS", "/api/cipher/sync", &headers, ""))
    };
    for origin in ["https://vault.example.org", "http://localhost:3000"] {
        let (status, text) = preflight(origin);
        assert_eq!(status, 200, "{text}");
        for line in [
            &format!("access-control-allow-origin: {origin}\r\n"),
            "access-control-allow-credentials: true\r\n",
            "access-control-allow-headers: authorization,content-type\r\n",
            "access-control-allow-methods: GET,POST,PUT,PATCH,DELETE\r\n",
            "access-control-max-age: 3600\r\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
    assert!(!preflight("https://evil.example.org").1.contains("access-control-allow-origin"));
    let get = |server: &Server, origin: &str| {
        let headers = format!("origin: {origin}\r\n{}", basic(KNOWN));
        ask(connect(server), &request("GET", NEXTCLOUD, &headers, "")).1
    };
    let answer = get(&server, "https://vault.example.org");
    assert!(answer.contains("access-control-allow-origin: https://vault.example.org\r\n"), "{answer}");
    assert!(answer.contains("access-control-expose-headers: x-api-session,"), "{answer}");
    server.stop();

    let closed = start(&folder, &[]);
    assert!(!get(&closed, "https://vault.example.org").contains("access-control"));
    closed.stop();
}
