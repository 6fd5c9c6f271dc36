//! The suite on the memory store.

use std::sync::Arc;

use keywright_store::MemoryStore;

keywright_store_conformance::suite!(async || Arc::new(MemoryStore::new()));
