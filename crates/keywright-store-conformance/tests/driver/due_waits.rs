//! What is announced about due work holds, for any history of clocks: a claim ends when announced,
//! a failed task may be retried when announced, and the account is found at the moment in its root
//! and the index.
//!
//! Two servers, whose clocks differ by no more than is allowed, add, claim, fail, put back, finish,
//! and die. The clock that both follow jumps, and stays wrong for a while.

use std::collections::HashMap;
use std::sync::Arc;

use keywright_core::{Clock, ManualClock, UnixSeconds};
use keywright_store::due::{self, CLAIM_LASTS, CLOCK_SKEW_SECONDS, DUE, DueTask, LONGEST_PAUSE, NewTask, pause};
use keywright_store::{Draft, Driver, SlotName, StepError, Upkeep};
use proptest::prelude::*;

use crate::{KINDS, START, World};

const OWED: &[SlotName] = &[DUE.name()];
const TEN_YEARS: i64 = 10 * 365 * 86_400;

/// After so many seconds of a correct clock, everything that a wrong one left behind is over: the
/// longest pause, by a clock that is off by as much as is allowed.
const ALL_IS_OVER: u64 = LONGEST_PAUSE + CLOCK_SKEW_SECONDS;

#[derive(Debug, Clone, Copy)]
enum Op {
    Jump(i64),
    /// A letter is worthless after so many seconds.
    Add(usize, Option<u64>),
    Claim(usize),
    /// The oldest task that the server works on: done, failed, put back, or claimed once more.
    Done(usize),
    Fail(usize),
    PutBack(usize),
    Again(usize),
    /// The server forgets its tasks.
    Die(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let jump = prop_oneof![
        4 => prop::sample::select(vec![1, 2, 7, 30, 59, 60, 61, 89, 90, 91, 150, 600, 3_600, 3_661, 86_400]),
        3 => prop::sample::select(vec![-1, -30, -61, -90, -91, -150, -181, -3_600, -3_700, -86_400]),
        2 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ];
    let server = || 0..2_usize;
    prop_oneof![
        8 => jump.prop_map(Op::Jump),
        3 => (server(), prop::option::weighted(0.2, prop::sample::select(vec![60, 3_600, 86_400])))
            .prop_map(|(server, life)| Op::Add(server, life)),
        5 => server().prop_map(Op::Claim),
        1 => server().prop_map(Op::Done),
        4 => server().prop_map(Op::Fail),
        1 => server().prop_map(Op::PutBack),
        1 => server().prop_map(Op::Again),
        2 => server().prop_map(Op::Die),
    ]
}

fn moved(at: UnixSeconds, seconds: i64) -> UnixSeconds {
    UnixSeconds::new(at.get().saturating_add_signed(seconds)).unwrap()
}

struct Server {
    driver: Driver,
    clock: Arc<ManualClock>,
    /// How far its clock is off.
    skew: i64,
    /// The tasks that it works on.
    at: Vec<DueTask>,
}

/// What was announced about a task, as it was stored then. From `end` on, the task is free.
struct Announced {
    task: DueTask,
    end: UnixSeconds,
}

struct History {
    world: World,
    servers: [Server; 2],
    announced: Vec<Announced>,
    /// The ends of the pauses that were announced last, by the tasks' ids.
    pauses: HashMap<[u8; 16], UnixSeconds>,
    /// The due moment in the root at the last commit.
    due_at: Option<UnixSeconds>,
}

impl History {
    async fn new(seed: u64, skews: [i64; 2]) -> Self {
        let world = World::made(seed).await;
        let servers = skews.map(|skew| {
            let clock = Arc::new(ManualClock::new(moved(START, skew)));
            let builder = world.plain_on(world.glass.clone()).clock(clock.clone());
            let driver = builder.slots(KINDS).build().unwrap();
            Server { driver, clock, skew, at: Vec::new() }
        });
        Self { world, servers, announced: Vec::new(), pauses: HashMap::new(), due_at: None }
    }

