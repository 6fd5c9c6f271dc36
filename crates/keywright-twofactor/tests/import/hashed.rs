//! Recovery codes of other systems that are slow hashes, compared by the server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use argon2::password_hash::CustomizedPasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use keywright_core::{AccountId, ActionName, SessionId};
use keywright_store::TransactError;
use keywright_twofactor::import::{ImportFault, ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::{CodesFault, ImportedCodes, LetterCase, Spelling};
use keywright_twofactor::{
    AttestedMethod, CHANGE_FACTORS, Method, Rule, StepUpPolicy, Strength, TwoFactor, TwoFactorError, TwoFactorPolicy,
    VerifyOutcome,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{LOG_IN, SEED, START, UNKNOWN, Verdict, World, bcrypt_of, client, code, device, id};

const CODES: [&str; 3] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef"];

fn user() -> ImportedUser {
    ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::hashes(CODES.map(bcrypt_of)))
}

async fn imported(world: &World) -> AccountId {
    let account = id("hashed");
    assert!(matches!(world.import(&account, &user()).await, ImportOutcome::Imported(_)));
    account
}

#[tokio::test]
async fn a_hashed_code_works_once_and_costs_no_more_hashes_than_there_are() {
    let world = World::new().await;
    let account = imported(&world).await;
    assert_eq!(world.remaining(&account).await, Some(3));
    assert_eq!(world.recover(&account, "1a2b-3c4d-5e6f-7a8b").await, Verdict::Granted);
    assert_eq!(world.remaining(&account).await, Some(2));
    let compared = || world.verifier.compared.swap(0, Ordering::Relaxed);
    compared();
    // A replay is known by a keyed hash: no slow one, and no charge.
    assert_eq!(world.recover(&account, CODES[0]).await, Verdict::Replayed);
    assert_eq!(compared(), 0);
    assert_eq!(world.recover(&account, "1a2b3c4d5e6f7a8c").await, Verdict::Charged(1));
    assert_eq!(compared(), 2, "the unused ones");
    assert_eq!(world.recover(&account, "short").await, Verdict::Malformed);
    assert_eq!(compared(), 0);
    let kinds = world.of(account.clone()).changes().await;
    assert!(kinds.iter().any(|event| event.kind() == "recovery_code_used" && event.count("remaining") == Some(2)));
}

#[tokio::test]
async fn one_field_and_step_up_take_them_too() {
    let world = World::new().await;
    let account = imported(&world).await;
    let verdict = world.service.verify(&account, CODES[1], &LOG_IN, client(1)).await.unwrap();
    assert_eq!(Verdict::of(&verdict), Verdict::Granted);
    let session = SessionId::new("session");
    let step_up = world.service.step_up_recovery(&account, &CHANGE_FACTORS, session, CODES[2], client(1)).await;
    let VerifyOutcome::Granted(proof) = step_up.unwrap() else { panic!("no step-up") };
    assert!(world.service.remove_all(proof, client(1)).await.unwrap());
    assert_eq!(world.recover(&account, CODES[0]).await, Verdict::NotEnrolled);
}

#[tokio::test]
async fn a_hashed_code_steps_up_through_the_one_field() {
    let world = World::new().await;
    let account = imported(&world).await;
    let session = SessionId::new("session");
    let step_up = async |code: &str| {
        let verdict = world.service.step_up_code(&account, &CHANGE_FACTORS, session, code, client(1)).await.unwrap();
        (Verdict::of(&verdict), verdict)
    };
    assert_eq!(step_up("ffee-ddcc-bbaa-9989").await.0, Verdict::Charged(1), "a wrong one counts");
    let (_, VerifyOutcome::Granted(proof)) = step_up("ffee-ddcc-bbaa-9988").await else { panic!("no step-up") };
    assert_eq!((proof.account(), proof.action()), (&account, &CHANGE_FACTORS));
    assert_eq!(step_up(CODES[1]).await.0, Verdict::Replayed);
    assert_eq!(world.remaining(&account).await, Some(2));
    // The wrong ones of all methods are counted together.
    assert_eq!(step_up("1a2b3c4d5e6f7a8c").await.0, Verdict::Charged(1), "the right one has forgiven the first");
    let verdict = world.service.verify(&account, "1a2b3c4d5e6f7a8d", &LOG_IN, client(1)).await.unwrap();
    assert_eq!(Verdict::of(&verdict), Verdict::Charged(2));
}

#[tokio::test]
async fn a_hashed_code_with_the_form_of_a_time_based_code_passes_too() {
    const CODE: &str = "314159";
    let world = World::new().await;
    let account = id("digits");
    let user =
        ImportedUser::new().device(device(SEED)).recovery(ImportedCodes::hashes([CODE, "271828"].map(bcrypt_of)));
    assert!(matches!(world.import(&account, &user).await, ImportOutcome::Imported(_)));
    let one_field = async |code: &str, by: u8| {
        Verdict::of(&world.service.verify(&account, code, &LOG_IN, client(by)).await.unwrap())
    };
    assert_eq!(one_field(&code(SEED, START), 1).await, Verdict::Granted);
    // Neither: charged once, as a time-based code.
    assert_eq!(one_field("161803", 2).await, Verdict::Charged(1));
    assert_eq!(one_field(CODE, 3).await, Verdict::Granted);
    assert_eq!(world.remaining(&account).await, Some(1));
    let denials = world.of(account.clone()).denials().await;
    let secrets: Vec<_> = denials.iter().filter_map(|event| event.text("secret")).collect();
    assert_eq!(secrets, ["totp"], "the one that was neither");
}

#[tokio::test]
async fn where_no_rule_accepts_a_recovery_code_nothing_is_compared() {
    const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
    const PAY: ActionName = ActionName::new("pay");
    let world = World::new().await;
    let account = imported(&world).await;
    let rule = Rule::strongest_of(&[Method::Attested(PASSKEY), Method::Totp]);
    let step_up = StepUpPolicy::builder().attested(PASSKEY).rule(PAY, rule).build().unwrap();
    let policy = TwoFactorPolicy::builder().step_up(step_up).build().unwrap();
    let service = TwoFactor::new(world.driver.clone(), policy).unwrap().with_code_verifier(world.verifier.clone());
    let verdict = service.step_up_code(&account, &PAY, SessionId::new("session"), CODES[0], client(1)).await.unwrap();
    assert_eq!(Verdict::of(&verdict), Verdict::Malformed, "it is checked as a time-based code");
    assert_eq!((world.verifier.compared.load(Ordering::Relaxed), world.remaining(&account).await), (0, Some(3)));
}

#[tokio::test]
async fn argon2_and_whatever_the_verifier_knows() {
    let world = World::new().await;
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = cheap.hash_password_customized(b"ABCD-EFGH", &[3; 16], None, None, Params::new(8, 1, 1, None).unwrap());
    let spelling = Spelling::new(LetterCase::Upper).grouped(4);
    let codes = ImportedCodes::hashes([hash.unwrap().to_string(), "$unknown$format".to_owned()]).spelled(spelling);
    let account = id("argon2");
    let _ = world.import(&account, &ImportedUser::new().device(device(SEED)).recovery(codes)).await;
    assert_eq!(world.recover(&account, "abcdefgh").await, Verdict::Granted);
    assert_eq!(world.remaining(&account).await, Some(1));
}

#[tokio::test]
async fn a_busy_verifier_charges_nothing() {
    let world = World::new().await;
    let account = imported(&world).await;
    world.verifier.busy.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let error = world.service.verify_recovery(&account, CODES[0], &LOG_IN, UNKNOWN).await.unwrap_err();
        assert!(matches!(error, TwoFactorError::Transact(TransactError::Busy)), "{error:?}");
    }
    world.verifier.busy.store(false, Ordering::Relaxed);
    assert_eq!(world.recover(&account, CODES[0]).await, Verdict::Granted);
}

