//! Lost rows, damaged bodies, keyrings: whatever cannot be read denies, costs nothing, and is never overwritten
//! (ASVS 16.5.3).

use keywright_challenge::{Caller, Challenges};
use keywright_core::{Keyring, OpenError};
use keywright_store::{Slot, StepError};

use crate::site::{Site, granted, key, proof, salts, secret, step_error, streak};

const STRANGER: Caller = Caller::stranger();

/// Every call fails with the same error, and leaves the challenge and the ledger as they lie.
async fn all_deny(site: &Site, challenges: &Challenges) -> StepError {
    let account = &site.account;
    let before = (site.stored(Slot::Challenge).await, site.stored(Slot::Ledger).await, site.stored(Slot::Root).await);
    let error = step_error(challenges.get(account).await);
    assert_eq!(step_error(challenges.verify(account, &proof(1), &STRANGER).await), error);
    assert_eq!(step_error(challenges.verify(account, &proof(2), &STRANGER).await), error);
    assert_eq!(step_error(challenges.set(account, &secret(3), &salts(3)).await), error);
    let replaced = challenges.replace(account, &proof(1), &secret(3), &salts(3), &STRANGER).await;
    assert_eq!(step_error(replaced), error);
    let after = (site.stored(Slot::Challenge).await, site.stored(Slot::Ledger).await, site.stored(Slot::Root).await);
    assert_eq!(after, before);
    error
}

fn opens(error: StepError) -> OpenError {
    match error {
        StepError::Open(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The root vouches for the challenge: a lost row is no account without one, which could be set anew.
#[tokio::test]
async fn a_deleted_challenge_is_an_integrity_error() {
    let site = Site::memory().await;
    site.set(1).await;
    site.tamper(Slot::Challenge, None).await;
    assert_eq!(all_deny(&site, &site.challenges()).await, StepError::Integrity(Slot::Challenge));
}

/// A lost ledger is no fresh budget.
#[tokio::test]
async fn a_deleted_ledger_is_an_integrity_error() {
    let site = Site::memory().await;
    site.set(1).await;
    streak(site.verify(2, &STRANGER).await);
    site.tamper(Slot::Ledger, None).await;
    let verified = site.challenges().verify(&site.account, &proof(1), &STRANGER).await;
    assert_eq!(step_error(verified), StepError::Integrity(Slot::Ledger));
    let replaced = site.challenges().replace(&site.account, &proof(1), &secret(2), &salts(2), &STRANGER).await;
    assert_eq!(step_error(replaced), StepError::Integrity(Slot::Ledger));
}

#[tokio::test]
async fn a_damaged_challenge_denies_and_stays() {
    for bit in [0, 8, 9 * 8, 40 * 8, 200 * 8 + 3] {
        let site = Site::memory().await;
        site.set(1).await;
        let mut body = site.stored(Slot::Challenge).await.unwrap().body.to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        site.tamper(Slot::Challenge, Some(body)).await;
        assert_eq!(opens(all_deny(&site, &site.challenges()).await).slot(), "challenge");
    }
    for kept in [0, 1, 40, 100] {
        let site = Site::memory().await;
        site.set(1).await;
        let mut body = site.stored(Slot::Challenge).await.unwrap().body.to_vec();
        body.truncate(kept);
        site.tamper(Slot::Challenge, Some(body)).await;
        opens(all_deny(&site, &site.challenges()).await);
    }
}

/// The body of another slot or account does not open here.
#[tokio::test]
async fn a_body_from_elsewhere_does_not_open() {
    let site = Site::memory().await;
    site.set(1).await;
    let root = site.stored(Slot::Root).await.unwrap().body.to_vec();
    site.tamper(Slot::Challenge, Some(root)).await;
    opens(all_deny(&site, &site.challenges()).await);
}

#[tokio::test]
async fn another_keyring_denies() {
    let site = Site::memory().await;
    site.set(1).await;
    let other = site.server_with(Keyring::from_keys(&[key(2)], &key(9)).unwrap());
    assert!(opens(all_deny(&site, &other).await).is_unknown_key());
    granted(site.verify(1, &STRANGER).await);
}

/// `security.md` § 2: re-sealed by the next write, never by a read.
#[tokio::test]
async fn a_rotated_keyring_opens_and_the_next_write_seals_anew() {
    let site = Site::memory().await;
    let first = site.set(1).await;
    streak(site.verify(2, &STRANGER).await);
    granted(site.verify(1, &STRANGER).await);
    let rotated = || Keyring::from_keys(&[key(2), key(1)], &key(9)).unwrap();
    let current = async |slot| rotated().is_current(&site.stored(slot).await.unwrap().body);
    let challenges = site.server_with(rotated());

    let verified = challenges.verify(&site.account, &proof(1), &STRANGER).await.unwrap();
    assert_eq!(granted(verified).expose(), first.expose());
    assert!(!current(Slot::Challenge).await && !current(Slot::Ledger).await && !current(Slot::Root).await);

    streak(challenges.verify(&site.account, &proof(2), &STRANGER).await.unwrap());
    assert!(!current(Slot::Challenge).await && current(Slot::Ledger).await);

    let replaced = challenges.replace(&site.account, &proof(1), &secret(2), &salts(2), &STRANGER).await.unwrap();
    let keys = granted(replaced);
    assert_eq!(keys.old.expose(), first.expose());
    assert!(current(Slot::Challenge).await && current(Slot::Ledger).await && current(Slot::Root).await);

    // The old key is out of use.
    let retired = site.server_with(Keyring::from_keys(&[key(2)], &key(9)).unwrap());
    let verified = retired.verify(&site.account, &proof(2), &STRANGER).await.unwrap();
    assert_eq!(granted(verified).expose(), keys.new.expose());
}
