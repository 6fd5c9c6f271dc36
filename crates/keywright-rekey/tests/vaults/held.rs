//! A vault that is held back until a mailed link is followed.

use keywright_core::{Clock, UnixSeconds};
use keywright_rekey::events::{VAULT_HELD, VAULT_SWAPPED};
use keywright_rekey::{Coverage, Edit, EditOutcome, HoldOutcome, Promotion, Swap, Vaults};
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::{Draft, StageId};
use tokio::task::JoinSet;

use crate::site::{CLIENT_SLOTS, NOW, Site, id, put, set_key, text};

const LIFE: u64 = 600;

async fn hold(site: &Site, vaults: &Vaults, generation: u32) {
    let sealed = site.sealed(vaults, generation).await;
    let until = site.clock.now().unwrap().plus(LIFE);
    let staged = vaults.stage(sealed, until).await.unwrap();
    let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
    assert_eq!(vaults.driver().transact(&site.partition(), &[], step).await.unwrap(), HoldOutcome::Held);
}

/// The stage that is held now.
async fn held_stage(site: &Site, vaults: &Vaults) -> StageId {
    let look = |draft: &mut Draft<'_>| vaults.steps().staged_in(draft);
    vaults.driver().observe(&site.partition(), &[], look).await.unwrap().expect("one is held")
}

/// What is dropped by a committed step of the service does not wait for the sweep.
#[tokio::test]
async fn the_rows_of_what_is_void_go_with_it() {
    for site in Site::both() {
        let vaults = site.register(5).await;
        hold(&site, &vaults, 2).await;
        let stage = held_stage(&site, &vaults).await;
        assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        assert!(site.store.staged(&site.partition(), stage).await.unwrap().is_empty(), "replaced by a swap");

        hold(&site, &vaults, 3).await;
        let stage = held_stage(&site, &vaults).await;
        site.clock.advance(LIFE);
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Void));
        assert!(site.store.staged(&site.partition(), stage).await.unwrap().is_empty(), "its time was over");

        // One that is not held after all.
        let sealed = site.sealed(&vaults, 3).await;
        let staged = vaults.stage(sealed, site.clock.now().unwrap().plus(LIFE)).await.unwrap();
        assert_eq!(site.store.staged(&site.partition(), staged.stage()).await.unwrap().len(), 5);
        vaults.unstage(&site.account, staged.stage()).await.unwrap();
        // Nothing is left for the sweep.
        assert_eq!(site.sweep(site.at(LIFE * 2 + 3_601)).await, 0);
        site.check().await;
    }
}

async fn promote(site: &Site, vaults: &Vaults, generation: u32) -> Swap<()> {
    vaults.promote(&site.account, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

#[tokio::test]
async fn a_held_vault_is_promoted_once() {
    for site in Site::both() {
        let vaults = site.register(20).await;
        assert!(matches!(promote(&site, &vaults, 2).await, Swap::Nothing));
        assert!(matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Nothing));
        hold(&site, &vaults, 2).await;
        assert_eq!(site.check_swaps().await, 0, "held is not swapped");
        assert!(
            matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Covered(checked) if checked.len() == 20)
        );
        assert!(matches!(promote(&site, &vaults, 2).await, Swap::Done { ciphers: 20, .. }));
        assert_eq!(site.check_swaps().await, 1);
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Nothing));
        assert_eq!(site.check_swaps().await, 1);
        let events = site.events().await;
        assert_eq!(events[..2], ["vault_swapped", "vault_held"]);
        for kind in [&VAULT_SWAPPED, &VAULT_HELD] {
            assert_eq!(site.event(kind).await.count("ciphers"), Some(20));
        }
        assert_eq!(site.sweep(site.at(LIFE + 3_601)).await, 0, "the stage went with it");
    }
}

