//! The stored form as hostile input, its size, and the policy's builder.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use proptest::prelude::*;
use serde::Serialize;

use super::model::tag;
use super::policy::{MAX_ADMISSIONS, MAX_KNOWN_CLIENTS};
use super::tests::{
    DAY, FIRST, PHONE, RECOVERY, SECRET, STRANGER, at, by, credential, know_five, open, policy, right, siege,
};
use super::*;
use crate::UnixSeconds;

/// The stored form, without its bounds.
#[derive(Debug, Clone, Serialize)]
struct Hostile {
    secrets: Vec<(String, HostileEntry)>,
    admissions: Vec<u64>,
}
type Failures = (u16, u64, u16, u64);
type Mail = (u64, u64, bool, u8, [u8; 16]);
#[derive(Debug, Clone, Serialize)]
struct HostileEntry {
    generation: u64,
    unknown: (Failures, u16, u64, u64),
    known: Vec<([u8; 16], Failures)>,
    admitted: Vec<([u8; 16], u8, u64)>,
    pending: Vec<([u8; 8], HostilePlace, u64)>,
    mail: Option<Mail>,
    denials: [(u64, u32); 2],
}
#[derive(Debug, Clone, PartialEq, Serialize)]
enum HostilePlace {
    Unknown,
    Known([u8; 16]),
    Admitted([u8; 16]),
    Counted,
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![1 => any::<u64>(), 20 => 0..=UnixSeconds::MAX.get(), 40 => 1_700_000_000..1_900_000_000_u64]
}

fn failures() -> impl Strategy<Value = Failures> {
    (prop_oneof![any::<u16>(), 0..60_u16], time(), prop_oneof![any::<u16>(), 0..60_u16], time())
}

fn entry() -> impl Strategy<Value = HostileEntry> {
    let name = || (0..6_u8).prop_map(|name| [name; 16]);
    let place = prop_oneof![
        Just(HostilePlace::Unknown),
        name().prop_map(HostilePlace::Known),
        name().prop_map(HostilePlace::Admitted),
        Just(HostilePlace::Counted),
    ];
    let mail = (time(), 0..4_000_000_u64, any::<bool>(), 0..5_u8, any::<[u8; 16]>());
    (
        0..3_u64,
        (failures(), any::<u16>(), time(), time()),
        prop::collection::vec((name(), failures()), 0..4),
        prop::collection::vec((name(), 0..12_u8, time()), 0..3),
        prop::collection::vec(((0..60_u8).prop_map(|id| [id; 8]), place, time()), 0..6),
        prop::option::of(mail),
        prop::array::uniform2((time(), any::<u32>())),
    )
        .prop_map(|(generation, unknown, known, admitted, pending, mail, denials)| HostileEntry {
            generation,
            unknown,
            known,
            admitted,
            pending,
            mail,
            denials,
        })
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let name = prop::sample::select(vec!["passphrase", "recovery", "totp", "Bad"]).prop_map(String::from);
    (prop::collection::vec((name, entry()), 0..3), prop::collection::vec(time(), 0..5))
        .prop_map(|(secrets, admissions)| Hostile { secrets, admissions })
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let items: Vec<T> = items.collect();
    let set: std::collections::BTreeSet<&T> = items.iter().collect();
    set.len() == items.len()
}

fn is_sound(hostile: &Hostile) -> bool {
    let moment = |time: &u64| UnixSeconds::new(*time).is_ok();
    let sound = |failures: &Failures| moment(&failures.1) && moment(&failures.3);
    let entry = |entry: &HostileEntry| {
        let place = |place: &HostilePlace| entry.pending.iter().filter(|pending| pending.1 == *place).count();
        sound(&entry.unknown.0)
            && moment(&entry.unknown.2)
            && moment(&entry.unknown.3)
            && entry.known.len() <= 5
            && distinct(entry.known.iter().map(|known| known.0))
            && entry.known.iter().all(|known| sound(&known.1))
            && entry.admitted.len() <= 3
            && distinct(entry.admitted.iter().map(|admitted| admitted.0))
            && entry.admitted.iter().all(|admitted| admitted.1 <= 10 && moment(&admitted.2))
            && entry.pending.len() <= 36
            && distinct(entry.pending.iter().map(|pending| pending.0))
            && entry
                .pending
                .iter()
                .all(|pending| (pending.1 == HostilePlace::Counted || place(&pending.1) <= 4) && moment(&pending.2))
            && entry.mail.is_none_or(|mail| moment(&mail.0) && mail.1 <= 30 * DAY && mail.3 <= 3)
            && entry.denials.iter().all(|tally| moment(&tally.0))
    };
    hostile.secrets.len() <= 16
        && hostile.secrets.is_sorted_by(|a, b| a.0 < b.0)
        && hostile.secrets.iter().all(|(name, stored)| name != "Bad" && entry(stored))
        && hostile.admissions.len() <= 3
        && hostile.admissions.iter().all(moment)
}

