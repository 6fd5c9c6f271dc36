//! What the reading side asks: each question is answered from one snapshot.

use std::collections::BTreeSet;

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    CipherId, ClientNonce, EventNumber, Manifest, Mark, Newest, Partition, Revision, Row, RowMarks, Rows, SlotName,
    Snapshot, StageId, StagedText, Stored, StoredEvent, StoredEvents, VaultRows,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::apply::at_most;
use crate::fault::{Fault, FaultKind};

/// Runs `question` in one deferred read transaction, which is one snapshot.
pub(crate) fn snapshot<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // A question that panicked has left its own open.
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

/// Runs a statement that has neither parameters nor rows, prepared once.
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
    let records = slots.iter().map(&mut record).collect::<Result<_, _>>()?;
    let newest = newest(connection, partition)?;
    let rows_without_root = root.is_none() && has_rows(connection, partition)?;
    Ok(Snapshot { root, records, newest, rows_without_root })
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

/// Whether a partition has any row but a root.
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
    Ok(select.query_map([account.key()], row_marks)?.collect::<Result<_, _>>()?)
}

pub(crate) fn all_rows(connection: &Connection, account: &Partition) -> Result<VaultRows, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, note_mark, nonce, note, text FROM keywright_ciphers WHERE partition = ?1 ORDER BY id",
    )?;
    let rows = select.query_map([account.key()], cipher)?.collect::<Result<_, _>>()?;
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
    let mut select = connection
        .prepare_cached("SELECT id, text_mark FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id")?;
    let entries = select
        .query_map(params![account.key(), stage.0], |row| Ok((CipherId(row.get(0)?), Mark(row.get(1)?))))?
        .collect::<Result<_, _>>()?;
    Ok(entries)
}

pub(crate) fn staged_texts(
    connection: &Connection,
    account: &Partition,
    stage: StageId,
    after: Option<CipherId>,
    limit: u32,
) -> Result<Vec<StagedText>, Fault> {
    // Every id comes behind the empty blob.
    let after = after.as_ref().map_or(&[][..], |CipherId(id)| id.as_slice());
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, text FROM keywright_staged
         WHERE partition = ?1 AND stage = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    let texts = select
        .query_map(params![account.key(), stage.0, after, limit], |row| {
            Ok(StagedText { id: CipherId(row.get(0)?), mark: Mark(row.get(1)?), text: bytes(row, 2)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok(texts)
}

fn row_marks(row: &rusqlite::Row<'_>) -> rusqlite::Result<RowMarks> {
    Ok(RowMarks {
        id: CipherId(row.get(0)?),
        text: Mark(row.get(1)?),
        note: Mark(row.get(2)?),
        nonce: ClientNonce(row.get(3)?),
    })
}

fn cipher(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { marks: row_marks(row)?, note: bytes(row, 4)?, text: bytes(row, 5)? })
}

fn bytes(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(at).map(Bytes::from)
}

/// A stored moment.
pub(crate) fn moment(seconds: i64) -> Result<UnixSeconds, Fault> {
    unsigned(seconds).and_then(|seconds| UnixSeconds::new(seconds).map_err(|_| unknown_form()))
}

/// A stored partition.
pub(crate) fn partition(key: &str) -> Result<Partition, Fault> {
    Partition::parse(key).map_err(|_| unknown_form())
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

    /// A statement that SQLite prepares anew at each call costs more than it reads.
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
