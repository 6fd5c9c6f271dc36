//! Checking codes: each is accepted once, all devices count as one secret, malformed and replayed
//! codes are not charged, and the ledger's policy applies.

use std::sync::Arc;

use keywright_core::{LedgerPolicy, Purpose, SessionId};
use keywright_store::MemoryStore;
use keywright_store::guess::GUESS_DENIED;
use keywright_twofactor::recovery::{Liveness, Preset};
use keywright_twofactor::{
    Algorithm, DeviceFault, Enrolment, ImportedDevice, Once, Parameters, TotpSecret, TwoFactor, TwoFactorPolicy,
    TwoFactorPolicyError, VerifyOutcome, Window,
};

use crate::support::{OTHER, Outcome, SEED, START, UNKNOWN, World, client, code, code_of, wrong};

#[tokio::test]
async fn without_a_device_there_is_no_code() {
    let world = World::new().await;
    let before = world.revision().await;
    assert_eq!(world.totp("123456").await, Outcome::NotEnrolled);
    assert_eq!(world.revision().await, before);
}

#[tokio::test]
async fn nist_3_1_4_2_each_code_is_accepted_once() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Granted(0));
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
    assert_eq!(world.totp(&code(SEED, START - 30)).await, Outcome::Replayed, "an older step");
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Outcome::Granted(1));
    assert_eq!(world.change_kinds().await, ["factor_added", "totp_accepted", "totp_accepted"]);
    let denied = world.denials_of(&GUESS_DENIED).await;
    assert_eq!(denied.len(), 1, "one replay an hour is reported");
    assert_eq!((denied[0].text("secret"), denied[0].text("reason")), (Some("totp"), Some("replayed")));
    let changes = world.changes().await;
    assert_eq!((changes[1].text("purpose"), changes[1].text("device")), (Some("test"), changes[0].text("device")));
}

/// The outcomes for correct, wrong and used codes differ only in the events.
#[tokio::test]
async fn a_denial_does_not_tell_its_reason() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp(&code(SEED, START)).await.granted());
    let shown = |verdict: VerifyOutcome<_>| matches!(verdict, VerifyOutcome::Denied(_));
    for guess in [code(SEED, START), wrong(&[SEED], START)] {
        assert!(shown(
            world.service.verify_totp(&world.account, &guess, &Purpose::new("test"), UNKNOWN).await.unwrap()
        ));
    }
}

/// One code cannot be tried on one device after the other: it is compared with all of them and
/// charged once.
#[tokio::test]
async fn rfc_4226_7_3_all_devices_are_one_secret_of_the_ledger() {
    let world = World::new().await;
    let seeds: Vec<Vec<u8>> = (0..5_u8).map(|nth| vec![nth + 1; 20]).collect();
    for (nth, seed) in seeds.iter().enumerate() {
        world.import(&format!("device {nth}"), seed).await;
    }
    let bad = wrong(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>(), START);
    for streak in 1..=5 {
        assert_eq!(world.totp(&bad).await, Outcome::Charged(streak));
    }
    for seed in &seeds {
        assert_eq!(world.totp(&code(seed, START)).await, Outcome::Refused(30), "right, and not looked at");
    }
    world.advance(30);
    for seed in &seeds {
        assert_eq!(world.totp(&code(seed, START)).await, Outcome::Granted(-1));
    }
}

#[tokio::test]
async fn two_devices_with_one_secret_accept_one_code() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    world.import("the same phone", SEED).await;
    assert!(world.totp(&code(SEED, START)).await.granted());
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
    // A third one is added later, and does not make any code valid again.
    world.import("and again", SEED).await;
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Outcome::Replayed);
}

