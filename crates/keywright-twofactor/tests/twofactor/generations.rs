//! Guesses belong to one secret: its waits and limits end with it, and with nothing else. Clients
//! that were known stay known, and the client that makes the change is known from the start.

use keywright_core::{Client, Purpose, SessionId};
use keywright_store::Draft;
use keywright_store::guess::{GUESS_DENIED, GUESSES_UNLOCKED};
use keywright_twofactor::recovery::{Liveness, Preset};
use keywright_twofactor::{
    CodeKind, EnrolOutcome, Enrolment, EnrolmentOutcome, ImportedDevice, TotpSecret, TwoFactorPolicy, VerifyOutcome,
};

use crate::support::{OTHER, Outcome, SEED, SESSION, START, UNKNOWN, World, client, code, tag, unlike, wrong};

async fn world() -> World {
    World::with(TwoFactorPolicy::builder().recovery(Preset::RocketChat).build().unwrap()).await
}

/// Fifty wrong time-based codes and fifty wrong recovery codes by other clients.
async fn shut(world: &World) {
    for _ in 0..50 {
        world.totp(&wrong(&[SEED, OTHER], world.now())).await;
        let _ =
            world.service.verify_recovery(&world.account, "AAAAAAAA", &Purpose::new("test"), UNKNOWN).await.unwrap();
        world.advance(3_600);
    }
    assert!(is_shut(world, CodeKind::Totp).await && is_shut(world, CodeKind::Recovery).await);
}

async fn is_shut(world: &World, kind: CodeKind) -> bool {
    let refusal = match kind {
        CodeKind::Totp => world.service.totp_refusal(&world.account, UNKNOWN).await,
        CodeKind::Recovery => world.service.recovery_refusal(&world.account, UNKNOWN).await,
    };
    refusal.unwrap().is_some_and(|refusal| refusal.is_locked())
}

async fn confirm(world: &World, seed: &[u8], client: Client) {
    let typed = code(seed, world.now());
    let confirmed =
        world.service.confirm_without_codes(&world.account, SessionId::new(SESSION), &typed, client).await.unwrap();
    assert!(matches!(confirmed, EnrolmentOutcome::Active(_)));
}

#[tokio::test]
async fn the_last_secret_takes_its_limit_with_it() {
    for all in [false, true] {
        let world = world().await;
        let id = world.import("phone", SEED).await;
        let _codes = world.make_recovery(Liveness::Now).await.unwrap();
        shut(&world).await;
        if all {
            world.remove_all().await.unwrap();
        } else {
            world.remove_device(id).await.unwrap();
        }
        assert!(!is_shut(&world, CodeKind::Totp).await && !is_shut(&world, CodeKind::Recovery).await);
        world.import("next", OTHER).await;
        let codes = world.make_recovery(Liveness::Now).await.unwrap();
        assert!(world.totp(&code(OTHER, world.now())).await.granted());
        let first = codes.iter().next().unwrap();
        let verdict =
            world.service.verify_recovery(&world.account, first, &Purpose::new("test"), UNKNOWN).await.unwrap();
        assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{verdict:?}");
        assert!(!world.changes().await.iter().any(|event| event.is(&GUESSES_UNLOCKED)), "nobody lifted anything");
    }
}

#[tokio::test]
async fn a_device_beside_the_one_that_goes_keeps_the_limit() {
    let world = world().await;
    let id = world.import("phone", SEED).await;
    world.import("other", OTHER).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    shut(&world).await;
    world.remove_device(id).await.unwrap();
    let seed = world.begin("third", None).await;
    confirm(&world, &seed, UNKNOWN).await;
    assert!(is_shut(&world, CodeKind::Totp).await && is_shut(&world, CodeKind::Recovery).await);
}

#[tokio::test]
async fn a_device_in_the_place_of_the_only_one_begins_anew() {
    let world = world().await;
    let id = world.import("phone", SEED).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    shut(&world).await;
    let seed = world.begin("next", Some(id)).await;
    assert!(is_shut(&world, CodeKind::Totp).await, "nothing has gone yet");
    confirm(&world, &seed, UNKNOWN).await;
    assert!(!is_shut(&world, CodeKind::Totp).await && is_shut(&world, CodeKind::Recovery).await);
}

