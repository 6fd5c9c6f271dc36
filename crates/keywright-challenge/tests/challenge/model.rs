//! Random histories against a model of three lines: the present secret, the guess ledger, the epoch.

use keywright_challenge::{Caller, ChallengePolicy, Setting, Verification};
use keywright_core::{Admission, Charge, DeviceTag, Door, GuessLedger, Refusal, Strength, UnixSeconds};
use keywright_store::{Slot, guess};
use proptest::prelude::*;

use crate::site::{START, Site, proof, salts, secret, tag};

#[derive(Debug, Clone)]
enum Op {
    Set(u8),
    Verify(u8, Option<u8>),
    Replace { old: u8, new: u8, who: Option<u8>, renamed: bool },
    Clock { seconds: u64, back: bool },
    Unlock,
}

fn op() -> impl Strategy<Value = Op> {
    let secret = 0..3_u8;
    let who = prop::option::of(0..3_u8);
    let jump = prop::sample::select(vec![1, 29, 30, 60, 3_600, 86_400, 315_360_000]);
    prop_oneof![
        1 => secret.clone().prop_map(Op::Set),
        8 => (secret.clone(), who.clone()).prop_map(|(secret, who)| Op::Verify(secret, who)),
        2 => (secret.clone(), secret, who, any::<bool>())
            .prop_map(|(old, new, who, renamed)| Op::Replace { old, new, who, renamed }),
        3 => (jump, prop::bool::weighted(0.2)).prop_map(|(seconds, back)| Op::Clock { seconds, back }),
        1 => Just(Op::Unlock),
    ]
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Granted,
    Denied(Charge),
    Refused(Refusal),
    NoChallenge,
}

struct Model {
    policy: ChallengePolicy,
    now: UnixSeconds,
    /// The present secret and the user key that was released for it.
    current: Option<(u8, [u8; 32])>,
    ledger: GuessLedger,
    epoch: u64,
}

impl Model {
    fn judge(&mut self, guess: u8, who: Option<DeviceTag>, passes_as: Option<DeviceTag>) -> Verdict {
        let Some((right, _)) = self.current else { return Verdict::NoChallenge };
        let policy = &self.policy.ledger;
        match self.ledger.admit(policy, Door::Challenge, Strength::Guessable, who, self.now) {
            Admission::Refused(refusal) => Verdict::Refused(refusal),
            Admission::Open(lane) if guess == right => {
                self.ledger.forgive(policy, &lane, passes_as);
                Verdict::Granted
            }
            Admission::Open(lane) => Verdict::Denied(self.ledger.charge(policy, &lane, self.now)),
        }
    }

    fn replaced(&mut self, new: u8, key: [u8; 32]) {
        assert!(self.current.is_none_or(|(_, old)| old != key), "the user key changes");
        self.current = Some((new, key));
        self.epoch = self.epoch.saturating_add(1);
    }
}

fn verdict<K>(outcome: Verification<K>) -> (Verdict, Option<K>) {
    match outcome {
        Verification::Granted(key) => (Verdict::Granted, Some(key)),
        Verification::Denied(charge) => (Verdict::Denied(charge), None),
        Verification::Refused(refusal) => (Verdict::Refused(refusal), None),
        Verification::NoChallenge => (Verdict::NoChallenge, None),
        other => panic!("{}", std::any::type_name_of_val(&other)),
    }
}

async fn apply(site: &Site, model: &mut Model, op: Op) {
    let challenges = site.challenges();
    match op {
        Op::Set(new) => match challenges.set(&site.account, &secret(new), &salts(new)).await.unwrap() {
            Setting::Set(key) => {
                assert!(model.current.is_none(), "set over a challenge");
                model.replaced(new, *key.expose());
            }
            _ => assert!(model.current.is_some()),
        },
        Op::Verify(guess, who) => {
            let who = who.map(tag);
            let caller = who.map_or(Caller::stranger(), Caller::with_tag);
            let outcome = challenges.verify(&site.account, &proof(guess), &caller).await.unwrap();
            let (verdict, key) = verdict(outcome);
            assert_eq!(verdict, model.judge(guess, who, who));
            assert_eq!(
                key.map(|key| *key.expose()),
                model.current.map(|(_, key)| key).filter(|_| verdict == Verdict::Granted)
            );
        }
        Op::Replace { old, new, who, renamed } => {
            let mut caller = who.map_or(Caller::stranger(), |who| Caller::with_tag(tag(who)));
            let mut next = who.map(tag);
            if renamed {
                // Among the names in use, so that the ledger's order of devices matters.
                next = Some(tag(who.unwrap_or(0) ^ 1));
                caller = caller.passing_in_next_epoch(next.unwrap());
            }
            let replaced = challenges.replace(&site.account, &proof(old), &secret(new), &salts(new), &caller).await;
            let (verdict, keys) = verdict(replaced.unwrap());
            assert_eq!(verdict, model.judge(old, who.map(tag), next));
            if let Some(keys) = keys {
                assert_eq!(Some(*keys.old.expose()), model.current.map(|(_, key)| key));
                model.replaced(new, *keys.new.expose());
            }
        }
        Op::Clock { seconds, back } => {
            model.now = if back { model.now.minus(seconds) } else { model.now.plus(seconds) };
            site.clock.set(model.now);
        }
        Op::Unlock => {
            let step = |draft: &mut keywright_store::Draft<'_>| guess::unlock(draft, Door::Challenge);
            let lifted = site.driver.transact(&site.partition(), &[Slot::Ledger], step).await.unwrap().0;
            assert_eq!(lifted, model.ledger.unlock(Door::Challenge));
        }
    }
}

/// Granted if and only if right and admitted; an old secret never again; the ledger, the salts and the epoch are what
/// the model says after every step.
async fn history(ops: Vec<Op>) {
    let site = Site::memory().await;
    let mut model = Model {
        policy: ChallengePolicy::default(),
        now: UnixSeconds::new(START).unwrap(),
        current: None,
        ledger: GuessLedger::default(),
        epoch: 1,
    };
    for op in ops {
        apply(&site, &mut model, op).await;
        assert_eq!(site.ledger().await, model.ledger);
        assert_eq!(site.credential_epoch().await, model.epoch);
        let solves = site.challenges().get(&site.account).await.unwrap();
        assert_eq!(solves, model.current.map(|(n, _)| salts(n)));
    }
}

proptest! {
    #[test]
    fn any_history_is_the_models(ops in prop::collection::vec(op(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(history(ops));
    }
}
