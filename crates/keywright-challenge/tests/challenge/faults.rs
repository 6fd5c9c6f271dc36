//! Conflicts, refusals, lost replies and late deliveries: one charge for one guess, one change for
//! one replacement, and "unknown" only where the outcome is unknown.

use std::sync::Arc;

use keywright_challenge::{ChallengeError, Verification};
use keywright_store::{MemoryStore, TransactError};
use keywright_store_conformance::{Fault, FaultStore, Odds};

use crate::world::{UNKNOWN, World, granted, proof, salts, secret, streak};

async fn faulty() -> (Arc<FaultStore<MemoryStore>>, World) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    (Arc::clone(&store), World::over(store).await)
}

/// After each of these the driver finds out, and the step runs again if it must.
fn settled() -> [Fault; 5] {
    [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held]
}

#[tokio::test]
async fn a_wrong_guess_is_charged_once() {
    for fault in settled() {
        let (store, world) = faulty().await;
        world.set(1).await;
        store.next_commit(fault.clone());
        assert_eq!(streak(world.verify(2, UNKNOWN).await), 1, "{fault:?}");
        let ledger = world.ledger().await;
        while let Some(late) = store.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert_eq!(world.ledger().await, ledger, "{fault:?}");
        assert_eq!(world.denials().await, ["guess_denied (secret: challenge, reason: wrong)"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_replacement_happens_once_and_gives_the_keys_that_count() {
    for fault in settled() {
        let (store, world) = faulty().await;
        let first = world.set(1).await;
        store.next_commit(fault.clone());
        let replaced = world.challenges().replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await;
        let keys = granted(replaced.unwrap());
        while store.deliver().await.is_some() {}
        assert_eq!(keys.old.expose(), first.expose(), "{fault:?}");
        assert_eq!(granted(world.verify(2, UNKNOWN).await).expose(), keys.new.expose(), "{fault:?}");
        assert_eq!(streak(world.verify(1, UNKNOWN).await), 1, "{fault:?}");
        assert_eq!(world.epochs_moved().await, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn no_key_without_a_commit() {
    let (store, world) = faulty().await;
    world.set(1).await;
    for guess in [1, 2] {
        let before = world.ledger().await;
        store.next_commit(Fault::Rejected);
        let verified = world.challenges().verify(&world.account, &proof(guess), UNKNOWN).await;
        assert!(matches!(verified, Err(ChallengeError::Transact(TransactError::Rejected(_)))));
        assert_eq!(world.ledger().await, before);
    }
    store.next_commit(Fault::Rejected);
    let replaced = world.challenges().replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await;
    assert!(matches!(replaced, Err(ChallengeError::Transact(TransactError::Rejected(_)))));
    granted(world.verify(1, UNKNOWN).await);
    assert_eq!(world.epochs_moved().await, 1);
}

/// Chains of replacements over a store that fails at random. Whatever the answer was, exactly one
/// of the two secrets opens the challenge afterwards, and it is in doubt which one only if the
/// answer was "unknown".
#[tokio::test]
async fn after_any_fault_exactly_one_secret_opens() {
    let odds = Odds {
        conflict: 100,
        rejected: 50,
        lost_before: 100,
        lost_after: 150,
        held: 100,
        load_fails: 50,
        ..Odds::default()
    };
    let mut ends = Vec::new();
    for seed in 0..64 {
        let (store, world) = faulty().await;
        world.set(0).await;
        let mut current = 0;
        for new in 1..=12_u8 {
            store.randomise(seed * 1_000 + u64::from(new), odds);
            let replaced =
                world.challenges().replace(&world.account, &proof(current), &secret(new), &salts(new), UNKNOWN).await;
            store.calm();
            let expected = match replaced {
                Ok(Verification::Granted(_)) => Some(new),
                Ok(other) => panic!("{other:?}"),
                Err(ChallengeError::Transact(TransactError::Unknown(_))) => None,
                Err(_) => Some(current),
            };
            while store.deliver().await.is_some() {}
            let opens = async |n| matches!(world.verify(n, UNKNOWN).await, Verification::Granted(_));
            let (old_opens, new_opens) = (opens(current).await, opens(new).await);
            assert_ne!(old_opens, new_opens, "seed {seed}, {expected:?}");
            let now = if new_opens { new } else { current };
            assert!(expected.is_none_or(|expected| expected == now), "seed {seed}: {expected:?}, but {now} opens");
            ends.push(expected.map(|n| n == new));
            // The wrong one of the two was charged, unless the correct one came after it.
            granted(world.verify(now, UNKNOWN).await);
            current = now;
            world.clock.advance(2 * 86_400);
        }
    }
    let often = |end| ends.iter().filter(|&&other| other == end).count();
    let (done, refused, unknown) = (often(Some(true)), often(Some(false)), often(None));
    assert!(done > 300 && refused > 10 && unknown > 10, "{done} {refused} {unknown}");
}
