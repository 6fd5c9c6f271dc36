//! A store that implements the two ports without a vault serves all that needs none: by nothing but them.

use keywright::challenge::{ChallengeSecret, Proof, SetOutcome, Verification};
use keywright::confirm::{Confirmation, SendOutcome, WaitOutcome};
use keywright::core::{Purpose, SessionId};
use keywright::twofactor::recovery::Liveness;
use keywright::twofactor::{Attested, CHANGE_FACTORS, EnrolmentOutcome, EnrolmentStart, FactorChange, VerifyOutcome};
use keywright::{
    AccountId, Erasure, Keyring, Keywright, ManualClock, MemoryStore, NoVault, SystemEntropy, UnixSeconds,
};
use std::sync::Arc;

use crate::world::{DeleteVault, START, code_of, salts, secret};

#[tokio::test]
async fn challenge_confirm_and_two_factor_are_served_without_a_vault() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
    let builder = Keywright::builder(NoVault(MemoryStore::new())).clock(Arc::clone(&clock) as _);
    let keywright = builder.keyring(Keyring::generate(&SystemEntropy).unwrap()).open().await.unwrap();
    let alice = AccountId::new("alice").unwrap();
    keywright.ensure_account(&alice).await.unwrap();
    let phone = keywright.client(&alice, b"the phone");
    let session = b"session 1";

    let challenges = keywright.challenges();
    let first = ChallengeSecret::from_client(&secret(1)).unwrap();
    let set = challenges.set(&alice, &first, &salts(1), phone).await.unwrap();
    assert!(matches!(set, SetOutcome::Set(_)));
    let verify = async |n| challenges.verify(&alice, &Proof::from_client(&secret(n)).unwrap(), phone).await.unwrap();
    assert!(matches!(verify(2).await, Verification::Denied(_)));
    assert!(matches!(verify(1).await, Verification::Granted(_)));

    let confirmations = keywright.confirmations();
    let shown = confirmations.begin_code(&alice, &DeleteVault(1), SessionId::new(session)).await.unwrap();
    let typed =
        confirmations.confirm_code(&alice, DeleteVault(1), SessionId::new(session), shown.expose()).await.unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));
    let SendOutcome::Send(code) =
        confirmations.begin_mailed(&alice, &DeleteVault(2), SessionId::new(session)).await.unwrap()
    else {
        panic!("no code")
    };
    let typed = confirmations
        .confirm_mailed(&alice, DeleteVault(2), SessionId::new(session), code.expose(), phone)
        .await
        .unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));
    let wait = confirmations.begin_wait(&alice, &DeleteVault(3), SessionId::new(session)).await.unwrap();
    clock.advance(wait.seconds());
    let waited = confirmations.confirm_wait(&alice, DeleteVault(3), SessionId::new(session)).await.unwrap();
    assert!(matches!(waited, WaitOutcome::Granted(_)));

    let two_factor = keywright.two_factor();
    let password = two_factor
        .step_up_attested(&alice, &CHANGE_FACTORS, SessionId::new(session), Attested::Password)
        .await
        .unwrap();
    let begun = two_factor.begin_with(FactorChange::from(password.unwrap()), "phone", None).await.unwrap();
    let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
    let seed = pending.secret().expose().to_vec();
    let now = || keywright::Clock::now(&*clock).unwrap().get();
    let confirmed =
        two_factor.confirm_without_codes(&alice, SessionId::new(session), &code_of(&seed, now()), phone).await.unwrap();
    assert!(matches!(confirmed, EnrolmentOutcome::Active(_)), "{confirmed:?}");
    clock.advance(30);
    let code = code_of(&seed, now());
    let verify = async || two_factor.verify_totp(&alice, &code, &Purpose::new("log-in"), phone).await.unwrap();
    assert!(matches!(verify().await, VerifyOutcome::Granted(_)));
    assert!(!matches!(verify().await, VerifyOutcome::Granted(_)), "once");
    clock.advance(30);
    let stepped =
        two_factor.step_up_totp(&alice, &CHANGE_FACTORS, SessionId::new(session), &code_of(&seed, now()), phone).await;
    let VerifyOutcome::Granted(proof) = stepped.unwrap() else { panic!("no proof") };
    let codes = two_factor.make_recovery(proof, Liveness::Now, phone).await.unwrap();
    let recovery = codes.iter().next().unwrap().to_owned();
    let verified = two_factor.verify_recovery(&alice, &recovery, &Purpose::new("log-in"), phone).await.unwrap();
    assert!(matches!(verified, VerifyOutcome::Granted(_)));

    assert!(keywright.recent_events(&alice, 100).await.unwrap().len() >= 8);
    let housekeeping = keywright.housekeeping();
    housekeeping.move_horizon().await.unwrap();
    housekeeping.sweep(100).await.unwrap();
    assert_eq!(keywright.erase_account(&alice).await.unwrap(), Erasure::Erased);
    assert!(challenges.get(&alice).await.unwrap().is_none());
}
