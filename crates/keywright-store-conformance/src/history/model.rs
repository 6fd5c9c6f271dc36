//! What a partition holds after a batch: the sequential meaning of a write.

use std::collections::BTreeMap;

use bytes::Bytes;
use keywright_core::EventChain;
use keywright_store::{EventNumber, Newest, Revision, SlotName, Snapshot, StoredEvent, StoredEvents, Write};

/// A partition's rows.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) root: Option<(Revision, Bytes)>,
    pub(super) records: BTreeMap<SlotName, Bytes>,
    events: BTreeMap<(EventChain, EventNumber), StoredEvent>,
}

impl State {
    pub(super) fn revision(&self) -> Option<Revision> {
        self.root.as_ref().map(|(revision, _)| *revision)
    }

    pub(super) fn apply(&mut self, write: &Write) {
        if write.erase {
            self.records.clear();
        }
        for slot in &write.delete {
            self.records.remove(slot);
        }
        self.records.extend(write.put.iter().map(|put| (put.slot, put.body.clone())));
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

    /// Whether a load of these slots shows exactly this state.
    pub(super) fn shows(&self, slots: &[SlotName], seen: &Snapshot) -> bool {
        let root = seen.root.as_ref().map(|root| (root.revision, root.body.clone()));
        let records = slots.iter().map(|slot| self.records.get(slot));
        root == self.root
            && seen.records.iter().map(Option::as_ref).eq(records)
            && seen.newest == self.newest()
            && seen.has_rows != (self.records.is_empty() && self.events.is_empty())
    }

    /// Whether a page of all events of a chain shows exactly this state.
    pub(super) fn pages(&self, chain: EventChain, seen: &StoredEvents) -> bool {
        let events = self.events.iter().rev().filter(|((of, _), _)| *of == chain).map(|(_, event)| event);
        seen.root == self.revision() && seen.events.iter().eq(events)
    }
}
