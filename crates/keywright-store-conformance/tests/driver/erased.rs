//! An account that was erased: what is left of it goes in time, unless it is used again.

use keywright_store::due::{self, Attempt, DUE, DueWork, NewTask, OnFailure};
use keywright_store::{AccountCreation, Damage, Draft, EVENTS_KEPT, Erasure, Partition, StepError, Upkeep, VaultWrite};

use crate::{Bench, COUNTER, COUNTERS, NOTES, TICKETS, count, step_error};

const DAY: u64 = 86_400;
const DAYS_KEPT: u64 = EVENTS_KEPT / DAY;

/// Days pass, each with its round of upkeep.
async fn days(bench: &Bench, days: u64) {
    for _ in 0..days {
        bench.clock.advance(DAY);
        upkeep(bench).await;
    }
}

async fn upkeep(bench: &Bench) {
    let now = keywright_core::Clock::now(&*bench.clock).unwrap();
    bench.driver.set_horizon(bench.glass.move_horizon(now).await.unwrap());
    bench.glass.sweep(100).await.unwrap();
}

async fn erased(seed: u64) -> Bench {
    let bench = Bench::made(seed).await;
    bench.driver.transact(&bench.account, COUNTERS, count).await.unwrap();
    upkeep(&bench).await;
    assert_eq!(bench.driver.erase_account(&bench.id).await.unwrap(), Erasure::Erased);
    bench
}

async fn counted(bench: &Bench) -> u64 {
    let look = bench.driver.observe(&bench.account, COUNTERS, |draft| draft.read(COUNTER));
    look.await.unwrap().map_or(0, |counter| counter.count)
}

/// What the host owes beside an erase: a notice.
async fn owe(bench: &Bench) -> due::DueTask {
    let step = |draft: &mut Draft<'_>| due::add(draft, NewTask::new("test/notice", Vec::new()));
    bench.driver.transact(&bench.account, &[DUE.name()], step).await.unwrap()
}

#[tokio::test]
async fn what_is_left_of_an_erased_account_goes() {
    let bench = erased(50).await;
    let root = bench.driver.observe(&bench.account, &[], |draft| draft.root()).await.unwrap();
    assert!(root.erased);
    days(&bench, DAYS_KEPT).await;
    assert!(bench.root().is_some(), "its log is kept for as long as logs are");
    days(&bench, 3).await;
    assert_eq!(bench.glass.rows().roots.len(), 0);
    assert_eq!(bench.glass.rows().events.len(), 0);
}

#[tokio::test]
async fn an_erased_account_that_is_made_again_stays() {
    // With an empty list of due work, with work that is due, and without either.
    for (seed, owes, done) in [(51, true, true), (52, true, false), (53, false, false)] {
        let bench = Bench::made(seed).await;
        upkeep(&bench).await;
        let notice = if owes { Some(owe(&bench).await) } else { None };
        bench.driver.erase_account(&bench.id).await.unwrap();
        if let Some(notice) = notice.filter(|_| done) {
            let work = DueWork::new(&bench.driver, &bench.account);
            let notice = [notice];
            let run = work.run(&notice, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) });
            assert_eq!(run.await.unwrap().done, 1);
            assert!(bench.body(DUE.name()).is_none(), "an account that owes nothing has no list");
        }
        assert_eq!(bench.driver.ensure_account(&bench.id).await.unwrap(), AccountCreation::AlreadyExists);
        let look = bench.driver.observe(&bench.account, &[], |draft| Ok((draft.root()?, draft.partition_expiry())));
        let (root, expiry) = look.await.unwrap();
        assert_eq!((root.erased, expiry), (false, None), "owes {owes}, done {done}");
        assert_eq!(bench.driver.transact(&bench.account, COUNTERS, count).await.unwrap(), 1);
        days(&bench, DAYS_KEPT + 3).await;
        assert_eq!(counted(&bench).await, 1, "owes {owes}, done {done}");
    }
}

/// A host that does not say that the account is wanted again: whatever is stored says it.
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
        let bench = erased(seed).await;
        days(&bench, DAYS_KEPT - 1).await;
        bench.driver.transact(&bench.account, &slots, step).await.unwrap();
        let root = bench.driver.observe(&bench.account, &[], |draft| draft.root()).await.unwrap();
        assert!(!root.erased);
        days(&bench, DAYS_KEPT + 3).await;
        assert!(bench.root().is_some(), "use {seed}");
    }
    // What expires because it was never verified is another thing: a record does not keep it.
    let bench = Bench::made(58).await;
    upkeep(&bench).await;
    let expire = |draft: &mut Draft<'_>| draft.expire_partition(draft.now());
    bench.driver.transact(&bench.account, &[], expire).await.unwrap();
    bench.driver.transact(&bench.account, COUNTERS, count).await.unwrap();
    days(&bench, 3).await;
    assert!(bench.root().is_none());
}

/// Nor does a look, a removal, or the work that is still due: this only puts the end off.
#[tokio::test]
async fn what_is_due_does_not_keep_an_erased_account_for_good() {
    let bench = Bench::made(59).await;
    upkeep(&bench).await;
    let mut tasks = vec![owe(&bench).await];
    bench.driver.erase_account(&bench.id).await.unwrap();
    bench.driver.transact(&bench.account, COUNTERS, |draft| draft.delete(COUNTER)).await.unwrap();
    let work = DueWork::new(&bench.driver, &bench.account);
    for _ in 0..DAYS_KEPT + 30 {
        let _ = work.run(&tasks, OnFailure::Stop, |_| async { Err::<Attempt, _>("down") }).await.unwrap();
        days(&bench, 1).await;
        tasks = work.claim(|_| true).await.unwrap();
        assert_eq!(tasks.len(), 1, "the notice is still to be given");
    }
    let done = work.run(&tasks, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) }).await.unwrap();
    assert_eq!(done.done, 1);
    days(&bench, 3).await;
    assert!(bench.root().is_none());
}

/// A root that was dropped alone is damage for whoever asks whether there is an account, never the answer "no".
#[tokio::test]
async fn a_root_that_was_dropped_alone_is_not_no_account() {
    let bench = Bench::made(60).await;
    let whole = bench.glass.rows();
    bench.glass.edit(|rows| rows.roots.remove(&bench.account));
    let rows = bench.glass.rows();
    let damaged = StepError::Damaged(Damage::Orphans);
    assert_eq!(step_error(bench.driver.erase_account(&bench.id).await), damaged);
    assert_eq!(step_error(bench.driver.reseal(&bench.account).await), damaged);
    assert_eq!(bench.heard.damages(), 2, "each was reported");
    assert_eq!(bench.glass.rows(), rows);
    bench.glass.edit(|rows| *rows = whole);
    assert!(bench.redeem().await.unwrap());
    let nobody = keywright_core::AccountId::new("nobody").unwrap();
    assert_eq!(bench.driver.erase_account(&nobody).await.unwrap(), Erasure::NoAccount);
    for partition in [Partition::account(&nobody), Partition::name(&[1; 32]), Partition::server()] {
        assert!(!bench.driver.reseal(&partition).await.unwrap(), "{partition:?}");
    }
}
