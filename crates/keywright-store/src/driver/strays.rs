//! Looking for records that no root names: for an operator's check, never on a request's path.

use super::attempt::Rounds;
use super::{Driver, TransactError};
use crate::loaded::Loaded;
use crate::step_error::{Damage, StepError};
use crate::{Partition, Revision, Upkeep};

/// How often a partition is read again because it moved meanwhile.
const MAX_LOOKS: u32 = 8;

/// Slots that are listed in one go: as many as a root can name.
const PAGE: u32 = crate::slot::MAX_SLOTS as u32;

impl Driver {
    /// Sees that no record lies in a partition that its root does not name. Such a record was added by somebody who writes the
    /// database past this crate; a step never takes it for one, but meets it only if it asks for just that slot. `upkeep` is
    /// the driver's own store.
    ///
    /// # Errors
    /// [`TransactError`]; [`Damage::Record`] with the first slot that the root does not name, [`Damage::Orphans`] if there is
    /// no root, and [`TransactError::Busy`] if the partition changes too quickly to be compared.
    pub async fn check_slots(&self, upkeep: &dyn Upkeep, partition: &Partition) -> Result<(), TransactError> {
        let mut rounds = Rounds::new(&[]);
        for _ in 0..MAX_LOOKS {
            match self.look_for_strays(upkeep, partition).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // As for a step: it is damage only if a second look finds it under the same root.
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

    /// One look; `false` if the root moved meanwhile. A failure comes with the root's revision that was seen.
    async fn look_for_strays(
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
