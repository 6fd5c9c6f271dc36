//! The known numbers of `security.md` § 6, the stored form, and the paths that a random history reaches too rarely.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use alloc::format;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde::Serialize;

use super::policy::{BASE_WAIT, KNOWN_LOAD_LIMIT, LEAK_SECONDS, MAX_DEVICES, STRANGER_LOCK};
use super::*;
use crate::EventKind;

const DAY: u64 = 86_400;
const PHONE: DeviceTag = DeviceTag::from_bytes([7; 16]);

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(1_800_000_000 + seconds).unwrap()
}

fn policy() -> LedgerPolicy {
    LedgerPolicy::default()
}

fn ask(ledger: &mut GuessLedger, tag: Option<DeviceTag>, now: UnixSeconds) -> Admission {
    ledger.admit(&policy(), Door::Totp, Strength::Guessable, tag, now)
}

fn open(ledger: &mut GuessLedger, tag: Option<DeviceTag>, now: UnixSeconds) -> Lane {
    match ask(ledger, tag, now) {
        Admission::Open(lane) => lane,
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(ledger: &mut GuessLedger, tag: Option<DeviceTag>, now: UnixSeconds) -> Refusal {
    match ask(ledger, tag, now) {
        Admission::Refused(refusal) => refusal,
        Admission::Open(lane) => panic!("{lane:?}"),
    }
}

fn wrong(ledger: &mut GuessLedger, tag: Option<DeviceTag>, now: UnixSeconds) -> Charge {
    let lane = open(ledger, tag, now);
    ledger.charge(&policy(), &lane, now)
}

fn right(ledger: &mut GuessLedger, tag: Option<DeviceTag>, now: UnixSeconds) -> bool {
    let lane = open(ledger, tag, now);
    ledger.forgive(&policy(), &lane, tag)
}

#[test]
fn the_waits_are_those_of_the_table() {
    let policy = policy();
    let waits: Vec<u64> = (0..14).map(|streak| policy.wait(streak)).collect();
    assert_eq!(waits, [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert_eq!(policy.wait(u16::MAX), 3600);
}

#[test]
fn strangers_have_34_guesses_in_the_first_day_and_are_locked_after_39_hours() {
    let mut ledger = GuessLedger::default();
    let (mut now, mut first_day, mut guesses) = (0, 0, 0);
    let charge = loop {
        let charge = wrong(&mut ledger, None, at(now));
        guesses += 1;
        first_day += u64::from(now < DAY);
        assert_eq!(u64::from(charge.streak()), guesses);
        if charge.locked() {
            break charge;
        }
        // One event for a wait, none for the refusals in it.
        assert_eq!(charge.event().is_some(), guesses >= 5);
        if let Some(until) = charge.paused_until() {
            assert_eq!(charge.event(), Some(EventKind::DoorPaused { door: Door::Totp, until }));
            now = until.since(at(0));
        }
    };
    assert_eq!((first_day, guesses, now, now / 3600), (34, 50, 140_610, 39));
    assert_eq!(charge.event(), Some(EventKind::DoorLocked { door: Door::Totp }));

    // A century opens nothing, an unlock does, once.
    let refusal = refused(&mut ledger, None, at(100 * 365 * DAY));
    assert_eq!((refusal.is_locked(), refusal.retry_after()), (true, 3600));
    assert!(ledger.unlock(Door::Totp));
    assert!(!ledger.unlock(Door::Totp));
    wrong(&mut ledger, None, at(now));
}

#[test]
fn the_fifth_failure_begins_the_first_wait() {
    let mut ledger = GuessLedger::default();
    for streak in 1..=4 {
        let charge = wrong(&mut ledger, Some(PHONE), at(0));
        assert_eq!((charge.streak(), charge.next(), charge.event()), (streak, None, None));
    }
    let fifth = wrong(&mut ledger, Some(PHONE), at(0));
    assert_eq!((fifth.streak(), fifth.paused_until(), fifth.lane().is_known()), (5, Some(at(30)), false));
    assert_eq!(fifth.next().map(Refusal::retry_after), Some(30));
    assert_eq!(refused(&mut ledger, None, at(29)).retry_after(), 1);
    open(&mut ledger, None, at(30));
}

#[test]
fn a_device_is_forgotten_at_ten_and_known_again_after_a_right_guess() {
    let mut ledger = GuessLedger::default();
    assert!(right(&mut ledger, Some(PHONE), at(0)));
    let mut now = 0;
    for streak in 1..=9 {
        let charge = wrong(&mut ledger, Some(PHONE), at(now));
        assert_eq!((charge.streak(), charge.forgotten(), charge.lane().is_known()), (streak, false, true));
        now += policy().wait(streak);
    }
    let tenth = wrong(&mut ledger, Some(PHONE), at(now));
    assert_eq!((tenth.streak(), tenth.forgotten(), tenth.paused_until()), (10, true, None));
    assert!(!open(&mut ledger, Some(PHONE), at(now)).is_known());
    assert!(right(&mut ledger, Some(PHONE), at(now)));
    assert!(open(&mut ledger, Some(PHONE), at(now)).is_known());
}

#[test]
fn a_lane_admitted_before_its_device_was_forgotten_is_charged_as_a_stranger() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, Some(PHONE), at(0));
    let lane = open(&mut ledger, Some(PHONE), at(0));
    for streak in 1..=10 {
        assert_eq!(ledger.charge(&policy(), &lane, at(0)).streak(), streak);
    }
    let late = ledger.charge(&policy(), &lane, at(0));
    assert_eq!((late.streak(), late.lane().is_known()), (1, false));
}

#[test]
fn what_was_charged_before_the_host_answered_is_given_back_exactly() {
    let policy = policy();
    let mut ledger = GuessLedger::default();
    right(&mut ledger, Some(PHONE), at(0));
    for _ in 0..3 {
        wrong(&mut ledger, None, at(0));
    }
    let before = ledger.clone();
    let charge = wrong(&mut ledger, Some(PHONE), at(0));
    assert_ne!(ledger, before);
    assert!(ledger.give_back(&policy, &charge, Some(PHONE)));
    assert_eq!(ledger, before);

    // The tenth charge of a device forgets it; the right answer brings it back, even under another tag too.
    let mut now = 0;
    for streak in 1..=9 {
        wrong(&mut ledger, Some(PHONE), at(now));
        now += policy.wait(streak);
    }
    let charge = wrong(&mut ledger, Some(PHONE), at(now));
    assert!(charge.forgotten());
    assert!(ledger.give_back(&policy, &charge, Some(DeviceTag::from_bytes([8; 16]))));
    assert!(open(&mut ledger, Some(PHONE), at(now)).is_known());
    assert!(open(&mut ledger, Some(DeviceTag::from_bytes([8; 16])), at(now)).is_known());
}

#[test]
fn what_an_unlock_has_cleared_is_not_given_back_from_later_guesses() {
    let mut ledger = GuessLedger::default();
    let charge = wrong(&mut ledger, None, at(0));
    assert!(ledger.unlock(Door::Totp));
    wrong(&mut ledger, None, at(0));
    ledger.give_back(&policy(), &charge, None);
    assert_eq!(ledger.doors.get(&Door::Totp).map(|entry| entry.load.level), Some(1));
}

#[test]
fn one_door_does_not_close_another() {
    let mut ledger = GuessLedger::default();
    for _ in 0..5 {
        wrong(&mut ledger, None, at(0));
    }
    refused(&mut ledger, None, at(0));
    for door in [Door::Challenge, Door::LoginPassword, Door::SharedKey, Door::Recovery, Door::Mailed] {
        assert_eq!(ledger.peek(&policy(), door, Strength::Guessable, None, at(0)), None);
    }
}

#[test]
fn an_unguessable_secret_waits_but_never_locks() {
    let strength = Strength::of_random_bits(80);
    assert_eq!(strength, Strength::Unguessable);
    assert_eq!(Strength::of_random_bits(46), Strength::Guessable);
    let (policy, mut ledger, mut now) = (policy(), GuessLedger::default(), 0);
    for _ in 0..300 {
        let Admission::Open(lane) = ledger.admit(&policy, Door::Recovery, strength, None, at(now)) else {
            panic!("shut after its wait")
        };
        let charge = ledger.charge(&policy, &lane, at(now));
        assert!(!charge.locked());
        now += policy.wait(charge.streak());
    }
    assert_eq!(ledger.peek(&policy, Door::Recovery, strength, None, at(now - 1)).map(|r| r.retry_after()), Some(1));
    // The same entry under a weak preset: locked.
    let refusal = ledger.peek(&policy, Door::Recovery, Strength::Guessable, None, at(now));
    assert!(refusal.is_some_and(|refusal| refusal.is_locked()));
}

#[test]
fn a_clock_that_went_back_begins_the_wait_once_more() {
    let mut ledger = GuessLedger::default();
    for _ in 0..5 {
        wrong(&mut ledger, None, at(DAY));
    }
    wrong(&mut ledger, None, at(DAY + 30));
    // The wait of 60 s ends a day ahead now.
    let refusal = refused(&mut ledger, None, at(0));
    assert_eq!((refusal.retry_after(), refusal.changed()), (60, true));
    let refusal = refused(&mut ledger, None, at(20));
    assert_eq!((refusal.retry_after(), refusal.changed()), (40, false));
    open(&mut ledger, None, at(60));
}

#[test]
fn no_day_leaks_twice() {
    let mut ledger = GuessLedger::default();
    let level = |ledger: &GuessLedger| ledger.doors.get(&Door::Totp).map(|entry| entry.load.level);
    let guess = |ledger: &mut GuessLedger, now| {
        wrong(ledger, None, now);
        right(ledger, None, now);
    };
    for _ in 0..10 {
        guess(&mut ledger, at(0));
    }
    guess(&mut ledger, at(3 * DAY + 5));
    assert_eq!(level(&ledger), Some(8));
    guess(&mut ledger, at(0));
    guess(&mut ledger, at(3 * DAY + 5));
    assert_eq!(level(&ledger), Some(10));
    guess(&mut ledger, at(4 * DAY));
    assert_eq!(level(&ledger), Some(10));

    // Nor when the charge that took the leaks off is given back and leaves the load empty.
    let charge = wrong(&mut ledger, None, at(20 * DAY));
    ledger.give_back(&policy(), &charge, None);
    assert_eq!(level(&ledger), Some(0));
    guess(&mut ledger, at(0));
    guess(&mut ledger, at(20 * DAY));
    assert_eq!(level(&ledger), Some(2));
}

#[test]
fn the_device_that_passed_longest_ago_makes_room() {
    let mut ledger = GuessLedger::default();
    let device = |n| DeviceTag::from_bytes([n; 16]);
    for n in 0..5 {
        right(&mut ledger, Some(device(n)), at(0));
    }
    // Device 0 passes again. A wrong guess neither keeps device 1 from growing old nor makes device 9 known.
    assert!(right(&mut ledger, Some(device(0)), at(0)));
    assert!(!right(&mut ledger, Some(device(0)), at(0)), "nothing new to store");
    wrong(&mut ledger, Some(device(1)), at(0));
    wrong(&mut ledger, Some(device(9)), at(0));
    right(&mut ledger, Some(device(5)), at(0));
    let known: Vec<bool> = (0..10).map(|n| open(&mut ledger, Some(device(n)), at(0)).is_known()).collect();
    assert_eq!(known, [true, false, true, true, true, true, false, false, false, false]);
}

#[test]
fn clear_forgets_devices_and_unlock_does_not() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, Some(PHONE), at(0));
    wrong(&mut ledger, Some(PHONE), at(0));
    assert!(ledger.unlock(Door::Totp));
    assert!(open(&mut ledger, Some(PHONE), at(0)).is_known());
    assert!(ledger.clear(Door::Totp));
    assert!(!open(&mut ledger, Some(PHONE), at(0)).is_known());
    assert!(!ledger.clear(Door::Totp) && !ledger.clear(Door::Mailed));
}