/// Changes one thing that a held vault rests on. Returns the site as it is then.
async fn void(what: &str, site: Site) -> Site {
    match what {
        "an edit" => {
            let new = text(1, 7);
            let edit = Edit::new(vec![put(id(1), &new, "")], Vec::new());
            assert!(matches!(
                site.server().edit(&site.account, &edit, site.key_epoch().await).await.unwrap(),
                EditOutcome::Done { .. }
            ));
        }
        "a swap" => assert!(matches!(site.change(&site.server(), 3).await.unwrap(), Swap::Done { .. })),
        "a credential" => site.move_epoch(|draft| draft.move_credential_epoch()).await,
        "a factor" => site.move_epoch(|draft| draft.move_factor_epoch()).await,
        "a key epoch" => site.move_epoch(|draft| draft.move_key_epoch()).await,
        "the end of its time" => site.clock.set(site.at(LIFE)),
        "a time before it was made" => site.clock.set(UnixSeconds::new(NOW - 1).unwrap()),
        _ => {
            site.clock.set(site.at(9));
            return site.fenced(NOW + 5);
        }
    }
    site
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
        for site in Site::both() {
            let vaults = site.register(4).await;
            hold(&site, &vaults, 5).await;
            let site = void(what, site).await;
            let vaults = site.server();
            let outcome = promote(&site, &vaults, 5).await;
            assert!(matches!(outcome, Swap::Void | Swap::Nothing), "{what}: {outcome:?}");
            site.check().await;
            assert_ne!(site.generation().await, 5, "{what}");
            assert!(matches!(promote(&site, &vaults, 5).await, Swap::Nothing), "{what}: it is dropped");
            assert!(site.events().await.contains(&"vault_dropped".to_owned()), "{what}");
            // And the next one is as good as the first.
            hold(&site, &vaults, 6).await;
            assert!(matches!(promote(&site, &vaults, 6).await, Swap::Done { .. }), "{what}");
            site.check().await;
        }
    }
}

#[tokio::test]
async fn the_last_second_counts_and_the_one_after_does_not() {
    let site = Site::memory();
    let vaults = site.register(2).await;
    hold(&site, &vaults, 2).await;
    site.clock.set(site.at(LIFE - 1));
    assert!(matches!(promote(&site, &vaults, 2).await, Swap::Done { .. }));
    site.check().await;
}

#[tokio::test]
async fn a_new_one_replaces_the_old() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        hold(&site, &vaults, 2).await;
        hold(&site, &vaults, 3).await;
        assert_eq!(site.events().await[..3], ["vault_held", "vault_dropped", "vault_held"]);
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Done { .. }));
        site.check().await;
        site.sweep(site.at(LIFE + 3_601)).await;
        site.check().await;
    }
}

#[tokio::test]
async fn it_is_held_for_the_vault_that_was_checked_only() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        let sealed = site.sealed(&vaults, 2).await;
        let staged = vaults.stage(sealed, site.at(LIFE)).await.unwrap();
        assert!(matches!(site.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
        assert_eq!(vaults.driver().transact(&site.partition(), &[], step).await.unwrap(), HoldOutcome::HeadMoved);
        assert!(matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Nothing));
        site.check().await;
    }
}

