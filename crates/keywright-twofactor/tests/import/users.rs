//! One user: what is taken over, what is not, and what an import never does.

use keywright_testing::at;
use keywright_twofactor::import::{ImportFault, ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::{CodesFault, ImportedCodes, Liveness};
use keywright_twofactor::{
    Algorithm, DeviceFault, DeviceImport, ImportedDevice, Parameters, TotpSecret, VerifyOutcome,
};

use crate::support::{LOG_IN, SEED, START, UNKNOWN, Verdict, World, code, device, id};

fn counts(outcome: ImportOutcome) -> (usize, usize, usize) {
    match outcome {
        ImportOutcome::Imported(factors) => (factors.devices, factors.devices_below_policy, factors.recovery_codes),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn secrets_of_every_length_that_was_common_log_in() {
    let world = World::new().await;
    let secret: Vec<u8> = (1..=64).collect();
    for (length, below) in [(10, true), (16, false), (20, false), (32, false), (64, false)] {
        let account = id(&format!("user-{length}"));
        let seed = &secret[..length];
        let outcome = world.import(&account, &ImportedUser::new().device(device(seed))).await;
        assert_eq!(counts(outcome), (1, usize::from(below), 0));
        let enrolled = world.service.enrolled(&account).await.unwrap();
        assert_eq!((enrolled.devices[0].below_policy, enrolled.advises_renewal()), (below, below));
        let verdict = world.service.verify_totp(&account, &code(seed, START), &LOG_IN, UNKNOWN).await.unwrap();
        let VerifyOutcome::Granted(proof) = verdict else { panic!("{length}: {verdict:?}") };
        assert_eq!(proof.advises_renewal(), below);
    }
    // As an old system stores it: base32 of sixteen characters.
    let old = TotpSecret::from_base32("JBSWY3DPEHPK3PXP").unwrap();
    assert_eq!(old.bits(), 80);
    let account = id("old");
    let user = ImportedUser::new().device(ImportedDevice::new("phone", old.duplicate()));
    assert_eq!(counts(world.import(&account, &user).await), (1, 1, 0));
    assert_eq!(world.totp(&account, &code(old.expose(), START)).await, Verdict::Granted);
}

#[tokio::test]
async fn a_step_that_was_used_elsewhere_is_used() {
    let world = World::new().await;
    let (account, present) = (id("user"), START / 30);
    let _ = world.import(&account, &ImportedUser::new().device(device(SEED).with_last_step(present))).await;
    assert_eq!(world.totp(&account, &code(SEED, START)).await, Verdict::Replayed);
    world.set(START + 30);
    assert_eq!(world.totp(&account, &code(SEED, START + 30)).await, Verdict::Granted);
}

#[tokio::test]
async fn an_import_is_one_commit_with_one_event() {
    let world = World::new().await;
    let account = id("user");
    let user = ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]));
    assert_eq!(counts(world.import(&account, &user).await), (1, 0, 2));
    let of = world.of(account.clone());
    let kinds: Vec<_> = of.changes().await.iter().map(|event| event.kind().to_owned()).collect();
    assert_eq!(kinds, ["factors_imported"]);
}

