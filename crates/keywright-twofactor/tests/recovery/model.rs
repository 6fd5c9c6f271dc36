//! Random histories against a small model: two lists of codes, the guess ledger, the epoch.

use std::collections::BTreeSet;

use keywright_core::{Admission, Attempt, Generation, GuessLedger, LedgerPolicy, SessionId, UnixSeconds};
use keywright_twofactor::policy::PENDING_SECONDS;
use keywright_twofactor::recovery::{Liveness, Preset};
use keywright_twofactor::{CodeKind, RECOVERY};
use proptest::prelude::*;

use crate::world::{Outcome, SESSION, START, World, at, client, foreign, steps};

#[derive(Debug, Clone)]
enum Op {
    Make(Preset, Liveness),
    Acknowledge,
    Import(Preset, usize),
    Remove,
    /// A code of any set ever made, by its index.
    Known(prop::sample::Index, Option<u8>),
    Foreign(Preset, usize, Option<u8>),
    Malformed,
    Clock {
        seconds: u64,
        back: bool,
    },
    Unlock,
}

fn preset() -> impl Strategy<Value = Preset> {
    prop::sample::select(vec![Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass])
}

fn op() -> impl Strategy<Value = Op> {
    let who = prop::option::of(0..3_u8);
    let jump = prop::sample::select(vec![1, 29, 30, 60, 3_600, 86_400, 315_360_000]);
    let liveness =
        prop::sample::select(vec![Liveness::Now, Liveness::OnAcknowledgement { session: SessionId::new(SESSION) }]);
    prop_oneof![
        2 => (preset(), liveness).prop_map(|(preset, liveness)| Op::Make(preset, liveness)),
        2 => Just(Op::Acknowledge),
        1 => (preset(), 1..5_usize).prop_map(|(preset, count)| Op::Import(preset, count)),
        1 => Just(Op::Remove),
        12 => (any::<prop::sample::Index>(), who.clone()).prop_map(|(code, who)| Op::Known(code, who)),
        6 => (preset(), 900..1_000_usize, who).prop_map(|(preset, nth, who)| Op::Foreign(preset, nth, who)),
        1 => Just(Op::Malformed),
        3 => (jump, prop::bool::weighted(0.2)).prop_map(|(seconds, back)| Op::Clock { seconds, back }),
        1 => Just(Op::Unlock),
    ]
}

struct Set {
    preset: Preset,
    codes: Vec<String>,
    used: BTreeSet<String>,
    made: UnixSeconds,
}

struct Model {
    now: UnixSeconds,
    live: Option<Set>,
    pending: Option<Set>,
    /// All codes that were ever made.
    known: Vec<String>,
    /// All codes that were granted, with how often their set had become live before.
    granted: BTreeSet<(String, u64)>,
    ledger: GuessLedger,
    /// The generation of the live set, counted by the model.
    generation: u64,
    epoch: u64,
}

impl Model {
    fn take(&mut self, preset: Preset, codes: Vec<String>) -> Set {
        self.known.extend(codes.iter().cloned());
        Set { preset, codes, used: BTreeSet::new(), made: self.now }
    }

    /// The codes at which guesses were made are gone.
    fn renew(&mut self) {
        let [from, to] = [self.generation, self.generation + 1].map(Generation::from_u64);
        self.ledger.renew(&LedgerPolicy::default(), RECOVERY, from, to, &[], self.now);
        self.generation += 1;
    }

    fn go_live(&mut self, set: Set) {
        self.renew();
        self.live = Some(set);
        self.pending = None;
        self.epoch = self.epoch.wrapping_add(1);
    }

    fn judge(&mut self, code: &str, who: Option<u8>) -> Outcome {
        let policy = LedgerPolicy::default();
        let Some(live) = &mut self.live else { return Outcome::NotEnrolled };
        if !live.preset.is_form_of(code) {
            return Outcome::Malformed;
        }
        let secret = RECOVERY.with_strength(live.preset.strength());
        let attempt = Attempt::new(secret, Generation::from_u64(self.generation), client(who));
        match self.ledger.admit(&policy, &attempt, self.now) {
            Admission::Refused(refusal) => Outcome::Refused(refusal),
            Admission::Open(_) if live.used.contains(code) => {
                let _ = self.ledger.report_denial(secret, keywright_core::DenialKind::Replayed, self.now);
                Outcome::Denied
            }
            Admission::Open(admitted) if live.codes.iter().any(|other| other == code) => {
                self.ledger.forgive(&policy, &admitted, self.now);
                live.used.insert(code.to_owned());
                assert!(self.granted.insert((code.to_owned(), self.epoch)), "granted twice");
                Outcome::Granted
            }
            Admission::Open(admitted) => {
                let charge = self.ledger.charge(&policy, &admitted, self.now);
                let _ = self.ledger.report_denial(secret, keywright_core::DenialKind::Wrong, self.now);
                Outcome::Charged(charge.streak())
            }
        }
    }

