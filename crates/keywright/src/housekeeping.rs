//! What keeps a store tidy, never on a request's path: run it from a timer, with small limits.

use std::fmt;
use std::sync::Arc;

use keywright_core::{AccountId, ClockError, KeyId, UnixSeconds};
use keywright_store::{CommitError, Draft, Driver, LoadError, Partition, Scanned, Slot, StepError, TransactError, due};

use crate::{Store, kids};

/// How many records are looked at in one go when all must be.
const PAGE: u32 = 256;

/// A place in the store where a pass stopped: give it back to go on. It means nothing else, and no harm comes of an old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Partition, Slot);

/// One stretch of a re-sealing pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// How many records were sealed anew.
    pub resealed: u64,
    /// Records that do not open, by partition and slot. They were left as they are; an operator must see to them.
    pub unreadable: Vec<(Partition, Slot)>,
    /// Where to go on; `None` at the end of the store.
    pub next: Option<Place>,
}

/// One stretch of a search for accounts that are owed work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// The accounts. Hand each to the service that does such work, `Nextcloud::finish_due` for one.
    pub accounts: Vec<AccountId>,
    /// Where to go on; `None` at the end of the store.
    pub next: Option<Place>,
}

/// Whether the keys before the newest can go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retirement {
    /// Nothing is sealed under these any more: they may be taken out of the keyring file.
    Retired(Vec<KeyId>),
    /// A record is still sealed under an older key.
    InUse {
        /// Its partition.
        partition: Partition,
        /// Its slot.
        slot: Slot,
    },
}

/// A store's upkeep.
#[derive(Clone)]
pub struct Housekeeping {
    driver: Driver,
    store: Arc<dyn Store>,
}

impl Housekeeping {
    pub(crate) fn new(driver: Driver, store: Arc<dyn Store>) -> Self {
        Self { driver, store }
    }

    /// Drops at most `limit` records and uploads that have been over for long. Gives their number.
    ///
    /// # Errors
    /// [`HousekeepingError`].
    pub async fn sweep(&self, limit: u32) -> Result<u64, HousekeepingError> {
        Ok(self.store.sweep(self.now()?, limit).await?)
    }

    /// Drops at most `limit` security events older than `age` seconds. Gives their number.
    ///
    /// # Errors
    /// [`HousekeepingError`].
    pub async fn forget_events(&self, age: u64, limit: u32) -> Result<u64, HousekeepingError> {
        Ok(self.store.forget_events(self.now()?.minus(age), limit).await?)
    }

    /// Looks at `limit` records after a place, and seals anew those that are not under the newest key. Each is one
    /// guarded commit; one that changed meanwhile is sealed already.
    ///
    /// # Errors
    /// [`HousekeepingError`]; go on from the same place.
    pub async fn reseal(&self, after: Option<Place>, limit: u32) -> Result<Resealed, HousekeepingError> {
        let (page, next) = self.page(after, limit).await?;
        let mut pass = Resealed { resealed: 0, unreadable: Vec::new(), next };
        for found in page {
            if self.driver.keyring().is_current(&found.stored.body) {
                continue;
            }
            match self.driver.transact(&found.partition, &[found.slot], |draft| reseal(draft, &found)).await {
                Ok((resealed, _)) => pass.resealed = pass.resealed.saturating_add(u64::from(resealed)),
                Err(TransactError::Step(StepError::Open(_))) => pass.unreadable.push((found.partition, found.slot)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pass)
    }

    /// Sees whether the whole store is under the newest key, and if so, strikes the older ones from the note of keys in
    /// use, so that a keyring without them opens this store. Before: every server must have been started with the new
    /// keyring, and a [`reseal`](Self::reseal) pass must have come to its end.
    ///
    /// # Errors
    /// [`HousekeepingError`].
    pub async fn retire_old_keys(&self) -> Result<Retirement, HousekeepingError> {
        let mut after = None;
        loop {
            let (page, next) = self.page(after, PAGE).await?;
            if let Some(old) = page.into_iter().find(|found| !self.driver.keyring().is_current(&found.stored.body)) {
                return Ok(Retirement::InUse { partition: old.partition, slot: old.slot });
            }
            match next {
                Some(place) => after = Some(place),
                None => break,
            }
        }
        let (retired, _) = self.driver.transact(&Partition::server(), &[Slot::Kids], kids::retire_in).await?;
        Ok(Retirement::Retired(retired))
    }

    /// Looks at `limit` records after a place for accounts to which the host still owes work after a commit.
    ///
    /// # Errors
    /// [`HousekeepingError`]; go on from the same place.
    pub async fn due(&self, after: Option<Place>, limit: u32) -> Result<Due, HousekeepingError> {
        let (page, next) = self.page(after, limit).await?;
        let mut accounts = Vec::new();
        for found in page.into_iter().filter(|found| found.slot == Slot::Due) {
            let Some(account) = found.partition.as_account() else { continue };
            // A list that does not open is named too: the service that does the work will say so.
            let owes =
                self.driver.observe(&found.partition, &[Slot::Due], |draft| Ok(!due::pending(draft)?.is_empty()));
            match owes.await {
                Ok(false) => {}
                Ok(true) | Err(TransactError::Step(_)) => accounts.push(account),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Due { accounts, next })
    }

    async fn page(&self, after: Option<Place>, limit: u32) -> Result<(Vec<Scanned>, Option<Place>), HousekeepingError> {
        let limit = limit.max(1);
        let page = self.store.scan(after.map(|Place(partition, slot)| (partition, slot)), limit).await?;
        let full = u32::try_from(page.len()).is_ok_and(|found| found >= limit);
        let next = page.last().filter(|_| full).map(|last| Place(last.partition.clone(), last.slot));
        Ok((page, next))
    }

    fn now(&self) -> Result<UnixSeconds, ClockError> {
        self.driver.clock().now()
    }
}

/// Seals the record anew if it is the one that was found: only then its sweep hint is known.
fn reseal(draft: &mut Draft<'_>, found: &Scanned) -> Result<bool, StepError> {
    if draft.revision(found.slot)? != Some(found.stored.revision) {
        return Ok(false);
    }
    draft.reseal(found.slot, found.purge_after)
}

impl fmt::Debug for Housekeeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Housekeeping").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Upkeep that did not happen. It can be tried again at any time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HousekeepingError {
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The store could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not drop what it should.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A record could not be written.
    #[error(transparent)]
    Transact(#[from] TransactError),
}
