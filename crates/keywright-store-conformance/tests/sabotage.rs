//! The suite bites: each sabotaged store is caught by the case meant for it, and the sound store by none.

use std::collections::HashSet;
use std::sync::Arc;

use keywright_store::MemoryStore;
use keywright_store_conformance::sabotage::{Flaw, SabotagedStore};
use keywright_store_conformance::{FaultStore, suite};

#[test]
fn sabotaged_stores_are_caught() {
    let mut missed = Vec::new();
    for flaw in Flaw::ALL {
        let (case, promise) = flaw.caught_by();
        match suite::run(case, async || Arc::new(SabotagedStore::new(flaw))) {
            Err(violation) if violation.promise() == Some(promise) => {}
            other => missed.push((flaw, case, other)),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn no_flaw_is_listed_twice() {
    let distinct: HashSet<Flaw> = Flaw::ALL.into_iter().collect();
    assert_eq!(distinct.len(), Flaw::ALL.len());
}

#[test]
fn sound_stores_pass() -> Result<(), Box<dyn std::error::Error>> {
    let failed = suite::run_all(async || Arc::new(MemoryStore::new()))?;
    assert!(failed.is_empty(), "{failed:#?}");
    // An injector that was told nothing changes nothing.
    let failed = suite::run_all(async || Arc::new(FaultStore::new(Arc::new(MemoryStore::new()))))?;
    assert!(failed.is_empty(), "{failed:#?}");
    Ok(())
}
