//! Mail after a reset, and a mail server that was away.

use std::net::TcpListener;

use crate::client::{Client, get};
use crate::program::new_folder;

#[test]
fn the_owner_is_told_of_a_reset() {
    let folder = new_folder();
    folder.write(
        "accounts.toml",
        "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\napp_passwords = [\"alice-app-password\"]\n",
    );
    let server = folder.start(&[
        "--store",
        "memory:",
        "--accounts",
        "accounts.toml",
        "--outbox",
        "outbox.txt",
        "--public-url",
        "https://accounts.example.org/",
    ]);
    let mut alice = Client::new(&server, "alice", "alice-app-password");
    assert_eq!(alice.set_challenge("a").status, 200);
    let asked = alice.get("account/reset");
    assert_eq!(asked.status, 202, "{asked:?}");
    let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(folder.read("outbox.txt"), "");
    let reset = alice.post("account/reset", &format!("{{\"code\":\"{code}\"}}"));
    assert_eq!((reset.status, reset.body.as_str()), (200, "{\"status\":\"ok\"}"));

    let mail = folder.read("outbox.txt");
    assert!(mail.starts_with("To: alice@example.org\nSubject: Your account was reset\n\n"), "{mail}");
    assert!(mail.contains("\nhttps://accounts.example.org\n") && mail.ends_with("\n\n"), "{mail}");
    assert_eq!(alice.get("session/request").body, "{}", "the account is blank, and the app password works");
    assert_eq!(get(&server, "/health").status, 200);
    server.stop();
}

#[test]
fn a_notice_that_could_not_be_sent_goes_out_after_a_restart() {
    let folder = new_folder();
    folder.write(
        "accounts.toml",
        "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\napp_passwords = [\"alice-app-password\"]\n",
    );
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &format!("smtp://{nobody}")]);
    let mut alice = Client::new(&server, "alice", "alice-app-password");
    assert_eq!(alice.set_challenge("a").status, 200);
    let asked = alice.get("account/reset");
    let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(alice.post("account/reset", &format!("{{\"code\":\"{code}\"}}")).status, 200);
    assert_eq!(alice.get("session/request").body, "{}", "a notice that fails holds up nobody");
    server.stop();

    // Before it listens, it tries what is due.
    let server = folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]);
    let mail = folder.read("outbox.txt");
    assert!(mail.starts_with("To: alice@example.org\nSubject: Your account was reset\n\n"), "{mail}");
    server.stop();
    let server = folder.start(&["--accounts", "accounts.toml", "--outbox", "outbox.txt"]);
    assert_eq!(folder.read("outbox.txt"), mail, "once");
    server.stop();
}
