//! An account that was erased: what is left of it is removed in time, unless the account is used
//! again.

use keywright_store::due::{self, Attempt, DUE, DueWork, NewTask, OnFailure};
use keywright_store::{AccountCreation, Damage, Draft, EVENTS_KEPT, Erasure, Partition, StepError, Upkeep, VaultWrite};

use crate::{COUNTER, COUNTERS, NOTES, TICKETS, World, count, step_error};

const DAY: u64 = 86_400;
const DAYS_KEPT: u64 = EVENTS_KEPT / DAY;

/// Days pass, each with its round of upkeep.
async fn days(world: &World, days: u64) {
    for _ in 0..days {
        world.clock.advance(DAY);
        upkeep(world).await;
    }
}

async fn upkeep(world: &World) {
    let now = keywright_core::Clock::now(&*world.clock).unwrap();
    world.driver.set_horizon(world.glass.move_horizon(now).await.unwrap());
    world.glass.sweep(100).await.unwrap();
}

async fn erased(seed: u64) -> World {
    let world = World::made(seed).await;
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    upkeep(&world).await;
    assert_eq!(world.driver.erase_account(&world.account).await.unwrap(), Erasure::Erased);
    world
}

async fn counted(world: &World) -> u64 {
    let look = world.driver.observe(&world.partition, COUNTERS, |draft| draft.read(COUNTER));
    look.await.unwrap().map_or(0, |counter| counter.count)
}

/// Work of the host that is due beside an erase: a notice.
async fn owe(world: &World) -> due::DueTask {
    let step = |draft: &mut Draft<'_>| due::add(draft, NewTask::new("test/notice", Vec::new()));
    world.driver.transact(&world.partition, &[DUE.name()], step).await.unwrap()
}

#[tokio::test]
async fn what_is_left_of_an_erased_account_goes() {
    let world = erased(50).await;
    let root = world.driver.observe(&world.partition, &[], |draft| draft.root()).await.unwrap();
    assert!(root.erased);
    days(&world, DAYS_KEPT).await;
    assert!(world.root().is_some(), "its log is kept for as long as logs are");
    days(&world, 3).await;
    assert_eq!(world.glass.rows().roots.len(), 0);
    assert_eq!(world.glass.rows().events.len(), 0);
}

#[tokio::test]
async fn an_erased_account_that_is_made_again_stays() {
    // With an empty list of due work, with work that is due, and without either.
    for (seed, owes, done) in [(51, true, true), (52, true, false), (53, false, false)] {
        let world = World::made(seed).await;
        upkeep(&world).await;
        let notice = if owes { Some(owe(&world).await) } else { None };
        world.driver.erase_account(&world.account).await.unwrap();
        if let Some(notice) = notice.filter(|_| done) {
            let work = DueWork::new(&world.driver, &world.partition);
            let notice = [notice];
            let run = work.run(&notice, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) });
            assert_eq!(run.await.unwrap().done, 1);
            assert!(world.body(DUE.name()).is_none(), "an account that owes nothing has no list");
        }
        assert_eq!(world.driver.ensure_account(&world.account).await.unwrap(), AccountCreation::AlreadyExists);
        let look = world.driver.observe(&world.partition, &[], |draft| Ok((draft.root()?, draft.partition_expiry())));
        let (root, expiry) = look.await.unwrap();
        assert_eq!((root.erased, expiry), (false, None), "owes {owes}, done {done}");
        assert_eq!(world.driver.transact(&world.partition, COUNTERS, count).await.unwrap(), 1);
        days(&world, DAYS_KEPT + 3).await;
        assert_eq!(counted(&world).await, 1, "owes {owes}, done {done}");
    }
}

/// A host that does not report that the account is used again. Anything that is stored shows it.
#[tokio::test]
async fn an_erased_account_that_is_used_again_stays() {
    type Step = fn(&mut Draft<'_>) -> Result<(), StepError>;
    let uses: [Step; 4] = [
        |draft| count(draft).map(drop),
        |draft| draft.put(NOTES.at([1; 16]), &crate::Counter { count: 1 }),
        |draft| draft.put_until(TICKETS.at([1; 16]), &crate::Counter { count: 1 }, draft.now().plus(60)),
        |draft| draft.write_vault(VaultWrite::Edit { put: Vec::new(), delete: Vec::new() }),
    ];
    let slots = [COUNTER.name(), NOTES.at([1; 16]).name(), TICKETS.at([1; 16]).name()];
    for (seed, step) in (54..).zip(uses) {
        let world = erased(seed).await;
        days(&world, DAYS_KEPT - 1).await;
        world.driver.transact(&world.partition, &slots, step).await.unwrap();
        let root = world.driver.observe(&world.partition, &[], |draft| draft.root()).await.unwrap();
        assert!(!root.erased);
        days(&world, DAYS_KEPT + 3).await;
        assert!(world.root().is_some(), "use {seed}");
    }
    // An expiry because of a missing verification is different: a record does not keep such an
    // account.
    let world = World::made(58).await;
    upkeep(&world).await;
    let expire = |draft: &mut Draft<'_>| draft.expire_partition(draft.now());
    world.driver.transact(&world.partition, &[], expire).await.unwrap();
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    days(&world, 3).await;
    assert!(world.root().is_none());
}

/// Neither does a read, a removal, or work that is still due, which only postpones the end.
#[tokio::test]
async fn what_is_due_does_not_keep_an_erased_account_for_good() {
    let world = World::made(59).await;
    upkeep(&world).await;
    let mut tasks = vec![owe(&world).await];
    world.driver.erase_account(&world.account).await.unwrap();
    world.driver.transact(&world.partition, COUNTERS, |draft| draft.delete(COUNTER)).await.unwrap();
    let work = DueWork::new(&world.driver, &world.partition);
    for _ in 0..DAYS_KEPT + 30 {
        let _ = work.run(&tasks, OnFailure::Stop, |_| async { Err::<Attempt, _>("down") }).await.unwrap();
        days(&world, 1).await;
        tasks = work.claim(|_| true).await.unwrap();
        assert_eq!(tasks.len(), 1, "the notice is still to be given");
    }
    let done = work.run(&tasks, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) }).await.unwrap();
    assert_eq!(done.done, 1);
    days(&world, 3).await;
    assert!(world.root().is_none());
}

/// A root that was dropped alone is damage to a caller that checks whether an account exists, and
/// never the answer "no".
#[tokio::test]
async fn a_root_that_was_dropped_alone_is_not_no_account() {
    let world = World::made(60).await;
    let whole = world.glass.rows();
    world.glass.edit(|rows| rows.roots.remove(&world.partition));
    let rows = world.glass.rows();
    let damaged = StepError::Damaged(Damage::Orphans);
    assert_eq!(step_error(world.driver.erase_account(&world.account).await), damaged);
    assert_eq!(step_error(world.driver.reseal(&world.partition).await), damaged);
    assert_eq!(world.heard.damages(), 2, "each was reported");
    assert_eq!(world.glass.rows(), rows);
    world.glass.edit(|rows| *rows = whole);
    assert!(world.redeem().await.unwrap());
    let nobody = keywright_core::AccountId::new("nobody").unwrap();
    assert_eq!(world.driver.erase_account(&nobody).await.unwrap(), Erasure::NoAccount);
    for partition in [Partition::account(&nobody), Partition::name(&[1; 32]), Partition::server()] {
        assert!(!world.driver.reseal(&partition).await.unwrap(), "{partition:?}");
    }
}
