//! The small configurations hold and meet everything they should; every seeded fault is found; and
//! the normal form leaves nothing out.
#![expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "a panic in a test is a failed test, and its output is shown then"
)]

use std::collections::HashSet;

use keywright_model::bugs::Bug;
use keywright_model::configs::{full, seeded, small};
use keywright_model::coverage::Event;
use keywright_model::model::{Config, Search, Start};
use keywright_model::normal::normalise;
use keywright_model::properties::Promise;
use keywright_model::run::run;
use keywright_model::step::Act;
use keywright_model::world::World;
use stateright::Model;

#[test]
fn the_design_holds() {
    let reports: Vec<_> = small().into_iter().map(|config| run(config, 2)).collect();
    for report in &reports {
        println!("{report}");
        assert!(report.broken.is_empty(), "{report}");
        assert!(report.unique > 100, "hardly anything happens: {report}");
    }
    for event in Event::ALL {
        assert!(reports.iter().any(|report| report.coverage.count(event) > 0), "no search meets {event:?}");
    }
}

/// Whether every promise that the fault should break is broken, each searched for alone.
fn is_found(bug: Bug) {
    let (config, promises) = seeded(bug);
    assert_eq!(config.bug, Some(bug));
    assert!(!promises.is_empty());
    let honest = run(Config { bug: None, ..config.clone() }, 1);
    assert!(honest.broken.is_empty(), "the configuration breaks without the fault: {honest}");
    for promise in promises {
        let report = run(Config { watch: Some(promise), ..config.clone() }, 1);
        println!("{bug:?}: {report}");
        let [(name, history)] = report.broken.as_slice() else { panic!("{bug:?} is not found by {promise:?}") };
        assert_eq!(*name, promise.name());
        assert!(!history.is_empty());
    }
}

macro_rules! found {
    ($($test:ident: $bug:ident;)*) => {
        $(#[test] fn $test() { is_found(Bug::$bug); })*

        #[test]
        fn every_seeded_fault_has_its_test() {
            assert_eq!(Bug::ALL, [$(Bug::$bug),*]);
        }
    };
}

found! {
    a_driver_without_a_fence_is_found: NoFence;
    a_fence_that_does_not_push_is_found: SilentFence;
    settling_by_absence_is_found: SettleByAbsence;
    a_recent_that_is_too_short_is_found: ShortRecent;
    a_recent_that_drops_the_newest_is_found: RecentDropsNewest;
    a_sweep_in_two_statements_is_found: SweepInTwoStatements;
    a_slot_pruned_and_put_in_one_batch_is_found: PruneAndPut;
    an_erase_that_takes_its_own_puts_is_found: EraseTakesPuts;
    a_prune_by_the_drivers_own_clock_is_found: PruneByOwnClock;
    a_prune_that_leaves_the_row_is_found: PruneLeavesRow;
    a_load_in_two_reads_without_a_second_look_is_found: NoSecondLook;
    a_second_look_that_ignores_the_root_is_found: BlindSecondLook;
    load_and_check_on_a_replica_are_found: Replica;
    a_creation_without_a_fence_is_found: CreationWithoutFence;
    a_statement_that_outlives_the_sweep_is_found: StatementOutlivesSweep;
    a_blank_root_that_expires_by_the_drivers_clock_is_found: BlankRootByOwnClock;
    a_store_that_takes_any_expiry_is_found: ExpiryAsGiven;
    a_second_load_that_keeps_old_rows_is_found: KeepsOldRows;
    an_event_under_a_taken_number_is_found: EventNumberReused;
    an_event_before_the_guard_is_found: EventBeforeTheGuard;
    a_promotion_over_another_vault_is_found: PromotesOtherBase;
    a_promotion_that_forgets_the_head_is_found: PromotionForgetsHead;
}

/// A driver whose clock is days behind and that does not know the horizon is safe, because the
/// store keeps what it puts.
#[test]
fn a_clock_behind_is_safe_on_a_store_that_keeps_a_partition_for_a_day() {
    let behind = |config: &Config| config.late_news && config.ahead.iter().any(|&ahead| ahead < 0);
    let configs: Vec<Config> = small().into_iter().filter(behind).collect();
    assert!(!configs.is_empty());
    for config in configs {
        let honest = run(config.clone(), 2);
        assert!(honest.broken.is_empty() && honest.coverage.count(Event::BlankFence) > 0, "{honest}");
        assert!(!run(config.with(Bug::ExpiryAsGiven), 2).broken.is_empty());
    }
}

#[test]
fn every_promise_is_broken_by_some_fault() {
    let broken: Vec<Promise> = Bug::ALL.into_iter().flat_map(|bug| seeded(bug).1).collect();
    for promise in Promise::ALL {
        assert!(broken.contains(&promise), "{promise:?} is never put to the test");
    }
}

#[test]
fn no_configuration_is_named_twice() {
    for configs in [small(), full()] {
        let names: HashSet<&str> = configs.iter().map(|config| config.name).collect();
        assert_eq!(names.len(), configs.len());
    }
}

/// Every state that a search reaches.
fn reached(search: &Search) -> HashSet<World> {
    let mut reached: HashSet<World> = search.init_states().into_iter().collect();
    let mut open: Vec<World> = reached.iter().cloned().collect();
    while let Some(world) = open.pop() {
        for next in search.next_states(&world) {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}

#[test]
fn the_normal_form_leaves_nothing_out() {
    let codes = Config { acts: vec![(Act::Redeem, 1), (Act::Change, 2)], looks: 3, ..Config::default() };
    let creation = Config {
        start: Start::Nothing,
        acts: vec![(Act::Create, 1), (Act::Register, 1)],
        days: 2,
        sweeps: true,
        ..Config::default()
    };
    let sessions = Config {
        start: Start::Session,
        ahead: vec![0, 1],
        acts: vec![(Act::Touch, 1), (Act::Use, 1)],
        days: 2,
        sweeps: true,
        ..Config::default()
    };
    for config in [
        Config { losses: 2, depth: 1, ..codes.clone() },
        Config { two_reads: true, ..codes.clone() },
        Config { extra_load: true, restarts: 1, ..codes.clone() },
        Config { ahead: vec![0; 3], acts: vec![(Act::Redeem, 2), (Act::Change, 1)], reruns: 0, ..codes.clone() },
        codes.with(Bug::Replica),
        creation.clone(),
        creation.with(Bug::StatementOutlivesSweep),
        sessions,
    ] {
        let merged = Search::new(config.clone());
        let apart = Search::unmerged(config.clone());
        let apart = reached(&apart);
        let expected: HashSet<World> = apart.iter().map(|world| normalise(&merged, world.clone())).collect();
        let merged = reached(&merged);
        println!("{} states apart, {} merged", apart.len(), merged.len());
        assert!(merged.len() < apart.len());
        assert!(merged == expected, "{} against {}: {config:?}", merged.len(), expected.len());
    }
}
