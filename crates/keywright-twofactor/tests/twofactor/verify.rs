//! Judging codes: once, all devices one door, malformed and replayed uncharged, waits and locks and their ways out.

use keywright_core::{Door, EventKind, LedgerPolicy, Reason};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{Once, Parameters, SLOTS, TotpSecret, TwoFactorPolicy, Verdict, Window};

use crate::support::{OTHER, SEED, START, Told, World, code, code_of, tag, wrong};

#[tokio::test]
async fn without_a_device_there_is_no_code() {
    let world = World::new().await;
    let before = world.revisions().await;
    assert_eq!(world.totp("123456").await, Told::NotEnrolled);
    assert_eq!(world.revisions().await, before);
}

#[tokio::test]
async fn nist_3_1_4_2_each_code_is_accepted_once() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Granted(0));
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed);
    assert_eq!(world.totp(&code(SEED, START - 30)).await, Told::Replayed, "an older step");
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Told::Granted(1));
    let events = world.events().await;
    let replayed = EventKind::GuessDenied { door: Door::Totp, reason: Reason::Replayed };
    assert_eq!(
        events[1..],
        [EventKind::TotpAccepted, replayed, EventKind::TotpAccepted],
        "one replay a minute is told"
    );
}

/// Right, wrong and used differ in the events only.
#[tokio::test]
async fn a_denial_does_not_tell_its_reason() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp(&code(SEED, START)).await.granted());
    let shown = |verdict: Verdict<_>| matches!(verdict, Verdict::Denied(_));
    for guess in [code(SEED, START), wrong(&[SEED], START)] {
        assert!(shown(world.service.verify_totp(&world.account, &guess, "test", None).await.unwrap()));
    }
}

/// One code cannot be tried on one device after the other: it is compared with all and charged once.
#[tokio::test]
async fn rfc_4226_7_3_all_devices_are_one_door() {
    let world = World::new().await;
    let seeds: Vec<Vec<u8>> = (0..5_u8).map(|nth| vec![nth + 1; 20]).collect();
    for (nth, seed) in seeds.iter().enumerate() {
        world.import(&format!("device {nth}"), seed).await;
    }
    let bad = wrong(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>(), START);
    for streak in 1..=5 {
        assert_eq!(world.totp(&bad).await, Told::Charged(streak));
    }
    for seed in &seeds {
        assert_eq!(world.totp(&code(seed, START)).await, Told::Refused(30), "right, and not looked at");
    }
    world.advance(30);
    for seed in &seeds {
        assert_eq!(world.totp(&code(seed, START)).await, Told::Granted(-1));
    }
}

#[tokio::test]
async fn two_devices_with_one_secret_accept_one_code() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    world.import("the same phone", SEED).await;
    assert!(world.totp(&code(SEED, START)).await.granted());
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed);
    // A third one comes later, and brings nothing back.
    world.import("and again", SEED).await;
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed);
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Told::Replayed);
}

/// `security.md` § 8: one secret under two names still works once. With other digits its codes are parts of each other,
/// and with another step or hash nobody needs it twice.
#[tokio::test]
async fn one_secret_has_one_set_of_parameters() {
    use keywright_twofactor::Algorithm::{Sha1, Sha256};
    let world = World::new().await;
    let steps = world.service.steps().clone();
    let import = async |seed: &[u8], (algorithm, digits, step)| {
        let parameters = Parameters::new(algorithm, digits, step).unwrap();
        let secret = TotpSecret::from_slice(seed).unwrap();
        let step = |draft: &mut keywright_store::Draft<'_>| {
            steps.import_device_with_in(draft, "phone", secret.duplicate(), parameters)
        };
        world.driver.transact(&world.partition(), SLOTS, step).await.map(|(id, _)| id)
    };
    let six = import(SEED, (Sha1, 6, 30)).await.unwrap();
    let eight = Parameters::new(Sha1, 8, 30).unwrap();
    assert!(code_of(SEED, START, eight).ends_with(&code(SEED, START)), "what the rule is for");
    assert!(world.totp(&code(SEED, START)).await.granted());
    let before = (world.revisions().await, world.events().await);
    let padded = [SEED, &[0; 12]].concat();
    for seed in [SEED, &padded] {
        for other in [(Sha1, 8, 30), (Sha1, 7, 30), (Sha1, 6, 15), (Sha1, 6, 60), (Sha256, 6, 30)] {
            let error = import(seed, other).await.unwrap_err();
            let step = keywright_store::TransactError::Step(keywright_store::StepError::Misuse(
                "an active device has the imported secret with other parameters",
            ));
            assert_eq!(error.to_string(), step.to_string());
        }
    }
    assert_eq!((world.revisions().await, world.events().await), before);
    assert_eq!(world.totp(&code_of(SEED, START, eight)).await, Told::Malformed, "there is no such device");
    // With the same parameters it is the same device under another name, zeros at the end or not.
    import(&padded, (Sha1, 6, 30)).await.unwrap();
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Replayed);
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Told::Replayed);
    // Another secret may have any, and so may this one when its devices are gone; what they have spent stays so.
    import(OTHER, (Sha1, 8, 60)).await.unwrap();
    assert!(world.remove_device(six).await.unwrap());
    assert!(import(SEED, (Sha1, 8, 30)).await.is_err(), "its twin is there");
    world.remove_all().await.unwrap();
    import(SEED, (Sha1, 8, 30)).await.unwrap();
    for at in [START, START + 30] {
        assert_eq!(world.totp(&code_of(SEED, at, eight)).await, Told::Replayed);
    }
}

