//! An operator's commands while the server runs.

use keywright::sqlite::rusqlite::Connection;

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password\"]\n";
const FILES: [&str; 4] = ["--accounts", "accounts.toml", "--rate-limits", "off"];

#[test]
fn unlocking_lets_the_owner_in_at_once() {
    let folder = new_folder();
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
    let folder = new_folder();
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

#[test]
fn a_check_finds_what_is_damaged_and_names_it() {
    // What somebody with write access to the database can do, and what the check reports.
    for (damage, place, said) in [
        ("UPDATE keywright_roots SET body = zeroblob(80) WHERE partition LIKE 'a/%'", "account acc-", "root"),
        ("DELETE FROM keywright_roots WHERE partition LIKE 'a/%'", "account acc-", "rows but no root"),
        ("UPDATE keywright_events SET json = '{}' WHERE chain = 0", "account acc-", "events were lost, altered"),
        ("DELETE FROM keywright_events WHERE chain = 1", "account acc-", "events were lost, altered"),
        ("UPDATE keywright_records SET body = zeroblob(80) WHERE slot = 'ledger'", "account acc-", "ledger"),
        ("DELETE FROM keywright_records WHERE slot = 'challenge'", "account acc-", "`challenge` and the root disagree"),
        (
            "INSERT INTO keywright_records SELECT partition, 'due', body, NULL FROM keywright_records \
             WHERE slot = 'challenge'",
            "account acc-",
            "`due` and the root disagree",
        ),
        ("DELETE FROM keywright_records WHERE slot = 'server-app-password'", "partition n/", "server-app-password"),
    ] {
        let folder = new_folder();
        folder.write("accounts.toml", ALICE);
        let server = folder.start(&FILES);
        let alice = || Client::new(&server, "alice", "alice-app-password");
        assert_eq!(alice().set_challenge("a").status, 200);
        assert_eq!(alice().open("b").status, 401);
        server.stop();
        let sound = folder.run(&["check"]);
        assert!(sound.starts_with("looked at: "), "{sound}");
        let database = Connection::open(folder.path("account-server.sqlite")).unwrap();
        assert!(database.execute(damage, ()).unwrap() > 0, "{damage}");
        database.close().unwrap();
        let (printed, complaint) = folder.fail(&["check"]);
        let line = |line: &str| line.starts_with(place) && line.contains(said);
        assert!(printed.lines().any(line), "{damage}: {printed}\n{complaint}");
        assert!(complaint.contains("damaged, lost or altered data in 1 partitions"), "{damage}: {complaint}");
    }
}