/// `docs/security.md` § 8: one secret under two names still works once. With another number of
/// digits its codes are parts of each other, and there is no use for the same secret with another
/// step or hash.
#[tokio::test]
async fn one_secret_has_one_set_of_parameters() {
    use Algorithm::{Sha1, Sha256};
    let world = World::new().await;
    let import = async |seed: &[u8], (algorithm, digits, step)| {
        let parameters = Parameters::new(algorithm, digits, step).unwrap();
        let device = ImportedDevice::new("phone", TotpSecret::from_slice(seed).unwrap());
        world.try_import(device.with_parameters(parameters)).await
    };
    let six = import(SEED, (Sha1, 6, 30)).await.unwrap();
    let eight = Parameters::new(Sha1, 8, 30).unwrap();
    assert!(code_of(SEED, START, eight).ends_with(&code(SEED, START)), "what the rule is for");
    assert!(world.totp(&code(SEED, START)).await.granted());
    let before = world.revision().await;
    let padded = [SEED, &[0; 12]].concat();
    for seed in [SEED, &padded] {
        for other in [(Sha1, 8, 30), (Sha1, 7, 30), (Sha1, 6, 15), (Sha1, 6, 60), (Sha256, 6, 30)] {
            assert_eq!(import(seed, other).await, Err(DeviceFault::OtherParameters));
        }
    }
    assert_eq!(world.revision().await, before);
    assert_eq!(world.totp(&code_of(SEED, START, eight)).await, Outcome::Malformed, "there is no such device");
    // With the same parameters it is the same device under another name, with or without trailing
    // zeros.
    import(&padded, (Sha1, 6, 30)).await.unwrap();
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Outcome::Replayed);
    // Another secret may have any parameters, and so may this one when its devices are gone; what
    // they have spent stays spent.
    import(OTHER, (Sha1, 8, 60)).await.unwrap();
    assert!(world.remove_device(six).await.unwrap());
    assert!(import(SEED, (Sha1, 8, 30)).await.is_err(), "its twin is there");
    world.remove_all().await.unwrap();
    import(SEED, (Sha1, 8, 30)).await.unwrap();
    for at in [START, START + 30] {
        assert_eq!(world.totp(&code_of(SEED, at, eight)).await, Outcome::Replayed);
    }
}

/// `docs/security.md` § 8: a code that a device shows at two steps of one window is spent at both.
#[tokio::test]
async fn one_code_at_two_steps_works_once() {
    // Steps of the RFCs' seed that have the same code, found by search: neighbours, and two that
    // are two steps apart.
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
        assert_eq!(world.totp(shown).await, Outcome::Granted(highest));
        for later in [0, 30, 60] {
            world.set(now + later);
            assert!(!world.totp(shown).await.granted(), "{later}");
        }
        assert!(world.totp(&code(SEED, now + 90)).await.granted());
    }
}

/// Otherwise a code would be valid again with its device.
#[tokio::test]
async fn removed_and_imported_again_a_secret_stays_spent() {
    let world = World::new().await;
    for _ in 0..3 {
        let id = world.import("phone", SEED).await;
        let outcome = world.totp(&code(SEED, START)).await;
        assert!(world.remove_device(id).await.unwrap());
        world.import("other", OTHER).await;
        world.remove_all().await.unwrap();
        assert_eq!(world.change_kinds().await.iter().filter(|kind| *kind == "totp_accepted").count(), 1);
        assert!(outcome.granted() || outcome == Outcome::Replayed);
    }
    world.advance(30);
    world.import("phone", SEED).await;
    assert!(world.totp(&code(SEED, START + 30)).await.granted());
}

#[tokio::test]
async fn malformed_is_not_counted_and_not_written() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let before = world.revision().await;
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
        "123456 7",
        "１２３４５６",
        "12345\0",
        "1234.5",
        "0x1234",
        "١٢٣٤٥٦",
        &huge,
    ];
    for guess in bad {
        assert_eq!(world.totp(guess).await, Outcome::Malformed, "{guess:.20}");
    }
    assert_eq!(world.revision().await, before);
}

/// `docs/decisions.md` 67: apps show codes in groups, and phones insert characters of their own.
#[tokio::test]
async fn blanks_and_hyphens_in_a_code_carry_nothing() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    for (nth, filler) in (0..).zip([" ", "-", "\u{a0}", "\u{2011}", "\u{200b}\t", "\u{2212}\n", "\u{ad}\u{feff}"]) {
        world.set(START + nth * 30);
        let shown = code(SEED, world.now());
        let typed = format!("{filler}{}{filler}{}{filler}", &shown[..3], &shown[3..]);
        assert_eq!(world.totp(&typed).await, Outcome::Granted(0), "{typed:?}");
        assert_eq!(world.totp(&shown).await, Outcome::Replayed, "{typed:?}");
        assert!(world.service.enrolled(&world.account).await.unwrap().is_form_of_totp(&typed));
    }
}