/// With an imported set, six digits have the form of a recovery code too.
#[tokio::test]
async fn a_busy_verifier_makes_no_guess_at_a_time_based_code_free() {
    let world = World::new().await;
    let account = imported(&world).await;
    world.verifier.busy.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let error = world.service.verify(&account, "161803", &LOG_IN, UNKNOWN).await.unwrap_err();
        assert!(matches!(error, TwoFactorError::Transact(TransactError::Busy)), "{error:?}");
    }
    world.verifier.busy.store(false, Ordering::Relaxed);
    let denied = world.of(account.clone()).denials().await;
    assert!(denied.iter().any(|event| event.kind() == "guesses_paused" && event.text("secret") == Some("totp")));
    // The right one is not looked at any more.
    let verdict = world.service.verify(&account, &code(SEED, START), &LOG_IN, UNKNOWN).await.unwrap();
    assert_ne!(Verdict::of(&verdict), Verdict::Granted);
}

#[tokio::test]
async fn a_time_based_code_that_was_used_costs_no_hashes() {
    let world = World::new().await;
    let account = imported(&world).await;
    let compared = || world.verifier.compared.swap(0, Ordering::Relaxed);
    compared();
    for expected in [Verdict::Granted, Verdict::Replayed, Verdict::Replayed] {
        let verdict = world.service.verify(&account, &code(SEED, START), &LOG_IN, client(1)).await.unwrap();
        assert_eq!((Verdict::of(&verdict), compared()), (expected, 0));
    }
}

