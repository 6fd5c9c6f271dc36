//! The rules' known numbers, and the purpose of each rule.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use super::model::tag;
use super::policy::{KNOWN_LEAK_SECONDS, KNOWN_LEVEL_LIMIT, UNKNOWN_LEAK_SECONDS, UNKNOWN_LEVEL_LIMIT};
use super::*;
use crate::{SystemEntropy, UnixSeconds};

pub(super) const DAY: u64 = 86_400;
pub(super) const YEAR: u64 = 365 * DAY;
pub(super) const SECRET: SecretKind = SecretKind::new("passphrase");
pub(super) const RECOVERY: SecretKind = SecretKind::new("recovery").unguessable();
pub(super) const FIRST: Generation = Generation::from_u64(1);
pub(super) const PHONE: Client = Client::credential(ClientTag::from_bytes([7; 16]));
pub(super) const STRANGER: Client = Client::network(ClientTag::from_bytes([99; 16]));

pub(super) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(1_800_000_000 + seconds).unwrap()
}

pub(super) fn policy() -> LedgerPolicy {
    LedgerPolicy::default()
}

pub(super) fn by(client: Client) -> Attempt {
    Attempt::new(SECRET, FIRST, client)
}

pub(super) fn open(ledger: &mut GuessLedger, client: Client, now: UnixSeconds) -> AdmittedAttempt {
    match ledger.admit(&policy(), &by(client), now) {
        Admission::Open(admitted) => admitted,
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

pub(super) fn refused(ledger: &mut GuessLedger, client: Client, now: UnixSeconds) -> Refusal {
    match ledger.admit(&policy(), &by(client), now) {
        Admission::Refused(refusal) => refusal,
        Admission::Open(admitted) => panic!("{admitted:?}"),
    }
}

pub(super) fn wrong(ledger: &mut GuessLedger, client: Client, now: UnixSeconds) -> Charge {
    let admitted = open(ledger, client, now);
    ledger.charge(&policy(), &admitted, now)
}

pub(super) fn right(ledger: &mut GuessLedger, client: Client, now: UnixSeconds) -> bool {
    let admitted = open(ledger, client, now);
    ledger.forgive(&policy(), &admitted, now)
}

/// `guesses` wrong ones, each as soon as it is looked at. Returns when the last one was.
pub(super) fn siege(ledger: &mut GuessLedger, client: Client, guesses: u16, start: u64) -> u64 {
    let mut now = start;
    for _ in 0..guesses {
        now += ledger.peek(&policy(), &by(client), at(now)).map_or(0, |refusal| refusal.retry_after());
        wrong(ledger, client, at(now));
    }
    now
}

pub(super) fn credential(name: u8) -> Client {
    Client::credential(tag(name))
}

/// Credentials 0 to 4 are known, 0 the longest.
pub(super) fn know_five(ledger: &mut GuessLedger) {
    for name in 0..5 {
        right(ledger, credential(name), at(0));
    }
}

fn retry_after(ledger: &GuessLedger, client: Client, now: u64) -> Option<u64> {
    ledger.peek(&policy(), &by(client), at(now)).map(|refusal| refusal.retry_after())
}

fn unknown_streak(ledger: &GuessLedger) -> u16 {
    ledger.entry(SECRET, FIRST).unwrap().unknown.failures.streak
}

#[test]
fn the_waits_are_those_of_the_table() {
    let waits: Vec<u64> = (0..14).map(|streak| policy().wait(streak)).collect();
    assert_eq!(waits, [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert_eq!((policy().wait(u16::MAX), policy().slow_streak()), (3600, 12));
}

#[test]
fn unknown_clients_have_34_guesses_in_the_first_day_and_are_shut_after_39_hours() {
    let mut ledger = GuessLedger::default();
    let (mut now, mut first_day, mut guesses) = (0, 0, 0);
    let charge = loop {
        // Each from another network, or from none: they are judged together.
        let client = if guesses % 3 == 0 { Client::unknown() } else { Client::network(tag(guesses)) };
        let charge = wrong(&mut ledger, client, at(now));
        guesses += 1;
        first_day += u64::from(now < DAY);
        assert_eq!(charge.streak(), u16::from(guesses));
        assert!(!charge.admitted().is_known() && !charge.admitted().is_admitted());
        if charge.locked() {
            break charge;
        }
        if let Some(until) = charge.paused_until() {
            now = until.since(at(0));
        }
    };
    assert_eq!((first_day, guesses, now, now / 3600), (34, 50, 140_610, 39));
    assert_eq!((charge.paused_until(), charge.next().map(Refusal::retry_after)), (None, Some(86_400)));
    let refusal = refused(&mut ledger, STRANGER, at(100 * YEAR));
    assert!(refusal.is_locked() && !refusal.is_unjudged() && !refusal.changed());
}

#[test]
fn the_fifth_failure_begins_the_first_wait() {
    for client in [PHONE, STRANGER] {
        let mut ledger = GuessLedger::default();
        right(&mut ledger, PHONE, at(0));
        for streak in 1..=4 {
            let charge = wrong(&mut ledger, client, at(0));
            assert_eq!((charge.streak(), charge.next(), charge.paused_until()), (streak, None, None));
        }
        let fifth = wrong(&mut ledger, client, at(0));
        assert_eq!((fifth.streak(), fifth.paused_until(), fifth.locked()), (5, Some(at(30)), false));
        assert_eq!(refused(&mut ledger, client, at(29)).retry_after(), 1);
        open(&mut ledger, client, at(30));
    }
}

/// A flood costs a known client nothing, and a known client's failures cost the others nothing.
#[test]
fn levels_are_apart() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let mut now = siege(&mut ledger, STRANGER, 50, 0);
    for name in 0..4 {
        now = siege(&mut ledger, credential(name), 10, now);
        let admitted = open(&mut ledger, credential(4), at(now));
        assert!(admitted.is_known());
    }
    assert!(refused(&mut ledger, STRANGER, at(now)).is_locked());
    siege(&mut ledger, credential(4), 10, now);
}

#[test]
fn nist_3_2_2_at_most_100_failures_in_a_row_in_any_time() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let clients: Vec<Client> = (0..5).map(credential).chain([STRANGER]).collect();
    let mut guesses = 0;
    for hour in 0..24 * 365 {
        for &client in &clients {
            while ledger.peek(&policy(), &by(client), at(hour * 3600)).is_none() {
                wrong(&mut ledger, client, at(hour * 3600));
                guesses += 1;
            }
        }
    }
    assert_eq!(guesses, 100);
    assert!(clients.iter().all(|&client| refused(&mut ledger, client, at(60 * YEAR)).is_locked()));
}

/// Right guesses end streaks and leave levels.
#[test]
fn a_known_client_is_refused_at_a_level_of_ten_and_again_after_each_leak() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    for guess in 1..=10 {
        wrong(&mut ledger, PHONE, at(0));
        if guess % 4 == 0 {
            right(&mut ledger, PHONE, at(0));
        }
    }
    let refusal = refused(&mut ledger, PHONE, at(0));
    assert_eq!((refusal.retry_after(), refusal.is_locked()), (10 * DAY, false));
    assert_eq!(retry_after(&ledger, PHONE, 10 * DAY - 1), Some(1));
    wrong(&mut ledger, PHONE, at(10 * DAY));
    assert_eq!(retry_after(&ledger, PHONE, 10 * DAY), Some(10 * DAY));
}

#[test]
fn unknown_clients_are_refused_at_a_level_of_fifty_and_again_after_each_leak() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    for guess in 1..=50 {
        wrong(&mut ledger, STRANGER, at(0));
        if guess % 4 == 0 {
            right(&mut ledger, PHONE, at(0));
        }
    }
    let refusal = refused(&mut ledger, STRANGER, at(0));
    assert_eq!((refusal.retry_after(), refusal.is_locked()), (2 * DAY, false));
    // A part of a leak is not lost by the guess that follows.
    wrong(&mut ledger, STRANGER, at(2 * DAY + 100));
    assert_eq!(retry_after(&ledger, STRANGER, 2 * DAY + 100), Some(2 * DAY - 100));
}

