//! The maintenance of a store, which is never part of handling a request. Run it from a timer, with
//! small limits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use keywright_core::{AccountId, ClockError, KeyId, UnixSeconds};
use keywright_store::{CommitError, Driver, HORIZON_STEP, LoadError, Partition, StepError, TransactError};

use crate::key_note;
use crate::measure;
use crate::pace::Pace;
use keywright_store::Store;

/// How many partitions are read at a time when all must be.
const PAGE: u32 = 256;

/// A position in the store at which a pass over all partitions stopped. Pass it to the next call to
/// continue. An outdated one does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) Partition);

/// A position in the list of due work at which a pass stopped.
///
/// The list changes while it is read: finished work leaves it, failed work moves back, and more is
/// added. The cursor therefore contains the accounts that the pass has already returned, not an
/// index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCursor(HashSet<Partition>);

/// One page of the accounts that have due work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// The accounts that have due work.
    pub accounts: Vec<AccountId>,
    /// Where to continue; `None` at the end.
    pub next: Option<DueCursor>,
}

/// The accounts with due work among one page of all partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueScan {
    /// The accounts that have due work.
    pub accounts: Vec<AccountId>,
    /// The accounts whose root does not open. An operator must investigate them.
    pub unreadable: Vec<AccountId>,
    /// Whether a place in the store's own list of accounts cannot be read, so that accounts were
    /// left out. An operator must restore a backup.
    pub damaged: bool,
    /// Where to continue; `None` at the end of the store.
    pub next: Option<Cursor>,
}

/// The result of sealing one page of partitions again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// How many partitions were sealed again.
    pub resealed: u64,
    /// The partitions in which a record does not open. They were not changed; an operator must
    /// investigate them.
    pub unreadable: Vec<Partition>,
    /// Where to continue; `None` at the end of the store.
    pub next: Option<Cursor>,
}

/// The store's horizon: the time before which expired rows are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Horizon {
    /// The horizon.
    pub at: UnixSeconds,
    /// Whether the clock is more than a day ahead of the horizon. Either the server was off for
    /// long, or its clock runs ahead. This is worth a warning.
    pub clock_is_ahead: bool,
}

/// Whether the keys before the newest can be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retirement {
    /// Nothing is sealed under these keys any more. Remove them from the keyring file if you like.
    Retired(Vec<KeyId>),
    /// Something in a partition is still sealed under an older key.
    InUse(Partition),
}

/// The maintenance of a store.
#[derive(Clone)]
pub struct Housekeeping {
    pub(crate) driver: Driver,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pace: Arc<Mutex<Pace>>,
}

impl Housekeeping {
    pub(crate) fn new(driver: Driver, store: Arc<dyn Store>, pace: Arc<Mutex<Pace>>) -> Self {
        Self { driver, store, pace }
    }

    /// Moves the store's horizon towards the present. It moves forward by at most a day per call,
    /// and at most once in [`HORIZON_PAUSE`](crate::HORIZON_PAUSE), whichever process does it. If it
    /// is beyond the present, it moves back immediately. Call this once each round, before the
    /// sweeps.
    ///
    /// Sweeps delete only what expired before the horizon. If a clock runs ahead by years, one
    /// round therefore deletes only what expires within one more day, and there is no lasting
    /// effect once the clock is corrected.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the horizon could not be read or moved.
    pub async fn move_horizon(&self) -> Result<Horizon, HousekeepingError> {
        let work = async {
            let now = self.driver.clock().now()?;
            let stands = stored_horizon(&*self.store).await?;
            let at = match stands {
                Some(stands) if stands > now => self.store.move_horizon(now).await?,
                _ => self.move_forward(now, stands).await?,
            };
            self.driver.set_horizon(at);
            measure::set_horizon(&self.driver, at);
            let clock_is_ahead = now > stands.unwrap_or(at).plus(HORIZON_STEP);
            Ok(Horizon { at, clock_is_ahead })
        };
        self.measured("move_horizon", work).await
    }

