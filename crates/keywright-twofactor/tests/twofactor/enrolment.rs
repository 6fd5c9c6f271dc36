//! Devices are pending before they are active, replace each other only when proven, and are removed
//! together with what depends on them.

use keywright_core::{Purpose, SessionId};
use keywright_store::guess::GUESS_DENIED;
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    DeviceFault, DeviceId, ENROLMENT_TRIES, EnrolmentOutcome, EnrolmentStart, ImportedDevice, TotpSecret,
    TwoFactorPolicy,
};

use crate::support::{Epoch, OTHER, Outcome, SEED, SESSION, START, UNKNOWN, World, code, unlike, wrong};

/// A code that is wrong at any time; otherwise an enrolment code could be reported as one of
/// another time.
fn never(seeds: &[&[u8]], at: u64) -> String {
    unlike(seeds, at, 2_880)
}

async fn confirm(world: &World, typed: &str) -> EnrolmentOutcome {
    world.service.confirm_without_codes(&world.account, SessionId::new(SESSION), typed, UNKNOWN).await.unwrap()
}

#[tokio::test]
async fn asvs_2_3_1_pending_then_active_and_the_step_is_spent() {
    let world = World::new().await;
    let seed = world.begin("phone", None).await;
    assert_eq!(seed.len(), 20, "RFC 4226 § 4 R6: 160 bits");
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert!(enrolled.pending && !enrolled.has_totp());
    assert_eq!(world.totp(&code(&seed, START)).await, Outcome::NotEnrolled, "pending opens nothing");

    assert_eq!(confirm(&world, "12345").await, EnrolmentOutcome::Malformed);
    assert_eq!(confirm(&world, &never(&[&seed], START)).await, EnrolmentOutcome::Wrong);
    let before = world.factor_epoch().await;
    let EnrolmentOutcome::Active(id) = confirm(&world, &code(&seed, START)).await else { panic!("a right code") };
    assert_eq!(world.factor_epoch().await, before.wrapping_add(1));
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert!(!enrolled.pending && enrolled.has_totp());
    assert_eq!((enrolled.devices[0].id, enrolled.devices[0].name.as_str()), (id, "phone"));

    assert_eq!(world.totp(&code(&seed, START)).await, Outcome::Replayed, "the enrolling code is spent");
    assert_eq!(confirm(&world, &code(&seed, START + 30)).await, EnrolmentOutcome::NonePending);
    assert!(world.totp(&code(&seed, START + 30)).await.granted());
    assert_eq!(world.change_kinds().await[..2], ["factor_pending", "factor_added"]);
}

/// Wrong enrolment codes are not guesses at a factor, so the ledger does not count them. Few are
/// allowed, because a person who has seen the secret needs no more.
#[tokio::test]
async fn the_enrolling_code_is_never_charged_and_ten_wrong_ones_end_the_enrolment() {
    for (tries, ended) in [(ENROLMENT_TRIES - 1, false), (ENROLMENT_TRIES, true)] {
        let world = World::new().await;
        let seed = world.begin("phone", None).await;
        for _ in 0..tries {
            assert_eq!(confirm(&world, &never(&[&seed], START)).await, EnrolmentOutcome::Wrong);
        }
        assert_eq!((world.change_kinds().await, world.denials().await), (vec!["factor_pending".into()], vec![]));
        let right = confirm(&world, &code(&seed, START)).await;
        assert_eq!(right == EnrolmentOutcome::NonePending, ended, "{right:?}");
        assert_eq!(matches!(right, EnrolmentOutcome::Active(_)), !ended, "{right:?}");
    }
}

#[tokio::test]
async fn the_old_device_stays_until_the_new_one_is_proven() {
    let world = World::new().await;
    let old = world.import("old phone", SEED).await;
    let seed = world.begin("new phone", Some(old)).await;
    assert!(world.totp(&code(SEED, START)).await.granted());
    assert_eq!(confirm(&world, &never(&[&seed], START)).await, EnrolmentOutcome::Wrong);
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
    world.advance(60);
    assert!(matches!(confirm(&world, &code(&seed, START + 60)).await, EnrolmentOutcome::Active(_)));
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert_eq!(enrolled.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["new phone"]);
    assert!(matches!(world.totp(&code(SEED, START + 60)).await, Outcome::Charged(_)));
    let denied = world.denials_of(&GUESS_DENIED).await;
    assert_eq!(
        denied.last().map(|event| (event.text("secret"), event.text("reason"))),
        Some((Some("totp"), Some("wrong")))
    );
    assert!(world.change_kinds().await.contains(&"factor_replaced".into()));
}

