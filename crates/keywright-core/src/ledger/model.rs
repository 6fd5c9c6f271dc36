//! The ledger against an independent reference, over random histories.
//!
//! The reference keeps the load as drops that each have a moment of evaporation, waits as the moment they began, and a
//! literal table of waits: no arithmetic is shared with what it checks.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Admission, Charge, DeviceTag, Door, GuessLedger, LedgerPolicy, Strength};
use crate::UnixSeconds;

const DAY: u64 = 86_400;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
const START: u64 = 2_000_000_000;
/// Tags 0..TAGS are used; no tag is a stranger too.
const TAGS: u8 = 7;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Lane {
    failures: usize,
    /// When the wait began.
    began: u64,
}

impl Lane {
    fn opens(self, now: u64) -> u64 {
        const WAITS: [u64; 12] = [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920];
        self.began.min(now) + WAITS.get(self.failures).copied().unwrap_or(3600)
    }
}

#[derive(Debug, Clone, Default)]
struct Reference {
    stranger: Lane,
    /// The latest right guess first.
    devices: VecDeque<(u8, Lane)>,
    /// When each counted guess stops counting, ascending.
    drops: VecDeque<u64>,
    /// Everything up to here has evaporated.
    dry: u64,
    /// Counts `unlock` and `clear`.
    lives: u32,
    /// For the ceilings: first charge and highest time of this life, wrong guesses looked at, and those since a success.
    first: Option<u64>,
    highest: u64,
    wrong: u64,
    in_a_row: u64,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Open { known: bool },
    Locked,
    Until(u64),
}

impl Reference {
    fn lane(&mut self, tag: Option<u8>) -> (bool, &mut Lane) {
        match self.devices.iter_mut().find(|(known, _)| Some(*known) == tag) {
            Some((_, lane)) => (true, lane),
            None => (false, &mut self.stranger),
        }
    }

    fn ask(&mut self, door: Door, tag: Option<u8>, now: u64) -> Verdict {
        let (known, lane) = self.lane(tag);
        let mut opens = lane.opens(now);
        let locked = !known && lane.failures >= 50;
        if door == Door::Totp {
            if locked {
                return Verdict::Locked;
            }
            let limit = if known { 100 } else { 50 };
            if self.drops.len() >= limit {
                opens = opens.max(self.drops[self.drops.len() - limit]);
            }
        }
        if now < opens { Verdict::Until(opens) } else { Verdict::Open { known } }
    }

    /// True if a refused caller's wait lies in the future as a whole: then it begins now.
    fn reanchor(&mut self, tag: Option<u8>, now: u64) -> bool {
        let (_, lane) = self.lane(tag);
        let late = lane.began > now;
        lane.began = lane.began.min(now);
        late
    }

    fn charge(&mut self, tag: Option<u8>, now: u64) {
        while self.drops.front().is_some_and(|&gone| gone <= now) {
            self.dry = self.drops.pop_front().unwrap();
        }
        if self.drops.is_empty() {
            self.dry = self.dry.max(now);
        }
        self.drops.push_back(self.drops.back().copied().unwrap_or(self.dry) + DAY);
        let (_, lane) = self.lane(tag);
        *lane = Lane { failures: lane.failures + 1, began: now };
        self.devices.retain(|(_, lane)| lane.failures < 10);
        self.highest = if self.first.is_some() { self.highest.max(now) } else { now };
        self.first.get_or_insert(now);
    }

    fn learn(&mut self, tag: u8) {
        self.devices.retain(|(known, _)| *known != tag);
        self.devices.push_front((tag, Lane::default()));
        self.devices.truncate(5);
    }

    fn forgive(&mut self, known: bool, tag: Option<u8>, passed: Option<u8>) {
        match tag {
            Some(tag) if known => self.learn(tag),
            _ => self.stranger = Lane::default(),
        }
        if let Some(passed) = passed {
            self.learn(passed);
        }
        self.in_a_row = 0;
    }

