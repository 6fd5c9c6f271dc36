//! Changing the keyring while the server runs, and keyrings that are in no file.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use crate::client::Client;
use crate::program::{Folder, new_folder};

const ALICE: &str = "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password-1234\"]\n";
const FILES: [&str; 6] = ["--accounts", "accounts.toml", "--store", "sqlite:db", "--keyring", "keys"];

fn keys(word: &str) -> [&str; 6] {
    ["--store", "sqlite:db", "--keyring", "keys", "keys", word]
}

/// Makes the keyring look as if it was changed some time ago.
fn age(folder: &Folder) {
    let file = File::options().append(true).open(folder.path("keys")).unwrap();
    let changed = file.metadata().unwrap().modified().unwrap();
    file.set_modified(changed.checked_sub(Duration::from_secs(120)).unwrap()).unwrap();
}

#[test]
fn a_key_is_replaced_while_the_server_runs() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&FILES);
    let alice = || Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice().set_challenge("a").status, 200);
    let listed = folder.run(&keys("list"));
    let first = listed[..16].to_owned();
    assert!(listed.contains("the newest: seals what is written\nstore: "), "{listed}");

    let rotated = folder.run(&keys("rotate"));
    let second = rotated[..16].to_owned();
    assert!(rotated.contains(" is the newest key; copy the keyring") && second != first, "{rotated}");
    assert!(folder.run(&keys("list")).contains(&format!("\n{first}  opens what is sealed under it\n")));
    age(&folder);
    assert!(folder.refuse_command(&keys("retire")).contains("is still sealed under an older key: run `keys reseal`"));
    let resealed = folder.run(&keys("reseal"));
    assert!(resealed.starts_with("sealed again under the newest key: "), "{resealed}");
    assert_eq!(folder.run(&keys("reseal")), "sealed again under the newest key: 0 partitions\n", "again");
    // The server meets the new key in the store, and reads the file.
    assert_eq!(alice().open("a").status, 200);
    assert_eq!(alice().open("b").status, 401);
    let retired = folder.run(&keys("retire"));
    assert_eq!(retired, format!("removed from the keyring, as nothing is sealed under them: {first}\n"));
    assert!(!folder.run(&keys("list")).contains(&first));
    age(&folder);
    assert_eq!(folder.run(&keys("retire")), "there is no older key\n");
    assert_eq!(alice().open("a").status, 200);
    server.stop();
    let server = folder.start(&FILES);
    assert_eq!(Client::new(&server, "alice", "alice-app-password-1234").open("a").status, 200);
    server.stop();
    folder.run(&["--store", "sqlite:db", "--keyring", "keys", "check"]);
}

#[test]
fn a_keyring_and_an_empty_store_can_be_made_without_a_server() {
    let folder = new_folder();
    let made = folder.run(&keys("new"));
    assert!(made.contains("the newest: seals what is written\nstore: "), "{made}");
    assert!(folder.path("db").exists() && folder.read("keys").contains("store = "));
    assert!(folder.refuse_command(&keys("new")).contains("there is a file at keys already"));
    let server = folder.start(&FILES[2..]);
    assert!(server.printed.contains("demo account, shown this once"), "{}", server.printed);
    server.stop();
}

/// What root owns and the server's group may only read.
#[cfg(unix)]
#[test]
fn a_keyring_that_its_group_reads_is_taken_from_root_alone() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = new_folder();
    folder.run(&keys("new"));
    set_permissions(folder.path("keys"), Permissions::from_mode(0o440)).unwrap();
    if metadata(folder.path("keys")).unwrap().uid() == 0 {
        folder.start(&FILES[2..]).stop();
    } else {
        assert!(folder.refuse(&FILES[2..]).contains("set its mode to 0600, or to 0440 if root owns it"));
    }
    set_permissions(folder.path("keys"), Permissions::from_mode(0o444)).unwrap();
    assert!(folder.refuse(&FILES[2..]).contains("can be read by others"));
}

#[test]
fn no_key_is_removed_that_a_server_may_still_use() {
    let folder = new_folder();
    folder.start(&FILES[2..]).stop();
    folder.run(&keys("rotate"));
    folder.run(&keys("reseal"));
    let complaint = folder.refuse_command(&keys("retire"));
    assert!(complaint.contains("the keyring changed less than a minute ago"), "{complaint}");
    assert_eq!(folder.run(&keys("list")).matches("opens what").count(), 1);
}

#[test]
fn a_keyring_can_come_from_the_environment_or_a_descriptor() {
    let folder = new_folder();
    folder.start(&FILES[2..]).stop();
    let text = folder.read("keys");
    let list = |shell: &str, more: &[&str]| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_account-server");
        command.args(["-c", &format!("exec \"$0\" --store sqlite:db \"$@\" keys list {shell}"), program]).args(more);
        command.current_dir(folder.path("")).env_remove("KEYWRIGHT_KEYRING");
        command
    };
    let expected = folder.run(&keys("list"));
    let said = |mut command: Command| {
        let output = command.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let mut from_variable = list("", &[]);
    from_variable.env("KEYWRIGHT_KEYRING", &text);
    assert_eq!(said(from_variable).0, expected);
    assert_eq!(said(list("3<keys", &["--keyring-fd", "3"])).0, expected);
    let mut piped = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_account-server");
    piped.args(["-c", "cat keys | \"$0\" --store sqlite:db --keyring-fd 0 keys list", program]);
    piped.current_dir(folder.path(""));
    assert_eq!(said(piped).0, expected);

    let mut two = list("", &["--keyring", "keys"]);
    two.env("KEYWRIGHT_KEYRING", &text);
    assert!(said(two).1.contains("name one keyring"));
    let mut broken = list("", &[]);
    broken.env("KEYWRIGHT_KEYRING", &text[20..]);
    let (_, complaint) = said(broken);
    let key = text.split('"').nth(1).unwrap();
    assert!(complaint.contains("the keyring file is not valid") && !complaint.contains(&key[..8]), "{complaint}");
}