#[tokio::test]
async fn a_pending_device_expires_and_is_void_after_a_change() {
    type Change = fn(&World);
    let changes: [(&str, Change); 3] = [
        ("expired", |world| world.advance(600)),
        ("made in the future", |world| world.set(START - 1)),
        ("nothing", |_| ()),
    ];
    for (name, change) in changes {
        let world = World::new().await;
        let seed = world.begin("phone", None).await;
        change(&world);
        let outcome = confirm(&world, &code(&seed, world.now())).await;
        assert_eq!(matches!(outcome, EnrolmentOutcome::Active(_)), name == "nothing", "{name}: {outcome:?}");
    }
    for change in [Epoch::Credential, Epoch::Factor] {
        let world = World::new().await;
        let seed = world.begin("phone", None).await;
        world.move_epoch(change).await;
        assert!(!world.service.enrolled(&world.account).await.unwrap().pending);
        assert_eq!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::NonePending);
        let before = world.revision().await;
        assert_eq!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::NonePending);
        assert_eq!(world.revision().await, before, "the first attempt tidied, the second writes nothing");
    }
    // The last second before it expires, and a fence that is more recent.
    let world = World::new().await;
    let seed = world.begin("phone", None).await;
    world.advance(599);
    let fenced = world.another_server(3, START + 1);
    assert_eq!(
        fenced
            .confirm_without_codes(&world.account, SessionId::new(SESSION), &code(&seed, START + 599), UNKNOWN)
            .await
            .unwrap(),
        EnrolmentOutcome::NonePending
    );
    let world = World::new().await;
    let seed = world.begin("phone", None).await;
    world.advance(599);
    assert!(matches!(confirm(&world, &code(&seed, START + 599)).await, EnrolmentOutcome::Active(_)));
}

#[tokio::test]
async fn beginning_again_voids_what_was_pending() {
    let world = World::new().await;
    let first = world.begin("first", None).await;
    let second = world.begin("second", None).await;
    assert_ne!(first, second);
    assert!(!matches!(confirm(&world, &code(&first, START)).await, EnrolmentOutcome::Active(_)));
    assert!(matches!(confirm(&world, &code(&second, START)).await, EnrolmentOutcome::Active(_)));
}

/// No other session can use an enrolment that a session began: a login that was not shown the
/// secret can neither confirm it, even with a correct code, nor use up its attempts.
#[tokio::test]
async fn only_the_session_that_began_confirms() {
    let world = World::new().await;
    let other = async |typed: &str| {
        world.service.confirm_without_codes(&world.account, SessionId::new("session-2"), typed, UNKNOWN).await.unwrap()
    };
    let seed = world.begin("phone", None).await;
    let before = world.revision().await;
    for _ in 0..=ENROLMENT_TRIES {
        for typed in [&*code(&seed, START), &*wrong(&[&seed], START), "12345"] {
            assert_eq!(other(typed).await, EnrolmentOutcome::NonePending);
        }
    }
    assert_eq!(world.revision().await, before, "as if nothing were pending");
    assert!(matches!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::Active(_)));

    // Beginning in another session replaces the enrolment, and does not join it.
    let world = World::new().await;
    let first = world.begin("phone", None).await;
    let begun = world.begin_enrolment(SessionId::new("session-2"), "theirs", None).await.unwrap();
    let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
    for seed in [&first, &pending.secret().expose().to_vec()] {
        assert_eq!(confirm(&world, &code(seed, START)).await, EnrolmentOutcome::NonePending);
    }
    let taken = world
        .service
        .confirm_without_codes(&world.account, SessionId::new("session-2"), &code(&first, START), UNKNOWN)
        .await
        .unwrap();
    assert!(matches!(taken, EnrolmentOutcome::Wrong | EnrolmentOutcome::ClockOff(_)));
}

#[tokio::test]
async fn five_devices_are_the_most() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for nth in 0..5_u8 {
        ids.push(world.import(&format!("device {nth}"), &[nth + 1; 20]).await);
    }
    let (service, account) = (&world.service, &world.account);
    let begun = world.begin_enrolment(SessionId::new(SESSION), "sixth", None).await.unwrap();
    assert!(matches!(begun, EnrolmentStart::TooManyDevices));
    let sixth = ImportedDevice::new("sixth", TotpSecret::from_slice(SEED).unwrap());
    assert_eq!(world.try_import(sixth).await, Err(DeviceFault::TooManyDevices));
    // A replacement needs no free place.
    let seed = world.begin("in its place", Some(ids[2])).await;
    assert!(matches!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::Active(_)));
    assert_eq!(service.enrolled(account).await.unwrap().devices.len(), 5);
    // The last place was taken while an enrolment was pending.
    world.remove_device(ids[0]).await.unwrap();
    let begun = world.begin_enrolment(SessionId::new(SESSION), "late", None).await.unwrap();
    let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
    let late = pending.secret().expose().to_vec();
    drop(pending);
    // An import moves the factor epoch, so the pending one is void.
    world.import("faster", SEED).await;
    assert_eq!(confirm(&world, &code(&late, START)).await, EnrolmentOutcome::NonePending);
    let unknown = DeviceId::parse("00000000000000aa").unwrap();
    let begun = world.begin_enrolment(SessionId::new(SESSION), "x", Some(unknown)).await.unwrap();
    assert!(matches!(begun, EnrolmentStart::UnknownDevice));
}

