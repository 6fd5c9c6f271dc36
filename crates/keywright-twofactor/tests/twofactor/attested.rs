//! Factors that the host checks itself: enrolled with a proof, asked for by rules, granted once.

use keywright_core::{ActionName, Purpose, SessionId};
use keywright_store::{MemoryStore, StepError};
use keywright_twofactor::policy::FRESH_SECONDS;
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{
    ASSERTION_SECONDS, Assertion, Attested, AttestedEnrolment, AttestedMethod, CHANGE_FACTORS, Demand, DeviceId,
    EnrolmentStart, FactorChange, MAX_ATTESTED_DATA, Method, Proven, RenameOutcome, Rule, StepUp, StepUpPolicy,
    Strength, TwoFactor, TwoFactorError, TwoFactorPolicy, VerifyOutcome, events,
};
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Epoch, SEED, SESSION, START, UNKNOWN, World, code, step_error};

const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
const SMS: AttestedMethod = AttestedMethod::new("sms", Strength::OutOfBand);
const LOGIN: Purpose = Purpose::new("login");
const DELETE: ActionName = ActionName::new("vault.delete");

fn policy() -> TwoFactorPolicy {
    let step_up = StepUpPolicy::builder().attested(PASSKEY).attested(SMS).build().unwrap();
    TwoFactorPolicy::builder().step_up(step_up).build().unwrap()
}

async fn world() -> World {
    World::with(policy()).await
}

fn session() -> SessionId {
    SessionId::new(SESSION)
}

fn first(world: &World) -> FactorChange {
    FactorChange::first_factor(world.account.clone(), session())
}

async fn enrol(
    world: &World,
    change: impl Into<FactorChange> + Send,
    method: AttestedMethod,
) -> (DeviceId, Option<RecoveryCodes>) {
    let begun = world.service.begin_attested(change, method, "key", None).await.unwrap();
    let EnrolmentStart::Begun(challenge) = begun else { panic!("{begun:?}") };
    let bytes = challenge.as_bytes();
    let done = world.service.confirm_attested(&world.account, session(), bytes, b"public key", UNKNOWN).await;
    let done = done.unwrap();
    let AttestedEnrolment::Active { device, recovery_codes } = done else { panic!("{done:?}") };
    (device, recovery_codes)
}

async fn challenge(world: &World, purpose: &Purpose) -> Vec<u8> {
    let challenge = world.service.challenge(&world.account, session(), purpose, None).await.unwrap();
    challenge.as_bytes().to_vec()
}

async fn verify(world: &World, device: DeviceId, challenge: &[u8]) -> VerifyOutcome<Proven> {
    let assertion = Assertion::new(device, challenge);
    world.service.verify_assertion(&world.account, &assertion, session(), &LOGIN).await.unwrap()
}

async fn step_up(world: &World, action: &ActionName, device: DeviceId) -> VerifyOutcome<StepUp> {
    let assertion = Assertion::new(device, &challenge(world, &action.clone().into()).await);
    world.service.step_up_assertion(&world.account, action, session(), &assertion).await.unwrap()
}

async fn proof(world: &World, action: &ActionName, device: DeviceId) -> StepUp {
    let verdict = step_up(world, action, device).await;
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    proof
}

