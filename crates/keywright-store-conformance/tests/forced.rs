//! The parts that need a hook: on a store that offers all of them, and the report where one is
//! missing.

use std::sync::Arc;

use keywright_store::MemoryStore;
use keywright_store_conformance::glass::GlassStore;
use keywright_store_conformance::sabotage::{Flaw, Sabotaged};
use keywright_store_conformance::{FaultStore, Handles, Part, PartVerdict, Promise, Suite};

const HOOKED: [Part; 6] = [
    Part::LostReplies,
    Part::FailedCommits,
    Part::LateCommits,
    Part::LostRoots,
    Part::HostTransactions,
    Part::Durability,
];

#[test]
fn all_hooks_pass_on_a_store_that_offers_them() {
    // Its one flaw lies elsewhere.
    let report = Suite::new(async || Sabotaged::new(Flaw::DueUnsorted)).run_parts(&HOOKED).unwrap();
    for part in HOOKED {
        assert_eq!(report.part(part), PartVerdict::Passed, "{report}");
    }
}

#[test]
fn each_hook_catches_what_it_is_for_and_nothing_else() {
    for (flaw, part, promise) in [
        (Flaw::RejectsLostReplies, Part::LostReplies, Promise::Unknown),
        (Flaw::RetriesByItself, Part::LostReplies, Promise::Unknown),
        (Flaw::RejectsFailedCommits, Part::FailedCommits, Promise::Unknown),
        (Flaw::DeliversUnguarded, Part::LateCommits, Promise::Fence),
        (Flaw::NeverSeesOrphans, Part::LostRoots, Promise::LostRoot),
        (Flaw::LeavesPutsInTheHost, Part::HostTransactions, Promise::HostTransaction),
        (Flaw::AcknowledgesBeforeDurable, Part::Durability, Promise::Durable),
    ] {
        let report = Suite::new(async || Sabotaged::new(flaw)).run_parts(&HOOKED).unwrap();
        for other in HOOKED {
            let verdict = if other == part { PartVerdict::Failed } else { PartVerdict::Passed };
            assert_eq!(report.part(other), verdict, "{flaw:?}, {other}: {report}");
        }
        assert!(report.failed().any(|(_, violation)| violation.promise() == Some(promise)), "{flaw:?}: {report}");
    }
}

#[test]
fn what_has_no_hook_is_not_proven_and_printed_as_such() {
    let bare = Suite::new(async || Handles::shared(Arc::new(MemoryStore::new()))).run_parts(&HOOKED).unwrap();
    for part in HOOKED {
        assert_eq!(bare.part(part), PartVerdict::NotProven);
    }
    let printed = bare.to_string();
    assert_eq!(printed.matches("not proven  ").count(), Part::ALL.len(), "{printed}");
    let faulty = Suite::new(async || Arc::new(FaultStore::new(Arc::new(MemoryStore::new())))).run_parts(&HOOKED);
    let faulty = faulty.unwrap();
    assert_eq!(faulty.part(Part::LostReplies), PartVerdict::Passed, "{faulty}");
    assert_eq!(faulty.part(Part::LateCommits), PartVerdict::Passed, "{faulty}");
    assert_eq!(faulty.part(Part::Durability), PartVerdict::NotProven, "{faulty}");
    let glass = Suite::new(async || Arc::new(GlassStore::new())).run_parts(&[Part::LostRoots]).unwrap();
    assert_eq!(glass.part(Part::LostRoots), PartVerdict::Passed, "{glass}");
}

#[test]
#[should_panic(expected = "the store does not pass")]
fn a_part_that_is_not_proven_is_no_pass() {
    Suite::new(async || Handles::shared(Arc::new(MemoryStore::new()))).run().unwrap().assert_passes();
}
