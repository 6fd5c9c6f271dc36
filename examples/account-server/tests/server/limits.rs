//! Request limits, which can be switched off, and the guess ledger, which cannot.

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password\"]\n";

#[test]
fn ten_opens_then_429() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml"]);
    let mut alice = Client::new(&server, "alice", "alice-app-password");
    // On a slow machine one or two more may be admitted, because one open is restored every three
    // seconds.
    let refused = (0..1_000).map(|_| alice.post("session/open", "{}")).find(|answer| answer.status != 200).unwrap();
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait));
    assert_eq!(alice.get("session/request").status, 200);
    assert!(server.log().contains("refused_by=\"requests_of_account\""), "{}", server.log());
    server.stop();

    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    let mut alice = Client::new(&server, "alice", "alice-app-password");
    assert!((0..30).all(|_| alice.post("session/open", "{}").status == 200));
    server.stop();
}

#[test]
fn guesses_at_the_login_password_are_always_counted() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    for _ in 0..5 {
        assert_eq!(Client::new(&server, "alice", "wrong").get("session/request").status, 401);
    }
    let refused = Client::new(&server, "alice", "login").get("session/request");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 429 && (20..=30).contains(&wait), "a slow machine has waited a little: {refused:?}");
    // An app password is another secret kind.
    assert_eq!(Client::new(&server, "alice", "alice-app-password").get("session/request").status, 200);
    server.stop();
}
