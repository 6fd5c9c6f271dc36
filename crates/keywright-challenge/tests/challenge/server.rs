//! What each call answers, charges and leaves.

use keywright_challenge::{Caller, ChallengeError, ChallengePolicy, ChallengeSecret, ChallengeSteps};
use keywright_challenge::{Proof, Salts, SecretError, Setting, Verification};
use keywright_core::{AccountId, Door, EventKind, Reason, UnixSeconds};
use keywright_store::{Draft, Slot, StepError, guess};

use crate::site::{START, Site, granted, proof, salts, secret, secret_text, step_error, streak, tag, wait};
use crate::vectors;

const STRANGER: Caller = Caller::stranger();

#[tokio::test]
async fn no_challenge_and_no_account_are_two_things() {
    let site = Site::memory().await;
    let challenges = site.challenges();
    assert_eq!(challenges.get(&site.account).await.unwrap(), None);
    assert!(matches!(site.verify(1, &STRANGER).await, Verification::NoChallenge));
    let replaced = challenges.replace(&site.account, &proof(1), &secret(2), &salts(2), &STRANGER).await.unwrap();
    assert!(matches!(replaced, Verification::NoChallenge));
    assert_eq!((site.credential_epoch().await, site.events().await), (1, vec![EventKind::AccountCreated]));

    let nobody = AccountId::new("User-1").unwrap();
    assert_eq!(step_error(challenges.get(&nobody).await), StepError::NoAccount);
    assert_eq!(step_error(challenges.set(&nobody, &secret(1), &salts(1)).await), StepError::NoAccount);
    assert_eq!(step_error(challenges.verify(&nobody, &proof(1), &STRANGER).await), StepError::NoAccount);
}

#[tokio::test]
async fn set_gives_the_key_that_verify_releases() {
    let site = Site::memory().await;
    let key = site.set(1).await;
    assert_eq!(site.challenges().get(&site.account).await.unwrap(), Some(salts(1)));
    assert_eq!(granted(site.verify(1, &STRANGER).await).expose(), key.expose());
    assert_eq!(site.credential_epoch().await, 2);
    assert_eq!(site.events().await, [EventKind::AccountCreated, EventKind::ChallengeSet]);
}

#[tokio::test]
async fn a_second_set_changes_nothing() {
    let site = Site::memory().await;
    let key = site.set(1).await;
    let before = site.stored(Slot::Challenge).await;
    let again = site.challenges().set(&site.account, &secret(2), &salts(2)).await.unwrap();
    assert!(matches!(again, Setting::Exists));
    assert_eq!(site.stored(Slot::Challenge).await, before);
    assert_eq!(site.credential_epoch().await, 2);
    assert_eq!(granted(site.verify(1, &STRANGER).await).expose(), key.expose());
}

/// ASVS 16.3.1: every attempt that was looked at is an event.
#[tokio::test]
async fn a_wrong_proof_is_charged_and_a_right_one_forgives() {
    let site = Site::memory().await;
    site.set(1).await;
    for expected in 1..=4 {
        assert_eq!(streak(site.verify(2, &STRANGER).await), expected);
    }
    let denied = EventKind::GuessDenied { door: Door::Challenge, reason: Reason::Wrong };
    assert_eq!(site.events().await[2..], [denied.clone(), denied.clone(), denied.clone(), denied.clone()]);
    granted(site.verify(1, &STRANGER).await);
    for expected in 1..=5 {
        assert_eq!(streak(site.verify(2, &STRANGER).await), expected);
    }
    // Refused unseen, right or wrong; a refusal writes nothing and is no event.
    let before = (site.stored(Slot::Ledger).await, site.events().await.len());
    assert_eq!(wait(site.verify(1, &STRANGER).await), 30);
    assert_eq!(wait(site.verify(2, &STRANGER).await), 30);
    assert_eq!((site.stored(Slot::Ledger).await, site.events().await.len()), before);
    let until = UnixSeconds::new(START + 30).unwrap();
    assert!(site.events().await.contains(&EventKind::DoorPaused { door: Door::Challenge, until }));
    site.clock.advance(30);
    granted(site.verify(1, &STRANGER).await);
}

