//! The hooks of a broken store: all of them, so that each hook's use can be shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keywright_store::{
    Batch, BoxError, BoxFuture, CommitError, HostTransaction, LoadError, Partition, SlotName, Snapshot,
};
use tokio::sync::mpsc;

use super::commits::forced;
use super::{Armed, Flaw, Sabotaged, lock, open};
use crate::crash::{Crashed, PARTITIONS, write_until_killed};
use crate::glass::rows::{RecordRow, Rows};
use crate::hooks::{CrashHook, FaultHooks, Hook, HostEnd, HostHook, LostRootHook};

impl Sabotaged {
    fn arm(&self, armed: Armed) -> Hook {
        *lock(&self.shared.armed) = Some(armed);
        Hook::Armed
    }
}

impl FaultHooks for Sabotaged {
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.arm(if landed { Armed::LostAfter } else { Armed::LostBefore })
    }

    fn fail_next_commit(&self) -> Hook {
        self.arm(Armed::CommitFails)
    }

    fn hold_next_commit(&self) -> Hook {
        self.arm(Armed::Held)
    }

    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        Box::pin(async move {
            let batch = lock(&self.shared.held).take()?;
            let mut rows = lock(&self.shared.rows);
            let batch = if self.flaw == Flaw::DeliversUnguarded { forced(&rows, batch) } else { batch };
            Some(rows.apply(batch))
        })
    }
}

/// A host's transaction: the rows at its start, and the rows as it leaves them.
struct Transaction {
    flaw: Flaw,
    rows: Rows,
}

impl HostTransaction for Transaction {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        Ok(self.rows.load(partition, slots))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        let left = batch.write().map(|write| write.put.clone()).unwrap_or_default();
        let partition = batch.partition().clone();
        let result = self.rows.apply(batch);
        if result.is_err() && self.flaw == Flaw::LeavesPutsInTheHost {
            for put in left {
                let row = RecordRow { body: put.body, purge_after: put.purge_after };
                self.rows.records.insert((partition.clone(), put.slot), row);
            }
        }
        result
    }
}

impl HostHook for Sabotaged {
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError> {
        let mut rows = lock(&self.shared.rows);
        let mut transaction = Transaction { flaw: self.flaw, rows: rows.clone() };
        work(&mut transaction);
        if end == HostEnd::Commit {
            *rows = transaction.rows;
        }
        Ok(())
    }
}

impl LostRootHook for Sabotaged {
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            lock(&self.shared.rows).roots.remove(partition);
            Ok(())
        })
    }
}

/// A simulated process: once it is dead, its handles answer no more.
impl CrashHook for Sabotaged {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let alive = Arc::new(AtomicBool::new(true));
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let writing =
                tokio::spawn(write_until_killed(open(self.flaw, &self.shared, &alive), move |partition, number| {
                    // Nobody receives this once the process is dead.
                    let _ = sender.send((partition, number));
                }));
            let mut last = [None; PARTITIONS];
            let mut note = |(partition, number): (usize, u64)| {
                if let Some(last) = last.get_mut(partition) {
                    *last = Some(number);
                }
            };
            // Besides the commits, one report for each partition names where it starts.
            for _ in 0..acknowledged.saturating_add(PARTITIONS) {
                note(receiver.recv().await.ok_or("the process ended before it was killed")?);
            }
            {
                let mut rows = lock(&self.shared.rows);
                alive.store(false, Ordering::SeqCst);
                if self.flaw == Flaw::AcknowledgesBeforeDurable {
                    *rows = lock(&self.shared.disk).clone();
                }
            }
            writing.abort();
            // Reports from before the kill count too.
            while let Some(number) = receiver.recv().await {
                note(number);
            }
            Ok(Crashed { acknowledged: last, handles: open(self.flaw, &self.shared, &Arc::new(AtomicBool::new(true))) })
        })
    }
}
