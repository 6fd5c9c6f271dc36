//! The suite finds faults: each broken store is caught by the case meant for it, and each case
//! catches at least one.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use keywright_store_conformance::history::Plan;
use keywright_store_conformance::sabotage::{ALSO_CAUGHT, Flaw, Sabotaged};
use keywright_store_conformance::{CaseVerdict, Fixture, Handles, Promise, Suite, suite};

/// What is wrong with the verdict of a case on a flawed store, if anything.
fn missed(case: &str, flaw: Flaw, promise: Promise) -> Option<String> {
    let plan = Plan { histories: 400, ..Plan::default() };
    match Suite::new(async || Sabotaged::new(flaw)).histories(plan).run_case(case).unwrap() {
        CaseVerdict::Failed(violation) if violation.promise() == Some(promise) => None,
        verdict => Some(format!("{flaw:?} on {case}: {verdict:?}")),
    }
}

#[test]
fn each_flaw_is_caught_by_the_case_meant_for_it() {
    let missed: Vec<String> = Flaw::ALL
        .iter()
        .filter_map(|&flaw| {
            let (case, promise) = flaw.caught_by();
            missed(case, flaw, promise)
        })
        .collect();
    assert!(missed.is_empty(), "{} missed: {missed:#?}", missed.len());
}

#[test]
fn further_cases_catch_further_flaws() {
    let missed: Vec<String> =
        ALSO_CAUGHT.iter().filter_map(|&(case, flaw, promise)| missed(case, flaw, promise)).collect();
    assert!(missed.is_empty(), "{} missed: {missed:#?}", missed.len());
}

#[test]
fn each_case_catches_a_flaw() {
    let meant = Flaw::ALL.iter().map(|flaw| flaw.caught_by().0);
    let caught: BTreeSet<&str> = meant.chain(ALSO_CAUGHT.iter().map(|(case, ..)| *case)).collect();
    let idle: Vec<&str> = suite::all().iter().map(|case| case.name()).filter(|name| !caught.contains(name)).collect();
    assert!(idle.is_empty(), "no flaw shows what these are for: {idle:?}");
}

/// One handle of a flawed store, twice. A suite that opens a store only once would see this.
struct OneHandle(Sabotaged);

impl Fixture for OneHandle {
    fn handles(&self) -> Handles {
        self.0.handles().first_alone()
    }
}

#[test]
fn a_lock_of_one_process_passes_where_there_is_one_handle() {
    let suite = Suite::new(async || OneHandle(Sabotaged::new(Flaw::LocksPerHandle)));
    for case in ["one_of_32_tasks_wins", "one_of_two_handles_wins", "one_of_32_makes_the_root"] {
        let verdict = suite.run_case(case).unwrap();
        assert!(matches!(verdict, CaseVerdict::Passed), "{case}: {verdict:?}");
    }
}

#[test]
fn a_failing_history_is_printed_small() {
    for flaw in [Flaw::LoadsFromAReplica, Flaw::ComparesOutside, Flaw::IgnoresTheGuard, Flaw::LoadsInSteps] {
        let plan = Plan { histories: 400, ..Plan::default() };
        let suite = Suite::new(async || Sabotaged::new(flaw)).histories(plan);
        let CaseVerdict::Failed(keywright_store_conformance::Violation::History(anomaly)) =
            suite.run_case("histories_are_strictly_serialisable").unwrap()
        else {
            panic!("{flaw:?} has only sound histories");
        };
        println!("{flaw:?}: {anomaly}");
        assert!(anomaly.operations() <= 6, "{flaw:?}: {anomaly}");
    }
}

/// The table in the documentation, generated from the list of flaws.
fn table() -> String {
    let mut by_case: BTreeMap<&str, Vec<Flaw>> = BTreeMap::new();
    for flaw in Flaw::ALL {
        by_case.entry(flaw.caught_by().0).or_default().push(*flaw);
    }
    for (case, flaw, _) in ALSO_CAUGHT {
        by_case.entry(case).or_default().push(*flaw);
    }
    let mut table =
        String::from("| part | case | flawed stores that it catches | what it shows |\n|---|---|---|---|\n");
    for case in suite::all() {
        let flaws = by_case.get(case.name()).map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> = flaws.iter().map(|flaw| format!("[`{flaw:?}`](Flaw::{flaw:?})")).collect();
        let mut anomalies: Vec<&str> = flaws.iter().map(|flaw| flaw.anomaly()).collect();
        let mut seen = BTreeSet::new();
        anomalies.retain(|anomaly| seen.insert(*anomaly));
        let (part, name) = (case.part(), case.name());
        let link = format!("[`{name}`](crate::cases::{name})");
        writeln!(table, "| {part} | {link} | {} | {} |", names.join(", "), anomalies.join("; ")).unwrap();
    }
    table
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let table = table();
    // To write it anew after a change: KEYWRIGHT_WRITE_TABLE=1 cargo test -p
    // keywright-store-conformance --test sabotage
    if std::env::var_os("KEYWRIGHT_WRITE_TABLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sabotage/table.md"), &table).unwrap();
    }
    assert!(table == include_str!("../src/sabotage/table.md") || std::env::var_os("KEYWRIGHT_WRITE_TABLE").is_some());
}
