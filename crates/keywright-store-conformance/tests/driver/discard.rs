//! Records that expire are discarded without being loaded.

use keywright_store::{Draft, StepError, TransactError};

use crate::{Counter, TICKETS, VOUCHER, VOUCHERS, World};

const ID: [u8; 16] = [1; 16];

fn issue(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let expiry = draft.now().plus(600);
    draft.put_until(TICKETS.at(ID), &Counter { count: 7 }, expiry)
}

fn has_row(world: &World) -> bool {
    world.glass.rows().records.contains_key(&(world.partition.clone(), TICKETS.at(ID).name()))
}

/// How often the act loads, and the ids that the root lists after it.
async fn run<T: Send>(
    world: &World,
    act: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
) -> (T, usize, Vec<[u8; 16]>) {
    world.faults.note_loads();
    let value = world.driver.transact(&world.partition, VOUCHERS, act).await.unwrap();
    let loads = world.faults.noted_loads().len();
    (value, loads, world.driver.observe(&world.partition, &[], |draft| Ok(draft.ids(&TICKETS))).await.unwrap())
}

#[tokio::test]
async fn what_is_discarded_is_gone_with_one_load() {
    let world = World::made(1).await;
    assert_eq!(run(&world, issue).await, ((), 1, vec![ID]));
    assert!(has_row(&world));
    assert_eq!(run(&world, |draft| draft.discard(TICKETS.at(ID))).await, ((), 1, vec![]));
    assert!(!has_row(&world), "the row goes too");
    // A second time, and an id that never existed.
    for id in [ID, [2; 16]] {
        assert_eq!(run(&world, |draft| draft.discard(TICKETS.at(id))).await, ((), 1, vec![]));
    }
    // Its row was removed in the meantime, which already caused a denial.
    run(&world, issue).await;
    world.glass.edit(|rows| rows.records.remove(&(world.partition.clone(), TICKETS.at(ID).name())));
    assert_eq!(run(&world, |draft| draft.discard(TICKETS.at(ID))).await, ((), 1, vec![]));
    assert_eq!(world.heard.damages(), 0);
}

#[tokio::test]
async fn a_discarded_record_reads_as_absent_and_can_be_put_again() {
    let world = World::made(2).await;
    run(&world, issue).await;
    let read = |draft: &mut Draft<'_>| {
        draft.discard(TICKETS.at(ID))?;
        draft.read(TICKETS.at(ID))
    };
    assert_eq!(run(&world, read).await, (None, 2, vec![]), "a read loads it");
    run(&world, issue).await;
    let again = |draft: &mut Draft<'_>| {
        draft.discard(TICKETS.at(ID))?;
        issue(draft)
    };
    assert_eq!(run(&world, again).await.2, [ID]);
}

/// Held back with the step, and recorded with it.
#[tokio::test]
async fn what_is_not_staged_is_not_discarded() {
    let world = World::made(3).await;
    run(&world, issue).await;
    let held = |draft: &mut Draft<'_>| {
        drop(draft.judge(|draft| draft.discard(TICKETS.at(ID)))?);
        draft.read(VOUCHER).map(drop)
    };
    assert_eq!(run(&world, held).await.2, [ID]);
    let bare = World::bare(4);
    let discard = |draft: &mut Draft<'_>| draft.discard(TICKETS.at(ID));
    let refused = bare.driver.transact(&bare.partition, VOUCHERS, discard).await.unwrap_err();
    assert!(matches!(refused, TransactError::Step(StepError::NoAccount)), "{refused:?}");
}
