//! Reading the records of the snapshot, as earlier steps have left them.

use std::sync::Arc;

use keywright_core::SealContext;

use super::Draft;
use crate::due::list::DUE;
use crate::guess::ledger::LEDGER;
use crate::loaded::PlainBody;
use crate::record::{Record, RecordError};
use crate::revision::Revision;
use crate::slot::{Slot, SlotName};
use crate::step_error::{Damage, StepError};

impl Draft<'_> {
    /// Whether no slot of the partition holds a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// Whether no slot holds a record other than the list of due work, which an erase keeps.
    pub(crate) fn is_empty_but_for_due(&self) -> bool {
        self.names().iter().all(|name| *name == DUE.name())
    }

    /// Requires all of these slots to be loaded, in one round. A step that cannot name its slots
    /// beforehand (because an id is in another record) calls this before it reads them one by one.
    ///
    /// # Errors
    /// Returns [`StepError::NotLoaded`] if any of them is missing from the snapshot. Pass it on.
    pub fn require(&self, slots: &[SlotName]) -> Result<(), StepError> {
        let missing: Vec<SlotName> =
            slots.iter().filter(|slot| !self.loaded.records.contains_key(slot)).copied().collect();
        if missing.is_empty() { Ok(()) } else { Err(StepError::NotLoaded(missing)) }
    }

    /// Returns the record in a slot, as earlier steps have left it.
    ///
    /// # Errors
    /// Returns [`StepError::NotLoaded`] if the slot was not loaded. Pass it on: the driver loads
    /// the slot and runs the step again. Any other error means that the record does not open, or
    /// contradicts the root about its existence. The caller must deny.
    pub fn read<R: Record, L>(&mut self, slot: Slot<R, L>) -> Result<Option<R>, StepError> {
        let name = slot.name();
        self.forbid_guess(name)?;
        self.root()?;
        let Some(plain) = self.plain(name)? else { return Ok(None) };
        R::decode(plain.schema, &plain.body).map(Some).map_err(|RecordError| StepError::Decode(name))
    }

    /// Opens every record that the root lists, and returns how many there are. Whether their
    /// content makes sense is not checked. [`Driver::check_slots`](crate::Driver::check_slots)
    /// finds records that the root does not list.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read).
    pub fn open_all(&mut self) -> Result<usize, StepError> {
        match self.root() {
            Err(StepError::NoAccount) => return Ok(0),
            root => root?,
        };
        let slots: Vec<SlotName> = self.loaded.root.contents.keys().copied().collect();
        self.require(&slots)?;
        let mut opened = 0_usize;
        for slot in slots {
            opened = opened.saturating_add(usize::from(self.plain(slot)?.is_some()));
        }
        Ok(opened)
    }

    /// Returns the revision under which a record was last written, as it was loaded, to be compared
    /// with that of a plan made outside the draft. Returns `None` if the root lists no such record.
    #[must_use]
    pub fn revision<R, L>(&self, slot: Slot<R, L>) -> Option<Revision> {
        self.loaded.root.contents.get(&slot.name()).map(|entry| entry.revision)
    }

    pub(super) fn forbid_guess(&self, name: SlotName) -> Result<(), StepError> {
        if self.spending && name == LEDGER.name() { Err(StepError::GuessInHostTransaction) } else { Ok(()) }
    }

    /// The slots that hold a record, as earlier steps have left them.
    pub(super) fn names(&self) -> Vec<SlotName> {
        let kept = self.loaded.root.contents.keys().filter(|_| !self.staged.erase);
        let mut names: Vec<SlotName> = kept.filter(|name| !self.staged.writes.contains_key(name)).copied().collect();
        names.extend(self.staged.writes.iter().filter(|(_, plain)| plain.is_some()).map(|(name, _)| *name));
        names
    }

    /// The slot's body in clear. It is either staged, or loaded and opened under exactly the
    /// revision that the root lists.
    pub(super) fn plain(&mut self, name: SlotName) -> Result<Option<PlainBody>, StepError> {
        // A record that is overwritten must have been loaded too, or the loss of a record would be
        // hidden.
        let stored = self.loaded.records.get(&name).ok_or_else(|| StepError::NotLoaded(vec![name]))?;
        if let Some(staged) = self.staged.writes.get(&name) {
            return Ok(staged.clone());
        }
        if self.staged.erase {
            return Ok(None);
        }
        let (entry, body) = match (self.loaded.root.contents.get(&name), stored) {
            (None, None) => return Ok(None),
            // For a record that expires, its absence already denies.
            (Some(entry), None) if entry.expiry.is_some() => return Ok(None),
            (None, Some(_)) | (Some(_), None) => return Err(StepError::Damaged(Damage::Record(name))),
            (Some(entry), Some(body)) => (entry, body),
        };
        if let Some(plain) = self.loaded.opened.get(name) {
            return Ok(Some(plain));
        }
        let (label, text) = (self.partition.seal_label(), name.to_text());
        let context = SealContext::new(&label, &text, entry.revision.to_bytes());
        let (schema, body) = self.env.keyring.open(&context, body).map_err(StepError::Open)?;
        let plain = PlainBody { schema, body: Arc::new(body), expiry: entry.expiry, kind: None };
        self.loaded.opened.insert(name, plain.clone());
        Ok(Some(plain))
    }
}
