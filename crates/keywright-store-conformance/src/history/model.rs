//! What a partition holds after a batch: the sequential meaning of a write.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use keywright_core::EventChain;
use keywright_store::{
    CipherId, ClientNonce, EventNumber, Manifest, Mark, Newest, Revision, Row, RowMarks, SlotName, Snapshot, StageId,
    StoredEvent, StoredEvents, VaultRows, VaultWrite, Write,
};

use crate::site::LONG_AGO;

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) body: Bytes,
    /// Whether a sweep may drop it. The horizon of every history stays at one moment.
    pub(super) due: bool,
    /// Whether a sweep has dropped it, because a read has seen that it is missing.
    pub(super) gone: bool,
}

/// The texts that were staged, by stage, cipher and mark. Parts of a stage are unguarded, so only
/// the rows that a promotion names count.
pub(super) type Staged = HashMap<(StageId, CipherId, Mark), Bytes>;

/// A partition's rows.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) root: Option<(Revision, Bytes)>,
    pub(super) records: BTreeMap<SlotName, Kept>,
    pub(super) ciphers: BTreeMap<CipherId, Row>,
    pub(super) events: BTreeMap<(EventChain, EventNumber), StoredEvent>,
    /// Everything that was staged in the whole history, in all partitions.
    pub(super) staged: Arc<Staged>,
}

impl State {
    pub(super) fn revision(&self) -> Option<Revision> {
        self.root.as_ref().map(|(revision, _)| *revision)
    }

    pub(super) fn apply(&mut self, write: &Write) {
        if write.erase {
            self.records.clear();
            self.ciphers.clear();
        }
        for slot in &write.delete {
            self.records.remove(slot);
        }
        self.records.extend(write.put.iter().map(|put| {
            let due = put.purge_after.is_some_and(|moment| moment < LONG_AGO);
            (put.slot, Kept { body: put.body.clone(), due, gone: false })
        }));
        match &write.vault {
            None => {}
            Some(VaultWrite::Promote { stage, rows }) => {
                for (id, mark) in rows {
                    let text = self.staged.get(&(*stage, *id, *mark));
                    if let (Some(kept), Some(text)) = (self.ciphers.get_mut(id), text) {
                        // As the clients make them, the nonce follows from the mark.
                        let nonce = ClientNonce(mark.0.map(|byte| byte ^ 0xff));
                        kept.marks = RowMarks { text: *mark, nonce, ..kept.marks };
                        kept.text = text.clone();
                    }
                }
            }
            Some(VaultWrite::Edit { put, delete }) => {
                self.ciphers.retain(|id, _| !delete.contains(id));
                self.ciphers.extend(put.iter().map(|row| (row.id(), row.clone())));
            }
            Some(VaultWrite::Swap { rows }) => {
                for row in rows {
                    if let Some(kept) = self.ciphers.get_mut(&row.id()) {
                        kept.marks = RowMarks { note: kept.marks.note, ..row.marks };
                        kept.text = row.text.clone();
                    }
                }
            }
        }
        for (chain, first) in &write.forget {
            self.events.retain(|(of, number), _| of != chain || number >= first);
        }
        self.events.extend(write.events.iter().map(|event| ((event.chain, event.number), event.clone())));
        self.root = Some((write.revision, write.root.clone()));
    }

    pub(super) fn numbers(&self, chain: EventChain) -> Vec<EventNumber> {
        self.events.keys().filter(|(of, _)| *of == chain).map(|(_, number)| *number).collect()
    }

    fn newest(&self) -> Newest {
        let of = |chain| self.numbers(chain).last().copied().unwrap_or(0);
        Newest { changes: of(EventChain::Changes), denials: of(EventChain::Denials) }
    }

    /// Whether a manifest shows exactly this state.
    pub(super) fn lists(&self, seen: &Manifest) -> bool {
        seen.root == self.revision() && seen.rows.iter().eq(self.ciphers.values().map(|row| &row.marks))
    }

    /// Whether a read of the whole vault shows exactly this state.
    pub(super) fn reads(&self, seen: &VaultRows) -> bool {
        seen.root == self.revision() && seen.rows.iter().eq(self.ciphers.values())
    }

    /// Whether a load shows that a sweep has dropped this record.
    pub(super) fn is_swept(&self, slot: SlotName, seen: Option<&Bytes>) -> bool {
        seen.is_none() && self.records.get(&slot).is_some_and(|record| record.due)
    }

    /// Notes that a sweep has dropped a record. It does not reappear until it is put again.
    pub(super) fn take(&mut self, slot: SlotName) {
        if let Some(record) = self.records.get_mut(&slot) {
            record.gone = true;
        }
    }

    /// Whether a load of these slots shows exactly this state. Records that are due may be missing
    /// already.
    pub(super) fn shows(&self, slots: &[SlotName], seen: &Snapshot) -> bool {
        let root = seen.root.as_ref().map(|root| (root.revision, root.body.clone()));
        let shown = |(slot, seen): (&SlotName, &Option<Bytes>)| match (self.records.get(slot), seen) {
            (None, None) => true,
            (Some(record), None) => record.due,
            (Some(record), Some(body)) => !record.gone && record.body == *body,
            (None, Some(_)) => false,
        };
        root == self.root
            && seen.records.len() == slots.len()
            && slots.iter().zip(&seen.records).all(shown)
            && seen.newest == self.newest()
            && self.rows_are(seen.has_rows)
    }

    /// Whether a load may report this about the rows beside the root. Records that are due may be
    /// missing already.
    fn rows_are(&self, there: bool) -> bool {
        let lasting =
            !self.events.is_empty() || !self.ciphers.is_empty() || self.records.values().any(|record| !record.due);
        if there { lasting || self.records.values().any(|record| !record.gone) } else { !lasting }
    }

    /// Whether a page of all events of a chain shows exactly this state.
    pub(super) fn pages(&self, chain: EventChain, seen: &StoredEvents) -> bool {
        let events = self.events.iter().rev().filter(|((of, _), _)| *of == chain).map(|(_, event)| event);
        seen.root == self.revision() && seen.events.iter().eq(events)
    }
}
