//! What the suite is given: two handles of one fresh store, and the hooks that the backend can offer.

use std::sync::Arc;

use crate::backend::{Backend, Handles};
use crate::fault::FaultStore;
use crate::hooks::{CrashHook, FaultHooks, HostHook, LostRootHook};

/// What a factory makes for each case: one fresh, empty store, opened twice, with the hooks that
/// the backend offers, and whatever must live as long as it does.
///
/// A part whose hook is not offered is reported as *not proven*. For a backend without hooks, [`Handles`] and a pair of
/// [`Handles`] and a guard (a temporary directory, a schema that is dropped at the end) are fixtures already.
pub trait Fixture: Send + Sync {
    /// The handles. Always of the same store.
    fn handles(&self) -> Handles;

    /// How replies of the store are lost.
    fn faults(&self) -> Option<&dyn FaultHooks> {
        None
    }

    /// How a batch is applied inside a transaction of the host's own.
    fn host(&self) -> Option<&dyn HostHook> {
        None
    }

    /// How the root of a partition is lost behind the store's back.
    fn lost_roots(&self) -> Option<&dyn LostRootHook> {
        None
    }

    /// How a process that writes to the store is killed, and the store opened again.
    fn crash(&self) -> Option<&dyn CrashHook> {
        None
    }
}

impl Fixture for Handles {
    fn handles(&self) -> Handles {
        self.clone()
    }
}

impl<G: Send + Sync> Fixture for (Handles, G) {
    fn handles(&self) -> Handles {
        self.0.clone()
    }
}

/// For a store in this process: one handle, twice, and the injector's own faults.
impl<S: Backend + 'static> Fixture for Arc<FaultStore<S>> {
    fn handles(&self) -> Handles {
        Handles::shared(Self::clone(self))
    }

    fn faults(&self) -> Option<&dyn FaultHooks> {
        Some(self)
    }
}