    async fn move_forward(
        &self,
        now: UnixSeconds,
        stands: Option<UnixSeconds>,
    ) -> Result<UnixSeconds, HousekeepingError> {
        let pace = || self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let instant = Instant::now();
        let (before, goal) = {
            let mut pace = pace();
            match (pace.goal(instant, now, stands), stands) {
                (None, Some(stands)) => return Ok(stands),
                // Taken before the move, because two concurrent rounds must not move it twice.
                (goal, _) => (pace.moved.replace(instant), goal.unwrap_or(now)),
            }
        };
        match self.store.move_horizon(goal).await {
            Ok(at) => {
                pace().arrived(instant, at);
                Ok(at)
            }
            Err(error) => {
                // A horizon that did not move need not pause. One that may have moved must.
                if !matches!(error, CommitError::Unknown(_)) {
                    pace().moved = before;
                }
                Err(error.into())
            }
        }
    }

    /// A horizon beyond the present was left by a clock that ran ahead, or set by somebody who
    /// writes to the store. It is moved back before anything is dropped by it.
    async fn take_back_horizon(&self) -> Result<(), HousekeepingError> {
        let now = self.driver.clock().now()?;
        if stored_horizon(&*self.store).await?.is_some_and(|stands| stands > now) {
            self.driver.set_horizon(self.store.move_horizon(now).await?);
        }
        Ok(())
    }

    /// Drops at most `limit` records, uploads and never-verified accounts that expired before the
    /// horizon. Returns how many. A horizon beyond the present is moved back first.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the sweep failed.
    pub async fn sweep(&self, limit: u32) -> Result<u64, HousekeepingError> {
        let work = async {
            self.take_back_horizon().await?;
            Ok(self.store.sweep(limit).await?)
        };
        self.measured("sweep", work).await
    }

    /// Drops at most `limit` security events that are older than the driver keeps them
    /// ([`Driver::events_kept`]), counted back from the horizon. Returns how many. A horizon beyond
    /// the present is moved back first.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if no event was dropped, or if that is unknown.
    pub async fn forget_events(&self, limit: u32) -> Result<u64, HousekeepingError> {
        let work = async {
            self.take_back_horizon().await?;
            Ok(self.store.forget_events(self.driver.events_kept(), limit).await?)
        };
        self.measured("forget_events", work).await
    }

    /// Reads `limit` partitions from `after` on, and seals again what is not under the newest key,
    /// with one guarded commit for each partition.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if a partition could not be read or written. Continue from the
    /// same cursor then.
    pub async fn reseal(&self, after: Option<Cursor>, limit: u32) -> Result<Resealed, HousekeepingError> {
        let work = async {
            let (page, next) = self.page(after, limit).await?;
            let mut pass = Resealed { resealed: 0, unreadable: Vec::new(), next };
            for partition in page {
                match self.driver.named("housekeeping").reseal(&partition).await {
                    Ok(resealed) => pass.resealed = pass.resealed.saturating_add(u64::from(resealed)),
                    Err(error) if error.is_damage() => pass.unreadable.push(partition),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(pass)
        };
        self.measured("reseal", work).await
    }

    /// Checks whether the whole store is under the newest key. If it is, removes the older keys
    /// from the record of keys in use, so that a keyring without them opens this store. Before you
    /// call this, every server must have been started with the new keyring, and a
    /// [`reseal`](Self::reseal) pass must have been completed.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the store could not be read, or the record could not be
    /// written.
    pub async fn retire_old_keys(&self) -> Result<Retirement, HousekeepingError> {
        let mut after = None;
        loop {
            let (page, next) = self.page(after, PAGE).await?;
            for partition in page {
                match self.driver.is_sealed_newest(&partition).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Retirement::InUse(partition)),
                    // A record that does not open may be under an older key, so an operator must
                    // look into it first.
                    Err(error) if error.is_damage() => return Ok(Retirement::InUse(partition)),
                    Err(error) => return Err(error.into()),
                }
            }
            match next {
                Some(place) => after = Some(place),
                None => break,
            }
        }
        let keys = [key_note::KEYS_IN_USE.name()];
        let retired =
            self.driver.named("housekeeping").transact(&Partition::server(), &keys, key_note::retire_in).await?;
        Ok(Retirement::Retired(retired))
    }