/// `security.md` § 8: a code that a device shows at two steps of one window is spent at both.
#[tokio::test]
async fn one_code_at_two_steps_works_once() {
    // Steps of the RFCs' seed with one code, found by trying: neighbours, and two that lie two apart.
    for (first, second, now, shown) in [
        (1_732_990_050, 1_732_990_080, 1_732_990_050, "251166"),
        (1_732_990_050, 1_732_990_080, 1_732_990_080, "251166"),
        (1_710_533_460, 1_710_533_520, 1_710_533_490, "882938"),
    ] {
        assert_eq!((&*code(SEED, first), &*code(SEED, second)), (shown, shown));
        let world = World::new().await;
        world.import("phone", SEED).await;
        world.set(now);
        let highest = i8::try_from((second - now) / 30).unwrap();
        assert_eq!(world.totp(shown).await, Told::Granted(highest));
        for later in [0, 30, 60] {
            world.set(now + later);
            assert!(!world.totp(shown).await.granted(), "{later}");
        }
        assert!(world.totp(&code(SEED, now + 90)).await.granted());
    }
}

/// Else a code would come back with its device.
#[tokio::test]
async fn removed_and_imported_again_a_secret_stays_spent() {
    let world = World::new().await;
    for _ in 0..3 {
        let id = world.import("phone", SEED).await;
        let told = world.totp(&code(SEED, START)).await;
        assert!(world.remove_device(id).await.unwrap());
        world.import("other", OTHER).await;
        world.remove_all().await.unwrap();
        if world.events().await.iter().filter(|kind| **kind == EventKind::TotpAccepted).count() > 1 {
            panic!("twice");
        }
        assert!(told.granted() || told == Told::Replayed);
    }
    world.advance(30);
    world.import("phone", SEED).await;
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
}

#[tokio::test]
async fn malformed_is_not_counted_and_not_written() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let before = (world.revisions().await, world.events().await);
    let huge = "1".repeat(1 << 20);
    let bad = [
        "",
        "12345",
        "1234567",
        "12345678",
        "123456789",
        "abcdef",
        "+12345",
        "-12345",
        "12 345",
        "１２３４５６",
        "12345\0",
        "1234.5",
        "0x1234",
        "١٢٣٤٥٦",
        &huge,
    ];
    for guess in bad {
        assert_eq!(world.totp(guess).await, Told::Malformed, "{guess:.20}");
    }
    assert_eq!((world.revisions().await, world.events().await), before);
}

/// Six and eight digits side by side: a guess is compared with codes of its length.
#[tokio::test]
async fn devices_differ_in_their_parameters() {
    let world = World::new().await;
    world.import("six", SEED).await;
    let parameters = Parameters::new(keywright_twofactor::Algorithm::Sha256, 8, 60).unwrap();
    let steps = world.service.steps().clone();
    let secret = TotpSecret::from_slice(OTHER).unwrap();
    let import = |draft: &mut keywright_store::Draft<'_>| {
        steps.import_device_with_in(draft, "eight", secret.duplicate(), parameters)
    };
    world.driver.transact(&world.partition(), SLOTS, import).await.unwrap();
    assert_eq!(world.totp(&code_of(OTHER, START, parameters)).await, Told::Granted(0));
    assert_eq!(world.totp(&code_of(OTHER, START, parameters)).await, Told::Replayed);
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Granted(0));
    assert_eq!(world.totp("1234567").await, Told::Malformed);
    assert_eq!(world.totp("00000000").await, Told::Charged(1));
}

