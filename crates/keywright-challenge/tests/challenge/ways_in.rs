//! `docs/security.md` § 6: an owner whom others have locked out gets in again. There is one test
//! for each way, all with the same locked account.

use keywright_challenge::{CHALLENGE_SECRET, ChallengeSteps, SLOTS, SetOutcome, Verification};
use keywright_core::{Client, ClientAdmission};
use keywright_store::{Draft, guess};

use crate::world::{START, UNKNOWN, World, granted, proof, salts, secret, streak, tag, token, wait};

/// The owner's phone, which passed before anybody guessed.
const PHONE: Client = token(1);

/// The owner's new tablet, on the network at home.
const TABLET: Client = token(2).on_network(tag(200));

/// The account of [`besieged`] ten years later: time alone does not lift the lock.
async fn shut() -> World {
    let world = besieged().await;
    world.clock.advance(10 * 365 * 86_400);
    assert_eq!(wait(world.verify(1, TABLET).await), 86_400, "no clock lifts it");
    world
}

/// An account with challenge 1, at which others have guessed until no unknown client's proof is
/// checked any more.
async fn besieged() -> World {
    let world = World::memory().await;
    world.set(1).await;
    granted(world.verify(1, PHONE).await);
    let mut looked_at = 0;
    loop {
        match world.verify(2, UNKNOWN).await {
            Verification::Denied(_) => looked_at += 1,
            Verification::Refused(refusal) if refusal.is_locked() => break,
            Verification::Refused(refusal) => world.clock.advance(refusal.retry_after()),
            other => panic!("{other:?}"),
        }
    }
    // NIST SP 800-63B-4 § 3.2.2: guesses are counted, not timed. Fifty guesses take 39 hours.
    assert_eq!(looked_at, 50);
    let hours = (world.now() - START) / 3_600;
    assert_eq!(hours, 39);
    assert!(world.denials().await.contains(&"guesses_shut (secret: challenge)".to_owned()));
    world
}

#[tokio::test]
async fn a_known_client_is_let_in_and_the_others_after_it() {
    let world = shut().await;
    granted(world.verify(1, PHONE).await);
    // After such a long pause, its correct proof also ends the streak of the others.
    granted(world.verify(1, TABLET).await);
}

#[tokio::test]
async fn so_it_is_after_a_change_that_it_made() {
    let world = shut().await;
    let replaced = world.challenges().replace(&world.account, &proof(1), &secret(3), &salts(3), PHONE).await.unwrap();
    granted(replaced);
    // Others guess at the new secret as they did at the old one.
    while let Verification::Denied(_) = world.verify(2, UNKNOWN).await {}
    granted(world.verify(3, PHONE).await);
    assert!(wait(world.verify(3, TABLET).await) > 0);
}

/// Where the change ended its credential, the client comes back with only its network.
#[tokio::test]
async fn so_it_is_for_the_network_of_the_client_that_made_the_change() {
    for first in [true, false] {
        let world = World::memory().await;
        if first {
            let set = world.challenges().set(&world.account, &secret(3), &salts(3), TABLET).await.unwrap();
            assert!(matches!(set, SetOutcome::Set(_)));
        } else {
            world.set(1).await;
            granted(
                world.challenges().replace(&world.account, &proof(1), &secret(3), &salts(3), TABLET).await.unwrap(),
            );
        }
        while let Verification::Denied(_) = world.verify(2, UNKNOWN).await {}
        let network = TABLET.network_tag().unwrap();
        assert!(wait(world.verify(3, token(9).on_network(network)).await) > 0, "another credential is unknown there");
        granted(world.verify(3, Client::network(network)).await);
        granted(world.verify(3, TABLET).await);
    }
}

/// The caller of a step passes who made the change: a wire protocol whose tokens stay valid does
/// not make the network known.
#[tokio::test]
async fn a_step_makes_known_whom_it_is_told() {
    let world = World::memory().await;
    world.set(1).await;
    let step = |draft: &mut Draft<'_>| {
        ChallengeSteps::new().replace_in(draft, &proof(1), &secret(3), &salts(3), TABLET, &[tag(2)])
    };
    granted(world.driver.run(&world.partition(), SLOTS, step).await.unwrap());
    while let Verification::Denied(_) = world.verify(2, UNKNOWN).await {}
    let network = TABLET.network_tag().unwrap();
    assert!(wait(world.verify(3, Client::network(network)).await) > 0);
    granted(world.verify(3, TABLET).await);
}

