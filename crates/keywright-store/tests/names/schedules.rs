//! Actors step by step, one store call at a time, in every order that a few switches make and in many random ones;
//! each may stop for ever between any two calls.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_lite::future::{block_on, yield_now};
use keywright_core::{AccountId, Clock, below};
use keywright_store::names::{self, NameIndex};
use keywright_store::{Draft, TransactError};
use keywright_testing::{Call, HookedStore, Store};

use crate::world::{Ended, NAMES, Server, World, id, memory};

/// Waits to be polled once more before each call: a poll is one call to the store and what follows from it. `commits` counts
/// those that went through.
pub(crate) fn gated(store: Arc<dyn Store>, commits: Arc<AtomicU64>) -> Arc<HookedStore> {
    let gated = HookedStore::new(store);
    gated.before_reads(|call| {
        let waits = matches!(call, Call::Load(..));
        async move {
            if waits {
                yield_now().await;
            }
            Ok(())
        }
    });
    gated.before_writes(move |_| {
        let commits = Arc::clone(&commits);
        async move {
            yield_now().await;
            commits.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    });
    gated
}

type Act = Pin<Box<dyn Future<Output = Result<Ended, TransactError>>>>;

enum Actor {
    Running(Act),
    Ended(Ended),
    Crashed,
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(_) => f.write_str("Running"),
            Self::Ended(ended) => write!(f, "{ended:?}"),
            Self::Crashed => f.write_str("Crashed"),
        }
    }
}

/// What one account wants, and what it owned before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// The name, owning none.
    New,
    /// The name, for an old one of its own.
    Move,
    /// To be registered under the name.
    Register,
    /// To keep it: registered under it, its time has run out, and now it proves itself.
    Prove,
}

struct Stage {
    world: World,
    accounts: Vec<AccountId>,
    wants: Vec<Wants>,
    actors: Vec<Actor>,
    olds: Vec<NameIndex>,
    commits: Arc<AtomicU64>,
}

impl Stage {
    /// `apart`: every actor on a server of its own; else all on one, with one queue.
    fn new(seed: u64, wants: &[Wants], apart: bool) -> Self {
        block_on(async {
            let world = World::new(seed, memory());
            let commits = Arc::new(AtomicU64::new(0));
            let gated = gated(world.store.clone(), Arc::clone(&commits));
            let one = world.server(gated.clone());
            let (mut accounts, mut actors, mut olds) = (Vec::new(), Vec::new(), Vec::new());
            for (number, want) in wants.iter().enumerate() {
                let account = id(&format!("user-{number}"));
                let text = format!("old-{number}@example.org");
                let old = NameIndex::derive(&world.keyring, "address", text.as_bytes());
                match want {
                    Wants::New | Wants::Move => world.truth().create(&account).await,
                    Wants::Prove => {
                        let until = world.clock.now().unwrap().plus(3_600);
                        world.truth().register(&account, world.name, until).await.unwrap();
                        world.clock.advance(3_600);
                    }
                    Wants::Register => {}
                }
                if *want == Wants::Move {
                    world.truth().acquire(&account, old, None).await.unwrap();
                }
                let server = if apart { world.server(gated.clone()) } else { one.clone() };
                actors.push(Actor::Running(act(server, account.clone(), *want, world.name, old, &world)));
                accounts.push(account);
                olds.push(old);
            }
            Self { world, accounts, wants: wants.to_vec(), actors, olds, commits }
        })
    }

    /// One call of one actor. Whenever something was committed, there is at most one owner, and the look-up says so.
    /// Returns whether the actor is still running.
    fn step(&mut self, number: usize) -> bool {
        let before = self.commits.load(Ordering::Relaxed);
        let running = self.poll(number);
        if self.commits.load(Ordering::Relaxed) != before {
            self.owner();
        }
        running
    }

    fn poll(&mut self, number: usize) -> bool {
        let actor = &mut self.actors[number];
        let Actor::Running(act) = actor else { return false };
        match act.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                *actor = Actor::Ended(ended.unwrap());
                false
            }
        }
    }

    fn crash(&mut self, number: usize) {
        // One that stops before its proof is one that never came: nothing to see.
        if matches!(self.actors[number], Actor::Running(_)) && self.wants[number] != Wants::Prove {
            self.actors[number] = Actor::Crashed;
        }
    }

    /// In turn, until all have ended.
    fn finish(&mut self) {
        let mut running = true;
        while running {
            running = false;
            for number in 0..self.actors.len() {
                running |= self.step(number);
            }
        }
    }

    fn owner(&self) -> Option<AccountId> {
        block_on(self.world.owner(&self.accounts))
    }

    /// What must be true when nobody moves any more.
    fn judge(self) {
        let owner = self.owner();
        for (number, actor) in self.actors.iter().enumerate() {
            let account = &self.accounts[number];
            let owns = owner.as_ref() == Some(account);
            match actor {
                Actor::Ended(ended) => assert_eq!(*ended == Ended::Took, owns, "{account} was told {ended:?}"),
                Actor::Crashed => {}
                Actor::Running(_) => panic!("{account} never ends"),
            }
            if self.wants[number] == Wants::Move {
                let keeps = block_on(self.world.truth().owns(account, &self.olds[number]));
                assert_ne!(keeps, owns, "{account} owns one name, the old or the new");
            }
        }
        let crashed = self.actors.iter().any(|actor| matches!(actor, Actor::Crashed));
        assert!(crashed || owner.is_some(), "all came to an end and nobody has it: {:?}", self.actors);
        block_on(self.world.nobody_is_stranded(&self.accounts));
        // And who crashed, or lost, may try again: an owner stays one, and nobody else gets in.
        for (number, account) in self.accounts.iter().enumerate() {
            if matches!(self.wants[number], Wants::New | Wants::Move) && owner.as_ref() != Some(account) {
                let again = block_on(self.world.truth().acquire(account, self.world.name, None)).unwrap();
                assert_eq!(again, Ended::Taken);
            }
        }
    }
}

