//! Due work: what is struck, what is given back, and what stays claimed.

use std::cell::RefCell;

use keywright_store::due::{self, Attempt, CLAIM_LASTS, DueTask, DueWork, OnFailure};
use keywright_store::{Slot, TransactError};
use keywright_store_conformance::{Fault, Odds};

use crate::Bench;

const OWN: [&str; 3] = ["test/a", "test/b", "test/c"];

fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}

/// Three tasks of this part's and one of another's, claimed by who committed them.
async fn owing(bench: &Bench) -> Vec<DueTask> {
    let add = bench.driver.transact(&bench.account, &[Slot::Due], |draft| {
        due::add(draft, "host/mail", Vec::new())?;
        OWN.iter().map(|name| due::add(draft, name, Vec::new())).collect()
    });
    add.await.unwrap().0
}

/// What is due by name, and whether it is free.
async fn left(bench: &Bench) -> Vec<(String, bool)> {
    let look = bench.driver.observe(&bench.account, &[Slot::Due], |draft| {
        let now = draft.now();
        Ok(due::pending(draft)?.into_iter().map(|task| (task.is_free(now), task.name)).collect::<Vec<_>>())
    });
    look.await.unwrap().into_iter().map(|(free, name)| (name, free)).filter(|(name, _)| name != "host/mail").collect()
}

fn named(tasks: &[(&str, bool)]) -> Vec<(String, bool)> {
    tasks.iter().map(|&(name, free)| (name.to_owned(), free)).collect()
}

/// Works off all three; `b` fails, or is put off.
async fn run(
    bench: &Bench,
    tasks: &[DueTask],
    held: bool,
    on_failure: OnFailure,
    b: Result<Attempt, &'static str>,
) -> (Result<due::Worked<&'static str>, TransactError>, Vec<String>) {
    let tried = RefCell::new(Vec::new());
    let attempt = |task: &DueTask| {
        tried.borrow_mut().push(task.name.clone());
        let result = if task.name == "test/b" { b } else { Ok(Attempt::Done) };
        async move { result }
    };
    let worked = if held {
        let turn = bench.driver.turn(&bench.account).await.unwrap();
        DueWork::held(&bench.driver, &turn).work_off(tasks, on_failure, attempt).await
    } else {
        DueWork::unheld(&bench.driver, &bench.account).work_off(tasks, on_failure, attempt).await
    };
    (worked, tried.into_inner())
}

#[tokio::test]
async fn what_is_done_is_struck_and_what_was_put_off_stays_claimed() {
    for held in [true, false] {
        let bench = Bench::made(30).await;
        let tasks = owing(&bench).await;
        let (worked, tried) = run(&bench, &tasks, held, OnFailure::Stop, Ok(Attempt::Later)).await;
        assert_eq!((worked.unwrap().result(), tried.len()), (Ok(2), 3));
        assert_eq!(left(&bench).await, named(&[("test/b", false)]));
        let work = DueWork::unheld(&bench.driver, &bench.account);
        assert_eq!(work.claim(is_own).await.unwrap(), []);
        bench.clock.advance(CLAIM_LASTS);
        let again = work.claim(is_own).await.unwrap();
        assert_eq!(again.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["test/b"], "never another part's");
    }
}

#[tokio::test]
async fn a_failure_gives_back_all_that_is_left_or_itself_alone() {
    for held in [true, false] {
        let bench = Bench::made(31).await;
        let tasks = owing(&bench).await;
        let (worked, tried) = run(&bench, &tasks, held, OnFailure::Stop, Err("down")).await;
        assert_eq!((worked.unwrap().result(), tried.len()), (Err("down"), 2));
        assert_eq!(left(&bench).await, named(&[("test/b", true), ("test/c", true)]));

        let bench = Bench::made(32).await;
        let tasks = owing(&bench).await;
        let (worked, tried) = run(&bench, &tasks, held, OnFailure::GoOn, Err("down")).await;
        let worked = worked.unwrap();
        assert_eq!((worked.done, worked.failure, tried.len()), (2, Some("down"), 3));
        assert_eq!(left(&bench).await, named(&[("test/b", true)]));
    }
}

#[tokio::test]
async fn a_store_that_fails_keeps_the_claims() {
    for (on_failure, b) in [(OnFailure::Stop, Ok(Attempt::Done)), (OnFailure::GoOn, Err("down"))] {
        let bench = Bench::made(33).await;
        let tasks = owing(&bench).await;
        bench.store.next_commit(Fault::None);
        bench.store.next_commit(Fault::Rejected);
        let (worked, tried) = run(&bench, &tasks, false, on_failure, b).await;
        assert!(matches!(worked, Err(TransactError::Rejected(_))));
        assert_eq!(tried.len(), 2, "nothing more is done that could not be struck");
        assert_eq!(left(&bench).await, named(&[("test/b", false), ("test/c", false)]));
    }
}

#[tokio::test]
async fn a_failure_is_told_even_if_its_claim_cannot_be_given_back() {
    let bench = Bench::made(34).await;
    let tasks = owing(&bench).await;
    bench.store.next_commit(Fault::None);
    bench.store.next_commit(Fault::Rejected);
    let worked = run(&bench, &tasks, true, OnFailure::Stop, Err("down")).await.0.unwrap();
    assert!(matches!(worked.unreleased, Some(TransactError::Rejected(_))));
    assert_eq!(worked.result(), Err("down"));
    assert_eq!(left(&bench).await, named(&[("test/b", false), ("test/c", false)]));
}

#[tokio::test]
async fn somebody_elses_claim_is_not_struck() {
    let bench = Bench::made(35).await;
    let tasks = owing(&bench).await;
    bench.clock.advance(CLAIM_LASTS);
    let other = bench.server();
    let theirs = DueWork::unheld(&other, &bench.account).claim(is_own).await.unwrap();
    assert_eq!(theirs.len(), 3);
    let worked = run(&bench, &tasks, false, OnFailure::Stop, Ok(Attempt::Done)).await.0.unwrap();
    assert_eq!(worked.done, 3, "done it was");
    assert_eq!(left(&bench).await.len(), 3, "they do it again, and strike it then");
}

#[tokio::test]
async fn every_fault_is_one_of_the_odds_own() {
    let bench = Bench::made(36).await;
    bench.store.note_loads();
    for (odds, unread) in [(Odds::FULL, false), (Odds::SILENT, false), (Odds::UNREADABLE, true)] {
        bench.store.randomise(0, odds);
        for _ in 0..20 {
            let error = bench.redeem().await.unwrap_err();
            assert_eq!(matches!(error, TransactError::Load(_)), unread, "{error:?}");
        }
        bench.store.calm();
    }
    assert!(bench.store.noted_loads().len() >= 60);
    bench.store.note_loads();
    assert!(bench.redeem().await.unwrap());
    assert_eq!(bench.store.noted_loads(), [vec![Slot::Root, crate::VOUCHER]]);
}
