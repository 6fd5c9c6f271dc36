//! Guesses that the host judges: late, never, in parallel.

use super::model::tag;
use super::tests::{
    DAY, FIRST, PHONE, SECRET, STRANGER, YEAR, at, by, credential, know_five, open, policy, refused, right, siege,
    wrong,
};
use super::*;

fn admit_client(ledger: &mut GuessLedger, client: Client, now: u64) -> ClientAdmission {
    ledger.admit_client(&policy(), SECRET, FIRST, client.tag().unwrap(), at(now))
}

fn begin(ledger: &mut GuessLedger, client: Client, id: u8, now: u64) -> PendingGuess {
    let admitted = open(ledger, client, at(now));
    ledger.begin(&policy(), &admitted, [id; 8], at(now))
}

#[test]
fn four_guesses_of_a_client_are_unjudged_at_most() {
    for client in [PHONE, STRANGER] {
        let mut ledger = GuessLedger::default();
        right(&mut ledger, PHONE, at(0));
        let pending: Vec<PendingGuess> = (0..4).map(|id| begin(&mut ledger, client, id, 0)).collect();
        let refusal = refused(&mut ledger, client, at(0));
        assert_eq!((refusal.retry_after(), refusal.is_unjudged(), refusal.is_locked()), (120, true, false));
        assert!(!ledger.unlock_mail_due(&policy(), &by(client), &refusal, at(0)));
        // The others are not concerned, an admission is not either.
        open(&mut ledger, credential(3).on_network(tag(4)), at(if client == PHONE { 0 } else { 120 }));
        // Verdicts move the streak, in their order.
        assert_eq!(ledger.settle_wrong(&policy(), &pending[1], at(1)).map(|charge| charge.streak()), Some(1));
        assert!(ledger.settle_right(&policy(), &pending[0], at(1)));
        assert_eq!(ledger.settle_wrong(&policy(), &pending[2], at(1)).map(|charge| charge.streak()), Some(1));
        assert_eq!(ledger.settle_wrong(&policy(), &pending[2], at(1)), None, "once");
        assert!(!ledger.settle_right(&policy(), &pending[2], at(1)));
        let admitted = open(&mut ledger, client, at(1));
        assert!(admitted.is_known());
        assert_eq!((pending[3].id(), pending[3].admitted().client()), ([3; 8], client));
    }
}

/// Guesses in parallel gain nothing: one that would have to wait if the unjudged ones are wrong
/// waits for them.
#[test]
fn unjudged_guesses_do_not_slip_past_a_wait_or_a_limit() {
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 3, 0);
    let first = begin(&mut ledger, STRANGER, 1, 0);
    let second = begin(&mut ledger, STRANGER, 2, 0);
    // 3 + 2 wrong ones would begin a wait of 30 s.
    let refusal = refused(&mut ledger, STRANGER, at(0));
    assert_eq!((refusal.retry_after(), refusal.is_unjudged()), (120 + 30, true));
    ledger.settle_wrong(&policy(), &first, at(5));
    let charge = ledger.settle_wrong(&policy(), &second, at(5)).unwrap();
    assert_eq!(charge.paused_until(), Some(at(35)));
    // Beyond, they come one by one.
    let only = begin(&mut ledger, STRANGER, 3, 35);
    refused(&mut ledger, STRANGER, at(35));
    assert_eq!(ledger.settle_wrong(&policy(), &only, at(36)).and_then(|charge| charge.paused_until()), Some(at(96)));

    // The last guess before a level is full.
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    for guess in 0..9 {
        wrong(&mut ledger, PHONE, at(0));
        if guess % 2 == 0 {
            right(&mut ledger, PHONE, at(0));
        }
    }
    let _ = begin(&mut ledger, PHONE, 1, 0);
    let refusal = refused(&mut ledger, PHONE, at(0));
    assert_eq!(refusal.retry_after(), 10 * DAY);
    assert!(!ledger.unlock_mail_due(&policy(), &by(PHONE), &refusal, at(0)), "the verdict may be good");
    // The last guess before a streak is full, where a policy has no waits before that.
    let strict = LedgerPolicy::builder().unknown_streak_limit(2).build().unwrap();
    let mut ledger = GuessLedger::default();
    for id in [1, 2] {
        let Admission::Open(admitted) = ledger.admit(&strict, &by(STRANGER), at(0)) else { panic!("refused") };
        let _ = ledger.begin(&strict, &admitted, [id; 8], at(0));
    }
    assert!(ledger.peek(&strict, &by(STRANGER), at(0)).is_some_and(|refusal| refusal.is_locked()));
    // The last try of an admission.
    let mut ledger = GuessLedger::default();
    let _ = admit_client(&mut ledger, STRANGER, 0);
    for _ in 0..9 {
        wrong(&mut ledger, STRANGER, at(0));
    }
    let last = begin(&mut ledger, STRANGER, 2, 0);
    assert_eq!(refused(&mut ledger, STRANGER, at(0)).retry_after(), 3600);
    assert!(ledger.settle_right(&policy(), &last, at(0)));
    assert!(open(&mut ledger, STRANGER, at(0)).is_admitted(), "a right guess uses no try up");
}

