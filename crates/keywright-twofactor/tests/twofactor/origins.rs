//! Through what a factor was enrolled decides which protocols require it, and no act of a protocol
//! takes a factor away from another one's requirements.

use keywright_core::{LedgerPolicy, Purpose, SessionId};
use keywright_store::Draft;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::{ImportedCodes, Liveness};
use keywright_twofactor::{
    DeviceId, DeviceImport, EnrolOutcome, Enrolled, EnrolmentOutcome, EnrolmentStart, ImportedDevice, Origin,
    RequiredFactors, TotpSecret, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome,
};
use tokio::task::JoinSet;

use crate::support::{OTHER, SEED, SESSION, START, UNKNOWN, World, code};

const CHAT: Origin = Origin::new("chat");
const FILES: Origin = Origin::new("files");

fn steps(origin: Origin, required: RequiredFactors) -> TwoFactorSteps {
    let policy = TwoFactorPolicy::builder().required(required).build().unwrap();
    TwoFactorSteps::new(policy, &LedgerPolicy::default()).unwrap().through(origin)
}

/// The steps of the two protocols and of the library, under the default policy.
fn chat() -> TwoFactorSteps {
    steps(CHAT, RequiredFactors::default())
}

fn files() -> TwoFactorSteps {
    steps(FILES, RequiredFactors::default())
}

fn library() -> TwoFactorSteps {
    steps(Origin::LIBRARY, RequiredFactors::default())
}

async fn required(world: &World, by: &TwoFactorSteps) -> Enrolled {
    world.driver.observe(&world.partition(), &[], |draft| by.required_in(draft)).await.unwrap()
}

