//! What each call returns, charges and stores.

use keywright_challenge::{
    ChallengeSecret, ChallengeSteps, Proof, SLOTS, Salts, SecretError, SetOutcome, Verification,
};
use keywright_core::{AccountId, EventKind, Severity};
use keywright_store::{Draft, StepError};

use crate::vectors;
use crate::world::{
    CHALLENGE, LEDGER, START, UNKNOWN, World, granted, proof, salts, secret, secret_text, step_error, streak, token,
    wait,
};

#[tokio::test]
async fn no_challenge_and_no_account_are_two_things() {
    let world = World::memory().await;
    let challenges = world.challenges();
    assert_eq!(challenges.get(&world.account).await.unwrap(), None);
    assert!(matches!(world.verify(1, UNKNOWN).await, Verification::NoChallenge));
    let replaced = challenges.replace(&world.account, &proof(1), &secret(2), &salts(2), UNKNOWN).await.unwrap();
    assert!(matches!(replaced, Verification::NoChallenge));
    assert_eq!((world.epochs_moved().await, world.changes().await), (0, vec!["account_created".to_owned()]));

    let nobody = AccountId::new("User-1").unwrap();
    assert_eq!(step_error(challenges.get(&nobody).await), StepError::NoAccount);
    assert_eq!(step_error(challenges.set(&nobody, &secret(1), &salts(1), UNKNOWN).await), StepError::NoAccount);
    assert_eq!(step_error(challenges.verify(&nobody, &proof(1), UNKNOWN).await), StepError::NoAccount);
}

#[tokio::test]
async fn set_gives_the_key_that_verify_releases() {
    let world = World::memory().await;
    let key = world.set(1).await;
    assert_eq!(world.challenges().get(&world.account).await.unwrap(), Some(salts(1)));
    assert_eq!(granted(world.verify(1, UNKNOWN).await).expose(), key.expose());
    assert_eq!(world.epochs_moved().await, 1);
    assert_eq!(world.changes().await, ["account_created", "challenge_set"]);
}

#[tokio::test]
async fn a_second_set_changes_nothing() {
    let world = World::memory().await;
    let key = world.set(1).await;
    let before = world.stored(CHALLENGE).await;
    let again = world.challenges().set(&world.account, &secret(2), &salts(2), UNKNOWN).await.unwrap();
    assert!(matches!(again, SetOutcome::Exists));
    assert_eq!(world.stored(CHALLENGE).await, before);
    assert_eq!(world.epochs_moved().await, 1);
    assert_eq!(granted(world.verify(1, UNKNOWN).await).expose(), key.expose());
}

/// ASVS 16.3.1: the first attempt that was checked is an event, and those in the hour after it are
/// counted.
#[tokio::test]
async fn a_wrong_proof_is_charged_and_a_right_one_forgives() {
    let world = World::memory().await;
    world.set(1).await;
    for expected in 1..=4 {
        assert_eq!(streak(world.verify(2, UNKNOWN).await), expected);
    }
    let denied = "guess_denied (secret: challenge, reason: wrong)".to_owned();
    assert_eq!(world.denials().await, [&*denied]);
    granted(world.verify(1, UNKNOWN).await);
    for expected in 1..=5 {
        assert_eq!(streak(world.verify(2, UNKNOWN).await), expected);
    }
    // The proof is refused without a check, whether correct or wrong; a refusal writes nothing and
    // emits no event.
    let before = world.root().await;
    assert_eq!(wait(world.verify(1, UNKNOWN).await), 30);
    assert_eq!(wait(world.verify(2, UNKNOWN).await), 30);
    assert_eq!(world.root().await, before);
    let paused = format!("guesses_paused (secret: challenge, until: {})", START + 30);
    assert_eq!(world.denials().await, [denied.clone(), paused]);
    world.clock.advance(30);
    granted(world.verify(1, UNKNOWN).await);
    world.clock.advance(3_600);
    streak(world.verify(2, UNKNOWN).await);
    let counted = "guess_denied (secret: challenge, reason: wrong, earlier: 8)".to_owned();
    assert!(world.denials().await.contains(&counted));
}

/// Verifying and replacing are two endpoints with one ledger entry (ASVS 6.3.4).
#[tokio::test]
async fn verify_and_replace_charge_one_entry() {
    let world = World::memory().await;
    world.set(1).await;
    let challenges = world.challenges();
    for expected in [1, 3, 5] {
        let replaced = challenges.replace(&world.account, &proof(2), &secret(3), &salts(3), UNKNOWN).await.unwrap();
        assert_eq!(streak(replaced), expected);
        if expected < 5 {
            assert_eq!(streak(world.verify(2, UNKNOWN).await), expected + 1);
        }
    }
    let replaced = challenges.replace(&world.account, &proof(1), &secret(3), &salts(3), UNKNOWN).await.unwrap();
    assert_eq!(wait(replaced), 30);
    assert_eq!(wait(world.verify(1, UNKNOWN).await), 30);
    assert_eq!(world.epochs_moved().await, 1);
    assert_eq!(challenges.get(&world.account).await.unwrap(), Some(salts(1)));
}

