//! `/ready`, which reads and writes the store, and `/health`, which does not.

use std::time::Instant;

use keywright::sqlite::rusqlite::Connection;
use keywright_testing::postgres::Cluster;

use crate::client::{Client, get, raw, text};
use crate::program::{Server, new_folder};

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

/// An answer is good for a second, so this waits for the next one.
fn becomes(server: &Server, expected: &str) {
    let begun = Instant::now();
    loop {
        let answer = get(server, "/ready");
        if answer.body == expected {
            assert_eq!(answer.status == 200, expected == "ready\n");
            return;
        }
        assert!(begun.elapsed().as_secs() < 60, "{answer:?} instead of {expected}\n{}", server.log());
    }
}

/// Whatever PostgreSQL lacks is named, and the server is ready again by itself.
#[test]
fn what_a_database_lacks_is_named() {
    let cluster = Cluster::new();
    let folder = new_folder();
    folder.write("accounts.toml", "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password-1234\"]\n");
    let url = cluster.url("postgres");
    let server = folder.start(&["--store", &url, "--keyring", "keys", "--accounts", "accounts.toml"]);
    becomes(&server, "ready\n");

    cluster.kill();
    becomes(&server, "not ready: the database server cannot be reached\n");
    assert_eq!(get(&server, "/health").body, "ok\n");
    cluster.write("standby.signal", "");
    cluster.start();
    becomes(&server, "not ready: the database server is a standby\n");
    cluster.sql("postgres", "SELECT pg_promote()");
    becomes(&server, "ready\n");

    let again = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'keywright'";
    cluster.sql("postgres", &format!("ALTER DATABASE postgres SET default_transaction_read_only = on; {again}"));
    becomes(&server, "not ready: the database cannot be written\n");
    let allowed = "SET transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only";
    cluster.sql("postgres", &format!("{allowed}; {again}"));
    becomes(&server, "ready\n");

    // As PostgreSQL reports a disk that is full.
    cluster.sql(
        "postgres",
        "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk AFTER UPDATE ON keywright.roots FOR EACH ROW EXECUTE FUNCTION public.full()",
    );
    becomes(&server, "not ready: a disk or another resource of the database server is full\n");
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.set_challenge("a").status, 507, "there is no room, and nothing is lost");
    cluster.sql("postgres", "DROP TRIGGER full_disk ON keywright.roots");
    becomes(&server, "ready\n");
    assert_eq!(alice.set_challenge("a").status, 200);

    // A database that does not answer in time: all its roots are locked, and every connection waits.
    let locks = "BEGIN; LOCK TABLE keywright.roots IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60) AS locked";
    std::thread::scope(|scope| {
        scope.spawn(|| cluster.try_sql("postgres", locks).unwrap_err());
        becomes(&server, "not ready: the store did not answer in time\n");
        let refused = Client::new(&server, "alice", "alice-app-password-1234").open("a");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%AS locked'
            AND pid <> pg_backend_pid()";
        cluster.sql("postgres", end);
    });
    becomes(&server, "ready\n");
    server.stop();
}

/// SQLite's lock in the hands of another program: nothing is decided, and the client may try again.
#[test]
fn a_store_that_another_program_holds_is_answered_with_503() {
    let folder = new_folder();
    folder.write("accounts.toml", "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password-1234\"]\n");
    let server = folder.start(&["--store", "sqlite:db", "--accounts", "accounts.toml"]);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.set_challenge("a").status, 200);
    let other = Connection::open(folder.path("db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Another client, because an open session needs no commit.
    let mut other_client = Client::new(&server, "alice", "alice-app-password-1234");
    let refused = other_client.open("a");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(other_client.open("a").status, 200, "it was not counted");
    server.stop();
}