/// Six and eight digits side by side: a guess is compared with codes of its length.
#[tokio::test]
async fn devices_differ_in_their_parameters() {
    let world = World::new().await;
    world.import("six", SEED).await;
    let parameters = Parameters::new(Algorithm::Sha256, 8, 60).unwrap();
    let device = ImportedDevice::new("eight", TotpSecret::from_slice(OTHER).unwrap());
    world.try_import(device.with_parameters(parameters)).await.unwrap();
    assert_eq!(world.totp(&code_of(OTHER, START, parameters)).await, Outcome::Granted(0));
    assert_eq!(world.totp(&code_of(OTHER, START, parameters)).await, Outcome::Replayed);
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Granted(0));
    assert_eq!(world.totp("1234567").await, Outcome::Malformed);
    assert_eq!(world.totp("00000000").await, Outcome::Charged(1));
}

#[tokio::test]
async fn asvs_6_5_5_the_preset_takes_the_present_step_alone() {
    let world = World::with(TwoFactorPolicy::asvs()).await;
    world.import("phone", SEED).await;
    for (offset, outcome) in [(-30_i64, Outcome::Charged(1)), (30, Outcome::Charged(2)), (0, Outcome::Granted(0))] {
        let at = START.checked_add_signed(offset).unwrap();
        assert_eq!(world.totp(&code(SEED, at)).await, outcome, "{offset}");
    }
}

#[tokio::test]
async fn once_per_purpose_is_a_policy() {
    let world = World::with(TwoFactorPolicy::builder().once(Once::Purpose).build().unwrap()).await;
    world.import("phone", SEED).await;
    let now = code(SEED, START);
    for purpose in [&Purpose::new("login"), &Purpose::new("delete")] {
        assert!(world.totp_for(&now, purpose, UNKNOWN).await.granted());
        assert_eq!(world.totp_for(&now, purpose, UNKNOWN).await, Outcome::Replayed);
    }
    // There are more purposes than are remembered separately: the oldest are merged, which refuses
    // more, never less.
    let mut granted = 0;
    for nth in 0..40 {
        granted += u32::from(
            world.totp_for(&now, &Purpose::parse(format!("purpose-{nth}")).unwrap(), UNKNOWN).await.granted(),
        );
    }
    assert_eq!(granted, 15);
    for nth in 0..40 {
        assert_eq!(
            world.totp_for(&now, &Purpose::parse(format!("purpose-{nth}")).unwrap(), UNKNOWN).await,
            Outcome::Replayed
        );
    }
}

/// Under the default policy a code is accepted for one purpose only.
#[tokio::test]
async fn once_is_account_wide_by_default() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp_for(&code(SEED, START), &Purpose::new("login"), UNKNOWN).await.granted());
    assert_eq!(world.totp_for(&code(SEED, START), &Purpose::new("delete"), UNKNOWN).await, Outcome::Replayed);
}

#[tokio::test]
async fn a_known_client_is_not_held_up_by_others() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    assert!(world.totp_for(&code(SEED, START), &Purpose::new("login"), client(1)).await.granted());
    for streak in 1..=5 {
        assert_eq!(world.totp(&wrong(&[SEED], START)).await, Outcome::Charged(streak));
    }
    assert_eq!(world.totp(&code(SEED, START + 30)).await, Outcome::Refused(30));
    let service = &world.service;
    assert!(service.totp_refusal(&world.account, UNKNOWN).await.unwrap().is_some());
    assert!(service.totp_refusal(&world.account, client(1)).await.unwrap().is_none());
    assert!(world.totp_for(&code(SEED, START + 30), &Purpose::new("login"), client(1)).await.granted());
}

