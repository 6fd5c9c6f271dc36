//! An operator's commands for accounts, on a running server.

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str = "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\nlogin_password = \"login\"\n\
                     app_passwords = [\"alice-app-password-1234\"]\n\
                     [account.rocketchat]\nuser_id = \"aliceId\"\nauth_tokens = [\"alice-auth-token-12345678\"]\n\
                     totp_secret = \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"\n";
const FILES: [&str; 4] = ["--accounts", "accounts.toml", "--rate-limits", "off"];

#[test]
fn accounts_are_listed_shown_and_created() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let listed = folder.run(&["accounts", "list"]);
    assert!(listed.contains("  alice  created 20") && listed.ends_with("1 accounts\n"), "{listed}");
    let shown = folder.run(&["accounts", "show", "alice"]);
    assert!(shown.contains("e-mail address: alice@example.org\ntime-based codes: 1 devices"), "{shown}");
    assert!(shown.contains(" account_seeded"), "{shown}");
    assert!(!shown.contains("GEZDGNBV") && !shown.contains("alice-app-password"), "{shown}");

    let created = folder.run(&["accounts", "create", "Bob B.", "--email", "bob@example.org"]);
    let app_password = created.lines().find_map(|line| line.strip_prefix("app password:   ")).unwrap();
    assert_eq!(Client::new(&server, "bob b.", app_password).get("session/request").status, 200);
    let again = folder.refuse_command(&["accounts", "create", "bob b."]);
    assert!(again.contains("there is an account `bob b.` already"), "{again}");
    assert!(folder.refuse_command(&["accounts", "create", "a:b"]).contains("without colon"));
    for email in ["sesame", "a@b\nSubject: sesame", "<a@sesame.org>"] {
        let refused = folder.refuse_command(&["accounts", "create", "carol", "--email", email]);
        assert!(refused.contains("--email is not an e-mail address") && !refused.contains("sesame"), "{refused}");
    }
    assert!(folder.run(&["accounts", "list"]).ends_with("2 accounts\n"));
    server.stop();
}

#[test]
fn second_factors_are_removed_and_the_log_shows_it() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let reset = ["accounts", "reset-two-factor", "alice"];
    assert_eq!(folder.run(&reset), "alice: all second factors are removed\n");
    assert_eq!(folder.run(&["accounts", "disable-2fa", "alice"]), "alice: there was no second factor\n");
    assert!(folder.run(&["accounts", "show", "alice"]).contains("time-based codes: 0 devices"));
    let events = folder.run(&["events", "alice", "--limit", "2"]);
    assert_eq!(events.lines().count(), 2, "{events}");
    assert!(events.contains("device_removed") || events.contains("removed"), "{events}");
    server.stop();
}

#[test]
fn sessions_and_logins_end() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.get("session/request").status, 200);
    let said = "alice: all sessions, tokens and app passwords have ended\n";
    assert_eq!(folder.run(&["accounts", "end-sessions", "alice"]), said);
    assert_eq!(Client::new(&server, "alice", "alice-app-password-1234").get("session/request").status, 401);
    assert_eq!(Client::new(&server, "alice", "login").get("session/request").status, 200, "the password stays");
    assert_eq!(folder.run(&["accounts", "end-sessions", "alice"]), said, "again");
    assert!(folder.run(&["events", "alice"]).contains(" sessions_ended_by_operator\n"));
    server.stop();
}

#[test]
fn an_erased_account_is_gone_and_does_not_come_back() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    assert!(folder.refuse_command(&["accounts", "erase", "alice"]).contains("nothing is erased without --yes"));
    let listed = folder.run(&["accounts", "list"]);
    let id = listed.split("  ").next().unwrap().to_owned();
    let erase = ["accounts", "erase", "alice", "--yes"];
    assert_eq!(folder.run(&erase), "alice: erased; its log is kept until it is old enough\n");
    for password in ["alice-app-password-1234", "login"] {
        assert_eq!(Client::new(&server, "alice", password).get("session/request").status, 401, "{password}");
    }
    assert!(folder.refuse_command(&erase).contains("there is no account `alice`"));
    assert!(folder.run(&["events", &id]).contains(" account_erased"));
    assert!(folder.run(&["accounts", "list"]).contains("  -  erased\n"));
    server.stop();
    let server = folder.start(&FILES);
    assert_eq!(Client::new(&server, "alice", "login").get("session/request").status, 401, "a restart seeds it not");
    assert!(folder.run(&["check"]).starts_with("looked at: "));
    server.stop();
}

#[test]
fn a_sweep_runs_beside_the_server_and_again() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    for _ in 0..2 {
        let swept = folder.run(&["sweep"]);
        assert!(swept.starts_with("dropped: 0 expired records, 0 old events; what expired before 20"), "{swept}");
    }
    assert_eq!(Client::new(&server, "alice", "login").get("session/request").status, 200);
    server.stop();
}

#[test]
fn an_edited_accounts_file_is_noticed() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    folder.start(&FILES).stop();
    let edited = ALICE.replace("\"login\"", "\"sesame\"").replace("alice@example.org", "new@example.org");
    folder.write("accounts.toml", &edited);
    let server = folder.start(&FILES);
    let said = "name=\"alice\" changed=\"email, login_password\"";
    // The comparison takes a slow hash, and the start does not wait for it; a login behind it does.
    while !server.log().contains(said) {
        assert_eq!(Client::new(&server, "alice", "login").get("session/request").status, 200);
    }
    assert!(!server.log().contains("sesame"));
    server.stop();
}

#[cfg(unix)]
#[test]
fn an_accounts_file_that_others_can_read_is_refused() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    for mode in [0o644, 0o604, 0o660] {
        set_permissions(folder.path("accounts.toml"), Permissions::from_mode(mode)).unwrap();
        let complaint = folder.refuse(&FILES);
        assert!(complaint.contains(&format!("others can access it (mode {mode:04o})")), "{complaint}");
    }
    set_permissions(folder.path("accounts.toml"), Permissions::from_mode(0o640)).unwrap();
    folder.start(&FILES).stop();
}
