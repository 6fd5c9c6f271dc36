//! Random histories against a few plain invariants:
//! - a code or a wait is granted at most once, only for what it was requested for, in its time and
//!   its epochs;
//! - never before the earliest time, and never at or after the latest;
//! - a correct code that nothing has invalidated is granted (so the service does not simply deny);
//! - a refusal to mail lasts at least as long as reported;
//! - requesting again resets nothing: at most five wrong mailed guesses are checked between a
//!   confirmation's first mail and the end of its last code, at most ten mails are sent in a day,
//!   three of them for requests without login;
//! - a mail that is sent again prolongs nothing.

use keywright_core::SessionId;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::support::{DELETE, Delete, Epoch, Export, Mailed, Outcome, START, World, wrong};

/// What is requested or attempted: one of two actions, two targets, two parameters, two sessions.
type Which = (bool, bool, bool, bool);

/// An action and a session: where at most one confirmation is pending.
type Where = (bool, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Newest,
    Older(u8),
    Wrong,
    Garbage,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    BeginCode(Which),
    BeginMailed(Which),
    Resend(Where),
    Code(Which, Guess),
    Mailed(Which, Guess),
    Wait(Which),
    Clock(i64),
    Credential,
    Factor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Typed,
    Mailed,
}

#[derive(Debug)]
struct Issued {
    style: Style,
    which: Which,
    text: String,
    at: u64,
    until: u64,
    epochs: (u64, u64),
    granted: bool,
    /// Requested again, in any style.
    replaced: bool,
    wrong: u8,
    /// The clock has gone back since: it may or may not be void.
    unsure: bool,
}

#[derive(Debug)]
struct Pause {
    which: Which,
    earliest: u64,
    at: u64,
    epochs: (u64, u64),
    unsure: bool,
}

#[derive(Default)]
struct Model {
    epochs: (u64, u64),
    issued: Vec<Issued>,
    pauses: BTreeMap<Where, Pause>,
    /// There was no mail before.
    held: BTreeMap<Where, u64>,
    mails: Vec<u64>,
    /// The mails for requests without login.
    resends: Vec<u64>,
    /// The wrong mailed guesses since the confirmation began, and when its last code ends.
    tries: BTreeMap<Where, (u8, u64)>,
    /// The clock went back once: from then on, `tries` is a lower bound.
    went_back: bool,
}

const fn place(which: Which) -> Where {
    (which.0, which.3)
}

fn action(which: Which) -> Delete {
    Delete {
        target: if which.1 { "vault-8" } else { DELETE.target },
        parameters: if which.2 { "some" } else { DELETE.parameters },
    }
}

const fn session(which: Which) -> &'static [u8] {
    if which.3 { b"session-2" } else { b"session-1" }
}

/// The same call for either action.
macro_rules! for_action {
    ($which:expr, |$action:ident| $call:expr) => {
        if $which.0 {
            let $action = Export(action($which));
            $call
        } else {
            let $action = action($which);
            $call
        }
    };
}

impl Model {
    fn replace(&mut self, at: Where) {
        self.issued.iter_mut().filter(|issued| place(issued.which) == at).for_each(|issued| issued.replaced = true);
        self.pauses.remove(&at);
    }

    fn issue(&mut self, style: Style, which: Which, text: String, now: u64) {
        let epochs = self.epochs;
        self.issued.push(Issued {
            style,
            which,
            text,
            at: now,
            until: now + 600,
            epochs,
            granted: false,
            replaced: false,
            wrong: 0,
            unsure: false,
        });
    }

    fn text(&self, style: Style, which: Which, guess: Guess) -> String {
        let mut mine =
            self.issued.iter().rev().filter(|issued| issued.style == style && place(issued.which) == place(which));
        let newest = mine.next().map(|issued| issued.text.clone());
        let chosen = match guess {
            Guess::Newest => newest,
            Guess::Older(back) => self.issued.iter().rev().nth(usize::from(back)).map(|issued| issued.text.clone()),
            Guess::Wrong => newest.map(|code| wrong(&code)),
            Guess::Garbage => None,
        };
        chosen.unwrap_or_else(|| if style == Style::Typed { "AAAA-AAAA-AAAA-AAAA".into() } else { "12 456".into() })
    }

    /// What a guess may lead to: (it may be granted, it must be granted).
    fn expect(&mut self, style: Style, which: Which, text: &str, now: u64) -> (bool, bool) {
        let epochs = self.epochs;
        let good = |issued: &&mut Issued| {
            issued.style == style
                && issued.which == which
                && issued.text == text
                && issued.epochs == epochs
                && !issued.granted
                && !issued.replaced
                && (style == Style::Mailed || issued.wrong < 5)
                && (issued.at..issued.until).contains(&now)
        };
        match self.issued.iter_mut().rev().find(good) {
            Some(issued) => (true, !issued.unsure),
            None => (false, false),
        }
    }

