//! A vault that is held back until a mailed link is followed.

use keywright_core::{Clock, UnixSeconds};
use keywright_rekey::events::{VAULT_HELD, VAULT_SWAPPED};
use keywright_rekey::{Coverage, Edit, EditOutcome, HoldOutcome, Promotion, Swap, Vaults};
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::{Draft, StageId};
use tokio::task::JoinSet;

use keywright_testing::Epoch;

use crate::world::{CLIENT_SLOTS, NOW, World, id, put, set_key, text};

const LIFE: u64 = 600;

async fn hold(world: &World, vaults: &Vaults, generation: u32) {
    let sealed = world.sealed(vaults, generation).await;
    let until = world.clock.now().unwrap().plus(LIFE);
    let staged = vaults.stage(sealed, until).await.unwrap();
    let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
    assert_eq!(vaults.driver().transact(&world.partition(), &[], step).await.unwrap(), HoldOutcome::Held);
}

/// Returns the stage that is held now.
async fn held_stage(world: &World, vaults: &Vaults) -> StageId {
    let look = |draft: &mut Draft<'_>| vaults.steps().staged_in(draft);
    vaults.driver().observe(&world.partition(), &[], look).await.unwrap().expect("one is held")
}

/// The rows of what a committed step of the service drops are removed without waiting for the
/// sweep.
#[tokio::test]
async fn the_rows_of_what_is_void_go_with_it() {
    for world in World::both() {
        let vaults = world.register(5).await;
        hold(&world, &vaults, 2).await;
        let stage = held_stage(&world, &vaults).await;
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        assert!(world.store.staged(&world.partition(), stage).await.unwrap().is_empty(), "replaced by a swap");

        hold(&world, &vaults, 3).await;
        let stage = held_stage(&world, &vaults).await;
        world.clock.advance(LIFE);
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Void));
        assert!(world.store.staged(&world.partition(), stage).await.unwrap().is_empty(), "its time was over");

        // A stage that is not held after all.
        let sealed = world.sealed(&vaults, 3).await;
        let staged = vaults.stage(sealed, world.clock.now().unwrap().plus(LIFE)).await.unwrap();
        assert_eq!(world.store.staged(&world.partition(), staged.stage()).await.unwrap().len(), 5);
        vaults.unstage(&world.account, staged.stage()).await.unwrap();
        // Nothing is left for the sweep.
        assert_eq!(world.sweep(world.at(LIFE * 2 + 3_601)).await, 0);
        world.check().await;
    }
}

async fn promote(world: &World, vaults: &Vaults, generation: u32) -> Swap<()> {
    vaults.promote(&world.account, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

#[tokio::test]
async fn a_held_vault_is_promoted_once() {
    for world in World::both() {
        let vaults = world.register(20).await;
        assert!(matches!(promote(&world, &vaults, 2).await, Swap::Nothing));
        assert!(matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Nothing));
        hold(&world, &vaults, 2).await;
        assert_eq!(world.check_swaps().await, 0, "held is not swapped");
        assert!(
            matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Covered(checked) if checked.len() == 20)
        );
        assert!(matches!(promote(&world, &vaults, 2).await, Swap::Done { ciphers: 20, .. }));
        assert_eq!(world.check_swaps().await, 1);
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Nothing));
        assert_eq!(world.check_swaps().await, 1);
        let events = world.events().await;
        assert_eq!(events[..2], ["vault_swapped", "vault_held"]);
        for kind in [&VAULT_SWAPPED, &VAULT_HELD] {
            assert_eq!(world.event(kind).await.count("ciphers"), Some(20));
        }
        assert_eq!(world.sweep(world.at(LIFE + 3_601)).await, 0, "the stage went with it");
    }
}

