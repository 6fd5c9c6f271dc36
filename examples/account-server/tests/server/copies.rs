//! Backups of a running server, and their restoration.

use std::fs;

use crate::client::Client;
use crate::program::{Folder, new_folder};

const ALICE: &str = "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password-1234\"]\n";
const FILES: [&str; 6] = ["--accounts", "accounts.toml", "--store", "sqlite:db", "--keyring", "keys"];
const STORE: [&str; 4] = ["--store", "sqlite:db", "--keyring", "keys"];

fn command<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&STORE[..], words].concat()
}

fn move_store_away(folder: &Folder) {
    for suffix in ["", "-wal", "-shm"] {
        let _absent = fs::remove_file(folder.path(&format!("db{suffix}")));
    }
}

#[test]
fn a_backup_of_a_running_server_comes_back_with_its_sessions_void() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.set_challenge("a").status, 200);
    assert_eq!(alice.open("a").status, 200);
    // What an interrupted run left behind does not stand in the way.
    folder.write("copy.part", "half a copy");
    assert!(folder.run(&command(&["backup", "copy"])).starts_with("backed up to copy; the keyring is not in it"));
    assert!(!folder.path("copy.part").exists());
    assert!(folder.refuse_command(&command(&["backup", "copy"])).contains("there is a file at copy already"));
    let complaint = folder.refuse_command(&command(&["restore", "copy"]));
    assert!(complaint.contains("there is a store at db already: stop the server"), "{complaint}");
    // After the backup, the password changes.
    assert_eq!(alice.get("session/request").status, 200);
    server.stop();

    move_store_away(&folder);
    folder.write("db.part", "half a copy");
    let before = folder.read("keys");
    assert!(before.contains("fence = 0\n"));
    assert!(folder.run(&command(&["restore", "copy"])).starts_with("restored, and the fence is set to now"));
    let after = folder.read("keys");
    assert!(!after.contains("fence = 0\n") && before.lines().nth(4) == after.lines().nth(4), "{after}");
    assert!(!folder.path("db.part").exists() && folder.path("copy").exists());
    let server = folder.start(&FILES);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.open("b").status, 401);
    assert_eq!(alice.open("a").status, 200, "the password of the backup");
    server.stop();
    folder.run(&command(&["check"]));
}

#[test]
fn a_backup_with_another_keyring_or_none_is_not_restored() {
    let (folder, other) = (new_folder(), new_folder());
    for folder in [&folder, &other] {
        folder.write("accounts.toml", ALICE);
        folder.start(&FILES).stop();
    }
    folder.run(&command(&["backup", "copy"]));
    move_store_away(&folder);
    let keys = folder.read("keys");
    folder.write("keys", &other.read("keys"));
    let complaint = folder.refuse_command(&command(&["restore", "copy"]));
    assert!(
        complaint.contains("the backup and the keyring do not belong together; nothing was restored"),
        "{complaint}"
    );
    assert!(!folder.path("db").exists() && !folder.path("db.part").exists());
    assert_eq!(folder.read("keys"), other.read("keys"), "its fence is as it was");
    fs::remove_file(folder.path("keys")).unwrap();
    assert!(folder.refuse_command(&command(&["restore", "copy"])).contains("the keyring file keys is needed"));
    folder.write("keys", &keys);
    // Half a backup is none.
    let copy = fs::read(folder.path("copy")).unwrap();
    fs::write(folder.path("half"), &copy[..copy.len() / 2]).unwrap();
    folder.write("nothing", "");
    for bad in ["half", "nothing", "absent", "accounts.toml"] {
        let complaint = folder.refuse_command(&command(&["restore", bad]));
        assert!(!folder.path("db").exists() && !folder.path("db.part").exists(), "{bad}: {complaint}");
    }
    folder.run(&command(&["restore", "copy"]));
    folder.start(&FILES).stop();
}