/// There is one ledger policy, the driver's; a service whose codes it does not protect cannot be
/// constructed.
#[tokio::test]
async fn the_drivers_ledger_policy_is_the_one_that_counts() {
    let ledger = LedgerPolicy::builder().free_tries(1).base_wait(60).build().unwrap();
    let world = World::guarded(Arc::new(MemoryStore::new()), TwoFactorPolicy::default(), ledger).await;
    world.import("phone", SEED).await;
    assert_eq!(world.totp(&wrong(&[SEED], START)).await, Outcome::Charged(1));
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Refused(60));

    let weak = TwoFactorPolicy::builder().window(Window::new(2, 2)).build().unwrap();
    let error = TwoFactor::new(world.driver.clone(), weak).unwrap_err();
    assert!(matches!(error, TwoFactorPolicyError::Guessable(_)));
    for field in ["`window`", "`devices`", "`digits`"] {
        assert!(error.to_string().contains(field), "{error}");
    }
    // A device with fewer digits than the policy's can only be imported.
    let wide = TwoFactorPolicy::builder().digits(8).window(Window::new(5, 5)).build().unwrap();
    let world = World::with(wide).await;
    let six = ImportedDevice::new("six", TotpSecret::from_slice(SEED).unwrap()).with_parameters(Parameters::DEFAULT);
    assert_eq!(world.try_import(six).await, Err(DeviceFault::Guessable));
}

/// Nothing that is typed at an account with a device looks like an account without one.
#[tokio::test]
async fn without_recovery_codes_what_is_no_code_is_malformed() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    for typed in ["", "12345", "1234567", "abcd-efgh", "AAAA-BBBB-CCCC-DDDD", "no code"] {
        let verdict = world.service.verify(&world.account, typed, &Purpose::new("login"), client(1)).await.unwrap();
        assert!(matches!(verdict, VerifyOutcome::Malformed), "{typed}: {verdict:?}");
    }
    assert_eq!(world.denials().await, []);
}

/// One field for both kinds of code.
#[tokio::test]
async fn a_code_of_either_kind_is_told_by_its_form() {
    let eight = Parameters::new(Algorithm::Sha1, 8, 30).unwrap();
    let builder = TwoFactorPolicy::builder().recovery(Preset::RocketChat).digits(8);
    let world = World::with(builder.build().unwrap()).await;
    let judge = async |typed: &str| {
        world.service.verify(&world.account, typed, &Purpose::new("login"), client(1)).await.unwrap()
    };
    let charged = |verdict: VerifyOutcome<_>| match verdict {
        VerifyOutcome::Denied(denial) => denial.charge().map(|charge| charge.admitted().secret().name().to_owned()),
        other => panic!("{other:?}"),
    };
    assert!(matches!(judge("12345678").await, VerifyOutcome::NotEnrolled));
    world.import("phone", SEED).await;
    world.service.import_recovery(&world.account, &["23456789", "abcdefgh"]).await.unwrap();
    // Eight digits have the form of both kinds: a correct code of either passes, and nothing is
    // charged for the other.
    assert!(
        matches!(judge(&code_of(SEED, START, eight)).await, VerifyOutcome::Granted(proof) if proof.drift() == Some(0))
    );
    assert!(matches!(judge("2345 6789").await, VerifyOutcome::Granted(proof) if proof.drift().is_none()));
    assert_eq!(world.denials().await, []);
    assert_eq!(charged(judge("23456789").await), Some("totp".into()), "used up: a wrong time-based code");
    assert!(matches!(judge("abcd-efgh").await, VerifyOutcome::Granted(_)));
    assert_eq!(charged(judge("abcdefgj").await), Some("recovery".into()));
    assert!(matches!(judge("abc").await, VerifyOutcome::Malformed));
}

/// While time-based codes are refused, a text with the form of both kinds is still checked as a
/// recovery code, so it is charged as one.
#[tokio::test]
async fn a_recovery_code_is_not_guessed_for_nothing_while_others_are_refused() {
    let builder = TwoFactorPolicy::builder().recovery(Preset::RocketChat).digits(8);
    let world = World::with(builder.build().unwrap()).await;
    let judge =
        async |typed: &str| world.service.verify(&world.account, typed, &Purpose::new("login"), UNKNOWN).await.unwrap();
    world.import("phone", SEED).await;
    world.service.import_recovery(&world.account, &["23456789", "33333333"]).await.unwrap();
    for _ in 0..5 {
        // No recovery code has these digits.
        let VerifyOutcome::Denied(denial) = judge("00000001").await else { panic!("not looked at") };
        assert_eq!(denial.charge().unwrap().admitted().secret().name(), "totp");
    }
    assert!(world.service.totp_refusal(&world.account, UNKNOWN).await.unwrap().is_some());
    assert!(matches!(judge("33333333").await, VerifyOutcome::Granted(_)), "a right one passes");
    for streak in 1..=5 {
        let VerifyOutcome::Denied(denial) = judge("22222222").await else { panic!("guessed for nothing") };
        let charge = denial.charge().unwrap();
        assert_eq!((charge.admitted().secret().name(), charge.streak()), ("recovery", streak));
    }
    assert!(matches!(judge("23456789").await, VerifyOutcome::Refused(_)), "these have to wait too");
}

