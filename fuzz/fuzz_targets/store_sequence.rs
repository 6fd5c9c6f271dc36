#![no_main]
use std::collections::BTreeMap;

use bytes::Bytes;
use futures_lite::future::block_on;
use keywright_core::AccountId;
use keywright_store::{
    Batch, CommitError, MemoryStore, Partition, Put, RecordStore, Revision, SlotName, Write,
};

#[derive(Debug, arbitrary::Arbitrary)]
struct Change {
    /// Guard by the root that is there, or by another.
    fresh: bool,
    /// Whether anything is written at all.
    checks: bool,
    erase: bool,
    put: Vec<u8>,
    delete: Vec<u8>,
}

fn slot(number: u8) -> SlotName {
    SlotName::parse(["a", "b", "c", "d"][usize::from(number % 4)]).unwrap()
}

libfuzzer_sys::fuzz_target!(|history: Vec<Change>| {
    let store = MemoryStore::new();
    let partition = Partition::account(&AccountId::new("user-1").unwrap());
    let slots: Vec<SlotName> = (0..4).map(slot).collect();
    let mut root: Option<Revision> = None;
    let mut model: BTreeMap<SlotName, Bytes> = BTreeMap::new();
    for (round, change) in history.into_iter().enumerate() {
        let revision = Revision::from_bytes((round as u128 + 1).to_be_bytes());
        let expect = if change.fresh { root } else { Some(Revision::from_bytes([0xff; 16])) };
        let batch = if change.checks {
            Batch::check(partition.clone(), expect)
        } else {
            let put = change.put.iter().map(|&number| {
                Put { slot: slot(number), body: Bytes::from(vec![number, round as u8]), purge_after: None }
            });
            let write = Write {
                erase: change.erase,
                put: put.collect(),
                delete: change.delete.iter().map(|&number| slot(number)).collect(),
                ..Write::root(revision, Bytes::from_static(b"root"))
            };
            let Ok(batch) = Batch::new(partition.clone(), expect, write) else { continue };
            batch
        };
        match block_on(store.commit(batch.clone())) {
            Ok(()) => {
                assert!(change.fresh);
                if let Some(write) = batch.write() {
                    if write.erase {
                        model.clear();
                    }
                    write.delete.iter().for_each(|slot| drop(model.remove(slot)));
                    model.extend(write.put.iter().map(|put| (put.slot, put.body.clone())));
                    root = Some(revision);
                }
            }
            Err(CommitError::Conflict) => assert!(!change.fresh),
            Err(error) => panic!("{error}"),
        }
        let loaded = block_on(store.load(&partition, &slots)).unwrap();
        assert_eq!(loaded.root.map(|stored| stored.revision), root);
        for (slot, body) in slots.iter().zip(loaded.records) {
            assert_eq!(body.as_ref(), model.get(slot));
        }
    }
});
