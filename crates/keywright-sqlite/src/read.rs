//! The queries of the reading side. Each is answered from one snapshot.

use std::collections::BTreeSet;

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    CipherId, ClientNonce, EventNumber, Manifest, Mark, Newest, Partition, Revision, Row, RowMarks, Rows, SlotName,
    Snapshot, StageId, StagedText, Stored, StoredEvent, StoredEvents, StoredSlots, VaultRows,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::{Fault, FaultKind};
use crate::rows::at_most;

/// Runs `question` in one deferred read transaction, which is one snapshot.
pub(crate) fn snapshot<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // A query that panicked has left its transaction open.
    if !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    run(connection, "BEGIN")?;
    let answer = question(connection);
    let ended = run(connection, "COMMIT");
    let answer = answer?;
    ended?;
    Ok(answer)
}

/// Runs a statement that has neither parameters nor rows, and is prepared once.
pub(crate) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

pub(crate) fn load(connection: &Connection, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, Fault> {
    let root = connection
        .prepare_cached("SELECT revision, body FROM keywright_roots WHERE partition = ?1")?
        .query_row([partition.key()], |row| {
            Ok(Stored { revision: Revision::from_bytes(row.get(0)?), body: bytes(row, 1)? })
        })
        .optional()?;
    let mut select =
        connection.prepare_cached("SELECT body FROM keywright_records WHERE partition = ?1 AND slot = ?2")?;
    let mut record = |slot: &SlotName| -> Result<Option<Bytes>, Fault> {
        Ok(select.query_row(params![partition.key(), slot.to_text()], |row| bytes(row, 0)).optional()?)
    };
    let records = slots.iter().map(&mut record).collect::<Result<Vec<_>, _>>()?;
    let newest = newest(connection, partition)?;
    // Nearly always one is already known.
    let in_hand = newest != Newest::default() || records.iter().any(Option::is_some);
    let has_rows = in_hand || has_rows(connection, partition)?;
    Ok(Snapshot { root, records, newest, has_rows })
}

/// The newest number of each chain: the last entries of the primary key.
const NEWEST: &str = "SELECT (SELECT MAX(number) FROM keywright_events WHERE partition = ?1 AND chain = 0),
                             (SELECT MAX(number) FROM keywright_events WHERE partition = ?1 AND chain = 1)";

fn newest(connection: &Connection, partition: &Partition) -> Result<Newest, Fault> {
    let number = |found: Option<i64>| found.map_or(Ok(0), unsigned);
    let (changes, denials) =
        connection.prepare_cached(NEWEST)?.query_row([partition.key()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Newest { changes: number(changes)?, denials: number(denials)? })
}

/// Whether a partition has any row besides a root.
fn has_rows(connection: &Connection, partition: &Partition) -> Result<bool, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM keywright_records WHERE partition = ?1)
                 OR EXISTS (SELECT 1 FROM keywright_events WHERE partition = ?1)
                 OR EXISTS (SELECT 1 FROM keywright_ciphers WHERE partition = ?1)
                 OR EXISTS (SELECT 1 FROM keywright_stages WHERE partition = ?1)
                 OR EXISTS (SELECT 1 FROM keywright_staged WHERE partition = ?1)",
        )?
        .query_row([partition.key()], |row| row.get(0))?;
    Ok(found)
}

/// The slots of a partition that hold a record, those after `after`.
pub(crate) fn slots(
    connection: &Connection,
    partition: &Partition,
    after: Option<SlotName>,
    limit: u32,
) -> Result<StoredSlots, Fault> {
    let root = revision(connection, partition)?;
    let mut select = connection.prepare_cached(
        "SELECT slot FROM keywright_records WHERE partition = ?1 AND slot > ?2 ORDER BY slot LIMIT ?3",
    )?;
    // No slot is the empty string.
    let after = after.map(|after| after.to_text()).unwrap_or_default();
    let mut rows = select.query(params![partition.key(), after, limit])?;
    let mut slots = Vec::new();
    while let Some(row) = rows.next()? {
        let slot = row.get_ref(0)?.as_str().ok().and_then(|text| SlotName::parse(text).ok());
        slots.push(slot.ok_or_else(unknown_form)?);
    }
    Ok(StoredSlots { root, slots })
}

/// The root's revision.
fn revision(connection: &Connection, partition: &Partition) -> Result<Option<Revision>, Fault> {
    let found = connection
        .prepare_cached("SELECT revision FROM keywright_roots WHERE partition = ?1")?
        .query_row([partition.key()], |row| row.get(0).map(Revision::from_bytes))
        .optional()?;
    Ok(found)
}