#[tokio::test]
async fn a_new_set_of_recovery_codes_begins_anew_and_one_that_waits_changes_nothing() {
    let world = world().await;
    world.import("phone", SEED).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    shut(&world).await;
    let _codes = world.make_recovery(Liveness::OnAcknowledgement { session: SessionId::new(SESSION) }).await.unwrap();
    assert!(is_shut(&world, CodeKind::Recovery).await);
    assert!(world.service.acknowledge_recovery(&world.account, SessionId::new(SESSION), UNKNOWN).await.unwrap());
    assert!(!is_shut(&world, CodeKind::Recovery).await && is_shut(&world, CodeKind::Totp).await);
}

/// An enrolment that is given up has no secret at which guesses could have been made.
#[tokio::test]
async fn giving_up_an_enrolment_lifts_nothing() {
    let world = world().await;
    world.import("phone", SEED).await;
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    shut(&world).await;
    world.begin("next", None).await;
    let confirmed =
        world.service.confirm_without_codes(&world.account, SessionId::new(SESSION), "12345", UNKNOWN).await.unwrap();
    assert_eq!(confirmed, EnrolmentOutcome::Malformed);
    assert!(is_shut(&world, CodeKind::Totp).await);
}

/// `docs/security.md` § 6: the client that made the change is known in the new generation from the start, and the
/// others that were known stay so.
#[tokio::test]
async fn known_clients_and_the_one_that_makes_the_change_are_known_from_the_start() {
    let world = world().await;
    let [phone, laptop, stranger] = [client(1), client(2), client(3)];
    let hold_up = async |seed: &[u8]| {
        for _ in 0..5 {
            world.totp(&unlike(&[seed], world.now(), 3)).await;
        }
        assert!(matches!(
            world.totp_for(&code(seed, world.now()), &Purpose::new("test"), stranger).await,
            Outcome::Refused(_)
        ));
    };
    // The phone enrols the first device.
    let seed = world.begin("one", None).await;
    confirm(&world, &seed, phone).await;
    world.advance(30);
    hold_up(&seed).await;
    assert!(world.totp_for(&code(&seed, world.now()), &Purpose::new("test"), phone).await.granted());
    world.advance(30);
    assert!(
        world.totp_for(&code(&seed, world.now()), &Purpose::new("test"), laptop).await.granted(),
        "the wait is over"
    );
    // The laptop replaces it with another: the phone stays known.
    let id = world.service.enrolled(&world.account).await.unwrap().devices[0].id;
    let seed = world.begin("two", Some(id)).await;
    confirm(&world, &seed, laptop).await;
    world.advance(30);
    hold_up(&seed).await;
    assert!(world.totp_for(&code(&seed, world.now()), &Purpose::new("test"), phone).await.granted());
    world.advance(30);
    hold_up(&seed).await;
    assert!(world.totp_for(&code(&seed, world.now()), &Purpose::new("test"), laptop).await.granted());
    // All devices are removed, and the phone supplies a secret.
    world.remove_all().await.unwrap();
    let device = ImportedDevice::new("app", TotpSecret::from_slice(OTHER).unwrap());
    let typed = code(OTHER, world.now());
    let enrolled = world.run(|draft| world.steps().enrol_in(draft, &device, &typed, phone)).await.unwrap();
    assert!(matches!(enrolled, EnrolOutcome::Active(_)));
    world.advance(30);
    hold_up(OTHER).await;
    assert!(world.totp_for(&code(OTHER, world.now()), &Purpose::new("test"), laptop).await.granted());
    world.advance(30);
    hold_up(OTHER).await;
    assert!(world.totp_for(&code(OTHER, world.now()), &Purpose::new("test"), phone).await.granted());
}

