//! The process dies at every commit: no account is stranded, and what was requested can be
//! requested again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use keywright_librepass::UserId;
use keywright_store::{CommitError, LoadError, MemoryStore};
use keywright_store_conformance::{Fault, FaultStore};
use keywright_testing::{Call, HookedStore, Reply, Store};

use super::support::{Person, World, alice, on_both, policy};
use super::vaults::{with_address, with_password};

const NEW: &str = "a.new@example.com";

/// A process that dies after so many writes: from then on nothing reaches the store, and nothing comes back.
fn dying(inner: Arc<dyn Store>, writes: i64) -> Arc<HookedStore> {
    let store = HookedStore::new(inner);
    let left = Arc::new(AtomicI64::new(writes));
    let reads = Arc::clone(&left);
    store.before_reads(move |call| {
        let upkeep =
            matches!(call, Call::Events(..) | Call::Horizon | Call::Due(_) | Call::Partitions | Call::Slots(_));
        let lives = upkeep || reads.load(Ordering::SeqCst) > 0;
        async move { if lives { Ok(()) } else { Err(LoadError::Failed("the process is dead".into())) } }
    });
    let counts = Arc::clone(&left);
    store.before_writes(move |call| {
        let upkeep = matches!(call, Call::MoveHorizon(_) | Call::Sweep | Call::ForgetEvents(_));
        let lives = upkeep || counts.fetch_sub(1, Ordering::SeqCst) > 0;
        async move { if lives { Ok(()) } else { Err(CommitError::Unknown("the process is dead".into())) } }
    });
    store.after(move |reply| {
        // It dies with its last write: the reply is never heard.
        if let Reply::Commit(answer) = reply
            && left.load(Ordering::SeqCst) <= 0
        {
            *answer = Err(CommitError::Unknown("the process is dead".into()));
        }
    });
    store
}

/// More writes than any request makes.
const MOST: i64 = 40;

async fn settled(world: &World, name: &str) -> (Person, UserId) {
    let person = Person::new(name);
    let user = world.settle(&person).await;
    world.fill(&user, &person, 3).await;
    (person, user)
}

/// Whose the account is, whole; one of the two.
async fn owner<'p>(world: &World, user: &UserId, old: &'p Person, new: &'p Person) -> &'p Person {
    let owner = if world.log_in(old).await.status == 200 { old } else { new };
    world.belongs_to(user, owner, 3).await;
    owner
}