pub(crate) fn events(
    connection: &Connection,
    partition: &Partition,
    chain: EventChain,
    before: Option<EventNumber>,
    limit: u32,
) -> Result<StoredEvents, Fault> {
    let root = revision(connection, partition)?;
    let mut select = connection.prepare_cached(
        "SELECT number, at, json, prev FROM keywright_events
         WHERE partition = ?1 AND chain = ?2 AND number < ?3 ORDER BY number DESC LIMIT ?4",
    )?;
    let before = before.map_or(i64::MAX, at_most);
    let mut rows = select.query(params![partition.key(), chain.number(), before, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(StoredEvent {
            chain,
            number: unsigned(row.get(0)?)?,
            at: moment(row.get(1)?)?,
            json: Bytes::copy_from_slice(row.get_ref(2)?.as_bytes().map_err(|_| unknown_form())?),
            prev: row.get(3)?,
        });
    }
    Ok(StoredEvents { root, events })
}

pub(crate) fn manifest(connection: &Connection, account: &Partition) -> Result<Manifest, Fault> {
    Ok(Manifest { root: revision(connection, account)?, rows: marks(connection, account)? })
}

fn marks(connection: &Connection, account: &Partition) -> Result<Vec<RowMarks>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, note_mark, nonce FROM keywright_ciphers WHERE partition = ?1 ORDER BY id",
    )?;
    let mut marks: Vec<RowMarks> = select.query_map([account.key()], row_marks)?.collect::<Result<_, _>>()?;
    // Only an id of an unknown form is out of order.
    if !marks.is_sorted_by_key(|marks| marks.id) {
        marks.sort_by_key(|marks| marks.id);
    }
    Ok(marks)
}

pub(crate) fn all_rows(connection: &Connection, account: &Partition) -> Result<VaultRows, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, note_mark, nonce, note, text FROM keywright_ciphers WHERE partition = ?1 ORDER BY id",
    )?;
    let mut rows: Rows = select.query_map([account.key()], cipher)?.collect::<Result<_, _>>()?;
    if !rows.is_sorted_by_key(Row::id) {
        rows.sort_by_key(Row::id);
    }
    Ok(VaultRows { root: revision(connection, account)?, rows, marks: None })
}

pub(crate) fn rows(
    connection: &Connection,
    account: &Partition,
    ids: &[CipherId],
    with_marks: bool,
) -> Result<VaultRows, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, note_mark, nonce, note, text FROM keywright_ciphers WHERE partition = ?1 AND id = ?2",
    )?;
    let ids: BTreeSet<&CipherId> = ids.iter().collect();
    let mut rows = Rows::new();
    for id in ids {
        rows.extend(select.query_row(params![account.key(), id.0], cipher).optional()?);
    }
    let marks = if with_marks { Some(marks(connection, account)?) } else { None };
    Ok(VaultRows { root: revision(connection, account)?, rows, marks })
}

