//! The records that these tests write.

use bytes::Bytes;
use keywright_core::{AccountId, EventKind, SecurityEvent, SystemEntropy, UnixSeconds};
use keywright_sqlite::{Fault, FaultKind};
use keywright_store::{Batch, CommitError, Effect, Expect, Partition, RecordStore, Revision, Slot, Write};

/// The record that every test batch writes beside the root.
pub(crate) const NOTE: Slot = Slot::Host([9; 16]);

pub(crate) fn account(number: usize) -> Partition {
    Partition::account(&AccountId::new(format!("user-{number}")).unwrap())
}

pub(crate) fn put(slot: Slot, before: Option<Revision>, body: &[u8]) -> Write {
    let expect = before.map_or(Expect::Absent, Expect::Revision);
    Write { slot, expect, effect: Effect::Put { body: Bytes::copy_from_slice(body), purge_after: None } }
}

/// Writes `number` into the root and the note, over `before`, with an event that carries it too.
pub(crate) fn numbered(partition: &Partition, before: Option<Revision>, number: u64) -> Batch {
    let body = number.to_be_bytes();
    let writes = vec![put(Slot::Root, before, &body), put(NOTE, before, &body)];
    let kind = EventKind::ConfirmationAsked { action: number.to_string() };
    Batch::new(partition.clone(), Revision::random(&SystemEntropy).unwrap(), writes)
        .unwrap()
        .with_events(vec![SecurityEvent::new(UnixSeconds::new(number).unwrap(), kind)])
}

/// The number in the root and the note; they must be the same.
pub(crate) async fn number(store: &dyn RecordStore, partition: &Partition) -> Option<(Revision, u64)> {
    let loaded = store.load(partition, &[Slot::Root, NOTE]).await.unwrap();
    assert_eq!(loaded[0], loaded[1], "half a batch");
    loaded[0].as_ref().map(|stored| (stored.revision, u64::from_be_bytes(stored.body[..].try_into().unwrap())))
}

/// The fault inside a rejected commit.
pub(crate) fn rejected(result: Result<(), CommitError>) -> FaultKind {
    match result {
        Err(CommitError::Rejected(source)) => source.downcast_ref::<Fault>().unwrap().kind(),
        other => panic!("{other:?}"),
    }
}
