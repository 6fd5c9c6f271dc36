//! Finding records that no root lists. This is for an operator's check, never on a request's path.

use super::attempt::Rounds;
use super::{Driver, TransactError};
use crate::loaded::Loaded;
use crate::partition::Partition;
use crate::port::Upkeep;
use crate::revision::Revision;
use crate::step_error::{Damage, StepError};

/// How often a partition is read again because it changed meanwhile.
const MAX_READS: u32 = 8;

/// How many slots are listed at a time: as many as a root can list.
const PAGE: u32 = crate::slot::MAX_SLOTS as u32;

impl Driver {
    /// Checks that a partition holds no record that its root does not list. Somebody added such a
    /// record by writing to the database without this crate. A step never uses such a record, and
    /// notices it only if it reads that very slot. `upkeep` is the driver's own store.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the check fails: with [`Damage::Record`] and the first slot
    /// that the root does not list, or with [`Damage::Orphans`] if there is no root. Returns
    /// [`TransactError::Busy`] if the partition changes too quickly to be compared.
    pub async fn check_slots(&self, upkeep: &dyn Upkeep, partition: &Partition) -> Result<(), TransactError> {
        let mut rounds = Rounds::new(&[]);
        for _ in 0..MAX_READS {
            match self.compare_slots(upkeep, partition).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // As for a step, it counts as damage only if a second read finds it under the same
                // root.
                Err((error, root)) => {
                    if let Err(error) = rounds.go_on(error, root) {
                        self.report(partition, &error);
                        return Err(error);
                    }
                }
            }
        }
        Err(TransactError::Busy)
    }

    /// Checks once. Returns `false` if the root changed meanwhile. A failure is returned with the
    /// root's revision that was seen.
    async fn compare_slots(
        &self,
        upkeep: &dyn Upkeep,
        partition: &Partition,
    ) -> Result<bool, (TransactError, Option<Revision>)> {
        let parts = &*self.parts;
        let unread = |error| (TransactError::Load(error), None);
        let snapshot = parts.store.load(partition, &[]).await.map_err(unread)?;
        let seen = snapshot.root.as_ref().map(|root| root.revision);
        let under = |error: StepError| (error.into(), seen);
        let loaded = Loaded::open(&parts.keyring, parts.kinds.as_ref(), partition, &[], snapshot).map_err(under)?;
        if loaded.orphans {
            return Err(under(StepError::Damaged(Damage::Orphans)));
        }
        let mut after = None;
        loop {
            let page = upkeep.slots(partition, after, PAGE).await.map_err(unread)?;
            if page.root != seen {
                return Ok(false);
            }
            if let Some(stray) = page.slots.iter().find(|slot| !loaded.root.contents.contains_key(slot)) {
                return Err(under(StepError::Damaged(Damage::Record(*stray))));
            }
            match page.slots.last() {
                None => return Ok(true),
                last => after = last.copied(),
            }
        }
    }
}