/// Whatever was decoded can be used at any time without a panic, and stays within what can be
/// decoded.
fn exercise(mut ledger: GuessLedger, now: UnixSeconds) {
    let policy = policy();
    for (id, generation) in [0, 1, 2].into_iter().enumerate() {
        let generation = Generation::from_u64(generation);
        for client in [STRANGER, PHONE, credential(0), credential(1).on_network(tag(2))] {
            for secret in [SECRET, RECOVERY] {
                let attempt = Attempt::new(secret, generation, client);
                for round in 0..6 {
                    if let Admission::Open(admitted) = ledger.admit(&policy, &attempt, now) {
                        let guess = ledger.begin(&policy, &admitted, [u8::try_from(id).unwrap() * 10 + round; 8], now);
                        let _ = ledger.charge(&policy, &admitted, now).paused_until();
                        let _ = (round % 2 == 0).then(|| ledger.settle_right(&policy, &guess, now));
                        ledger.forgive(&policy, &admitted, now);
                    }
                }
                if let Admission::Refused(refusal) = ledger.admit(&policy, &attempt, now) {
                    assert!(refusal.retry_after() >= 1);
                    let Admission::Refused(again) = ledger.admit(&policy, &attempt, now) else { panic!("opens") };
                    assert!(!again.changed());
                    if ledger.unlock_mail_due(&policy, &attempt, &refusal, now) {
                        ledger.unlock_mail_sent(&policy, &attempt, [1; 16], now);
                    }
                    let _ = ledger.unlock_mail_clicked(&policy, secret, generation, [1; 16], now);
                }
                let _ = ledger.admit_client(&policy, secret, generation, tag(9), now);
                let _ = (ledger.report_denial(secret, DenialKind::Wrong, now), ledger.take_unreported(now));
                let stored = postcard::to_allocvec(&ledger).unwrap();
                assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), ledger);
                ledger.clone().unlock(&policy, secret, generation, now);
            }
        }
        ledger.renew(&policy, SECRET, generation, Generation::from_u64(7), &[tag(3), tag(4)], now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn stored_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), now in 0..=UnixSeconds::MAX.get()) {
        if let Ok(ledger) = postcard::from_bytes::<GuessLedger>(&bytes) {
            exercise(ledger, UnixSeconds::new(now).unwrap());
        }
    }

    #[test]
    fn stored_numbers_never_panic(hostile in hostile(), now in 0..=UnixSeconds::MAX.get()) {
        let ledger = postcard::from_bytes::<GuessLedger>(&postcard::to_allocvec(&hostile).unwrap());
        prop_assert_eq!(ledger.is_ok(), is_sound(&hostile));
        if let Ok(ledger) = ledger {
            exercise(ledger, UnixSeconds::new(now).unwrap());
        }
    }
}

