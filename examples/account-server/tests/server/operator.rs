//! What an operator does beside the server, while it runs.

use crate::client::Client;
use crate::program::Folder;

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password\"]\n";
const FILES: [&str; 4] = ["--accounts", "accounts.toml", "--rate-limits", "off"];

#[test]
fn unlocking_lets_the_owner_in_at_once() {
    let folder = Folder::new();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let login = |password: &str| Client::new(&server, "alice", password).get("session/request").status;
    let refused = (0..20).map(|_| login("wrong")).find(|status| *status != 401);
    assert_eq!((refused, login("login")), (Some(429), 429));
    assert_eq!(folder.run(&["accounts", "unlock", "Alice"]), "Alice: waits and limits are lifted at: login-password\n");
    assert_eq!(login("login"), 200);
    let log = server.log();
    assert!(log.contains("event=guesses_paused (secret: login-password, "), "{log}");
    assert_eq!(folder.run(&["accounts", "unlock", "alice"]), "alice: no wait or limit was in force\n");
    server.stop();
}

#[test]
fn who_or_what_is_not_there_is_named_and_nothing_is_made() {
    let folder = Folder::new();
    let refuse = |options: &[&str]| folder.refuse_command(options);
    assert!(refuse(&["accounts", "unlock", "alice"]).contains("there is no store account-server.sqlite"));
    assert!(refuse(&["--store", "memory:", "accounts", "unlock", "alice"]).contains("holds no accounts"));
    assert!(!folder.path("account-server.sqlite").exists() && !folder.path("account-server.keyring.toml").exists());

    folder.write("accounts.toml", ALICE);
    folder.start(&FILES).stop();
    for unknown in ["bob", "bob@example.org", "acc-00"] {
        let complaint = refuse(&["accounts", "unlock", unknown]);
        assert!(complaint.contains(&format!("there is no account `{unknown}`")), "{complaint}");
    }
    assert_eq!(folder.run(&["check", "--accept", "alice"]), "alice: there is no vault\n");
}