#[test]
fn a_right_guess_lowers_the_streak_of_unknown_clients_to_twelve() {
    let mut busy = GuessLedger::default();
    let now = siege(&mut busy, STRANGER, 20, 0);
    let relaxed = |quiet: u64| {
        let mut ledger = busy.clone();
        let admitted = AdmittedAttempt { attempt: by(PHONE), place: place::Place::Unknown, known: false };
        assert!(ledger.forgive(&policy(), &admitted, at(now + quiet)));
        ledger
    };
    let mut ledger = relaxed(DAY - 1);
    assert_eq!(unknown_streak(&ledger), 12);
    // Their waits stay at an hour, the running one too.
    assert_eq!(retry_after(&relaxed(0), STRANGER, now), Some(3600));
    let then = siege(&mut ledger, STRANGER, 1, now + DAY);
    assert_eq!(retry_after(&ledger, STRANGER, then), Some(3600));
    // Quiet for a day: it ends.
    assert_eq!(unknown_streak(&relaxed(DAY)), 0);
    // Fewer than five failures since the last right guess: it ends; five: it does not.
    for (failures, streak) in [(4, 0), (5, 12)] {
        let mut ledger = relaxed(0);
        let now = siege(&mut ledger, STRANGER, failures, now);
        right(&mut ledger, PHONE, at(now));
        assert_eq!((unknown_streak(&ledger), retry_after(&ledger, STRANGER, now).is_some()), (streak, streak > 0));
    }
    // A streak below twelve does not rise, and an unknown client that is right has no other rule.
    let mut ledger = GuessLedger::default();
    let now = siege(&mut ledger, STRANGER, 8, 0) + 240;
    right(&mut ledger, STRANGER, at(now));
    assert_eq!(unknown_streak(&ledger), 8);
}