/// A user who has removed what was imported must not get it back by an import that is run again.
#[tokio::test]
async fn an_import_that_is_run_again_brings_nothing_back() {
    let world = World::new().await;
    let user = || ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]));
    let account = id("user");
    let _ = world.import(&account, &user()).await;
    assert_eq!(world.import(&account, &user()).await, ImportOutcome::AlreadyImported);
    let steps = world.service.steps();
    world.of(account.clone()).run(|draft| steps.remove_all_in(draft, UNKNOWN)).await.unwrap();
    assert_eq!(world.remaining(&account).await, None);
    assert_eq!(world.import(&account, &user()).await, ImportOutcome::AlreadyImported);
    assert!(!world.service.enrolled(&account).await.unwrap().has_totp());
    assert_eq!(world.recover(&account, "zqk47pna").await, Verdict::NotEnrolled);

    // One who was imported without factors, and has enrolled since.
    let (later, none) = (id("later"), ImportedUser::new());
    assert_eq!(counts(world.import(&later, &none).await), (0, 0, 0));
    assert_eq!(world.import(&later, &user()).await, ImportOutcome::AlreadyImported);
    // One who has enrolled here and was never imported.
    let (enrolled, steps) = (world.account.clone(), world.service.steps());
    let added = world.run(|draft| steps.import_device_in(draft, &device(SEED))).await.unwrap();
    assert!(matches!(added, DeviceImport::Imported(_)));
    assert_eq!(world.import(&enrolled, &user()).await, ImportOutcome::HasFactors);
    // One who was erased.
    world.driver.erase_account(&later).await.unwrap();
    assert_eq!(world.import(&later, &user()).await, ImportOutcome::NotTaken(ImportFault::Erased));
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_named_and_nothing_is_written() {
    let world = World::new().await;
    let device_fault = |index, fault| ImportFault::Device { index, fault };
    let long = Parameters::new(Algorithm::Sha1, 8, 30).unwrap();
    let five = || (1..=5).fold(ImportedUser::new(), |user, byte| user.device(device(&[byte; 20])));
    let codes = |list: Vec<String>| ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::in_clear(list));
    let few = |code: &str| codes(vec!["good-code".to_owned(), code.to_owned()]);
    let numbers = |count: usize, width: usize| codes((0..count).map(|n| format!("{n:0width$}")).collect());
    let named = |name: &str| ImportedDevice::new(name, TotpSecret::from_slice(SEED).unwrap());
    for (nth, (user, fault)) in [
        (five().device(device(SEED)), device_fault(5, DeviceFault::TooManyDevices)),
        (ImportedUser::new().device(named("")), device_fault(0, DeviceFault::Name)),
        (
            ImportedUser::new().device(device(SEED)).device(device(SEED).with_parameters(long)),
            device_fault(1, DeviceFault::OtherParameters),
        ),
        (codes(vec![]), CodesFault::Count(0).into()),
        (numbers(33, 10), CodesFault::Count(33).into()),
        (few("short"), CodesFault::Malformed { index: 1 }.into()),
        (few(&"x".repeat(65)), CodesFault::Malformed { index: 1 }.into()),
        (few("grün-grün"), CodesFault::Malformed { index: 1 }.into()),
        (few("goodcode"), CodesFault::Duplicate { index: 1 }.into()),
        (numbers(32, 6), CodesFault::Guessable.into()),
    ]
    .into_iter()
    .enumerate()
    {
        let account = id(&format!("refused-{nth}"));
        let outcome = world.import(&account, &user).await;
        assert_eq!(outcome, ImportOutcome::NotTaken(fault), "{nth}");
        assert_eq!(world.service.try_import_user(&account, &user).await.unwrap(), outcome);
        let exists = world.driver.observe(&(&account).into(), &[], |draft| Ok(draft.exists())).await;
        assert!(!exists.unwrap(), "{nth}");
    }
    // 16 of six digits are few enough.
    assert_eq!(counts(world.import(&id("few"), &numbers(16, 6)).await), (1, 0, 16));
    assert_eq!(at(START).get(), world.now());
}

#[tokio::test]
async fn logins_stay_and_earlier_proofs_do_not() {
    let world = World::new().await;
    let before = world.root().await;
    let user = ImportedUser::new().device(device(SEED)).email(true);
    assert_eq!(counts(world.import(&world.account, &user).await), (1, 0, 0));
    let after = world.root().await;
    assert_eq!(after.credential_epoch, before.credential_epoch, "to the owner, nothing has changed");
    assert_ne!(after.factor_epoch, before.factor_epoch);
    assert!(world.service.enrolled(&world.account).await.unwrap().email);
}

#[tokio::test]
async fn new_codes_replace_imported_ones() {
    let world = World::new().await;
    let account = id("user");
    let user = ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]));
    let _ = world.import(&account, &user).await;
    assert!(world.service.enrolled(&account).await.unwrap().advises_renewal());
    let steps = world.service.steps();
    let of = world.of(account.clone());
    let codes = of.run(|draft| steps.make_recovery_in(draft, Liveness::Now, UNKNOWN)).await.unwrap();
    assert_eq!(world.remaining(&account).await, Some(10));
    assert!(!world.service.enrolled(&account).await.unwrap().advises_renewal());
    assert_eq!(world.recover(&account, "zqk47pna").await, Verdict::Malformed);
    assert_eq!(world.recover(&account, codes.iter().next().unwrap()).await, Verdict::Granted);
}