async fn import(world: &World, by: &TwoFactorSteps, name: &str, seed: &[u8]) -> DeviceId {
    let device = ImportedDevice::new(name, TotpSecret::from_slice(seed).unwrap());
    match world.run(|draft| by.import_device_in(draft, &device)).await.unwrap() {
        DeviceImport::Imported(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Enrols a device through `by`, in place of another if there is one.
async fn replace(world: &World, by: &TwoFactorSteps, replaces: Option<DeviceId>) -> DeviceId {
    let session = SessionId::new(SESSION);
    let begin = |draft: &mut Draft<'_>| by.begin_enrolment_in(draft, session, "new", replaces);
    let EnrolmentStart::Begun(pending) = world.run(begin).await.unwrap() else { panic!("not begun") };
    let typed = code(pending.secret().expose(), world.now());
    let confirm = |draft: &mut Draft<'_>| by.confirm_enrolment_in(draft, session, &typed, UNKNOWN);
    match world.run(confirm).await.unwrap() {
        EnrolmentOutcome::Active(id) => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_protocol_requires_its_own_factors_and_those_of_the_library() {
    for (origin, by_chat, by_files) in [(CHAT, true, false), (FILES, false, true), (Origin::LIBRARY, true, true)] {
        let world = World::new().await;
        let by = steps(origin.clone(), RequiredFactors::default());
        import(&world, &by, "phone", SEED).await;
        world.run(|draft| by.make_recovery_in(draft, Liveness::Now, UNKNOWN)).await.unwrap();
        world.run(|draft| by.set_email_in(draft, true)).await.unwrap();
        for (steps, requires) in [(chat(), by_chat), (files(), by_files), (library(), true)] {
            let asked = required(&world, &steps).await;
            assert_eq!((asked.has_totp(), asked.recovery.is_some(), asked.email), (requires, requires, requires));
            // "All" is a choice.
            let all = required(&world, &self::steps(FILES, RequiredFactors::All)).await;
            assert!(all.has_totp() && all.recovery.is_some() && all.email);
        }
        let enrolled = world.service.enrolled(&world.account).await.unwrap();
        assert_eq!(enrolled.devices.first().map(|device| device.origin.clone()), Some(origin));
    }
}

/// A user who moves in through a protocol has that protocol's factors: devices, recovery codes and
/// mailed codes. What the owner enrols afterwards has its own.
#[tokio::test]
async fn what_a_user_moves_in_with_belongs_to_the_protocol_that_took_it_over() {
    for (origin, by_chat, by_files) in [(CHAT, true, false), (FILES, false, true), (Origin::LIBRARY, true, true)] {
        let world = World::new().await;
        let by = steps(origin.clone(), RequiredFactors::default());
        let user = ImportedUser::new()
            .device(ImportedDevice::new("phone", TotpSecret::from_slice(SEED).unwrap()))
            .recovery(ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]))
            .email(true);
        let moved_in = world.run(|draft| by.import_user_in(draft, &user)).await.unwrap();
        assert!(matches!(moved_in, ImportOutcome::Imported(_)), "{moved_in:?}");
        for (steps, requires) in [(chat(), by_chat), (files(), by_files), (library(), true)] {
            let asked = required(&world, &steps).await;
            assert_eq!(
                (asked.has_totp(), asked.recovery.is_some(), asked.email),
                (requires, requires, requires),
                "{origin}"
            );
        }
        let enrolled = world.service.enrolled(&world.account).await.unwrap();
        assert_eq!(enrolled.devices.first().map(|device| device.origin.clone()), Some(origin.clone()));
        // No other protocol takes over what is there.
        for other in [chat(), files(), library()] {
            let again = world.run(|draft| other.import_user_in(draft, &user)).await.unwrap();
            assert!(matches!(again, ImportOutcome::AlreadyImported), "{again:?}");
        }
        replace(&world, &files(), None).await;
        assert!(required(&world, &files()).await.has_totp(), "{origin}");
        assert_eq!(required(&world, &chat()).await.has_totp(), by_chat, "{origin}");
    }
}

/// What is required by one device can be proven with any factor of the account, so an owner is not
/// asked for a code that only one of two phones shows.
#[tokio::test]
async fn once_one_factor_is_required_each_will_do() {
    let world = World::new().await;
    import(&world, &chat(), "chat's", SEED).await;
    assert!(!required(&world, &files()).await.has_totp());
    import(&world, &library(), "the library's", OTHER).await;
    assert_eq!(required(&world, &files()).await.devices.len(), 2);
    let (files, typed) = (files(), code(SEED, START));
    let verify = |draft: &mut Draft<'_>| files.verify_totp_in(draft, &typed, &Purpose::new("test"), UNKNOWN);
    assert!(matches!(world.run(verify).await.unwrap(), VerifyOutcome::Granted(_)));
}

/// Recovery codes stand in for devices: made through the library, they make no protocol require
/// what another one enrolled.
#[tokio::test]
async fn recovery_codes_are_required_with_the_devices() {
    let world = World::new().await;
    import(&world, &chat(), "phone", SEED).await;
    world.make_recovery(Liveness::Now).await.unwrap();
    let asked = required(&world, &files()).await;
    assert!(!asked.has_totp() && asked.recovery.is_none());
    // On their own they are a factor, of those that made them.
    let world = World::new().await;
    let chat = chat();
    world.run(|draft| chat.make_recovery_in(draft, Liveness::Now, UNKNOWN)).await.unwrap();
    assert_eq!(required(&world, &files()).await.recovery, None);
    assert_eq!(required(&world, &chat).await.recovery, Some(10));
}

/// A thief of one protocol's login who may change factors there cannot have another protocol, or
/// the library, stop asking by replacing what it asks for.
#[tokio::test]
async fn a_replacement_is_required_where_the_old_factor_was() {
    for replaced in [Origin::LIBRARY, FILES] {
        let world = World::new().await;
        let old = import(&world, &steps(replaced.clone(), RequiredFactors::default()), "phone", SEED).await;
        replace(&world, &chat(), Some(old)).await;
        assert!(required(&world, &files()).await.has_totp(), "{replaced}");
        assert!(required(&world, &chat()).await.has_totp(), "{replaced}");
    }
    // The same for all devices at once, and for recovery codes.
    let world = World::new().await;
    import(&world, &files(), "phone", SEED).await;
    let (chat, typed) = (chat(), code(OTHER, START));
    let device = ImportedDevice::new("new", TotpSecret::from_slice(OTHER).unwrap());
    let enrolled = world.run(|draft| chat.enrol_in(draft, &device, &typed, UNKNOWN)).await.unwrap();
    assert!(matches!(enrolled, EnrolOutcome::Active(_)), "{enrolled:?}");
    assert!(required(&world, &files()).await.has_totp());
    let world = World::new().await;
    world.make_recovery(Liveness::Now).await.unwrap();
    world.run(|draft| chat.make_recovery_in(draft, Liveness::Now, UNKNOWN)).await.unwrap();
    assert_eq!(required(&world, &files()).await.recovery, Some(10));
}

/// A device beside others takes nothing away: it is the old ones that the others require.
#[tokio::test]
async fn a_further_device_of_one_protocol_hides_no_other() {
    let world = World::new().await;
    import(&world, &library(), "phone", SEED).await;
    replace(&world, &chat(), None).await;
    assert_eq!(required(&world, &files()).await.devices.len(), 2);
}

/// Enrolments through two protocols at once: whichever wins, each protocol requires its own device.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_protocols_that_enrol_at_once_each_requires_its_own() {
    for world in [World::new().await, World::sqlite().await] {
        let mut running = JoinSet::new();
        for (by, seed) in [(chat(), SEED), (files(), OTHER)] {
            let (driver, partition) = (world.driver.clone(), world.partition());
            let device = ImportedDevice::new("phone", TotpSecret::from_slice(seed).unwrap());
            running.spawn(async move {
                let step = |draft: &mut Draft<'_>| by.import_device_in(draft, &device);
                driver.run(&partition, keywright_twofactor::SLOTS, step).await.unwrap()
            });
        }
        for imported in running.join_all().await {
            assert!(matches!(imported, DeviceImport::Imported(_)), "{imported:?}");
        }
        for by in [chat(), files(), library()] {
            assert_eq!(required(&world, &by).await.devices.len(), 2);
        }
    }
}
