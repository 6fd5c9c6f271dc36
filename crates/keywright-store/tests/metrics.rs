//! What the driver counts when other servers, the store and due work fail it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_lite::future::block_on;
use keywright_core::{Attempt, Client, Generation, SecretKind};
use keywright_store::due::{self, DUE, NewTask};
use keywright_store::guess::{self, AttemptOutcome, Comparison, LEDGER};
use keywright_store::metrics::{self, OUTCOMES};
use keywright_store::{CommitError, Draft, MemoryStore, Partition, StepError};
use keywright_testing::{Call, HookedStore, Reply, World};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Runs work with a recorder of its own, and returns what it has recorded.
fn recorded(work: impl Future<Output = ()>) -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        metrics::describe();
        block_on(work);
    });
    handle
}

#[track_caller]
fn shows(recorded: &PrometheusHandle, sample: &str) {
    let shown = recorded.render();
    assert!(shown.lines().any(|line| line == sample), "{sample}\n{shown}");
}

async fn hooked() -> (Arc<HookedStore<MemoryStore>>, World) {
    let store = HookedStore::memory();
    let world = World::builder().store(Arc::clone(&store) as _).accounts(["alice"]).build().await;
    (store, world)
}

#[test]
fn a_conflict_is_counted_with_its_rerun() {
    let recorded = recorded(async {
        let (store, world) = hooked().await;
        let (other, alice) = (world.server(7), Partition::account(&World::id("alice")));
        // Another server commits first, once.
        let others = Arc::new(AtomicU32::new(1));
        let hook_alice = alice.clone();
        store.before_writes(move |call| {
            let is_first = matches!(call, Call::Commit(_)) && others.swap(0, Ordering::SeqCst) == 1;
            let (other, alice) = (other.clone(), hook_alice.clone());
            async move {
                if is_first {
                    other.named("other_server").transact(&alice, &[DUE.name()], add).await.unwrap();
                }
                Ok(())
            }
        });
        world.server(8).named("ours").transact(&alice, &[DUE.name()], add).await.unwrap();
    });
    shows(&recorded, "keywright_commit_conflicts_total{operation=\"ours\"} 1");
    shows(&recorded, "keywright_reruns_total{operation=\"ours\"} 1");
    shows(&recorded, "keywright_operations_total{operation=\"ours\",outcome=\"committed\"} 1");
    shows(&recorded, "keywright_operations_total{operation=\"other_server\",outcome=\"committed\"} 1");
}

#[test]
fn a_lost_reply_is_counted_and_a_store_that_refuses() {
    let recorded = recorded(async {
        let (store, world) = hooked().await;
        let (driver, alice) = (world.server(7), Partition::account(&World::id("alice")));
        store.after(|reply| {
            if let Reply::Commit(answer) = reply {
                *answer = Err(CommitError::Unknown("lost".into()));
            }
        });
        driver.named("lost").transact(&alice, &[DUE.name()], add).await.unwrap();
        store.after(|reply| {
            if let Reply::Commit(answer) = reply {
                *answer = Err(CommitError::Rejected("full".into()));
            }
        });
        driver.named("full").transact(&alice, &[DUE.name()], add).await.unwrap_err();
        let refuse = |_: &mut Draft<'_>| Err::<(), _>(StepError::NoAccount);
        driver.named("denied").transact(&alice, &[], refuse).await.unwrap_err();
    });
    shows(&recorded, "keywright_unknown_commits_total{operation=\"lost\"} 1");
    shows(&recorded, "keywright_operations_total{operation=\"lost\",outcome=\"committed\"} 1");
    shows(&recorded, "keywright_operations_total{operation=\"full\",outcome=\"rejected\"} 1");
    shows(&recorded, "keywright_operations_total{operation=\"denied\",outcome=\"refused\"} 1");
    let shown = recorded.render();
    for line in shown.lines().filter(|line| line.starts_with("keywright_operations_total")) {
        assert!(OUTCOMES.iter().any(|outcome| line.contains(&format!("outcome=\"{outcome}\""))), "{line}");
    }
}

#[test]
fn due_work_that_fails_is_counted_once_committed() {
    let recorded = recorded(async {
        let (_, world) = hooked().await;
        let (driver, alice) = (world.server(7), Partition::account(&World::id("alice")));
        driver.transact(&alice, &[DUE.name()], add).await.unwrap();
        let claimed = driver.transact(&alice, &[DUE.name()], |draft| due::claim_now(draft, |_| true)).await.unwrap();
        assert_eq!(claimed.len(), 1);
        driver.transact(&alice, &[DUE.name()], |draft| due::release(draft, &claimed)).await.unwrap();
        // It is no longer claimed, so nothing is released.
        driver.transact(&alice, &[DUE.name()], |draft| due::release(draft, &claimed)).await.unwrap();
    });
    shows(&recorded, "keywright_due_failures_total 1");
    assert!(recorded.render().contains("keywright_commit_seconds"));
}

/// A flood is refused by reads alone, and an operator sees it nevertheless.
#[test]
fn a_refusal_that_was_only_looked_up_is_counted() {
    let attempt = Attempt::new(SecretKind::new("test"), Generation::HOST, Client::unknown());
    let recorded = recorded(async {
        let (_, world) = hooked().await;
        let (driver, alice) = (world.server(7), Partition::account(&World::id("alice")));
        let slots = [LEDGER.name()];
        let peek = |draft: &mut Draft<'_>| guess::peek_refusal(draft, &attempt);
        assert!(driver.named("early").observe(&alice, &slots, peek).await.unwrap().is_none());
        loop {
            let check = |draft: &mut Draft<'_>| {
                let outcome = guess::check(draft, &attempt, |_| Ok(Comparison::<()>::Wrong))?;
                Ok(matches!(outcome, AttemptOutcome::Refused(_)))
            };
            if driver.named("guess").transact(&alice, &slots, check).await.unwrap() {
                break;
            }
        }
        assert!(driver.named("peek").observe(&alice, &slots, peek).await.unwrap().is_some());
        let standing = |draft: &mut Draft<'_>| guess::peek_standing(draft, &attempt);
        assert!(driver.named("standing").observe(&alice, &slots, standing).await.unwrap().is_none());
    });
    shows(&recorded, "keywright_waits_told_total{operation=\"guess\"} 1");
    shows(&recorded, "keywright_waits_told_total{operation=\"peek\"} 1");
    let shown = recorded.render();
    for operation in ["early", "standing"] {
        assert!(!shown.contains(&format!("keywright_waits_told_total{{operation=\"{operation}\"}}")), "{shown}");
    }
}

fn add(draft: &mut Draft<'_>) -> Result<(), StepError> {
    due::add(draft, NewTask::new("test-task", b"detail".to_vec())).map(drop)
}
