//! A lock does not outlive the secret that it guarded, and nothing but a proof of a factor lifts one before.

use keywright_core::{Door, EventKind};
use keywright_store::{Draft, guess};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{Confirming, Enrolling, Parameters, SLOTS, TotpSecret, TwoFactorPolicy, Verdict, recovery};

use crate::support::{OTHER, SEED, SESSION, START, Told, World, code, wrong};

async fn world() -> World {
    World::with(TwoFactorPolicy::builder().recovery(recovery::Preset::RocketChat).build().unwrap()).await
}

/// Fifty wrong time-based codes and fifty wrong recovery codes of a stranger.
async fn lock(world: &World) {
    for _ in 0..50 {
        world.totp(&wrong(&[SEED, OTHER], world.now())).await;
        let _ = world.service.verify_recovery(&world.account, "AAAAAAAA", "test", None).await.unwrap();
        world.advance(3_600);
    }
    assert!(locked(world, Door::Totp).await && locked(world, Door::Recovery).await);
}

async fn locked(world: &World, door: Door) -> bool {
    let refusal = match door {
        Door::Totp => world.service.totp_refusal(&world.account, None).await,
        _ => world.service.recovery_refusal(&world.account, None).await,
    };
    refusal.unwrap().is_some_and(|refusal| refusal.is_locked())
}

async fn unlocked_events(world: &World) -> Vec<EventKind> {
    world.events().await.into_iter().filter(|kind| matches!(kind, EventKind::DoorUnlocked { .. })).collect()
}

#[tokio::test]
async fn the_last_secret_takes_the_lock_of_its_door_with_it() {
    for all in [false, true] {
        let world = world().await;
        let id = world.import("phone", SEED).await;
        let _codes = world.make_recovery(Liveness::Now).await.unwrap();
        lock(&world).await;
        if all {
            world.remove_all().await.unwrap();
        } else {
            world.remove_device(id).await.unwrap();
        }
        let both = [Door::Totp, Door::Recovery].map(|door| EventKind::DoorUnlocked { door });
        assert_eq!(unlocked_events(&world).await, both);
        world.import("next", OTHER).await;
        let codes = world.make_recovery(Liveness::Now).await.unwrap();
        assert!(world.totp(&code(OTHER, world.now())).await.granted());
        let first = codes.iter().next().unwrap();
        let verdict = world.service.verify_recovery(&world.account, first, "test", None).await.unwrap();
        assert!(matches!(verdict, Verdict::Granted(_)), "{verdict:?}");
        assert_eq!(unlocked_events(&world).await, both, "told once");
    }
}

#[tokio::test]
async fn a_device_beside_the_one_that_goes_keeps_the_lock() {
    let world = world().await;
    let id = world.import("phone", SEED).await;
    world.import("other", OTHER).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    lock(&world).await;
    world.remove_device(id).await.unwrap();
    let seed = world.begin("third", None).await;
    let confirmed = world.service.confirm_enrolment(&world.account, SESSION, &code(&seed, world.now())).await.unwrap();
    assert!(matches!(confirmed, Confirming::Active(_)));
    assert!(locked(&world, Door::Totp).await && locked(&world, Door::Recovery).await);
    assert_eq!(unlocked_events(&world).await, []);
}

#[tokio::test]
async fn a_device_in_the_place_of_the_only_one_is_not_locked() {
    let world = world().await;
    let id = world.import("phone", SEED).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    lock(&world).await;
    let seed = world.begin("next", Some(id)).await;
    assert!(locked(&world, Door::Totp).await, "nothing has gone yet");
    let confirmed = world.service.confirm_enrolment(&world.account, SESSION, &code(&seed, world.now())).await.unwrap();
    assert!(matches!(confirmed, Confirming::Active(_)));
    assert!(!locked(&world, Door::Totp).await && locked(&world, Door::Recovery).await);
}

#[tokio::test]
async fn a_new_set_of_recovery_codes_is_not_locked_and_one_that_waits_changes_nothing() {
    let world = world().await;
    world.import("phone", SEED).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    lock(&world).await;
    let _codes = world.make_recovery(Liveness::OnAcknowledgement).await.unwrap();
    assert!(locked(&world, Door::Recovery).await);
    assert!(world.service.acknowledge_recovery(&world.account).await.unwrap());
    assert!(!locked(&world, Door::Recovery).await && locked(&world, Door::Totp).await);
    assert_eq!(unlocked_events(&world).await, [EventKind::DoorUnlocked { door: Door::Recovery }]);
}

