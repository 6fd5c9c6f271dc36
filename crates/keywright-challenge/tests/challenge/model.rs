//! Random histories against a small model: the present secret, its generation, the guess ledger,
//! the epoch. At the end of each, every reported wait ends when it was reported to end
//! (`docs/security.md` § 12).

use keywright_challenge::{CHALLENGE_SECRET, ChallengeSteps, SLOTS, SetOutcome, Verification};
use keywright_core::{
    Admission, Attempt, Charge, Client, ClientAdmission, ClientTag, DenialKind, Generation, GuessLedger, LedgerPolicy,
    Refusal, UnixSeconds,
};
use keywright_store::Draft;
use proptest::prelude::*;

use crate::world::{START, UNKNOWN, World, proof, salts, secret, tag, token};

#[derive(Debug, Clone)]
enum Op {
    Set(u8, Who),
    Verify(u8, Who),
    Replace { old: u8, new: u8, who: Who },
    Clock { seconds: u64, back: bool },
    Admit { guess: u8, by: Who, name: u8 },
    AdmitByMail([u8; 16], u8),
    Unlock,
    Erase,
}

/// A credential, and whether the network is named too.
type Who = (Option<u8>, bool);

fn client((credential, network): Who) -> Client {
    let client = credential.map_or(UNKNOWN, token);
    if network { client.on_network(tag(200)) } else { client }
}

fn op() -> impl Strategy<Value = Op> {
    let secret = || 0..3_u8;
    let who = || (prop::option::of(0..3_u8), prop::bool::weighted(0.3));
    let jump = prop::sample::select(vec![1, 29, 30, 60, 3_600, 86_400, 315_360_000]);
    prop_oneof![
        2 => (secret(), who()).prop_map(|(secret, who)| Op::Set(secret, who)),
        16 => (secret(), who()).prop_map(|(secret, who)| Op::Verify(secret, who)),
        4 => (secret(), secret(), who()).prop_map(|(old, new, who)| Op::Replace { old, new, who }),
        6 => (jump, prop::bool::weighted(0.2)).prop_map(|(seconds, back)| Op::Clock { seconds, back }),
        2 => (secret(), who(), 0..4_u8).prop_map(|(guess, by, name)| Op::Admit { guess, by, name }),
        1 => (any::<[u8; 16]>(), 0..4_u8).prop_map(|(ticket, name)| Op::AdmitByMail(ticket, name)),
        1 => Just(Op::Unlock),
        1 => Just(Op::Erase),
    ]
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Granted,
    Denied(Charge),
    Refused(Refusal),
    NoChallenge,
}

struct Current {
    secret: u8,
    /// The user key that was released for it.
    key: [u8; 32],
    generation: Generation,
}

struct Model {
    policy: LedgerPolicy,
    now: UnixSeconds,
    current: Option<Current>,
    ledger: GuessLedger,
    epochs_moved: u64,
}

impl Model {
    fn judge(&mut self, guess: u8, client: Client) -> Verdict {
        let Some(current) = &self.current else { return Verdict::NoChallenge };
        let attempt = Attempt::new(CHALLENGE_SECRET, current.generation, client);
        match self.ledger.admit(&self.policy, &attempt, self.now) {
            Admission::Refused(refusal) => Verdict::Refused(refusal),
            Admission::Open(lane) if guess == current.secret => {
                self.ledger.forgive(&self.policy, &lane, self.now);
                drop(self.ledger.take_unreported(self.now));
                Verdict::Granted
            }
            Admission::Open(lane) => {
                let charge = self.ledger.charge(&self.policy, &lane, self.now);
                let _ = self.ledger.report_denial(CHALLENGE_SECRET, DenialKind::Wrong, self.now);
                drop(self.ledger.take_unreported(self.now));
                Verdict::Denied(charge)
            }
        }
    }

    /// `generation` is the one that the service has drawn.
    fn changed(&mut self, new: u8, key: [u8; 32], generation: Generation, by: Client) {
        let from = self.current.as_ref().map_or(Generation::HOST, |old| old.generation);
        assert!(self.current.as_ref().is_none_or(|old| old.key != key), "the user key changes");
        assert_ne!(from, generation, "the generation changes");
        let tags: Vec<ClientTag> = by.tag().into_iter().chain(by.network_tag()).collect();
        self.ledger.renew(&self.policy, CHALLENGE_SECRET, from, generation, &tags, self.now);
        self.current = Some(Current { secret: new, key, generation });
        self.epochs_moved = self.epochs_moved.wrapping_add(1);
    }
}

fn verdict<K>(outcome: Verification<K>) -> (Verdict, Option<K>) {
    match outcome {
        Verification::Granted(key) => (Verdict::Granted, Some(key)),
        Verification::Denied(charge) => (Verdict::Denied(charge), None),
        Verification::Refused(refusal) => (Verdict::Refused(refusal), None),
        Verification::NoChallenge => (Verdict::NoChallenge, None),
    }
}