    /// The operator's unlock.
    fn unlock(&mut self) -> bool {
        let Some(live) = &self.live else { return false };
        let secret = RECOVERY.with_strength(live.preset.strength());
        let generation = Generation::from_u64(self.generation);
        self.ledger.unlock(&LedgerPolicy::default(), secret, generation, self.now)
    }
}

async fn apply(world: &World, model: &mut Model, op: Op) {
    match op {
        Op::Make(preset, liveness) => {
            let codes = world.make(preset, liveness).await;
            assert!(codes.iter().all(|code| !model.known.contains(code)), "a code came twice");
            let set = model.take(preset, codes);
            match liveness {
                Liveness::Now => model.go_live(set),
                Liveness::OnAcknowledgement { .. } => model.pending = Some(set),
            }
        }
        Op::Acknowledge => {
            // In this model a change of the factor epoch drops the pending set, because there is no
            // other factor.
            let holds = model
                .pending
                .as_ref()
                .is_some_and(|pending| pending.made <= model.now && model.now < pending.made.plus(PENDING_SECONDS));
            assert_eq!(world.acknowledge().await, holds);
            if holds && let Some(set) = model.pending.take() {
                model.go_live(set);
            }
        }
        Op::Import(preset, count) => {
            let codes: Vec<String> = (0..count).map(|nth| foreign(preset, 100 + nth)).collect();
            let borrowed: Vec<&str> = codes.iter().map(String::as_str).collect();
            world.import(preset, &borrowed).await.unwrap();
            let set = model.take(preset, codes);
            model.go_live(set);
        }
        Op::Remove => {
            let any = model.live.is_some() || model.pending.is_some();
            assert_eq!(world.remove().await, any);
            if model.live.is_some() {
                model.renew();
            }
            (model.live, model.pending) = (None, None);
            model.epoch = model.epoch.wrapping_add(u64::from(any));
        }
        Op::Known(at, who) => {
            if !model.known.is_empty() {
                let shown = at.get(&model.known).clone();
                // The model knows a code as it was shown.
                let bare = shown.replace('-', "");
                let typed = if model.now.get() & 1 == 0 { &shown } else { &bare };
                assert_eq!(world.verify_as(typed, client(who)).await, model.judge(&shown, who));
            }
        }
        Op::Foreign(preset, nth, who) => {
            let code = foreign(preset, nth);
            assert_eq!(world.verify_as(&code, client(who)).await, model.judge(&code, who));
        }
        Op::Malformed => {
            let outcome = if model.live.is_some() { Outcome::Malformed } else { Outcome::NotEnrolled };
            assert_eq!(world.verify("123456").await, outcome);
        }
        Op::Clock { seconds, back } => {
            model.now = if back { model.now.minus(seconds) } else { model.now.plus(seconds) };
            world.clock.set(model.now);
        }
        Op::Unlock => {
            let steps = steps(Preset::Default);
            let lifted = world.run(|draft| steps.unlock_in(draft, CodeKind::Recovery)).await.unwrap();
            assert_eq!(lifted, model.unlock());
        }
    }
}

/// A code is granted if and only if it is live, correct, unused and admitted. The verdicts, waits,
/// counts and epoch are those of the model after every step.
async fn history(ops: Vec<Op>) {
    let world = World::new().await;
    let mut model = Model {
        now: at(START),
        live: None,
        pending: None,
        known: Vec::new(),
        granted: BTreeSet::new(),
        ledger: GuessLedger::default(),
        generation: 0,
        epoch: world.root().await.factor_epoch,
    };
    for op in ops {
        apply(&world, &mut model, op).await;
        let remaining = model.live.as_ref().map(|live| live.codes.len() - live.used.len());
        assert_eq!(world.remaining().await.map(usize::from), remaining);
        assert_eq!(world.root().await.factor_epoch, model.epoch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_history_is_the_models(ops in prop::collection::vec(op(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(history(ops));
    }
}
