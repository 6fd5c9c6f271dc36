//! What a client requested, and which reply it received.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use keywright_core::EventChain;
use keywright_store::{Manifest, Revision, SlotName, Snapshot, StoredEvents, VaultRows, Write};

use super::model::State;

/// The shared counter that numbers requests and replies.
pub(super) type Clock = Arc<AtomicU64>;

/// The reply to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The commit was applied. For a check: the root is still current.
    Yes,
    /// A conflict.
    Conflict,
    /// The commit was rejected.
    Rejected,
    /// No reply, or "unknown".
    Unknown,
}

/// One operation on one partition.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) client: usize,
    pub(super) handle: usize,
    /// When the operation was requested.
    pub(super) asked: u64,
    /// When it was answered, or `None` if it never was.
    pub(super) answered: Option<u64>,
    pub(super) act: Act,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Load {
        slots: Arc<[SlotName]>,
        seen: Snapshot,
    },
    Page {
        chain: EventChain,
        seen: StoredEvents,
    },
    /// The marks of the whole vault.
    Manifest {
        seen: Manifest,
    },
    /// The whole vault.
    Rows {
        seen: VaultRows,
    },
    Check {
        expect: Option<Revision>,
        answer: Answer,
    },
    Commit {
        expect: Option<Revision>,
        write: Arc<Write>,
        answer: Answer,
    },
}

/// Everything that happened to one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Partial {
    /// What the partition held before.
    pub(super) start: State,
    pub(super) operations: Vec<Operation>,
}

/// One history. Its partitions are independent of each other.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) partitions: Vec<Partial>,
}

impl Operation {
    /// The root that the operation saw, if it saw one.
    pub(super) fn saw(&self) -> Option<Option<Revision>> {
        match &self.act {
            Act::Load { seen, .. } => Some(seen.root.as_ref().map(|root| root.revision)),
            Act::Page { seen, .. } => Some(seen.root),
            Act::Manifest { seen } => Some(seen.root),
            Act::Rows { seen } => Some(seen.root),
            Act::Check { expect, answer: Answer::Yes } => Some(*expect),
            Act::Check { .. } | Act::Commit { .. } => None,
        }
    }
}
