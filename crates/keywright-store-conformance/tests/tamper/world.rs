//! A populated store: two accounts, a name and the server, and every earlier state of them.

use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{Attempt, Client, Event, EventKind, Generation, SecretKind, Severity, UnixSeconds};
use keywright_store::due::{self, DUE, NewTask};
use keywright_store::guess::{self, Comparison, LEDGER};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Partition, Record, Slot, SlotFamily, SlotName, StepError};
use keywright_store_conformance::glass::{GlassStore, Rows};
use keywright_testing::Heard;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) count: u64,
}
impl Record for Counter {
    const SCHEMA: u16 = 1;
}

pub(crate) const VOUCHER: Slot<Counter> = Slot::lasting("voucher");
pub(crate) const COUNTER: Slot<Counter> = Slot::lasting("counter");
pub(crate) const NOTES: SlotFamily<Counter> = SlotFamily::lasting("note", 4);
pub(crate) const TICKETS: SlotFamily<Counter, Expiring> =
    SlotFamily::expiring("ticket", 4, keywright_store::Full::Refuses);

static DONE: EventKind = EventKind::change("test_done", Severity::Info, "something was done");
static REFUSED: EventKind = EventKind::denial("test_refused", "something was refused");

pub(crate) const START: UnixSeconds = UnixSeconds::EPOCH.plus(keywright_testing::World::START);
const SECRET: SecretKind = SecretKind::new("test-secret");

/// Every slot that is ever read, including those that never held a record.
pub(crate) fn slots() -> Vec<SlotName> {
    let mut slots = vec![VOUCHER.name(), COUNTER.name(), DUE.name(), LEDGER.name()];
    slots.extend((1..=4).map(|id| NOTES.at([id; 16]).name()));
    slots.extend((1..=4).map(|id| TICKETS.at([id; 16]).name()));
    slots
}

/// Whether a slot's records may be missing.
pub(crate) fn expires(slot: SlotName) -> bool {
    slot.kind() == TICKETS.kind().name()
}

/// A step of an account.
type Step = fn(&mut Draft<'_>) -> Result<(), StepError>;

pub(crate) struct World {
    base: keywright_testing::World,
    pub(crate) glass: Arc<GlassStore>,
    pub(crate) heard: Arc<Heard>,
    /// Two accounts that did the same things, a name, the server.
    pub(crate) partitions: [Partition; 4],
    /// All rows after each commit. The last are the current ones.
    pub(crate) history: Vec<Rows>,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (glass, heard) = (Arc::new(GlassStore::new()), Heard::new());
        let builder = keywright_testing::World::builder().store(glass.clone()).observer(heard.clone());
        let base = builder.slots(&[VOUCHER.kind(), COUNTER.kind(), NOTES.kind(), TICKETS.kind()]).open();
        let account = |id: &str| Partition::account(&keywright_testing::World::id(id));
        let partitions = [account("user-1"), account("user-2"), Partition::name(&[7; 32]), Partition::server()];
        let mut world = Self { base, glass, heard, partitions, history: Vec::new() };
        world.live().await;
        world
    }

    /// The current rows.
    pub(crate) fn rows(&self) -> &Rows {
        self.history.last().unwrap()
    }

    pub(crate) fn accounts(&self) -> &[Partition] {
        &self.partitions[..2]
    }

    /// Puts rows back, or others in their place.
    pub(crate) fn put(&self, rows: &Rows) {
        self.glass.edit(|there| *there = rows.clone());
    }

    async fn live(&mut self) {
        let ways: [Step; 10] = [
            |draft| {
                draft.create_account()?;
                draft.put(VOUCHER, &Counter { count: 1 })
            },
            |draft| {
                draft.put(COUNTER, &Counter { count: 1 })?;
                draft.put(NOTES.at([1; 16]), &Counter { count: 1 })?;
                draft.put(NOTES.at([2; 16]), &Counter { count: 1 })?;
                told(draft)
            },
            |draft| {
                draft.put_until(TICKETS.at([1; 16]), &Counter { count: 1 }, draft.now().plus(86_400))?;
                draft.put_until(TICKETS.at([2; 16]), &Counter { count: 1 }, draft.now().plus(86_400))?;
                told(draft)
            },
            guessed,
            |draft| {
                draft.put(COUNTER, &Counter { count: 2 })?;
                draft.put(NOTES.at([1; 16]), &Counter { count: 2 })?;
                draft.put(NOTES.at([3; 16]), &Counter { count: 2 })?;
                told(draft)
            },
            |draft| {
                draft.put(VOUCHER, &Counter { count: 0 })?;
                draft.event(&REFUSED);
                told(draft)
            },
            |draft| {
                draft.delete(NOTES.at([2; 16]))?;
                draft.delete(TICKETS.at([2; 16]))?;
                draft.put_until(TICKETS.at([1; 16]), &Counter { count: 2 }, draft.now().plus(86_400))?;
                draft.put_until(TICKETS.at([3; 16]), &Counter { count: 2 }, draft.now().plus(86_400))?;
                told(draft)
            },
            |draft| {
                due::add(draft, NewTask::new("test/work", Vec::new()))?;
                draft.move_credential_epoch()?;
                told(draft)
            },
            |draft| {
                draft.event(Event::new(&REFUSED).with("reason", "test"));
                draft.put(NOTES.at([3; 16]), &Counter { count: 3 })
            },
            // A commit without any event: only its record distinguishes its root from the one
            // before.
            |draft| draft.put(COUNTER, &Counter { count: 3 }),
        ];
        let slots = slots();
        for way in ways {
            for account in self.accounts().to_vec() {
                self.driver.transact(&account, &slots, way).await.unwrap();
                self.history.push(self.glass.rows());
            }
            self.clock.advance(60);
        }
        for count in 1..=2 {
            for partition in &self.partitions[2..] {
                let step = |draft: &mut Draft<'_>| draft.put(COUNTER, &Counter { count });
                self.driver.transact(partition, &slots, step).await.unwrap();
                self.history.push(self.glass.rows());
            }
        }
    }
}

fn told(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.event(Event::new(&DONE).with("count", 1_u32));
    Ok(())
}

/// A wrong guess.
fn guessed(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let attempt = Attempt::new(SECRET, Generation::from_u64(1), Client::unknown());
    guess::check(draft, &attempt, |_| Ok(Comparison::<()>::Wrong)).map(drop)
}
