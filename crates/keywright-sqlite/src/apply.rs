//! Applies one batch inside a transaction that somebody else began: the writer's own, or a host's.
//!
//! All guards are checked before the first write. So a conflict has written nothing, and the other batches of the same
//! transaction do not notice it.

use keywright_core::UnixSeconds;
use keywright_store::{Batch, CommitError, Effect, Expect, Partition, Write};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::fault::{Fault, FaultKind};
use crate::vault;

/// Why a change did not apply.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// A guard failed. Nothing was written.
    Conflict,
    /// The change itself is unsound. Nothing was written.
    Refused(Fault),
    /// **Part of it may be written**: the transaction, or a savepoint, must be rolled back.
    Failed(Fault),
}

impl ApplyError {
    /// For the caller, once the transaction was rolled back or the change has written nothing.
    pub(crate) fn into_commit_error(self) -> CommitError {
        match self {
            Self::Conflict => CommitError::Conflict,
            Self::Refused(fault) | Self::Failed(fault) => fault.into_rejected(),
        }
    }
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Applies batches inside one transaction. Holds the two statements that every batch runs, so that a group looks them up
/// once.
pub(crate) struct Applier<'c> {
    connection: &'c Connection,
    look: CachedStatement<'c>,
    update: CachedStatement<'c>,
}

impl<'c> Applier<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let look = "SELECT revision FROM keywright_records WHERE partition = ?1 AND slot = ?2";
        let update = "UPDATE keywright_records SET revision = ?4, body = ?5, purge_after = ?6
             WHERE partition = ?1 AND slot = ?2 AND revision = ?3";
        Ok(Self { connection, look: connection.prepare_cached(look)?, update: connection.prepare_cached(update)? })
    }

    /// The connection, inside its transaction.
    pub(crate) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Applies all of the batch or says why not.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<(), ApplyError> {
        let (connection, partition) = (self.connection, batch.partition());
        // An update looks at its guard itself. So one of them, if it is the first to write, need not be looked at before:
        // if its guard fails, nothing is written yet.
        let may_write_first = !batch.erases() && batch.vault().is_none();
        let first = batch.writes().iter().position(|write| may_write_first && updates(write));
        for (at, write) in batch.writes().iter().enumerate() {
            if first != Some(at) && !self.holds(partition, write)? {
                return Err(ApplyError::Conflict);
            }
        }
        let vault = batch.vault().map(|write| vault::plan(connection, partition, write)).transpose()?;
        if let Some(write) = first.and_then(|at| batch.writes().get(at))
            && self.write(batch, write)? == 0
        {
            return Err(ApplyError::Conflict);
        }
        if batch.erases() {
            erase_records(connection, batch)?;
            vault::erase(connection, partition)?;
        }
        for (at, write) in batch.writes().iter().enumerate() {
            if first != Some(at) && write.effect != Effect::Check {
                expect_rows(self.write(batch, write)?, 1)?;
            }
        }
        if let Some(plan) = vault {
            plan.write(connection, partition)?;
        }
        append_events(connection, batch)
    }

    fn holds(&mut self, partition: &Partition, write: &Write) -> Result<bool, ApplyError> {
        let found: Option<[u8; 16]> =
            self.look.query_row(params![partition.key(), write.slot.to_text()], |row| row.get(0)).optional()?;
        Ok(match (found, write.expect) {
            (None, Expect::Absent) => true,
            (Some(found), Expect::Revision(revision)) => found == revision.to_bytes(),
            (None, Expect::Revision(_)) | (Some(_), Expect::Absent) => false,
        })
    }

    /// Writes one record. Gives how many rows that changed.
    fn write(&mut self, batch: &Batch, write: &Write) -> Result<usize, ApplyError> {
        let (partition, slot) = (batch.partition().key(), write.slot.to_text());
        Ok(match (&write.effect, write.expect) {
            (Effect::Check, _) => 0,
            (Effect::Delete, _) => self
                .connection
                .prepare_cached("DELETE FROM keywright_records WHERE partition = ?1 AND slot = ?2")?
                .execute(params![partition, slot])?,
            (Effect::Put { body, purge_after }, Expect::Absent) => self
                .connection
                .prepare_cached(
                    "INSERT INTO keywright_records (partition, slot, revision, body, purge_after)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![partition, slot, batch.revision().to_bytes(), &body[..], moment(*purge_after)])?,
            (Effect::Put { body, purge_after }, Expect::Revision(before)) => {
                let (before, after) = (before.to_bytes(), batch.revision().to_bytes());
                self.update.execute(params![partition, slot, before, after, &body[..], moment(*purge_after)])?
            }
        })
    }
}

const fn updates(write: &Write) -> bool {
    matches!((&write.effect, write.expect), (Effect::Put { .. }, Expect::Revision(_)))
}

fn moment(moment: Option<UnixSeconds>) -> Option<i64> {
    moment.map(|moment| number(moment.get()))
}

/// The guard said that the rows are there: another count means a damaged file, and the transaction is rolled back.
pub(crate) fn expect_rows(changed: usize, expected: usize) -> Result<(), ApplyError> {
    if changed == expected { Ok(()) } else { Err(ApplyError::Failed(Fault::new(FaultKind::Corrupt))) }
}

/// Drops every record of the partition that the batch does not write.
fn erase_records(connection: &Connection, batch: &Batch) -> Result<(), ApplyError> {
    let partition = batch.partition().key();
    let kept: Vec<String> = batch.writes().iter().map(|write| write.slot.to_text()).collect();
    let mut select = connection.prepare_cached("SELECT slot FROM keywright_records WHERE partition = ?1")?;
    // As text: a slot that only a newer version knows goes too.
    let slots = select.query_map([partition], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM keywright_records WHERE partition = ?1 AND slot = ?2")?;
    for slot in slots.iter().filter(|slot| !kept.contains(slot)) {
        delete.execute([partition, slot])?;
    }
    Ok(())
}

fn append_events(connection: &Connection, batch: &Batch) -> Result<(), ApplyError> {
    if batch.events().is_empty() {
        return Ok(());
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO keywright_events (partition, at, event) VALUES (?1, ?2, ?3)")?;
    for event in batch.events() {
        let text = serde_json::to_string(event).map_err(|_| ApplyError::Failed(Fault::new(FaultKind::UnknownForm)))?;
        insert.execute(params![batch.partition().key(), number(event.at.get()), text])?;
    }
    Ok(())
}

/// SQLite's integers are signed. A moment fits always (the year 9999 is 2³⁸); an event's number, which SQLite gave, too.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
