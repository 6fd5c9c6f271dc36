//! What the suite is given: a store, and how to make a fresh one.

use std::sync::Arc;

use keywright_store::{Upkeep, VaultStore};

/// A whole backend: records, vault and upkeep. Whatever has the three has this.
pub trait Backend: VaultStore + Upkeep {}

impl<S: VaultStore + Upkeep + ?Sized> Backend for S {}

/// What a factory makes: a fresh, empty store, and whatever must live as long as it does.
pub trait Fixture {
    /// The store.
    fn store(&self) -> Arc<dyn Backend>;
}

impl<S: Backend + 'static> Fixture for Arc<S> {
    fn store(&self) -> Arc<dyn Backend> {
        Arc::<S>::clone(self)
    }
}

/// A store and its guard: a temporary directory, a schema that is dropped at the end.
impl<S: Backend + 'static, G> Fixture for (Arc<S>, G) {
    fn store(&self) -> Arc<dyn Backend> {
        Arc::<S>::clone(&self.0)
    }
}
