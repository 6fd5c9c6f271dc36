//! Families of slots: which ids are in use, and which record is evicted when one more is put into a
//! full family.

use super::Draft;
use crate::slot::{Expiring, Full, Lasting, Members, Slot, SlotFamily, SlotKind, SlotName};
use crate::step_error::StepError;

impl Draft<'_> {
    /// Returns the ids of a family's records, including staged ones, in ascending order.
    #[must_use]
    pub fn ids<R, L>(&self, family: &SlotFamily<R, L>) -> Vec<[u8; 16]> {
        let kind = family.kind().name();
        let mut ids: Vec<[u8; 16]> =
            self.names().into_iter().filter(|name| name.kind() == kind).filter_map(|name| name.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// Stages the record that lists a family's members, and the removal of every record of the
    /// family that it does not list. Those records are [discarded](Self::discard) without being
    /// read. The family must be declared with [`Full::EvictsUnlisted`].
    ///
    /// # Errors
    /// Returns the errors of [`put`](Self::put), and [`StepError::Misuse`] if another record lists
    /// the family, or none does.
    pub fn put_members<R, M: Members>(
        &mut self,
        family: SlotFamily<R, Expiring>,
        slot: Slot<M, Lasting>,
        list: &M,
    ) -> Result<(), StepError> {
        if family.kind().full() != Full::evicts_unlisted(slot) {
            return Err(StepError::Misuse("the family is declared to be listed by another record"));
        }
        self.put(slot, list)?;
        let mut unlisted = self.ids(&family);
        unlisted.retain(|id| !list.lists(id));
        unlisted.into_iter().try_for_each(|id| self.discard(family.at(id)))
    }

    /// Evicts the record that the kind's declaration selects, if the family is full and has no
    /// place for `name`. A family with a list makes room through that list. If no room can be
    /// made, the put is refused when the batch is built.
    pub(super) fn make_room(&mut self, kind: SlotKind, name: SlotName) {
        if kind.full() != Full::EvictsFirstToExpire {
            return;
        }
        let others: Vec<SlotName> =
            self.names().into_iter().filter(|other| other.kind() == kind.name() && *other != name).collect();
        let excess = others.len().saturating_add(1).saturating_sub(kind.most().into());
        if excess == 0 {
            return;
        }
        let put_now = |other: &SlotName| self.staged.writes.contains_key(other);
        let end = |other: &SlotName| self.loaded.root.contents.get(other).and_then(|entry| entry.expiry);
        let mut evictable: Vec<SlotName> = others.into_iter().filter(|other| !put_now(other)).collect();
        evictable.sort_by_key(|other| (end(other), *other));
        evictable.truncate(excess);
        self.staged.writes.extend(evictable.into_iter().map(|other| (other, None)));
    }
}
