//! Store and keyring: what belongs together, and what is refused.

use std::fs;
#[cfg(unix)]
use std::io::{Read, Write};

use keywright::sqlite::rusqlite::Connection;

use crate::program::{Folder, new_folder};

const DEFAULTS: &[&str] = &["--store", "sqlite:db", "--keyring", "keys"];

fn used() -> Folder {
    let folder = new_folder();
    folder.start(DEFAULTS).stop();
    folder
}

#[test]
fn a_keyring_is_never_made_beside_data() {
    let folder = used();
    fs::rename(folder.path("keys"), folder.path("away")).unwrap();
    let complaint = folder.refuse(DEFAULTS);
    assert!(complaint.contains("the keyring file is missing, but the store holds data"), "{complaint}");
    assert!(!folder.path("keys").exists());
    fs::rename(folder.path("away"), folder.path("keys")).unwrap();
    folder.start(DEFAULTS).stop();
}

#[test]
fn a_keyring_of_another_store_is_refused_and_the_missing_key_named() {
    let (folder, other) = (used(), used());
    fs::copy(other.path("keys"), folder.path("keys")).unwrap();
    let complaint = folder.refuse(DEFAULTS);
    assert!(complaint.contains(", which the keyring lacks: "), "{complaint}");
}

#[cfg(unix)]
#[test]
fn the_keyring_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = used();
    assert_eq!(fs::metadata(folder.path("keys")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(folder.path("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(folder.refuse(DEFAULTS).contains("can be read by others"));
}

#[test]
fn a_broken_keyring_is_not_quoted() {
    let folder = used();
    let text = folder.read("keys");
    folder.write("keys", &text.replace("index", "indxe"));
    let complaint = folder.refuse(DEFAULTS);
    assert!(complaint.contains("the keyring file is not valid"), "{complaint}");
    let key = text.split('"').nth(1).unwrap();
    assert!(!complaint.contains(&key[..8]), "{complaint}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_untouched() {
    let folder = used();
    let connection = Connection::open(folder.path("db")).unwrap();
    connection.pragma_update(None, "user_version", 9_999).unwrap();
    connection.close().unwrap();
    let before = fs::read(folder.path("db")).unwrap();
    let complaint = folder.refuse(DEFAULTS);
    assert!(
        complaint.contains("the store db cannot be opened") && complaint.contains("version 9999, this program knows"),
        "{complaint}"
    );
    assert_eq!(fs::read(folder.path("db")).unwrap(), before);
}

#[test]
fn what_is_no_store_is_refused_untouched() {
    let folder = new_folder();
    folder.write("db", "Dear diary, this is no database, and it should stay as it is. ".repeat(20).as_str());
    let before = folder.read("db");
    assert!(folder.refuse(DEFAULTS).contains("the store db cannot be opened"));
    assert_eq!(folder.read("db"), before);
    assert!(!folder.path("keys").exists());
    assert!(folder.refuse(&["--store", "sqlite:absent/db"]).contains("the store absent/db cannot be opened"));
}

#[cfg(unix)]
#[test]
fn a_server_whose_store_is_deleted_or_replaced_stops_with_an_error() {
    for replaced in [false, true] {
        let folder = new_folder();
        let server = folder.start(DEFAULTS);
        if replaced {
            fs::copy(folder.path("db"), folder.path("copy")).unwrap();
            fs::rename(folder.path("copy"), folder.path("db")).unwrap();
        } else {
            fs::remove_file(folder.path("db")).unwrap();
        }
        // Without any request, the server checks by itself.
        assert_eq!(server.wait().code(), Some(1));
        let log = folder.read("log.txt");
        let said = "what it would store would be lost: the database file was deleted or replaced while it was open";
        assert!(log.contains(said), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn a_health_check_is_told_that_the_store_is_gone() {
    let folder = new_folder();
    let server = folder.start(DEFAULTS);
    fs::remove_file(folder.path("db")).unwrap();
    // The server may have noticed by itself, and be stopping: then there is no answer, but never a good one.
    let mut answer = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(server.address()) {
        let _sent = stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _cut = stream.read_to_string(&mut answer);
    }
    assert!(answer.is_empty() || (answer.contains(" 503 ") && answer.ends_with("the store is gone\n")), "{answer}");
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn a_store_in_memory_leaves_nothing() {
    let folder = new_folder();
    folder.start(&["--store", "memory:"]).stop();
    let left: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["log.txt"]);
}

#[test]
fn the_command_line() {
    let folder = new_folder();
    for bad in [
        &["--frobnicate"][..],
        &["--store", "mysql://x"],
        &["--tls-cert", "x"],
        &["--outbox", "x", "--smtp", "smtp://y"],
        &["--rate-limits", "maybe"],
    ] {
        assert_eq!(folder.usage(bad), Some(2), "{bad:?}");
    }
    assert_eq!(folder.usage(&["--help"]), Some(0));
    let complaint = folder.refuse(&["--store", "memory:", "--smtp", "http://user:sesame@mail.example.org"]);
    assert!(complaint.contains("--smtp") && !complaint.contains("sesame"), "{complaint}");
    let server = folder.start(&["--store", "memory:"]);
    let complaint = folder.refuse(&["--store", "memory:", "--listen", server.address()]);
    assert!(complaint.contains(&format!("cannot listen on {}", server.address())), "{complaint}");
    server.stop();
}