/// Changes one thing on which a held vault depends. Returns the changed fixture.
async fn void(what: &str, world: World) -> World {
    match what {
        "an edit" => {
            let new = text(1, 7);
            let edit = Edit::new(vec![put(id(1), &new, "")], Vec::new());
            assert!(matches!(
                world.server().edit(&world.account, &edit, world.key_epoch().await).await.unwrap(),
                EditOutcome::Done { .. }
            ));
        }
        "a swap" => assert!(matches!(world.change(&world.server(), 3).await.unwrap(), Swap::Done { .. })),
        "a credential" => world.move_epoch(Epoch::Credential).await,
        "a factor" => world.move_epoch(Epoch::Factor).await,
        "a key epoch" => world.move_epoch(Epoch::Key).await,
        "the end of its time" => world.clock.set(world.at(LIFE)),
        "a time before it was made" => world.clock.set(UnixSeconds::new(NOW - 1).unwrap()),
        _ => {
            world.clock.set(world.at(9));
            return world.fenced(NOW + 5);
        }
    }
    world
}

#[tokio::test]
async fn anything_that_it_rests_on_voids_it() {
    for what in [
        "an edit",
        "a swap",
        "a credential",
        "a factor",
        "a key epoch",
        "the end of its time",
        "a time before it was made",
        "the fence",
    ] {
        for world in World::both() {
            let vaults = world.register(4).await;
            hold(&world, &vaults, 5).await;
            let world = void(what, world).await;
            let vaults = world.server();
            let outcome = promote(&world, &vaults, 5).await;
            assert!(matches!(outcome, Swap::Void | Swap::Nothing), "{what}: {outcome:?}");
            world.check().await;
            assert_ne!(world.generation().await, 5, "{what}");
            assert!(matches!(promote(&world, &vaults, 5).await, Swap::Nothing), "{what}: it is dropped");
            assert!(world.events().await.contains(&"vault_dropped".to_owned()), "{what}");
            // The next one can be promoted like the first.
            hold(&world, &vaults, 6).await;
            assert!(matches!(promote(&world, &vaults, 6).await, Swap::Done { .. }), "{what}");
            world.check().await;
        }
    }
}

#[tokio::test]
async fn the_last_second_counts_and_the_one_after_does_not() {
    let world = World::memory();
    let vaults = world.register(2).await;
    hold(&world, &vaults, 2).await;
    world.clock.set(world.at(LIFE - 1));
    assert!(matches!(promote(&world, &vaults, 2).await, Swap::Done { .. }));
    world.check().await;
}

#[tokio::test]
async fn a_new_one_replaces_the_old() {
    for world in World::both() {
        let vaults = world.register(3).await;
        hold(&world, &vaults, 2).await;
        hold(&world, &vaults, 3).await;
        assert_eq!(world.events().await[..3], ["vault_held", "vault_dropped", "vault_held"]);
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Done { .. }));
        world.check().await;
        world.sweep(world.at(LIFE + 3_601)).await;
        world.check().await;
    }
}

#[tokio::test]
async fn it_is_held_for_the_vault_that_was_checked_only() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let sealed = world.sealed(&vaults, 2).await;
        let staged = vaults.stage(sealed, world.at(LIFE)).await.unwrap();
        assert!(matches!(world.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
        assert_eq!(vaults.driver().transact(&world.partition(), &[], step).await.unwrap(), HoldOutcome::HeadMoved);
        assert!(matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Nothing));
        world.check().await;
    }
}