    /// Returns some of the accounts with due work that may be tried now, the longest overdue first,
    /// at most `limit`. This reads an index, not the whole store. Pass each account to the service
    /// that does such work, such as `Nextcloud::finish_due`, and continue from `next`, even if the
    /// work of some accounts was not done.
    ///
    /// Work may be done between two calls, and other processes may do and add some meanwhile. A
    /// pass visits each account once, and leaves out none that was in the list from the beginning
    /// of the pass to its end. The cursor grows with the accounts that were returned, and each call
    /// reads the index again from its top.
    ///
    /// The index is in clear. Somebody who can write to the database can remove an account from it,
    /// or move it to the end. Therefore also run a [pass over all accounts](Self::scan_due) now and
    /// then. Every hour is enough, because that is as long as the pause of work that keeps failing.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the index could not be read.
    pub async fn due(&self, after: Option<DueCursor>, limit: u32) -> Result<Due, HousekeepingError> {
        self.due_by(self.driver.clock().now()?, after, limit).await
    }

    /// Returns accounts with any due work as [`due`](Self::due) does, without regard to pauses.
    /// This is for the start of a server.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the index could not be read.
    pub async fn due_at_start(&self, after: Option<DueCursor>, limit: u32) -> Result<Due, HousekeepingError> {
        self.due_by(UnixSeconds::MAX, after, limit).await
    }

    pub(crate) async fn measured<T>(
        &self,
        task: &'static str,
        work: impl Future<Output = Result<T, HousekeepingError>>,
    ) -> Result<T, HousekeepingError> {
        let result = work.await;
        measure::count_call(&self.driver, task, &result);
        result
    }

    async fn due_by(&self, now: UnixSeconds, after: Option<DueCursor>, limit: u32) -> Result<Due, HousekeepingError> {
        let work = async {
            let limit = limit.max(1);
            let DueCursor(mut passed) = after.unwrap_or_else(|| DueCursor(HashSet::new()));
            // All accounts that were passed may still be before the next ones.
            let asked = u32::try_from(passed.len()).unwrap_or(u32::MAX).saturating_add(limit);
            let found = self.store.due(now, asked).await?;
            let is_full = u32::try_from(found.len()).is_ok_and(|found| found >= asked);
            let mut fresh = found.into_iter().filter(|partition| !passed.contains(partition));
            let page: Vec<Partition> = fresh.by_ref().take(limit as usize).collect();
            let goes_on = is_full || fresh.next().is_some();
            drop(fresh);
            let accounts = page.iter().filter_map(Partition::as_account).collect();
            passed.extend(page);
            if !goes_on && now < UnixSeconds::MAX {
                measure::set_due(passed.len());
            }
            Ok(Due { accounts, next: goes_on.then_some(DueCursor(passed)) })
        };
        self.measured("due", work).await
    }

    pub(crate) async fn page(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Partition>, Option<Cursor>), HousekeepingError> {
        let limit = limit.max(1);
        let page = self.store.partitions(after.map(|Cursor(partition)| partition), limit).await?;
        let full = u32::try_from(page.len()).is_ok_and(|found| found >= limit);
        let next = page.last().filter(|_| full).cloned().map(Cursor);
        Ok((page, next))
    }
}

keywright_core::redacted_debug!(Housekeeping { store, .. });

/// The store's horizon. One that cannot be read is no reason to stop, because the next move starts
/// it again.
pub(crate) async fn stored_horizon(store: &dyn Store) -> Result<Option<UnixSeconds>, LoadError> {
    match store.horizon().await {
        Err(LoadError::Corrupt(error)) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "the store's horizon cannot be read");
            Ok(None)
        }
        answer => answer,
    }
}

/// Why maintenance failed. It can be tried again at any time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HousekeepingError {
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The store could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not delete what it should have deleted, or it is unknown whether it did.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A record could not be read or written.
    #[error(transparent)]
    Transact(#[from] TransactError),
}

impl From<StepError> for HousekeepingError {
    fn from(error: StepError) -> Self {
        Self::Transact(error.into())
    }
}
