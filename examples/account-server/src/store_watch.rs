//! Whether the store's files are still those that were opened. Whatever is written to a file that
//! was deleted or replaced is lost, so the server stops.

use std::sync::Arc;
use std::time::Duration;

use keywright::sqlite::{Fault, FaultKind, SqliteStore};
use tokio::sync::Notify;

const EVERY: Duration = Duration::from_secs(3);

/// Watches the files of a store; one in memory has none. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoreWatch {
    store: Option<Arc<SqliteStore>>,
    looked: Arc<Notify>,
}

impl StoreWatch {
    pub(crate) fn new(store: Option<Arc<SqliteStore>>) -> Self {
        Self { store, looked: Arc::default() }
    }

    /// Checks now. A health check calls this, and so does a request that failed. If the files are
    /// lost, returns the fault and wakes [`lost`](Self::lost).
    pub(crate) fn look(&self) -> Option<Fault> {
        let fault = self.store.as_ref()?.check_files().err()?;
        if fault.kind() == FaultKind::FileReplaced {
            self.looked.notify_one();
            return Some(fault);
        }
        tracing::warn!(error = %fault, "the store's files cannot be looked at");
        None
    }

    /// Returns how much space is left where the store is, or `None` in memory, or if the system does
    /// not report it.
    #[cfg(unix)]
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.store.as_ref()?.path()?).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Returns once the files are lost. Checks every few seconds.
    pub(crate) async fn lost(&self) {
        while self.look().is_none() {
            // Whether or not it was woken, the next check decides.
            let _woken = tokio::time::timeout(EVERY, self.looked.notified()).await;
        }
        tracing::error!("the store's file was deleted or replaced");
    }
}
