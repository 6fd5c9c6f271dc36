//! What an act costs: loads and commits.

use keywright_store::{AccountCreation, Draft, Erasure, SlotName, StepError};

use crate::{Bench, COUNTER, COUNTERS, NOTES, VOUCHER, VOUCHERS, Voucher, count, spend};

/// Loads and commits since `before`.
fn since(bench: &Bench, before: (u64, u64)) -> (u64, u64) {
    (bench.loads() - before.0, bench.commits() - before.1)
}

fn now(bench: &Bench) -> (u64, u64) {
    (bench.loads(), bench.commits())
}

#[tokio::test]
async fn sign_up_is_one_load_and_one_commit() {
    let bench = Bench::bare(1);
    let before = now(&bench);
    assert_eq!(bench.driver.ensure_account(&bench.id).await.unwrap(), AccountCreation::Created);
    assert_eq!(since(&bench, before), (1, 1));
    let before = now(&bench);
    assert_eq!(bench.driver.ensure_account(&bench.id).await.unwrap(), AccountCreation::AlreadyExists);
    assert_eq!(since(&bench, before), (1, 0));
}

#[tokio::test]
async fn an_act_that_names_its_slots_is_one_load_and_one_commit() {
    let bench = Bench::made(2).await;
    let before = now(&bench);
    assert!(bench.redeem().await.unwrap());
    assert_eq!(since(&bench, before), (1, 1), "a grant");
    let before = now(&bench);
    assert!(!bench.redeem().await.unwrap());
    assert_eq!(since(&bench, before), (1, 0), "a refusal");
    let before = now(&bench);
    bench.driver.observe(&bench.account, VOUCHERS, |draft| draft.read(VOUCHER)).await.unwrap();
    assert_eq!(since(&bench, before), (1, 0), "a look");
    let before = now(&bench);
    bench.driver.transact(&bench.account, COUNTERS, count).await.unwrap();
    assert_eq!(since(&bench, before), (1, 1), "a change of a record that was not there");
    let before = now(&bench);
    assert_eq!(bench.driver.erase_account(&bench.id).await.unwrap(), Erasure::Erased);
    assert_eq!(since(&bench, before), (1, 1), "an erasure");
}

#[tokio::test]
async fn slots_that_were_not_named_are_loaded_in_rounds() {
    let bench = Bench::made(3).await;
    let (before, mut runs) = (now(&bench), 0);
    let read = bench.driver.transact(&bench.account, &[], |draft| {
        runs += 1;
        Ok((draft.read(VOUCHER)?, draft.read(COUNTER)?))
    });
    assert_eq!(read.await.unwrap(), (Some(Voucher { spent: false }), None));
    assert_eq!((runs, since(&bench, before)), (3, (3, 0)), "one by one");

    // As many as there are are one round, once they are known.
    let names: Vec<SlotName> = (0..4).map(|id| NOTES.at([id; 16]).name()).collect();
    let before = now(&bench);
    let all = bench.driver.transact(&bench.account, VOUCHERS, |draft| {
        draft.read(VOUCHER)?;
        draft.require(&names)?;
        (0..4).map(|id| draft.read(NOTES.at([id; 16]))).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(all.await.unwrap(), [None, None, None, None]);
    assert_eq!(since(&bench, before), (2, 0), "all at once");
    assert!(!bench.store.noted_loads().iter().any(|slots| slots.len() > 5));
}

#[tokio::test]
async fn a_slot_that_is_named_twice_is_asked_once() {
    let bench = Bench::made(4).await;
    bench.store.note_loads();
    let twice = [VOUCHER.name(), COUNTER.name(), VOUCHER.name()];
    bench.driver.transact(&bench.account, &twice, spend).await.unwrap();
    assert_eq!(bench.store.noted_loads(), [vec![VOUCHER.name(), COUNTER.name()]]);
}

#[tokio::test]
async fn a_step_that_never_stops_asking_is_denied() {
    let bench = Bench::made(5).await;
    let mut next = 0_u8;
    let greedy = bench.driver.transact(&bench.account, &[], |draft| {
        next = next.wrapping_add(1);
        draft.read(NOTES.at([next; 16])).map(drop)
    });
    assert!(matches!(greedy.await.unwrap_err(), keywright_store::TransactError::Step(StepError::NotLoaded(_))));
    assert!(bench.loads() < 100);
    let repeated = |draft: &mut Draft<'_>| -> Result<(), StepError> {
        draft.read(VOUCHER)?;
        Err(StepError::NotLoaded(vec![VOUCHER.name()]))
    };
    let before = now(&bench);
    let denied = bench.driver.transact(&bench.account, VOUCHERS, repeated).await;
    assert!(matches!(denied.unwrap_err(), keywright_store::TransactError::Step(StepError::NotLoaded(_))));
    assert_eq!(since(&bench, before), (1, 0), "what was loaded is not asked for again");
}

#[tokio::test]
async fn a_grant_that_changes_nothing_commits_a_check() {
    let bench = Bench::made(6).await;
    let (before, root) = (now(&bench), bench.root());
    let grant = |draft: &mut Draft<'_>| {
        let voucher = draft.read(VOUCHER)?;
        Ok(draft.tentative(voucher))
    };
    let seen = bench.driver.run(&bench.account, VOUCHERS, grant).await.unwrap();
    assert_eq!(seen, Some(Voucher { spent: false }));
    assert_eq!(since(&bench, before), (1, 1));
    assert_eq!(bench.root(), root, "by a batch without a write");
    bench.store.next_commit(keywright_store_conformance::Fault::Conflict);
    let before = now(&bench);
    bench.driver.run(&bench.account, VOUCHERS, grant).await.unwrap();
    assert_eq!(since(&bench, before), (2, 2), "what it rests on is looked at again");
}
