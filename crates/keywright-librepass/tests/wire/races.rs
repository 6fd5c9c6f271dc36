//! Concurrent registrations of one address, also with a fault at every commit: one wins, nobody is
//! stranded.

use std::sync::Arc;

use keywright_librepass::UserId;
use keywright_store::MemoryStore;
use keywright_store_conformance::{Fault, FaultStore};

use crate::support::{PUBLIC, Person, World, alice, at_once, on_both, policy};

/// People who all want one address.
fn rivals(many: usize) -> Vec<Person> {
    (0..many)
        .map(|n| {
            let mut person = Person::new(&format!("rival{n}@example.com"));
            person.email = if n % 2 == 0 { "one@example.com" } else { "ONE@example.com" }.into();
            person
        })
        .collect()
}

/// The one of them that is registered verifies and logs in; the others cannot.
async fn one_of(world: &World, rivals: &[Person]) -> usize {
    world.open_link("one@example.com").await.redirects();
    inside(world, rivals).await
}

/// The one of them that is logged in.
async fn inside(world: &World, rivals: &[Person]) -> usize {
    let mut inside = Vec::new();
    for (n, person) in rivals.iter().enumerate() {
        // A wrong one is charged: nobody's guess waits for another's.
        world.clock.advance(3_600);
        match world.log_in(person).await.status {
            200 => inside.push(n),
            status => assert_eq!(status, 400),
        }
    }
    assert_eq!(inside.len(), 1);
    inside[0]
}

/// Several may wait for one address; of many that open their links concurrently, one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_registrations_of_one_address_one_wins() {
    for many in [2, 2, 2, 16] {
        on_both(async |world: World| {
            let rivals = rivals(many);
            let mut bodies = Vec::new();
            for person in &rivals {
                bodies.push(world.registration(person).await);
            }
            let answers = at_once(many, |n| {
                let request = world.client().post("/api/auth/register").json(&bodies[n]);
                async move { request.send().await }
            })
            .await;
            let waiting = answers.iter().filter(|answer| answer.status == 201).count();
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                answer.waits(86_400);
            }
            // Ten mails a day to one address.
            assert_eq!(waiting, many.min(10));
            let mails = world.host.mails_to("one@example.com");
            assert_eq!(mails.len(), waiting);
            let links: Vec<String> =
                mails.iter().map(|mail| mail.link().unwrap().strip_prefix(PUBLIC).unwrap().to_owned()).collect();
            let answers = at_once(waiting, |n| {
                let request = world.client().get(&links[n]);
                async move { request.send().await }
            })
            .await;
            let verified = answers.iter().filter(|answer| answer.status == 302).count();
            for answer in answers.iter().filter(|answer| answer.status != 302) {
                answer.fails(400, "LP-Duplicated");
            }
            assert_eq!(verified, 1);
            // Each gets its answer again, whatever it was.
            for (link, first) in links.iter().zip(0..) {
                let answer = world.client().get(link).send().await;
                assert!(matches!(answer.status, 302 | 400), "{first}: {answer:?}");
            }
            inside(&world, &rivals).await;
            assert_eq!(told(&world, "address_verified").await, 1);
            assert_eq!(told(&world, "registration_superseded").await, waiting - 1);
        })
        .await;
    }
}

/// How many accounts have an event of a kind.
async fn told(world: &World, kind: &str) -> usize {
    let mut accounts: Vec<_> = world.scan().await.into_iter().filter_map(|row| row.partition.as_account()).collect();
    accounts.dedup();
    let mut told = 0;
    for account in accounts {
        told += world.count_events(&UserId::of_account(&account).unwrap(), kind).await;
    }
    told
}

#[tokio::test]
async fn a_fault_at_any_commit_of_a_registration_strands_nobody() {
    let faults =
        || [Fault::Conflict, Fault::Rejected, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held];
    for kind in 0..faults().len() {
        for at in 0..8 {
            let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
            let world = World::on(store.clone(), policy()).await;
            for _ in 0..at {
                store.next_commit(Fault::None);
            }
            store.next_commit(faults()[kind].clone());
            let answer = world.register(&alice()).await;
            store.calm();
            while store.held() > 0 {
                let _ = store.deliver().await;
            }
            let case = format!("{:?} at commit {at}: {answer:?}", faults()[kind]);
            // What is left can be found by nobody, or is the person's own.
            match answer.status {
                201 => {}
                500 | 503 => {
                    let again = world.register(&alice()).await;
                    assert!(again.status == 201 || again.json()["error"] == "LP-Duplicated", "{case}: {again:?}");
                }
                _ => panic!("{case}"),
            }
            if world.host.link_to(&alice().email).is_none() {
                let path = format!("/api/auth/resendVerificationEmail?email={}", alice().email);
                world.client().get(&path).send().await.is_empty();
            }
            world.open_link(&alice().email).await.redirects();
            world.log_in(&alice()).await.ok();
            // And the name is one person's.
            let mut other = Person::new("other@example.com");
            other.email = alice().email;
            world.register(&other).await.fails(400, "LP-Duplicated");
        }
    }
}

#[tokio::test]
async fn with_two_faults_and_a_rival_there_is_still_one_owner() {
    for first in 0..6 {
        for second in 0..6 {
            let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
            let world = World::on(store.clone(), policy()).await;
            let rivals = rivals(2);
            let bodies = [world.registration(&rivals[0]).await, world.registration(&rivals[1]).await];
            for (person, fault_at) in [(0, first), (1, second)] {
                for _ in 0..fault_at {
                    store.next_commit(Fault::None);
                }
                store.next_commit(Fault::LostBefore);
                store.next_commit(Fault::LostBefore);
                store.next_commit(Fault::LostBefore);
                store.next_commit(Fault::LostBefore);
                store.next_commit(Fault::LostBefore);
                world.client().post("/api/auth/register").json(&bodies[person]).send().await;
                store.calm();
            }
            let again = world.register(&rivals[1]).await;
            assert!(matches!(again.status, 201 | 400), "{again:?}");
            if world.host.link_to("one@example.com").is_none() {
                let path = "/api/auth/resendVerificationEmail?email=one@example.com";
                world.client().get(path).send().await.is_empty();
            }
            one_of(&world, &rivals).await;
        }
    }
}

#[tokio::test]
async fn a_log_in_with_a_fault_at_any_commit_gives_a_token_or_none() {
    for fault in
        [Fault::Conflict, Fault::Rejected, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held]
    {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(store.clone(), policy()).await;
        world.settle(&alice()).await;
        store.next_commit(fault.clone());
        let answer = world.log_in(&alice()).await;
        store.calm();
        while store.held() > 0 {
            let _ = store.deliver().await;
        }
        match answer.status {
            200 => {
                let token = answer.json()["apiKey"].as_str().unwrap().to_owned();
                assert!(world.client().with_token(&token).is_in().await, "{fault:?}");
            }
            // Never a refusal code.
            500 => assert_eq!(answer.json()["error"], "LP-Database-Error", "{fault:?}"),
            _ => panic!("{fault:?}: {answer:?}"),
        }
        world.log_in(&alice()).await.ok();
    }
}