/// Each bound by itself, at its edge.
#[test]
fn every_bound_of_the_stored_form_is_checked() {
    let failures: Failures = (0, 0, 0, 0);
    let entry = HostileEntry {
        generation: 1,
        unknown: (failures, 0, 0, 0),
        known: Vec::new(),
        admitted: Vec::new(),
        pending: Vec::new(),
        mail: None,
        denials: [(0, 0); 2],
    };
    let decodes = |change: &dyn Fn(&mut HostileEntry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        let hostile = Hostile { secrets: vec![("passphrase".to_owned(), entry)], admissions: Vec::new() };
        let decoded = postcard::from_bytes::<GuessLedger>(&postcard::to_allocvec(&hostile).unwrap()).is_ok();
        assert_eq!(decoded, is_sound(&hostile));
        decoded
    };
    let known = |count: u8| decodes(&|entry| entry.known = (0..count).map(|name| ([name; 16], failures)).collect());
    assert!(known(5) && !known(6));
    let admitted = |count: u8| decodes(&|entry| entry.admitted = (0..count).map(|name| ([name; 16], 10, 0)).collect());
    assert!(admitted(3) && !admitted(4));
    let pending = |count: u8, place: HostilePlace| {
        decodes(&|entry| entry.pending = (0..count).map(|id| ([id; 8], place.clone(), 0)).collect())
    };
    assert!(pending(36, HostilePlace::Counted) && !pending(37, HostilePlace::Counted));
    assert!(pending(4, HostilePlace::Unknown) && !pending(5, HostilePlace::Unknown));
    // Nothing twice.
    assert!(!decodes(&|entry| entry.known = vec![([1; 16], failures); 2]));
    assert!(!decodes(&|entry| entry.admitted = vec![([1; 16], 1, 0); 2]));
    assert!(!decodes(&|entry| entry.admitted = vec![([1; 16], 11, 0)]));
    assert!(!decodes(&|entry| entry.pending = vec![([1; 8], HostilePlace::Unknown, 0); 2]));
    let mail = |pause, admissions| decodes(&|entry| entry.mail = Some((0, pause, false, admissions, [0; 16])));
    assert!(mail(30 * DAY, 3) && !mail(30 * DAY + 1, 3) && !mail(DAY, 4));
    let secrets = |count: u8| {
        let secrets = (0..count).map(|name| (format!("{name:03}"), entry.clone())).collect();
        let hostile = Hostile { secrets, admissions: vec![0; 3] };
        postcard::from_bytes::<GuessLedger>(&postcard::to_allocvec(&hostile).unwrap())
    };
    assert!(secrets(17).is_err());
    // A seventeenth secret is not dropped and drops none: the ledger does not serialize.
    let mut full = secrets(16).unwrap();
    assert!(postcard::to_allocvec(&full).is_ok());
    let _ = full.report_denial(SECRET, DenialKind::Wrong, at(0));
    assert_eq!(full.entries.len(), MAX_SECRETS + 1);
    assert!(postcard::to_allocvec(&full).is_err());
}

/// A stored form that no history makes: three admitted clients, and no note of an admission.
#[test]
fn a_fourth_client_is_not_admitted_beside_three() {
    let mut ledger = GuessLedger::default();
    let mut admit = |name: u8| {
        ledger.admissions.clear();
        ledger.admit_client(&policy(), SECRET, FIRST, tag(name), at(u64::from(name)))
    };
    let answers = [1, 2, 3].map(&mut admit);
    assert!(answers.iter().all(|answer| matches!(answer, ClientAdmission::Admitted { .. })));
    assert_eq!(admit(4), ClientAdmission::TooMany { retry_after: 3597 });
    assert!(matches!(admit(3), ClientAdmission::Admitted { .. }), "one of the three");
}

#[test]
fn a_full_entry_is_small() {
    let mut ledger = GuessLedger::default();
    for name in 0..5 {
        right(&mut ledger, credential(name), at(0));
        siege(&mut ledger, credential(name), 8, 0);
    }
    siege(&mut ledger, STRANGER, 20, 0);
    let typical = postcard::to_allocvec(&ledger).unwrap().len();
    assert!(typical < 230, "{typical} bytes");
    ledger.unlock_mail_sent(&policy(), &by(STRANGER), [9; 16], at(0));
    for name in 10..13 {
        let _ = ledger.admit_client(&policy(), SECRET, FIRST, tag(name), at(0));
    }
    let _ = (
        ledger.report_denial(SECRET, DenialKind::Wrong, at(0)),
        ledger.report_denial(SECRET, DenialKind::Replayed, at(0)),
    );
    let admitted = open(&mut ledger, credential(10), at(0));
    let _ = ledger.begin(&policy(), &admitted, [1; 8], at(0));
    let full = postcard::to_allocvec(&ledger).unwrap().len();
    assert!(full < 400, "{full} bytes");
    assert_eq!((MAX_KNOWN_CLIENTS, MAX_ADMISSIONS), (5, 3));
}

