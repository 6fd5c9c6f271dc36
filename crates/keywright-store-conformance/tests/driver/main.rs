//! The driver and the draft, over a store that fails on purpose.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod draft;
mod due_work;
mod faults;
mod histories;

use std::sync::Arc;

use keywright_core::{AccountId, Keyring, ManualClock, SharedRng, UnixSeconds};
use keywright_store::{
    Batch, Driver, Effect, Expect, MemoryStore, Partition, Record, RecordStore, Revision, Slot, StepError, Stored,
    TransactError, Write,
};
use keywright_store_conformance::FaultStore;
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

const VOUCHER: Slot = Slot::Host([1; 16]);
const OTHER: Slot = Slot::Host([2; 16]);

type Rng = Arc<SharedRng<ChaCha20Rng>>;

struct Bench {
    store: Arc<FaultStore<MemoryStore>>,
    rng: Rng,
    keyring: Arc<Keyring>,
    clock: Arc<ManualClock>,
    account: Partition,
    driver: Driver,
}

impl Bench {
    /// Without an account.
    fn bare(seed: u64) -> Self {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let rng = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        let keyring = Arc::new(Keyring::generate(&rng).unwrap());
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(1_700_000_000).unwrap()));
        let account = Partition::account(&AccountId::new("user-1").unwrap());
        let driver = server(&store, &keyring, &rng, &clock);
        Self { store, rng, keyring, clock, account, driver }
    }

    /// With an account and an unspent voucher.
    async fn made(seed: u64) -> Self {
        let bench = Self::bare(seed);
        let make = bench.driver.transact(&bench.account, &[VOUCHER], |draft| {
            draft.create_account()?;
            draft.put(VOUCHER, &Voucher { spent: false }, None)
        });
        make.await.unwrap();
        bench
    }

    /// Another server on the same store.
    fn server(&self) -> Driver {
        server(&self.store, &self.keyring, &self.rng, &self.clock)
    }

    fn commits(&self) -> u64 {
        self.store.tally().commits
    }

    async fn redeem(&self) -> Result<bool, TransactError> {
        redeem(&self.driver, &self.account).await
    }

    /// What lies in a slot, seen past the faults.
    async fn stored(&self, slot: Slot) -> Option<Stored> {
        self.store.inner().load(&self.account, &[slot]).await.unwrap().remove(0)
    }

    async fn root(&self) -> Revision {
        self.stored(Slot::Root).await.unwrap().revision
    }

    /// A batch of somebody else's, that rests on the present root.
    async fn foreign(&self, write: Write) -> Batch {
        let root = Write { slot: Slot::Root, expect: Expect::Revision(self.root().await), effect: Effect::Check };
        let writes = if write.slot == Slot::Root { vec![write] } else { vec![root, write] };
        Batch::new(self.account.clone(), Revision::random(&self.rng).unwrap(), writes).unwrap()
    }

    /// Puts a body into a slot behind everybody's back.
    async fn tamper(&self, slot: Slot, effect: Effect) {
        let expect = self.stored(slot).await.map_or(Expect::Absent, |stored| Expect::Revision(stored.revision));
        let batch = self.foreign(Write { slot, expect, effect }).await;
        self.store.inner().commit(batch).await.unwrap();
    }
}

fn server(store: &Arc<FaultStore<MemoryStore>>, keyring: &Arc<Keyring>, rng: &Rng, clock: &Arc<ManualClock>) -> Driver {
    let (store, keyring): (Arc<FaultStore<MemoryStore>>, _) = (Arc::clone(store), Arc::clone(keyring));
    Driver::new(store, keyring, Arc::<SharedRng<ChaCha20Rng>>::clone(rng), Arc::<ManualClock>::clone(clock))
}

/// Spends the voucher; whether this call was granted it.
async fn redeem(driver: &Driver, account: &Partition) -> Result<bool, TransactError> {
    redeem_counting(driver, account, &mut 0).await
}

/// The same; counts how often the step ran.
async fn redeem_counting(driver: &Driver, account: &Partition, runs: &mut u32) -> Result<bool, TransactError> {
    let spend = driver.transact(account, &[VOUCHER], |draft| {
        *runs += 1;
        if draft.read::<Voucher>(VOUCHER)?.is_none_or(|voucher| voucher.spent) {
            return Ok(None);
        }
        draft.put(VOUCHER, &Voucher { spent: true }, None)?;
        Ok(Some(draft.tentative(())))
    });
    let (grant, receipt) = spend.await?;
    Ok(grant.is_some_and(|grant| grant.release(&receipt).is_ok()))
}

fn step_error<T>(result: Result<T, TransactError>) -> StepError {
    match result {
        Err(TransactError::Step(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a step that should have failed did not"),
    }
}