/// ASVS 6.1.1: others cannot lock the owner out. NIST SP 800-63B-4 § 3.2.2: a success forgives its own client only.
#[tokio::test]
async fn a_known_client_is_not_held_up_by_others() {
    let world = World::memory().await;
    world.set(1).await;
    let (phone, other) = (token(1), token(2));
    granted(world.verify(1, phone).await);
    for _ in 0..5 {
        streak(world.verify(2, UNKNOWN).await);
    }
    // A credential that never passed belongs to an unknown client.
    assert_eq!(wait(world.verify(1, other).await), 30);
    assert_eq!(streak(world.verify(2, phone).await), 1);
    granted(world.verify(1, phone).await);
    assert_eq!(wait(world.verify(1, UNKNOWN).await), 30);
}

/// ASVS 6.2.3, 7.4.3: a change takes the present secret, and the moved epoch ends all sessions.
#[tokio::test]
async fn replace_ends_the_old_secret_the_old_key_and_the_epoch() {
    let world = World::memory().await;
    let first = world.set(1).await;
    let replaced =
        world.challenges().replace(&world.account, &proof(1), &secret(2), &salts(2), token(1)).await.unwrap();
    let keys = granted(replaced);
    assert_eq!(keys.old.expose(), first.expose());
    assert_ne!(keys.new.expose(), first.expose());
    assert_eq!(world.epochs_moved().await, 2);
    assert_eq!(world.challenges().get(&world.account).await.unwrap(), Some(salts(2)));
    assert!(world.changes().await.last().unwrap().starts_with("challenge_replaced (client: "));

    assert_eq!(streak(world.verify(1, UNKNOWN).await), 1);
    assert_eq!(granted(world.verify(2, UNKNOWN).await).expose(), keys.new.expose());
    for _ in 0..5 {
        streak(world.verify(1, UNKNOWN).await);
    }
    granted(world.verify(2, token(1)).await);
}

/// A wrong old secret is charged, and the wrong guesses at the old one do not count against the new one.
#[tokio::test]
async fn a_new_secret_starts_without_failures() {
    let world = World::memory().await;
    world.set(1).await;
    for _ in 0..4 {
        streak(world.verify(9, UNKNOWN).await);
    }
    let challenges = world.challenges();
    let replace = async |old: u8, new: u8| {
        challenges.replace(&world.account, &proof(old), &secret(new), &salts(new), token(1)).await.unwrap()
    };
    assert_eq!(streak(replace(9, 2).await), 5);
    let phone = token(7);
    world.clock.advance(30);
    granted(world.verify(1, phone).await);
    for _ in 0..3 {
        streak(world.verify(9, phone).await);
    }
    world.clock.advance(60);
    granted(replace(1, 2).await);
    assert_eq!(streak(world.verify(9, UNKNOWN).await), 1);
    assert_eq!(streak(world.verify(9, phone).await), 1);
}

#[tokio::test]
async fn the_same_secret_again_is_still_a_new_key() {
    let world = World::memory().await;
    let first = world.set(1).await;
    let before = world.stored(CHALLENGE).await;
    let replaced = world.challenges().replace(&world.account, &proof(1), &secret(1), &salts(1), UNKNOWN).await.unwrap();
    assert_ne!(granted(replaced).new.expose(), first.expose());
    assert_ne!(world.stored(CHALLENGE).await, before);
    assert_eq!(world.epochs_moved().await, 2);
}

/// `docs/security.md` §§ 4 and 14: a dump without the keyring holds nothing to guess against.
#[tokio::test]
async fn a_dump_shows_no_salt_no_secret_no_key() {
    let world = World::memory().await;
    let first = world.set(0xc1).await;
    streak(world.verify(0xc2, UNKNOWN).await);
    let replaced =
        world.challenges().replace(&world.account, &proof(0xc1), &secret(0xc3), &salts(0xc3), UNKNOWN).await.unwrap();
    let keys = granted(replaced);
    let dump = world.dump().await;
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
    // The search does find what is stored in clear.
    assert!(shows(b"user-1") && shows(b"challenge"));
}