#[tokio::test]
async fn without_a_verifier_they_are_neither_imported_nor_checked() {
    let world = World::new().await;
    let bare = TwoFactor::new(world.driver.clone(), TwoFactorPolicy::default()).unwrap();
    let refused = bare.import_user(&id("bare"), &user()).await.unwrap();
    assert_eq!(refused, ImportOutcome::NotTaken(ImportFault::NoCodeVerifier));
    let account = imported(&world).await;
    let error = bare.verify_recovery(&account, CODES[0], &LOG_IN, UNKNOWN).await.unwrap_err();
    assert!(matches!(error, TwoFactorError::NoCodeVerifier), "{error:?}");
    // And no account has more of them than a guess may cost.
    let many = ImportedCodes::hashes((0..17).map(|n| format!("$2a$04${n:053}")));
    let outcome = world.import(&id("many"), &ImportedUser::new().recovery(many)).await;
    assert_eq!(outcome, ImportOutcome::NotTaken(CodesFault::Count(17).into()));
}

#[tokio::test]
async fn guesses_at_hashes_are_limited_like_all_others() {
    let world = World::new().await;
    let account = imported(&world).await;
    let mut compared = 0;
    for nth in 0..200 {
        match world.recover(&account, &format!("{nth:016}")).await {
            Verdict::Charged(_) => compared += 1,
            Verdict::Refused => world.advance(86_400),
            other => panic!("{other:?}"),
        }
    }
    assert!(compared <= 100, "{compared} of 200 were compared");
    // The owner's known client is not held up. It was known before, by its credential.
    assert_eq!(world.recover(&account, CODES[0]).await, Verdict::Refused);
}

/// Runs 16 requests with one code at once, and returns how many were granted.
async fn raced<P: Send + 'static, F>(request: impl Fn(u8) -> F) -> usize
where
    F: Future<Output = Result<VerifyOutcome<P>, TwoFactorError>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(16));
    let mut running = JoinSet::new();
    for nth in 0..16 {
        let (barrier, request) = (barrier.clone(), request(nth));
        running.spawn(async move {
            barrier.wait().await;
            request.await
        });
    }
    let done = running.join_all().await;
    done.iter().filter(|one| matches!(one, Ok(VerifyOutcome::Granted(_)))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_with_one_hashed_code_one_is_granted() {
    for world in [World::new().await, World::sqlite().await] {
        let account = imported(&world).await;
        let granted = raced(|nth| {
            let (service, account) = (world.service.clone(), account.clone());
            async move { service.verify_recovery(&account, CODES[0], &LOG_IN, client(nth)).await }
        });
        assert_eq!((granted.await, world.remaining(&account).await), (1, Some(2)));
        let granted = raced(|nth| {
            let (service, account) = (world.service.clone(), account.clone());
            async move { service.verify(&account, CODES[1], &LOG_IN, client(nth)).await }
        });
        assert_eq!((granted.await, world.remaining(&account).await), (1, Some(1)));
        let granted = raced(|nth| {
            let (service, account) = (world.service.clone(), account.clone());
            let session = SessionId::new([nth]);
            async move { service.step_up_code(&account, &CHANGE_FACTORS, session, CODES[2], client(nth)).await }
        });
        assert_eq!((granted.await, world.remaining(&account).await), (1, Some(0)));
    }
}