/// An enrolment that is given up has no secret that anybody could have guessed at.
#[tokio::test]
async fn giving_up_an_enrolment_lifts_nothing() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    lock_totp(&world).await;
    world.begin("next", None).await;
    assert!(matches!(
        world.service.confirm_enrolment(&world.account, SESSION, "12345").await.unwrap(),
        Confirming::Malformed
    ));
    assert!(locked(&world, Door::Totp).await);
}

async fn lock_totp(world: &World) {
    for _ in 0..50 {
        world.totp(&wrong(&[SEED, OTHER], world.now())).await;
        world.advance(3_600);
    }
    assert!(locked(world, Door::Totp).await);
}

/// Whoever repeats a used code is not charged, so it must not cost us a commit either.
#[tokio::test]
async fn a_flood_of_replays_writes_once_a_minute() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let codes = world.make_recovery(Liveness::Now).await.unwrap();
    let first = codes.iter().next().unwrap().to_owned();
    let recovery = async || {
        let _ = world.service.verify_recovery(&world.account, &first, "test", None).await.unwrap();
    };
    let typed = code(SEED, START);
    assert!(world.totp(&typed).await.granted());
    recovery().await;
    let replays = async || {
        let events = world.events().await;
        events.iter().filter(|kind| matches!(kind, EventKind::GuessDenied { .. })).count()
    };
    assert_eq!(world.totp(&typed).await, Told::Replayed);
    recovery().await;
    let before = world.revisions().await;
    for _ in 0..50 {
        assert_eq!(world.totp(&typed).await, Told::Replayed);
        recovery().await;
    }
    assert_eq!((world.revisions().await, replays().await), (before, 2), "one for a door");
    world.advance(59);
    recovery().await;
    assert_eq!(replays().await, 2);
    world.advance(1);
    recovery().await;
    assert_eq!(replays().await, 3);
}

#[tokio::test]
async fn beginning_over_and_over_is_told_once() {
    let world = World::new().await;
    let pending = async || world.events().await.iter().filter(|kind| **kind == EventKind::FactorPending).count();
    for _ in 0..20 {
        world.begin("phone", None).await;
    }
    assert_eq!(pending().await, 1);
    world.advance(keywright_twofactor::policy::PENDING_SECONDS);
    world.begin("phone", None).await;
    assert_eq!(pending().await, 2);
}

/// LibrePass: the client draws the secret.
#[tokio::test]
async fn a_secret_that_the_client_brings_takes_the_place_of_all_in_one_step() {
    let world = world().await;
    let enrol = async |seed: &[u8], typed: &str| {
        let step = |draft: &mut Draft<'_>| {
            let secret = TotpSecret::from_slice(seed).unwrap();
            world.service.steps().enrol_in(draft, "app", secret, Parameters::DEFAULT, typed)
        };
        world.driver.transact(&world.partition(), SLOTS, step).await.unwrap().0
    };
    let before = world.revisions().await;
    assert_eq!(enrol(SEED, &wrong(&[SEED], START)).await, Enrolling::Wrong);
    assert_eq!(enrol(SEED, "12345").await, Enrolling::Malformed);
    assert_eq!((world.revisions().await, world.events().await), (before, vec![]));
    assert!(matches!(enrol(SEED, &code(SEED, START)).await, Enrolling::Active(_)));
    assert_eq!(world.events().await, [EventKind::FactorAdded]);
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed, "it is spent");
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    lock(&world).await;
    let told = world.events().await.len();
    assert!(matches!(enrol(OTHER, &code(OTHER, world.now())).await, Enrolling::Active(_)));
    let events = world.events().await;
    assert_eq!(&events[told..], [EventKind::DoorUnlocked { door: Door::Totp }, EventKind::FactorReplaced]);
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert_eq!((enrolled.devices.len(), enrolled.recovery), (1, Some(12)));
    world.advance(30);
    assert!(world.totp(&code(OTHER, world.now())).await.granted());
    assert!(!world.totp(&code(SEED, world.now())).await.granted());
}

/// Known devices are forgotten with the door: what they were known for is gone.
#[tokio::test]
async fn a_retired_door_knows_nobody() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let known = Some(crate::support::tag(1));
    assert!(world.totp_for(&code(SEED, START), "test", known).await.granted());
    let retire = |draft: &mut Draft<'_>| guess::retire(draft, Door::Totp);
    world.driver.transact(&world.partition(), SLOTS, retire).await.unwrap();
    for _ in 0..5 {
        world.totp(&wrong(&[SEED], START)).await;
    }
    assert_eq!(world.totp_for(&code(SEED, START + 30), "test", known).await, Told::Refused(30));
}
