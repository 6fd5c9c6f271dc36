//! The driver and the draft, over a store that fails on purpose and whose rows lie open.

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
mod order;
mod roots;
mod settling;

use std::sync::{Arc, Mutex};

use keywright_core::{
    AccountId, EventChain, EventKind, Keyring, ManualClock, SecurityEvent, Severity, SharedRng, UnixSeconds,
};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Driver, DriverBuilder, Observer, Partition, Record, RecordStore, Revision, Slot, SlotFamily, SlotKind,
    SlotName, StepError, TransactError,
};
use keywright_store_conformance::FaultStore;
use keywright_store_conformance::glass::GlassStore;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// What may be granted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}
impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

/// What counts.
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

/// What acts name.
const VOUCHERS: &[SlotName] = &[VOUCHER.name()];
const COUNTERS: &[SlotName] = &[COUNTER.name()];
const BOTH: &[SlotName] = &[VOUCHER.name(), COUNTER.name()];

const KINDS: &[SlotKind] = &[VOUCHER.kind(), COUNTER.kind(), NOTES.kind(), TICKETS.kind()];

static REDEEMED: EventKind = EventKind::change("test_redeemed", Severity::Info, "a voucher was redeemed");
static REFUSED: EventKind = EventKind::denial("test_refused", "a voucher was refused");

const START: UnixSeconds = UnixSeconds::EPOCH.plus(1_700_000_000);

type Rng = Arc<SharedRng<ChaCha20Rng>>;

/// Remembers what it hears.
#[derive(Debug, Default)]
struct Heard {
    events: Mutex<Vec<(AccountId, SecurityEvent)>>,
    damage: Mutex<Vec<(Partition, StepError)>>,
}

impl Observer for Heard {
    fn event(&self, account: &AccountId, event: &SecurityEvent) {
        self.events.lock().unwrap().push((account.clone(), event.clone()));
    }

    fn damage(&self, partition: &Partition, error: &StepError) {
        self.damage.lock().unwrap().push((partition.clone(), error.clone()));
    }
}

impl Heard {
    fn kinds(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(_, event)| event.kind().to_owned()).collect()
    }

    fn damages(&self) -> usize {
        self.damage.lock().unwrap().len()
    }
}

struct Bench {
    glass: Arc<GlassStore>,
    store: Arc<FaultStore<GlassStore>>,
    rng: Rng,
    keyring: Arc<Keyring>,
    clock: Arc<ManualClock>,
    heard: Arc<Heard>,
    id: AccountId,
    account: Partition,
    driver: Driver,
}

impl Bench {
    /// Without an account.
    fn bare(seed: u64) -> Self {
        let glass = Arc::new(GlassStore::new());
        let store = Arc::new(FaultStore::new(Arc::clone(&glass)));
        let rng = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        let keyring = Arc::new(Keyring::generate(&rng).unwrap());
        let clock = Arc::new(ManualClock::new(START));
        let heard = Arc::new(Heard::default());
        let id = AccountId::new("user-1").unwrap();
        let account = Partition::account(&id);
        let records: Arc<dyn RecordStore> = Arc::<FaultStore<GlassStore>>::clone(&store);
        let driver = builder(records, &keyring, &rng, &clock)
            .observer(Arc::<Heard>::clone(&heard))
            .slots(KINDS)
            .build()
            .unwrap();
        Self { glass, store, rng, keyring, clock, heard, id, account, driver }
    }

    /// With an account and an unspent voucher.
    async fn made(seed: u64) -> Self {
        let bench = Self::bare(seed);
        bench.driver.transact(&bench.account, VOUCHERS, make).await.unwrap();
        bench
    }

    /// Another server on the same store.
    fn server(&self) -> Driver {
        self.server_on(Arc::<FaultStore<GlassStore>>::clone(&self.store))
    }

    /// A server on another way to the same store.
    fn server_on(&self, store: Arc<dyn RecordStore>) -> Driver {
        self.builder_on(store).slots(KINDS).build().unwrap()
    }

    fn builder_on(&self, store: Arc<dyn RecordStore>) -> DriverBuilder {
        builder(store, &self.keyring, &self.rng, &self.clock).observer(Arc::<Heard>::clone(&self.heard))
    }

    /// A server that sees no fault and has no observer.
    fn calm(&self) -> Driver {
        let store: Arc<dyn RecordStore> = Arc::<GlassStore>::clone(&self.glass);
        builder(store, &self.keyring, &self.rng, &self.clock).slots(KINDS).build().unwrap()
    }

    fn commits(&self) -> u64 {
        self.store.tally().commits
    }

    fn loads(&self) -> u64 {
        self.store.tally().loads
    }

    async fn redeem(&self) -> Result<bool, TransactError> {
        redeem(&self.driver, &self.account).await
    }

    /// The root's revision, seen past the faults.
    fn root(&self) -> Option<Revision> {
        self.glass.rows().revision(&self.account)
    }

    /// What lies in a slot, seen past the faults.
    fn body(&self, slot: SlotName) -> Option<bytes::Bytes> {
        self.glass.rows().records.get(&(self.account.clone(), slot)).map(|row| row.body.clone())
    }

    fn numbers(&self, chain: EventChain) -> usize {
        let rows = self.glass.rows();
        rows.events.keys().filter(|(owner, of, _)| *owner == self.account && *of == chain).count()
    }
}

fn builder(store: Arc<dyn RecordStore>, keyring: &Arc<Keyring>, rng: &Rng, clock: &Arc<ManualClock>) -> DriverBuilder {
    Driver::builder(store, Arc::clone(keyring)).entropy(Arc::<SharedRng<ChaCha20Rng>>::clone(rng)).clock(Arc::<
        ManualClock,
    >::clone(
        clock
    ))
}

/// Makes the account and its voucher.
fn make(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.create_account()?;
    draft.put(VOUCHER, &Voucher { spent: false })
}

/// Spends the voucher; whether this call was granted it. A refusal changes nothing.
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
