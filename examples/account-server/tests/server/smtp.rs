//! Mail by SMTP: to a server on this machine, and to one that is not there.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use librepass_client::ArgonParameters;

use crate::client::{Answer, Client, raw, text};
use crate::program::{Folder, Server, new_folder};

const ACCOUNTS: &str = r#"
[[account]]
name = "admin"
[account.rocketchat]
user_id = "adminId"
auth_tokens = ["admin-token-0123456789abc"]
permissions = ["edit-other-user-e2ee"]
totp_secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
recovery_codes = ["AbCdEf23", "AbCdEf24"]

[[account]]
name = "bob"
[account.rocketchat]
user_id = "bobId"
auth_tokens = ["bob-token-0123456789abcde"]
verified_emails = ["bob@example.org"]
email_2fa = true
"#;
const BOB: &str = "x-user-id: bobId\r\nx-auth-token: bob-token-0123456789abcde\r\n";
/// Mail comes within a second; a slow machine gets more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts mail, as RFC 5321 defines it. Returns its address, and the messages as they arrive.
pub(crate) fn mail_server() -> (String, Receiver<String>) {
    mail_server_that_waits(|| {})
}

/// The same for a server that reports only after `wait` that it has accepted a message.
fn mail_server_that_waits(wait: impl Fn() + Clone + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, messages) = channel();
    thread::spawn(move || {
        // Ends with the test, when no messages are accepted any more.
        for stream in listener.incoming() {
            let (sender, wait) = (sender.clone(), wait.clone());
            thread::spawn(move || converse(&stream.unwrap(), &sender, wait));
        }
    });
    (address, messages)
}

fn converse(stream: &TcpStream, sender: &Sender<String>, wait: impl Fn()) {
    let answer = |line: &str| write!(&*stream, "{line}\r\n").unwrap();
    answer("220 test");
    let mut lines = BufReader::new(stream).lines();
    let (mut envelope, mut open) = (String::new(), true);
    while open && let Some(Ok(line)) = lines.next() {
        match line.get(..4).unwrap_or_default() {
            "DATA" => {
                answer("354 go on");
                let body = lines.by_ref().map(Result::unwrap).take_while(|line| line != ".");
                let message = body.fold(std::mem::take(&mut envelope), |message, line| format!("{message}{line}\n"));
                open = sender.send(message).is_ok();
                wait();
                answer("250 taken");
            }
            "RCPT" if line.contains("<bad") => answer("550 nobody here"),
            "RCPT" => {
                envelope = format!("{line}\n");
                answer("250 fine");
            }
            "QUIT" => {
                answer("221 bye");
                open = false;
            }
            _ => answer("250 fine"),
        }
    }
}

fn start(folder: &Folder, smtp: &str) -> Server {
    folder.write("accounts.toml", ACCOUNTS);
    let url = format!("smtp://{smtp}");
    folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--smtp", &url])
}

fn reset(server: &Server, headers: &str, body: &str) -> Answer {
    let headers = format!("{headers}content-type: application/json\r\n");
    raw(server, text("POST", "/api/v1/users.resetE2EKey", &headers, body).as_bytes())
}

fn reset_bob(server: &Server, code: &str) -> Answer {
    let login = "x-user-id: adminId\r\nx-auth-token: admin-token-0123456789abc\r\nx-2fa-method: totp\r\n";
    reset(server, &format!("{login}x-2fa-code: {code}\r\n"), "{\"userId\":\"bobId\"}")
}

#[test]
fn codes_and_notices_arrive() {
    let (address, messages) = mail_server();
    let folder = new_folder();
    let server = start(&folder, &address);
    let asked = reset(&server, BOB, "{}");
    assert!(asked.status == 400 && asked.body.contains("\"codeGenerated\":true"), "{asked:?}");
    let mail = messages.recv_timeout(PATIENCE).unwrap();
    assert!(mail.starts_with("RCPT TO:<bob@example.org>\n") && mail.contains("\nSubject: Your code\n"), "{mail}");
    let is_code = |line: &&str| line.len() == 7 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
    assert!(mail.lines().any(|line| is_code(&line)), "{mail}");

    let done = reset_bob(&server, "AbCdEf23");
    assert_eq!(done.status, 200, "{done:?}");
    let mail = messages.recv_timeout(PATIENCE).unwrap();
    assert!(mail.contains("\nSubject: Your end-to-end keys are being reset\n"), "{mail}");
    server.stop();
}