#[tokio::test]
async fn who_makes_recovery_codes_is_known_at_them() {
    let world = world().await;
    let make = async |client| {
        let made = world.run(|draft| world.steps().make_recovery_in(draft, Liveness::Now, client)).await.unwrap();
        made.iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let judge = async |typed: &str, client| {
        let verdict =
            world.service.verify_recovery(&world.account, typed, &Purpose::new("test"), client).await.unwrap();
        matches!(verdict, VerifyOutcome::Granted(_))
    };
    let _first = make(client(1)).await;
    let codes = make(client(2)).await;
    for _ in 0..5 {
        assert!(!judge("AAAAAAAA", UNKNOWN).await);
    }
    assert!(!judge(&codes[0], client(3)).await, "a wait");
    assert!(judge(&codes[0], client(2)).await && judge(&codes[1], client(1)).await);
}

/// Repeating a used code is not charged, and does not fill the log.
#[tokio::test]
async fn a_flood_of_replays_is_told_once_an_hour() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let codes = world.make_recovery(Liveness::Now).await.unwrap();
    let first = codes.iter().next().unwrap().to_owned();
    let recovery = async || {
        let _ = world.service.verify_recovery(&world.account, &first, &Purpose::new("test"), UNKNOWN).await.unwrap();
    };
    let typed = code(SEED, START);
    assert!(world.totp(&typed).await.granted());
    recovery().await;
    let replays = async || world.denials_of(&GUESS_DENIED).await.len();
    for _ in 0..50 {
        assert_eq!(world.totp(&typed).await, Outcome::Replayed);
        recovery().await;
    }
    assert_eq!(replays().await, 2, "one for a secret");
    world.advance(3_599);
    recovery().await;
    assert_eq!(replays().await, 2);
    world.advance(1);
    recovery().await;
    assert_eq!(replays().await, 3);
    let last = world.denials_of(&GUESS_DENIED).await.pop().unwrap();
    assert_eq!(last.count("earlier"), Some(50));
}

#[tokio::test]
async fn beginning_over_and_over_is_told_once() {
    let world = World::new().await;
    let pending = async || world.change_kinds().await.iter().filter(|kind| *kind == "factor_pending").count();
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
        let device = ImportedDevice::new("app", TotpSecret::from_slice(seed).unwrap());
        let step = |draft: &mut Draft<'_>| world.steps().enrol_in(draft, &device, typed, UNKNOWN);
        world.run(step).await.unwrap()
    };
    let before = world.revision().await;
    assert_eq!(enrol(SEED, &unlike(&[SEED], START, 2_880)).await, EnrolOutcome::Wrong);
    assert_eq!(enrol(SEED, "12345").await, EnrolOutcome::Malformed);
    assert_eq!(world.revision().await, before);
    assert!(matches!(enrol(SEED, &code(SEED, START)).await, EnrolOutcome::Active(_)));
    assert_eq!(world.change_kinds().await, ["factor_added"]);
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed, "it is spent");
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    shut(&world).await;
    let outcome = world.change_kinds().await.len();
    assert!(matches!(enrol(OTHER, &code(OTHER, world.now())).await, EnrolOutcome::Active(_)));
    assert_eq!(world.change_kinds().await[outcome..], ["factor_replaced"]);
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert_eq!((enrolled.devices.len(), enrolled.recovery), (1, Some(12)));
    world.advance(30);
    assert!(world.totp(&code(OTHER, world.now())).await.granted());
    assert!(!world.totp(&code(SEED, world.now())).await.granted());
}

/// `docs/security.md` § 6: the client that made the change is known by its token, and by its
/// network where tokens end: the owner has to log in again, and must not wait because of others'
/// guesses.
#[tokio::test]
async fn who_makes_a_change_that_ends_logins_is_known_by_the_network_too() {
    let (owner, network) = (client(1).on_network(tag(50)), Client::network(tag(50)));
    for ends in [true, false] {
        let policy = TwoFactorPolicy::builder().recovery(Preset::RocketChat).end_other_logins(ends);
        let world = World::with(policy.build().unwrap()).await;
        let seed = world.begin("phone", None).await;
        let typed = code(&seed, world.now());
        let (service, account) = (&world.service, &world.account);
        let confirmed = service.confirm(account, SessionId::new(SESSION), &typed, owner).await.unwrap();
        let Enrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
        let codes: Vec<String> = codes.iter().map(str::to_owned).collect();
        world.advance(60);
        for _ in 0..5 {
            world.totp(&unlike(&[&seed], world.now(), 3)).await;
            let _ = service.verify_recovery(account, "AAAAAAAA", &Purpose::new("test"), UNKNOWN).await.unwrap();
        }
        let typed = code(&seed, world.now());
        let stranger = Client::network(tag(51));
        assert!(matches!(world.totp_for(&typed, &Purpose::new("test"), stranger).await, Outcome::Refused(_)));
        let recovered = service.verify_recovery(account, &codes[0], &Purpose::new("test"), network).await.unwrap();
        let outcome = world.totp_for(&typed, &Purpose::new("test"), network).await;
        assert_eq!((outcome.granted(), matches!(recovered, VerifyOutcome::Granted(_))), (ends, ends));
        // Known by its own credential, where that stays valid.
        world.advance(30);
        assert!(world.totp_for(&code(&seed, world.now()), &Purpose::new("test"), client(1)).await.granted());
    }
}