#[tokio::test]
async fn a_crash_between_staging_and_holding_leaves_what_the_sweep_takes() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let sealed = world.sealed(&vaults, 2).await;
        drop(vaults.stage(sealed, world.at(LIFE)).await.unwrap());
        assert!(matches!(promote(&world, &vaults, 2).await, Swap::Nothing));
        assert_eq!(world.sweep(world.at(LIFE)).await, 0, "not before its time");
        assert_eq!(world.sweep(world.at(LIFE + 3_601)).await, 1);
        assert_eq!(world.check().await.ciphers.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thirty_two_promotions_one_is_done() {
    for world in World::both() {
        for servers in [1, 4_usize] {
            let first = world.of(keywright_core::AccountId::new(format!("user-{servers}")).unwrap());
            let vaults = first.register(10).await;
            hold(&first, &vaults, 2).await;
            let servers: Vec<Vaults> = (0..servers).map(|_| first.server()).collect();
            let racers = (0..32_usize).map(|number| {
                let (world, vaults) = (first.clone(), servers[number % servers.len()].clone());
                async move {
                    loop {
                        let outcome = vaults.promote(&world.account, CLIENT_SLOTS, |draft| set_key(draft, 2)).await;
                        if !crate::world::is_busy(&outcome) {
                            return outcome.unwrap();
                        }
                    }
                }
            });
            let outcomes = racers.collect::<JoinSet<_>>().join_all().await;
            let done = outcomes.iter().filter(|outcome| matches!(outcome, Swap::Done { .. })).count();
            assert_eq!(done, 1, "{outcomes:?}");
            assert_eq!(first.check_swaps().await, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_promotion_and_an_edit_one_wins() {
    for world in World::both() {
        let (vaults, other) = (world.register(10).await, world.server());
        for generation in 2..30 {
            hold(&world, &vaults, generation).await;
            let contents = world.contents().await;
            let edited = text(world.generation().await, generation);
            let (one, two) = (world.clone(), world.clone());
            let (promoting, editing) = (vaults.clone(), other.clone());
            let promotion = tokio::spawn(async move { promote(&one, &promoting, generation).await });
            let edit = tokio::spawn(async move {
                let edit = Edit::new(vec![put(id(1), &edited, "")], Vec::new());
                editing.edit(&two.account, &edit, contents.head.key_epoch).await.unwrap()
            });
            let (promotion, edit) = (promotion.await.unwrap(), edit.await.unwrap());
            let promoted = matches!(promotion, Swap::Done { .. });
            assert_ne!(promoted, matches!(edit, EditOutcome::Done { .. }), "{promotion:?} {edit:?}");
            assert_eq!(world.check().await.ciphers.len(), 10);
        }
    }
}

#[tokio::test]
async fn a_step_promotes_in_a_draft_of_the_callers() {
    let world = World::memory();
    let vaults = world.register(3).await;
    hold(&world, &vaults, 2).await;
    let Coverage::Covered(checked) = vaults.covered(&world.account).await.unwrap() else { panic!() };
    let step = |draft: &mut Draft<'_>| {
        let outcome = vaults.steps().promote_in(draft, &checked)?;
        set_key(draft, 2)?;
        Ok(outcome)
    };
    let outcome = vaults.driver().transact(&world.partition(), &[], step).await.unwrap();
    assert!(matches!(outcome, Promotion::Done { ciphers: 3, .. }));
    world.check().await;
    // A vault that was dropped on purpose is not promoted.
    hold(&world, &vaults, 3).await;
    let step = |draft: &mut Draft<'_>| vaults.steps().drop_held_in(draft);
    assert!(vaults.driver().transact(&world.partition(), &[], step).await.unwrap());
    assert!(!vaults.driver().transact(&world.partition(), &[], step).await.unwrap());
    assert!(matches!(promote(&world, &vaults, 3).await, Swap::Nothing));
}

#[tokio::test]
async fn a_stage_that_lost_rows_is_void_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let world = World::over(std::sync::Arc::new(SqliteStore::open(&path).unwrap()));
    let vaults = world.register(4).await;
    hold(&world, &vaults, 2).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute("DELETE FROM keywright_staged WHERE id = ?1", [id(2).0]).unwrap(), 1);
    assert!(matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Uncovered(_)));
    assert!(matches!(promote(&world, &vaults, 2).await, Swap::Void));
    assert!(matches!(promote(&world, &vaults, 2).await, Swap::Nothing));
    assert_eq!(world.check_swaps().await, 0);
}

/// The sweep also removes the record after its expiry.
#[tokio::test]
async fn the_sweep_takes_a_held_vault_that_nobody_confirmed() {
    for world in World::both() {
        let vaults = world.register(4).await;
        hold(&world, &vaults, 2).await;
        world.clock.set(world.at(LIFE + 4_000));
        world.sweep(world.at(LIFE + 3_601)).await;
        assert!(matches!(promote(&world, &vaults, 2).await, Swap::Nothing));
        world.check().await;
    }
}
