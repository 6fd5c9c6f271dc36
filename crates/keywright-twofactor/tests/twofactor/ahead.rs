//! The window is the same for enrolment and use, and a clock that ran ahead has limited effects
//! (`docs/security.md` §§ 8, 12): a spent step belongs to its secret, and a device that can be
//! enrolled can log in.

use keywright_core::{EventValue, SessionId};
use keywright_twofactor::events::{TOTP_CLOCK_RAN_AHEAD, TOTP_OUT_OF_WINDOW};
use keywright_twofactor::policy::{DRIFT_SECONDS, ENROLMENT_DRIFT_SECONDS};
use keywright_twofactor::{
    Algorithm, DeviceId, DeviceImport, EnrolOutcome, EnrolmentOutcome, EnrolmentStart, ImportedDevice, Once,
    Parameters, TotpSecret, TwoFactorPolicy, Window,
};
use proptest::prelude::*;

use crate::support::{OTHER, Outcome, SEED, SESSION, START, UNKNOWN, World, code, code_of, unlike};

async fn confirm(world: &World, typed: &str) -> EnrolmentOutcome {
    world.service.confirm_without_codes(&world.account, SessionId::new(SESSION), typed, UNKNOWN).await.unwrap()
}

async fn enrol(world: &World, seed: &[u8], typed: &str) -> EnrolOutcome {
    let device = ImportedDevice::new("app", TotpSecret::from_slice(seed).unwrap());
    world.run(|draft| world.steps().enrol_in(draft, &device, typed, UNKNOWN)).await.unwrap()
}

/// Findings B8: a device that can be enrolled can log in, and for one that cannot the reason is
/// reported.
#[tokio::test]
async fn a_clock_that_is_off_is_told_at_enrolment() {
    let day = i64::try_from(ENROLMENT_DRIFT_SECONDS).unwrap();
    for offset in [-day, -43_200, -3_600, -90, -60, -30, 0, 30, 60, 90, 3_600, 43_200, day] {
        let at = START.checked_add_signed(offset).unwrap();
        let world = World::new().await;
        let seed = world.begin("phone", None).await;
        let outcome = confirm(&world, &code(&seed, at)).await;
        let brought = enrol(&World::new().await, SEED, &code(SEED, at)).await;
        if offset.unsigned_abs() <= 30 {
            assert!(matches!(outcome, EnrolmentOutcome::Active(_)), "{offset}");
            assert!(matches!(brought, EnrolOutcome::Active(_)), "{offset}");
            continue;
        }
        let (EnrolmentOutcome::ClockOff(outcome), EnrolOutcome::ClockOff(brought)) = (outcome, brought) else {
            panic!("{offset}: {outcome:?} {brought:?}")
        };
        assert_eq!((outcome.seconds(), brought.seconds()), (offset, offset));
        let side = if offset < 0 { "behind" } else { "ahead" };
        let text = format!("this device's clock is {} seconds {side}", offset.unsigned_abs());
        assert_eq!(outcome.to_string(), text);
        // The enrolment stays pending, and is confirmed by a clock that is right.
        assert!(!world.service.enrolled(&world.account).await.unwrap().has_totp());
        assert!(matches!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::Active(_)));
    }
    for beyond in [-day - 30, day + 30] {
        let world = World::new().await;
        let seed = world.begin("phone", None).await;
        let typed = code(&seed, START.checked_add_signed(beyond).unwrap());
        assert_eq!(confirm(&world, &typed).await, EnrolmentOutcome::Wrong, "{beyond}");
    }
}

/// A step of another length is measured in its own steps.
#[tokio::test]
async fn the_offset_is_in_seconds_for_every_length_of_step() {
    for step in [15, 60] {
        let policy = TwoFactorPolicy::builder().step_seconds(step).digits(8).algorithm(Algorithm::Sha256);
        let world = World::with(policy.build().unwrap()).await;
        let seed = world.begin("phone", None).await;
        let parameters = Parameters::new(Algorithm::Sha256, 8, step).unwrap();
        let outcome = confirm(&world, &code_of(&seed, START + 600, parameters)).await;
        assert!(matches!(outcome, EnrolmentOutcome::ClockOff(off) if off.seconds() == 600), "{step}: {outcome:?}");
    }
}