#[tokio::test]
async fn names_have_bounds() {
    let world = World::new().await;
    let long = "é".repeat(65);
    for name in ["", "tab\there", "\u{7f}", &long] {
        let begun = world.begin_enrolment(SessionId::new(SESSION), name, None).await.unwrap();
        assert!(matches!(begun, EnrolmentStart::BadName), "{name:?}");
    }
    world.begin(&"é".repeat(64), None).await;
    for text in ["", "00000000000000AA", "00000000000000a", "00000000000000aaa", "zz000000000000aa"] {
        assert!(DeviceId::parse(text).is_err());
    }
    for name in ["", "tab\there", &long] {
        let device = ImportedDevice::new(name, TotpSecret::from_slice(SEED).unwrap());
        assert_eq!(world.try_import(device).await, Err(DeviceFault::Name), "{name:?}");
    }
    let id = DeviceId::parse("00000000000000aa").unwrap();
    assert_eq!((id.to_string(), format!("{id:?}")), ("00000000000000aa".into(), "DeviceId(00000000000000aa)".into()));
}

/// RFC 4226 § 4 R6: 128 bits, and 80 only where a policy says so.
#[tokio::test]
async fn rfc_4226_r6_short_secrets_are_refused() {
    assert!(TotpSecret::from_slice(&[7; 9]).is_err());
    assert!(TotpSecret::from_slice(&[7; 129]).is_err());
    for (bytes, default, lenient) in [(10, false, true), (15, false, true), (16, true, true)] {
        let device = || ImportedDevice::new("x", TotpSecret::from_slice(&vec![7; bytes]).unwrap());
        let taken = |good: bool| if good { None } else { Some(DeviceFault::ShortSecret) };
        assert_eq!(World::new().await.try_import(device()).await.err(), taken(default), "{bytes}");
        let world = World::with(TwoFactorPolicy::builder().min_secret_bits(80).build().unwrap()).await;
        assert_eq!(world.try_import(device()).await.err(), taken(lenient), "{bytes}");
    }
}

#[tokio::test]
async fn asvs_6_5_6_each_device_can_be_revoked() {
    let world = World::new().await;
    let (one, _two) = (world.import("one", SEED).await, world.import("two", OTHER).await);
    let (service, account) = (&world.service, &world.account);
    let codes = world.make_recovery(Liveness::Now).await.unwrap();
    let epoch = world.factor_epoch().await;
    assert!(world.remove_device(one).await.unwrap());
    assert!(!world.remove_device(one).await.unwrap());
    assert_eq!(world.factor_epoch().await, epoch.wrapping_add(1));
    assert!(matches!(world.totp(&code(SEED, START)).await, Outcome::Charged(_)));
    assert!(world.totp(&code(OTHER, START)).await.granted());
    assert_eq!(service.enrolled(account).await.unwrap().recovery, Some(10), "not the last device");
    let first = codes.iter().next().unwrap();
    let verdict = service.verify_recovery(account, first, &Purpose::new("test"), UNKNOWN).await.unwrap();
    assert!(matches!(verdict, keywright_twofactor::VerifyOutcome::Granted(_)));
}

/// `docs/security.md` § 3: otherwise old recovery codes would open an account that no longer has a
/// second factor, and would be valid again with the next device.
#[tokio::test]
async fn the_last_device_takes_the_recovery_codes_with_it() {
    for all in [false, true] {
        let world = World::new().await;
        let id = world.import("one", SEED).await;
        let (service, account) = (&world.service, &world.account);
        let codes = world.make_recovery(Liveness::Now).await.unwrap();
        if all {
            world.begin("pending", None).await;
            assert!(world.remove_all().await.unwrap());
        } else {
            assert!(world.remove_device(id).await.unwrap());
        }
        let enrolled = service.enrolled(account).await.unwrap();
        assert_eq!((enrolled.recovery, enrolled.has_totp(), enrolled.pending), (None, false, false));
        let verdict = service
            .verify_recovery(account, codes.iter().next().unwrap(), &Purpose::new("test"), UNKNOWN)
            .await
            .unwrap();
        assert!(matches!(verdict, keywright_twofactor::VerifyOutcome::NotEnrolled));
        assert!(world.change_kinds().await.contains(&"recovery_codes_removed".into()));
        assert!(!world.remove_all().await.unwrap(), "nothing is left");
    }
}

#[tokio::test]
async fn the_email_switch_moves_the_factor_epoch() {
    let world = World::new().await;
    let (service, account) = (&world.service, &world.account);
    let epoch = world.factor_epoch().await;
    assert!(!world.set_email(false).await.unwrap());
    assert!(world.set_email(true).await.unwrap());
    assert!(!world.set_email(true).await.unwrap());
    assert!(service.enrolled(account).await.unwrap().email);
    assert_eq!(world.factor_epoch().await, epoch.wrapping_add(1));
    world.import("phone", SEED).await;
    world.remove_all().await.unwrap();
    assert!(service.enrolled(account).await.unwrap().email, "the switch is its own");
    assert!(world.set_email(false).await.unwrap());
    assert_eq!(world.change_kinds().await.last().map(String::as_str), Some("email_factor_off"));
}
