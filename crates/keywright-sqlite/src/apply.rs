//! Applies one batch inside a transaction that somebody else began: the writer's own, or a host's.
//!
//! The guard, and every other condition for a conflict, is checked before the first write or by it.
//! A conflict has therefore written nothing, and does not affect the other batches of the same
//! transaction.

use keywright_store::{Batch, Partition, Put, Revision, SlotName, StoredEvent, Write};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, params};

use crate::fault::FaultKind;
use crate::rows::{ApplyError, at_most, failed, moment};
use crate::vault;

/// Writes a root over the expected one. A writer that expires a partition may have a clock that is
/// behind, so the partition is kept for a day beyond the store's horizon, and no late commit finds
/// it swept. `CASE` reads the horizon only if it matters.
macro_rules! purge_after {
    () => {
        "CASE WHEN ?4 IS NULL THEN NULL ELSE max(?4, coalesce(
             (SELECT min(value + 86400, 253402300799) FROM keywright_meta
              WHERE name = 'horizon' AND typeof(value) = 'integer' AND value BETWEEN 0 AND 253402300799), ?4)) END"
    };
}

const UPDATE_ROOT: &str = concat!(
    "UPDATE keywright_roots SET revision = ?2, body = ?3, purge_after = ",
    purge_after!(),
    ", due_at = ?5 WHERE partition = ?1 AND revision = ?6"
);

const INSERT_ROOT: &str = concat!(
    "INSERT INTO keywright_roots (partition, revision, body, purge_after, due_at) VALUES (?1, ?2, ?3, ",
    purge_after!(),
    ", ?5) ON CONFLICT (partition) DO NOTHING"
);

/// The same if neither the old row nor the new one has a moment. SQLite then need not open the
/// indexes of moments, which are as many as the others. This is so for nearly every account.
const UPDATE_TIMELESS_ROOT: &str = "UPDATE keywright_roots SET revision = ?2, body = ?3
     WHERE partition = ?1 AND revision = ?4 AND purge_after IS NULL AND due_at IS NULL";

const PUT_RECORD: &str = "INSERT INTO keywright_records (partition, slot, body, purge_after) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (partition, slot) DO UPDATE SET body = excluded.body, purge_after = excluded.purge_after";

/// Writes a lasting record over a lasting one, as nearly every put of one does. It uses no index
/// and one search.
const UPDATE_LASTING_RECORD: &str =
    "UPDATE keywright_records SET body = ?3 WHERE partition = ?1 AND slot = ?2 AND purge_after IS NULL";

/// Applies batches inside one transaction. It holds the statements that nearly every batch runs, so
/// that a group looks them up once.
pub(crate) struct Applier<'c> {
    connection: &'c Connection,
    update_root: CachedStatement<'c>,
    update_record: CachedStatement<'c>,
}

