//! What the reading side asks: each question is answered from one snapshot.

use std::collections::BTreeSet;

use bytes::Bytes;
use keywright_core::{SecurityEvent, UnixSeconds};
use keywright_store::{CipherId, EventId, Manifest, Mark, Partition, Revision, Row, Scanned, Slot, StageId, Stored};
use rusqlite::{Connection, OptionalExtension, params};

use crate::apply::number;
use crate::fault::{Fault, FaultKind};

/// Runs `question` in one deferred read transaction, which is one snapshot.
pub(crate) fn snapshot<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let answer = question(&transaction)?;
    transaction.finish()?;
    Ok(answer)
}

pub(crate) fn load(
    connection: &Connection,
    partition: &Partition,
    slots: &[Slot],
) -> Result<Vec<Option<Stored>>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT revision, body FROM keywright_records WHERE partition = ?1 AND slot = ?2")?;
    slots
        .iter()
        .map(|slot| {
            let found = select.query_row(params![partition.key(), slot.to_text()], |row| stored(row, 0)).optional();
            found.map_err(Fault::from)
        })
        .collect()
}

pub(crate) fn events(
    connection: &Connection,
    partition: &Partition,
    before: Option<EventId>,
    limit: u32,
) -> Result<Vec<(EventId, SecurityEvent)>, Fault> {
    let before = before.map_or(i64::MAX, |EventId(id)| number(id));
    let mut select = connection.prepare_cached(
        "SELECT id, event FROM keywright_events WHERE partition = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let mut rows = select.query(params![partition.key(), before, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let id = u64::try_from(row.get::<_, i64>(0)?).map_err(|_| unknown_form())?;
        let text = row.get_ref(1)?.as_str().map_err(|_| unknown_form())?;
        events.push((EventId(id), serde_json::from_str(text).map_err(|_| unknown_form())?));
    }
    Ok(events)
}

pub(crate) fn manifest(connection: &Connection, account: &Partition) -> Result<Manifest, Fault> {
    let head = load(connection, account, &[Slot::VaultHead])?.into_iter().flatten().next();
    let mut select =
        connection.prepare_cached("SELECT id, mark FROM keywright_ciphers WHERE partition = ?1 ORDER BY id")?;
    let entries = select.query_map([account.key()], |row| Ok((CipherId(row.get(0)?), Mark(row.get(1)?))))?;
    Ok(Manifest { head, entries: entries.collect::<Result<_, _>>()? })
}

pub(crate) fn all_rows(connection: &Connection, account: &Partition) -> Result<Vec<Row>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT id, mark, body, meta FROM keywright_ciphers WHERE partition = ?1 ORDER BY id")?;
    let rows = select.query_map([account.key()], cipher)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn rows(connection: &Connection, account: &Partition, ids: &[CipherId]) -> Result<Vec<Row>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT id, mark, body, meta FROM keywright_ciphers WHERE partition = ?1 AND id = ?2")?;
    let ids: BTreeSet<&CipherId> = ids.iter().collect();
    let mut found = Vec::new();
    for id in ids {
        found.extend(select.query_row(params![account.key(), id.0], cipher).optional()?);
    }
    Ok(found)
}

pub(crate) fn staged(
    connection: &Connection,
    account: &Partition,
    stage: StageId,
) -> Result<Vec<(CipherId, Mark)>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT id, mark FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id")?;
    let entries = select
        .query_map(params![account.key(), stage.0], |row| Ok((CipherId(row.get(0)?), Mark(row.get(1)?))))?
        .collect::<Result<_, _>>()?;
    Ok(entries)
}

pub(crate) fn scan(
    connection: &Connection,
    after: Option<&(Partition, Slot)>,
    limit: u32,
) -> Result<Vec<Scanned>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT partition, slot, revision, body, purge_after FROM keywright_records
         WHERE (partition, slot) > (?1, ?2) ORDER BY partition, slot LIMIT ?3",
    )?;
    // No partition and no slot is the empty text.
    let (partition, slot) =
        after.map_or_else(Default::default, |(partition, slot)| (partition.key().to_owned(), slot.to_text()));
    let mut rows = select.query(params![partition, slot, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let partition = row.get_ref(0)?.as_str().map_err(|_| unknown_form())?;
        let slot = row.get_ref(1)?.as_str().map_err(|_| unknown_form())?;
        found.push(Scanned {
            partition: Partition::parse(partition).map_err(|_| unknown_form())?,
            slot: Slot::parse(slot).map_err(|_| unknown_form())?,
            stored: stored(row, 2)?,
            purge_after: row.get::<_, Option<i64>>(4)?.map(moment).transpose()?,
        });
    }
    Ok(found)
}

fn moment(seconds: i64) -> Result<UnixSeconds, Fault> {
    u64::try_from(seconds).ok().and_then(|seconds| UnixSeconds::new(seconds).ok()).ok_or(unknown_form())
}

/// The revision and the body, from column `at` on. A wrong type or length is an error of its own kind.
fn stored(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    let revision = Revision::from_bytes(row.get(at)?);
    Ok(Stored { revision, body: body(row, at.saturating_add(1))? })
}

fn cipher(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { id: CipherId(row.get(0)?), mark: Mark(row.get(1)?), body: body(row, 2)?, meta: body(row, 3)? })
}

fn body(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(at).map(Bytes::from)
}

const fn unknown_form() -> Fault {
    Fault::new(FaultKind::UnknownForm)
}
