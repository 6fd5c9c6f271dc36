//! `docs/security.md` § 6: who others have shut out gets in again. One test for each way, from the same shut account.

use keywright_challenge::{CHALLENGE_SECRET, ChallengeSteps, SLOTS, SetOutcome, Verification};
use keywright_core::{Client, ClientAdmission};
use keywright_store::{Draft, guess};

use crate::site::{START, Site, UNKNOWN, granted, proof, salts, secret, streak, tag, token, wait};

/// The owner's phone, which was right before anybody guessed.
const PHONE: Client = token(1);

/// The owner's new tablet, on the network at home.
const TABLET: Client = token(2).on_network(tag(200));

/// The same, so long ago that no clock lifts it.
async fn shut() -> Site {
    let site = besieged().await;
    site.clock.advance(10 * 365 * 86_400);
    assert_eq!(wait(site.verify(1, TABLET).await), 86_400, "no clock lifts it");
    site
}

/// An account with challenge 1, at which others have guessed until no unknown client is looked at any more.
async fn besieged() -> Site {
    let site = Site::memory().await;
    site.set(1).await;
    granted(site.verify(1, PHONE).await);
    let mut looked_at = 0;
    loop {
        match site.verify(2, UNKNOWN).await {
            Verification::Denied(_) => looked_at += 1,
            Verification::Refused(refusal) if refusal.is_locked() => break,
            Verification::Refused(refusal) => site.clock.advance(refusal.retry_after()),
            other => panic!("{other:?}"),
        }
    }
    // NIST SP 800-63B-4 § 3.2.2: counted, not timed. Fifty guesses take 39 hours.
    assert_eq!(looked_at, 50);
    let hours = (site.clock_reads() - START) / 3_600;
    assert_eq!(hours, 39);
    assert!(site.denials().await.contains(&"guesses_shut (secret: challenge)".to_owned()));
    site
}

impl Site {
    fn clock_reads(&self) -> u64 {
        keywright_core::Clock::now(&*self.clock).unwrap().get()
    }
}

#[tokio::test]
async fn a_known_client_is_let_in_and_the_others_after_it() {
    let site = shut().await;
    granted(site.verify(1, PHONE).await);
    // Its right proof ends the streak of the others as well, after so long a quiet.
    granted(site.verify(1, TABLET).await);
}

#[tokio::test]
async fn so_it_is_after_a_change_that_it_made() {
    let site = shut().await;
    let replaced = site.challenges().replace(&site.account, &proof(1), &secret(3), &salts(3), PHONE).await.unwrap();
    granted(replaced);
    // Others guess at the new secret as they did at the old one.
    while let Verification::Denied(_) = site.verify(2, UNKNOWN).await {}
    granted(site.verify(3, PHONE).await);
    assert!(wait(site.verify(3, TABLET).await) > 0);
}

/// Where the change ended its credential, the client comes back with nothing but its network.
#[tokio::test]
async fn so_it_is_for_the_network_of_the_client_that_made_the_change() {
    for first in [true, false] {
        let site = Site::memory().await;
        if first {
            let set = site.challenges().set(&site.account, &secret(3), &salts(3), TABLET).await.unwrap();
            assert!(matches!(set, SetOutcome::Set(_)));
        } else {
            site.set(1).await;
            granted(site.challenges().replace(&site.account, &proof(1), &secret(3), &salts(3), TABLET).await.unwrap());
        }
        while let Verification::Denied(_) = site.verify(2, UNKNOWN).await {}
        let network = TABLET.network_tag().unwrap();
        assert!(wait(site.verify(3, token(9).on_network(network)).await) > 0, "another credential is unknown there");
        granted(site.verify(3, Client::network(network)).await);
        granted(site.verify(3, TABLET).await);
    }
}

/// A step is told who made the change: a wire whose tokens live on does not make the network known.
#[tokio::test]
async fn a_step_makes_known_whom_it_is_told() {
    let site = Site::memory().await;
    site.set(1).await;
    let step = |draft: &mut Draft<'_>| {
        ChallengeSteps::new().replace_in(draft, &proof(1), &secret(3), &salts(3), TABLET, &[tag(2)])
    };
    granted(site.driver.run(&site.partition(), SLOTS, step).await.unwrap());
    while let Verification::Denied(_) = site.verify(2, UNKNOWN).await {}
    let network = TABLET.network_tag().unwrap();
    assert!(wait(site.verify(3, Client::network(network)).await) > 0);
    granted(site.verify(3, TABLET).await);
}

