//! Real concurrency, in memory and on SQLite: nothing is granted twice, no budget is outrun, and the owner gets in.

use std::future::Future;
use std::sync::Arc;

use keywright_nextcloud::NextcloudPolicy;
use keywright_sqlite::SqliteStore;
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Answer, Client, World, secret};

/// Runs a test on both stores.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    test(World::new().await).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
    test(World::on(store, NextcloudPolicy::default()).await).await;
}

/// Runs all clients concurrently and returns their answers, in no order, each with its client.
async fn at_once<F>(clients: Vec<Client>, act: impl Fn(usize, Client) -> F) -> Vec<(Client, Answer)>
where
    F: Future<Output = (Client, Answer)> + Send + 'static,
{
    let start = Arc::new(Barrier::new(clients.len()));
    let mut set = JoinSet::new();
    for (n, client) in clients.into_iter().enumerate() {
        let (start, act) = (Arc::clone(&start), act(n, client));
        set.spawn(async move {
            start.wait().await;
            act.await
        });
    }
    set.join_all().await
}

fn with_status(answers: &[(Client, Answer)], status: u16) -> usize {
    answers.iter().filter(|(_, answer)| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_right_proofs_all_open() {
    on_both(async |world: World| {
        world.with_challenge().await;
        let mut clients = vec![world.token("phone"); 32];
        clients.extend(vec![world.password(); 32]);
        let answers = at_once(clients, |_, mut client| async move {
            let answer = client.open(&secret(1)).await;
            (client, answer)
        })
        .await;
        assert_eq!(with_status(&answers, 200), 64);
        assert_eq!(world.count_events("session_opened").await, 64);
        assert_eq!(world.charged("challenge").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_replacements_with_the_right_old_secret_exactly_one_wins() {
    on_both(async |world: World| {
        world.with_challenge().await.get("session/close").await;
        let mut sessions = Vec::new();
        for n in 0..16 {
            sessions.push(world.opened(&format!("t{n}")).await);
        }
        // Sixteen is what an account may have: four at once through each.
        let clients = sessions.iter().flat_map(|session| vec![session.clone(); 4]).collect();
        let answers = at_once(clients, |n, mut client| async move {
            let new = secret(u8::try_from(n).unwrap() + 100);
            let mut answer = client.set(&new, Some(&secret(1))).await;
            answer.headers.insert("x-tried", new.parse().unwrap());
            (client, answer)
        })
        .await;
        assert_eq!(with_status(&answers, 200), 1);
        assert_eq!(world.count_events("challenge_replaced").await, 1);
        for (_, answer) in &answers {
            // Checked against the new challenge and counted, or too late for the gate, or locked
            // out by the others' failures.
            assert!(matches!(answer.status, 200 | 401 | 403 | 412 | 429 | 503), "{answer:?}");
        }
        let (winner, answer) = answers.iter().find(|(_, answer)| answer.status == 200).unwrap();
        let mut winner = winner.clone();
        assert!(winner.is_authorized().await);
        winner.session = None;
        assert_eq!(winner.open(answer.header("x-tried").unwrap()).await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_first_challenges_exactly_one_wins() {
    on_both(async |world: World| {
        let clients = (0..64).map(|n| world.token(&format!("t{}", n % 16))).collect();
        let answers = at_once(clients, |n, mut client| async move {
            let answer = client.set(&secret(u8::try_from(n).unwrap()), None).await;
            (client, answer)
        })
        .await;
        assert_eq!(with_status(&answers, 200), 1);
        assert_eq!(with_status(&answers, 401) + with_status(&answers, 412), 63);
        assert_eq!(world.count_events("challenge_set").await, 1);
    })
    .await;
}

/// 1,000 wrong proofs by unknown clients, and the owner on a known token in the middle of them.
async fn flood(world: World, guesser: impl Fn(usize) -> Client) {
    world.with_challenge().await;
    let owner = world.opened("phone").await;
    let mut clients: Vec<Client> = (0..1_000).map(guesser).collect();
    for at in [100, 500, 900] {
        let mut owner = owner.clone();
        owner.session = None;
        clients[at] = owner;
    }
    let answers = at_once(clients, |n, mut client| async move {
        let own = matches!(n, 100 | 500 | 900);
        let mut answer = client.open(&secret(if own { 1 } else { 9 })).await;
        if own {
            answer.headers.insert("x-owner", "1".parse().unwrap());
        }
        (client, answer)
    })
    .await;
    for (_, answer) in &answers {
        assert_eq!(answer.status == 200, answer.header("x-owner").is_some(), "{answer:?}");
        // A bounded number of unknown clients waits; the others get the answer for a busy account.
        assert!(matches!(answer.status, 200 | 401 | 429 | 503), "{answer:?}");
    }
    let looked_at = answers.iter().filter(|(_, answer)| {
        matches!((answer.status, answer.json()["id"].as_str()), (401, Some("ab6e13ba")) | (403, Some("b927b225")))
    });
    // At one moment, with the clock standing still, unknown clients have five tries, and four more for each right proof of
    // the owner that comes before their fifth.
    let looked_at = looked_at.count();
    assert!((5..=17).contains(&looked_at), "{looked_at}");
    assert_eq!(usize::try_from(world.charged("challenge").await).unwrap(), looked_at);
    assert_eq!(world.token("phone").open(&secret(1)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_guesses_by_password_stay_in_the_budget_and_the_owner_gets_in() {
    let world = World::new().await;
    let guesser = world.password();
    flood(world, |_| guesser.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_guesses_with_many_tokens_stay_in_the_budget_and_the_owner_gets_in() {
    on_both(async |world: World| {
        let guessers: Vec<Client> = (0..16).map(|n| world.token(&format!("t{n}"))).collect();
        let host = Arc::clone(&world.host);
        flood(world, |n| guessers[n % 16].clone()).await;
        assert!(host.ended().len() <= 1, "only a token whose own five they were");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_wrong_login_passwords_stay_in_the_budget() {
    on_both(async |world: World| {
        for name in ["alice", "nobody"] {
            let before = world.host.passwords_compared();
            let answers = at_once(vec![world.client(name, "wrong"); 500], |_, mut client| async move {
                let answer = client.get("session/request").await;
                (client, answer)
            })
            .await;
            let refused = with_status(&answers, 429) + with_status(&answers, 503);
            assert_eq!((with_status(&answers, 401), refused), (5, 495));
            assert_eq!(world.host.passwords_compared() - before, 5);
        }
        assert_eq!(world.password().get("session/request").await.status, 429);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_right_login_passwords_all_get_in() {
    on_both(async |world: World| {
        let answers = at_once(vec![world.password(); 64], |_, mut client| async move {
            let answer = client.get("session/request").await;
            (client, answer)
        })
        .await;
        assert_eq!(with_status(&answers, 200), 64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_right_codes_exactly_one_resets() {
    on_both(async |world: World| {
        let mut phone = world.with_challenge().await;
        let code = phone.reset_code().await;
        let answers = at_once(vec![phone; 64], |_, mut client| {
            let code = code.clone();
            async move {
                let answer = client.reset_with(&code).await;
                (client, answer)
            }
        })
        .await;
        // While the host erases, the account is busy.
        let lost = with_status(&answers, 403) + with_status(&answers, 503);
        assert_eq!((with_status(&answers, 200), lost), (1, 63));
        assert_eq!(world.host.erasures(), 1);
        assert_eq!(world.count_events("account_erased").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_store_reset_once_and_replace_once() {
    on_both(async |world: World| {
        let other = world.restarted(2);
        world.with_challenge().await;
        let there = |client: &Client| Client { app: other.app.clone(), ..client.clone() };
        let mut clients = Vec::new();
        for n in 0..8 {
            let here = world.opened(&format!("t{n}")).await;
            clients.extend([there(&here), here]);
        }
        let answers = at_once(clients, |n, mut client| async move {
            let answer = client.set(&secret(u8::try_from(n).unwrap() + 100), Some(&secret(1))).await;
            (client, answer)
        })
        .await;
        assert_eq!(with_status(&answers, 200), 1);
        let mut phone = answers.into_iter().find(|(_, answer)| answer.status == 200).unwrap().0;
        let code = phone.reset_code().await;
        let clients = (0..8).flat_map(|_| [phone.clone(), there(&phone)]).collect();
        let answers = at_once(clients, |_, mut client| {
            let code = code.clone();
            async move {
                let answer = client.reset_with(&code).await;
                (client, answer)
            }
        })
        .await;
        assert_eq!(with_status(&answers, 200), 1);
        assert_eq!(world.host.erasures(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_restart_from_the_file_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let world = World::on(Arc::new(SqliteStore::open(&path).unwrap()), NextcloudPolicy::default()).await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("kept").await;
    let mut guesser = world.token("laptop");
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    let code = phone.reset_code().await;
    let world = world.moved_to(Arc::new(SqliteStore::open(&path).unwrap()), 2);
    phone.app = world.app.clone();
    guesser.app = world.app.clone();
    assert_eq!(guesser.get("session/request").await.status, 401, "its token has ended");
    world.password().get("session/request").await.is_refused(30);
    phone.get("keychain/get").await.is(200, json!({"CSEv1r1": "kept"}));
    phone.reset_with(&code).await.is(200, json!({"status": "ok"}));
}