    /// Records a guess.
    fn book(&mut self, style: Style, which: Which, text: &str, now: u64, found: Outcome) {
        let (may, must) = self.expect(style, which, text, now);
        let at = place(which);
        match found {
            Outcome::Granted => {
                assert!(may, "granted: {style:?} {which:?} at {now}, {:?}", self.issued);
                let of = |issued: &&mut Issued| issued.text == text && issued.which == which && !issued.replaced;
                self.issued.iter_mut().rev().find(of).expect("it was found").granted = true;
                if style == Style::Mailed {
                    self.tries.remove(&at);
                    self.held.remove(&at);
                }
            }
            Outcome::Charged(_, last) => {
                assert!(!must, "a right mailed code was called wrong");
                let (tries, until) = self.tries.get(&at).copied().unwrap_or_default();
                let tries = if now < until { tries } else { 0 };
                assert!(self.went_back || now < until, "a code that has expired was compared");
                assert!(tries < 5, "a sixth wrong guess was looked at");
                assert!(last || tries < 4, "the fifth was not the last");
                assert!(self.went_back || !last || tries == 4, "fewer than five tries");
                self.tries.insert(at, (tries + 1, until));
            }
            Outcome::Denied | Outcome::Last => {
                let dead = style == Style::Mailed
                    && (self.went_back || self.tries.get(&at).is_some_and(|(tries, _)| *tries >= 5));
                assert!(!must || dead, "a right code was denied: {style:?} {which:?} at {now}");
                let of = |issued: &&mut Issued| issued.style == style && place(issued.which) == at && !issued.replaced;
                if let Some(issued) = self.issued.iter_mut().rev().find(of) {
                    issued.wrong += 1;
                }
            }
            Outcome::Refused(seconds) => assert!(style == Style::Mailed && seconds > 0),
        }
    }

    fn mailed(&mut self, which: Which, text: String, now: u64, until: u64) {
        let at = place(which);
        assert!(self.held.get(&at).is_none_or(|until| now >= *until), "a mail went out before its time");
        self.mails.retain(|sent| now - sent < 86_400);
        self.mails.push(now);
        assert!(self.mails.len() <= 10, "more than ten mails a day");
        self.held.insert(at, now + 60);
        let (tries, end) = self.tries.get(&at).copied().unwrap_or_default();
        let tries = if now < end { tries } else { 0 };
        assert!(tries < 5, "a dead confirmation was mailed again");
        self.tries.insert(at, (tries, until));
        self.issue(Style::Mailed, which, text, now);
        self.issued.last_mut().unwrap().until = until;
    }

    fn wait(&mut self, which: Which, outcome: Option<(u64, u64)>, now: u64) {
        let at = place(which);
        let epochs = self.epochs;
        let pause = self.pauses.remove(&at);
        let in_time = |pause: &Pause| {
            pause.which == which
                && pause.epochs == epochs
                && pause.at <= now
                && (pause.earliest..pause.earliest + 60).contains(&now)
        };
        let may = pause.as_ref().is_some_and(in_time);
        let must = may && pause.as_ref().is_some_and(|pause| !pause.unsure);
        match outcome {
            None => assert!(may, "granted at {now}: {pause:?}"),
            Some((seconds, earliest)) => {
                assert!(!must, "not granted at {now}: {pause:?}");
                assert!((5..=10).contains(&seconds));
                assert_eq!(earliest, now + seconds);
                self.replace(at);
                self.pauses.insert(at, Pause { which, earliest, at: now, epochs, unsure: false });
            }
        }
    }

    /// After the clock went back, times in the future are not known exactly, but no lock is shorter
    /// than it was.
    fn went_back(&mut self, before: u64, now: u64) {
        self.issued.iter_mut().for_each(|issued| issued.unsure = true);
        self.pauses.values_mut().for_each(|pause| pause.unsure = true);
        self.held.values_mut().for_each(|until| *until = now + until.saturating_sub(before));
        self.tries.values_mut().for_each(|(_, until)| *until = now + until.saturating_sub(before));
        self.went_back = true;
        self.mails.iter_mut().chain(&mut self.resends).for_each(|sent| *sent = now.min(*sent));
    }
}

