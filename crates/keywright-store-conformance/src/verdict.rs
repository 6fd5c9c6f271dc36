//! The parts of the suite, and the verdicts on cases and parts.

use std::fmt;

use crate::violation::Violation;

/// A part of the suite. Everything that one hook makes testable is a part of its own, so that the
/// report names what a backend does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Guards, batches, races, loads, events. For every backend.
    Records,
    /// Horizon, sweeps, listings. For every backend.
    Upkeep,
    /// Random concurrent histories, checked for strict serialisability. For every backend.
    Histories,
    /// The vault: edits, swaps, stages. For backends that keep one.
    Vault,
    /// Replies lost before and after the write. Needs
    /// [`FaultHooks::lose_next_reply`](crate::FaultHooks::lose_next_reply).
    LostReplies,
    /// A `COMMIT` that fails. Needs
    /// [`FaultHooks::fail_next_commit`](crate::FaultHooks::fail_next_commit).
    FailedCommits,
    /// A commit that arrives late. Needs
    /// [`FaultHooks::hold_next_commit`](crate::FaultHooks::hold_next_commit).
    LateCommits,
    /// Rows that remain without a root. Needs [`LostRootHook`](crate::LostRootHook).
    LostRoots,
    /// Batches inside a host's own transaction. Needs [`HostHook`](crate::HostHook).
    HostTransactions,
    /// A process is killed, and the store is opened again. Needs [`CrashHook`](crate::CrashHook).
    Durability,
}

impl Part {
    /// Every part, in the order of a run.
    pub const ALL: [Self; 10] = [
        Self::Records,
        Self::Upkeep,
        Self::Histories,
        Self::Vault,
        Self::LostReplies,
        Self::FailedCommits,
        Self::LateCommits,
        Self::LostRoots,
        Self::HostTransactions,
        Self::Durability,
    ];

    /// Returns the part's name, as a report prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Upkeep => "upkeep",
            Self::Histories => "histories",
            Self::Vault => "vault",
            Self::LostReplies => "lost replies",
            Self::FailedCommits => "failed commits",
            Self::LateCommits => "late commits",
            Self::LostRoots => "lost roots",
            Self::HostTransactions => "host transactions",
            Self::Durability => "durability",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The verdict on one case.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a case passed, failed, or could not be run")]
pub enum CaseVerdict {
    /// The promise held, as far as this run could see.
    Passed,
    /// The backend does not offer the hook that the case needs.
    NotProven,
    /// The promise was broken.
    Failed(Violation),
}

/// The verdict on a part. It has failed if any of its cases has, and is not proven if any of them
/// is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a part passed, failed, or could not be run")]
pub enum PartVerdict {
    /// Every case passed.
    Passed,
    /// At least one case could not be run, and none has failed.
    NotProven,
    /// At least one case has failed.
    Failed,
}