/// Verifying and replacing are two endpoints and one door (ASVS 6.3.4).
#[tokio::test]
async fn verify_and_replace_charge_one_entry() {
    let site = Site::memory().await;
    site.set(1).await;
    let challenges = site.challenges();
    for expected in [1, 3, 5] {
        let replaced = challenges.replace(&site.account, &proof(2), &secret(3), &salts(3), &STRANGER).await.unwrap();
        assert_eq!(streak(replaced), expected);
        if expected < 5 {
            assert_eq!(streak(site.verify(2, &STRANGER).await), expected + 1);
        }
    }
    let replaced = challenges.replace(&site.account, &proof(1), &secret(3), &salts(3), &STRANGER).await.unwrap();
    assert_eq!(wait(replaced), 30);
    assert_eq!(wait(site.verify(1, &STRANGER).await), 30);
    assert_eq!(site.credential_epoch().await, 2);
    assert_eq!(challenges.get(&site.account).await.unwrap(), Some(salts(1)));
}

/// ASVS 6.1.1: strangers cannot lock the owner out. NIST SP 800-63B-4 § 3.2.2: a success forgives its own lane only.
#[tokio::test]
async fn a_known_device_is_not_held_up_by_strangers() {
    let site = Site::memory().await;
    site.set(1).await;
    let (phone, other) = (Caller::with_tag(tag(1)), Caller::with_tag(tag(2)));
    granted(site.verify(1, &phone).await);
    for _ in 0..5 {
        streak(site.verify(2, &STRANGER).await);
    }
    // A tag that never passed is a stranger's.
    assert_eq!(wait(site.verify(1, &other).await), 30);
    assert_eq!(streak(site.verify(2, &phone).await), 1);
    granted(site.verify(1, &phone).await);
    // Its success forgives its own lane only.
    assert_eq!(wait(site.verify(1, &STRANGER).await), 30);
}

/// ASVS 6.2.3, 7.4.3: a change takes the present secret, and the moved epoch ends all sessions.
#[tokio::test]
async fn replace_ends_the_old_secret_the_old_key_and_the_epoch() {
    let site = Site::memory().await;
    let first = site.set(1).await;
    let caller = Caller::with_tag(tag(1)).passing_in_next_epoch(tag(2));
    let replaced = site.challenges().replace(&site.account, &proof(1), &secret(2), &salts(2), &caller).await.unwrap();
    let keys = granted(replaced);
    assert_eq!(keys.old.expose(), first.expose());
    assert_ne!(keys.new.expose(), first.expose());
    assert_eq!(site.credential_epoch().await, 3);
    assert_eq!(site.challenges().get(&site.account).await.unwrap(), Some(salts(2)));
    assert_eq!(site.events().await.last(), Some(&EventKind::ChallengeReplaced));

    assert_eq!(streak(site.verify(1, &STRANGER).await), 1);
    assert_eq!(granted(site.verify(2, &STRANGER).await).expose(), keys.new.expose());
    // The credential is known by the name that it has in the new epoch.
    for _ in 0..5 {
        streak(site.verify(1, &STRANGER).await);
    }
    granted(site.verify(2, &Caller::with_tag(tag(2))).await);
}

#[tokio::test]
async fn the_same_secret_again_is_still_a_new_key() {
    let site = Site::memory().await;
    let first = site.set(1).await;
    let before = site.stored(Slot::Challenge).await;
    let replaced = site.challenges().replace(&site.account, &proof(1), &secret(1), &salts(1), &STRANGER).await.unwrap();
    assert_ne!(granted(replaced).new.expose(), first.expose());
    assert_ne!(site.stored(Slot::Challenge).await, before);
    assert_eq!(site.credential_epoch().await, 3);
}

