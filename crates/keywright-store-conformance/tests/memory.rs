//! The suite on the stores that live in memory.

use std::sync::Arc;

use keywright_store::MemoryStore;
use keywright_store_conformance::glass::GlassStore;
use keywright_store_conformance::{FaultStore, Handles, Part, Suite};

/// A store in memory has no file to open again, no transaction of a host, and no row that can be
/// reached without the storage traits.
const NOT_PROVEN: [Part; 3] = [Part::LostRoots, Part::HostTransactions, Part::Durability];

#[test]
fn memory_store_passes() {
    let suite = Suite::new(async || Arc::new(FaultStore::new(Arc::new(MemoryStore::new()))));
    let report = suite.run().unwrap();
    println!("{report}");
    report.assert_passes_but(&NOT_PROVEN);
}

#[test]
fn memory_store_behind_two_injectors_passes() {
    // Two handles that share nothing but the store.
    let suite = Suite::new(async || {
        let store = Arc::new(MemoryStore::new());
        Handles::new(Arc::new(FaultStore::new(Arc::clone(&store))), Arc::new(FaultStore::new(store)))
    });
    let report = suite.run_parts(&[Part::Records, Part::Upkeep, Part::Vault, Part::Histories]).unwrap();
    assert!(report.failed().next().is_none(), "{report}");
}

#[test]
fn glass_store_passes() {
    let report = Suite::new(async || Arc::new(GlassStore::new())).run().unwrap();
    let lent = [Part::LostReplies, Part::FailedCommits, Part::LateCommits, Part::HostTransactions, Part::Durability];
    report.assert_passes_but(&lent);
}

#[test]
fn store_without_a_vault_passes_the_rest() {
    let suite = Suite::new(async || {
        let store = Arc::new(MemoryStore::new());
        Handles::without_vault(Arc::clone(&store), store)
    });
    let report = suite.run_parts(&[Part::Records, Part::Upkeep, Part::Vault]).unwrap();
    assert!(report.failed().next().is_none(), "{report}");
    assert_eq!(report.part(Part::Records), keywright_store_conformance::PartVerdict::Passed);
    assert_eq!(report.part(Part::Vault), keywright_store_conformance::PartVerdict::NotProven);
    assert!(!report.passes(&NOT_PROVEN), "what was not run is not proven");
    let printed = report.to_string();
    assert!(printed.contains("vault             not proven"), "{printed}");
}
