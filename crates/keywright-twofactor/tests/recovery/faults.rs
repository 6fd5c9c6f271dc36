//! Conflicts, refusals, lost replies and late deliveries: one use of one code, one charge of one guess.

use std::sync::Arc;

use keywright_store::guess::GUESS_DENIED;
use keywright_store::{MemoryStore, TransactError};
use keywright_store_conformance::{Fault, FaultStore, LoadFault, Odds};
use keywright_twofactor::recovery::{Liveness, Preset};

use crate::world::{Outcome, UNKNOWN, World, foreign, judge};

async fn faulty() -> (Arc<FaultStore<MemoryStore>>, World, Vec<String>) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::over(store.clone()).await;
    let codes = world.make(Preset::RocketChat, Liveness::Now).await;
    (store, world, codes)
}

/// After each of these the driver finds out, and the step runs again if it must.
fn settled() -> [Fault; 5] {
    [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held]
}

#[tokio::test]
async fn a_code_is_spent_once_and_a_guess_charged_once() {
    for fault in settled() {
        let (store, world, codes) = faulty().await;
        store.next_commit(fault.clone());
        assert_eq!(world.verify(&codes[0]).await, Outcome::Granted, "{fault:?}");
        store.next_commit(fault.clone());
        assert_eq!(world.verify(&foreign(Preset::RocketChat, 1)).await, Outcome::Charged(1), "{fault:?}");
        while let Some(late) = store.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert_eq!((world.verify(&codes[0]).await, world.remaining().await), (Outcome::Denied, Some(11)), "{fault:?}");
        let used = ("recovery_code_used".to_owned(), Some(11));
        assert_eq!(world.changes().await.iter().filter(|outcome| **outcome == used).count(), 1, "{fault:?}");
        let denials = world.denials().await;
        let wrong = |event: &&keywright_core::SecurityEvent| event.text("reason") == Some("wrong");
        assert_eq!(denials.iter().filter(|event| event.is(&GUESS_DENIED)).filter(wrong).count(), 1, "{fault:?}");
    }
}

/// A fault of the store denies and charges nothing, neither a code nor an attempt
/// (`docs/security.md` § 6).
#[tokio::test]
async fn asvs_16_5_3_a_fault_denies_and_costs_nothing() {
    let (store, world, codes) = faulty().await;
    let wrong = foreign(Preset::RocketChat, 1);
    let before = (world.stored().await, world.changes().await);
    for guess in [&codes[0], &wrong] {
        store.next_commit(Fault::Rejected);
        let rejected = judge(&world.driver, &world.partition(), guess, UNKNOWN).await;
        assert!(matches!(rejected, Err(TransactError::Rejected(_))));
        store.next_load(LoadFault::Fails);
        assert!(judge(&world.driver, &world.partition(), guess, UNKNOWN).await.is_err());
        assert_eq!((world.stored().await, world.changes().await), before);
    }
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
}

/// Random faults: whatever was answered, no code is granted twice, and one that was granted is spent.
#[tokio::test]
async fn under_random_faults_no_code_is_granted_twice() {
    let odds = Odds {
        conflict: 150,
        rejected: 100,
        lost_before: 150,
        lost_after: 150,
        held: 100,
        load_fails: 50,
        ..Odds::default()
    };
    let (mut granted_once, mut failed) = (0, 0);
    for seed in 0..48 {
        let (store, world, codes) = faulty().await;
        for (code, nth) in codes.iter().zip(0_u64..) {
            let mut granted = 0;
            for again in 0..3 {
                store.randomise(seed * 1_000 + nth * 10 + again, odds);
                let outcome = judge(&world.driver, &world.partition(), code, UNKNOWN).await;
                store.calm();
                match outcome {
                    Ok(Outcome::Granted) => granted += 1,
                    Ok(Outcome::Denied) => {}
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => failed += 1,
                }
            }
            while store.deliver().await.is_some() {}
            assert!(granted <= 1, "seed {seed}");
            let last = world.verify(code).await;
            assert!(granted + usize::from(last == Outcome::Granted) <= 1, "seed {seed}: granted twice");
            granted_once += granted;
            assert_eq!(world.verify(code).await, Outcome::Denied);
        }
        assert_eq!(world.remaining().await, Some(0));
    }
    assert!(granted_once > 300 && failed > 50, "{granted_once} {failed}");
}