    fn restart(&mut self, devices: VecDeque<(u8, Lane)>) {
        *self = Self { devices, lives: self.lives + 1, ..Self::default() };
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// One guess, judged at once.
    Guess {
        door: Door,
        tag: Option<u8>,
        right: bool,
        passed: Option<u8>,
    },
    /// One guess that the host judges later.
    Slow {
        door: Door,
        tag: Option<u8>,
        right: bool,
        passed: Option<u8>,
    },
    /// The host answers its oldest question.
    Answer,
    /// Wrong guesses in a row; each refusal is waited out.
    Siege {
        door: Door,
        tag: Option<u8>,
        guesses: u8,
    },
    /// A thief on a known device, and its owner who clears the streak after every fourth wrong guess.
    Thief {
        door: Door,
        tag: u8,
        rounds: u8,
    },
    Pass(u64),
    Jump(i64),
    Unlock(Door),
    Clear(Door),
}

fn door() -> impl Strategy<Value = Door> {
    prop_oneof![4 => Just(Door::Totp), 1 => Just(Door::Recovery)]
}

fn tag() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![1 => Just(None), 3 => (0..TAGS).prop_map(Some)]
}

fn op() -> impl Strategy<Value = Op> {
    let jumps = prop::sample::select(alloc::vec![-TEN_YEARS, -86_400, -3600, -1, 1, 3600, TEN_YEARS]);
    prop_oneof![
        12 => (door(), tag(), any::<bool>(), tag())
            .prop_map(|(door, tag, right, passed)| Op::Guess { door, tag, right, passed }),
        4 => (door(), tag(), any::<bool>(), tag())
            .prop_map(|(door, tag, right, passed)| Op::Slow { door, tag, right, passed }),
        4 => Just(Op::Answer),
        8 => (door(), tag(), 1..30_u8).prop_map(|(door, tag, guesses)| Op::Siege { door, tag, guesses }),
        3 => (door(), 0..TAGS, 1..30_u8).prop_map(|(door, tag, rounds)| Op::Thief { door, tag, rounds }),
        3 => (0..200_000_u64).prop_map(Op::Pass),
        3 => jumps.prop_map(Op::Jump),
        1 => prop_oneof![door().prop_map(Op::Unlock), door().prop_map(Op::Clear)],
    ]
}

fn strength(door: Door) -> Strength {
    if door == Door::Recovery { Strength::Unguessable } else { Strength::Guessable }
}

fn device(tag: u8) -> DeviceTag {
    DeviceTag::from_bytes([tag; 16])
}

struct Question {
    door: Door,
    charge: Charge,
    right: bool,
    known: bool,
    tag: Option<u8>,
    passed: Option<u8>,
    lives: u32,
}

struct History {
    policy: LedgerPolicy,
    ledger: GuessLedger,
    totp: Reference,
    recovery: Reference,
    now: u64,
    questions: VecDeque<Question>,
}

impl History {
    fn new() -> Self {
        Self {
            policy: LedgerPolicy::default(),
            ledger: GuessLedger::default(),
            totp: Reference::default(),
            recovery: Reference::default(),
            now: START,
            questions: VecDeque::new(),
        }
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds::new(self.now).unwrap()
    }

    fn reference(&mut self, door: Door) -> &mut Reference {
        if door == Door::Totp { &mut self.totp } else { &mut self.recovery }
    }

    /// Seconds until each lane of a door opens, `u64::MAX` for a lock; strangers last.
    fn remaining(&self, door: Door) -> Vec<u64> {
        let tags = (0..TAGS).map(|tag| Some(device(tag))).chain([None]);
        tags.map(|tag| match self.ledger.peek(&self.policy, door, strength(door), tag, self.now()) {
            None => 0,
            Some(refusal) if refusal.is_locked() => u64::MAX,
            Some(refusal) => refusal.retry_after(),
        })
        .collect()
    }

    /// Asks both; checks the answer, that a refusal writes nothing, and that it has its way out.
    fn admit(&mut self, door: Door, tag: Option<u8>) -> Result<super::Lane, u64> {
        let (policy, now, before) = (self.policy.clone(), self.now(), self.ledger.clone());
        let seconds = now.get();
        let expected = self.reference(door).ask(door, tag, seconds);
        let tagged = tag.map(device);
        let admission = self.ledger.admit(&policy, door, strength(door), tagged, now);
        let refusal = match admission {
            Admission::Open(lane) => {
                assert_eq!(expected, Verdict::Open { known: lane.is_known() });
                assert_eq!(self.ledger, before, "opening wrote something");
                return Ok(lane);
            }
            Admission::Refused(refusal) => refusal,
        };
        assert!(refusal.retry_after() >= 1);
        if refusal.is_locked() {
            assert_eq!(expected, Verdict::Locked);
            assert!(!refusal.changed());
            let mut unlocked = self.ledger.clone();
            assert!(unlocked.unlock(door), "a lock without a way out");
            assert_eq!(unlocked.peek(&policy, door, strength(door), tagged, now), None);
        } else {
            assert_eq!(expected, Verdict::Until(seconds + refusal.retry_after()));
            assert_eq!(refusal.changed(), self.reference(door).reanchor(tag, seconds));
            let at = |seconds| self.ledger.peek(&policy, door, strength(door), tagged, now.plus(seconds));
            assert!(at(refusal.retry_after() - 1).is_some(), "opens too early");
            assert_eq!(at(refusal.retry_after()), None, "does not open in time");
        }
        assert_eq!(refusal.changed(), self.ledger != before, "a refusal wrote, or hid that it did");
        let once = self.ledger.clone();
        match self.ledger.admit(&policy, door, strength(door), tagged, now) {
            Admission::Refused(again) => assert!(!again.changed() && again.retry_after() == refusal.retry_after()),
            Admission::Open(_) => panic!("a second knock opens"),
        }
        assert_eq!(self.ledger, once);
        Err(if refusal.is_locked() { 0 } else { refusal.retry_after() })
    }

