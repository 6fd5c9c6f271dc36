//! The cases that need a hand, on the injector, with a host of its own.

use std::sync::Arc;

use keywright_store::{Batch, BoxFuture, CommitError, MemoryStore};
use keywright_store_conformance::{Backend, FaultHooks, FaultStore, Hook, HostEnd, Outcome, Promise, suite};

/// A memory store and the host that it lives with.
struct Hosted {
    faults: Arc<FaultStore<MemoryStore>>,
    /// Whether a denial inside the host's transaction is what it should be.
    sound: bool,
}

impl FaultHooks for Hosted {
    fn store(&self) -> Arc<dyn Backend> {
        self.faults.store()
    }
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.faults.lose_next_reply(landed)
    }
    fn fail_next_commit(&self) -> Hook {
        self.faults.fail_next_commit()
    }
    fn hold_next_commit(&self) -> Hook {
        self.faults.hold_next_commit()
    }
    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        FaultHooks::deliver(&self.faults)
    }
    fn within_host(&self, batch: Batch, end: HostEnd) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        Box::pin(async move {
            let good = batch.writes().iter().all(|write| {
                write.slot.to_text() != "host/".to_owned() + &"02".repeat(16)
                    || write.expect == keywright_store::Expect::Absent
            });
            if end == HostEnd::RollBack && self.sound {
                return Some(if good { Ok(()) } else { Err(CommitError::Conflict) });
            }
            let store = self.faults.store();
            Some(store.commit(batch).await)
        })
    }
}

async fn hosted(sound: bool) -> Hosted {
    Hosted { faults: Arc::new(FaultStore::new(Arc::new(MemoryStore::new()))), sound }
}

#[test]
fn forced_cases_hold() -> Result<(), Box<dyn std::error::Error>> {
    let outcomes = suite::run_forced(async || hosted(true).await)?;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Held), "{outcomes:?}");
    let alone = suite::run_forced(async || Arc::new(FaultStore::new(Arc::new(MemoryStore::new()))))?;
    let skipped: Vec<_> = alone.iter().filter(|(_, outcome)| *outcome == Outcome::Skipped).collect();
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    Ok(())
}

#[test]
fn host_that_cannot_roll_back_is_caught() {
    let seen = suite::run_forced(async || hosted(false).await);
    assert_eq!(seen.unwrap_err().promise(), Some(Promise::HostTransaction));
}
