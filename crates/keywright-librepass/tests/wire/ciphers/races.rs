//! Two concurrent tokens, and a store that loses replies.

use std::sync::Arc;

use keywright_rekey::Vaults;
use keywright_store::MemoryStore;
use keywright_store_conformance::{Fault, FaultStore, LoadFault, Odds};
use serde_json::json;

use super::{cipher, data, id, numbers, settled, stored, sync};
use crate::support::{World, alice, at_once, on_both, policy};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_nobody_overwrites_another_and_all_are_counted() {
    on_both(async |world: World| {
        let (user, one) = settled(&world).await;
        let two = world.client_of(&alice()).await;
        let answers = at_once(16, |n| {
            let client = if n % 2 == 0 { one.clone() } else { two.clone() };
            let user = user.clone();
            // Each inserts two of its own; all update one that they share; each deletes what another may insert.
            let updated =
                [cipher(&user, n + 1, &data(n)), cipher(&user, n + 101, &data(n)), cipher(&user, 0, &data(n))];
            async move {
                loop {
                    let answer = sync(&client, 0, &updated, &[id(n + 200)]).await;
                    // The queue is bounded: a repeat gets in.
                    if answer.status != 503 {
                        return answer;
                    }
                }
            }
        })
        .await;
        for answer in &answers {
            // Each answer is one moment: the own writes are in it, and every id has its cipher.
            let (ids, ciphers) = numbers(answer);
            assert_eq!(ids, ciphers);
            assert!(ids.contains(&0));
        }
        let (ids, _) = numbers(&sync(&one, 0, &[], &[]).await);
        assert_eq!(ids.len(), 33);
        let vaults = Vaults::new(world.driver.clone(), world.store.clone(), Default::default());
        assert_eq!(vaults.head(user.account()).await.unwrap().unwrap().count, 33);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_place_is_taken_once() {
    on_both(async |world: World| {
        let world = world.ruled_by(policy().vault_limit(3), 5).await;
        let (user, one) = settled(&world).await;
        let two = world.client_of(&alice()).await;
        sync(&one, 0, &[cipher(&user, 0, &data(0)), cipher(&user, 1, &data(1))], &[]).await.ok();
        let answers = at_once(12, |n| {
            let client = if n % 2 == 0 { one.clone() } else { two.clone() };
            let put = client.request("PUT", "/api/cipher").json(&cipher(&user, n + 10, &data(n)));
            async move { put.send().await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert!(answers.iter().all(|answer| [201, 400, 503].contains(&answer.status)));
        assert_eq!(numbers(&sync(&one, 0, &[], &[]).await).0.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_lost_reply_writes_once_or_says_that_it_is_not_known() {
    for fault in [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held] {
        let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(Arc::clone(&faulty) as _, policy()).await;
        let (user, client) = settled(&world).await;
        sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
        faulty.next_commit(fault.clone());
        let answer = sync(&client, 0, &[cipher(&user, 2, &data(2))], &[id(1)]).await;
        assert_eq!(numbers(&answer).0, [2], "{fault:?}");
        while let Some(late) = faulty.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        sync(&client, 0, &[], &[]).await.is(200, answer.ok());
        faulty.next_commit(fault.clone());
        client.request("DELETE", &format!("/api/cipher/{}", id(2))).send().await.is_empty();
        faulty.next_commit(fault.clone());
        let put = client.request("PUT", "/api/cipher").json(&cipher(&user, 3, &data(3))).send().await;
        put.is(201, json!({"id": id(3)}));
        while let Some(late) = faulty.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert_eq!(numbers(&sync(&client, 0, &[], &[]).await).0, [3], "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_no_refusal_of_ours() {
    let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(Arc::clone(&faulty) as _, policy()).await;
    let (user, client) = settled(&world).await;
    sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
    let before = stored(&world, &user).await;
    faulty.next_commit(Fault::Rejected);
    let answer = sync(&client, 0, &[cipher(&user, 2, &data(2))], &[id(1)]).await;
    answer.fails(500, "LP-Database-Error");
    assert_eq!(stored(&world, &user).await, before);
}

/// Written, but nobody can know: never reported as a refusal.
#[tokio::test]
async fn a_write_that_stays_unknown_is_told_so() {
    let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(Arc::clone(&faulty) as _, policy()).await;
    let (user, client) = settled(&world).await;
    faulty.next_commit(Fault::LostAfter);
    // The request's own reads: who calls, the head of what is read, what the commit depends on.
    for _ in 0..3 {
        faulty.next_load(LoadFault::None);
    }
    for _ in 0..8 {
        faulty.next_load(LoadFault::Fails);
    }
    sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.fails(500, "LP-Database-Error");
    faulty.calm();
    assert_eq!(numbers(&sync(&client, 0, &[], &[]).await).0, [1], "it had happened");
}

/// A store that fails at random, for many steps: what was answered is so, what was not is whole or not at all, and the
/// count is that of the rows.
#[tokio::test]
async fn at_random_nothing_is_half_done() {
    let odds = Odds {
        conflict: 100,
        rejected: 50,
        lost_before: 80,
        lost_after: 80,
        held: 80,
        load_fails: 30,
        delivery: 200,
        pause: 0,
    };
    for seed in 0..20 {
        let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(Arc::clone(&faulty) as _, policy()).await;
        let (user, client) = settled(&world).await;
        faulty.randomise(seed, odds);
        for n in 0..20 {
            // Two come and two go together, always.
            let pair = [cipher(&user, 2 * n, &data(n)), cipher(&user, 2 * n + 1, &data(n))];
            let gone = if n % 3 == 0 { vec![] } else { vec![id(2 * n - 2), id(2 * n - 1)] };
            let answer = sync(&client, 0, &pair, &gone).await;
            assert!([200, 500].contains(&answer.status), "{answer:?}");
            if answer.status == 200 {
                let (ids, ciphers) = numbers(&answer);
                assert_eq!(ids, ciphers);
                assert!(ids.contains(&(2 * n)) && ids.contains(&(2 * n + 1)));
            }
        }
        faulty.calm();
        while faulty.deliver().await.is_some() {}
        let (ids, _) = numbers(&sync(&client, 0, &[], &[]).await);
        assert!(ids.as_chunks::<2>().0.iter().all(|[a, b]| a + 1 == *b && a % 2 == 0), "{ids:?}");
        let vaults = Vaults::new(world.driver.clone(), world.store.clone(), Default::default());
        assert_eq!(vaults.head(user.account()).await.unwrap().unwrap().count, ids.len() as u64);
    }
}
