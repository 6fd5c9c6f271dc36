//! The records that these tests write.

use bytes::Bytes;
use keywright_core::{AccountId, EventChain, UnixSeconds};
use keywright_sqlite::{Fault, FaultKind};
use keywright_store::slot::KindName;
use keywright_store::{Batch, CommitError, Partition, Put, RecordStore, Revision, SlotName, StoredEvent, Write};

/// The record that every test batch writes beside the root.
pub(crate) const NOTE: SlotName = SlotName::new(KindName::new("note"), None);

pub(crate) fn account(number: usize) -> Partition {
    Partition::account(&AccountId::new(format!("user-{number}")).unwrap())
}

pub(crate) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

pub(crate) fn put(slot: SlotName, body: &[u8]) -> Put {
    Put { slot, body: Bytes::copy_from_slice(body), purge_after: None }
}

/// An event of the changes, at a moment that is its number less one.
pub(crate) fn event(number: u64) -> StoredEvent {
    let json = Bytes::from(format!("{{\"kind\":\"counted\",\"number\":{number}}}"));
    StoredEvent { chain: EventChain::Changes, number, at: at(number.saturating_sub(1)), json, prev: [7; 32] }
}

/// Writes `number` into the root and the note, with an event of that moment.
pub(crate) fn write(number: u64) -> Write {
    let body = Bytes::copy_from_slice(&number.to_be_bytes());
    let note = put(NOTE, &body);
    Write {
        put: vec![note],
        events: vec![event(number.saturating_add(1))],
        ..Write::root(Revision::draw().unwrap(), body)
    }
}

pub(crate) fn numbered(partition: &Partition, before: Option<Revision>, number: u64) -> Batch {
    Batch::new(partition.clone(), before, write(number)).unwrap()
}

/// The number in the root and the note; they must be the same.
pub(crate) async fn number(store: &dyn RecordStore, partition: &Partition) -> Option<(Revision, u64)> {
    let loaded = store.load(partition, &[NOTE]).await.unwrap();
    assert_eq!(loaded.root.as_ref().map(|root| &root.body), loaded.records[0].as_ref(), "half a batch");
    let root = loaded.root?;
    let number = u64::from_be_bytes(root.body[..].try_into().unwrap());
    assert_eq!(loaded.newest.changes, number.saturating_add(1), "the event goes with the batch");
    Some((root.revision, number))
}

/// The moments of a partition's changes, newest first.
pub(crate) async fn moments(store: &dyn RecordStore, partition: &Partition) -> Vec<u64> {
    let page = store.events(partition, EventChain::Changes, None, u32::MAX).await.unwrap();
    page.events.iter().map(|event| event.at.get()).collect()
}

/// The fault inside a rejected commit.
pub(crate) fn rejected<T: std::fmt::Debug>(result: Result<T, CommitError>) -> FaultKind {
    match result {
        Err(CommitError::Rejected(source)) => source.downcast_ref::<Fault>().unwrap().kind(),
        other => panic!("{other:?}"),
    }
}
