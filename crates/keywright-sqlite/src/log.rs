//! Which write-ahead log belongs to the file.
//!
//! SQLite applies any well-formed log that it finds beside a file: nothing in the log names its
//! database. Pages of another database, or of another state of this one, then replace the file's
//! own. So a store notes the log's first salt, which SQLite draws when it makes the log and counts
//! up whenever it begins the log again, and looks at the log before SQLite does.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::fault::OpenError;
use crate::rows::ApplyError;
use crate::watch;

/// The row with the salt of the log as the store last saw it.
const SALT: &str = "log";
/// The row with a random number of the file's own, of eight bytes.
const FILE: &str = "file";

/// How often a log may have begun again since the salt was noted, which happens every hour. Of the
/// logs of other databases, one of four thousand is taken for the file's own.
const BEGINNINGS: u32 = 1 << 20;

/// How many bytes of a log are searched for the file's number: 64 pages. A process that was killed
/// before the salt of its new log was in the file has written no more.
const SEARCHED: u64 = 64 * 4_120;

/// The length of a log's header, and of that with the head of its first page.
const HEADER: usize = 32;
const FIRST_FRAME: u64 = 56;

/// The head of a log.
struct Head {
    page_size: u32,
    salt: u32,
}

impl Head {
    /// Reads the head of the log of a database. `None` if it has no page that SQLite would apply.
    fn of(database: &Path) -> io::Result<Option<Self>> {
        let log = match File::open(watch::beside(database, "-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            log => log?,
        };
        if log.metadata()?.len() < FIRST_FRAME {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(HEADER);
        log.take(HEADER as u64).read_to_end(&mut bytes)?;
        let word = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|word| u32::from_be_bytes(*word));
        let is_log = word(0).is_some_and(|magic| magic & !1 == 0x377f_0682);
        let head = word(8).zip(word(16)).filter(|_| is_log);
        Ok(head.map(|(page_size, salt)| Self { page_size, salt }))
    }
}

/// Checks that the log beside a file, if there is one, is the file's own. Nothing is changed.
///
/// # Errors
/// Returns [`OpenError::ForeignLog`] if it is not.
pub(crate) fn check(path: &Path, adopt: bool) -> Result<(), OpenError> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    // What cannot be read is for SQLite to report.
    let Ok(Some(head)) = Head::of(&real) else { return Ok(()) };
    let foreign = || OpenError::ForeignLog { log: watch::beside(&real, "-wal") };
    let mut main = Vec::with_capacity(100);
    let read = File::open(&real).and_then(|file| file.take(100).read_to_end(&mut main));
    if read.is_err() || main.len() < 100 {
        // SQLite would delete the log, because there is nothing that it could belong to.
        return Err(foreign());
    }
    let page_size = main.get(16..).and_then(<[u8]>::first_chunk).map(|size| u16::from_be_bytes(*size));
    let page_size = page_size.map(|size| if size == 1 { 65_536 } else { u32::from(size) });
    // A file that is not in the mode of write-ahead logs, such as a backup, has none of its own.
    let has_log = main.get(18..20) == Some(&[2, 2]);
    if !has_log || page_size != Some(head.page_size) {
        return Err(foreign());
    }
    // A host's own programs may have begun a log that this crate has not seen.
    if adopt {
        return Ok(());
    }
    let Some((salt, file)) = noted(&real) else { return Ok(()) };
    let follows = head.salt.wrapping_sub(salt) <= BEGINNINGS;
    if follows || names(&real, file).unwrap_or(false) { Ok(()) } else { Err(foreign()) }
}

/// Returns the salt and the file's number as the file has them without its log.
fn noted(path: &Path) -> Option<(u32, i64)> {
    let escaped = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).ok()?;
    let salt = value(&connection, SALT).ok()??;
    Some((u32::try_from(salt).ok()?, value(&connection, FILE).ok()??))
}

fn value(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT value FROM keywright_meta WHERE name = ?1";
    connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
}

/// Whether the first pages of a log contain the file's number.
fn names(path: &Path, file: i64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(watch::beside(path, "-wal"))?.take(SEARCHED).read_to_end(&mut bytes)?;
    let number = file.to_be_bytes();
    Ok(bytes.windows(number.len()).any(|window| window == number))
}

/// Notes the salt of the log in the file. Call it in no transaction, and run a checkpoint after it.
pub(crate) fn note_at_start(connection: &Connection) -> Result<(), OpenError> {
    // A number of eight bytes, which a log has in the very page that this writes.
    let number = "INSERT INTO keywright_meta (name, value)
        VALUES (?1, (random() & 0x3fffffffffffffff) | 0x4000000000000000) ON CONFLICT (name) DO NOTHING";
    connection.execute(number, [FILE])?;
    let Some(path) = connection.path().filter(|path| !path.is_empty()).map(str::to_owned) else { return Ok(()) };
    let head = || Head::of(Path::new(&path)).ok().flatten();
    if head().is_none() {
        // The first write makes the log.
        connection.execute("UPDATE keywright_meta SET value = value WHERE name = ?1", [FILE])?;
    }
    if let Some(head) = head() {
        put(connection, head.salt)?;
    }
    Ok(())
}

/// Notes the salt again, inside the writer's transaction.
pub(crate) fn note(connection: &Connection) -> Result<(), ApplyError> {
    let Some(path) = connection.path().filter(|path| !path.is_empty()) else { return Ok(()) };
    // A log that cannot be read now is noted at the next occasion.
    if let Ok(Some(head)) = Head::of(Path::new(path)) {
        put(connection, head.salt)?;
    }
    Ok(())
}

fn put(connection: &Connection, salt: u32) -> rusqlite::Result<()> {
    if value(connection, SALT)? != Some(i64::from(salt)) {
        let put = "INSERT INTO keywright_meta (name, value) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        connection.prepare_cached(put)?.execute(params![SALT, i64::from(salt)])?;
    }
    Ok(())
}

/// Removes what a copy must not have of the file that it was made of: its own log is another one.
pub(crate) fn forget(copy: &Connection) -> rusqlite::Result<()> {
    copy.execute("DELETE FROM keywright_meta WHERE name IN (?1, ?2)", [SALT, FILE]).map(drop)
}
