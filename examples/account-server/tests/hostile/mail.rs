//! Mail servers that refuse, hang, disconnect or lack what a mail needs. Every request is answered,
//! and no notice is lost.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keywright_testing::process::{Folder, Server};
use keywright_testing::smtp::{Behaviour, MailServer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::scene::{PROGRAM, ask, basic, connect, request};

const BASE: &str = "/index.php/apps/passwords/api/1.0/";
/// Every request is answered within this time.
const ANSWERED: Duration = Duration::from_secs(30);
const MAIL: Duration = Duration::from_secs(20);
const ADMIN: &str = "x-user-id: adminId\r\nx-auth-token: admin-token-0123456789abc\r\nx-2fa-method: totp\r\n\
                     content-type: application/json\r\n";

fn folder(email: &str) -> Folder {
    let folder = Folder::new(PROGRAM);
    let accounts = format!(
        "[[account]]\nname = \"alice\"\nemail = \"{email}\"\napp_passwords = [\"alice-app-password\"]\n\
         [[account]]\nname = \"admin\"\n[account.rocketchat]\nuser_id = \"adminId\"\n\
         auth_tokens = [\"admin-token-0123456789abc\"]\npermissions = [\"edit-other-user-e2ee\"]\n\
         totp_secret = \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"\nrecovery_codes = [\"AbCdEf23\", \"AbCdEf24\"]\n\
         [[account]]\nname = \"bob\"\n[account.rocketchat]\nuser_id = \"bobId\"\n\
         verified_emails = [\"bob@example.org\"]\nemail_2fa = true\n"
    );
    folder.write("accounts.toml", &accounts);
    folder
}

fn start(folder: &Folder, url: &str, options: &[&str]) -> Server {
    folder.start(&[&["--accounts", "accounts.toml", "--smtp", url], options].concat())
}

fn send(server: &Server, text: &str) -> (u16, String) {
    let begun = Instant::now();
    let answer = ask(connect(server), text);
    assert!(begun.elapsed() < ANSWERED, "{:?} {answer:?}", begun.elapsed());
    answer
}

/// Resets Alice's account, which makes a notice due.
fn reset_alice(server: &Server) {
    let mut session = String::new();
    let mut call = |method: &str, endpoint: &str, body: &str| {
        let login = basic("alice:alice-app-password");
        let headers = format!("{login}{session}content-type: application/json\r\n");
        let (status, text) = send(server, &request(method, &format!("{BASE}{endpoint}"), &headers, body));
        if let Some(line) = text.lines().find(|line| line.starts_with("x-api-session: ")) {
            session = format!("{line}\r\n");
        }
        (status, text)
    };
    let salts = [256, 64, 16].map(|bytes| format!("\"{}\"", "5a".repeat(bytes))).join(",");
    let challenge = format!("{{\"secret\":\"{}\",\"data\":[{salts}]}}", "a".repeat(64));
    assert_eq!(call("POST", "account/challenge/set", &challenge).0, 200);
    let (_, asked) = call("GET", "account/reset", "");
    let code = asked.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(call("POST", "account/reset", &format!("{{\"code\":\"{code}\"}}")).0, 200);
}

fn logged(server: &Server, what: &str) {
    let begun = Instant::now();
    while !server.log().contains(what) {
        assert!(begun.elapsed() < ANSWERED, "{what}\n{}", server.log());
        std::thread::yield_now();
    }
}

/// A reset whose notice is kept, and one that changes nothing because its notice must come first.
fn misbehaves(behaviour: Behaviour, kind: &str) {
    let mail = MailServer::start(behaviour);
    let folder = folder("alice@example.org");
    let url = format!("smtp://{}", mail.address());
    let server = start(&folder, &url, &[]);
    reset_alice(&server);
    logged(&server, kind);
    let headers = format!("{ADMIN}x-2fa-code: AbCdEf23\r\n");
    let (status, text) =
        send(&server, &request("POST", "/api/v1/users.resetE2EKey", &headers, "{\"userId\":\"bobId\"}"));
    assert!(status == 400 && text.contains("\"errorType\":\"error-email-send-failed\""), "{text}");
    let log = server.log();
    assert!(!log.contains("example.org"), "{log}");
    server.stop();
    while mail.next(Duration::ZERO).is_some() {}

    mail.behave(Behaviour::Accept);
    let server = start(&folder, &url, &[]);
    let notice = mail.next(MAIL).unwrap();
    assert!(notice.contains("\nSubject: Your account was reset\n"), "{notice}");
    assert_eq!(mail.next(Duration::from_secs(1)), None, "once");
    let headers = format!("{ADMIN}x-2fa-code: AbCdEf24\r\n");
    let (status, text) =
        send(&server, &request("POST", "/api/v1/users.resetE2EKey", &headers, "{\"userId\":\"bobId\"}"));
    assert_eq!(status, 200, "{text}");
    assert!(mail.next(MAIL).unwrap().contains("RCPT TO:<bob@example.org>\n"));
    server.stop();
}

#[test]
fn one_that_refuses_for_good() {
    misbehaves(Behaviour::RefuseForGood, "a mail was not sent kind=\"refused for good\" code=\"550\"");
}

#[test]
fn one_that_refuses_for_now() {
    misbehaves(Behaviour::RefuseForNow, "a mail was not sent kind=\"refused for now\" code=\"450\"");
}

#[test]
fn one_that_says_nothing() {
    misbehaves(Behaviour::Hang, "kind=\"timeout\"");
}

#[test]
fn one_that_hangs_with_the_mail() {
    misbehaves(Behaviour::HangWithMail, "kind=\"timeout\"");
}

#[test]
fn one_that_disconnects_with_the_mail() {
    misbehaves(Behaviour::Drop, "a mail was not sent kind=");
}

#[test]
fn one_without_smtputf8_gets_the_mails_that_do_not_need_it() {
    for (behaviour, email, envelope) in [
        (Behaviour::Accept, "alice@köln.example", Some("RCPT TO:<alice@xn--kln-sna.example>\n")),
        (Behaviour::AcceptUtf8, "käthe@köln.example", Some("RCPT TO:<käthe@xn--kln-sna.example>\n")),
        (Behaviour::Accept, "käthe@köln.example", None),
    ] {
        let mail = MailServer::start(behaviour);
        let folder = folder(email);
        let from = ["--mail-from", "Accounts <accounts@example.org>"];
        let server = start(&folder, &format!("smtp://{}", mail.address()), &from);
        reset_alice(&server);
        match envelope {
            Some(envelope) => {
                let text = mail.next(MAIL).unwrap();
                let utf8 = if behaviour == Behaviour::AcceptUtf8 { " SMTPUTF8" } else { "" };
                assert!(text.starts_with(&format!("MAIL FROM:<accounts@example.org>{utf8}")), "{text}");
                for line in [envelope, "From: Accounts <accounts@example.org>\n", "\nMIME-Version: 1.0\n", "\nDate: "] {
                    assert!(text.contains(line), "{line} {text}");
                }
                for line in ["\nMessage-ID: <", "\nAuto-Submitted: auto-generated\n"] {
                    assert!(text.contains(line), "{line} {text}");
                }
            }
            None => logged(&server, "kind=\"the mail server lacks what the mail needs\""),
        }
        server.stop();
    }
}

#[test]
fn one_with_an_authority_of_its_own() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(own.serialize_der()).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let mail = MailServer::start_over(Behaviour::Accept, move |stream: TcpStream| {
        StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream)
    });
    let folder = folder("alice@example.org");
    folder.write("ca.crt", &authority.pem());
    let url = format!("smtps://localhost:{}", mail.port());
    let server = start(&folder, &url, &[]);
    reset_alice(&server);
    logged(&server, "a mail was not sent kind=");
    server.stop();
    let server = start(&folder, &url, &["--smtp-ca", "ca.crt"]);
    assert!(mail.next(MAIL).unwrap().contains("\nSubject: Your account was reset\n"));
    server.stop();
    folder.write("bad.crt", "nothing");
    let refused = folder.refuse(&["--store", "memory:", "--smtp", &url, "--smtp-ca", "bad.crt"]);
    assert!(refused.contains("`--smtp-ca` is no certificate authority"), "{refused}");
}