#[test]
fn a_stricter_policy_counts_fewer_of_the_stored_devices() {
    let mut ledger = GuessLedger::default();
    for n in 0..5 {
        right(&mut ledger, Some(DeviceTag::from_bytes([n; 16])), at(0));
    }
    let strict = LedgerPolicy::builder().devices(1).device_forget(50).build().unwrap();
    let known = |ledger: &mut GuessLedger, n| match ledger.admit(
        &strict,
        Door::Totp,
        Strength::Guessable,
        Some(DeviceTag::from_bytes([n; 16])),
        at(0),
    ) {
        Admission::Open(lane) => lane.is_known(),
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    };
    assert!((0..4).all(|n| !known(&mut ledger, n)) && known(&mut ledger, 4));
}

#[test]
fn the_builder_names_the_field() {
    type Change = fn(LedgerPolicyBuilder) -> LedgerPolicyBuilder;
    let build = |change: Change| change(LedgerPolicy::builder()).build().map_err(|error| format!("{error}"));
    assert_eq!(build(|b| b), Ok(policy()));
    let refused: [(Change, &str); 11] = [
        (|b| b.free_tries(0), "`free_tries`"),
        (|b| b.base_wait(0), "`base_wait`"),
        (|b| b.max_wait(29), "`max_wait`"),
        (|b| b.stranger_load_limit(101), "`stranger_load_limit`"),
        (|b| b.known_load_limit(1001), "`known_load_limit`"),
        (|b| b.stranger_lock(0), "`stranger_lock`"),
        (|b| b.device_forget(101), "`device_forget`"),
        (|b| b.devices(6), "`devices`"),
        (|b| b.leak_seconds(0), "`leak_seconds`"),
        (|b| b.stranger_lock(51), "`stranger_lock` + `devices` · `device_forget` = 101"),
        (|b| b.leak_seconds(DAY / 2), "`known_load_limit` and `leak_seconds` allow 830 guesses"),
    ];
    for (change, text) in refused {
        let error = build(change).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn a_policy_above_one_percent_a_year_is_refused() {
    // (back + forward + 1) · devices · 465 / 10^digits against 0.01.
    let check = |back, forward, devices, digits| {
        policy().check_guess_probability(GuessOdds::totp(back, forward, devices, digits).unwrap())
    };
    assert_eq!(check(1, 1, 5, 6), Ok(())); // 0.0070
    assert_eq!(check(1, 1, 7, 6), Ok(())); // 0.0098
    assert_eq!(check(10, 10, 1, 6), Ok(())); // 0.0098
    assert_eq!(check(10, 11, 1, 6), Err(LedgerPolicyError::FirstYear { guesses: 465 })); // 0.0102
    assert!(check(0, 0, 1, 4).is_err() && check(0, 0, 1, 5).is_ok());
    // Exactly 1 % is allowed.
    assert!(policy().check_guess_probability(GuessOdds::new(1, 46_500).unwrap()).is_ok());
    assert!(policy().check_guess_probability(GuessOdds::new(1, 46_499).unwrap()).is_err());
    assert!(LedgerPolicy::builder().odds(GuessOdds::totp(2, 2, 5, 6).unwrap()).build().is_err());
    assert!(GuessOdds::new(1, 0).is_err() && GuessOdds::new(0, 1).is_err() && GuessOdds::new(2, 1).is_err());
    assert!(GuessOdds::totp(1, 1, 0, 6).is_err() && GuessOdds::totp(1, 1, 1, 20).is_err());
    assert!(GuessOdds::totp(u32::MAX, u32::MAX, u32::MAX, 19).is_err(), "more right values than there are");
    // A changed policy is checked by its own numbers.
    assert_eq!(u64::from(KNOWN_LOAD_LIMIT) + 365 * DAY / LEAK_SECONDS, policy().guesses_in_first_year());
    assert_eq!(policy().consecutive_failures(), 100);
    let slow = LedgerPolicy::builder().known_load_limit(60).leak_seconds(7 * DAY).build().unwrap();
    assert_eq!(slow.guesses_in_first_year(), 60 + 52);
    assert!(slow.check_guess_probability(GuessOdds::totp(2, 2, 5, 6).unwrap()).is_ok());
}

/// One event a minute and door, whatever the clock does.
#[test]
fn a_replay_is_told_once_a_minute() {
    let mut ledger = GuessLedger::default();
    let at = |seconds: u64| UnixSeconds::new(1_700_000_000 + seconds).unwrap();
    assert!(ledger.note_replay(Door::Totp, at(0)));
    assert!(ledger.note_replay(Door::Recovery, at(0)), "each door");
    for seconds in [0, 1, REPLAY_NOTE_SECONDS - 1] {
        let before = ledger.clone();
        assert!(!ledger.note_replay(Door::Totp, at(seconds)));
        assert_eq!(ledger, before);
    }
    assert!(ledger.note_replay(Door::Totp, at(REPLAY_NOTE_SECONDS)));
    let back = UnixSeconds::new(1_000_000_000).unwrap();
    assert!(ledger.note_replay(Door::Totp, back), "the clock went back");
    assert!(!ledger.note_replay(Door::Totp, back));
    // It is no guess: nothing to lift, nothing that waits.
    assert!(!ledger.unlock(Door::Totp) && !ledger.clear(Door::Totp));
    assert_eq!(ledger.peek(&policy(), Door::Totp, Strength::Guessable, None, back), None);
}

#[test]
fn tags_are_shown_short() {
    assert_eq!(format!("{PHONE:?}"), "DeviceTag(07070707..)");
    assert_eq!(DeviceTag::from_bytes(PHONE.to_bytes()), PHONE);
}

/// The stored form, without its bounds.
#[derive(Debug, Clone, Serialize)]
struct Hostile {
    doors: Vec<(Door, HostileEntry)>,
}
#[derive(Debug, Clone, Serialize)]
struct HostileEntry {
    unlocks: u32,
    stranger: (u16, u64),
    devices: Vec<([u8; 16], (u16, u64))>,
    load: (u16, u64),
    replay: u64,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let time = || prop_oneof![any::<u64>(), 0..=UnixSeconds::MAX.get(), 1_700_000_000..1_900_000_000_u64];
    let streak = move || (prop_oneof![any::<u16>(), 0..60_u16], time());
    let device = (0..4_u8, streak()).prop_map(|(tag, streak)| ([tag; 16], streak));
    let door = prop::sample::select(alloc::vec![Door::Challenge, Door::Totp, Door::Recovery]);
    let entry = (any::<u32>(), streak(), prop::collection::vec(device, 0..8), streak(), time()).prop_map(
        |(unlocks, stranger, devices, load, replay)| HostileEntry { unlocks, stranger, devices, load, replay },
    );
    prop::collection::vec((door, entry), 0..4).prop_map(|doors| Hostile { doors })
}

/// Whatever was decoded keeps its bounds, decodes again to itself, and can be used at any time without a panic.
fn exercise(mut ledger: GuessLedger, now: UnixSeconds) {
    let stored = postcard::to_allocvec(&ledger).unwrap();
    assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), ledger);
    for tag in [None, Some(DeviceTag::from_bytes([0; 16])), Some(PHONE)] {
        for strength in [Strength::Guessable, Strength::Unguessable] {
            for _ in 0..2 {
                if let Admission::Open(lane) = ledger.admit(&policy(), Door::Totp, strength, tag, now) {
                    let charge = ledger.charge(&policy(), &lane, now);
                    let _ = (charge.event(), ledger.give_back(&policy(), &charge, Some(PHONE)));
                    ledger.forgive(&policy(), &lane, tag);
                }
            }
            if let Admission::Refused(refusal) = ledger.admit(&policy(), Door::Totp, strength, tag, now) {
                assert!(refusal.retry_after() >= 1 && !refusal.changed());
            }
        }
    }
    assert!(ledger.doors.values().all(|entry| entry.devices.len() <= MAX_DEVICES));
    ledger.unlock(Door::Totp);
    assert_eq!(ledger.peek(&policy(), Door::Totp, Strength::Guessable, None, now), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn stored_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), now in 0..=UnixSeconds::MAX.get()) {
        if let Ok(ledger) = postcard::from_bytes::<GuessLedger>(&bytes) {
            exercise(ledger, UnixSeconds::new(now).unwrap());
        }
    }

    #[test]
    fn stored_numbers_never_panic(hostile in hostile(), now in 0..=UnixSeconds::MAX.get()) {
        let sound = hostile.doors.is_sorted_by(|(a, _), (b, _)| a < b)
            && hostile.doors.iter().all(|(_, entry)| {
                let mut tags: Vec<_> = entry.devices.iter().map(|(tag, _)| *tag).collect();
                tags.sort_unstable();
                tags.dedup();
                let times = entry.devices.iter().map(|(_, streak)| streak.1).chain([
                    entry.stranger.1,
                    entry.load.1,
                    entry.replay,
                ]);
                tags.len() == entry.devices.len()
                    && entry.devices.len() <= MAX_DEVICES
                    && times.into_iter().all(|time| UnixSeconds::new(time).is_ok())
            });
        let stored = postcard::to_allocvec(&hostile).unwrap();
        let ledger = postcard::from_bytes::<GuessLedger>(&stored);
        prop_assert_eq!(ledger.is_ok(), sound);
        if let Ok(ledger) = ledger {
            exercise(ledger, UnixSeconds::new(now).unwrap());
        }
    }
}

#[test]
fn the_stored_form_is_stable() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, Some(PHONE), at(0));
    for _ in 0..5 {
        wrong(&mut ledger, None, at(0));
    }
    let stored = postcard::to_allocvec(&ledger).unwrap();
    // One door, the fourth; no unlock; streak 5 until + 30 s; one device; load 5; no replay.
    let tag = "07".repeat(16);
    let expected = format!("01 03 00 059ea4a7da06 01 {tag} 0000 0580a4a7da06 00").replace(' ', "");
    assert_eq!(hex::encode(&stored), expected);
    assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), ledger);

    let json = serde_json::to_string(&ledger).unwrap();
    assert!(json.starts_with(r#"{"doors":[["totp",{"unlocks":0,"stranger":{"count":5,"until":1800000030}"#), "{json}");
    assert_eq!(serde_json::from_str::<GuessLedger>(&json).unwrap(), ledger);
    assert!(serde_json::from_str::<GuessLedger>(&json.replace("1800000030", "1800000030000")).is_err());
    assert_eq!((BASE_WAIT, STRANGER_LOCK), (30, 50));
}
