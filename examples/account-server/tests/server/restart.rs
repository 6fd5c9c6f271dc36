//! A server that was killed in the middle of due work.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str = "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\n\
                     app_passwords = [\"alice-app-password-1234\"]\n";

/// The mail server accepts, and never says a word: its notice is claimed and in the middle of being
/// sent when the server is killed. A restart on the same file voids the claim.
#[test]
fn its_accounts_are_answered_within_five_seconds_and_its_work_is_done() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = format!("smtp://{}", silent.local_addr().unwrap());
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &smtp]);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.set_challenge("a").status, 200);
    let _dialogue = reset_until_mailed(&mut alice, &silent);
    server.signal("KILL");
    server.wait();

    let begun = Instant::now();
    let server = folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]);
    let answer = Client::new(&server, "alice", "alice-app-password-1234").get("session/request");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(Client::new(&server, "alice", "alice-app-password-1234").set_challenge("b").status, 200);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let mail = folder.read("outbox.txt");
    assert!(mail.starts_with("To: alice@example.org\nSubject: Your account was reset\n"), "{mail}");
    server.stop();

    // The mail server is as silent after the restart: the start does not wait for it.
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &smtp]);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.open("b").status, 200);
    let _dialogue = reset_until_mailed(&mut alice, &silent);
    server.signal("KILL");
    server.wait();
    let begun = Instant::now();
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &smtp]);
    let answer = Client::new(&server, "alice", "alice-app-password-1234").get("session/request");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// Resets the account. Returns the connection by which the server began to send its notice.
fn reset_until_mailed(alice: &mut Client<'_>, silent: &TcpListener) -> TcpStream {
    let asked = alice.get("account/reset");
    let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(alice.post("account/reset", &format!("{{\"code\":\"{code}\"}}")).status, 200);
    silent.accept().unwrap().0
}
