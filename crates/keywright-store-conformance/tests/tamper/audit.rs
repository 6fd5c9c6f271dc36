//! Every possible use of what is stored, one by one.

use std::collections::BTreeMap;

use keywright_core::EventChain;
use keywright_store::due::{self, DUE};
use keywright_store::guess::LEDGER;
use keywright_store::{Draft, EventCursor, Partition, SlotName, StepError, TransactError};

use crate::world::{COUNTER, Counter, NOTES, TICKETS, VOUCHER, World, slots};

/// A use of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    Root(Partition),
    Record(Partition, SlotName),
    Log(Partition, EventChain),
}

/// What each use shows.
pub(crate) type Audit = BTreeMap<Use, Result<String, StepError>>;

fn step(error: TransactError) -> StepError {
    match error {
        TransactError::Step(error) => error,
        other => panic!("{other}"),
    }
}

fn read(draft: &mut Draft<'_>, slot: SlotName) -> Result<String, StepError> {
    let read = match (slot, slot.id()) {
        (slot, _) if slot == VOUCHER.name() => format!("{:?}", draft.read(VOUCHER)?),
        (slot, _) if slot == COUNTER.name() => format!("{:?}", draft.read(COUNTER)?),
        (slot, _) if slot == DUE.name() => format!("{:?}", due::pending(draft)?),
        (slot, _) if slot == LEDGER.name() => format!("{:?}", draft.read(LEDGER)?),
        (slot, Some(id)) if slot.kind() == NOTES.kind().name() => format!("{:?}", draft.read(NOTES.at(id))?),
        (slot, Some(id)) if slot.kind() == TICKETS.kind().name() => format!("{:?}", draft.read(TICKETS.at(id))?),
        other => panic!("{other:?}"),
    };
    Ok(read)
}

/// Writes to a slot, whatever is in it.
pub(crate) fn write(draft: &mut Draft<'_>, slot: SlotName) -> Result<(), StepError> {
    let count = &Counter { count: 99 };
    let soon = draft.now().plus(60);
    match slot.id() {
        _ if slot == VOUCHER.name() => draft.put(VOUCHER, count),
        _ if slot == COUNTER.name() => draft.put(COUNTER, count),
        _ if slot == DUE.name() => due::add(draft, due::NewTask::new("test/more", Vec::new())).map(drop),
        _ if slot == LEDGER.name() => draft.delete(LEDGER),
        Some(id) if slot.kind() == NOTES.kind().name() => draft.put(NOTES.at(id), count),
        Some(id) => draft.put_until(TICKETS.at(id), count, soon),
        None => panic!("{slot}"),
    }
}

async fn log(world: &World, partition: &Partition, chain: EventChain) -> Result<String, StepError> {
    let account = partition.as_account().unwrap();
    let (mut cursor, mut events): (Option<EventCursor>, _) = (None, Vec::new());
    // At once, with room to spare at the old end; and in pages.
    world.driver.events(&account, chain, None, 100).await.map_err(step)?;
    loop {
        let page = world.driver.events(&account, chain, cursor.as_ref(), 3).await.map_err(step)?;
        events.extend(page.events);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(format!("{events:?}")),
        }
    }
}

/// Uses everything, each on its own.
pub(crate) async fn audit(world: &World) -> Audit {
    audit_of(world, &world.partitions).await
}

/// Uses everything of some partitions.
pub(crate) async fn audit_of(world: &World, partitions: &[Partition]) -> Audit {
    let mut audit = Audit::new();
    for partition in partitions {
        let root = world.driver.observe(partition, &[], |draft| {
            let ids = (draft.ids(&NOTES), draft.ids(&TICKETS));
            Ok(format!("{} {:?} {ids:?}", draft.exists(), draft.root()?))
        });
        audit.insert(Use::Root(partition.clone()), root.await.map_err(step));
        for slot in slots() {
            let look = world.driver.observe(partition, std::slice::from_ref(&slot), |draft| read(draft, slot)).await;
            audit.insert(Use::Record(partition.clone(), slot), look.map_err(step));
        }
        for chain in EventChain::ALL.into_iter().filter(|_| partition.is_account()) {
            audit.insert(Use::Log(partition.clone(), chain), log(world, partition, chain).await);
        }
    }
    audit
}

/// The uses that end in an error; all others must show what is true.
pub(crate) fn noticed(truth: &Audit, seen: &Audit, what: &str) -> Vec<Use> {
    let mut noticed = Vec::new();
    for (used, shown) in seen {
        match shown {
            Err(error) => {
                assert!(error.is_damage(), "{what}: {used:?} ends in {error:?}");
                noticed.push(used.clone());
            }
            Ok(shown) => assert_eq!(Ok(shown), truth[used].as_ref(), "{what}: {used:?} shows what is not true"),
        }
    }
    noticed
}