pub(crate) fn staged(
    connection: &Connection,
    account: &Partition,
    stage: StageId,
) -> Result<Vec<(CipherId, Mark)>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, nonce, typeof(text) = 'blob' FROM keywright_staged
         WHERE partition = ?1 AND stage = ?2 ORDER BY id",
    )?;
    let entries = select
        .query_map(params![account.key(), stage.0], |row| {
            Ok((cipher_id(row.get_ref(0)?), staged_mark(row, row.get(3)?)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(entries)
}

pub(crate) fn staged_texts(
    connection: &Connection,
    account: &Partition,
    stage: StageId,
    after: Option<CipherId>,
    limit: u32,
) -> Result<Vec<StagedText>, Fault> {
    // Every id sorts after the empty blob.
    let after = after.as_ref().map_or(&[][..], |CipherId(id)| id.as_slice());
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, nonce, text FROM keywright_staged
         WHERE partition = ?1 AND stage = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    let texts = select
        .query_map(params![account.key(), stage.0, after, limit], |row| {
            let (id, text) = (cipher_id(row.get_ref(0)?), row.get_ref(3)?.as_blob().ok());
            let mark = staged_mark(row, text.is_some())?;
            let text = text.filter(|_| mark != Mark::UNREADABLE).unwrap_or_default();
            Ok(StagedText { id, mark, text: Bytes::copy_from_slice(text) })
        })?
        .collect::<Result<_, _>>()?;
    Ok(texts)
}

/// Returns the mark of a staged row, whose columns begin with its id, its mark and its nonce. If
/// one of them or its text has an unknown form, the row cannot be promoted, and gets the mark that
/// nobody draws.
fn staged_mark(row: &rusqlite::Row<'_>, has_text: bool) -> rusqlite::Result<Mark> {
    let (mark, nonce) = (sixteen(row, 1)?, sixteen(row, 2)?);
    let is_whole = has_text && nonce.is_some() && is_id(row.get_ref(0)?);
    Ok(mark.filter(|_| is_whole).map_or(Mark::UNREADABLE, Mark))
}

/// Returns the marks of a row. If one of its columns has an unknown form, all marks are zero. No
/// digest authenticates that and nothing opens under it, so a reader of the vault denies, and knows
/// the id by which the row can be dropped.
fn row_marks(row: &rusqlite::Row<'_>) -> rusqlite::Result<RowMarks> {
    let id = row.get_ref(0)?;
    let columns = (sixteen(row, 1)?, sixteen(row, 2)?, sixteen(row, 3)?);
    Ok(match columns {
        (Some(text), Some(note), Some(nonce)) if is_id(id) => {
            RowMarks { id: cipher_id(id), text: Mark(text), note: Mark(note), nonce: ClientNonce(nonce) }
        }
        _ => unmarked(cipher_id(id)),
    })
}

const fn unmarked(id: CipherId) -> RowMarks {
    RowMarks { id, text: Mark::UNREADABLE, note: Mark::UNREADABLE, nonce: ClientNonce([0; 16]) }
}

fn cipher(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let marks = row_marks(row)?;
    let blob = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob().ok());
    Ok(match (blob(4)?, blob(5)?) {
        (Some(note), Some(text)) => {
            Row { marks, note: Bytes::copy_from_slice(note), text: Bytes::copy_from_slice(text) }
        }
        _ => Row { marks: unmarked(marks.id), note: Bytes::new(), text: Bytes::new() },
    })
}

/// Returns a column of 16 bytes, or `None` if it has another form.
fn sixteen(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<[u8; 16]>> {
    Ok(row.get_ref(at)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok()))
}

/// Whether a stored id has the form of an id.
pub(crate) fn is_id(id: ValueRef<'_>) -> bool {
    id.as_blob().is_ok_and(|bytes| bytes.len() == 16)
}

/// Returns a stored id. One of an unknown form is represented by its first 16 bytes: an edit that
/// deletes this id deletes that row.
pub(crate) fn cipher_id(id: ValueRef<'_>) -> CipherId {
    let number;
    let bytes = match id {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
        ValueRef::Integer(value) => {
            number = value.to_be_bytes();
            &number[..]
        }
        ValueRef::Real(value) => {
            number = value.to_be_bytes();
            &number[..]
        }
        ValueRef::Null => &[],
    };
    let mut padded = [0; 16];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    CipherId(padded)
}

fn bytes(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(at).map(Bytes::from)
}

/// Returns a stored moment.
pub(crate) fn moment(seconds: i64) -> Result<UnixSeconds, Fault> {
    unsigned(seconds).and_then(|seconds| UnixSeconds::new(seconds).map_err(|_| unknown_form()))
}

fn unsigned(number: i64) -> Result<u64, Fault> {
    u64::try_from(number).map_err(|_| unknown_form())
}

const fn unknown_form() -> Fault {
    Fault::new(FaultKind::UnknownForm)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keywright_core::AccountId;
    use rusqlite::StatementStatus;

    use super::*;
    use crate::connect::Settings;

    /// A statement that SQLite prepares again at each call costs more than it reads.
    #[test]
    fn statements_of_a_load_are_prepared_once() {
        let settings = Settings { busy_timeout: Duration::ZERO, size_limit: None, adopt: false };
        let connection = crate::connect::memory(&settings).unwrap();
        let add =
            "INSERT INTO keywright_events (partition, chain, number, at, json, prev) VALUES (?1, ?2, ?3, 0, '', x'')";
        let accounts = ["alice", "bob", "carol"].map(|name| Partition::account(&AccountId::new(name).unwrap()));
        for (newest, account) in (3_i64..).zip(&accounts) {
            for chain in EventChain::ALL {
                for number in 1..=newest {
                    connection.execute(add, params![account.key(), chain.number(), number]).unwrap();
                }
            }
        }
        for account in accounts.iter().cycle().take(9) {
            load(&connection, account, &[]).unwrap();
        }
        let statement = connection.prepare_cached(NEWEST).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 9);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
