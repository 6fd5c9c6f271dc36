//! The changes that the writer can be asked to make.

use keywright_core::UnixSeconds;
use keywright_store::{Batch, Partition, Rows, StageId, VaultWrite, Write};

use crate::apply::Applier;
use crate::rows::ApplyError;
use crate::ticket::Ticket;
use crate::upkeep::{self, Chain};
use crate::vault;

/// The number of rows from which on a change is large.
const MANY: usize = 500;

/// One change, which is applied as a whole or not at all.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every change is a commit, which crosses to the writer by one move"
)]
pub(crate) enum Change {
    Commit(Batch),
    Stage {
        account: Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    },
    Unstage {
        account: Partition,
        stage: StageId,
    },
    MoveHorizon {
        now: UnixSeconds,
    },
    Sweep {
        limit: u32,
    },
    ForgetEvents {
        chains: Vec<Chain>,
        age: u64,
        limit: u32,
    },
    /// Runs a test's function in the middle of the writer's transaction.
    #[cfg(test)]
    Meanwhile(Box<dyn Fn(&rusqlite::Connection) + Send>),
}

/// A change, and whether it may still be taken back.
pub(crate) struct Task {
    pub(crate) change: Change,
    pub(crate) ticket: Ticket,
}

impl Change {
    /// Applies the change inside the writer's transaction. Returns how many things a clean-up
    /// dropped, or the new horizon, and otherwise 0.
    pub(crate) fn apply(&self, applier: &mut Applier<'_>) -> Result<u64, ApplyError> {
        let connection = applier.connection();
        match self {
            Self::Commit(batch) => applier.apply(batch).map(|()| 0),
            Self::Stage { account, stage, rows, purge_after } => {
                vault::stage(connection, account, *stage, rows, *purge_after).map(|()| 0)
            }
            Self::Unstage { account, stage } => vault::drop_stage(connection, account.key(), &stage.0).map(|()| 0),
            Self::MoveHorizon { now } => upkeep::move_horizon(connection, *now),
            Self::Sweep { limit } => upkeep::sweep(connection, *limit),
            Self::ForgetEvents { chains, age, limit } => upkeep::forget_events(connection, chains, *age, *limit),
            #[cfg(test)]
            Self::Meanwhile(happens) => {
                happens(connection);
                Ok(0)
            }
        }
    }

    /// Whether the change writes so many pages that SQLite would run a checkpoint within its
    /// `COMMIT`.
    pub(crate) fn is_large(&self) -> bool {
        match self {
            Self::Commit(batch) => match batch.write() {
                Some(Write { erase: true, .. }) => true,
                Some(Write { vault: Some(VaultWrite::Edit { put, delete }), .. }) => put.len().max(delete.len()) > MANY,
                Some(Write { vault: Some(VaultWrite::Swap { .. } | VaultWrite::Promote { .. }), .. }) => true,
                Some(Write { vault: None, .. }) | None => false,
            },
            Self::Stage { rows, .. } => rows.len() > MANY,
            Self::Unstage { .. } | Self::Sweep { .. } => true,
            Self::MoveHorizon { .. } | Self::ForgetEvents { .. } => false,
            #[cfg(test)]
            Self::Meanwhile(_) => false,
        }
    }
}
