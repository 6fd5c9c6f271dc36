//! Conflicts, refusals, lost replies and late deliveries: a fault denies and costs nothing; one charge for one guess, one
//! grant for one code.

use std::sync::Arc;

use keywright_store::{MemoryStore, TransactError};
use keywright_store_conformance::{Fault, FaultStore, LoadFault, Odds};
use keywright_twofactor::{TwoFactorError, TwoFactorPolicy};

use crate::support::{SEED, START, Told, World, code, wrong};

async fn faulty() -> (Arc<FaultStore<MemoryStore>>, World) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::over(Arc::clone(&store) as _, TwoFactorPolicy::default()).await;
    world.import("phone", SEED).await;
    (store, world)
}

/// After each of these the driver finds out, and the step runs again if it must.
fn settled() -> [Fault; 5] {
    [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held]
}

#[tokio::test]
async fn one_grant_and_one_charge_whatever_is_lost() {
    for fault in settled() {
        let (store, world) = faulty().await;
        store.next_commit(fault.clone());
        assert_eq!(world.totp(&wrong(&[SEED], START)).await, Told::Charged(1), "{fault:?}");
        store.next_commit(fault.clone());
        assert_eq!(world.totp(&code(SEED, START)).await, Told::Granted(0), "{fault:?}");
        while let Some(late) = store.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed, "{fault:?}");
        assert_eq!(
            world.totp(&wrong(&[SEED], START)).await,
            Told::Charged(1),
            "{fault:?}: the grant cleared the streak"
        );
    }
}

/// ASVS 16.5.3: a store that fails denies, and the attempt is not counted.
#[tokio::test]
async fn asvs_16_5_3_a_fault_denies_and_costs_nothing() {
    for guess in [code(SEED, START), wrong(&[SEED], START)] {
        let (store, world) = faulty().await;
        let before = world.ledger().await;
        for _ in 0..60 {
            store.next_commit(Fault::Rejected);
            let verdict = world.service.verify_totp(&world.account, &guess, "test", None).await;
            assert!(matches!(verdict, Err(TwoFactorError::Transact(TransactError::Rejected(_)))));
            store.next_load(LoadFault::Fails);
            let verdict = world.service.verify_totp(&world.account, &guess, "test", None).await;
            assert!(matches!(verdict, Err(TwoFactorError::Transact(TransactError::Load(_)))));
        }
        assert_eq!(world.ledger().await, before);
        assert!(world.totp(&code(SEED, START)).await.granted());
    }
}

/// A store that fails at random, for many steps: whatever was answered, no code is granted twice.
#[tokio::test]
async fn at_random_no_code_is_granted_twice() {
    let odds = Odds {
        conflict: 100,
        rejected: 50,
        lost_before: 80,
        lost_after: 80,
        held: 80,
        load_fails: 50,
        delivery: 200,
        pause: 0,
    };
    for seed in 0..20 {
        let (store, world) = faulty().await;
        store.randomise(seed, odds);
        for step in 0..10 {
            world.set(START + step * 30);
            let (typed, mut grants) = (code(SEED, world.now()), 0);
            for _ in 0..6 {
                let verdict = world.service.verify_totp(&world.account, &typed, "test", None).await;
                grants += u32::from(verdict.is_ok_and(|verdict| Told::of(verdict).granted()));
            }
            assert!(grants <= 1, "seed {seed}, step {step}");
        }
        store.calm();
        while store.deliver().await.is_some() {}
        assert!(world.totp(&code(SEED, world.now() + 30)).await.granted());
    }
}

/// A change whose reply is lost for good is unknown, never refused.
#[tokio::test]
async fn a_change_that_stays_unknown_is_told_so() {
    let (store, world) = faulty().await;
    store.next_commit(Fault::LostAfter);
    store.next_load(LoadFault::None);
    for _ in 0..8 {
        store.next_load(LoadFault::Fails);
    }
    let removed = world.remove_all().await;
    assert!(matches!(removed, Err(TwoFactorError::Transact(TransactError::Unknown(_)))), "{removed:?}");
    store.calm();
    assert!(!world.service.enrolled(&world.account).await.unwrap().has_totp(), "it had happened");
}
