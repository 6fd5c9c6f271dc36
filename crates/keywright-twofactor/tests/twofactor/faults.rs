//! Conflicts, refusals, lost replies and late deliveries: a fault denies and costs nothing; one charge for one guess, one
//! grant for one code.

use std::sync::Arc;

use keywright_core::{ActionName, Purpose, SessionId};
use keywright_store::{MemoryStore, TransactError};
use keywright_store_conformance::{Fault, FaultStore, LoadFault, Odds};
use keywright_twofactor::{CHANGE_FACTORS, CodeKind, EnrolmentStart, TwoFactorError, TwoFactorPolicy, VerifyOutcome};

use crate::support::{Outcome, SEED, SESSION, START, UNKNOWN, World, code, wrong};

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
        assert_eq!(world.totp(&wrong(&[SEED], START)).await, Outcome::Charged(1), "{fault:?}");
        store.next_commit(fault.clone());
        assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Granted(0), "{fault:?}");
        while let Some(late) = store.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed, "{fault:?}");
        assert_eq!(
            world.totp(&wrong(&[SEED], START)).await,
            Outcome::Charged(1),
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
            let verdict = world.service.verify_totp(&world.account, &guess, &Purpose::new("test"), UNKNOWN).await;
            assert!(matches!(verdict, Err(TwoFactorError::Transact(TransactError::Rejected(_)))));
            store.next_load(LoadFault::Fails);
            let verdict = world.service.verify_totp(&world.account, &guess, &Purpose::new("test"), UNKNOWN).await;
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
                let verdict = world.service.verify_totp(&world.account, &typed, &Purpose::new("test"), UNKNOWN).await;
                grants += u32::from(verdict.is_ok_and(|verdict| Outcome::of(verdict).granted()));
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

/// Every operation passes all its slots to the driver: there is one load, whatever the outcome.
#[tokio::test]
async fn every_act_loads_once() {
    let (store, world) = faulty().await;
    let (service, account) = (&world.service, &world.account);
    store.note_loads();
    let once = |act: &str| {
        let loads = store.noted_loads();
        assert_eq!(loads.len(), 1, "{act}: {loads:?}");
        store.note_loads();
    };
    let _ = service.verify_totp(account, &code(SEED, START), &Purpose::new("test"), UNKNOWN).await.unwrap();
    once("a right code");
    let _ = service.verify_totp(account, &code(SEED, START), &Purpose::new("test"), UNKNOWN).await.unwrap();
    once("a used code");
    let _ = service.verify_totp(account, &code(SEED, START + 300), &Purpose::new("test"), UNKNOWN).await.unwrap();
    once("a code of another time");
    let _ = service.verify(account, "000000-000000-000001", &Purpose::new("test"), UNKNOWN).await.unwrap();
    once("a code of either kind");
    service.totp_refusal(account, UNKNOWN).await.unwrap();
    once("a look at waits");
    service.enrolled(account).await.unwrap();
    once("what is enrolled");
    let step_up = service
        .step_up_totp(account, &CHANGE_FACTORS, SessionId::new(SESSION), &code(SEED, START + 30), UNKNOWN)
        .await
        .unwrap();
    once("a step-up");
    let VerifyOutcome::Granted(proof) = step_up else { panic!("{step_up:?}") };
    let EnrolmentStart::Begun(pending) = service.begin_with(proof, "next", None).await.unwrap() else { panic!("full") };
    once("an enrolment");
    let typed = code(pending.secret().expose(), START);
    let _ = service.confirm(account, SessionId::new(SESSION), &typed, UNKNOWN).await.unwrap();
    once("a confirmation");
    let _ = service.demand(account, &ActionName::new("act"), SessionId::new(SESSION), true).await.unwrap();
    once("a demand");
    service.unlock(account, CodeKind::Totp).await.unwrap();
    once("the operator's unlock");
    service.disable(account).await.unwrap();
    once("the operator's reset");
    let _ = service.verify_totp(account, "123456", &Purpose::new("test"), UNKNOWN).await.unwrap();
    once("no device");
}