#[tokio::test]
async fn a_crash_between_staging_and_holding_leaves_what_the_sweep_takes() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        let sealed = site.sealed(&vaults, 2).await;
        drop(vaults.stage(sealed, site.at(LIFE)).await.unwrap());
        assert!(matches!(promote(&site, &vaults, 2).await, Swap::Nothing));
        assert_eq!(site.sweep(site.at(LIFE)).await, 0, "not before its time");
        assert_eq!(site.sweep(site.at(LIFE + 3_601)).await, 1);
        assert_eq!(site.check().await.ciphers.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thirty_two_promotions_one_is_done() {
    for site in Site::both() {
        for servers in [1, 4_usize] {
            let first =
                Site { account: keywright_core::AccountId::new(format!("user-{servers}")).unwrap(), ..site.clone() };
            let vaults = first.register(10).await;
            hold(&first, &vaults, 2).await;
            let servers: Vec<Vaults> = (0..servers).map(|_| first.server()).collect();
            let racers = (0..32_usize).map(|number| {
                let (site, vaults) = (first.clone(), servers[number % servers.len()].clone());
                async move {
                    loop {
                        let outcome = vaults.promote(&site.account, CLIENT_SLOTS, |draft| set_key(draft, 2)).await;
                        if !crate::site::is_busy(&outcome) {
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
    for site in Site::both() {
        let (vaults, other) = (site.register(10).await, site.server());
        for generation in 2..30 {
            hold(&site, &vaults, generation).await;
            let contents = site.contents().await;
            let edited = text(site.generation().await, generation);
            let (one, two) = (site.clone(), site.clone());
            let (promoting, editing) = (vaults.clone(), other.clone());
            let promotion = tokio::spawn(async move { promote(&one, &promoting, generation).await });
            let edit = tokio::spawn(async move {
                let edit = Edit::new(vec![put(id(1), &edited, "")], Vec::new());
                editing.edit(&two.account, &edit, contents.head.key_epoch).await.unwrap()
            });
            let (promotion, edit) = (promotion.await.unwrap(), edit.await.unwrap());
            let promoted = matches!(promotion, Swap::Done { .. });
            assert_ne!(promoted, matches!(edit, EditOutcome::Done { .. }), "{promotion:?} {edit:?}");
            assert_eq!(site.check().await.ciphers.len(), 10);
        }
    }
}

#[tokio::test]
async fn a_step_promotes_in_a_draft_of_the_callers() {
    let site = Site::memory();
    let vaults = site.register(3).await;
    hold(&site, &vaults, 2).await;
    let Coverage::Covered(checked) = vaults.covered(&site.account).await.unwrap() else { panic!() };
    let step = |draft: &mut Draft<'_>| {
        let outcome = vaults.steps().promote_in(draft, &checked)?;
        set_key(draft, 2)?;
        Ok(outcome)
    };
    let outcome = vaults.driver().transact(&site.partition(), &[], step).await.unwrap();
    assert!(matches!(outcome, Promotion::Done { ciphers: 3, .. }));
    site.check().await;
    // What was dropped on purpose is not promoted.
    hold(&site, &vaults, 3).await;
    let step = |draft: &mut Draft<'_>| vaults.steps().drop_held_in(draft);
    assert!(vaults.driver().transact(&site.partition(), &[], step).await.unwrap());
    assert!(!vaults.driver().transact(&site.partition(), &[], step).await.unwrap());
    assert!(matches!(promote(&site, &vaults, 3).await, Swap::Nothing));
}

#[tokio::test]
async fn a_stage_that_lost_rows_is_void_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let site = Site::over(std::sync::Arc::new(SqliteStore::open(&path).unwrap()));
    let vaults = site.register(4).await;
    hold(&site, &vaults, 2).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute("DELETE FROM keywright_staged WHERE id = ?1", [id(2).0]).unwrap(), 1);
    assert!(matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Uncovered(_)));
    assert!(matches!(promote(&site, &vaults, 2).await, Swap::Void));
    assert!(matches!(promote(&site, &vaults, 2).await, Swap::Nothing));
    assert_eq!(site.check_swaps().await, 0);
}

/// The record goes with the sweep as well, after its time.
#[tokio::test]
async fn the_sweep_takes_a_held_vault_that_nobody_confirmed() {
    for site in Site::both() {
        let vaults = site.register(4).await;
        hold(&site, &vaults, 2).await;
        site.clock.set(site.at(LIFE + 4_000));
        site.sweep(site.at(LIFE + 3_601)).await;
        assert!(matches!(promote(&site, &vaults, 2).await, Swap::Nothing));
        site.check().await;
    }
}
