//! The cost of an operation: loads and commits.

use keywright_store::{AccountCreation, Draft, Erasure, SlotName, StepError};

use crate::{COUNTER, COUNTERS, NOTES, VOUCHER, VOUCHERS, Voucher, World, count, spend};

/// Loads and commits since `before`.
fn since(world: &World, before: (u64, u64)) -> (u64, u64) {
    (world.loads() - before.0, world.commits() - before.1)
}

fn now(world: &World) -> (u64, u64) {
    (world.loads(), world.commits())
}

#[tokio::test]
async fn sign_up_is_one_load_and_one_commit() {
    let world = World::bare(1);
    let before = now(&world);
    assert_eq!(world.driver.ensure_account(&world.account).await.unwrap(), AccountCreation::Created);
    assert_eq!(since(&world, before), (1, 1));
    let before = now(&world);
    assert_eq!(world.driver.ensure_account(&world.account).await.unwrap(), AccountCreation::AlreadyExists);
    assert_eq!(since(&world, before), (1, 0));
}

#[tokio::test]
async fn an_act_that_names_its_slots_is_one_load_and_one_commit() {
    let world = World::made(2).await;
    let before = now(&world);
    assert!(world.redeem().await.unwrap());
    assert_eq!(since(&world, before), (1, 1), "a grant");
    let before = now(&world);
    assert!(!world.redeem().await.unwrap());
    assert_eq!(since(&world, before), (1, 0), "a refusal");
    let before = now(&world);
    world.driver.observe(&world.partition, VOUCHERS, |draft| draft.read(VOUCHER)).await.unwrap();
    assert_eq!(since(&world, before), (1, 0), "a look");
    let before = now(&world);
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    assert_eq!(since(&world, before), (1, 1), "a change of a record that was not there");
    let before = now(&world);
    assert_eq!(world.driver.erase_account(&world.account).await.unwrap(), Erasure::Erased);
    assert_eq!(since(&world, before), (1, 1), "an erasure");
}

#[tokio::test]
async fn slots_that_were_not_named_are_loaded_in_rounds() {
    let world = World::made(3).await;
    let (before, mut runs) = (now(&world), 0);
    let read = world.driver.transact(&world.partition, &[], |draft| {
        runs += 1;
        Ok((draft.read(VOUCHER)?, draft.read(COUNTER)?))
    });
    assert_eq!(read.await.unwrap(), (Some(Voucher { spent: false }), None));
    assert_eq!((runs, since(&world, before)), (3, (3, 0)), "one by one");

    // Once the slots are known, any number of them takes one round.
    let names: Vec<SlotName> = (0..4).map(|id| NOTES.at([id; 16]).name()).collect();
    let before = now(&world);
    let all = world.driver.transact(&world.partition, VOUCHERS, |draft| {
        draft.read(VOUCHER)?;
        draft.require(&names)?;
        (0..4).map(|id| draft.read(NOTES.at([id; 16]))).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(all.await.unwrap(), [None, None, None, None]);
    assert_eq!(since(&world, before), (2, 0), "all at once");
    assert!(!world.faults.noted_loads().iter().any(|slots| slots.len() > 5));
}

#[tokio::test]
async fn a_slot_that_is_named_twice_is_asked_once() {
    let world = World::made(4).await;
    world.faults.note_loads();
    let twice = [VOUCHER.name(), COUNTER.name(), VOUCHER.name()];
    world.driver.transact(&world.partition, &twice, spend).await.unwrap();
    assert_eq!(world.faults.noted_loads(), [vec![VOUCHER.name(), COUNTER.name()]]);
}

#[tokio::test]
async fn a_step_that_never_stops_asking_is_denied() {
    let world = World::made(5).await;
    let mut next = 0_u8;
    let greedy = world.driver.transact(&world.partition, &[], |draft| {
        next = next.wrapping_add(1);
        draft.read(NOTES.at([next; 16])).map(drop)
    });
    assert!(matches!(greedy.await.unwrap_err(), keywright_store::TransactError::Step(StepError::NotLoaded(_))));
    assert!(world.loads() < 100);
    let repeated = |draft: &mut Draft<'_>| -> Result<(), StepError> {
        draft.read(VOUCHER)?;
        Err(StepError::NotLoaded(vec![VOUCHER.name()]))
    };
    let before = now(&world);
    let denied = world.driver.transact(&world.partition, VOUCHERS, repeated).await;
    assert!(matches!(denied.unwrap_err(), keywright_store::TransactError::Step(StepError::NotLoaded(_))));
    assert_eq!(since(&world, before), (1, 0), "what was loaded is not asked for again");
}

#[tokio::test]
async fn a_grant_that_changes_nothing_commits_a_check() {
    let world = World::made(6).await;
    let (before, root) = (now(&world), world.root());
    let grant = |draft: &mut Draft<'_>| {
        let voucher = draft.read(VOUCHER)?;
        Ok(draft.tentative(voucher))
    };
    let seen = world.driver.run(&world.partition, VOUCHERS, grant).await.unwrap();
    assert_eq!(seen, Some(Voucher { spent: false }));
    assert_eq!(since(&world, before), (1, 1));
    assert_eq!(world.root(), root, "by a batch without a write");
    world.faults.next_commit(keywright_store_conformance::Fault::Conflict);
    let before = now(&world);
    world.driver.run(&world.partition, VOUCHERS, grant).await.unwrap();
    assert_eq!(since(&world, before), (2, 2), "what it rests on is looked at again");
}