impl<'c> Applier<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let update_root = connection.prepare_cached(UPDATE_TIMELESS_ROOT)?;
        let update_record = connection.prepare_cached(UPDATE_LASTING_RECORD)?;
        Ok(Self { connection, update_root, update_record })
    }

    /// Returns the connection, inside its transaction.
    pub(crate) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Applies the whole batch, or returns why it did not.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<(), ApplyError> {
        let (connection, partition) = (self.connection, batch.partition());
        let Some(write) = batch.write() else {
            return if holds(connection, partition, batch.expect())? { Ok(()) } else { Err(ApplyError::Conflict) };
        };
        // A vault write may have to be refused: after the guard, and before the first write.
        let vault = match &write.vault {
            Some(_) if !holds(connection, partition, batch.expect())? => return Err(ApplyError::Conflict),
            Some(vault) => Some(vault::plan(connection, partition, vault)?),
            None => None,
        };
        // The root's own write is the guard. It is the first write: if it fails, nothing is written
        // yet.
        if self.put_root(partition, batch.expect(), write)? == 0 {
            return Err(ApplyError::Conflict);
        }
        if write.erase {
            erase(connection, partition)?;
        }
        delete_records(connection, partition, &write.delete)?;
        self.put_records(partition, &write.put)?;
        if let Some(plan) = vault {
            plan.write(connection, partition)?;
        }
        for (chain, first) in &write.forget {
            connection
                .prepare_cached("DELETE FROM keywright_events WHERE partition = ?1 AND chain = ?2 AND number < ?3")?
                .execute(params![partition.key(), chain.number(), at_most(*first)])?;
        }
        append_events(connection, partition, &write.events)
    }

    /// Writes the root over the expected one. Returns how many rows were changed: one, or none if
    /// the guard failed.
    fn put_root(
        &mut self,
        partition: &Partition,
        expect: Option<Revision>,
        write: &Write,
    ) -> Result<usize, ApplyError> {
        let (partition, revision, root) = (partition.key(), write.revision.to_bytes(), &write.root[..]);
        let (purge_after, due_at) = (moment(write.purge_after), moment(write.due_at));
        let Some(before) = expect.map(Revision::to_bytes) else {
            let mut insert = self.connection.prepare_cached(INSERT_ROOT)?;
            return Ok(insert.execute(params![partition, revision, root, purge_after, due_at])?);
        };
        if purge_after.is_none() && due_at.is_none() {
            let changed = self.update_root.execute(params![partition, revision, root, before])?;
            if changed > 0 {
                return Ok(changed);
            }
        }
        let mut update = self.connection.prepare_cached(UPDATE_ROOT)?;
        Ok(update.execute(params![partition, revision, root, purge_after, due_at, before])?)
    }

    fn put_records(&mut self, partition: &Partition, puts: &[Put]) -> Result<(), ApplyError> {
        for put in puts {
            let (partition, slot, body) = (partition.key(), put.slot.to_text(), &put.body[..]);
            if put.purge_after.is_none() && self.update_record.execute(params![partition, slot, body])? > 0 {
                continue;
            }
            self.connection.prepare_cached(PUT_RECORD)?.execute(params![
                partition,
                slot,
                body,
                moment(put.purge_after)
            ])?;
        }
        Ok(())
    }
}

/// Whether the root has this revision (`None`: whether there is no root).
pub(crate) fn holds(
    connection: &Connection,
    partition: &Partition,
    expect: Option<Revision>,
) -> Result<bool, rusqlite::Error> {
    // A revision of an unknown form equals none that a batch can expect; a load reports it.
    let found = connection
        .prepare_cached("SELECT revision FROM keywright_roots WHERE partition = ?1")?
        .query_row([partition.key()], |row| {
            let expected = expect.map(Revision::to_bytes);
            Ok(expected.is_some_and(|expected| row.get_ref(0).is_ok_and(|found| found.as_blob() == Ok(&expected[..]))))
        })
        .optional()?;
    Ok(found.unwrap_or(expect.is_none()))
}

/// Drops every record, cipher and stage of the partition. Its events are kept.
fn erase(connection: &Connection, partition: &Partition) -> Result<(), ApplyError> {
    connection.prepare_cached("DELETE FROM keywright_records WHERE partition = ?1")?.execute([partition.key()])?;
    vault::erase(connection, partition.key())
}

fn delete_records(connection: &Connection, partition: &Partition, slots: &[SlotName]) -> Result<(), ApplyError> {
    for slot in slots {
        connection
            .prepare_cached("DELETE FROM keywright_records WHERE partition = ?1 AND slot = ?2")?
            .execute(params![partition.key(), slot.to_text()])?;
    }
    Ok(())
}

fn append_events(connection: &Connection, partition: &Partition, events: &[StoredEvent]) -> Result<(), ApplyError> {
    for event in events {
        let number = i64::try_from(event.number).map_err(|_| failed(FaultKind::UnknownForm))?;
        // As text, for people who inspect the file. The bytes are the same in any case.
        let json = match std::str::from_utf8(&event.json) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(event.json.to_vec()),
        };
        connection
            .prepare_cached(
                "INSERT INTO keywright_events (partition, chain, number, at, json, prev)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![partition.key(), event.chain.number(), number, at_most(event.at.get()), json, event.prev])
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => failed(FaultKind::EventNumberTaken),
                _ => error.into(),
            })?;
    }
    Ok(())
}
