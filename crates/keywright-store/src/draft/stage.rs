//! Staging: the records, vault writes and events that the batch will write.

use std::sync::Arc;

use keywright_core::{Event, EventChain, UnixSeconds};

use super::Draft;
use crate::due::list::DUE;
use crate::loaded::PlainBody;
use crate::record::{Record, RecordError, encode};
use crate::slot::{Expiring, Lasting, Slot, SlotName};
use crate::step_error::StepError;
use crate::vault::VaultWrite;

impl Draft<'_> {
    /// Stages a record that lasts.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read): a record that does not open is never
    /// overwritten.
    pub fn put<R: Record>(&mut self, slot: Slot<R, Lasting>, record: &R) -> Result<(), StepError> {
        self.stage_record(slot, record, None)
    }

    /// Stages a record that expires. From `expiry` on it may be missing.
    ///
    /// # Errors
    /// Returns the errors of [`put`](Self::put).
    pub fn put_until<R: Record>(
        &mut self,
        slot: Slot<R, Expiring>,
        record: &R,
        expiry: UnixSeconds,
    ) -> Result<(), StepError> {
        self.stage_record(slot, record, Some(expiry))
    }

    /// Stages the removal of a record, which must be loaded. Use it to remove what is no longer
    /// needed. A step that uses up a code or a proof should instead put the record with the code
    /// marked as spent. [`discard`](Self::discard) removes an expiring record without reading it.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read).
    pub fn delete<R, L>(&mut self, slot: Slot<R, L>) -> Result<(), StepError> {
        self.delete_named(slot.name())
    }

    /// Stages the removal of an expiring record without reading it, so it need not be loaded. A
    /// request that needs such a record is denied if it is absent, so it is safe not to check
    /// whether it was still there.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn discard<R>(&mut self, slot: Slot<R, Expiring>) -> Result<(), StepError> {
        self.root()?;
        self.staged.writes.insert(slot.name(), None);
        self.touch();
        Ok(())
    }

    /// Seals the root and every loaded record of the partition again if any of them is not under
    /// the newest key. Returns whether there was anything to do. This is for upkeep; every other
    /// put also seals under the newest key.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read).
    pub fn reseal(&mut self) -> Result<bool, StepError> {
        self.root()?;
        let names: Vec<SlotName> = self.loaded.root.contents.keys().copied().collect();
        self.require(&names)?;
        let mut changed = !self.loaded.is_current;
        for name in names {
            let stored = self.loaded.records.get(&name).and_then(Option::as_ref);
            let old = stored.is_some_and(|body| !self.env.keyring.is_current(body));
            if old && let Some(plain) = self.plain(name)? {
                self.staged.writes.insert(name, Some(plain));
                changed = true;
            }
        }
        if changed {
            self.touch_root();
        }
        Ok(changed)
    }

    /// Stages a vault write.
    ///
    /// # Errors
    /// Returns [`StepError::Misuse`] if one is staged already.
    pub fn write_vault(&mut self, write: VaultWrite) -> Result<(), StepError> {
        if self.staged.vault.is_some() {
            return Err(StepError::Misuse("a batch can carry only one vault write"));
        }
        self.revive()?;
        self.staged.vault = Some(write);
        self.touch();
        Ok(())
    }

    /// Stages an event with the draft's time. If the client that acts is known by a credential
    /// ([`acts_for`](Self::acts_for)), the event gets a field `client` with its mark. Only accounts
    /// have events; in other partitions this does nothing.
    pub fn event(&mut self, event: impl Into<Event>) {
        let event = event.into();
        let mark = self.origin.client.and_then(|client| match event.kind().chain() {
            EventChain::Changes => client.granted_mark(),
            // A credential that a denied client would have obtained does not exist.
            EventChain::Denials => client.mark(),
        });
        self.event_of_many(match mark {
            Some(mark) if !event.has("client") => event.with("client", mark.to_string().as_str()),
            _ => event,
        });
    }

    /// Stages an event that sums up what several clients have done, and so names none.
    pub(crate) fn event_of_many(&mut self, event: Event) {
        if self.partition.is_account() {
            self.staged.events.push(event);
            self.touch();
        }
    }

    pub(super) fn touch_root(&mut self) {
        self.staged.touched = true;
        self.touch();
    }

    pub(super) fn touch(&mut self) {
        // Counted in the draft and not in what is staged, so that a version that was held back is
        // never reused for another state.
        self.versions = self.versions.wrapping_add(1);
        self.staged.version = self.versions;
    }

    fn stage_record<R: Record, L>(
        &mut self,
        slot: Slot<R, L>,
        record: &R,
        expiry: Option<UnixSeconds>,
    ) -> Result<(), StepError> {
        let name = slot.name();
        self.intact(name)?;
        let body = Arc::new(encode(record).map_err(|RecordError| StepError::Encode(name))?);
        let plain = PlainBody { schema: R::SCHEMA, body, expiry, kind: Some(slot.kind()) };
        if name != DUE.name() {
            self.revive()?;
        }
        self.make_room(slot.kind(), name);
        self.staged.writes.insert(name, Some(plain));
        self.touch();
        Ok(())
    }

    fn delete_named(&mut self, name: SlotName) -> Result<(), StepError> {
        self.intact(name)?;
        self.staged.writes.insert(name, None);
        self.touch();
        Ok(())
    }

    /// Whether a record may be overwritten. One that does not open may not be, because an operator
    /// could still fix it. One that the root lists but that is gone may not be, because the loss
    /// would be hidden.
    fn intact(&mut self, name: SlotName) -> Result<(), StepError> {
        self.forbid_guess(name)?;
        self.root()?;
        if !self.loaded.records.contains_key(&name) && !self.loaded.root.contents.contains_key(&name) {
            // There is nothing to lose: the step has just drawn this id.
            return Ok(());
        }
        self.plain(name).map(|_| ())
    }
}