async fn play(seed: u64, steps: Vec<Step>) {
    let world = World::with(keywright_confirm::ConfirmPolicy::default(), seed).await;
    let mut model = Model::default();
    for step in steps {
        let now = world.now();
        match step {
            Step::BeginCode(which) => {
                let text = for_action!(which, |action| world.begin_code(&action, SessionId::new(session(which))).await);
                model.replace(place(which));
                model.issue(Style::Typed, which, text, now);
            }
            Step::BeginMailed(which) => {
                let mailed =
                    for_action!(which, |action| world.begin_mailed(&action, SessionId::new(session(which))).await);
                match mailed {
                    Mailed::Sent(text) => {
                        model.replace(place(which));
                        model.mailed(which, text, now, now + 600);
                    }
                    Mailed::NotYet(seconds) | Mailed::Exhausted(seconds) => {
                        assert!(seconds > 0);
                        let until = model.held.entry(place(which)).or_default();
                        *until = (*until).max(now + seconds);
                    }
                }
            }
            Step::Resend(at) => {
                let which = (at.0, false, false, at.1);
                let (service, account) = (&world.confirmations, &world.account);
                let sent = if at.0 {
                    service.resend::<Export>(account, Some(SessionId::new(session(which)))).await
                } else {
                    service.resend::<Delete>(account, Some(SessionId::new(session(which)))).await
                };
                if let Some(code) = sent.unwrap() {
                    let live = |issued: &&Issued| issued.style == Style::Mailed && place(issued.which) == at;
                    let old = model.issued.iter().rev().find(live).expect("only what was asked for");
                    assert!(!old.replaced && !old.granted && old.epochs == model.epochs);
                    let (which, unsure, until) = (old.which, old.unsure, old.until);
                    assert_eq!(code.expires().get(), until, "a resend prolongs nothing");
                    model.resends.retain(|sent| now - sent < 86_400);
                    model.resends.push(now);
                    assert!(model.resends.len() <= 3, "requests without login used up the owner's mails");
                    model.replace(at);
                    model.mailed(which, code.expose().to_owned(), now, until);
                    model.issued.last_mut().unwrap().unsure = unsure;
                }
            }
            Step::Code(which, guess) => {
                let text = model.text(Style::Typed, which, guess);
                let found =
                    for_action!(which, |action| world.code(action, SessionId::new(session(which)), &text).await);
                model.book(Style::Typed, which, &text, now, found);
            }
            Step::Mailed(which, guess) => {
                let text = model.text(Style::Mailed, which, guess);
                let found =
                    for_action!(which, |action| world.mailed(action, SessionId::new(session(which)), &text).await);
                model.book(Style::Mailed, which, &text, now, found);
            }
            Step::Wait(which) => {
                let outcome = for_action!(which, |action| world.wait(action, SessionId::new(session(which))).await);
                model.wait(which, outcome, now);
            }
            Step::Clock(seconds) => {
                let next = now.saturating_add_signed(seconds);
                world.set(next);
                if next < now {
                    model.went_back(now, next);
                }
            }
            Step::Credential => {
                world.move_epoch(Epoch::Credential).await;
                model.epochs.0 += 1;
            }
            Step::Factor => {
                world.move_epoch(Epoch::Factor).await;
                model.epochs.1 += 1;
            }
        }
    }
}

/// Mostly the plain case, so that histories make progress.
fn which() -> impl Strategy<Value = Which> {
    let rarely = || prop::bool::weighted(0.15);
    (rarely(), rarely(), rarely(), rarely())
}

fn guess() -> impl Strategy<Value = Guess> {
    prop_oneof![
        4 => Just(Guess::Newest),
        1 => (0..6_u8).prop_map(Guess::Older),
        3 => Just(Guess::Wrong),
        1 => Just(Guess::Garbage),
    ]
}

/// Seconds; then the jumps of ±1 s, ±1 h, ±10 years.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 1..12_i64,
        3 => 12..90_i64,
        1 => prop::sample::select(vec![599, 600, 601]),
        2 => prop::sample::select(vec![1, -1, 3_600, -3_600, 86_400, 315_576_000, -315_576_000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => which().prop_map(Step::BeginCode),
        3 => which().prop_map(Step::BeginMailed),
        1 => any::<Where>().prop_map(Step::Resend),
        4 => (which(), guess()).prop_map(|(which, guess)| Step::Code(which, guess)),
        5 => (which(), guess()).prop_map(|(which, guess)| Step::Mailed(which, guess)),
        3 => which().prop_map(Step::Wait),
        5 => clock().prop_map(Step::Clock),
        1 => prop::sample::select(vec![Step::Credential, Step::Factor]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_promises(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..80)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(play(seed, steps));
    }
}

/// The clock is at both ends of time: nothing overflows, and nothing is granted that must not be.
#[tokio::test]
async fn both_ends_of_time() {
    for end in [0, keywright_core::UnixSeconds::MAX.get()] {
        let world = World::new().await;
        world.set(end);
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        world.code(DELETE, SessionId::new("s"), &code).await;
        world.wait(DELETE, SessionId::new("w")).await;
        world.wait(DELETE, SessionId::new("w")).await;
        let code = world.begin_mailed(&DELETE, SessionId::new("m")).await.sent();
        world.mailed(DELETE, SessionId::new("m"), &wrong(&code)).await;
        world.set(START);
        assert_ne!(world.mailed(DELETE, SessionId::new("m"), &code).await, Outcome::Granted);
    }
}
