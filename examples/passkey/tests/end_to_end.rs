//! Passkeys of a browser and a security key in software, from enrolment to removal.
#![forbid(unsafe_code)]

use std::sync::Arc;

use keywright::sqlite::SqliteStore;
use keywright::testing::race;
use keywright::twofactor::{AttestedEnrolment, CHANGE_FACTORS, Demand, FactorChange, Method, VerifyOutcome};
use keywright::{AccountId, ActionName, Client as Sender, Keywright, Purpose, SessionId};
use passkey_auth::{AuthenticationResponse, RegistrationResponse};
use passkey_authenticator::{Authenticator, MemoryStore, UiHint, UserCheck, UserValidationMethod};
use passkey_client::{Client, DefaultClientData};
use passkey_crypto::AvailableBackend;
use passkey_example::{PASSKEY, PasskeyError, Passkeys, SIGN_IN};
use passkey_types::Passkey;
use passkey_types::ctap2::{Aaguid, Ctap2Error};
use passkey_types::encoding::base64url;
use passkey_types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::json;
use url::Url;

const DOMAIN: &str = "accounts.example.com";
const ORIGIN: &str = "https://accounts.example.com";
const DELETE: ActionName = ActionName::new("vault.delete");

/// A user who touches the key and enters its PIN whenever it asks.
struct Owner;

