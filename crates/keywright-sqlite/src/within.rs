//! A step inside a transaction of the host's own, on the same file.

use std::fmt;

use keywright_core::{Entropy, EntropyError, Keyring, UnixSeconds};
use keywright_store::{Batch, Draft, Loaded, Partition, Revision, Slot, StepError};
use rusqlite::{Connection, Transaction};

use crate::apply::{Applier, ApplyError};
use crate::fault::Fault;
use crate::{read, schema};

/// How many slots a step may ask for beyond those named: as many as the driver allows.
const MAX_EXTRA_LOADS: usize = 64;

/// What a step is given besides the transaction.
#[derive(Clone, Copy)]
pub struct WithinContext<'a> {
    keyring: &'a Keyring,
    entropy: &'a dyn Entropy,
    now: UnixSeconds,
}

impl<'a> WithinContext<'a> {
    /// The driver's keyring and entropy, and the moment at which the step decides.
    #[must_use]
    pub const fn new(keyring: &'a Keyring, entropy: &'a dyn Entropy, now: UnixSeconds) -> Self {
        Self { keyring, entropy, now }
    }
}

impl fmt::Debug for WithinContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithinContext").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Runs a step on one partition inside the **host's** transaction, and applies its batch there: what was granted is
/// spent if, and only if, the host's own change is committed. `tx` must be on the store's file.
///
/// Only the spending of what is already granted belongs here. The guess ledger cannot be read
/// ([`StepError::GuessInHostTransaction`]): the host's rollback would erase the charge. Check guesses through the driver
/// first, in its own commit.
///
/// The step may run several times; it must be pure. If this fails, for whatever reason, nothing of it is left in the
/// transaction, and the host may go on with it or roll it back. The outcome comes out of [`Spent`] only after the host's
/// `COMMIT`.
///
/// SQLite has one writer: while `tx` has written, or was begun immediate, a commit through the store waits for it until
/// the busy timeout and is then rejected. So never await the store with such a transaction in hand.
///
/// # Errors
/// [`WithinError`]; each of them denies.
pub fn within<T, F>(
    tx: &Transaction<'_>,
    context: &WithinContext<'_>,
    partition: &Partition,
    slots: &[Slot],
    mut step: F,
) -> Result<Spent<T>, WithinError>
where
    F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
{
    let connection: &Connection = tx;
    if !schema::is_current(connection)? {
        return Err(WithinError::OtherFile);
    }
    let mut loaded = Loaded::new();
    for &slot in [Slot::Root].iter().chain(slots) {
        load(connection, partition, slot, &mut loaded)?;
    }
    let most = loaded.len().saturating_add(MAX_EXTRA_LOADS);
    loop {
        let attempt = Revision::random(context.entropy)?;
        let mut draft =
            Draft::new(partition, &loaded, context.keyring, context.entropy, context.now, attempt).spending();
        match step(&mut draft).and_then(|value| Ok((value, draft.into_batch()?))) {
            Ok((value, batch)) => {
                if let Some(batch) = batch {
                    apply_whole(connection, &batch)?;
                }
                return Ok(Spent { value });
            }
            Err(StepError::NotLoaded(slot)) if loaded.len() < most && !loaded.contains_key(&slot) => {
                load(connection, partition, slot, &mut loaded)?;
            }
            Err(error) => return Err(WithinError::Step(error)),
        }
    }
}

fn load(connection: &Connection, partition: &Partition, slot: Slot, loaded: &mut Loaded) -> Result<(), WithinError> {
    // All in one transaction, so all from one snapshot, also what is loaded later.
    for stored in read::load(connection, partition, &[slot])? {
        loaded.insert(slot, stored);
    }
    Ok(())
}

/// Applies a ready batch inside the host's transaction, under a savepoint: for the conformance suite, which makes its own
/// batches. Services go through [`within`], which guards all that a step has read.
///
/// # Errors
/// [`WithinError`]; nothing of the batch is left in the transaction.
pub fn apply_within(tx: &Transaction<'_>, batch: &Batch) -> Result<(), WithinError> {
    if !schema::is_current(tx)? {
        return Err(WithinError::OtherFile);
    }
    apply_whole(tx, batch)
}

/// Applies the batch under a savepoint, so that a failure half way leaves nothing in the host's transaction.
fn apply_whole(connection: &Connection, batch: &Batch) -> Result<(), WithinError> {
    connection.execute_batch("SAVEPOINT keywright_within").map_err(Fault::from)?;
    let applied = Applier::new(connection)
        .map_err(ApplyError::from)
        .and_then(|mut applier| applier.apply(batch))
        .and_then(|()| Ok(connection.execute_batch("RELEASE keywright_within")?));
    applied.map_err(|error| {
        // Some of SQLite's failures (a full disk) have rolled back the whole transaction already; then there is no
        // savepoint any more, nothing is left either, and the host's COMMIT fails.
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK TO keywright_within; RELEASE keywright_within");
        }
        match error {
            ApplyError::Conflict => WithinError::Conflict,
            ApplyError::Refused(fault) | ApplyError::Failed(fault) => WithinError::Fault(fault),
        }
    })
}

/// The outcome of a step that was spent in a host's transaction which is **not yet committed**.
#[must_use = "an outcome comes out after the host's commit"]
pub struct Spent<T> {
    value: T,
}

impl<T> Spent<T> {
    /// The outcome. Call this only after the host's `COMMIT` has succeeded; drop it after a rollback, or when the
    /// `COMMIT` gave an error: then it is unknown, and nothing is granted.
    pub fn after_commit(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for Spent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spent(..)")
    }
}

/// Why nothing was spent. Nothing is left in the host's transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WithinError {
    /// The step could not decide.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A guard failed; load again, in a new transaction.
    #[error("a record changed since it was loaded")]
    Conflict,
    /// The transaction is not on a file of this crate's present version.
    #[error("the transaction is on another database, or one of another version")]
    OtherFile,
    /// The file could not be read or written. [`Locked`](crate::FaultKind::Locked) where another writer came between
    /// this transaction's first read and its first write: begin it immediate.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