async fn generation(world: &World) -> Generation {
    let look = |draft: &mut Draft<'_>| ChallengeSteps::new().attempt_in(draft, UNKNOWN);
    world.driver.observe(&world.partition(), SLOTS, look).await.unwrap().expect("there is a challenge").generation
}

async fn apply(world: &World, model: &mut Model, op: Op) {
    let challenges = world.challenges();
    match op {
        Op::Set(new, who) => {
            match challenges.set(&world.account, &secret(new), &salts(new), client(who)).await.unwrap() {
                SetOutcome::Set(key) => {
                    assert!(model.current.is_none(), "set over a challenge");
                    model.changed(new, *key.expose(), generation(world).await, client(who));
                }
                SetOutcome::Exists => assert!(model.current.is_some()),
            }
        }
        Op::Verify(guess, who) => {
            let outcome = challenges.verify(&world.account, &proof(guess), client(who)).await.unwrap();
            let (verdict, key) = verdict(outcome);
            assert_eq!(verdict, model.judge(guess, client(who)));
            let expected = model.current.as_ref().map(|current| current.key);
            assert_eq!(key.map(|key| *key.expose()), expected.filter(|_| verdict == Verdict::Granted));
        }
        Op::Replace { old, new, who } => {
            let replaced =
                challenges.replace(&world.account, &proof(old), &secret(new), &salts(new), client(who)).await;
            let (verdict, keys) = verdict(replaced.unwrap());
            assert_eq!(verdict, model.judge(old, client(who)));
            if let Some(keys) = keys {
                assert_eq!(Some(*keys.old.expose()), model.current.as_ref().map(|current| current.key));
                model.changed(new, *keys.new.expose(), generation(world).await, client(who));
            }
        }
        Op::Clock { seconds, back } => {
            model.now = if back { model.now.minus(seconds) } else { model.now.plus(seconds) };
            world.clock.set(model.now);
        }
        Op::Admit { guess, by, name } => {
            let admitted = challenges.admit_client(&world.account, &proof(guess), client(by), tag(name)).await;
            let (verdict, admission) = verdict(admitted.unwrap());
            assert_eq!(verdict, model.judge(guess, client(by)));
            let mut ledger = model.ledger.clone();
            let right = model.current.as_ref().filter(|_| verdict == Verdict::Granted);
            let expected = right.map(|current| {
                ledger.admit_client(&model.policy, CHALLENGE_SECRET, current.generation, tag(name), model.now)
            });
            assert_eq!(admission, expected);
            match admission {
                Some(ClientAdmission::Admitted { .. }) => model.ledger = ledger,
                // A refusal stores nothing, except corrections of times in the future.
                Some(ClientAdmission::TooMany { .. }) => drop(model.ledger.settle(&model.policy, model.now)),
                None => {}
            }
        }
        // No mail was sent, so no ticket is valid.
        Op::AdmitByMail(ticket, name) => {
            assert_eq!(challenges.admit_by_mail(&world.account, ticket, tag(name)).await.unwrap(), None);
        }
        Op::Unlock => {
            let lifted = challenges.unlock(&world.account).await.unwrap();
            let expected = model.current.as_ref().is_some_and(|current| {
                model.ledger.unlock(&model.policy, CHALLENGE_SECRET, current.generation, model.now)
            });
            assert_eq!(lifted, expected);
        }
        Op::Erase => {
            world.driver.erase_account(&world.account).await.unwrap();
            model.current = None;
            model.ledger = GuessLedger::default();
            model.epochs_moved = model.epochs_moved.wrapping_add(1);
        }
    }
}

/// A proof is granted if and only if it is correct and admitted; an old secret never again. After
/// every step the ledger, the salts and the epoch are those of the model.
async fn history(ops: Vec<Op>, last: Who) {
    let world = World::memory().await;
    let mut model = Model {
        policy: LedgerPolicy::default(),
        now: UnixSeconds::new(START).unwrap(),
        current: None,
        ledger: GuessLedger::default(),
        epochs_moved: 0,
    };
    for op in ops {
        apply(&world, &mut model, op).await;
        assert_eq!(world.ledger().await, model.ledger);
        assert_eq!(world.epochs_moved().await, model.epochs_moved);
        let solves = world.challenges().get(&world.account).await.unwrap();
        assert_eq!(solves, model.current.as_ref().map(|current| salts(current.secret)));
    }
    what_is_told_comes_true(&world, client(last)).await;
}

async fn what_is_told_comes_true(world: &World, client: Client) {
    let Verification::Refused(told) = world.verify(9, client).await else { return };
    if told.is_locked() {
        return;
    }
    if told.retry_after() > 1 {
        world.clock.advance(1);
        let Verification::Refused(again) = world.verify(9, client).await else { panic!("looked at too early") };
        assert_eq!(again.retry_after(), told.retry_after() - 1, "told twice, in two ways");
    }
    world.clock.advance(told.retry_after());
    assert!(matches!(world.verify(9, client).await, Verification::Denied(_)), "{told:?} is over");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_the_models(
        ops in prop::collection::vec(op(), 1..60), last in (prop::option::of(0..3_u8), any::<bool>()),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(history(ops, last));
    }
}