    fn charge(&mut self, door: Door, lane: &super::Lane, tag: Option<u8>, right: bool) -> Charge {
        let (policy, now, before) = (self.policy.clone(), self.now(), self.remaining(door));
        let charge = self.ledger.charge(&policy, lane, now);
        let after = self.remaining(door);
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            let forgotten = charge.forgotten() && tag.map(usize::from) == Some(index);
            assert!(after >= before || forgotten, "a wrong guess shortened a wait");
        }
        let reference = self.reference(door);
        reference.charge(tag, now.get());
        if !right {
            reference.wrong += 1;
            reference.in_a_row += 1;
        }
        if door == Door::Totp {
            let days = (reference.highest - reference.first.unwrap()) / DAY;
            assert!(reference.wrong <= 100 + days, "{} wrong guesses in {days} days", reference.wrong);
            assert!(reference.in_a_row <= 100, "{} failures in a row", reference.in_a_row);
        }
        charge
    }

    /// A success moves no lane but its own, those it makes known and the one it pushes out.
    fn check_success(&mut self, door: Door, before: &[u64], devices: &VecDeque<(u8, Lane)>, known: bool) {
        let after = self.remaining(door);
        let still: Vec<u8> = self.reference(door).devices.iter().skip(2).map(|(tag, _)| *tag).collect();
        for tag in still.into_iter().filter(|tag| devices.iter().any(|(other, _)| other == tag)) {
            assert_eq!(before[usize::from(tag)], after[usize::from(tag)], "a success moved another device");
        }
        if known {
            assert_eq!(before.last(), after.last(), "a device's success moved the strangers");
        }
    }

    fn guess(&mut self, door: Door, tag: Option<u8>, right: bool, passed: Option<u8>) -> Result<(), u64> {
        let lane = self.admit(door, tag)?;
        if right {
            let (before, devices) = (self.remaining(door), self.reference(door).devices.clone());
            let changed = self.ledger.clone();
            let told = self.ledger.forgive(&self.policy.clone(), &lane, passed.map(device));
            assert_eq!(told, changed != self.ledger);
            self.reference(door).forgive(lane.is_known(), tag, passed);
            self.check_success(door, &before, &devices, lane.is_known());
        } else {
            self.charge(door, &lane, tag, false);
        }
        Ok(())
    }

    fn answer(&mut self) {
        let Some(question) = self.questions.pop_front() else { return };
        if !question.right {
            return;
        }
        let Question { door, charge, known, tag, passed, lives, .. } = question;
        self.ledger.give_back(&self.policy.clone(), &charge, passed.map(device));
        let reference = self.reference(door);
        if reference.lives == lives {
            reference.drops.pop_back();
        }
        reference.forgive(known, tag, passed);
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Guess { door, tag, right, passed } => {
                let _ = self.guess(door, tag, right, passed);
            }
            Op::Slow { door, tag, right, passed } => {
                if let Ok(lane) = self.admit(door, tag) {
                    let charge = self.charge(door, &lane, tag, right);
                    let lives = self.reference(door).lives;
                    let known = lane.is_known();
                    self.questions.push_back(Question { door, charge, right, known, tag, passed, lives });
                }
            }
            Op::Answer => self.answer(),
            Op::Siege { door, tag, guesses } => {
                for _ in 0..guesses {
                    if let Err(wait) = self.guess(door, tag, false, None) {
                        self.now += wait;
                    }
                }
            }
            Op::Thief { door, tag, rounds } => {
                for guess in 0..rounds * 5 {
                    let _ = self.guess(door, Some(tag), guess % 5 == 0, Some(tag));
                }
            }
            Op::Pass(seconds) => self.now += seconds,
            Op::Jump(seconds) => {
                let before = self.remaining(Door::Totp);
                self.now = self.now.saturating_add_signed(seconds);
                if seconds < 0 {
                    let longer = self.remaining(Door::Totp).iter().zip(&before).all(|(after, before)| after >= before);
                    assert!(longer, "a clock that went back shortened a wait");
                }
            }
            Op::Unlock(door) => {
                if self.ledger.unlock(door) {
                    let devices = self.reference(door).devices.iter().map(|(tag, _)| (*tag, Lane::default())).collect();
                    self.reference(door).restart(devices);
                }
                assert!(self.remaining(door).iter().all(|&seconds| seconds == 0));
                assert!(!self.ledger.unlock(door));
            }
            Op::Clear(door) => {
                let known = !self.reference(door).devices.is_empty();
                if self.ledger.clear(door) {
                    self.reference(door).restart(VecDeque::new());
                } else {
                    assert!(!known);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// NIST SP 800-63B-4 § 3.2.2 and `security.md` § 6: agrees with the reference everywhere, at most 100 failures in a row,
    /// at most 100 + 1 a day wrong guesses; a refusal writes nothing; every refusal has its way out; no wait shortens.
    #[test]
    fn nist_3_2_2_the_ledger_agrees_with_the_reference(ops in prop::collection::vec(op(), 1..150)) {
        let mut history = History::new();
        for op in ops {
            history.run(op);
        }
        let stored = postcard::to_allocvec(&history.ledger).unwrap();
        prop_assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), history.ledger);
    }

    /// Strangers, however many and whenever, hold up no known device.
    #[test]
    fn strangers_never_refuse_a_known_device(
        times in prop::collection::vec((0..100_000_u64, any::<bool>()), 1..300),
        fails in 0..5_u8,
    ) {
        let mut history = History::new();
        prop_assert_eq!(history.guess(Door::Totp, None, true, Some(1)), Ok(()));
        for _ in 0..fails {
            prop_assert_eq!(history.guess(Door::Totp, Some(1), false, None), Ok(()));
        }
        for (seconds, back) in times {
            if let Err(wait) = history.guess(Door::Totp, None, false, None) {
                history.now += wait;
            }
            history.now = if back { history.now - seconds } else { history.now + seconds };
            prop_assert!(history.admit(Door::Totp, Some(1)).is_ok());
        }
    }
}

