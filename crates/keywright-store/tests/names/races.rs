//! Many at once, on one server and on several.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::poll_once;
use keywright_core::AccountId;
use keywright_store::TransactError;
use keywright_store::names::NameIndex;
use keywright_testing::WorldBuilder;
use tokio::task::JoinSet;

use crate::schedules::gated;
use crate::world::{Ended, Server, World, id, memory, sqlite};

/// 64 accounts want one name at once, spread over this many servers.
async fn rush(seed: u64, store: WorldBuilder, servers: usize) {
    let world = World::new(seed, store);
    let servers: Vec<Server> = (0..servers).map(|_| world.server(Arc::clone(world.truth().driver.store()))).collect();
    let accounts: Vec<AccountId> = (0..64).map(|number| id(&format!("user-{number}"))).collect();
    let mut set = JoinSet::new();
    for (number, account) in accounts.iter().cloned().enumerate() {
        world.truth().create(&account).await;
        let (server, name) = (servers[number % servers.len()].clone(), world.name);
        set.spawn(async move { (account.clone(), server.acquire(&account, name, None).await) });
    }
    let mut took = Vec::new();
    for (account, ended) in set.join_all().await {
        match ended {
            Ok(Ended::Took) => took.push(account),
            Ok(_) | Err(TransactError::Busy) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    assert_eq!(took.len(), 1, "seed {seed}");
    assert_eq!(world.owner(&accounts).await, took.pop(), "seed {seed}");
    assert!(!world.nobody_is_stranded(&accounts).await, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_want_one_name() {
    for seed in 0..24 {
        rush(seed, memory(), 1 + usize::try_from(seed % 4).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_want_one_name_on_disk() {
    for seed in 0..3 {
        rush(seed, sqlite(), 1 + usize::try_from(seed).unwrap()).await;
    }
}

/// Two move to one name; one of them, or both, own another.
async fn two_move(seed: u64, store: WorldBuilder) {
    let world = World::new(seed, store);
    let (ada, bob) = (id("ada"), id("bob"));
    let olds = [world.old, NameIndex::from_bytes([9; 32])];
    let mut set = JoinSet::new();
    for (account, old) in [&ada, &bob].into_iter().zip(olds) {
        let server = world.server(Arc::clone(world.truth().driver.store()));
        server.create(account).await;
        let old = if account == &ada || seed.is_multiple_of(2) { Some(old) } else { None };
        if let Some(old) = old {
            assert_eq!(server.acquire(account, old, None).await.unwrap(), Ended::Took);
        }
        let (account, name) = (account.clone(), world.name);
        set.spawn(async move {
            let ended = server.acquire(&account, name, old).await.unwrap();
            if let Some(old) = old {
                assert_eq!(server.owns(&account, &old).await, ended != Ended::Took, "it keeps the old one");
            }
            ended
        });
    }
    let ended = set.join_all().await;
    assert_eq!(ended.iter().filter(|ended| **ended == Ended::Took).count(), 1, "seed {seed}: {ended:?}");
    assert!(world.owner(&[ada, bob]).await.is_some(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_move_to_one_name() {
    for seed in 0..50 {
        two_move(seed, memory()).await;
    }
    for seed in 0..4 {
        two_move(seed, sqlite()).await;
    }
}

/// Each wants what the other only intends: each has to commit in the other's partition, at once, on one server's lanes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crosswise_claims_do_not_wait_for_each_other() {
    for seed in 0..50 {
        let world = World::new(seed, memory());
        let (server, ada, bob) = (world.truth().clone(), id("ada"), id("bob"));
        for (account, name) in [(&ada, world.name), (&bob, world.old)] {
            server.create(account).await;
            server.claim(&server.intend(account, name).await.unwrap()).await.unwrap();
        }
        let mut set = JoinSet::new();
        for (account, name) in [(ada, world.old), (bob, world.name)] {
            let server = server.clone();
            set.spawn(async move { server.acquire(&account, name, None).await.unwrap() });
        }
        let ended = tokio::time::timeout(Duration::from_secs(60), set.join_all()).await.expect("no deadlock");
        assert_eq!(ended, [Ended::Took, Ended::Took], "seed {seed}");
    }
}

/// A claim of a name that is owned commits nothing in its owner's partition: a crowd of claimants
/// does not queue there.
#[tokio::test]
async fn asking_for_a_taken_name_does_not_wait_for_its_owner() {
    let world = World::new(1, memory());
    let server = world.server(gated(world.store.clone(), Arc::default()));
    let (ada, bob) = (id("ada"), id("bob"));
    server.create(&ada).await;
    server.create(&bob).await;
    assert_eq!(server.acquire(&ada, world.name, None).await.unwrap(), Ended::Took);
    // A commit of Ada's that has begun and does not end: one poll to the load, one to the commit.
    let partition = (&ada).into();
    let mut held = Box::pin(server.driver.transact(&partition, &[], |draft| draft.mark_seeded()));
    for _ in 0..2 {
        assert!(poll_once(held.as_mut()).await.is_none());
    }
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Taken);
    assert_eq!(server.names.find(&world.name).await.unwrap(), Some(ada.clone()));
    held.await.unwrap();
}