/// `security.md` §§ 4 and 14: a dump without the keyring holds nothing to guess against.
#[tokio::test]
async fn a_dump_shows_no_salt_no_secret_no_key() {
    let site = Site::memory().await;
    let first = site.set(0xc1).await;
    streak(site.verify(0xc2, &STRANGER).await);
    let replaced =
        site.challenges().replace(&site.account, &proof(0xc1), &secret(0xc3), &salts(0xc3), &STRANGER).await.unwrap();
    let keys = granted(replaced);
    let dump = site.dump().await;
    assert!(dump.len() > 500, "something was stored: {}", dump.len());
    let shows = |bytes: &[u8]| dump.windows(bytes.len()).any(|window| window == bytes);
    for n in [0xc1, 0xc2, 0xc3] {
        assert!(!shows(&secret_text(n).as_bytes()[..8]) && !shows(&[n; 8]), "secret {n:x}");
        for salt in salts(n).as_strs() {
            assert!(!shows(&salt.as_bytes()[..8]) && !shows(&[n ^ 0x5a; 8]), "salt {n:x}");
        }
    }
    for key in [&first, &keys.old, &keys.new] {
        assert!(!shows(&key.expose()[..8]) && !shows(&hex::encode(key.expose()).as_bytes()[..8]));
    }
    // The scan does find what stands there in clear.
    assert!(shows(b"user-1") && shows(b"challenge"));
}

/// ASVS 16.2.5: what could reach a log has no secret in it.
#[tokio::test]
async fn nothing_printed_shows_a_secret() {
    let site = Site::memory().await;
    let key = site.set(0xab).await;
    let granted = site.verify(0xab, &STRANGER).await;
    let replaced =
        site.challenges().replace(&site.account, &proof(0xab), &secret(0xcd), &salts(0xcd), &STRANGER).await.unwrap();
    let shown = format!(
        "{granted:?} {replaced:?} {:?} {key:?} {:?} {:?} {:?}",
        site.verify(0xab, &STRANGER).await,
        site.challenges(),
        step_error(site.challenges().get(&AccountId::new("nobody").unwrap()).await),
        site.challenges().get(&site.account).await,
    );
    for hidden in
        ["abab", "cdcd", "171, 171", &hex::encode(key.expose())[..8], &format!("{:?}", &key.expose()[..3])[1..9]]
    {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// `negative.secrets` of the vectors, as `decisions.md` 19 and 20 say: another length is no guess and costs nothing; 64
/// other bytes are a wrong one and are charged, as a proof and as an old secret alike.
#[tokio::test]
async fn negative_secrets_of_the_vectors() {
    let secrets = vectors::file().unwrap().negative.secrets;
    let correct = |text: &str| ChallengeSecret::from_client(text).unwrap();
    let salts = Salts::parse(&secrets.correct_salts).unwrap();
    for replaces in [false, true] {
        let site = Site::memory().await;
        let challenges = site.challenges();
        let set = challenges.set(&site.account, &correct(&secrets.correct_secret), &salts).await.unwrap();
        let Setting::Set(key) = set else { panic!("{set:?}") };
        let mut charged = 0;
        for case in &secrets.cases {
            let before = site.stored(Slot::Ledger).await;
            let proof = match (case.upstream_server.status, Proof::from_client(&case.secret)) {
                (400, Err(SecretError::Length)) => {
                    assert_eq!(site.stored(Slot::Ledger).await, before, "{}", case.name);
                    continue;
                }
                (401, Ok(proof)) => proof,
                (status, parsed) => panic!("{}: {status} {parsed:?}", case.name),
            };
            charged += 1;
            let counted = if replaces {
                let new = correct(&secret_text(1));
                streak(challenges.replace(&site.account, &proof, &new, &salts, &STRANGER).await.unwrap())
            } else {
                streak(challenges.verify(&site.account, &proof, &STRANGER).await.unwrap())
            };
            assert_eq!(counted, charged, "{}", case.name);
        }
        assert_eq!((charged, site.credential_epoch().await), (3, 2));
        let right = Proof::from_client(&secrets.correct_secret).unwrap();
        let released = granted(challenges.verify(&site.account, &right, &STRANGER).await.unwrap());
        assert_eq!(released.expose(), key.expose());
    }
}

/// ASVS 2.3.3. A wire crate runs a step beside its own records: one commit, and no key before it.
#[tokio::test]
async fn steps_compose_in_one_commit() {
    let site = Site::memory().await;
    let key = site.set(1).await;
    let steps = ChallengeSteps::new(ChallengePolicy::default());
    assert!(site.driver.observe(&site.partition(), &[], |draft| steps.exists_in(draft)).await.unwrap());
    let step = |draft: &mut Draft<'_>| {
        let outcome = steps.verify_in(draft, &proof(1), &STRANGER)?;
        if let Verification::Granted(tentative) = &outcome {
            assert!(tentative.peek(draft)?.expose() == key.expose());
        }
        draft.event(EventKind::SessionOpened);
        Ok(outcome)
    };
    let (outcome, receipt) = site.driver.transact(&site.partition(), &[], step).await.unwrap();
    assert_eq!(granted(outcome).release(&receipt).unwrap().expose(), key.expose());
    assert_eq!(site.events().await.last(), Some(&EventKind::SessionOpened));

    // Another commit's receipt releases nothing.
    let (outcome, _) = site.driver.transact(&site.partition(), &[], step).await.unwrap();
    let (_, other) = site.driver.transact(&site.partition(), &[], step).await.unwrap();
    let wrong = granted(outcome).release(&other).map(|_| ()).map_err(ChallengeError::from);
    assert!(matches!(wrong, Err(ChallengeError::Receipt(_))));

    // What is held back and dropped is neither charged nor granted.
    let before = site.ledger().await;
    let dropped = |draft: &mut Draft<'_>| {
        let judged = draft.judge(|draft| steps.verify_in(draft, &proof(2), &STRANGER))?;
        Ok(matches!(judged.outcome(), Verification::Denied(_)))
    };
    assert!(site.driver.transact(&site.partition(), &[], dropped).await.unwrap().0);
    assert_eq!(site.ledger().await, before);
}

