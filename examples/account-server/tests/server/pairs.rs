//! A store and its keyring recognise each other: whatever does not belong together is refused, and
//! the message states what to do.

use std::fs;

use crate::program::{Folder, new_folder};

const STORE: [&str; 4] = ["--store", "sqlite:data/db", "--keyring", "keys"];

fn used() -> Folder {
    let folder = new_folder();
    fs::create_dir(folder.path("data")).unwrap();
    folder.start(&STORE).stop();
    folder
}

#[test]
fn an_absent_or_empty_store_beside_a_used_keyring_is_refused() {
    let folder = used();
    let store = folder.read("keys").lines().find_map(|line| Some(line.strip_prefix("store = \"")?[..32].to_owned()));
    let store = store.unwrap();
    fs::rename(folder.path("data"), folder.path("elsewhere")).unwrap();
    fs::create_dir(folder.path("data")).unwrap();
    for options in [&STORE[..], &["--store", "sqlite:data/bd", "--keyring", "keys"]] {
        let complaint = folder.refuse(options);
        let said = format!("the keyring keys belongs to the store {store}, but there is no file data/");
        assert!(complaint.contains(&said) && complaint.contains("its volume is mounted"), "{complaint}");
    }
    assert_eq!(fs::read_dir(folder.path("data")).unwrap().count(), 0, "nothing was made");
    // A file that somebody made, and a store whose tables are empty.
    fs::write(folder.path("data/db"), "").unwrap();
    let complaint = folder.refuse(&STORE);
    assert!(complaint.contains(&format!("belongs to the store {store}, but this store is empty")), "{complaint}");
    let complaint = folder.refuse_command(&[&STORE[..], &["accounts", "list"]].concat());
    assert!(complaint.contains("but this store is empty"), "{complaint}");
    fs::remove_dir_all(folder.path("data")).unwrap();
    fs::rename(folder.path("elsewhere"), folder.path("data")).unwrap();
    folder.start(&STORE).stop();
}

#[test]
fn stores_with_one_key_are_not_taken_for_each_other() {
    // Two stores that were begun with the same keys: a copied keyring, without the store's name.
    let folder = used();
    let named = folder.read("keys");
    let bare = named.lines().filter(|line| !line.starts_with("store = ")).collect::<Vec<_>>().join("\n");
    folder.write("other-keys", &bare);
    folder.start(&["--store", "sqlite:data/other", "--keyring", "other-keys"]).stop();
    assert!(folder.read("other-keys").contains("\nstore = \""), "it is named at its first use");
    for (store, keyring) in [("sqlite:data/db", "other-keys"), ("sqlite:data/other", "keys")] {
        let complaint = folder.refuse(&["--store", store, "--keyring", keyring]);
        assert!(complaint.contains("use the matching pair"), "{complaint}");
    }
    // The file alone in the other's place, with its own log left behind or not.
    fs::copy(folder.path("data/other"), folder.path("data/db")).unwrap();
    assert!(folder.refuse(&STORE).contains("use the matching pair"));
}

#[test]
fn a_keyring_without_a_name_is_named_by_a_store_with_data() {
    let folder = used();
    let named = folder.read("keys");
    let bare = named.lines().filter(|line| !line.starts_with("store = ")).collect::<Vec<_>>().join("\n");
    folder.write("keys", &bare);
    folder.start(&STORE).stop();
    assert_eq!(folder.read("keys"), named);
}

#[test]
fn half_a_copy_of_a_store_is_refused() {
    let folder = used();
    let whole = fs::read(folder.path("data/db")).unwrap();
    for part in [1, whole.len() / 4, whole.len() / 2, whole.len() - 4096] {
        fs::write(folder.path("data/db"), &whole[..part]).unwrap();
        let complaint = folder.refuse(&STORE);
        assert!(!complaint.is_empty(), "{part} of {} bytes", whole.len());
    }
    fs::write(folder.path("data/db"), &whole).unwrap();
    folder.start(&STORE).stop();
}

#[test]
fn what_looks_like_a_store_is_refused_before_anything_is_made() {
    let folder = new_folder();
    for store in [
        "sqlite://db",
        "sqlite:///tmp/db",
        "sqlite3:db",
        "db",
        "/tmp/db",
        "sqlite:db?mode=rwc",
        "file:db",
        "sqlite:file:db",
        "SQLITE:db",
        "sqlite:folder/",
    ] {
        assert_eq!(folder.usage(&["--store", store]), Some(2), "{store}");
    }
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

/// The configuration folder that systemd names, with the keyring apart from the store.
#[test]
fn the_keyring_is_in_the_configuration_folder_if_there_is_one() {
    let folder = new_folder();
    fs::create_dir(folder.path("etc")).unwrap();
    let program = env!("CARGO_BIN_EXE_account-server");
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(program);
        let output = command.current_dir(folder.path("")).env("CONFIGURATION_DIRECTORY", "etc").args(words).output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    fs::write(folder.path("db"), "").unwrap();
    assert_eq!(run(&["--store", "sqlite:db", "accounts", "list"]), "");
    assert!(folder.path("etc/keyring.toml").exists() && !folder.path("db.keyring.toml").exists());
    fs::remove_file(folder.path("db")).unwrap();
    let complaint = run(&["--store", "sqlite:db2", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("but there is no file db2"), "{complaint}");
}