#[test]
fn the_first_year_has_at_most_465_guesses() {
    // Five thieves on the owner's own places and all unknown clients, and an owner who ends their
    // streaks every hour.
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let clients: Vec<Client> = (0..5).map(credential).chain([STRANGER]).collect();
    let mut guesses = 0;
    for hour in 0..24 * 365 {
        let now = at(hour * 3600);
        let owner = AdmittedAttempt { attempt: by(credential(0)), place: place::Place::Unknown, known: true };
        ledger.forgive(&policy(), &owner, now);
        for &client in &clients {
            while ledger.peek(&policy(), &by(client), now).is_none() {
                if client != STRANGER {
                    right(&mut ledger, client, now);
                }
                wrong(&mut ledger, client, now);
                guesses += 1;
            }
        }
    }
    // 465 before rounding: 182 and a half leaks of the unknown ones, 36 and a half of each known
    // one.
    assert_eq!(guesses, 50 + 182 + 5 * (10 + 36));
    assert_eq!((policy().guesses_in_first_year(), policy().consecutive_failures()), (465, 100));
    assert_eq!(u64::from(UNKNOWN_LEVEL_LIMIT + 5 * KNOWN_LEVEL_LIMIT), 100);
    assert_eq!(DAY / (UNKNOWN_LEAK_SECONDS / DAY) + 5 * DAY / (KNOWN_LEAK_SECONDS / DAY), DAY);
}

/// Sixty years, five hostile known places, unknown clients, an owner who moves to a new place every
/// month.
#[test]
fn sixty_years_stay_below_100_and_one_a_day() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let (mut guesses, mut places, mut newest) = (0, 0, 4_u8);
    for day in 0..60 * 365 {
        let now = at(day * DAY);
        let hostile = ledger.entry(SECRET, FIRST).unwrap().known.iter().map(|known| Client::credential(known.tag));
        for client in hostile.chain([STRANGER]).collect::<Vec<_>>() {
            while let Admission::Open(admitted) = ledger.admit(&policy(), &by(client), now) {
                ledger.charge(&policy(), &admitted, now);
                guesses += 1;
                if client != STRANGER
                    && let Admission::Open(admitted) = ledger.admit(&policy(), &by(client), now)
                {
                    ledger.forgive(&policy(), &admitted, now);
                }
            }
        }
        if day % 30 == 29 {
            // A new place, by a click if need be.
            newest = newest.wrapping_add(1);
            let admitted =
                AdmittedAttempt { attempt: by(credential(newest)), place: place::Place::Unknown, known: false };
            ledger.forgive(&policy(), &admitted, now);
            places += 1;
        }
        assert!(guesses <= 100 + day + places, "{guesses} guesses in {day} days and {places} places");
    }
    assert!(guesses > 60 * 365, "{guesses}: the simulation does not press");
}