#[test]
fn four_tries_of_an_admission_are_unjudged_at_most() {
    let mut ledger = GuessLedger::default();
    let now = siege(&mut ledger, Client::unknown(), 50, 0);
    let _ = admit_client(&mut ledger, STRANGER, now);
    let begin_four = |ledger: &mut GuessLedger, now| {
        let guesses: Vec<_> = (0..4).map(|id| begin(ledger, STRANGER, id, now)).collect();
        assert_eq!(guesses.len(), 4);
    };
    let mut early = ledger.clone();
    begin_four(&mut early, now);
    let refusal = refused(&mut early, STRANGER, at(now + 20));
    assert_eq!((refusal.retry_after(), refusal.is_unjudged(), refusal.is_locked()), (100, true, false));
    assert!(open(&mut early, STRANGER, at(now + 120)).is_admitted());
    // If the verdicts may come after the hour, nothing but an act is certain to help.
    begin_four(&mut ledger, now + 3590);
    let refusal = refused(&mut ledger, STRANGER, at(now + 3590));
    assert!(refusal.is_unjudged() && refusal.is_locked());
}

#[test]
fn a_guess_whose_verdict_never_comes_is_charged() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    for _ in 0..4 {
        wrong(&mut ledger, PHONE, at(0));
    }
    let lost = begin(&mut ledger, PHONE, 1, 0);
    assert_eq!(refused(&mut ledger, PHONE, at(119)).retry_after(), 31);
    // At 120 s it is the fifth failure, from that moment on, with or without a request just then.
    let refusal = refused(&mut ledger, PHONE, at(140));
    assert_eq!((refusal.retry_after(), refusal.changed(), refusal.is_unjudged()), (10, false, false));
    assert!(!ledger.clone().settle_right(&policy(), &lost, at(120)));
    assert_eq!(ledger.clone().settle_wrong(&policy(), &lost, at(120)), None);
    assert!(ledger.clone().settle_right(&policy(), &lost, at(119)));
    assert_eq!(wrong(&mut ledger, PHONE, at(150)).streak(), 6);
    // A clock that goes back keeps it for its own length at most.
    let mut ledger = GuessLedger::default();
    for id in 0..4 {
        let _ = begin(&mut ledger, STRANGER, id, YEAR);
    }
    assert_eq!(refused(&mut ledger, STRANGER, at(0)).retry_after(), 120);
    open(&mut ledger, STRANGER, at(120));
}

