//! Registrations that wait for an address: who gets mails, who learns what, and what becomes of
//! those that are never verified.

use keywright_core::UnixSeconds;
use keywright_store::Partition;
use serde_json::json;

use crate::support::{Answer, PUBLIC, Person, START, World, alice, bob, on_both};

const HOME: &str = "192.0.2.1";
const HOSTILE: &str = "198.51.100.7";

async fn register_from(world: &World, person: &Person, address: &str) -> Answer {
    let body = world.registration(person).await;
    world.client().post("/api/auth/register").header("x-test-address", address).json(&body).send().await
}

async fn resend_from(world: &World, email: &str, address: &str) -> Answer {
    let path = format!("/api/auth/resendVerificationEmail?email={email}");
    world.client().get(&path).header("x-test-address", address).send().await
}

/// Another person with Alice's address.
fn squatter() -> Person {
    Person { email: alice().email, key: bob().key }
}

fn path(link: &str) -> String {
    link.strip_prefix(PUBLIC).unwrap().to_owned()
}

/// Finding B7: the first to register squats nothing, and the owner can distinguish their own mail
/// from another's.
#[tokio::test]
async fn a_squatter_keeps_nobody_from_the_own_address() {
    on_both(async |world: World| {
        register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
        let theirs = world.host.link_to(&alice().email).unwrap();
        register_from(&world, &alice(), HOME).await.is(201, json!({}));
        let mails = world.host.mails_to(&alice().email);
        let came_from = |n: usize, address: &str| {
            let line = format!(
                "The registration came from {address} (Java/1.5.0). If that was not you, do not open the link."
            );
            assert!(mails[n].text.lines().any(|found| found == line), "{:?}", mails[n]);
        };
        came_from(0, HOSTILE);
        came_from(1, HOME);
        world.log_in(&alice()).await.fails(401, "LP-Email-Not-Verified");
        world.open_link(&alice().email).await.redirects();
        world.log_in(&alice()).await.ok();
        // The other is void, however often it is opened, and its link reports that.
        for _ in 0..2 {
            world.client().get(&path(&theirs)).send().await.fails(400, "LP-Duplicated");
        }
        world.log_in(&squatter()).await.fails(400, "LP-Invalid-Shared-Secret");
        resend_from(&world, &alice().email, HOSTILE)
            .await
            .fails(400, "LP-Invalid-Body")
            .says("email is already verified");
    })
    .await;
}

/// A fresh link is for the registration of the client that requests it, as far as the network
/// shows.
#[tokio::test]
async fn a_fresh_link_is_for_the_own_registration() {
    let world = World::new().await;
    register_from(&world, &alice(), HOME).await.is(201, json!({}));
    let own = world.host.link_to(&alice().email).unwrap();
    register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
    let user = |link: &str| link.split_once("user=").unwrap().1.split_once('&').unwrap().0.to_owned();
    resend_from(&world, &alice().email, HOME).await.is_empty();
    let fresh = world.host.link_to(&alice().email).unwrap();
    assert_eq!(user(&fresh), user(&own));
    assert_ne!(fresh, own);
    // From anywhere else it is for the newest, which is the one that was renewed just now.
    resend_from(&world, &alice().email, "203.0.113.9").await.is_empty();
    assert_eq!(user(&world.host.link_to(&alice().email).unwrap()), user(&own));
    world.open_link(&alice().email).await.redirects();
    world.log_in(&alice()).await.ok();
}

/// Nobody is sent more than ten of them a day, and no single network uses them up.
#[tokio::test]
async fn mails_to_an_address_are_limited_in_all_and_for_each_network() {
    on_both(async |world: World| {
        for _ in 0..2 {
            register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
        }
        resend_from(&world, &alice().email, HOSTILE).await.is_empty();
        let before = world.scan().await;
        register_from(&world, &squatter(), HOSTILE).await.waits(86_400);
        resend_from(&world, &alice().email, HOSTILE).await.waits(86_400);
        assert_eq!(world.scan().await, before, "a refusal writes nothing");
        register_from(&world, &alice(), HOME).await.is(201, json!({}));
        for n in 0..6 {
            register_from(&world, &squatter(), &format!("203.0.113.{n}")).await.is(201, json!({}));
        }
        register_from(&world, &squatter(), "203.0.113.99").await.waits(86_400);
        assert_eq!(world.host.mails_to(&alice().email).len(), 10);
        // Another address is another matter.
        register_from(&world, &bob(), HOSTILE).await.is(201, json!({}));
    })
    .await;
}

