//! Batches and stores that the tests share.

use bytes::Bytes;
use keywright_core::AccountId;
use keywright_postgres::{Fault, FaultKind, OpenError, PostgresStore};
use keywright_store::{Batch, CommitError, LoadError, Partition, RecordStore, Revision, Write};

pub(crate) fn account(name: &str) -> Partition {
    Partition::account(&AccountId::new(name).unwrap())
}

pub(crate) fn batch(partition: &Partition, expect: Option<Revision>) -> Batch {
    batch_of(partition, expect, 700)
}

/// A write of a root of this many bytes.
pub(crate) fn batch_of(partition: &Partition, expect: Option<Revision>, size: usize) -> Batch {
    let write = Write::root(Revision::draw().unwrap(), Bytes::from(vec![7; size]));
    Batch::new(partition.clone(), expect, write).unwrap()
}

pub(crate) async fn root(store: &PostgresStore, partition: &Partition) -> Option<Revision> {
    store.load(partition, &[]).await.unwrap().root.map(|root| root.revision)
}

/// Commits once more.
pub(crate) async fn commit(store: &PostgresStore, partition: &Partition) -> Result<(), CommitError> {
    let expect = root(store, partition).await;
    store.commit(batch(partition, expect)).await
}

/// What became of a commit: its kind, and that of its fault.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Conflict,
    Rejected(FaultKind),
    Unknown(FaultKind),
}

fn kind(source: &(dyn std::error::Error + 'static)) -> FaultKind {
    source.downcast_ref::<Fault>().unwrap_or_else(|| panic!("{source:?}")).kind()
}

pub(crate) fn outcome(result: Result<(), CommitError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(CommitError::Conflict) => Outcome::Conflict,
        Err(CommitError::Rejected(source)) => Outcome::Rejected(kind(&*source)),
        Err(CommitError::Unknown(source)) => Outcome::Unknown(kind(&*source)),
        Err(other) => panic!("{other:?}"),
    }
}

/// The kind of a failed load's fault, and its text.
pub(crate) fn load_fault(result: Result<impl std::fmt::Debug, LoadError>) -> (FaultKind, String) {
    match result {
        Err(LoadError::Failed(source) | LoadError::Corrupt(source)) => (kind(&*source), source.to_string()),
        other => panic!("{other:?}"),
    }
}

/// The kind of the fault because of which a store was not opened.
pub(crate) fn open_fault(result: Result<PostgresStore, OpenError>) -> FaultKind {
    match result {
        Err(OpenError::Fault(fault)) => fault.kind(),
        other => panic!("{other:?}"),
    }
}
