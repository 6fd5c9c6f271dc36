#![no_main]
use std::collections::BTreeMap;

use futures_lite::future::block_on;
use keywright_core::AccountId;
use keywright_store::{Batch, CommitError, Effect, Expect, MemoryStore, Partition, RecordStore, Revision, Slot, Write};

#[derive(Debug, arbitrary::Arbitrary)]
struct Change {
    slot: u8,
    /// Guard by what is there, or by something else.
    fresh: bool,
    effect: u8,
}

const SLOTS: [Slot; 4] = [Slot::Root, Slot::Ledger, Slot::Challenge, Slot::Due];

libfuzzer_sys::fuzz_target!(|history: Vec<Vec<Change>>| {
    let store = MemoryStore::new();
    let partition = Partition::account(&AccountId::new("user-1").unwrap());
    let mut model: BTreeMap<Slot, Revision> = BTreeMap::new();
    for (round, changes) in history.into_iter().enumerate() {
        let revision = Revision::from_bytes((round as u128 + 1).to_be_bytes());
        let mut holds = true;
        let mut next = model.clone();
        let mut writes = Vec::new();
        for change in changes {
            let slot = SLOTS[usize::from(change.slot) % SLOTS.len()];
            let there = model.get(&slot).copied();
            let expect = match (change.fresh, there) {
                (true, Some(revision)) => Expect::Revision(revision),
                (true, None) => Expect::Absent,
                (false, _) => Expect::Revision(Revision::from_bytes([0xff; 16])),
            };
            holds &= change.fresh;
            let effect = match change.effect % 3 {
                0 => Effect::Check,
                1 => Effect::Delete,
                _ => Effect::Put { body: vec![change.slot].into(), purge_after: None },
            };
            match effect {
                Effect::Check => {}
                Effect::Delete => drop(next.remove(&slot)),
                Effect::Put { .. } => drop(next.insert(slot, revision)),
            }
            writes.push(Write { slot, expect, effect });
        }
        let Ok(batch) = Batch::new(partition.clone(), revision, writes) else { continue };
        match block_on(store.commit(batch)) {
            Ok(()) => {
                assert!(holds);
                model = next;
            }
            Err(CommitError::Conflict) => assert!(!holds),
            Err(error) => panic!("{error}"),
        }
        let loaded = block_on(store.load(&partition, &SLOTS)).unwrap();
        for (slot, stored) in SLOTS.iter().zip(loaded) {
            assert_eq!(stored.map(|stored| stored.revision), model.get(slot).copied());
        }
    }
});