    /// Commits a step of a server, and checks and keeps the root's due moment.
    async fn commit<T: Send>(
        &mut self,
        server: usize,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> T {
        let server = &self.servers[server];
        let value = server.driver.transact(&self.world.partition, OWED, step).await.unwrap();
        let look = |draft: &mut Draft<'_>| Ok((due::due_at(draft), due::pending(draft)?, draft.now()));
        let (due_at, tasks, now) = server.driver.observe(&self.world.partition, OWED, look).await.unwrap();
        if due_at != self.due_at {
            assert!(due_at.is_none_or(|at| at <= now.plus(ALL_IS_OVER)), "announced {due_at:?} at {now}");
            assert!(due_at.is_some() || tasks.is_empty(), "nobody looks for {tasks:?}");
            self.due_at = due_at;
        }
        value
    }

    /// Adds tasks that a server works on from now on.
    fn take(&mut self, server: usize, tasks: Vec<DueTask>) {
        let server = &mut self.servers[server];
        let end = server.clock.now().unwrap().plus(CLAIM_LASTS);
        for task in &tasks {
            // A pause that was announced earlier continues, by a clock that has gone back and comes
            // back.
            let end = self.pauses.get(&task.id).map_or(end, |pause| end.max(*pause));
            self.announced.push(Announced { task: task.clone(), end });
        }
        server.at.extend(tasks);
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Jump(seconds) => {
                let now = moved(self.world.clock.now().unwrap(), seconds);
                self.world.clock.set(now);
                for server in &self.servers {
                    server.clock.set(moved(now, server.skew));
                }
            }
            Op::Add(server, life) => {
                let add = |draft: &mut Draft<'_>| {
                    let new = NewTask::new("test/a", Vec::new()).at_most(6);
                    let until = life.map(|life| draft.now().plus(life));
                    due::add(draft, until.into_iter().fold(new, NewTask::until))
                };
                let task = self.commit(server, add).await;
                self.take(server, vec![task]);
            }
            Op::Claim(server) => {
                let tasks = self.commit(server, |draft| due::claim(draft, |_| true)).await;
                self.take(server, tasks);
            }
            Op::Die(server) => self.servers[server].at.clear(),
            Op::Done(server) | Op::Fail(server) | Op::PutBack(server) | Op::Again(server) => {
                if !self.servers[server].at.is_empty() {
                    let task = self.servers[server].at.remove(0);
                    self.end(server, task, op).await;
                }
            }
        }
        self.check().await;
    }

    async fn end(&mut self, server: usize, task: DueTask, op: Op) {
        match op {
            Op::Done(_) => drop(self.commit(server, |draft| due::complete(draft, &task)).await),
            Op::PutBack(_) => self.commit(server, |draft| due::put_back(draft, std::slice::from_ref(&task))).await,
            Op::Again(_) => {
                let again = self.commit(server, |draft| due::claim_again(draft, &task)).await;
                self.take(server, again.into_iter().collect());
            }
            _ => {
                let before = self.pending().await;
                self.commit(server, |draft| due::release(draft, std::slice::from_ref(&task))).await;
                let now = self.servers[server].clock.now().unwrap();
                let failed = self.pending().await.into_iter().find(|found| found.id == task.id);
                // Unless another server has claimed it since.
                if let Some(task) = failed.filter(|found| !before.contains(found)) {
                    let end = now.plus(pause(task.failures));
                    self.pauses.insert(task.id, end);
                    self.announced.push(Announced { task, end });
                }
            }
        }
    }

    async fn pending(&self) -> Vec<DueTask> {
        self.world.driver.observe(&self.world.partition, OWED, due::pending).await.unwrap()
    }

    /// Nothing that was announced is still to come, by either server's clock.
    async fn check(&mut self) {
        for server in 0..self.servers.len() {
            let Server { driver, clock, .. } = &self.servers[server];
            let now = clock.now().unwrap();
            let tasks = driver.observe(&self.world.partition, OWED, due::pending).await.unwrap();
            for announced in self.announced.iter().filter(|announced| tasks.contains(&announced.task)) {
                let Announced { task, end } = announced;
                assert!(now < *end || task.is_free(now), "{task:?} was to be free at {end}, at {now}");
            }
            let found = !self.world.glass.due(now, 10).await.unwrap().is_empty();
            assert_eq!(found, self.due_at.is_some_and(|at| at <= now), "the index tells another thing than the root");
            if found && !tasks.iter().any(|task| task.is_free(now)) {
                // Then something is over, and is removed by the read.
                let before = self.due_at;
                let claimed = self.commit(server, |draft| due::claim(draft, |_| true)).await;
                assert!(
                    claimed.is_empty() && self.due_at != before,
                    "announced {before:?}, but at {now} there is {tasks:?}"
                );
            }
        }
    }

    /// From now on the clock is correct, all servers have died, and one does the work that it
    /// finds: once in a pass over all accounts, and then at the moment in the root. All is done
    /// within an hour plus the allowed difference of clocks.
    async fn finish(mut self) {
        let begun = self.world.clock.now().unwrap();
        let mut looks = 0;
        loop {
            let now = self.world.clock.now().unwrap();
            let claimed = self.world.driver.transact(&self.world.partition, OWED, |draft| due::claim(draft, |_| true));
            for task in claimed.await.unwrap() {
                let done = self.world.driver.transact(&self.world.partition, OWED, |draft| due::complete(draft, &task));
                assert!(done.await.unwrap());
            }
            if self.pending().await.is_empty() {
                return;
            }
            assert!(now < begun.plus(ALL_IS_OVER), "still due: {:?}", self.pending().await);
            let announced = self.world.driver.observe(&self.world.partition, OWED, |draft| Ok(due::due_at(draft)));
            // What a clock that ran ahead has left in the index is found by the hourly pass over all accounts.
            let Some(next) = announced.await.unwrap() else { panic!("nobody looks for it") };
            let next = next.min(begun.plus(ALL_IS_OVER));
            assert!(next > now, "a look that came to nothing");
            self.world.clock.set(next);
            self.announced.clear();
            looks += 1;
            assert!(looks < 100);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_of_due_work_comes_true(
        seed in any::<u64>(), skews in [-30..=30_i64, -30..=30_i64], ops in prop::collection::vec(op(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new(seed, skews).await;
            for op in ops {
                history.run(op).await;
            }
            history.finish().await;
        });
    }
}
