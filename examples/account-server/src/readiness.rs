//! Whether the server can do its work: read and write its store, which is still its own and has
//! room.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use keywright::Keywright;
use keywright::store::{Draft, LoadError, Partition, Record, Slot, TransactError};
use keywright_postgres::Fault;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store_watch::StoreWatch;

/// An answer is good for this long, because anybody may ask, and each new one writes.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Less free space than this, in bytes, is too little: the largest body, which a vault is replaced
/// with, is 64 MiB by default.
#[cfg(unix)]
const LEAST_FREE: u64 = 64 << 20;

/// What a test write leaves: one small record in a partition of its own.
pub(crate) const TEST: Slot<TestWrite> = Slot::lasting("server-ready");

/// Counts the test writes.
#[derive(Serialize, Deserialize)]
pub(crate) struct TestWrite(u64);

impl Record for TestWrite {
    const SCHEMA: u16 = 1;
}

/// Why the server is not ready. It holds nothing about any account.
type Verdict = Result<(), &'static str>;

/// Checks the store. Cheap to clone, and clones share one answer.
#[derive(Clone)]
pub(crate) struct Readiness {
    keywright: Keywright,
    watch: StoreWatch,
    partition: Partition,
    last: Arc<Mutex<Option<(Instant, Verdict)>>>,
}

impl Readiness {
    pub(crate) fn new(keywright: Keywright, watch: StoreWatch) -> Self {
        let index = keywright.driver().keyring().index("server-ready").mac(&[]);
        Self { keywright, watch, partition: Partition::name(&index), last: Arc::default() }
    }

    /// Checks now, or returns the answer of the last second.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) async fn check(&self) -> Verdict {
        let mut last = self.last.lock().await;
        match *last {
            Some((at, verdict)) if at.elapsed() < GOOD_FOR => verdict,
            _ => {
                let verdict = self.look().await;
                if let Err(reason) = verdict {
                    tracing::error!(reason, "the server is not ready");
                }
                *last = Some((Instant::now(), verdict));
                verdict
            }
        }
    }

    async fn look(&self) -> Verdict {
        if self.watch.look().is_some() {
            return Err("the store is gone");
        }
        #[cfg(unix)]
        if self.watch.free_bytes().is_some_and(|free| free < LEAST_FREE) {
            return Err("the disk is nearly full");
        }
        let step = |draft: &mut Draft<'_>| {
            let TestWrite(count) = draft.read(TEST)?.unwrap_or(TestWrite(0));
            draft.put(TEST, &TestWrite(count.wrapping_add(1)))
        };
        self.keywright.driver().transact(&self.partition, &[TEST.name()], step).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the store was not written");
            reason(&error)
        })
    }
}

/// Why the store cannot be used, as far as its backend says so.
fn reason(error: &TransactError) -> &'static str {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.kind().description();
        }
        if let Some(LoadError::TimedOut) = error.downcast_ref::<LoadError>() {
            return "the store did not answer in time";
        }
        source = error.source();
    }
    "the store cannot be read or written"
}
