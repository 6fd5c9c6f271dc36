//! Random histories on the memory store: a few by default, or the number in `KEYWRIGHT_HISTORIES`
//! for a full proof.

use std::sync::Arc;

use keywright_store::MemoryStore;
use keywright_store_conformance::history::{self, Plan};
use keywright_store_conformance::{FaultStore, Handles};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_store_is_strictly_serialisable() {
    let plan = Plan::from_env();
    let plan = Plan { histories: plan.histories.max(300), ..plan };
    let store = Arc::new(MemoryStore::new());
    // Two handles that share nothing but the store.
    let first = Arc::new(FaultStore::new(Arc::clone(&store)));
    let handles = Handles::new(first, Arc::new(FaultStore::new(store)));
    let seen = history::run(&handles, plan).await.unwrap();
    println!("{} histories: {seen}", plan.histories);
    // A run in which nothing met proves nothing.
    assert!(seen.operations > 5_000 && seen.landed > 1_000 && seen.landed_unknown > 50, "{seen}");
    assert!(seen.conflicts > 500 && seen.reads > 2_000, "{seen}");
    assert!(seen.vault > 300 && seen.swept > 50 && seen.promoted > 20, "{seen}");
}