async fn required(world: &World, action: &ActionName) -> Vec<Method> {
    match world.service.demand(&world.account, action, session(), true).await.unwrap() {
        Demand::Required(methods) => methods,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_attested_factor_is_a_factor_and_signs_in_once() {
    let world = world().await;
    let before = world.factor_epoch().await;
    let (device, codes) = enrol(&world, first(&world), PASSKEY).await;
    assert!(codes.is_some(), "the first factor comes with recovery codes");
    assert_ne!(world.factor_epoch().await, before);
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    let [info] = enrolled.attested.as_slice() else { panic!("{enrolled:?}") };
    assert_eq!((info.id, &*info.method, &*info.name, &*info.data), (device, "passkey", "key", &b"public key"[..]));
    assert!(!format!("{info:?}").contains("112, 117"), "the data is not shown");

    let bytes = challenge(&world, &LOGIN).await;
    assert_eq!(bytes.len(), 32);
    let verdict = verify(&world, device, &bytes).await;
    let VerifyOutcome::Granted(proven) = verdict else { panic!("{verdict:?}") };
    assert_eq!((proven.method(), proven.purpose(), proven.drift()), (Method::Attested(PASSKEY), &LOGIN, None));
    for _ in 0..2 {
        assert!(
            matches!(verify(&world, device, &bytes).await, VerifyOutcome::Denied(denial) if denial.charge().is_none())
        );
    }
    assert_eq!(world.denials_of(&events::ASSERTION_DENIED).await.len(), 2);
    let kinds = world.change_kinds().await;
    for kind in ["attested_factor_added", "recovery_codes_live", "assertion_accepted"] {
        assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kind}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_with_one_assertion_one_is_granted() {
    for world in [World::over(Arc::new(MemoryStore::new()), policy()).await, World::sqlite_with(policy()).await] {
        let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
        let bytes = challenge(&world, &LOGIN).await;
        let barrier = Arc::new(Barrier::new(64));
        let servers: Vec<TwoFactor> = (0..4).map(|_| world.another_server(world.next_seed(), 0)).collect();
        let mut running = JoinSet::new();
        for nth in 0..64 {
            let (barrier, server, account) = (barrier.clone(), servers[nth % 4].clone(), world.account.clone());
            let assertion = Assertion::new(device, &bytes).with_data(vec![u8::try_from(nth).unwrap()]);
            running.spawn(async move {
                barrier.wait().await;
                let verdict = server.verify_assertion(&account, &assertion, session(), &LOGIN).await;
                (nth, matches!(verdict, Ok(VerifyOutcome::Granted(_))))
            });
        }
        let granted: Vec<usize> =
            running.join_all().await.into_iter().filter_map(|(nth, granted)| granted.then_some(nth)).collect();
        let [winner] = granted.as_slice() else { panic!("{granted:?}") };
        let enrolled = world.service.enrolled(&world.account).await.unwrap();
        assert_eq!(enrolled.attested[0].data, [u8::try_from(*winner).unwrap()], "one commit");
    }
}

#[tokio::test]
async fn a_challenge_is_of_its_session_purpose_account_and_time() {
    let world = world().await;
    let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
    let denied = |verdict: &VerifyOutcome<Proven>| matches!(verdict, VerifyOutcome::Denied(_));

    assert!(denied(&verify(&world, device, &[7; 32]).await), "never issued");
    let bytes = challenge(&world, &LOGIN).await;
    let assertion = Assertion::new(device, &bytes);
    let other = SessionId::new("other");
    assert!(denied(&world.service.verify_assertion(&world.account, &assertion, other, &LOGIN).await.unwrap()));
    let purpose = Purpose::new("else");
    let elsewhere = world.service.verify_assertion(&world.account, &assertion, session(), &purpose).await.unwrap();
    assert!(denied(&elsewhere));
    // It is still there for its own session and purpose, up to its end.
    world.set(START + ASSERTION_SECONDS - 1);
    assert!(matches!(verify(&world, device, &bytes).await, VerifyOutcome::Granted(_)));

    let bytes = challenge(&world, &LOGIN).await;
    world.advance(ASSERTION_SECONDS);
    assert!(denied(&verify(&world, device, &bytes).await), "too late");
    let bytes = challenge(&world, &LOGIN).await;
    world.set(world.now() - 1);
    assert!(denied(&verify(&world, device, &bytes).await), "the clock went back");
    for epoch in [Epoch::Credential, Epoch::Factor] {
        let bytes = challenge(&world, &LOGIN).await;
        world.move_epoch(epoch).await;
        assert!(denied(&verify(&world, device, &bytes).await));
    }
    let old = challenge(&world, &LOGIN).await;
    let new = challenge(&world, &LOGIN).await;
    assert!(denied(&verify(&world, device, &old).await), "replaced");
    let fenced = world.another_server(world.next_seed(), world.now() + 1);
    let assertion = Assertion::new(device, &new);
    assert!(denied(&fenced.verify_assertion(&world.account, &assertion, session(), &LOGIN).await.unwrap()));
    assert!(matches!(verify(&world, device, &new).await, VerifyOutcome::Granted(_)));
}

/// Eight sessions at most wait for an answer.
#[tokio::test]
async fn a_ninth_challenge_replaces_the_oldest() {
    let world = world().await;
    let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
    let mut issued = Vec::new();
    for nth in 0..9 {
        let session = SessionId::new(format!("s{nth}").as_bytes());
        let given = vec![nth; 16];
        let made = world.service.challenge(&world.account, session, &LOGIN, Some(&given)).await.unwrap();
        assert_eq!(made.as_bytes(), given, "the host's own");
        issued.push((session, given));
    }
    for (nth, (session, given)) in issued.iter().enumerate() {
        let assertion = Assertion::new(device, given);
        let verdict = world.service.verify_assertion(&world.account, &assertion, *session, &LOGIN).await.unwrap();
        assert_eq!(matches!(verdict, VerifyOutcome::Granted(_)), nth > 0, "{nth}");
    }
    for length in [0, 15, 1_025] {
        let made = world.service.challenge(&world.account, session(), &LOGIN, Some(&vec![0; length])).await;
        assert!(matches!(step_error(made), StepError::Misuse(_)), "{length}");
    }
}

#[tokio::test]
async fn a_weaker_method_is_no_choice_beside_a_passkey() {
    let world = world().await;
    world.import("phone", SEED).await;
    let typed = code(SEED, world.now());
    let up = world.service.step_up_totp(&world.account, &CHANGE_FACTORS, session(), &typed, UNKNOWN).await.unwrap();
    let VerifyOutcome::Granted(by_totp) = up else { panic!("{up:?}") };
    let (device, codes) = enrol(&world, by_totp, PASSKEY).await;
    let codes: Vec<String> = codes.unwrap().iter().map(str::to_owned).collect();

    assert_eq!(required(&world, &DELETE).await, [Method::Attested(PASSKEY), Method::Recovery]);
    world.advance(30);
    let typed = code(SEED, world.now());
    for action in [DELETE, CHANGE_FACTORS] {
        let up = world.service.step_up_totp(&world.account, &action, session(), &typed, UNKNOWN).await.unwrap();
        assert!(matches!(up, VerifyOutcome::NotEnrolled), "{action}: {up:?}");
        let by = world.service.step_up_attested(&world.account, &action, session(), Attested::Password).await.unwrap();
        assert!(by.is_none());
    }
    assert_eq!(proof(&world, &DELETE, device).await.method(), Method::Attested(PASSKEY));
    let change = proof(&world, &CHANGE_FACTORS, device).await;
    let renamed = world.service.rename_device(change, device, "blue key").await.unwrap();
    assert_eq!(renamed, RenameOutcome::Renamed);
    assert_eq!(world.service.enrolled(&world.account).await.unwrap().attested[0].name, "blue key");

    // Whoever has lost the passkey removes it with a recovery code; then the app counts again.
    let up = world.service.step_up_recovery(&world.account, &CHANGE_FACTORS, session(), &codes[0], UNKNOWN).await;
    let VerifyOutcome::Granted(by_code) = up.unwrap() else { panic!("no") };
    assert!(world.service.remove_device(by_code, device, UNKNOWN).await.unwrap());
    assert_eq!(required(&world, &DELETE).await, [Method::Totp, Method::Recovery]);
    assert!(matches!(step_up(&world, &DELETE, device).await, VerifyOutcome::NotEnrolled));
    assert!(world.change_kinds().await.contains(&"attested_factor_removed".to_owned()));
}

#[tokio::test]
async fn what_is_not_enrolled_grants_nothing_and_spends_nothing() {
    let world = world().await;
    world.import("phone", SEED).await;
    let unknown = world.service.enrolled(&world.account).await.unwrap().devices[0].id;
    let bytes = challenge(&world, &LOGIN).await;
    assert!(matches!(verify(&world, unknown, &bytes).await, VerifyOutcome::NotEnrolled));
    assert!(matches!(step_up(&world, &DELETE, unknown).await, VerifyOutcome::NotEnrolled));
}

/// A rule may be content with less for another action, but a change of factors never is.
#[tokio::test]
async fn an_sms_takes_no_app_away() {
    let rule =
        Rule::any_enrolled_of(&[Method::Totp, Method::Attested(SMS), Method::Password]).remembered(FRESH_SECONDS);
    let step_up_policy = StepUpPolicy::builder().attested(SMS).default_rule(rule).build().unwrap();
    let world = World::with(TwoFactorPolicy::builder().step_up(step_up_policy).build().unwrap()).await;
    let (device, _codes) = enrol(&world, first(&world), SMS).await;
    // It is the strongest, beside recovery codes, until they are gone or an app comes.
    world.import("phone", SEED).await;
    let up = step_up(&world, &CHANGE_FACTORS, device).await;
    assert!(matches!(up, VerifyOutcome::NotEnrolled), "{up:?}");
    let weak = proof(&world, &DELETE, device).await;
    assert!(matches!(world.service.remove_all(weak, UNKNOWN).await, Err(TwoFactorError::NotProven)));
    let remembered = world.service.demand(&world.account, &DELETE, session(), true).await.unwrap();
    assert!(matches!(remembered, Demand::Remembered(weak) if weak.method() == Method::Attested(SMS)));
    assert_eq!(required(&world, &CHANGE_FACTORS).await, [Method::Totp]);
}

#[tokio::test]
async fn a_first_factor_is_no_second_and_an_enrolment_is_confirmed_once() {
    let world = world().await;
    let (early, late) = (first(&world), first(&world));
    let begun = world.service.begin_attested(early, PASSKEY, "key", None).await.unwrap();
    let EnrolmentStart::Begun(challenge) = begun else { panic!("{begun:?}") };
    let confirm = async |session, challenge: &[u8]| {
        world.service.confirm_attested(&world.account, session, challenge, b"key", UNKNOWN).await.unwrap()
    };
    let (bytes, other) = (challenge.as_bytes(), SessionId::new("other"));
    assert!(matches!(confirm(other, bytes).await, AttestedEnrolment::NonePending));
    assert!(matches!(confirm(session(), &[0; 32]).await, AttestedEnrolment::NonePending));
    // A challenge to prove a factor does not enrol one.
    let proving = world.service.challenge(&world.account, session(), &LOGIN, None).await.unwrap();
    assert!(matches!(confirm(session(), proving.as_bytes()).await, AttestedEnrolment::NonePending));
    assert!(matches!(confirm(session(), bytes).await, AttestedEnrolment::Active { .. }));
    assert!(matches!(confirm(session(), bytes).await, AttestedEnrolment::NonePending));
    let refused = world.service.begin_attested(late, PASSKEY, "key", None).await;
    assert!(matches!(refused, Err(TwoFactorError::NotProven)));
}

#[tokio::test]
async fn the_last_factor_takes_the_recovery_codes_with_it() {
    let world = world().await;
    let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
    let change = proof(&world, &CHANGE_FACTORS, device).await;
    let (second, codes) = enrol(&world, change, PASSKEY).await;
    assert!(codes.is_none(), "there is a live set");
    let change = proof(&world, &CHANGE_FACTORS, second).await;
    assert!(world.service.remove_device(change, device, UNKNOWN).await.unwrap());
    assert!(world.service.enrolled(&world.account).await.unwrap().recovery.is_some());
    let change = proof(&world, &CHANGE_FACTORS, second).await;
    assert!(world.service.remove_all(change, UNKNOWN).await.unwrap());
    let enrolled = world.service.enrolled(&world.account).await.unwrap();
    assert!(enrolled.attested.is_empty() && enrolled.recovery.is_none(), "{enrolled:?}");

    // A time-based device that goes leaves the codes to a passkey that stays.
    let (passkey, _codes) = enrol(&world, first(&world), PASSKEY).await;
    let phone = world.import("phone", SEED).await;
    let change = proof(&world, &CHANGE_FACTORS, passkey).await;
    assert!(world.service.remove_device(change, phone, UNKNOWN).await.unwrap());
    assert!(world.service.enrolled(&world.account).await.unwrap().recovery.is_some());
    assert!(world.service.disable(&world.account).await.unwrap(), "the operator");
    assert!(world.service.enrolled(&world.account).await.unwrap().attested.is_empty());
}

#[tokio::test]
async fn names_numbers_and_sizes_have_bounds() {
    let world = world().await;
    let misuse = |error: StepError| matches!(error, StepError::Misuse(_));
    let stranger = AttestedMethod::new("stranger", Strength::SecondFactor);
    assert!(misuse(step_error(world.service.begin_attested(first(&world), stranger, "key", None).await)));
    let begun = world.service.begin_attested(first(&world), PASSKEY, "", None).await.unwrap();
    assert!(matches!(begun, EnrolmentStart::BadName));
    let long = vec![0; MAX_ATTESTED_DATA + 1];
    let confirmed = world.service.confirm_attested(&world.account, session(), &[0; 32], &long, UNKNOWN).await;
    assert!(misuse(step_error(confirmed)));
    let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
    let assertion = Assertion::new(device, &challenge(&world, &LOGIN).await).with_data(long);
    assert!(misuse(step_error(world.service.verify_assertion(&world.account, &assertion, session(), &LOGIN).await)));
    // The challenge is not spent by that.
    let assertion = Assertion::new(device, &assertion_challenge(&world).await).with_data(vec![1; MAX_ATTESTED_DATA]);
    let verdict = world.service.verify_assertion(&world.account, &assertion, session(), &LOGIN).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    for _ in 1..5 {
        let change = proof(&world, &CHANGE_FACTORS, device).await;
        let _ = enrol(&world, change, PASSKEY).await;
    }
    let change = proof(&world, &CHANGE_FACTORS, device).await;
    let full = world.service.begin_attested(change, PASSKEY, "sixth", None).await.unwrap();
    assert!(matches!(full, EnrolmentStart::TooManyDevices));
}

async fn assertion_challenge(world: &World) -> Vec<u8> {
    challenge(world, &LOGIN).await
}

/// The policy of a wire protocol does not know the host's methods.
#[tokio::test]
async fn a_method_that_a_policy_does_not_know_is_not_replaced_by_the_password() {
    let world = world().await;
    let (device, codes) = enrol(&world, first(&world), PASSKEY).await;
    drop(codes);
    let wire = TwoFactor::new(world.driver.clone(), TwoFactorPolicy::default()).unwrap();
    let by = wire.step_up_attested(&world.account, &CHANGE_FACTORS, session(), Attested::Password).await.unwrap();
    assert!(by.is_none());
    let assertion = Assertion::new(device, &challenge(&world, &LOGIN).await);
    let verdict = wire.verify_assertion(&world.account, &assertion, session(), &LOGIN).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::NotEnrolled));
    // An app that is enrolled beside it takes no passkey away there.
    world.import("phone", SEED).await;
    let typed = code(SEED, world.now());
    let up = wire.step_up_totp(&world.account, &CHANGE_FACTORS, session(), &typed, UNKNOWN).await.unwrap();
    assert!(matches!(up, VerifyOutcome::NotEnrolled), "{up:?}");
    assert!(matches!(wire.make_recovery(first(&world), Liveness::Now, UNKNOWN).await, Err(TwoFactorError::NotProven)));
}

#[tokio::test]
async fn a_remembered_assertion_ends_with_the_window() {
    let rule = Rule::strongest_of(&[Method::Attested(PASSKEY), Method::Totp]).remembered(60);
    let step_up_policy = StepUpPolicy::builder().attested(PASSKEY).default_rule(rule).build().unwrap();
    let world = World::with(TwoFactorPolicy::builder().step_up(step_up_policy).build().unwrap()).await;
    let (device, _codes) = enrol(&world, first(&world), PASSKEY).await;
    drop(proof(&world, &DELETE, device).await);
    world.advance(59);
    let demand = world.service.demand(&world.account, &DELETE, session(), true).await.unwrap();
    assert!(matches!(demand, Demand::Remembered(proof) if proof.method() == Method::Attested(PASSKEY)));
    world.advance(1);
    assert_eq!(required(&world, &DELETE).await, [Method::Attested(PASSKEY)]);
}
