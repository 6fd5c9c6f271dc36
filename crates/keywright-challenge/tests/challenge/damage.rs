//! Lost rows, damaged bodies, keyrings: whatever cannot be read denies, costs nothing, and is never overwritten
//! (ASVS 16.5.3).

use bytes::Bytes;
use keywright_challenge::{Challenges, SLOT_KINDS};
use keywright_core::{Keyring, OpenError};
use keywright_store::{Damage, StepError};

use crate::world::{CHALLENGE, LEDGER, UNKNOWN, World, granted, key, proof, salts, secret, step_error, streak, tag};

/// Every call fails with the same error, and leaves the challenge and the ledger unchanged.
async fn all_deny(world: &World, challenges: &Challenges) -> StepError {
    let account = &world.account;
    let before = (world.stored(CHALLENGE).await, world.stored(LEDGER).await, world.root().await);
    let error = step_error(challenges.get(account).await);
    assert_eq!(step_error(challenges.verify(account, &proof(1), UNKNOWN).await), error);
    assert_eq!(step_error(challenges.verify(account, &proof(2), UNKNOWN).await), error);
    assert_eq!(step_error(challenges.set(account, &secret(3), &salts(3), UNKNOWN).await), error);
    let replaced = challenges.replace(account, &proof(1), &secret(3), &salts(3), UNKNOWN).await;
    assert_eq!(step_error(replaced), error);
    assert_eq!(step_error(challenges.admit_client(account, &proof(1), UNKNOWN, tag(1)).await), error);
    assert_eq!(step_error(challenges.admit_by_mail(account, [1; 16], tag(1)).await), error);
    assert_eq!(step_error(challenges.unlock(account).await), error);
    let after = (world.stored(CHALLENGE).await, world.stored(LEDGER).await, world.root().await);
    assert_eq!(after, before);
    error
}

fn opens(error: StepError) -> OpenError {
    match error {
        StepError::Open(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The record is a lasting one, so its loss is noticed. The name of its slot is stored, so it must
/// not change.
#[test]
fn the_one_kind_of_slot_lasts() {
    let kinds = SLOT_KINDS.iter().map(|kind| (kind.name().to_string(), kind.most(), kind.is_expiring()));
    assert_eq!(kinds.collect::<Vec<_>>(), [("challenge".to_owned(), 1, false)]);
}

/// The root vouches for the challenge: a lost row does not mean an account without one, for which a
/// first one could be set.
#[tokio::test]
async fn a_deleted_challenge_is_an_integrity_error() {
    let world = World::memory().await;
    world.set(1).await;
    world.tamper(CHALLENGE, None).await;
    assert_eq!(all_deny(&world, &world.challenges()).await, StepError::Damaged(Damage::Record(CHALLENGE)));
}

/// A lost ledger does not reset the count of guesses.
#[tokio::test]
async fn a_deleted_ledger_is_an_integrity_error() {
    let world = World::memory().await;
    world.set(1).await;
    streak(world.verify(2, UNKNOWN).await);
    world.tamper(LEDGER, None).await;
    let verified = world.challenges().verify(&world.account, &proof(1), UNKNOWN).await;
    assert_eq!(step_error(verified), StepError::Damaged(Damage::Record(LEDGER)));
    let replaced = world.challenges().replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await;
    assert_eq!(step_error(replaced), StepError::Damaged(Damage::Record(LEDGER)));
}

#[tokio::test]
async fn a_damaged_challenge_denies_and_stays() {
    for bit in [0, 8, 9 * 8, 40 * 8, 200 * 8 + 3] {
        let world = World::memory().await;
        world.set(1).await;
        let mut body = world.stored(CHALLENGE).await.unwrap().to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        world.tamper(CHALLENGE, Some(body.into())).await;
        assert_eq!(opens(all_deny(&world, &world.challenges()).await).slot(), "challenge");
    }
    for kept in [0, 1, 40, 100] {
        let world = World::memory().await;
        world.set(1).await;
        let mut body = world.stored(CHALLENGE).await.unwrap().to_vec();
        body.truncate(kept);
        world.tamper(CHALLENGE, Some(body.into())).await;
        opens(all_deny(&world, &world.challenges()).await);
    }
}

/// The body of another slot does not open here, nor one of this slot from an earlier commit.
#[tokio::test]
async fn a_body_from_elsewhere_or_from_before_does_not_open() {
    let world = World::memory().await;
    world.set(1).await;
    let (root, first) = (world.root().await.body, world.stored(CHALLENGE).await.unwrap());
    let replaced = world.challenges().replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await.unwrap();
    granted(replaced);
    for body in [root, first, world.stored(LEDGER).await.unwrap(), Bytes::new()] {
        world.tamper(CHALLENGE, Some(body)).await;
        opens(all_deny(&world, &world.challenges()).await);
    }
}

/// Putting back an earlier ledger would reset the count of guesses.
#[tokio::test]
async fn a_ledger_from_before_does_not_open() {
    let world = World::memory().await;
    world.set(1).await;
    let first = world.stored(LEDGER).await;
    streak(world.verify(2, UNKNOWN).await);
    world.tamper(LEDGER, first).await;
    let verified = world.challenges().verify(&world.account, &proof(1), UNKNOWN).await;
    assert_eq!(opens(step_error(verified)).slot(), "ledger");
}

#[tokio::test]
async fn another_keyring_denies() {
    let world = World::memory().await;
    world.set(1).await;
    let other = world.server_with(Keyring::from_keys(&[key(2)], &key(9)).unwrap());
    assert!(opens(all_deny(&world, &other).await).is_unknown_key());
    granted(world.verify(1, UNKNOWN).await);
}

/// `docs/security.md` § 2: the record is resealed by the next write, never by a read.
#[tokio::test]
async fn a_rotated_keyring_opens_and_the_next_write_seals_anew() {
    let world = World::memory().await;
    let first = world.set(1).await;
    streak(world.verify(2, UNKNOWN).await);
    granted(world.verify(1, UNKNOWN).await);
    let rotated = || Keyring::from_keys(&[key(2), key(1)], &key(9)).unwrap();
    let current = async |slot| rotated().is_current(&world.stored(slot).await.unwrap());
    let root_is_current = async || rotated().is_current(&world.root().await.body);
    let challenges = world.server_with(rotated());

    let verified = challenges.verify(&world.account, &proof(1), UNKNOWN).await.unwrap();
    assert_eq!(granted(verified).expose(), first.expose());
    assert!(!current(CHALLENGE).await && !current(LEDGER).await && !root_is_current().await);

    streak(challenges.verify(&world.account, &proof(2), UNKNOWN).await.unwrap());
    assert!(!current(CHALLENGE).await && current(LEDGER).await);

    let replaced = challenges.replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await.unwrap();
    let keys = granted(replaced);
    assert_eq!(keys.old.expose(), first.expose());
    assert!(current(CHALLENGE).await && current(LEDGER).await && root_is_current().await);

    // The old key is out of use.
    let retired = world.server_with(Keyring::from_keys(&[key(2)], &key(9)).unwrap());
    let verified = retired.verify(&world.account, &proof(2), UNKNOWN).await.unwrap();
    assert_eq!(granted(verified).expose(), keys.new.expose());
}
