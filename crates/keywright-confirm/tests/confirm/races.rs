//! Many concurrent requests, on several servers over one store. Each server has its own queue, so
//! the guard decides.

use std::sync::Arc;

use keywright_confirm::{CancelToken, ConfirmError, Confirmation, Confirmations, SendOutcome, WaitOutcome};
use keywright_core::{Client, SessionId};
use keywright_store::TransactError;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{DELETE, Outcome, START, World, wrong};

const TASKS: usize = 64;

/// Runs `task` on 64 tasks that start together, on four servers in turn. A server that lost too
/// many races returns "busy", which denies.
async fn crowd<T, F>(world: &World, task: impl Fn(usize, Confirmations) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ConfirmError>> + Send + 'static,
{
    let servers: Vec<_> = (10..14).map(|seed| world.another_server(seed, 0)).collect();
    let barrier = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for nth in 0..TASKS {
        let (barrier, work) = (barrier.clone(), task(nth, servers[nth % servers.len()].clone()));
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    let done = tasks.join_all().await;
    done.into_iter()
        .filter_map(|outcome| match outcome {
            Ok(outcome) => Some(outcome),
            Err(ConfirmError::Transact(TransactError::Busy)) => None,
            Err(other) => panic!("{other:?}"),
        })
        .collect()
}

fn count(found: &[Outcome], what: Outcome) -> usize {
    found.iter().filter(|found| **found == what).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_15_4_2_of_64_right_codes_one_is_granted() {
    for _ in 0..5 {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        let found = crowd(&world, |_, server| {
            let (account, code) = (world.account.clone(), code.clone());
            async move { Ok(Outcome::of(server.confirm_code(&account, DELETE, SessionId::new("s"), &code).await?)) }
        })
        .await;
        assert_eq!(count(&found, Outcome::Granted), 1, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nist_3_1_3_2_of_64_right_mailed_codes_one_is_granted_and_none_charged() {
    let world = World::new().await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    let found = crowd(&world, |_, server| {
        let (account, code) = (world.account.clone(), code.clone());
        async move {
            Ok(Outcome::of(
                server.confirm_mailed(&account, DELETE, SessionId::new("s"), &code, Client::unknown()).await?,
            ))
        }
    })
    .await;
    assert_eq!(count(&found, Outcome::Granted), 1, "{found:?}");
    assert_eq!(count(&found, Outcome::Granted) + count(&found, Outcome::Denied), found.len(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_at_the_end_of_a_wait_one_is_granted() {
    let world = World::new().await;
    let (_, earliest) = world.wait(DELETE, SessionId::new("s")).await.unwrap();
    world.set(earliest);
    let granted = crowd(&world, |_, server| {
        let account = world.account.clone();
        async move {
            Ok(matches!(server.confirm_wait(&account, DELETE, SessionId::new("s")).await?, WaitOutcome::Granted(_)))
        }
    })
    .await;
    assert_eq!(granted.iter().filter(|granted| **granted).count(), 1);
}

/// Half of the tasks request again while the others redeem: the first code is granted at most once,
/// and of all codes at most the newest is still valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asks_and_redeems_mixed() {
    let world = World::new().await;
    let first = world.begin_code(&DELETE, SessionId::new("s")).await;
    let outcomes = crowd(&world, |nth, server| {
        let (account, code) = (world.account.clone(), first.clone());
        async move {
            if nth % 2 == 0 {
                let code = server.begin_code(&account, &DELETE, SessionId::new("s")).await?;
                return Ok(Err(code.expose().to_owned()));
            }
            Ok(Ok(Outcome::of(server.confirm_code(&account, DELETE, SessionId::new("s"), &code).await?)))
        }
    })
    .await;
    let granted = outcomes.iter().filter(|outcome| **outcome == Ok(Outcome::Granted)).count();
    assert!(granted <= 1, "{granted}");
    let codes: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    let mut still = 0;
    for code in &codes {
        still += usize::from(world.code(DELETE, SessionId::new("s"), code).await == Outcome::Granted);
    }
    assert!(still <= 1, "{still}");
}

/// 64 concurrent wrong guesses are treated as if they came one after the other: five are checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_6_6_3_parallel_guesses_do_not_outrun_the_limit() {
    let world = World::new().await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    let found = crowd(&world, |_, server| {
        let (account, code) = (world.account.clone(), wrong(&code));
        async move {
            Ok(Outcome::of(
                server.confirm_mailed(&account, DELETE, SessionId::new("s"), &code, Client::unknown()).await?,
            ))
        }
    })
    .await;
    let charged = found.iter().filter(|found| matches!(found, Outcome::Charged(..))).count();
    assert_eq!(charged, 5, "{found:?}");
    assert!(matches!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Refused(_)));

    let code = world.begin_code(&DELETE, SessionId::new("t")).await;
    let found = crowd(&world, |_, server| {
        let (account, code) = (world.account.clone(), wrong(&code));
        async move { Ok(Outcome::of(server.confirm_code(&account, DELETE, SessionId::new("t"), &code).await?)) }
    })
    .await;
    assert_eq!(count(&found, Outcome::Last), 1);
    assert_eq!(world.code(DELETE, SessionId::new("t"), &code).await, Outcome::Denied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_asks_one_mail_goes_out() {
    let world = World::new().await;
    let sent = crowd(&world, |_, server| {
        let account = world.account.clone();
        async move {
            let sending = server.begin_mailed(&account, &DELETE, SessionId::new("s")).await?;
            Ok(matches!(sending, SendOutcome::Send(_)))
        }
    })
    .await;
    assert_eq!(sent.iter().filter(|sent| **sent).count(), 1);
}

/// Either it was withdrawn or it was granted, never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_races_a_redeem() {
    for _ in 0..10 {
        let world = World::new().await;
        let code = world.confirmations.begin_code(&world.account, &DELETE, SessionId::new("s")).await.unwrap();
        let (text, token) = (code.expose().to_owned(), code.cancel_token().to_hex());
        let won = crowd(&world, |nth, server| {
            let (account, text) = (world.account.clone(), text.clone());
            let token = CancelToken::parse(token.expose()).unwrap();
            async move {
                if nth % 2 == 0 {
                    return server.cancel(&account, &token).await;
                }
                let outcome = server.confirm_code(&account, DELETE, SessionId::new("s"), &text).await?;
                Ok(matches!(outcome, Confirmation::Granted(_)))
            }
        })
        .await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(world.now(), START);
    }
}
