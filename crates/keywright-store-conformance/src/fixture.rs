//! What a case runs on: two handles of one fresh store, and the hooks that the backend can offer.

use std::sync::Arc;

use crate::backend::Handles;
use crate::fault::FaultStore;
use crate::hooks::{CrashHook, FaultHooks, HostHook, LostRootHook};
use keywright_store::Store;

/// What a factory makes for each case: one fresh, empty store, opened twice, with the hooks that
/// the backend offers and anything that must live as long as the store.
///
/// A part whose hook is not offered is reported as *not proven*. For a backend without hooks,
/// [`Handles`] is a fixture, and so is a pair of [`Handles`] and a guard (a temporary directory, a
/// schema that is dropped at the end).
pub trait Fixture: Send + Sync {
    /// Returns the handles, always of the same store.
    fn handles(&self) -> Handles;

    /// Returns the hooks that make replies of the store get lost.
    fn faults(&self) -> Option<&dyn FaultHooks> {
        None
    }

    /// Returns the hook that applies a batch inside a transaction of the host.
    fn host(&self) -> Option<&dyn HostHook> {
        None
    }

    /// Returns the hook that deletes the root of a partition without the store's knowledge.
    fn lost_roots(&self) -> Option<&dyn LostRootHook> {
        None
    }

    /// Returns the hook that kills a process which writes to the store, and opens the store again.
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

/// A fixture for a store in this process: one handle, used twice, and the faults of the injector
/// itself.
impl<S: Store + 'static> Fixture for Arc<FaultStore<S>> {
    fn handles(&self) -> Handles {
        Handles::shared(Self::clone(self))
    }

    fn faults(&self) -> Option<&dyn FaultHooks> {
        Some(self)
    }
}