/// At log-in the code is wrong for the caller, and an event reports it to the owner at a limited
/// rate.
#[tokio::test]
async fn a_code_of_another_time_is_an_event_for_the_owner() {
    let range = i64::try_from(DRIFT_SECONDS).unwrap();
    for (offset, outcome) in
        [(-range - 30, false), (-range, true), (-60, true), (60, true), (range, true), (range + 30, false)]
    {
        let world = World::new().await;
        let id = world.import("phone", SEED).await.to_string();
        let typed = code(SEED, START.checked_add_signed(offset).unwrap());
        assert_eq!(world.totp(&typed).await, Outcome::Charged(1), "{offset}");
        let events = world.denials_of(&TOTP_OUT_OF_WINDOW).await;
        assert_eq!(events.len(), usize::from(outcome), "{offset}");
        if let Some(event) = events.first() {
            assert_eq!((event.text("device"), event.count("seconds")), (Some(&*id), Some(offset.unsigned_abs())));
            assert_eq!(event.text("clock"), Some(if offset < 0 { "behind" } else { "ahead" }));
            assert!(event.fields().all(|(_, value)| *value != EventValue::from(&*typed)));
        }
    }
    let world = World::new().await;
    world.import("phone", SEED).await;
    world.import("other", OTHER).await;
    for nth in 0..4 {
        world.totp(&code(if nth % 2 == 0 { SEED } else { OTHER }, world.now() + 90)).await;
    }
    assert_eq!(world.denials_of(&TOTP_OUT_OF_WINDOW).await.len(), 1);
    world.advance(3_600);
    world.totp(&code(SEED, world.now() - 90)).await;
    assert_eq!(world.denials_of(&TOTP_OUT_OF_WINDOW).await.len(), 2);
    // A code that no device shows near this time is simply wrong.
    world.advance(7_200);
    world.totp(&unlike(&[SEED, OTHER], world.now(), 25)).await;
    assert_eq!(world.denials_of(&TOTP_OUT_OF_WINDOW).await.len(), 2);
    // A refused code is not checked, and nothing is written.
    while !matches!(world.totp("000000").await, Outcome::Refused(_)) {}
    let before = world.revision().await;
    assert!(matches!(world.totp(&code(SEED, world.now() + 90)).await, Outcome::Refused(_)));
    assert_eq!(world.revision().await, before);
}

/// Findings A3, B15: after a clock ran ahead its own device is refused, with an event, and no other
/// is affected.
#[tokio::test]
async fn a_clock_that_ran_ahead_touches_only_its_own_device() {
    for once in [Once::Account, Once::Purpose] {
        let world = World::with(TwoFactorPolicy::builder().once(once).build().unwrap()).await;
        let id = world.import("phone", SEED).await;
        let ahead = START + 5 * 365 * 86_400;
        world.set(ahead);
        assert!(world.totp(&code(SEED, ahead)).await.granted());
        world.set(START);
        assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
        if once == Once::Account {
            let events = world.denials_of(&TOTP_CLOCK_RAN_AHEAD).await;
            assert_eq!(events.len(), 1);
            assert_eq!((events[0].text("device"), events[0].count("until")), (Some(&*id.to_string()), Some(ahead)));
            world.totp(&code(SEED, START)).await;
            assert_eq!(world.denials_of(&TOTP_CLOCK_RAN_AHEAD).await.len(), 1, "reported seldom");
            let device = world.service.enrolled(&world.account).await.unwrap().devices.remove(0);
            assert_eq!(device.refused_until.map(|until| until.get()), Some(ahead), "the operator sees it");
        }
        // Another device, with a secret that is drawn or supplied, works immediately, beside it or
        // replacing it.
        let seed = world.begin("new phone", None).await;
        assert!(matches!(confirm(&world, &code(&seed, START)).await, EnrolmentOutcome::Active(_)));
        assert!(world.totp(&code(&seed, START + 30)).await.granted());
        world.import("tablet", OTHER).await;
        assert!(world.totp(&code(OTHER, START)).await.granted());
        assert!(world.remove_device(id).await.unwrap());
        let third = b"a third seed, 20 byt";
        world.import("third", third).await;
        assert!(world.totp(&code(third, START)).await.granted());
        // The secret itself stays spent, however it is added again.
        world.import("phone again", SEED).await;
        assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
        assert_eq!(enrol(&world, SEED, &code(SEED, START)).await, EnrolOutcome::Spent);
        world.set(ahead);
        assert_eq!(world.totp(&code(SEED, ahead)).await, Outcome::Replayed);
        assert!(world.totp(&code(SEED, ahead + 30)).await.granted());
    }
}

/// A last used step is taken over with an import.
#[tokio::test]
async fn an_import_brings_its_last_step() {
    let device = |step| ImportedDevice::new("phone", TotpSecret::from_slice(SEED).unwrap()).with_last_step(step);
    for (last, outcome) in [(START / 30 - 1, Outcome::Granted(0)), (START / 30, Outcome::Replayed)] {
        let world = World::new().await;
        world.try_import(device(last)).await.unwrap();
        assert_eq!(world.totp(&code(SEED, START)).await, outcome);
        assert!(world.totp(&code(SEED, START + 30)).await.granted());
    }
    let world = World::new().await;
    let typed = code(SEED, START);
    let brought = device(START / 30);
    let enrolled = world.run(|draft| world.steps().enrol_in(draft, &brought, &typed, UNKNOWN)).await.unwrap();
    assert_eq!(enrolled, EnrolOutcome::Spent);
    // Any number is safe.
    world.try_import(device(u64::MAX)).await.unwrap();
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
    assert!(world.service.enrolled(&world.account).await.unwrap().devices[0].refused_until.is_some());
}