/// A busy host has not checked the guess, so it counts as never made.
#[test]
fn a_guess_that_is_taken_back_leaves_no_trace() {
    for client in [PHONE, STRANGER] {
        let mut ledger = GuessLedger::default();
        right(&mut ledger, PHONE, at(0));
        for _ in 0..3 {
            wrong(&mut ledger, client, at(0));
        }
        let before = ledger.clone();
        let guess = begin(&mut ledger, client, 1, 5);
        assert!(ledger.withdraw(&policy(), &guess, at(6)));
        assert_eq!(ledger, before);
        assert!(!ledger.withdraw(&policy(), &guess, at(6)), "once");
        assert!(!ledger.settle_right(&policy(), &guess, at(6)), "it cannot be granted any more");
        // Too late: it is charged, and stays so.
        let guess = begin(&mut ledger, client, 2, 10);
        assert!(!ledger.withdraw(&policy(), &guess, at(130)));
        assert_eq!(wrong(&mut ledger, client, at(130)).streak(), 5);
        // The secret is gone.
        let guess = begin(&mut ledger, client, 3, 200);
        ledger.renew(&policy(), SECRET, FIRST, Generation::from_u64(2), &[], at(200));
        assert!(!ledger.withdraw(&policy(), &guess, at(201)));
    }
    // A try of an admission is given back too.
    let mut ledger = GuessLedger::default();
    let _ = admit_client(&mut ledger, STRANGER, 0);
    let guess = begin(&mut ledger, STRANGER, 1, 0);
    assert!(ledger.withdraw(&policy(), &guess, at(0)));
    assert_eq!(ledger.entry(SECRET, FIRST).unwrap().admitted[0].tries, 10);
}

#[test]
fn an_unjudged_guess_counts_for_whoever_takes_the_place() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let guesses: Vec<PendingGuess> = (0..3).map(|id| begin(&mut ledger, credential(0), id, 0)).collect();
    right(&mut ledger, credential(9), at(0));
    let level = |ledger: &GuessLedger| ledger.entry(SECRET, FIRST).unwrap().known.last().unwrap().failures.level;
    assert_eq!(level(&ledger), 3);
    assert_eq!(ledger.settle_wrong(&policy(), &guesses[0], at(1)), None, "charged already");
    assert_eq!(level(&ledger), 3);
    assert!(ledger.settle_right(&policy(), &guesses[1], at(1)), "right is right");
    assert!(ledger.is_known(&policy(), &by(credential(0))));
}

#[test]
fn no_misuse_hides_an_unjudged_guess_or_makes_a_ledger_that_cannot_be_read() {
    let mut ledger = GuessLedger::default();
    let admitted = open(&mut ledger, STRANGER, at(0));
    for id in [1, 1, 2, 3, 4, 5, 6] {
        let _ = ledger.begin(&policy(), &admitted, [id; 8], at(0));
    }
    // One by its id, two by the attempt that was used again.
    assert_eq!(ledger.entry(SECRET, FIRST).unwrap().unknown.failures.streak, 3);
    let stored = postcard::to_allocvec(&ledger).unwrap();
    assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), ledger);
    // Guesses that were counted early make room.
    ledger.unlock(&policy(), SECRET, FIRST, at(0));
    for round in 0..12_u8 {
        (0..4).for_each(|id| {
            let _ = begin(&mut ledger, PHONE, 10 + round * 4 + id, 0);
        });
        ledger.unlock(&policy(), SECRET, FIRST, at(0));
    }
    let stored = postcard::to_allocvec(&ledger).unwrap();
    assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), ledger);
    // What an unlock takes from an admission's tries stays taken.
    let mut ledger = GuessLedger::default();
    let _ = admit_client(&mut ledger, STRANGER, 0);
    for id in 0..4 {
        let _ = begin(&mut ledger, STRANGER, id, 0);
    }
    assert!(refused(&mut ledger, STRANGER, at(0)).is_unjudged());
    ledger.unlock(&policy(), SECRET, FIRST, at(0));
    assert_eq!(ledger.entry(SECRET, FIRST).unwrap().admitted[0].tries, 6);
    open(&mut ledger, STRANGER, at(0));
}