fn act(server: Server, account: AccountId, want: Wants, name: NameIndex, old: NameIndex, world: &World) -> Act {
    let until = world.clock.now().unwrap().plus(3_600);
    Box::pin(async move {
        match want {
            Wants::New => server.acquire(&account, name, None).await,
            Wants::Move => server.acquire(&account, name, Some(old)).await,
            Wants::Register => server.register(&account, name, until).await,
            Wants::Prove => {
                let step = |draft: &mut Draft<'_>| names::make_permanent(draft, &name);
                let firm = server.driver.transact(&(&account).into(), NAMES, step).await?;
                Ok(if firm { Ended::Took } else { Ended::Overtaken })
            }
        }
    })
}

/// More calls than any actor makes without a rival.
const MANY: usize = 14;

/// First `runs[0]` calls of actor 0, then `runs[1]` of actor 1, and so on in turn. Then the actors
/// in `crash` crash, and the rest run to their end. Returns whether every run had as many calls as
/// requested; if not, a shorter one is the same.
fn play(wants: &[Wants], runs: &[usize], crash: &[usize]) -> bool {
    let mut stage = Stage::new(runs.iter().fold(7, |seed, run| seed * 31 + *run as u64), wants, true);
    let mut whole = true;
    for (number, run) in runs.iter().enumerate() {
        whole = (0..*run).all(|_| stage.step(number % wants.len()));
    }
    for number in crash {
        stage.crash(*number);
    }
    stage.finish();
    stage.judge();
    whole
}

#[test]
fn one_alone_crashes_after_every_call() {
    for wants in [Wants::New, Wants::Move, Wants::Register] {
        let calls = (0..MANY).take_while(|calls| play(&[wants], &[*calls], &[0])).count();
        assert!((6..MANY).contains(&calls), "{calls}");
    }
}

/// Every order of two with up to three switches; then both come to an end, or one crashes, or both do.
fn three_switches(wants: [Wants; 2]) {
    for first in 0..MANY {
        let whole = play(&wants, &[first], &[0]);
        for second in 1..MANY {
            play(&wants, &[first, second], &[0, 1]);
            if !play(&wants, &[first, second], &[1]) {
                break;
            }
            for third in (1..MANY).step_by(2) {
                play(&wants, &[first, second, third], &[0]);
                if !play(&wants, &[first, second, third], &[]) {
                    break;
                }
            }
        }
        if !whole {
            break;
        }
    }
}

#[test]
fn two_who_move_with_three_switches() {
    three_switches([Wants::Move, Wants::Move]);
}

#[test]
fn a_mover_and_a_registration_with_three_switches() {
    three_switches([Wants::Register, Wants::Move]);
}

#[test]
fn a_proof_and_an_eviction_with_three_switches() {
    three_switches([Wants::Prove, Wants::Register]);
}

#[test]
fn random_orders_of_a_proof_and_two_evictions() {
    let [took, _, lost, _] = random(2_000..2_100, &[Wants::Prove, Wants::Register, Wants::Register], 0);
    assert!(took == 100 && lost > 0, "{took} {lost}");
}

/// Random orders; each actor crashes with the odds of one call in `crashes`, or never if 0.
fn random(seeds: std::ops::Range<u64>, wants: &[Wants], crashes: u32) -> [u32; 4] {
    let mut seen = [0; 4];
    for seed in seeds {
        let mut stage = Stage::new(seed, wants, seed.is_multiple_of(2));
        let rng = Arc::clone(&stage.world.entropy);
        let draw = move |bound: u32| below(&*rng, bound).unwrap();
        let most = u32::try_from(wants.len()).unwrap();
        for _ in 0..most * 40 {
            let number = draw(most) as usize;
            stage.step(number);
            if crashes > 0 && draw(crashes) == 0 {
                stage.crash(number);
            }
        }
        stage.finish();
        for actor in &stage.actors {
            seen[match actor {
                Actor::Ended(Ended::Took) => 0,
                Actor::Ended(Ended::Taken) => 1,
                Actor::Ended(Ended::Overtaken) => 2,
                _ => 3,
            }] += 1;
        }
        stage.judge();
    }
    seen
}

#[test]
fn random_orders_of_three() {
    let wants = [Wants::New, Wants::Move, Wants::Register];
    let [took, taken, overtaken, _] = random(0..150, &wants, 0);
    assert!(took == 150 && taken > 0 && overtaken > 0, "the schedules miss a side: {taken} {overtaken}");
}

#[test]
fn random_orders_of_four_with_crashes() {
    let wants = [Wants::Move, Wants::Move, Wants::Register, Wants::New];
    let [took, taken, overtaken, crashed] = random(1_000..1_250, &wants, 25);
    assert!(took > 50 && taken > 0 && overtaken > 0 && crashed > 100, "{took} {taken} {overtaken} {crashed}");
}