/// A clock that ran ahead and was corrected: the wait of a day that is then reported ends when it
/// was announced to end, for a registration and for a fresh link.
#[tokio::test]
async fn a_day_of_mails_ends_when_it_was_told_after_the_clock_went_back() {
    for fresh in [false, true] {
        on_both(async |world: World| {
            world.clock.advance(10 * 365 * 86_400);
            for _ in 0..3 {
                register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
            }
            let ask = async || match fresh {
                true => resend_from(&world, &alice().email, HOSTILE).await,
                false => register_from(&world, &squatter(), HOSTILE).await,
            };
            world.clock.set(UnixSeconds::new(START).unwrap());
            ask().await.waits(86_400);
            world.clock.advance(43_200);
            ask().await.waits(43_200);
            let before = world.scan().await;
            ask().await.waits(43_200);
            assert_eq!(world.scan().await, before, "it is stored once");
            world.clock.advance(43_200);
            // By now nobody waits for a fresh link.
            register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
        })
        .await;
    }
}

/// An attacker with an IPv6 site has 65,536 networks: they count as one. And a few networks do not
/// use up all mails.
#[tokio::test]
async fn some_mails_are_left_for_networks_that_have_caused_none() {
    let world = World::new().await;
    let mut sent = 0;
    for n in 0..30 {
        let from = format!("2001:db8:{}:{n:x}::1", n % 3);
        sent += usize::from(register_from(&world, &squatter(), &from).await.status == 201);
    }
    assert_eq!(sent, 7);
    register_from(&world, &alice(), HOME).await.is(201, json!({}));
    world.open_link(&alice().email).await.redirects();
    world.log_in(&alice()).await.ok();
}

/// Finding B4: what was never verified is removed whole; what was verified stays.
#[tokio::test]
async fn what_nobody_verifies_is_swept_whole() {
    on_both(async |world: World| {
        let kept = world.settle(&bob()).await;
        register_from(&world, &alice(), HOME).await.is(201, json!({}));
        register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
        let before = world.store.partitions(None, 1_000).await.unwrap();
        world.store.move_horizon(keywright_core::Clock::now(&*world.clock).unwrap()).await.unwrap();
        for _ in 0..4 {
            world.clock.advance(86_400);
            world.store.move_horizon(keywright_core::Clock::now(&*world.clock).unwrap()).await.unwrap();
            world.store.sweep(1_000).await.unwrap();
        }
        let left = world.store.partitions(None, 1_000).await.unwrap();
        let accounts: Vec<&Partition> = left.iter().filter(|partition| partition.is_account()).collect();
        assert_eq!(accounts, [&Partition::account(kept.account())]);
        // Two accounts and both addresses' lists.
        assert_eq!(before.len() - left.len(), 4, "{left:?}");
        world.log_in(&bob()).await.ok();
        // The next one finds nothing in the way.
        world.log_in(&alice()).await.fails(404, "LP-User-404");
        world.settle(&alice()).await;
    })
    .await;
}

/// However often it is renewed, a registration that is not verified keeps no address.
#[tokio::test]
async fn a_registration_that_is_renewed_for_ever_keeps_nobody_out() {
    let world = World::new().await;
    register_from(&world, &squatter(), HOSTILE).await.is(201, json!({}));
    for _ in 0..10 {
        world.clock.advance(43_200);
        resend_from(&world, &alice().email, HOSTILE).await.is_empty();
    }
    register_from(&world, &alice(), HOME).await.is(201, json!({}));
    world.open_link(&alice().email).await.redirects();
    world.log_in(&alice()).await.ok();
}