/// Ten tries for an hour, and for nobody else.
#[tokio::test]
async fn an_admitted_client_is_let_in() {
    let site = besieged().await;
    assert!(wait(site.verify(1, TABLET).await) > 0);
    let admission = site.challenges().admit_client(&site.account, &proof(1), PHONE, tag(2)).await.unwrap();
    let hour = site.clock_reads() + 3_600;
    assert!(
        matches!(admission, Verification::Granted(ClientAdmission::Admitted { until }) if until.get() == hour),
        "{admission:?}"
    );
    assert!(wait(site.verify(1, UNKNOWN).await) > 0);
    assert!(wait(site.verify(1, token(9)).await) > 0);
    for tries in 1..=9 {
        assert_eq!(streak(site.verify(2, TABLET).await), tries);
    }
    granted(site.verify(1, TABLET).await);
    site.clock.advance(86_400);
    granted(site.verify(1, TABLET).await);
}

/// Nobody is let in without a proof: not by a wrong one, which is charged, and not by the client that is shut out itself.
#[tokio::test]
async fn who_proves_nothing_lets_nobody_in() {
    let site = besieged().await;
    let challenges = site.challenges();
    let admit = async |guess, by| challenges.admit_client(&site.account, &proof(guess), by, tag(2)).await.unwrap();
    assert_eq!(streak(admit(2, PHONE).await.map(|_| ())), 1, "a guess like any other");
    for guess in [1, 2] {
        assert!(matches!(admit(guess, TABLET).await, Verification::Refused(_)));
        assert!(matches!(admit(guess, UNKNOWN).await, Verification::Refused(_)));
    }
    assert_eq!(challenges.admit_by_mail(&site.account, [0; 16], tag(2)).await.unwrap(), None, "no mail was sent");
    assert!(wait(site.verify(1, TABLET).await) > 0);
    let admitted = site.changes().await.into_iter().filter(|event| event.starts_with("client_admitted")).count();
    assert_eq!(admitted, 0);
    // Three a day, as by any other way.
    for _ in 0..3 {
        assert!(matches!(admit(1, PHONE).await, Verification::Granted(ClientAdmission::Admitted { .. })));
    }
    assert!(matches!(admit(1, PHONE).await, Verification::Granted(ClientAdmission::TooMany { .. })));
}

/// What an unlock mail's link does: [`guess::unlock_mail`] with the attempt that was refused, then a click.
#[tokio::test]
async fn a_click_in_a_mail_lets_its_network_in() {
    let site = shut().await;
    let steps = ChallengeSteps::new();
    let mail = |draft: &mut Draft<'_>| {
        let attempt = steps.attempt_in(draft, TABLET)?.expect("there is a challenge");
        match guess::refuse(draft, &attempt)? {
            Some(refusal) => guess::unlock_mail(draft, &attempt, &refusal),
            None => Ok(None),
        }
    };
    let ticket = site.driver.transact(&site.partition(), SLOTS, mail).await.unwrap().expect("a mail is due");
    assert_eq!(site.driver.transact(&site.partition(), SLOTS, mail).await.unwrap(), None, "one mail");
    let click = async |ticket| site.challenges().admit_by_mail(&site.account, ticket, tag(200)).await.unwrap();
    assert_eq!(click([0; 16]).await, None, "not the ticket");
    let admission = click(ticket.ticket).await;
    assert!(matches!(admission, Some(ClientAdmission::Admitted { .. })));
    granted(site.verify(1, TABLET).await);
}

/// The operator: for everybody.
#[tokio::test]
async fn an_unlock_lets_everybody_in() {
    let site = shut().await;
    assert!(site.challenges().unlock(&site.account).await.unwrap());
    granted(site.verify(1, UNKNOWN).await);
    assert!(site.changes().await.contains(&"guesses_unlocked (secret: challenge)".to_owned()));
    let before = site.root().await;
    assert!(!site.challenges().unlock(&site.account).await.unwrap(), "nothing is left to lift");
    assert_eq!(site.root().await, before);
}

#[tokio::test]
async fn where_there_is_no_challenge_nothing_is_let_in_or_lifted() {
    let site = Site::memory().await;
    let before = site.root().await;
    let admission = site.challenges().admit_client(&site.account, &proof(1), UNKNOWN, tag(1)).await.unwrap();
    assert!(matches!(admission, Verification::NoChallenge));
    assert_eq!(site.challenges().admit_by_mail(&site.account, [1; 16], tag(1)).await.unwrap(), None);
    assert!(!site.challenges().unlock(&site.account).await.unwrap());
    let attempt = |draft: &mut Draft<'_>| ChallengeSteps::new().attempt_in(draft, UNKNOWN);
    assert_eq!(site.driver.observe(&site.partition(), SLOTS, attempt).await.unwrap(), None);
    assert_eq!(site.root().await, before);
    site.set(1).await;
    let attempt = site.driver.observe(&site.partition(), SLOTS, attempt).await.unwrap().unwrap();
    assert_eq!((attempt.secret, attempt.client), (CHALLENGE_SECRET, UNKNOWN));
}
