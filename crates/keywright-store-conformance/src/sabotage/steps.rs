//! Commits that take more than one transaction.

use std::sync::Arc;

use keywright_store::{Batch, CommitError, VaultWrite, Write};

use super::commits::{forced, remade};
use super::{SabotagedStore, Shared, lock};
use crate::glass::rows::RecordRow;
use crate::site::pause;

/// How long a half-done swap waits for a reader, in yields to the scheduler.
const NOBODY_COMES: u32 = 10_000;

/// How long a client that is slow between two statements waits for a commit, in the same yields.
const NOBODY_COMMITS: u32 = 400;

impl SabotagedStore {
    /// Compares the guard, lets other tasks run, and then writes, whatever the root is by then.
    pub(super) async fn compare_then_write(&self, batch: Batch, turns: usize) -> Result<(), CommitError> {
        if self.rows().revision(batch.partition()) != batch.expect() {
            return Err(CommitError::Conflict);
        }
        for _ in 0..turns {
            // Other tasks run, and other threads too.
            pause(1).await;
            std::thread::yield_now();
        }
        let mut rows = self.rows();
        let batch = forced(&rows, batch);
        if let Some(write) = batch.write() {
            super::commits::make_room(&mut rows, &batch.partition().clone(), &write.clone());
        }
        rows.apply(batch)
    }

    /// Compares the guard, reports success, and writes a little later.
    pub(super) fn write_behind(&self, batch: Batch) -> Result<(), CommitError> {
        if self.rows().revision(batch.partition()) != batch.expect() {
            return Err(CommitError::Conflict);
        }
        let shared: Arc<Shared> = Arc::clone(&self.shared);
        tokio::spawn(async move {
            pause(3).await;
            let mut rows = lock(&shared.rows);
            let batch = forced(&rows, batch);
            // Nobody waits for it.
            let _ = rows.apply(batch);
        });
        Ok(())
    }

    /// Writes the first half of the records with the root, and the rest a little later.
    pub(super) async fn write_in_steps(&self, batch: Batch) -> Result<(), CommitError> {
        let (partition, expect, write) = batch.into_parts();
        let Some(mut write) = write else { return self.at_once(remade(partition, expect, None)).await };
        let rest = write.put.split_off(write.put.len() / 2);
        self.at_once(remade(partition.clone(), expect, Some(write))).await?;
        pause(1).await;
        self.put_late(&partition, rest);
        Ok(())
    }

    /// Writes the root first, and the records in a separate transaction that cannot be dropped.
    pub(super) async fn puts_after_the_root(&self, batch: Batch) -> Result<(), CommitError> {
        let (partition, expect, write) = batch.into_parts();
        let Some(mut write) = write else { return self.at_once(remade(partition, expect, None)).await };
        let late = std::mem::take(&mut write.put);
        self.at_once(remade(partition.clone(), expect, Some(write))).await?;
        pause(3).await;
        self.put_late(&partition, late);
        Ok(())
    }

    fn put_late(&self, partition: &keywright_store::Partition, late: Vec<keywright_store::Put>) {
        let mut rows = self.rows();
        for put in late {
            let row = RecordRow { body: put.body, purge_after: put.purge_after };
            rows.records.insert((partition.clone(), put.slot), row);
        }
    }

    /// Writes the first half of a swap's rows and, once a reader has read them, all of them.
    pub(super) async fn swap_in_steps(&self, batch: Batch) -> Result<(), CommitError> {
        let half = match batch.write() {
            Some(Write { vault: Some(VaultWrite::Swap { rows }), .. }) => {
                rows.iter().take(rows.len() / 2).cloned().collect::<Vec<_>>()
            }
            _ => return self.at_once(batch).await,
        };
        {
            let mut rows = self.rows();
            if rows.revision(batch.partition()) != batch.expect() {
                return Err(CommitError::Conflict);
            }
            for row in half {
                rows.ciphers.insert((batch.partition().clone(), row.id()), row);
            }
        }
        self.wait_for_a_reader().await;
        self.at_once(batch).await
    }

    /// Waits for a commit, or until none comes. This is as slow as a round trip to a busy database.
    pub(super) async fn wait_for_a_commit(&self) {
        let before = self.notes().commits;
        for _ in 0..NOBODY_COMMITS {
            if self.notes().commits > before {
                break;
            }
            pause(1).await;
        }
    }

    /// Waits until a reader has read the half-done state, or until none comes.
    async fn wait_for_a_reader(&self) {
        let before = self.notes().reads;
        for _ in 0..NOBODY_COMES {
            if self.notes().reads > before {
                break;
            }
            pause(1).await;
        }
    }
}
