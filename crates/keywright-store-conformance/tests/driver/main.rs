//! The driver and the draft, over a store that fails on purpose and whose rows a test can reach.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod answers;
mod between;
mod costs;
mod discard;
mod draft;
mod due_waits;
mod due_work;
mod erased;
mod events;
mod faults;
mod guesses;
mod histories;
mod mirror;
mod nested;
mod order;
mod roots;
mod settling;

use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{EventChain, EventKind, Severity, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Driver, DriverBuilder, Partition, Record, RecordStore, Revision, Slot, SlotFamily, SlotKind, SlotName,
    StepError, TransactError,
};
use keywright_store_conformance::FaultStore;
use keywright_store_conformance::glass::GlassStore;
use keywright_testing::Heard;
use serde::{Deserialize, Serialize};

/// Something that may be granted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}
impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

/// A counter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    count: u64,
}
impl Record for Counter {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
const COUNTER: Slot<Counter> = Slot::lasting("counter");
const NOTES: SlotFamily<Counter> = SlotFamily::lasting("note", 4);
const TICKETS: SlotFamily<Counter, Expiring> = SlotFamily::expiring("ticket", 3, keywright_store::Full::Refuses);

/// The slots that operations name.
const VOUCHERS: &[SlotName] = &[VOUCHER.name()];
const COUNTERS: &[SlotName] = &[COUNTER.name()];
const BOTH: &[SlotName] = &[VOUCHER.name(), COUNTER.name()];

const KINDS: &[SlotKind] = &[VOUCHER.kind(), COUNTER.kind(), NOTES.kind(), TICKETS.kind()];

static REDEEMED: EventKind = EventKind::change("test_redeemed", Severity::Info, "a voucher was redeemed");
static REFUSED: EventKind = EventKind::denial("test_refused", "a voucher was refused");

const START: UnixSeconds = UnixSeconds::EPOCH.plus(keywright_testing::World::START);

/// A world on a store that fails on request, over one whose rows a test can reach.
struct World {
    base: keywright_testing::World,
    glass: Arc<GlassStore>,
    faults: Arc<FaultStore<GlassStore>>,
    heard: Arc<Heard>,
    /// The account's partition.
    partition: Partition,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    /// Without an account.
    fn bare(seed: u64) -> Self {
        let glass = Arc::new(GlassStore::new());
        let (faults, heard) = (Arc::new(FaultStore::new(Arc::clone(&glass))), Heard::new());
        let builder = keywright_testing::World::builder().store(faults.clone()).seed(seed);
        let base = builder.observer(heard.clone()).slots(KINDS).open();
        let partition = Partition::account(&base.account);
        Self { base, glass, faults, heard, partition }
    }

    /// With an account and an unspent voucher.
    async fn made(seed: u64) -> Self {
        let world = Self::bare(seed);
        world.driver.transact(&world.partition, VOUCHERS, make).await.unwrap();
        world
    }

    /// Another server on the same store.
    fn another_server(&self) -> Driver {
        self.server(self.next_seed())
    }

    /// A server on another store handle.
    fn driver_on(&self, store: Arc<dyn RecordStore>) -> Driver {
        self.server_on(store, &self.keyring, self.next_seed()).build().unwrap()
    }

    /// The same without the kinds of slots.
    fn builder_on(&self, store: Arc<dyn RecordStore>) -> DriverBuilder {
        self.plain_on(store).observer(self.heard.clone())
    }

    /// A server that sees no fault and has no observer.
    fn calm(&self) -> Driver {
        self.plain_on(self.glass.clone()).slots(KINDS).build().unwrap()
    }

    fn plain_on(&self, store: Arc<dyn RecordStore>) -> DriverBuilder {
        let builder = Driver::builder(store, Arc::clone(&self.keyring));
        builder.entropy(keywright_testing::seeded(self.next_seed())).clock(self.clock.clone())
    }

    fn commits(&self) -> u64 {
        self.faults.tally().commits
    }

    fn loads(&self) -> u64 {
        self.faults.tally().loads
    }

    async fn redeem(&self) -> Result<bool, TransactError> {
        redeem(&self.driver, &self.partition).await
    }

    /// The root's revision, read without faults.
    fn root(&self) -> Option<Revision> {
        self.glass.rows().revision(&self.partition)
    }

    /// The record in a slot, read without faults.
    fn body(&self, slot: SlotName) -> Option<bytes::Bytes> {
        self.glass.rows().records.get(&(self.partition.clone(), slot)).map(|row| row.body.clone())
    }

    fn numbers(&self, chain: EventChain) -> usize {
        let rows = self.glass.rows();
        rows.events.keys().filter(|(owner, of, _)| *owner == self.partition && *of == chain).count()
    }
}

/// Makes the account and its voucher.
fn make(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.create_account()?;
    draft.put(VOUCHER, &Voucher { spent: false })
}

/// Spends the voucher. Returns whether this call was granted it. A refusal changes nothing.
fn spend(draft: &mut Draft<'_>) -> Result<Option<keywright_store::Tentative<()>>, StepError> {
    if draft.read(VOUCHER)?.is_none_or(|voucher| voucher.spent) {
        return Ok(None);
    }
    draft.put(VOUCHER, &Voucher { spent: true })?;
    draft.event(&REDEEMED);
    Ok(Some(draft.tentative(())))
}

async fn redeem(driver: &Driver, account: &Partition) -> Result<bool, TransactError> {
    redeem_counting(driver, account, &mut 0).await
}

/// The same; counts how often the step ran.
async fn redeem_counting(driver: &Driver, account: &Partition, runs: &mut u32) -> Result<bool, TransactError> {
    let step = |draft: &mut Draft<'_>| {
        *runs += 1;
        spend(draft)
    };
    Ok(driver.run(account, VOUCHERS, step).await?.is_some())
}

/// Counts in one record.
fn count(draft: &mut Draft<'_>) -> Result<u64, StepError> {
    let mut counter = draft.read(COUNTER)?.unwrap_or_default();
    counter.count += 1;
    draft.put(COUNTER, &counter)?;
    Ok(counter.count)
}

fn step_error<T>(result: Result<T, TransactError>) -> StepError {
    match result {
        Err(TransactError::Step(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a step that should have failed did not"),
    }
}