/// Ten attempts within an hour, and for no other client.
#[tokio::test]
async fn an_admitted_client_is_let_in() {
    let world = besieged().await;
    assert!(wait(world.verify(1, TABLET).await) > 0);
    let admission = world.challenges().admit_client(&world.account, &proof(1), PHONE, tag(2)).await.unwrap();
    let hour = world.now() + 3_600;
    assert!(
        matches!(admission, Verification::Granted(ClientAdmission::Admitted { until }) if until.get() == hour),
        "{admission:?}"
    );
    assert!(wait(world.verify(1, UNKNOWN).await) > 0);
    assert!(wait(world.verify(1, token(9)).await) > 0);
    for tries in 1..=9 {
        assert_eq!(streak(world.verify(2, TABLET).await), tries);
    }
    granted(world.verify(1, TABLET).await);
    world.clock.advance(86_400);
    granted(world.verify(1, TABLET).await);
}

/// No client is admitted without a proof: not by a wrong one, which is charged, and not by the
/// client that is locked out itself.
#[tokio::test]
async fn who_proves_nothing_lets_nobody_in() {
    let world = besieged().await;
    let challenges = world.challenges();
    let admit = async |guess, by| challenges.admit_client(&world.account, &proof(guess), by, tag(2)).await.unwrap();
    assert_eq!(streak(admit(2, PHONE).await.map(|_| ())), 1, "a guess like any other");
    for guess in [1, 2] {
        assert!(matches!(admit(guess, TABLET).await, Verification::Refused(_)));
        assert!(matches!(admit(guess, UNKNOWN).await, Verification::Refused(_)));
    }
    assert_eq!(challenges.admit_by_mail(&world.account, [0; 16], tag(2)).await.unwrap(), None, "no mail was sent");
    assert!(wait(world.verify(1, TABLET).await) > 0);
    let admitted = world.changes().await.into_iter().filter(|event| event.starts_with("client_admitted")).count();
    assert_eq!(admitted, 0);
    // Three a day, as with any other way.
    for _ in 0..3 {
        assert!(matches!(admit(1, PHONE).await, Verification::Granted(ClientAdmission::Admitted { .. })));
    }
    assert!(matches!(admit(1, PHONE).await, Verification::Granted(ClientAdmission::TooMany { .. })));
}

/// What the link of an unlock mail does: [`guess::unlock_mail`] with the attempt that was refused,
/// then a click.
#[tokio::test]
async fn a_click_in_a_mail_lets_its_network_in() {
    let world = shut().await;
    let steps = ChallengeSteps::new();
    let mail = |draft: &mut Draft<'_>| {
        let attempt = steps.attempt_in(draft, TABLET)?.expect("there is a challenge");
        match guess::refuse(draft, &attempt)? {
            Some(refusal) => guess::unlock_mail(draft, &attempt, &refusal),
            None => Ok(None),
        }
    };
    let ticket = world.driver.transact(&world.partition(), SLOTS, mail).await.unwrap().expect("a mail is due");
    assert_eq!(world.driver.transact(&world.partition(), SLOTS, mail).await.unwrap(), None, "one mail");
    let click = async |ticket| world.challenges().admit_by_mail(&world.account, ticket, tag(200)).await.unwrap();
    assert_eq!(click([0; 16]).await, None, "not the ticket");
    let admission = click(ticket.ticket).await;
    assert!(matches!(admission, Some(ClientAdmission::Admitted { .. })));
    granted(world.verify(1, TABLET).await);
}

/// The operator unlocks for every client.
#[tokio::test]
async fn an_unlock_lets_everybody_in() {
    let world = shut().await;
    assert!(world.challenges().unlock(&world.account).await.unwrap());
    granted(world.verify(1, UNKNOWN).await);
    assert!(world.changes().await.contains(&"guesses_unlocked (secret: challenge)".to_owned()));
    let before = world.root().await;
    assert!(!world.challenges().unlock(&world.account).await.unwrap(), "nothing is left to lift");
    assert_eq!(world.root().await, before);
}

#[tokio::test]
async fn where_there_is_no_challenge_nothing_is_let_in_or_lifted() {
    let world = World::memory().await;
    let before = world.root().await;
    let admission = world.challenges().admit_client(&world.account, &proof(1), UNKNOWN, tag(1)).await.unwrap();
    assert!(matches!(admission, Verification::NoChallenge));
    assert_eq!(world.challenges().admit_by_mail(&world.account, [1; 16], tag(1)).await.unwrap(), None);
    assert!(!world.challenges().unlock(&world.account).await.unwrap());
    let attempt = |draft: &mut Draft<'_>| ChallengeSteps::new().attempt_in(draft, UNKNOWN);
    assert_eq!(world.driver.observe(&world.partition(), SLOTS, attempt).await.unwrap(), None);
    assert_eq!(world.root().await, before);
    world.set(1).await;
    let attempt = world.driver.observe(&world.partition(), SLOTS, attempt).await.unwrap().unwrap();
    assert_eq!((attempt.secret, attempt.client), (CHALLENGE_SECRET, UNKNOWN));
}