#[test]
fn without_its_notice_a_reset_changes_nothing() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = new_folder();
    let server = start(&folder, &nobody);
    let refused = reset_bob(&server, "AbCdEf23");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("\"errorType\":\"error-email-send-failed\""), "{refused:?}");
    assert!(!refused.body.contains("example"), "{refused:?}");
    let bob = raw(&server, text("GET", "/api/v1/users.totpCodesRemaining", BOB, "").as_bytes());
    assert_eq!(bob.status, 200, "{bob:?}");
    server.stop();
}

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\napp_passwords = [\"alice-app-password\"]\n";

/// Resets an account, which makes a notice due.
fn reset_alice(server: &Server) {
    let mut alice = Client::new(server, "alice", "alice-app-password");
    assert_eq!(alice.set_challenge("a").status, 200);
    let asked = alice.get("account/reset");
    let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(alice.post("account/reset", &format!("{{\"code\":\"{code}\"}}")).status, 200);
}

/// A mail that the mail server has accepted must be removed from the due work, or it is sent again
/// after the restart.
#[test]
fn a_stop_waits_for_a_mail_in_the_middle() {
    let gate = Arc::new(Barrier::new(2));
    let waits = Arc::clone(&gate);
    let (address, messages) = mail_server_that_waits(move || {
        waits.wait();
    });
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &format!("smtp://{address}")]);
    reset_alice(&server);
    let mail = messages.recv_timeout(PATIENCE).unwrap();
    assert!(mail.contains("\nSubject: Your account was reset\n"), "{mail}");
    server.signal("TERM");
    while TcpStream::connect(server.address()).is_ok() {
        thread::yield_now();
    }
    gate.wait();
    assert!(server.wait().success());

    folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]).stop();
    assert_eq!(folder.read("outbox.txt"), "", "once");
}

#[test]
fn one_bad_address_of_several_fails_nothing() {
    for (addresses, reached) in [("\"bad@example.org\", \"bob@example.org\"", 1), ("\"bad@example.org\"", 0)] {
        let (address, messages) = mail_server();
        let folder = new_folder();
        folder.write("accounts.toml", &ACCOUNTS.replace("\"bob@example.org\"", addresses));
        let url = format!("smtp://{address}");
        let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--smtp", &url]);
        let done = reset_bob(&server, "AbCdEf23");
        assert_eq!(done.status, if reached > 0 { 200 } else { 400 }, "{done:?}");
        let log = server.log();
        assert_eq!(
            log.contains("reached some addresses of its recipient, but not all missed=1 all=2"),
            reached > 0,
            "{log}"
        );
        assert!(!log.contains("example.org"), "{log}");
        server.stop();
        assert_eq!(messages.try_iter().count(), reached);
    }
}

#[test]
fn a_second_server_on_the_store_leaves_what_the_first_is_at() {
    let gate = Arc::new(Barrier::new(2));
    let waits = Arc::clone(&gate);
    let (address, messages) = mail_server_that_waits(move || {
        waits.wait();
    });
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &format!("smtp://{address}")]);
    reset_alice(&server);
    messages.recv_timeout(PATIENCE).unwrap();
    let second = folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]);
    assert!(second.log().contains("another server serves this store"), "{}", second.log());
    assert_eq!(folder.read("outbox.txt"), "");
    gate.wait();
    server.stop();
    second.stop();
    folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]).stop();
    assert_eq!(folder.read("outbox.txt"), "", "once");
}

/// A slow mail server holds up no answer, and the mail is sent once.
#[test]
fn a_registration_is_answered_before_its_mail_is_taken() {
    let gate = Arc::new(Barrier::new(2));
    let waits = Arc::clone(&gate);
    let (address, messages) = mail_server_that_waits(move || {
        waits.wait();
    });
    let folder = new_folder();
    let server = start(&folder, &address);
    // The weakest Argon2 that is allowed.
    let parameters = ArgonParameters::new(1, 20_480, 1).unwrap();
    librepass_client::Server::open(&server.url, None)
        .unwrap()
        .register("user@example.org", "correct horse", None, parameters)
        .unwrap();
    let mail = messages.recv_timeout(PATIENCE).unwrap();
    assert!(mail.contains("\nSubject: Verify your e-mail address\n"), "{mail}");
    assert!(!server.log().contains("a mail was not sent"), "{}", server.log());
    gate.wait();
    server.stop();
    assert_eq!(messages.try_iter().count(), 0, "once");
}