/// With `--mailed-links confirm` a scanner that opens a link verifies nothing.
#[test]
fn a_mailed_link_can_be_made_to_ask_first() {
    for (option, opened, sent) in [("act", 302, 302), ("confirm", 200, 302)] {
        let folder = folder("alice@example.org");
        let options = ["--store", "memory:", "--accounts", "accounts.toml", "--outbox", "outbox.txt"];
        let server = folder.start(&[&options[..], &["--mailed-links", option]].concat());
        let parameters = librepass_client::ArgonParameters::new(1, 20_480, 1).unwrap();
        let client = librepass_client::Server::open(&server.url, None).unwrap();
        client.register("user@example.org", "correct horse", None, parameters).unwrap();
        let outbox = folder.read("outbox.txt");
        let link = outbox.lines().find(|line| line.contains("verifyEmail")).unwrap();
        let link = link.strip_prefix(&server.url).unwrap();
        assert_eq!(send(&server, &request("GET", link, "", "")).0, opened, "{option}");
        assert_eq!(client.log_in("user@example.org", "correct horse").is_ok(), option == "act");
        let posted = if option == "act" { "GET" } else { "POST" };
        assert_eq!(send(&server, &request(posted, link, "", "")).0, sent, "{option}");
        assert!(client.log_in("user@example.org", "correct horse").is_ok());
        server.stop();
    }
}
