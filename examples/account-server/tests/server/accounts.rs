//! The accounts file: seeded once, never again.

use keywright::sqlite::rusqlite::Connection;

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str = "[[account]]\nname = \"Alice\"\nemail = \"alice@example.org\"\nlogin_password = \"login: grün\"\n\
                     app_passwords = [\"alice-app-password-one\", \"alice-app-password-two\"]\n";
const FILE: [&str; 4] = ["--accounts", "accounts.toml", "--outbox", "outbox.txt"];

#[test]
fn logins() {
    let folder = new_folder();
    folder.write("accounts.toml", &format!("{ALICE}\n[[account]]\nname = \"bob\"\n"));
    let server = folder.start(&FILE);
    for (name, password, status) in [
        ("Alice", "alice-app-password-one", 200),
        ("alice", "alice-app-password-two", 200),
        ("ALICE", "login: grün", 200),
        ("alice", "login: grun", 401),
        ("alice", "", 401),
        ("bob", "alice-app-password-one", 401),
        ("bob", "", 401),
        ("nobody", "login: grün", 401),
        ("", "", 401),
    ] {
        let answer = Client::new(&server, name, password).get("session/request");
        assert_eq!(answer.status, status, "{name}:{password} {answer:?}");
    }
    assert_eq!(crate::client::get(&server, "/index.php/apps/passwords/api/1.0/session/request").status, 401);
    server.stop();
}

#[test]
fn an_ended_app_password_stays_ended_and_its_owner_is_told() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILE);
    let owner = || Client::new(&server, "alice", "alice-app-password-one");
    assert_eq!(owner().set_challenge("a").status, 200);
    // A session of its own: only a credential that proved itself is not held up by the thief's failures.
    assert_eq!(owner().open("a").status, 200);
    let mut thief = Client::new(&server, "alice", "alice-app-password-two");
    for _ in 0..4 {
        thief.open("b").is_refusal(401, "ab6e13ba");
    }
    thief.open("b").is_refusal(403, "b927b225");
    assert_eq!(thief.get("session/request").status, 401);
    server.stop();
    let mail = folder.read("outbox.txt");
    let head = "To: alice@example.org\nSubject: An app password of your account was ended\n\n";
    assert!(mail.starts_with(head), "{mail}");
    assert_eq!(mail.matches("To: ").count(), 1, "{mail}");

    // What changes in the file later changes nothing.
    folder.write("accounts.toml", &ALICE.replace("login: grün", "other").replace("one\"", "new\""));
    let server = folder.start(&FILE);
    for (password, status) in [
        ("alice-app-password-two", 401),
        ("alice-app-password-new", 401),
        ("other", 401),
        ("login: grün", 200),
        ("alice-app-password-one", 200),
    ] {
        assert_eq!(Client::new(&server, "alice", password).get("session/keepalive").status, status, "{password}");
    }
    assert_eq!(Client::new(&server, "alice", "alice-app-password-one").open("a").status, 200, "the challenge stays");
    server.stop();
}

#[test]
fn an_empty_file_means_nobody() {
    let folder = new_folder();
    folder.write("accounts.toml", "");
    let server = folder.start(&FILE);
    assert_eq!(server.printed, "");
    assert_eq!(Client::new(&server, "demo", "demo").get("session/request").status, 401);
    server.stop();
    // A later file adds those who are new.
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILE);
    assert_eq!(Client::new(&server, "alice", "alice-app-password-one").get("session/request").status, 200);
    server.stop();
}

#[test]
fn what_is_wrong_with_the_file_is_said_without_quoting_it() {
    for (text, said) in [
        ("[[account]]\nname = \"a\"\npassword = \"sesame\"\n", "`password` (line 3)"),
        ("[[account]]\nname = \"a\"\n[account.totp]\nseed = \"sesame\"\n", "`totp` (line 3)"),
        ("[[account]]\nname = \"a\"\nlogin_password = \"sesame\n", "line 3 is not TOML"),
        ("[[account]]\nname = \"a\"\napp_passwords = [\"sesame\", 5]\n", "`app_passwords` in line 3"),
    ] {
        let folder = new_folder();
        folder.write("accounts.toml", text);
        let complaint = folder.refuse(&FILE);
        assert!(complaint.contains("the accounts file cannot be used") && complaint.contains(said), "{complaint}");
        assert!(!complaint.contains("sesame"), "{complaint}");
    }
    let folder = new_folder();
    assert!(folder.refuse(&FILE).contains("cannot be read"));
}

#[test]
fn an_app_password_belongs_to_one_account() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    folder.start(&FILE).stop();
    folder.write("accounts.toml", "[[account]]\nname = \"bob\"\napp_passwords = [\"alice-app-password-one\"]\n");
    let complaint = folder.refuse(&FILE);
    assert!(complaint.contains("an app password of `bob` is in use by another account"), "{complaint}");
    assert!(!complaint.contains("alice-app"), "{complaint}");
}

#[test]
fn an_account_whose_data_is_damaged_keeps_nobody_else_out() {
    for damage in ["body = zeroblob(80)", "revision = zeroblob(3)"] {
        let folder = new_folder();
        let bob = "[[account]]\nname = \"Bob\"\napp_passwords = [\"bob-app-password-0000000\"]\n";
        folder.write("accounts.toml", ALICE);
        folder.start(&FILE).stop();
        let database = Connection::open(folder.path("account-server.sqlite")).unwrap();
        let damage = format!("UPDATE keywright_roots SET {damage} WHERE partition LIKE 'a/%'");
        assert_eq!(database.execute(&damage, ()).unwrap(), 1);
        database.close().unwrap();

        folder.write("accounts.toml", &format!("{ALICE}{bob}"));
        let server = folder.start(&FILE);
        assert!(Client::new(&server, "alice", "alice-app-password-one").get("session/request").status >= 500);
        assert_eq!(Client::new(&server, "bob", "bob-app-password-0000000").get("session/request").status, 200);
        let log = server.log();
        let said = "ERROR account_server::start: an account's data is damaged; the server starts without it";
        assert!(log.lines().any(|line| line.contains(said) && line.contains("name=\"Alice\"")), "{log}");
        server.stop();
    }
}