#[test]
fn who_takes_over_a_place_takes_over_its_level() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    for _ in 0..3 {
        wrong(&mut ledger, credential(0), at(0));
    }
    let now = siege(&mut ledger, credential(1), 10, 0);
    let level = |ledger: &GuessLedger, name: u8| {
        ledger
            .entry(SECRET, FIRST)
            .unwrap()
            .known
            .iter()
            .find(|known| known.tag == tag(name))
            .map(|known| known.failures)
    };
    right(&mut ledger, credential(10), at(now));
    right(&mut ledger, credential(11), at(now));
    assert_eq!(level(&ledger, 10).map(|failures| (failures.level, failures.streak)), Some((3, 0)));
    assert_eq!(level(&ledger, 11).map(|failures| (failures.level, failures.streak)), Some((9, 0)));
    assert_eq!((level(&ledger, 0), level(&ledger, 1)), (None, None));
    // One guess, then full.
    wrong(&mut ledger, credential(11), at(now));
    assert!(!refused(&mut ledger, credential(11), at(now)).is_locked());
    // What has leaked by then is not taken over, and not taken off twice.
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let now = siege(&mut ledger, credential(0), 10, 0) + 20 * DAY;
    right(&mut ledger, credential(12), at(now));
    for guess in 1..=2 {
        let charge = wrong(&mut ledger, credential(12), at(now));
        assert_eq!(charge.next().is_some(), guess == 2);
    }
    // A free place has no level to take over.
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 12, 0);
    right(&mut ledger, PHONE, at(DAY));
    assert_eq!(level(&ledger, 7).map(|failures| failures.level), Some(0));
}

#[test]
fn the_client_that_was_right_longest_ago_makes_room() {
    let mut ledger = GuessLedger::default();
    // A clock that is stopped or goes back decides nothing.
    for name in 0..5 {
        right(&mut ledger, credential(name), at(100 - u64::from(name)));
    }
    assert!(right(&mut ledger, credential(0), at(0)));
    assert!(!right(&mut ledger, credential(0), at(0)), "nothing new to store");
    // A wrong guess neither keeps client 1 from growing old nor makes client 9 known.
    wrong(&mut ledger, credential(1), at(0));
    wrong(&mut ledger, credential(9), at(0));
    right(&mut ledger, credential(5), at(0));
    let known: Vec<bool> = (0..10).map(|name| ledger.is_known(&policy(), &by(credential(name)))).collect();
    assert_eq!(known, [true, false, true, true, true, true, false, false, false, false]);
}

#[test]
fn a_client_is_known_by_its_credential_and_else_by_its_network() {
    let (token, home) = (tag(1), tag(2));
    let mut ledger = GuessLedger::default();
    let with_both = Client::credential(token).on_network(home);
    assert_eq!((with_both.tag(), with_both.network_tag()), (Some(token), Some(home)));
    assert_eq!((Client::network(home).tag(), Client::unknown().tag()), (Some(home), None));
    right(&mut ledger, with_both, at(0));
    let knows = |ledger: &GuessLedger, client| ledger.is_known(&policy(), &by(client));
    assert!(knows(&ledger, Client::credential(token)) && !knows(&ledger, Client::network(home)));
    right(&mut ledger, Client::network(home), at(0));
    assert!(knows(&ledger, Client::network(home)));
    // A token that never passed is unknown on a known network.
    assert!(!knows(&ledger, Client::credential(tag(3)).on_network(home)));
    // Nobody becomes known without a tag.
    let before = ledger.clone();
    assert!(!right(&mut ledger, Client::unknown(), at(0)));
    assert_eq!(ledger, before);
    assert!(!knows(&ledger, Client::unknown()));
}

#[test]
fn an_unguessable_secret_waits_and_is_never_shut() {
    let (policy, mut ledger, mut now) = (policy(), GuessLedger::default(), 0);
    for client in [STRANGER, PHONE] {
        for guess in 0..300 {
            let attempt = Attempt::new(RECOVERY, FIRST, client);
            let Admission::Open(admitted) = ledger.admit(&policy, &attempt, at(now)) else {
                panic!("shut after its wait")
            };
            let charge = ledger.charge(&policy, &admitted, at(now));
            assert!(!charge.locked());
            assert_eq!(charge.paused_until(), (guess >= 4).then(|| at(now + policy.wait(charge.streak()))));
            now += policy.wait(charge.streak());
        }
        let admitted = AdmittedAttempt {
            attempt: Attempt::new(RECOVERY, FIRST, PHONE),
            place: place::Place::Unknown,
            known: false,
        };
        ledger.forgive(&policy, &admitted, at(now));
    }
    // What was counted counts, should the secret become a short one.
    let weak = Attempt::new(RECOVERY.with_strength(Strength::Guessable), FIRST, STRANGER);
    assert!(ledger.peek(&policy, &weak, at(now)).is_some());
    assert_eq!(Strength::of_random_bits(63), Strength::Guessable);
    assert_eq!(Strength::of_random_bits(64), Strength::Unguessable);
}

