//! The way in for an owner whom strangers have locked out, on each protocol: the mail by SMTP, the
//! page behind its link, its button, and the log-in from the admitted network.

use std::sync::mpsc::Receiver;

use keywright::librepass::{PublicKey, UserKeys};
use keywright_testing::shifted::Shifted;
use librepass_client::ArgonParameters;
use serde_json::{Value, json};

use crate::client::{Answer, BASE, raw, text};
use crate::program::{Folder, Server};
use crate::smtp::{PATIENCE, mail_server};

const ACCOUNTS: &str = r#"
[[account]]
name = "alice"
email = "alice@example.org"
login_password = "login"
app_passwords = ["alice-app-password-0123"]
[account.rocketchat]
user_id = "aliceId"
verified_emails = ["alice@example.org"]
"#;
const PUBLIC: &str = "https://accounts.example.org";
/// Where the owner is, and another network that nobody was on.
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.1";
/// From this refusal on, only somebody's action or days of waiting help.
const SHUT: u64 = 7_200;

/// The server behind a proxy, under a clock that a test moves, and the mails that arrive.
struct Scene {
    shifted: Shifted,
    ahead: std::cell::Cell<u64>,
    server: Server,
    messages: Receiver<String>,
    _folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let shifted = Shifted::live(env!("CARGO_BIN_EXE_account-server"));
        let folder = Folder::new(shifted.program());
        folder.write("accounts.toml", ACCOUNTS);
        let (address, messages) = mail_server();
        let smtp = format!("smtp://{address}");
        let options = ["--accounts", "accounts.toml", "--store", "sqlite:db", "--keyring", "keys"];
        let network = ["--trusted-proxy", "127.0.0.1", "--insecure", "--rate-limits", "off"];
        let server = folder.start(&[&options, &network[..], &["--smtp", &smtp, "--public-url", PUBLIC]].concat());
        Self { shifted, ahead: std::cell::Cell::new(0), server, messages, _folder: folder }
    }

    fn advance(&self, seconds: u64) {
        self.ahead.set(self.ahead.get().checked_add(seconds).unwrap());
        self.shifted.set(i64::try_from(self.ahead.get()).unwrap());
    }

    /// Sends a request as the proxy passes it on.
    fn send(&self, method: &str, path: &str, from: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("x-forwarded-for: {from}\r\nx-forwarded-proto: https\r\n{headers}");
        raw(&self.server, text(method, path, &headers, body).as_bytes())
    }

    fn post_json(&self, path: &str, from: &str, body: &Value) -> Answer {
        self.send("POST", path, from, "content-type: application/json\r\n", &body.to_string())
    }

    /// Returns the path and query of the link in the next mail with this in its subject.
    fn link(&self, subject: &str) -> String {
        loop {
            // A dot at the start of a line is doubled. Quoted-printable: a long line is broken, and `=` is in hex.
            let mail = self.messages.recv_timeout(PATIENCE).unwrap();
            let mail = mail.replace("\n..", "\n.").replace("=\n", "").replace("=3D", "=");
            if mail.lines().any(|line| line.starts_with("Subject: ") && line.contains(subject)) {
                let link = mail.lines().rfind(|line| line.starts_with(PUBLIC) && line.contains('?')).unwrap();
                return link.strip_prefix(PUBLIC).unwrap().to_owned();
            }
        }
    }

    /// Guesses from everywhere until a right secret is refused too, then goes the owner's way in.
    fn way_in(&self, subject: &str, log_in: impl Fn(&str, bool) -> Answer) {
        for attacker in 0.. {
            assert!(attacker < 200, "nobody is shut out");
            let answer = log_in(&format!("203.0.113.{attacker}"), false);
            assert_ne!(answer.status, 200, "{answer:?}");
            match answer.header("retry-after").map(|seconds| seconds.parse().unwrap()) {
                None => {}
                Some(seconds) if seconds > SHUT => break,
                Some(seconds) => self.advance(seconds),
            }
        }
        assert_eq!(log_in(HOME, true).status, 429);
        // Mail scanners open links, and that admits nobody. The link in an older mail does not work any more.
        let (link, page) = loop {
            let link = self.link(subject);
            let page = self.send("GET", &link, HOME, "", "");
            if page.status != 403 {
                break (link, page);
            }
        };
        assert_eq!(page.status, 200, "{link}: {page:?}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
        assert!(page.body.contains("<form") && page.body.contains("method=\"post\""), "{page:?}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{page:?}");
        assert_eq!(log_in(HOME, true).status, 429);
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        // That last attempt may have caused a mail too, whose link replaces this one.
        let mut link = link;
        while self.send("POST", &link, HOME, form, "admit=here").status != 200 {
            link = self.link(subject);
        }
        assert_eq!(log_in(ELSEWHERE, true).status, 429, "one network is let in");
        let inside = log_in(HOME, true);
        assert_eq!(inside.status, 200, "{inside:?}");
        let mut forged = link;
        forged.pop();
        forged.push('!');
        assert!(self.send("POST", &forged, ELSEWHERE, form, "admit=here").status >= 400);
        assert_eq!(log_in(ELSEWHERE, true).status, 429);
    }
}

#[test]
fn an_owner_of_nextcloud_passwords() {
    use base64::Engine;
    let scene = Scene::new();
    scene.way_in("Somebody is guessing at your account", |from, right| {
        let password = if right { "login" } else { "wrong" };
        let login = base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"));
        let headers = format!("authorization: Basic {login}\r\n");
        scene.send("GET", &format!("{BASE}session/request"), from, &headers, "")
    });
}

#[test]
fn an_owner_of_rocketchat() {
    let scene = Scene::new();
    scene.way_in("Somebody is guessing at your account", |from, right| {
        let password = if right { "login" } else { "wrong" };
        scene.post_json("/api/v1/login", from, &json!({"user": "alice", "password": password}))
    });
}

#[test]
fn an_owner_of_librepass() {
    const EMAIL: &str = "bob@example.org";
    let scene = Scene::new();
    let parameters = ArgonParameters::new(1, 20_480, 1).unwrap();
    let client = librepass_client::Server::open(&scene.server.url, None).unwrap();
    client.register(EMAIL, "correct horse", None, parameters).unwrap();
    let verify = scene.link("Verify your e-mail address");
    assert_eq!(scene.send("GET", &verify, HOME, "", "").status, 302);
    let keys = UserKeys::derive(EMAIL, "correct horse", parameters).unwrap();
    scene.way_in("Log-ins to your account are refused", |from, right| {
        let key = if right {
            let offer = scene.send("GET", &format!("/api/auth/preLogin?email={EMAIL}"), from, "", "");
            let offer: Value = serde_json::from_str(&offer.body).unwrap();
            let server = PublicKey::from_hex(offer["serverPublicKey"].as_str().unwrap()).unwrap();
            keys.shared_key(&server).unwrap().to_hex().expose().to_owned()
        } else {
            "ab".repeat(32)
        };
        scene.post_json("/api/auth/oauth?grantType=login", from, &json!({"email": EMAIL, "sharedKey": key}))
    });
}