/// An erase takes the challenge; the next one is a first one again.
#[tokio::test]
async fn after_an_erase_there_is_none() {
    let site = Site::memory().await;
    let first = site.set(1).await;
    site.driver.transact(&site.partition(), &[], |draft| draft.erase(&[])).await.unwrap();
    assert!(matches!(site.verify(1, &STRANGER).await, Verification::NoChallenge));
    assert_eq!(site.challenges().get(&site.account).await.unwrap(), None);
    assert_ne!(site.set(1).await.expose(), first.expose());
}

/// NIST SP 800-63B-4 § 3.2.2: counted, not timed; no clock lifts it.
#[tokio::test]
async fn fifty_strangers_lock_and_an_unlock_is_the_way_out() {
    let site = Site::memory().await;
    site.set(1).await;
    let mut looked_at = 0;
    loop {
        match site.verify(2, &STRANGER).await {
            Verification::Denied(_) => looked_at += 1,
            Verification::Refused(refusal) if refusal.is_locked() => break,
            Verification::Refused(refusal) => site.clock.advance(refusal.retry_after()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(looked_at, 50);
    site.clock.advance(10 * 365 * 86_400);
    assert!(matches!(site.verify(1, &STRANGER).await, Verification::Refused(refusal) if refusal.is_locked()));
    let unlock = |draft: &mut Draft<'_>| guess::unlock(draft, Door::Challenge);
    assert!(site.driver.transact(&site.partition(), &[Slot::Ledger], unlock).await.unwrap().0);
    granted(site.verify(1, &STRANGER).await);
}
