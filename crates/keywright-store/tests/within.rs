//! A step in a host's transaction: whatever the step does, and wherever the database fails, the
//! host's change and what was spent happen together, and nothing is released before.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]

use std::sync::{Arc, Mutex};

use futures_lite::future::{block_on, yield_now};
use keywright_core::{AccountId, Keyring, SystemEntropy};
use keywright_store::{
    AsyncHostTransaction, Batch, BoxFuture, CommitError, Draft, Driver, GrantError, HostOutcome, HostTransaction,
    LoadError, MemoryStore, Partition, Record, RecordStore, Slot, SlotFamily, SlotName, Snapshot, StepError, Tentative,
    WithinError,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Voucher {
    uses: u32,
}

impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
const OTHERS: SlotFamily<Voucher> = SlotFamily::lasting("other", 100);

/// What a step does.
#[derive(Debug, Clone)]
struct Plan {
    /// The records that it reads, one after the other, before it decides.
    reads: Vec<u8>,
    /// How many of them are named.
    named: usize,
    writes: bool,
    grants: bool,
    fails: bool,
}

/// The call of a transaction that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failing {
    Nothing,
    Load,
    Apply,
    Change,
    /// The commit is refused.
    Refused,
    /// The reply to the commit is lost, after or before it.
    Lost {
        landed: bool,
    },
}

/// What was done to a transaction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Log {
    loads: Vec<Vec<SlotName>>,
    batches: usize,
    writes: usize,
    changes: usize,
    commits: usize,
    rollbacks: usize,
}

/// A host's transaction beside a memory store: what is applied gets there with its commit.
struct Transaction {
    store: Arc<MemoryStore>,
    failing: Failing,
    pending: Vec<Batch>,
    log: Arc<Mutex<Log>>,
}

impl Transaction {
    fn change(&mut self) -> Result<(), &'static str> {
        self.log.lock().unwrap().changes += 1;
        if self.failing == Failing::Change { Err("the host's statement failed") } else { Ok(()) }
    }
}

impl HostTransaction for Transaction {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        block_on(AsyncHostTransaction::load(self, partition, slots))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        block_on(AsyncHostTransaction::apply(self, batch))
    }
}

impl AsyncHostTransaction for Transaction {
    fn load<'a>(
        &'a mut self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.log.lock().unwrap().loads.push(slots.to_vec());
        Box::pin(async move {
            yield_now().await;
            if self.failing == Failing::Load {
                return Err(LoadError::Failed("the database is away".into()));
            }
            self.store.load(partition, slots).await
        })
    }

    fn apply(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            yield_now().await;
            if self.failing == Failing::Apply {
                return Err(CommitError::Conflict);
            }
            let mut log = self.log.lock().unwrap();
            log.batches += 1;
            log.writes += usize::from(batch.write().is_some());
            self.pending.push(batch);
            Ok(())
        })
    }

    fn commit<'a>(self) -> BoxFuture<'a, Result<(), CommitError>>
    where
        Self: Sized + 'a,
    {
        Box::pin(async move {
            self.log.lock().unwrap().commits += 1;
            let lost = || CommitError::Unknown("the connection is lost".into());
            match self.failing {
                Failing::Refused => return Err(CommitError::Rejected("a statement has failed".into())),
                Failing::Lost { landed: false } => return Err(lost()),
                _ => {}
            }
            for batch in self.pending {
                self.store.commit(batch).await?;
            }
            if self.failing == (Failing::Lost { landed: true }) { Err(lost()) } else { Ok(()) }
        })
    }

    fn roll_back<'a>(self) -> BoxFuture<'a, ()>
    where
        Self: Sized + 'a,
    {
        Box::pin(async move { self.log.lock().unwrap().rollbacks += 1 })
    }
}

struct World {
    store: Arc<MemoryStore>,
    driver: Driver,
    account: Partition,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let slots = [VOUCHER.kind(), OTHERS.kind()];
        let driver = Driver::builder(Arc::clone(&store) as _, keyring).slots(&slots).build().unwrap();
        let id = AccountId::new("alice").unwrap();
        let account = Partition::account(&id);
        block_on(async {
            driver.ensure_account(&id).await.unwrap();
            let fresh = |draft: &mut Draft<'_>| draft.put(VOUCHER, &Voucher { uses: 0 });
            driver.transact(&account, &[], fresh).await.unwrap();
        });
        Self { store, driver, account }
    }

    fn begin(&self, failing: Failing) -> (Transaction, Arc<Mutex<Log>>) {
        let log = Arc::default();
        (Transaction { store: Arc::clone(&self.store), failing, pending: Vec::new(), log: Arc::clone(&log) }, log)
    }

    /// How often the voucher was used.
    fn uses(&self) -> u32 {
        let read = |draft: &mut Draft<'_>| draft.read(VOUCHER);
        block_on(self.driver.observe(&self.account, &[VOUCHER.name()], read)).unwrap().unwrap().uses
    }
}

fn other(number: u8) -> Slot<Voucher> {
    OTHERS.at([number; 16])
}

impl Plan {
    fn named(&self) -> Vec<SlotName> {
        self.reads.iter().take(self.named).map(|number| other(*number).name()).collect()
    }

