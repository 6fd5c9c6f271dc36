//! What the writer can be asked to do.

use keywright_core::UnixSeconds;
use keywright_store::{Batch, Partition, Rows, StageId, VaultWrite};
use rusqlite::{Connection, params};

use crate::apply::{Applier, ApplyError, number};
use crate::vault;

/// From so many rows on a change is large.
const MANY: usize = 500;

/// One change, all or nothing.
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
    Sweep {
        before: UnixSeconds,
        limit: u32,
    },
    ForgetEvents {
        before: UnixSeconds,
        limit: u32,
    },
    /// Stands for a mistake of ours, to show that the writer outlives one.
    #[cfg(test)]
    Panic,
}

impl Change {
    /// Applies it inside the writer's transaction. Gives how many things a clean-up dropped, else 0.
    pub(crate) fn apply(&self, applier: &mut Applier<'_>) -> Result<u64, ApplyError> {
        let connection = applier.connection();
        match self {
            Self::Commit(batch) => applier.apply(batch).map(|()| 0),
            Self::Stage { account, stage, rows, purge_after } => {
                vault::stage(connection, account, *stage, rows, *purge_after).map(|()| 0)
            }
            Self::Unstage { account, stage } => vault::drop_stage(connection, account.key(), &stage.0).map(|()| 0),
            Self::Sweep { before, limit } => sweep(connection, *before, *limit),
            Self::ForgetEvents { before, limit } => {
                let gone = connection
                    .prepare_cached(
                        "DELETE FROM keywright_events
                         WHERE id IN (SELECT id FROM keywright_events WHERE at < ?1 ORDER BY at LIMIT ?2)",
                    )?
                    .execute(params![number(before.get()), limit])?;
                Ok(count(gone))
            }
            #[cfg(test)]
            Self::Panic => panic!("a mistake of ours"),
        }
    }
}

impl Change {
    /// Whether it writes so many pages that SQLite would take the log back into the file within its `COMMIT`.
    pub(crate) fn is_large(&self) -> bool {
        match self {
            Self::Commit(batch) => match batch.vault() {
                Some(VaultWrite::Edit { put, delete }) => put.len().max(delete.len()) > MANY,
                Some(VaultWrite::Swap { .. } | VaultWrite::Promote { .. }) => true,
                None => false,
            },
            Self::Stage { rows, .. } => rows.len() > MANY,
            Self::Unstage { .. } => true,
            Self::Sweep { .. } | Self::ForgetEvents { .. } => false,
            #[cfg(test)]
            Self::Panic => false,
        }
    }
}

fn sweep(connection: &Connection, before: UnixSeconds, limit: u32) -> Result<u64, ApplyError> {
    let before = number(before.get());
    let records = connection
        .prepare_cached(
            "DELETE FROM keywright_records WHERE (partition, slot) IN
             (SELECT partition, slot FROM keywright_records WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2)",
        )?
        .execute(params![before, limit])?;
    let left = u64::from(limit).saturating_sub(count(records));
    let stages = connection
        .prepare_cached(
            "SELECT partition, stage FROM keywright_stages WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2",
        )?
        .query_map(params![before, number(left)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, [u8; 16])>, _>>()?;
    for (partition, stage) in &stages {
        vault::drop_stage(connection, partition, stage)?;
    }
    Ok(count(records).saturating_add(count(stages.len())))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