#[tokio::test]
async fn asvs_6_5_5_the_preset_takes_the_present_step_alone() {
    let world = World::with(TwoFactorPolicy::asvs()).await;
    world.import("phone", SEED).await;
    for (offset, told) in [(-30_i64, Told::Charged(1)), (30, Told::Charged(2)), (0, Told::Granted(0))] {
        let at = START.checked_add_signed(offset).unwrap();
        assert_eq!(world.totp(&code(SEED, at)).await, told, "{offset}");
    }
}

#[tokio::test]
async fn once_per_purpose_is_a_policy() {
    let world = World::with(TwoFactorPolicy::builder().once(Once::Purpose).build().unwrap()).await;
    world.import("phone", SEED).await;
    let now = code(SEED, START);
    for purpose in ["login", "delete"] {
        assert!(world.totp_for(&now, purpose, None).await.granted());
        assert_eq!(world.totp_for(&now, purpose, None).await, Told::Replayed);
    }
    // More purposes than are remembered apart: the oldest are folded together, which refuses more, never less.
    let mut granted = 0;
    for nth in 0..40 {
        granted += u32::from(world.totp_for(&now, &format!("purpose {nth}"), None).await.granted());
    }
    assert_eq!(granted, 15);
    for nth in 0..40 {
        assert_eq!(world.totp_for(&now, &format!("purpose {nth}"), None).await, Told::Replayed);
    }
}

/// Under the default policy the same code opens one thing.
#[tokio::test]
async fn once_is_account_wide_by_default() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp_for(&code(SEED, START), "login", None).await.granted());
    assert_eq!(world.totp_for(&code(SEED, START), "delete", None).await, Told::Replayed);
}

#[tokio::test]
async fn a_known_device_is_not_held_up_by_strangers() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp_for(&code(SEED, START), "login", Some(tag(1))).await.granted());
    for streak in 1..=5 {
        assert_eq!(world.totp(&wrong(&[SEED], START)).await, Told::Charged(streak));
    }
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Told::Refused(30));
    let service = &world.service;
    assert!(service.totp_refusal(&world.account, None).await.unwrap().is_some());
    assert!(service.totp_refusal(&world.account, Some(tag(1))).await.unwrap().is_none());
    assert!(world.totp_for(&code(SEED, START + 30), "login", Some(tag(1))).await.granted());
}

/// `security.md` § 6: strangers lock the door; a recovery code is the way out.
#[tokio::test]
async fn nist_3_2_2_a_lock_and_its_way_out() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let codes = world.make_recovery(Liveness::Now).await.unwrap();
    let mut charged = 0;
    while charged < 50 {
        match world.totp(&wrong(&[SEED], world.now())).await {
            Told::Charged(streak) => charged = streak,
            Told::Refused(wait) => world.advance(wait),
            other => panic!("{other:?}"),
        }
    }
    world.advance(10 * 365 * 86_400);
    assert!(matches!(world.totp(&code(SEED, world.now())).await, Told::Refused(_)), "no time opens it");
    let steps = world.service.steps().clone();
    let typed = codes.iter().next().unwrap().to_owned();
    let unlock =
        |draft: &mut keywright_store::Draft<'_>| match steps.verify_recovery_in(draft, &typed, "unlock", None)? {
            Verdict::Granted(proof) => steps.unlock_totp_in(draft, &proof),
            _ => Ok(false),
        };
    assert!(world.driver.transact(&world.partition(), SLOTS, unlock).await.unwrap().0);
    assert!(world.totp(&code(SEED, world.now())).await.granted());
}

/// A policy's ledger is the one that counts.
#[tokio::test]
async fn the_ledger_is_policy() {
    let ledger = LedgerPolicy::builder().free_tries(1).base_wait(60).build().unwrap();
    let world = World::with(TwoFactorPolicy::builder().ledger(ledger).build().unwrap()).await;
    world.import("phone", SEED).await;
    assert_eq!(world.totp(&wrong(&[SEED], START)).await, Told::Charged(1));
    assert_eq!(world.totp(&code(SEED, START)).await, Told::Refused(60));
}

/// RFC 6238 § 6: a code a step off is accepted and told, and the window does not move with it.
#[tokio::test]
async fn rfc_6238_6_drift_is_told_and_never_learned() {
    let world = World::with(TwoFactorPolicy::builder().window(Window::new(2, 0)).build().unwrap()).await;
    world.import("phone", SEED).await;
    for nth in 0..5 {
        world.set(START + nth * 90);
        assert_eq!(world.totp(&code(SEED, world.now() - 60)).await, Told::Granted(-2));
        assert!(matches!(world.totp(&code(SEED, world.now() - 90)).await, Told::Charged(_) | Told::Replayed));
    }
}