#[test]
fn nist_3_2_2_at_most_100_consecutive_failures() {
    // Five devices and all strangers, every wait waited out, for ten years: exactly 100, then only locks.
    let mut history = History::new();
    for tag in 0..5 {
        history.guess(Door::Totp, None, true, Some(tag)).unwrap();
    }
    let end = START + TEN_YEARS.unsigned_abs();
    while history.now < end {
        let mut shortest = DAY;
        for tag in (0..5).map(Some).chain([None]) {
            while let Ok(lane) = history.admit(Door::Totp, tag) {
                history.charge(Door::Totp, &lane, tag, false);
            }
            if let Err(wait) = history.admit(Door::Totp, tag)
                && wait > 0
            {
                shortest = shortest.min(wait);
            }
        }
        history.now += shortest;
    }
    assert_eq!(history.totp.in_a_row, 100);
    assert_eq!(history.remaining(Door::Totp), [u64::MAX; 8]);
}

#[test]
fn nist_3_2_2_an_owner_who_succeeds_daily_gives_465_in_the_first_year() {
    // The worst case: a thief on the owner's own device, and an owner who clears its streak again and again.
    let mut history = History::new();
    history.guess(Door::Totp, None, true, Some(1)).unwrap();
    while history.now <= START + 365 * DAY {
        match history.admit(Door::Totp, Some(1)) {
            Ok(lane) => {
                history.charge(Door::Totp, &lane, Some(1), false);
                if history.totp.in_a_row == 4 {
                    // The owner, when the load lets her in.
                    let _ = history.guess(Door::Totp, Some(1), true, Some(1));
                }
            }
            Err(wait) => history.now += wait,
        }
        if history.admit(Door::Totp, Some(1)).is_ok() && history.totp.in_a_row > 0 {
            history.guess(Door::Totp, Some(1), true, Some(1)).unwrap();
        }
    }
    assert_eq!(history.totp.wrong, 465);
    assert_eq!(LedgerPolicy::default().guesses_in_first_year(), 465);
}