#[tokio::test]
async fn a_password_change_is_whole_or_was_not() {
    on_both(|world| async move {
        let (mut old, user) = settled(&world, "alice@example.com").await;
        let (mut done, mut writes) = (false, 1);
        let mut ends = [0, 0];
        while !done {
            assert!(writes < MOST, "it ends");
            let new = with_password(&alice(), &writes.to_string());
            let body = world.password_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(dying(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().with_token(&token.unwrap()).change_password(&body).await;
            done = answer.status == 200 && writes > 8;
            if answer.status != 200 {
                answer.fails(500, "LP-Database-Error");
            }
            let changed = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(changed)] += 1;
            if changed {
                old = new;
            }
            writes += 1;
        }
        assert!(ends[0] >= 1 && ends[1] >= 1, "{ends:?}");
    })
    .await;
}

#[tokio::test]
async fn a_request_for_another_address_leaves_all_as_it_was() {
    on_both(|world| async move {
        for writes in 1..12 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            let body = world.address_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(dying(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().with_token(&token.unwrap()).change_address(&body).await;
            assert!([200, 500].contains(&answer.status), "{answer:?}");
            world.belongs_to(&user, &old, 3).await;
            // Requested again, it succeeds.
            world.ask_for(&user, &old, &new).await.is_empty();
            world.open_link(&new.email).await.redirects();
            world.belongs_to(&user, &new, 3).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_is_opened_whole_or_opens_again() {
    on_both(|world| async move {
        let mut ends = [0, 0];
        for writes in 1..12 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            world.ask_for(&user, &old, &new).await.is_empty();
            let path = world.path_to(&new.email);
            let dying = world.moved_to(dying(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().get(&path).send().await;
            assert!([302, 500].contains(&answer.status), "{answer:?}");
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(moved)] += 1;
            // A click on a link that has worked is told so; one on a link that has not, works.
            assert!(moved || answer.status == 500);
            world.client().get(&path).send().await.redirects();
            world.belongs_to(&user, &new, 3).await;
            // The old address is free, whatever was left of it; the new one is not.
            world.settle(&old).await;
            world.register(&Person { email: new.email.clone(), key: alice().key }).await.fails(400, "LP-Duplicated");
        }
        assert!(ends[0] >= 2 && ends[1] >= 2, "{ends:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_dies_on_the_way_to_an_address_keeps_it_from_nobody() {
    on_both(|world| async move {
        for writes in 1..8 {
            let target = format!("t{writes}@example.com");
            let (one, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let (two, other) = settled(&world, &format!("b{writes}@example.com")).await;
            let (one_new, two_new) = (with_address(&one, &target), with_address(&two, &target));
            world.ask_for(&user, &one, &one_new).await.is_empty();
            let first = world.path_to(&target);
            world.ask_for(&other, &two, &two_new).await.is_empty();
            let second = world.path_to(&target);
            let dying = world.moved_to(dying(world.store.clone(), writes), writes as u64 + 100).await;
            dying.client().get(&first).send().await;
            let moved = std::ptr::eq(owner(&world, &user, &one, &one_new).await, &raw const one_new);
            let answer = world.client().get(&second).send().await;
            if moved {
                answer.fails(400, "LP-Duplicated");
                world.belongs_to(&other, &two, 3).await;
            } else {
                answer.redirects();
                world.belongs_to(&other, &two_new, 3).await;
                world.client().get(&first).send().await.fails(400, "LP-Duplicated");
                world.belongs_to(&user, &one, 3).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn without_verification_a_death_leaves_the_old_or_the_new() {
    on_both(|world| async move {
        let world = world.ruled_by(policy().verify_email(false), 3).await;
        let mut ends = [0, 0];
        for writes in 1..14 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            let body = world.address_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(dying(world.store.clone(), writes), writes as u64 + 100).await;
            dying.client().with_token(&token.unwrap()).change_address(&body).await;
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(moved)] += 1;
            if !moved {
                world.ask_for(&user, &old, &new).await.is_empty();
            }
            world.belongs_to(&user, &new, 3).await;
            world.settle(&old).await;
        }
        assert!(ends[0] >= 2 && ends[1] >= 2, "{ends:?}");
    })
    .await;
}

/// A world over a store whose commits can be made to fail, and the store.
async fn faulty() -> (World, Arc<FaultStore<MemoryStore>>) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    (World::on(store.clone(), policy()).await, store)
}

#[tokio::test]
async fn a_lost_reply_is_looked_into_at_every_commit() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict, Fault::CommitFailed, Fault::Held] {
        for at in 0..8 {
            let (world, store) = faulty().await;
            let (old, user) = settled(&world, "alice@example.com").await;
            let new = with_address(&old, NEW);
            world.ask_for(&user, &old, &new).await.is_empty();
            let path = world.path_to(NEW);
            for _ in 0..at {
                store.next_commit(Fault::None);
            }
            store.next_commit(fault.clone());
            let answer = world.client().get(&path).send().await;
            store.calm();
            // What is delivered late changes nothing any more.
            while store.deliver().await.is_some() {}
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            if answer.status == 302 {
                assert!(moved);
            } else {
                // The very first record of a name has nothing to be fenced with: the outcome is
                // unknown, and the request is sent again.
                answer.fails(500, "LP-Database-Error");
                assert!(!moved);
                world.client().get(&path).send().await.redirects();
            }
            world.belongs_to(&user, &new, 3).await;

            let pass = with_password(&new, "new");
            let body = world.password_body(&user, &new, &pass).await;
            let client = world.client_of(&new).await;
            for _ in 0..at {
                store.next_commit(Fault::None);
            }
            store.next_commit(fault.clone());
            client.change_password(&body).await.is_empty();
            store.calm();
            while store.deliver().await.is_some() {}
            world.belongs_to(&user, &pass, 3).await;
        }
    }
}