/// ASVS 16.2.5: nothing that could reach a log contains a secret.
#[tokio::test]
async fn nothing_printed_shows_a_secret() {
    let world = World::memory().await;
    let key = world.set(0xab).await;
    let granted = world.verify(0xab, UNKNOWN).await;
    let replaced =
        world.challenges().replace(&world.account, &proof(0xab), &secret(0xcd), &salts(0xcd), UNKNOWN).await.unwrap();
    let shown = format!(
        "{granted:?} {replaced:?} {:?} {key:?} {:?} {:?} {:?}",
        world.verify(0xab, UNKNOWN).await,
        world.challenges(),
        step_error(world.challenges().get(&AccountId::new("nobody").unwrap()).await),
        world.challenges().get(&world.account).await,
    );
    for hidden in
        ["abab", "cdcd", "171, 171", &hex::encode(key.expose())[..8], &format!("{:?}", &key.expose()[..3])[1..9]]
    {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// `negative.secrets` of the vectors, with the changes of `docs/decisions.md` 19 and 20: another
/// length is not a guess and costs nothing; 64 other bytes are a wrong guess and are charged, both
/// as a proof and as an old secret.
#[tokio::test]
async fn negative_secrets_of_the_vectors() {
    let secrets = vectors::file().unwrap().negative.secrets;
    let correct = |text: &str| ChallengeSecret::from_client(text).unwrap();
    let salts = Salts::parse(&secrets.correct_salts).unwrap();
    for replaces in [false, true] {
        let world = World::memory().await;
        let challenges = world.challenges();
        let set = challenges.set(&world.account, &correct(&secrets.correct_secret), &salts, UNKNOWN).await.unwrap();
        let SetOutcome::Set(key) = set else { panic!("{set:?}") };
        let mut charged = 0;
        for case in &secrets.cases {
            let before = world.stored(LEDGER).await;
            let proof = match (case.upstream_server.status, Proof::from_client(&case.secret)) {
                (400, Err(SecretError::Length)) => {
                    assert_eq!(world.stored(LEDGER).await, before, "{}", case.name);
                    continue;
                }
                (401, Ok(proof)) => proof,
                (status, parsed) => panic!("{}: {status} {parsed:?}", case.name),
            };
            charged += 1;
            let counted = if replaces {
                let new = correct(&secret_text(1));
                streak(challenges.replace(&world.account, &proof, &new, &salts, UNKNOWN).await.unwrap())
            } else {
                streak(challenges.verify(&world.account, &proof, UNKNOWN).await.unwrap())
            };
            assert_eq!(counted, charged, "{}", case.name);
        }
        assert_eq!((charged, world.epochs_moved().await), (3, 1));
        let right = Proof::from_client(&secrets.correct_secret).unwrap();
        let released = granted(challenges.verify(&world.account, &right, UNKNOWN).await.unwrap());
        assert_eq!(released.expose(), key.expose());
    }
}

/// A record that a wire crate keeps beside a challenge.
static TEST_CHANGE: EventKind = EventKind::change("test_change", Severity::Info, "a test changed something");

/// ASVS 2.3.3. A wire crate runs a step beside its own records: one commit, and no key before it.
#[tokio::test]
async fn steps_compose_in_one_commit() {
    let world = World::memory().await;
    let key = world.set(1).await;
    let steps = ChallengeSteps::new();
    assert!(world.driver.observe(&world.partition(), SLOTS, |draft| steps.exists_in(draft)).await.unwrap());
    let step = |draft: &mut Draft<'_>| {
        let outcome = steps.verify_in(draft, &proof(1), UNKNOWN)?;
        if let Verification::Granted(tentative) = &outcome {
            assert!(tentative.peek(draft)?.expose() == key.expose());
        }
        draft.event(&TEST_CHANGE);
        Ok(outcome)
    };
    // Slots that are not named are loaded when the step turns out to need them.
    let outcome = world.driver.run(&world.partition(), &[], step).await.unwrap();
    assert_eq!(granted(outcome).expose(), key.expose());
    assert_eq!(world.changes().await.last().unwrap(), "test_change");

    // A tentative grant that is dropped is neither charged nor granted.
    let before = world.root().await;
    let dropped = |draft: &mut Draft<'_>| {
        let judged = draft.judge(|draft| steps.verify_in(draft, &proof(2), UNKNOWN))?;
        Ok(matches!(judged.outcome(), Verification::Denied(_)))
    };
    assert!(world.driver.run(&world.partition(), SLOTS, dropped).await.unwrap());
    assert_eq!(world.root().await, before);
}

/// An erasure removes the challenge; the next one is a first one again.
#[tokio::test]
async fn after_an_erase_there_is_none() {
    let world = World::memory().await;
    let first = world.set(1).await;
    for _ in 0..5 {
        streak(world.verify(2, UNKNOWN).await);
    }
    world.driver.erase_account(&world.account).await.unwrap();
    assert!(matches!(world.verify(1, UNKNOWN).await, Verification::NoChallenge));
    assert_eq!(world.challenges().get(&world.account).await.unwrap(), None);
    assert_ne!(world.set(1).await.expose(), first.expose());
    assert_eq!(streak(world.verify(2, UNKNOWN).await), 1, "of the new secret");
}

/// The ledger may outlast a challenge: an erasure may keep it for the sake of other secrets. Its
/// entry then belongs to another generation, and a new challenge begins its own.
#[tokio::test]
async fn a_ledger_that_was_kept_through_an_erase_says_nothing_of_a_new_challenge() {
    let world = World::memory().await;
    world.set(1).await;
    granted(world.verify(1, token(1)).await);
    for _ in 0..5 {
        streak(world.verify(2, UNKNOWN).await);
    }
    world.driver.run(&world.partition(), SLOTS, |draft| draft.erase(&[LEDGER])).await.unwrap();
    let set = world.challenges().set(&world.account, &secret(1), &salts(1), token(2)).await.unwrap();
    assert!(matches!(set, SetOutcome::Set(_)));
    for _ in 0..5 {
        streak(world.verify(2, UNKNOWN).await);
    }
    assert_eq!(wait(world.verify(1, token(1)).await), 30, "of the secret before");
    granted(world.verify(1, token(2)).await);
}
