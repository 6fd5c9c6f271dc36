//! The suite on a file and in memory.

#[cfg(test)]
mod file {
    use std::sync::Arc;

    use keywright_sqlite::SqliteStore;

    keywright_store_conformance::suite!(async || {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
        (Arc::new(store), directory)
    });
}

#[cfg(test)]
mod memory {
    use std::sync::Arc;

    use keywright_sqlite::SqliteStore;

    keywright_store_conformance::suite!(async || Arc::new(SqliteStore::open_in_memory().unwrap()));
}

/// Lost replies are brought about by the suite's own wrapper; the host's transaction is a real one.
#[cfg(test)]
mod forced {
    use std::sync::Arc;

    use keywright_sqlite::rusqlite::{Connection, TransactionBehavior};
    use keywright_sqlite::{SqliteStore, WithinError, apply_within};
    use keywright_store::{Batch, BoxFuture, CommitError};
    use keywright_store_conformance::{Backend, FaultHooks, FaultStore, Hook, HostEnd, Outcome, suite};

    struct Forced {
        faults: Arc<FaultStore<SqliteStore>>,
        directory: tempfile::TempDir,
    }

    impl Forced {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
            Self { faults: Arc::new(FaultStore::new(Arc::new(store))), directory }
        }

        fn in_host(&self, batch: &Batch, end: HostEnd) -> Result<(), CommitError> {
            let mut host = Connection::open(self.directory.path().join("store.db")).unwrap();
            let tx = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
            let applied = apply_within(&tx, batch);
            match end {
                HostEnd::Commit => tx.commit().unwrap(),
                HostEnd::RollBack => tx.rollback().unwrap(),
            }
            applied.map_err(|error| match error {
                WithinError::Conflict => CommitError::Conflict,
                error => CommitError::Rejected(error.into()),
            })
        }
    }

    impl FaultHooks for Forced {
        fn store(&self) -> Arc<dyn Backend> {
            FaultHooks::store(&self.faults)
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
            Box::pin(async move { Some(self.in_host(&batch, end)) })
        }
    }

    #[test]
    fn all_held() {
        for (name, outcome) in suite::run_forced(async || Forced::new()).unwrap() {
            assert_eq!(outcome, Outcome::Held, "{name}");
        }
    }
}
