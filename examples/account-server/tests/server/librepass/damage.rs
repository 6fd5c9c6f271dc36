//! A vault that lost a row: no client receives the rest as if it were complete, until an operator
//! accepts it.

use keywright::sqlite::rusqlite::Connection;

use super::scene::{Scene, refusal};

const EMAIL: &str = "user@example.org";
const PASSWORD: &str = "correct horse";

#[test]
fn a_vault_that_lost_a_row_is_denied_until_an_operator_accepts_it() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    session.write_note("one", "").unwrap();
    session.write_note("two", "").unwrap();
    // Another program on the same file, while the server runs.
    let database = Connection::open(scene.path("db")).unwrap();
    let first = "SELECT partition, id FROM keywright_ciphers LIMIT 1";
    let (partition, id): (String, Vec<u8>) =
        database.query_row(first, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let sound = scene.run(&["check"]);
    assert!(sound.starts_with("looked at: ") && sound.ends_with(" 2 ciphers\n"), "{sound}");
    assert_eq!(database.execute("DELETE FROM keywright_ciphers WHERE id = ?1", (&id,)).unwrap(), 1);
    database.close().unwrap();
    let account = partition.strip_prefix("a/").unwrap();

    assert_eq!(refusal(session.read()), "LP-Database-Error");
    let log = server.log();
    assert!(
        log.contains(&format!("account={account}")) && log.contains(&format!("partition=\"{partition}\"")),
        "{log}"
    );
    assert!(log.contains("stored data is damaged, lost or altered, and was not used"), "{log}");

    let (printed, complaint) = scene.fail(&["check"]);
    let lost = "the rows of the vault and its head disagree: a row was lost, altered, added or put back";
    assert!(printed.contains(&format!("account {account}: {lost}\n")), "{printed}");
    assert!(complaint.contains("damaged, lost or altered data in 1 partitions"), "{complaint}");
    // By the address that its owner uses.
    let accepted = scene.run(&["check", "--accept", EMAIL]);
    let said = "the vault is accepted; ciphers before: 2, now: 1, dropped because they do not open: 0";
    assert_eq!(
        accepted,
        format!(
            "{EMAIL}: {said}
"
        )
    );
    assert_eq!(session.read().unwrap().len(), 1);
    assert!(scene.run(&["check"]).ends_with(" 1 ciphers\n"));
    assert_eq!(scene.run(&["check", "--accept", account]), format!("{account}: the vault is undamaged\n"));
    server.stop();
}