    fn step(&self, draft: &mut Draft<'_>) -> Result<Result<Tentative<&'static str>, &'static str>, StepError> {
        for number in &self.reads {
            draft.read(other(*number))?;
        }
        if self.fails {
            return Err(StepError::Misuse("the step cannot decide"));
        }
        if self.writes {
            let uses = draft.read(VOUCHER)?.map_or(0, |voucher| voucher.uses);
            draft.put(VOUCHER, &Voucher { uses: uses + 1 })?;
        }
        Ok(if self.grants { Ok(draft.tentative("a book")) } else { Err("refused") })
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let reads = proptest::collection::vec(0..6_u8, 0..6);
    (reads, 0..7_usize, any::<bool>(), any::<bool>(), proptest::bool::weighted(0.1))
        .prop_map(|(reads, named, writes, grants, fails)| Plan { reads, named, writes, grants, fails })
}

fn failures() -> impl Strategy<Value = Failing> {
    prop_oneof![
        3 => Just(Failing::Nothing),
        1 => Just(Failing::Load),
        1 => Just(Failing::Apply),
        1 => Just(Failing::Change),
        1 => Just(Failing::Refused),
        1 => any::<bool>().prop_map(|landed| Failing::Lost { landed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The two forms load, decide and apply alike.
    #[test]
    fn awaited_or_not_a_step_is_spent_alike(plan in plans(), failing in failures()) {
        let world = World::new();
        let (mut blocking, blocking_log) = world.begin(failing);
        let (mut awaited, awaited_log) = world.begin(failing);
        let (account, named) = (&world.account, plan.named());
        let one = world.driver.within(&mut blocking, account, &named, |draft: &mut Draft<'_>| plan.step(draft));
        let two = block_on(world.driver.within_async(&mut awaited, account, &named, |draft| plan.step(draft)));
        prop_assert_eq!(&*blocking_log.lock().unwrap(), &*awaited_log.lock().unwrap());
        match (one, two) {
            (Ok(one), Ok(two)) => {
                prop_assert_eq!(one.is_granted(), plan.grants);
                prop_assert_eq!(two.is_granted(), plan.grants);
                prop_assert_eq!(one.after_commit(), two.after_commit());
            }
            (Err(one), Err(two)) => prop_assert_eq!(one.to_string(), two.to_string()),
            (one, two) => prop_assert!(false, "{:?} and {:?}", one.map(drop), two.map(drop)),
        }
        // Each record is loaded once in each round, and with the last round all are there.
        for slots in &awaited_log.lock().unwrap().loads {
            let mut once = slots.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), slots.len());
        }
    }

    /// Nothing is granted but with a commit, and the host's change is tried only if something is.
    #[test]
    fn the_hosts_change_and_the_grant_are_committed_together(plan in plans(), failing in failures()) {
        let world = World::new();
        let (transaction, log) = world.begin(failing);
        let change = async |transaction: &mut Transaction| transaction.change();
        let step = |draft: &mut Draft<'_>| plan.step(draft);
        let outcome = block_on(world.driver.grant_with(transaction, &world.account, &plan.named(), step, change));
        let log = log.lock().unwrap().clone();
        let used = if plan.writes { 1 } else { 0 };
        // The first thing that goes wrong decides. A step that neither writes nor grants applies nothing.
        let applies = plan.writes || plan.grants;
        let (changes, commits, uses) = match (failing, outcome) {
            (Failing::Load, Err(GrantError::NotSpent(WithinError::Load(_)))) => (0, 0, 0),
            (_, Err(GrantError::NotSpent(WithinError::Step(_)))) if plan.fails => (0, 0, 0),
            (Failing::Apply, Err(GrantError::NotSpent(WithinError::Conflict))) if applies => (0, 0, 0),
            (_, Ok(HostOutcome::RolledBack(Err("refused")))) if !plan.grants => (0, 0, 0),
            (Failing::Change, Err(GrantError::Change(_))) if plan.grants => (1, 0, 0),
            (Failing::Refused, Err(GrantError::NotSpent(WithinError::Failed(_)))) if plan.grants => (1, 1, 0),
            (Failing::Lost { landed }, Err(GrantError::Unknown(_))) if plan.grants => {
                (1, 1, if landed { used } else { 0 })
            }
            (Failing::Nothing, Ok(HostOutcome::Committed(Ok("a book")))) if plan.grants => (1, 1, used),
            (_, outcome) => return Err(TestCaseError::fail(format!("{outcome:?}"))),
        };
        prop_assert_eq!((log.changes, log.commits, world.uses()), (changes, commits, uses));
        prop_assert_eq!(log.rollbacks, 1 - commits, "a transaction is ended once");
    }
}

/// A step that asks for one record after the other, without end, is given up.
#[test]
fn a_step_that_never_has_enough_is_given_up() {
    let world = World::new();
    let (mut transaction, log) = world.begin(Failing::Nothing);
    let greedy = |draft: &mut Draft<'_>| {
        for number in 0..100 {
            draft.read(other(number))?;
        }
        Ok(draft.tentative(()))
    };
    let spent = block_on(world.driver.within_async(&mut transaction, &world.account, &[], greedy));
    assert!(matches!(spent, Err(WithinError::Step(StepError::NotLoaded(_)))));
    assert_eq!(log.lock().unwrap().batches, 0);
}