/// A first device and its recovery codes, in one operation.
#[tokio::test]
async fn the_first_device_comes_with_its_recovery_codes() {
    let world = World::new().await;
    let seed = world.begin("phone", None).await;
    let confirm = async |typed: &str| {
        let (service, account) = (&world.service, &world.account);
        service.confirm(account, SessionId::new(crate::support::SESSION), typed, UNKNOWN).await.unwrap()
    };
    assert!(matches!(confirm("12345").await, Enrolment::Malformed));
    let confirmed = confirm(&code(&seed, START)).await;
    let Enrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
    assert_eq!(world.service.enrolled(&world.account).await.unwrap().recovery, Some(10));
    let first = codes.iter().next().unwrap();
    let verdict = world.service.verify_recovery(&world.account, first, &Purpose::new("login"), UNKNOWN).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    // A second device leaves them as they are.
    let seed = world.begin("tablet", None).await;
    let confirmed = confirm(&code(&seed, START)).await;
    assert!(matches!(confirmed, Enrolment::Active { recovery_codes: None, .. }), "{confirmed:?}");
    assert_eq!(world.service.enrolled(&world.account).await.unwrap().recovery, Some(9));
}

/// The operator's help for an owner who has lost everything.
#[tokio::test]
async fn the_operator_removes_every_factor() {
    let world = World::new().await;
    assert!(!world.service.disable(&world.account).await.unwrap());
    world.import("phone", SEED).await;
    world.set_email(true).await.unwrap();
    let _codes = world.make_recovery(Liveness::Now).await.unwrap();
    assert!(world.service.disable(&world.account).await.unwrap());
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert_eq!((enrolled.has_totp(), enrolled.recovery, enrolled.email), (false, None, false));
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::NotEnrolled);
}

/// Findings C6: by default a change of factors ends the logins before it.
#[tokio::test]
async fn a_change_of_factors_moves_the_credential_epoch_unless_the_policy_says_no() {
    for ends in [true, false] {
        let world = World::with(TwoFactorPolicy::builder().end_other_logins(ends).build().unwrap()).await;
        assert_eq!(world.steps().policy().ends_other_logins(), ends);
        let mut epochs = world.root().await.epochs();
        let mut moved = async |what: &str| {
            let before = std::mem::replace(&mut epochs, world.root().await.epochs());
            assert_ne!(before.factor, epochs.factor, "{what}");
            assert_eq!(before.credential != epochs.credential, ends, "{what}");
        };
        let seed = world.begin("phone", None).await;
        let (service, account) = (&world.service, &world.account);
        let confirmed = service
            .confirm_without_codes(account, SessionId::new(crate::support::SESSION), &code(&seed, START), UNKNOWN)
            .await;
        let keywright_twofactor::EnrolmentOutcome::Active(id) = confirmed.unwrap() else { panic!("not active") };
        moved("added").await;
        let _codes = world.make_recovery(Liveness::Now).await.unwrap();
        moved("recovery codes").await;
        world.set_email(true).await.unwrap();
        moved("mailed codes").await;
        world.remove_device(id).await.unwrap();
        moved("removed").await;
        // Using a factor is not a change.
        world.import("next", SEED).await;
        moved("imported").await;
        assert!(world.totp(&code(SEED, START)).await.granted());
        assert_eq!(world.root().await.epochs(), epochs);
    }
}

/// RFC 6238 § 6: a code that is one step off is accepted and reported, and the window does not move
/// with it.
#[tokio::test]
async fn rfc_6238_6_drift_is_told_and_never_learned() {
    let world = World::with(TwoFactorPolicy::builder().window(Window::new(2, 0)).build().unwrap()).await;
    world.import("phone", SEED).await;
    for nth in 0..5 {
        world.set(START + nth * 90);
        assert_eq!(world.totp(&code(SEED, world.now() - 60)).await, Outcome::Granted(-2));
        assert!(matches!(world.totp(&code(SEED, world.now() - 90)).await, Outcome::Charged(_) | Outcome::Replayed));
    }
}