#[derive(Debug, Clone)]
enum Act {
    /// The clock jumps.
    Jump(i64),
    /// A device uses its code, at the server's own time.
    Use(usize),
    Import(u8),
    Remove(usize),
    /// The client supplies a secret that replaces all others.
    Bring(u8),
    Wrong,
}

fn act() -> impl Strategy<Value = Act> {
    let jump = prop_oneof![
        -100..100_i64,
        prop::sample::select(vec![-3_600, 3_600, 86_400, -86_400, 315_360_000, -315_360_000, 1_000_000_000]),
    ];
    prop_oneof![
        4 => jump.prop_map(Act::Jump),
        3 => (0..5_usize).prop_map(Act::Use),
        2 => (0..3_u8).prop_map(Act::Import),
        2 => (0..5_usize).prop_map(Act::Remove),
        1 => (0..3_u8).prop_map(Act::Bring),
        1 => Just(Act::Wrong),
    ]
}

fn seed(nth: u8) -> Vec<u8> {
    vec![nth + 1; 20]
}

/// Replays a history of clock jumps. Then a device whose clock is off by `drift` is enrolled, if it
/// is accepted, and its next code must be accepted.
async fn history(acts: &[Act], window: Window, drift: i64, phase: u64) -> Result<(), TestCaseError> {
    let world = World::with(TwoFactorPolicy::builder().window(window).build().unwrap()).await;
    let mut devices: Vec<(DeviceId, Vec<u8>)> = Vec::new();
    for act in acts {
        match act {
            Act::Jump(seconds) => world.set(world.now().saturating_add_signed(*seconds).min(250_000_000_000)),
            Act::Use(at) => {
                if let Some((_, seed)) = devices.get(*at) {
                    world.totp(&code(seed, world.now())).await;
                }
            }
            Act::Import(nth) if devices.len() < 5 => {
                let device = ImportedDevice::new("imported", TotpSecret::from_slice(&seed(*nth)).unwrap());
                if let DeviceImport::Imported(id) = world.service.import_device(&world.account, &device).await.unwrap()
                {
                    devices.push((id, seed(*nth)));
                }
            }
            Act::Import(_) => {}
            Act::Remove(at) => {
                if *at < devices.len() {
                    world.remove_device(devices.remove(*at).0).await.unwrap();
                }
            }
            Act::Bring(nth) => {
                if let EnrolOutcome::Active(id) = enrol(&world, &seed(*nth), &code(&seed(*nth), world.now())).await {
                    devices = vec![(id, seed(*nth))];
                    world.advance(30);
                    let outcome = world.totp(&code(&seed(*nth), world.now())).await;
                    prop_assert!(outcome.granted() || matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
                }
            }
            Act::Wrong => {
                world.totp("000000").await;
            }
        }
    }
    let replaces = (devices.len() == 5).then(|| devices[0].0);
    world.advance(phase);
    let EnrolmentStart::Begun(pending) = world.begin_enrolment(SessionId::new(SESSION), "new", replaces).await.unwrap()
    else {
        return Err(TestCaseError::fail("an enrolment was refused"));
    };
    let secret = pending.secret().expose().to_vec();
    let shown = |at: u64| code(&secret, at.saturating_add_signed(drift));
    let outcome = confirm(&world, &shown(world.now())).await;
    let steps = (world.now().saturating_add_signed(drift) / 30).abs_diff(world.now() / 30);
    let side = if drift < 0 { window.back } else { window.forward };
    prop_assert_eq!(matches!(outcome, EnrolmentOutcome::Active(_)), steps <= u64::from(side), "{:?}", outcome);
    if matches!(outcome, EnrolmentOutcome::Active(_)) {
        // The waits of the ledger are not caused by clocks.
        world.service.unlock(&world.account, keywright_twofactor::CodeKind::Totp).await.unwrap();
        for _ in 0..3 {
            world.advance(30);
            let outcome = world.totp(&shown(world.now())).await;
            prop_assert!(outcome.granted(), "{outcome:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Granted enrolment ⇒ the device's next codes are accepted, for any history of clocks and any clock of its own.
    #[test]
    fn a_device_that_enrols_can_log_in(
        acts in prop::collection::vec(act(), 0..30),
        window in (0..3_u8, 0..2_u8),
        drift in -100..100_i64,
        phase in 0..30_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history(&acts, Window::new(window.0, window.1), drift, phase))?;
    }
}