#[test]
fn the_stored_form_is_stable() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    siege(&mut ledger, STRANGER, 5, 0);
    let stored = postcard::to_allocvec(&ledger).unwrap();
    // One secret and its generation; streak 5 until + 30 s, level 5 as of now, 5 since the last
    // right guess, first, last; one known client; no admitted one, no unjudged guess, no mail, no
    // counted denials; no admission.
    let (name, tag) = (format!("0a{}", hex::encode("passphrase")), "07".repeat(16));
    let unknown = "059ea4a7da06 0580a4a7da06 05 80a4a7da06 80a4a7da06";
    let expected = format!("01 {name} 01 {unknown} 01 {tag} 00000000 00 00 00 00000000 00").replace(' ', "");
    assert_eq!(hex::encode(&stored), expected);

    let json = serde_json::to_string(&ledger).unwrap();
    assert!(
        json.starts_with(r#"{"secrets":[["passphrase",{"generation":1,"unknown":{"failures":{"streak":5,"#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<GuessLedger>(&json).unwrap(), ledger);
    assert!(serde_json::from_str::<GuessLedger>(&json.replace("1800000030", "1800000030000")).is_err());
    assert_eq!(serde_json::to_string(&Strength::Unguessable).unwrap(), r#""unguessable""#);
}

#[test]
fn a_stricter_policy_counts_fewer_of_the_stored_clients() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    let strict = LedgerPolicy::builder().known_clients(1).build().unwrap();
    let known = |name| ledger.is_known(&strict, &by(credential(name)));
    assert!((0..4).all(|name| !known(name)) && known(4));
    let mut none = ledger.clone();
    let strict = LedgerPolicy::builder().known_clients(0).build().unwrap();
    let Admission::Open(admitted) = none.admit(&strict, &by(credential(4)), at(0)) else { panic!("refused") };
    assert!(!admitted.is_known());
    none.forgive(&strict, &admitted, at(0));
    assert_eq!(none, GuessLedger::default());
}

#[test]
fn the_builder_names_the_number() {
    type Change = fn(LedgerPolicyBuilder) -> LedgerPolicyBuilder;
    let build = |change: Change| change(LedgerPolicy::builder()).build().map_err(|error| format!("{error}"));
    assert_eq!(build(|b| b), Ok(policy()));
    let refused: [(Change, &str); 17] = [
        (|b| b.free_tries(0), "`free_tries`"),
        (|b| b.base_wait(0), "`base_wait`"),
        (|b| b.max_wait(29), "`max_wait`"),
        (|b| b.unknown_level_limit(0), "`unknown_level_limit`"),
        (|b| b.unknown_leak_seconds(3599), "`unknown_leak_seconds`"),
        (|b| b.unknown_streak_limit(0), "`unknown_streak_limit`"),
        (|b| b.known_level_limit(1001), "`known_level_limit`"),
        (|b| b.known_leak_seconds(365 * DAY + 1), "`known_leak_seconds`"),
        (|b| b.known_streak_limit(101), "`known_streak_limit`"),
        (|b| b.known_clients(6), "`known_clients`"),
        (|b| b.admitted_tries(11), "`admitted_tries`"),
        (|b| b.admissions_per_day(4), "`admissions_per_day`"),
        (|b| b.verdict_seconds(9), "`verdict_seconds`"),
        (|b| b.unknown_streak_limit(51), "`unknown_streak_limit` + `known_clients` · `known_streak_limit` = 101"),
        (|b| b.known_streak_limit(11), "`unknown_streak_limit` + `known_clients` · `known_streak_limit` = 105"),
        (|b| b.unknown_leak_seconds(DAY / 2), "the level limits and leaks allow 1012 guesses"),
        (|b| b.known_level_limit(60), "the level limits and leaks allow 715 guesses"),
    ];
    for (change, text) in refused {
        let error = build(change).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn a_policy_above_one_percent_a_year_is_refused() {
    let check = |hits, space| policy().check_guess_probability(GuessOdds::new(hits, space).unwrap());
    assert_eq!(check(15, 1_000_000), Ok(())); // 0.0070
    assert_eq!(check(21, 1_000_000), Ok(())); // 0.0098
    assert_eq!(check(22, 1_000_000), Err(LedgerPolicyError::FirstYear { guesses: 465 })); // 0.0102
    assert!(check(1, 10_000).is_err() && check(1, 100_000).is_ok());
    // Exactly 1 % is allowed.
    assert!(check(1, 46_500).is_ok() && check(1, 46_499).is_err());
    assert!(LedgerPolicy::builder().build().is_ok());
    assert!(LedgerPolicy::builder().odds(GuessOdds::new(25, 1_000_000).unwrap()).build().is_err());
    assert!(GuessOdds::new(1, 0).is_err() && GuessOdds::new(0, 1).is_err() && GuessOdds::new(2, 1).is_err());
    // A changed policy is checked by its own numbers.
    let slow = LedgerPolicy::builder().known_clients(0).unknown_leak_seconds(7 * DAY).build().unwrap();
    assert_eq!((slow.guesses_in_first_year(), slow.consecutive_failures()), (50 + 52, 50));
    assert!(slow.check_guess_probability(GuessOdds::new(25, 1_000_000).unwrap()).is_ok());
}
