//! `/ready`, which reads and writes the store, and `/health`, which does not.

use keywright::sqlite::rusqlite::Connection;

use crate::client::{get, raw, text};
use crate::program::new_folder;

#[test]
fn a_server_is_ready_while_its_store_can_be_written() {
    let folder = new_folder();
    let server = folder.start(&["--store", "sqlite:db"]);
    let ready = get(&server, "/ready");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    assert_eq!(raw(&server, text("POST", "/ready", "", "x").as_bytes()).status, 405);
    // Another program holds the file's lock: the server lives, but cannot work.
    let other = Connection::open(folder.path("db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = loop {
        let answer = get(&server, "/ready");
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.body.as_str()), (503, "not ready: the store cannot be read or written\n"));
    assert_eq!(get(&server, "/health").body, "ok\n");
    other.execute_batch("ROLLBACK").unwrap();
    while get(&server, "/ready").status != 200 {}
    assert!(server.log().contains("the server is not ready reason=\"the store cannot be read or written\""));
    server.stop();
    folder.run(&["--store", "sqlite:db", "check"]);
}

#[test]
fn a_store_in_memory_is_ready_too() {
    let folder = new_folder();
    let server = folder.start(&["--store", "memory:"]);
    assert!((0..100).all(|_| get(&server, "/ready").status == 200));
    server.stop();
}