#[test]
fn one_secret_never_shuts_another() {
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 50, 0);
    for name in ["totp", "recovery", "passphrases", "passphras"] {
        let other = Attempt::new(SecretKind::new(name), FIRST, STRANGER);
        assert_eq!(ledger.peek(&policy(), &other, at(0)), None);
    }
}

#[test]
fn a_clock_that_goes_back_begins_a_wait_once_more_and_only_once() {
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 6, DAY);
    let refusal = refused(&mut ledger, STRANGER, at(0));
    assert_eq!((refusal.retry_after(), refusal.changed()), (60, true));
    let refusal = refused(&mut ledger, STRANGER, at(20));
    assert_eq!((refusal.retry_after(), refusal.changed()), (40, false));
    open(&mut ledger, STRANGER, at(60));
}

/// One stored moment after the other, each by what it does.
#[test]
fn a_refusal_after_a_clock_that_went_back_settles_all_that_is_stored() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(YEAR));
    let now = siege(&mut ledger, STRANGER, 20, YEAR);
    assert_eq!(ledger.report_denial(SECRET, DenialKind::Wrong, at(now)), DenialReport::Now { earlier: 0 });
    let other = Attempt::new(RECOVERY, FIRST, PHONE);
    let Admission::Open(admitted) = ledger.admit(&policy(), &other, at(now)) else { panic!("refused") };
    let pending = ledger.begin(&policy(), &admitted, [1; 8], at(now));
    assert!(refused(&mut ledger, STRANGER, at(0)).changed());
    // The mail's "since when", an hour without events, the last failure, and another secret's
    // unjudged guess.
    assert_eq!(ledger.lockout_summary(&by(STRANGER)).map(|facts| facts.since), Some(at(0)));
    assert_eq!(ledger.clone().report_denial(SECRET, DenialKind::Wrong, at(3600)), DenialReport::Now { earlier: 0 });
    right(&mut ledger, PHONE, at(DAY));
    assert_eq!(unknown_streak(&ledger), 0);
    assert!(!ledger.settle_right(&policy(), &pending, at(120)));
}

#[test]
fn a_level_from_the_future_leaks_from_now_on() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    // The clock runs ten years ahead once, while the level fills.
    for guess in 1..=10 {
        wrong(&mut ledger, PHONE, at(10 * YEAR));
        if guess % 4 == 0 {
            right(&mut ledger, PHONE, at(10 * YEAR));
        }
    }
    assert_eq!(refused(&mut ledger, PHONE, at(5)).retry_after(), 10 * DAY);
    assert_eq!(refused(&mut ledger, PHONE, at(6)).retry_after(), 10 * DAY - 1);
    open(&mut ledger, PHONE, at(5 + 10 * DAY));
}

#[test]
fn names_and_generations_are_checked_and_shown_short() {
    assert_eq!(format!("{:?} {:?}", SECRET, tag(7)), "SecretKind(passphrase, Guessable) ClientTag(07070707..)");
    assert_eq!(ClientTag::from_bytes(tag(7).to_bytes()), tag(7));
    for name in ["", "Upper", "under_score", "twenty-four-bytes-is-one-", "ü"] {
        assert!(std::panic::catch_unwind(|| SecretKind::new(name)).is_err(), "{name}");
    }
    let longest = SecretKind::new("twenty-three-bytes-fit-");
    assert_eq!((longest.name(), longest.name().len()), ("twenty-three-bytes-fit-", 23));
    assert_eq!(SECRET, SECRET.unguessable(), "the name is the entry");
    assert!(SecretKind::new("ab") > SecretKind::new("a") && SecretKind::new("b") > SecretKind::new("ab"));
    let drawn = Generation::random(&SystemEntropy).unwrap();
    assert!(drawn != Generation::HOST && drawn != Generation::random(&SystemEntropy).unwrap());
    assert_eq!(Generation::from_u64(drawn.get()), drawn);
}
