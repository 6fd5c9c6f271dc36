//! Many opens at once, with one token or with several.

use std::sync::Arc;

use keywright_nextcloud::NextcloudPolicy;
use keywright_sqlite::SqliteStore;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{charged, code, enrolled, recovery};
use crate::support::{Answer, World, secret};

/// Runs a test on both stores.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    test(World::new().await).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
    test(World::on(store, NextcloudPolicy::default()).await).await;
}

/// 64 concurrent opens on two servers over one store, each with its proof and token.
async fn at_once(world: &World, sent: impl Fn(usize) -> (String, Value)) -> Vec<Answer> {
    let other = world.restarted(2);
    let mut set = JoinSet::new();
    for n in 0..64 {
        let (proof, token) = sent(n);
        let mut client = world.token(&format!("t{}", n % 16));
        if n % 2 == 1 {
            client.app = other.app.clone();
        }
        set.spawn(async move {
            loop {
                let answer = client.open_with(&proof, token.clone()).await;
                // Busy: two servers met. The client's repeat must succeed (`docs/decisions.md` 13).
                if answer.status != 503 {
                    return answer;
                }
            }
        });
    }
    set.join_all().await
}

fn with(answers: &[Answer], status: u16, id: &str) -> usize {
    answers.iter().filter(|answer| answer.error() == (status, id.into())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_opens_with_one_code_exactly_one_succeeds() {
    on_both(async |world: World| {
        enrolled(&world).await;
        let answers = at_once(&world, |_| (secret(1), json!({"totp": code(0)}))).await;
        assert_eq!((with(&answers, 200, ""), with(&answers, 401, "8b4f02b4")), (1, 63));
        assert_eq!(world.count_events("session_opened").await, 1);
        assert_eq!(world.count_events("totp_accepted").await, 1);
        assert_eq!(charged(&world, "totp").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_opens_with_one_or_two_recovery_codes_one_or_two_succeed() {
    for different in [1, 2] {
        on_both(async |world: World| {
            enrolled(&world).await;
            let codes = recovery(&world).await;
            let answers = at_once(&world, |n| (secret(1), json!({"backup_codes": codes[n / 2 % different]}))).await;
            assert_eq!((with(&answers, 200, ""), with(&answers, 401, "8b4f02b4")), (different, 64 - different));
            assert_eq!(world.count_events("recovery_code_used").await, different);
        })
        .await;
    }
}

/// Of a crowd with one code and wrong passphrases, one has its passphrase checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_buys_one_look_at_the_passphrase() {
    on_both(async |world: World| {
        enrolled(&world).await;
        let answers = at_once(&world, |_| (secret(9), json!({"totp": code(0)}))).await;
        assert_eq!((with(&answers, 401, "ab6e13ba"), with(&answers, 401, "8b4f02b4")), (1, 63));
        assert_eq!(charged(&world, "challenge").await, 1);
    })
    .await;
}
