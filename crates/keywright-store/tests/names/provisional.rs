//! A holder that has not proven itself: evicted when its time has run out, never once it is firm.

use keywright_core::{AccountId, UnixSeconds};
use keywright_store::names::{self, ClaimOutcome, Evicted};
use keywright_store::{ACCOUNT_ERASED, Draft, StepError, TransactError};
use tokio::task::JoinSet;

use crate::world::{Ended, NAMES, Server, World, erase_orphan, id, memory, sqlite};

const HOUR: u64 = 3_600;

fn world(seed: u64) -> World {
    World::new(seed, memory())
}

fn in_an_hour(world: &World) -> UnixSeconds {
    use keywright_core::Clock;
    world.clock.now().unwrap().plus(HOUR)
}

async fn make_permanent(server: &Server, account: &AccountId, world: &World) -> Result<bool, TransactError> {
    let step = |draft: &mut Draft<'_>| names::make_permanent(draft, &world.name);
    server.driver.transact(&account.into(), NAMES, step).await
}

async fn exists(server: &Server, account: &AccountId) -> bool {
    // An erase leaves the root, and says so.
    let events = server.driver.recent_events(account, 10).await.unwrap();
    events.iter().all(|event| !event.is(&ACCOUNT_ERASED))
}

#[tokio::test]
async fn is_owned_until_its_time_has_run_out_and_somebody_comes() {
    let world = world(1);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    assert_eq!(server.register(&ada, world.name, in_an_hour(&world)).await.unwrap(), Ended::Took);
    server.create(&bob).await;
    world.clock.advance(HOUR - 1);
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Taken);
    world.clock.advance(1);
    assert_eq!(world.owner(&[ada.clone(), bob.clone()]).await, Some(ada.clone()), "until somebody comes");
    let intent = server.intend(&bob, world.name).await.unwrap();
    let ClaimOutcome::Ours(claimed) = server.names.claim_with(&intent, &[], erase_orphan).await.unwrap() else {
        panic!("lapsed")
    };
    assert!(!exists(server, &ada).await, "erased by the commit that evicted it");
    assert!(!make_permanent(server, &ada, &world).await.unwrap(), "too late");
    assert!(server.take(&bob, &claimed).await.unwrap());
    assert_eq!(world.owner(&[ada, bob.clone()]).await, Some(bob));
}

#[tokio::test]
async fn firm_is_for_good() {
    let world = world(2);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.register(&ada, world.name, in_an_hour(&world)).await.unwrap();
    world.clock.advance(2 * HOUR);
    assert!(make_permanent(server, &ada, &world).await.unwrap(), "late, but nobody came");
    assert!(make_permanent(server, &ada, &world).await.unwrap());
    server.create(&bob).await;
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Taken);
}

#[tokio::test]
async fn one_from_a_clock_far_ahead_does_not_squat() {
    let world = world(3);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    world.clock.advance(10 * 365 * 24 * HOUR);
    server.register(&ada, world.name, in_an_hour(&world)).await.unwrap();
    world.clock.set(UnixSeconds::new(1_700_000_000).unwrap());
    server.create(&bob).await;
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Took);
    // A clock that went back by less than its time changes nothing.
    let carol = id("carol");
    server.register(&carol, world.old, in_an_hour(&world)).await.unwrap();
    world.clock.set(UnixSeconds::new(1_700_000_000 - HOUR + 1).unwrap());
    assert_eq!(server.acquire(&bob, world.old, None).await.unwrap(), Ended::Taken);
}

#[tokio::test]
async fn a_crashed_registration_is_erased_by_the_next() {
    let world = world(4);
    let (server, ada) = (world.truth(), id("ada"));
    let step = |draft: &mut Draft<'_>| {
        draft.create_account()?;
        names::intend(draft, &world.name)
    };
    let intent = server.driver.run(&(&ada).into(), NAMES, step).await.unwrap().unwrap();
    let ClaimOutcome::Ours(claimed) = server.names.claim(&intent).await.unwrap() else { panic!("free") };
    // Here it stopped. The same person asks again, as another account.
    let bob = id("bob");
    assert_eq!(server.register(&bob, world.name, in_an_hour(&world)).await.unwrap(), Ended::Took);
    assert!(!exists(server, &ada).await);
    assert!(!server.take(&ada, &claimed).await.unwrap());
}

#[tokio::test]
async fn the_husk_is_told_what_is_ousted_and_may_refuse() {
    let world = world(5);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.register(&ada, world.name, in_an_hour(&world)).await.unwrap();
    server.create(&bob).await;
    world.clock.advance(HOUR);
    let intent = server.intend(&bob, world.name).await.unwrap();
    let refuses = |_: &mut Draft<'_>, evicted| {
        assert_eq!(evicted, Evicted::Provisional);
        Err(StepError::TooMuchDue)
    };
    let refused = server.names.claim_with(&intent, &[], refuses).await;
    assert!(matches!(refused, Err(TransactError::Step(StepError::TooMuchDue))));
    assert_eq!(world.owner(&[ada.clone(), bob]).await, Some(ada), "what the step refuses does not happen");
}

/// The owner proves itself while others want to evict it: never both.
async fn race(world: World, takers: usize) {
    let owner = id("owner");
    world.truth().register(&owner, world.name, in_an_hour(&world)).await.unwrap();
    world.clock.advance(HOUR);
    let mut accounts = vec![owner.clone()];
    let (world, mut set) = (std::sync::Arc::new(world), JoinSet::new());
    for number in 0..takers {
        let account = id(&format!("taker-{number}"));
        accounts.push(account.clone());
        let server = world.server(world.truth().driver.store().clone());
        let world = std::sync::Arc::clone(&world);
        set.spawn(
            async move { server.register(&account, world.name, in_an_hour(&world)).await.unwrap() == Ended::Took },
        );
    }
    let server = world.server(world.truth().driver.store().clone());
    let firm = make_permanent(&server, &owner, &world).await.unwrap();
    let took = set.join_all().await.into_iter().filter(|took| *took).count();
    assert_eq!(usize::from(firm) + took, 1, "firm and evicted, or neither");
    assert_eq!(world.owner(&accounts).await.as_ref() == Some(&owner), firm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proof_and_eviction_never_both() {
    for seed in 0..60 {
        race(world(seed), 3).await;
    }
    race(World::new(99, sqlite()), 3).await;
}
