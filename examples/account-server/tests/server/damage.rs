//! A file of SQLite that is really damaged: bytes are overwritten while no server runs. What is
//! damaged is denied and named, and housekeeping goes on for all others (`docs/decisions.md` 194).

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use keywright::sqlite::rusqlite::{Connection, Row};

use crate::client::Client;
use crate::program::{Folder, new_folder};

/// More than a page of the list of accounts holds.
const USERS: usize = 100;
const DAMAGED: &str = "stored data is damaged";

/// A stopped server's file, in which a notice to each user waits for a mail server.
fn with_notices() -> Folder {
    let folder = new_folder();
    let user = |number| {
        format!(
            "[[account]]\nname = \"user{number}\"\nemail = \"user{number}@example.org\"\n\
             app_passwords = [\"app-password-of-{number:04}\"]\n"
        )
    };
    folder.write("accounts.toml", &(0..USERS).map(user).collect::<String>());
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let smtp = format!("smtp://{closed}");
    let server = folder.start(&["--accounts", "accounts.toml", "--smtp", &smtp, "--rate-limits", "off"]);
    for number in 0..USERS {
        let mut user = Client::new(&server, &format!("user{number}"), &format!("app-password-of-{number:04}"));
        let asked = user.get("account/reset");
        let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
        assert_eq!(user.post("account/reset", &format!("{{\"code\":\"{code}\"}}")).status, 200);
    }
    server.stop();
    folder
}

fn database(folder: &Folder) -> Connection {
    Connection::open(folder.path("account-server.sqlite")).unwrap()
}

/// Overwrites bytes of the file.
fn overwrite(folder: &Folder, at: usize, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(folder.path("account-server.sqlite")).unwrap();
    file.seek(SeekFrom::Start(u64::try_from(at).unwrap())).unwrap();
    file.write_all(bytes).unwrap();
}

/// Starts a server that can send mail, and waits until it has sent so many.
fn sends(folder: &Folder, expected: usize) {
    let server = folder.start(&["--outbox", "outbox.txt"]);
    let begun = Instant::now();
    loop {
        let sent = folder.read("outbox.txt").matches("Subject: Your account was reset\n").count();
        if sent >= expected {
            assert_eq!(sent, expected);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{sent} of {expected}\n{}", server.log());
        std::thread::yield_now();
    }
    let log = server.log();
    assert!(log.contains(DAMAGED), "{log}");
    server.stop();
}

#[test]
fn a_row_whose_bytes_were_overwritten_holds_up_nobody_else_and_is_named() {
    let folder = with_notices();
    let connection = database(&folder);
    let row = "SELECT partition, body FROM keywright_records WHERE slot = 'due' LIMIT 1 OFFSET 50";
    let (partition, body): (String, Vec<u8>) =
        connection.query_row(row, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    connection.close().unwrap();
    let file = std::fs::read(folder.path("account-server.sqlite")).unwrap();
    let places: Vec<usize> =
        file.windows(body.len()).enumerate().filter(|(_, window)| *window == body).map(|(place, _)| place).collect();
    assert!(!places.is_empty());
    for place in places {
        overwrite(&folder, place + body.len() / 2, &[0; 16]);
    }
    sends(&folder, USERS - 1);
    let (printed, complaint) = folder.fail(&["check"]);
    let account = partition.strip_prefix("a/").unwrap();
    let named: Vec<&str> = printed.lines().filter(|line| line.starts_with("account ")).collect();
    assert!(matches!(named[..], [line] if line.contains(account) && line.contains("`due`")), "{printed}\n{complaint}");
    assert!(complaint.contains("damaged, lost or altered data in 1 partitions"), "{complaint}");
}

/// Fills the first leaf page of the table of roots that has an account, or the second one of the list
/// of partitions, with zeros. Returns the accounts that cannot be read any more.
fn without_page(folder: &Folder, of_list: bool) -> Vec<String> {
    let connection = database(folder);
    let rows = |sql: &str| -> Vec<(String, usize)> {
        let mut select = connection.prepare(sql).unwrap();
        let read = |row: &Row<'_>| Ok((row.get(0)?, usize::try_from(row.get::<_, u32>(1)?).unwrap()));
        select.query_map((), read).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let roots = rows("SELECT partition, 0 FROM keywright_roots ORDER BY rowid");
    let accounts = roots.iter().map(|(partition, _)| partition).filter(|partition| partition.starts_with("a/"));
    let name = if of_list { "sqlite_autoindex_keywright_roots_1" } else { "keywright_roots" };
    let leaves = rows(&format!(
        "SELECT CAST(pageno AS TEXT), ncell FROM dbstat WHERE name = '{name}' AND pagetype = 'leaf' ORDER BY path"
    ));
    assert!(leaves.len() > 2, "{leaves:?}");
    let mut rest = roots.as_slice();
    let has_account = |(_, cells): &&(String, usize)| {
        let (page, behind) = rest.split_at(*cells);
        rest = behind;
        // Without what belongs to the server itself it does not start.
        let is_of = |kind| page.iter().any(|(partition, _)| partition.starts_with(kind));
        is_of("a/") && !is_of("s/")
    };
    // Accounts are at the beginning of the list, which a start must be able to read.
    let leaf = if of_list { leaves.get(1) } else { leaves.iter().find(has_account) };
    let page: usize = leaf.unwrap().0.parse().unwrap();
    let (_, size) = rows("SELECT '', page_size FROM pragma_page_size").remove(0);
    let accounts: Vec<String> = accounts.cloned().collect();
    connection.close().unwrap();
    overwrite(folder, page.checked_sub(1).unwrap().checked_mul(size).unwrap(), &vec![0; size]);
    let connection = database(folder);
    // What the server keeps of an account is in two partitions: the account's, and its name's.
    let is_lost = |partition: &String| {
        let root = "SELECT body FROM keywright_roots WHERE partition = ?1";
        let name = partition.replace("a/acc-", "n/");
        [partition, &name].iter().any(|one| connection.query_row(root, [one], |row| row.get::<_, Vec<u8>>(0)).is_err())
    };
    let lost: Vec<String> = accounts.into_iter().filter(is_lost).collect();
    assert!((1..USERS).contains(&lost.len()), "{lost:?}");
    lost
}

#[test]
fn a_page_of_accounts_that_was_overwritten_holds_up_no_others_and_they_are_named() {
    let folder = with_notices();
    let lost = without_page(&folder, false);
    sends(&folder, USERS - lost.len());
    let (printed, complaint) = folder.fail(&["check"]);
    for partition in &lost {
        let named = [
            format!("account {}", partition.strip_prefix("a/").unwrap()),
            format!("partition {}", partition.replace("a/acc-", "n/")),
        ];
        assert!(printed.lines().any(|line| named.iter().any(|name| line.starts_with(name))), "{named:?}\n{printed}");
    }
    assert!(complaint.contains("damaged, lost or altered data in"), "{complaint}");
}

/// A check proves something about the whole store, which it cannot where the list of accounts cannot
/// be read.
#[test]
fn a_page_of_the_list_that_was_overwritten_holds_up_nobody_else_and_ends_a_check() {
    let folder = with_notices();
    let lost = without_page(&folder, true);
    sends(&folder, USERS - lost.len());
    let (printed, complaint) = folder.fail(&["check"]);
    assert!(complaint.contains("the database file is damaged"), "{printed}\n{complaint}");
}