#[async_trait::async_trait]
impl UserValidationMethod for Owner {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(&self, _: UiHint<'a, Passkey>, _: bool, _: bool) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence: true, verification: true })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// A browser with a security key in it.
macro_rules! browser {
    () => {
        Client::new(Authenticator::new(Aaguid::new_empty(), MemoryStore::new(), Owner, AvailableBackend))
    };
}

/// The browser's `navigator.credentials.create`, and the script that sends its answer.
macro_rules! create {
    ($browser:expr, $options:expr) => {{
        let options: CredentialCreationOptions = serde_json::from_value(json!({"publicKey": $options})).unwrap();
        let made = $browser.register(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await.unwrap();
        let answer: RegistrationResponse = serde_json::from_value(json!({
            "id": base64url(&made.raw_id),
            "attestationObject": base64url(&made.response.attestation_object),
            "clientDataJSON": base64url(&made.response.client_data_json),
        }))
        .unwrap();
        answer
    }};
}

/// The browser's `navigator.credentials.get` on a page of an origin.
macro_rules! get {
    ($browser:expr, $options:expr) => {{
        let options: CredentialRequestOptions = serde_json::from_value(json!({"publicKey": $options})).unwrap();
        let made = $browser.authenticate(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await.unwrap();
        let answer: AuthenticationResponse = serde_json::from_value(json!({
            "id": base64url(&made.raw_id),
            "authenticatorData": base64url(&made.response.authenticator_data),
            "signature": base64url(&made.response.signature),
            "clientDataJSON": base64url(&made.response.client_data_json),
            "userHandle": made.response.user_handle.as_ref().map(|user| base64url(user)),
        }))
        .unwrap();
        answer
    }};
}

struct World {
    passkeys: Passkeys,
    account: AccountId,
    session: SessionId,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("accounts.sqlite")).unwrap();
    let keywright = Keywright::builder(store).keyring_file(folder.path().join("keyring.toml")).open().await.unwrap();
    let account = AccountId::new("user-1").unwrap();
    keywright.ensure_account(&account).await.unwrap();
    let passkeys = Passkeys::new(&keywright, DOMAIN, ORIGIN).unwrap();
    World { passkeys, account, session: SessionId::new("session-1"), _folder: folder }
}

macro_rules! enrolled {
    ($world:expr) => {{
        let mut browser = browser!();
        let change = FactorChange::first_factor($world.account.clone(), $world.session);
        let options = $world.passkeys.begin_enrolment(change, "security key").await.unwrap();
        let answer = create!(browser, options);
        let done = $world.passkeys.finish_enrolment(&$world.account, $world.session, &answer, Sender::unknown()).await;
        let AttestedEnrolment::Active { device, recovery_codes: Some(_) } = done.unwrap() else { panic!("not added") };
        (browser, device)
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_passkey_signs_in_and_each_answer_grants_once() {
    let world = world().await;
    let (mut browser, _) = enrolled!(world);
    let options = world.passkeys.begin(&world.account, world.session, &SIGN_IN).await.unwrap();
    let answer = Arc::new(get!(browser, options));
    let outcomes = race(16, || {
        let (passkeys, account, session) = (world.passkeys.clone(), world.account.clone(), world.session);
        let answer = Arc::clone(&answer);
        async move { passkeys.sign_in(&account, session, &answer).await }
    })
    .await;
    let proven = |outcome| match outcome {
        Ok(VerifyOutcome::Granted(proven)) => Some(proven),
        _ => None,
    };
    let granted: Vec<_> = outcomes.into_iter().filter_map(proven).collect();
    let [proven] = granted.as_slice() else { panic!("{} were granted", granted.len()) };
    assert_eq!((proven.method(), proven.account()), (Method::Attested(PASSKEY), &world.account));
}

#[tokio::test]
async fn an_answer_to_another_session_purpose_or_challenge_grants_nothing() {
    let world = world().await;
    let (mut browser, _) = enrolled!(world);
    let options = world.passkeys.begin(&world.account, world.session, &DELETE.into()).await.unwrap();
    let answer = get!(browser, options);
    let denied = world.passkeys.sign_in(&world.account, world.session, &answer).await.unwrap();
    assert!(matches!(denied, VerifyOutcome::Denied(_)), "issued for a step-up");
    let other = SessionId::new("session-2");
    let denied = world.passkeys.step_up(&world.account, &DELETE, other, &answer).await.unwrap();
    assert!(matches!(denied, VerifyOutcome::Denied(_)), "issued to another session");
    let granted = world.passkeys.step_up(&world.account, &DELETE, world.session, &answer).await.unwrap();
    assert!(matches!(granted, VerifyOutcome::Granted(_)));

    // A challenge that the server never issued, although the signature is right.
    let mut options =
        serde_json::to_value(world.passkeys.begin(&world.account, world.session, &SIGN_IN).await.unwrap());
    options.as_mut().unwrap()["challenge"] = json!(base64url(&[7; 32]));
    let forged = get!(browser, options.unwrap());
    let denied = world.passkeys.sign_in(&world.account, world.session, &forged).await.unwrap();
    assert!(matches!(denied, VerifyOutcome::Denied(_)));

    // A signature over something else.
    let options = world.passkeys.begin(&world.account, world.session, &SIGN_IN).await.unwrap();
    let mut wrong = get!(browser, options);
    wrong.authenticator_data = answer.authenticator_data;
    wrong.signature = answer.signature;
    let refused = world.passkeys.sign_in(&world.account, world.session, &wrong).await;
    assert!(matches!(refused, Err(PasskeyError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn beside_a_passkey_the_password_is_no_choice_and_it_can_be_removed() {
    let world = world().await;
    let two_factor = world.passkeys.two_factor();
    let (mut browser, device) = enrolled!(world);
    let demand = two_factor.demand(&world.account, &DELETE, world.session, true).await.unwrap();
    let Demand::Required(methods) = demand else { panic!("{demand:?}") };
    assert_eq!(methods, [Method::Attested(PASSKEY), Method::Recovery]);
    let change = Purpose::from(CHANGE_FACTORS);
    let options = world.passkeys.begin(&world.account, world.session, &change).await.unwrap();
    let answer = get!(browser, options);
    let verdict = world.passkeys.step_up(&world.account, &CHANGE_FACTORS, world.session, &answer).await.unwrap();
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    assert!(two_factor.remove_device(proof, device, Sender::unknown()).await.unwrap());
    let gone = world.passkeys.begin(&world.account, world.session, &SIGN_IN).await;
    assert!(matches!(gone, Err(PasskeyError::Unknown)));
}
