//! Switching factors on and off.

use keywright_rocketchat::{EMAIL_CODE_SECONDS, RocketChatPolicy};
use keywright_twofactor::TwoFactorPolicy;
use keywright_twofactor::recovery::Preset;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Call, Client, Person, USER, World, code_of};

/// Begins the enrolment of the first factor: the password is proven.
async fn enable(client: &Client, person: Person) -> Answer {
    client.post("users.enableTotp").code(&person.password()).method("password").send().await
}

pub(crate) async fn with_code(client: &Client, path: &str, code: &str) -> Answer {
    client.post(path).json(&json!({"code": code})).send().await
}

/// The bytes behind base32 text.
pub(crate) fn decode(base32: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for symbol in base32.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|&one| one == symbol).unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn codes_of(answer: &Answer) -> Vec<String> {
    answer.json()["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().into()).collect()
}

/// Enrols the first device and returns its secret and the recovery codes.
pub(crate) async fn enrolled(world: &World, client: &Client, person: Person) -> (Vec<u8>, Vec<String>) {
    let secret = decode(enable(client, person).await.json()["secret"].as_str().unwrap());
    let answer = with_code(client, "users.validateTotp", &code_of(&secret, world.now())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (secret, codes_of(&answer))
}

#[tokio::test]
async fn a_device_is_enrolled_and_its_first_code_is_spent() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let other = world.other_client(ADMIN, 1);
    let begun = enable(&client, ADMIN).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let begun = begun.json();
    assert_eq!(begun.as_object().unwrap().len(), 3);
    let secret = begun["secret"].as_str().unwrap();
    let url = format!("otpauth://totp/Rocket.Chat:admin?secret={secret}&issuer=Rocket.Chat");
    assert_eq!(begun["url"], json!(url));
    let secret = decode(secret);
    assert_eq!(secret.len(), 20, "160 bits");
    for wrong in ["000000", "", "12345", "Ａ23456", &ADMIN.recovery_code(0)] {
        let refused = json!({"success": false, "error": "[invalid-totp]", "errorType": "invalid-totp"});
        with_code(&client, "users.validateTotp", wrong).await.is(400, refused);
    }
    assert!(other.is_in().await);
    let code = code_of(&secret, world.now());
    let answer = with_code(&client, "users.validateTotp", &code).await;
    let codes = codes_of(&answer);
    let alphabet = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
    assert!(
        codes.len() == 12 && codes.iter().all(|code| code.len() == 8 && code.chars().all(|c| alphabet.contains(c)))
    );
    // All other logins end; the caller's stays.
    let kept = Some(format!("{}-id", ADMIN.token()));
    let account = || String::from(ADMIN.account().as_str());
    assert_eq!(world.host.calls(), [Call::Password(account()), Call::EndLogins(account(), kept)]);
    assert!(client.is_in().await && !other.is_in().await);
    assert_eq!(world.count_events(ADMIN, "other_logins_ended").await, 1);
    // The enrolling code has spent its step; the recovery codes are live immediately.
    client.reset().code(&code).send().await.fails("totp-invalid");
    with_code(&client, "users.validateTotp", &code).await.fails("invalid-totp");
    client.reset_of(USER.id).code(&codes[0]).send().await.succeeds();
    world.clock.advance(30);
    client.reset().code(&code_of(&secret, world.now())).send().await.succeeds();
}

#[tokio::test]
async fn weakness_8_beginning_an_enrolment_switches_nothing_off() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    let before = world.scan().await;
    for code in ["", &world.totp(ADMIN)] {
        let answer = client.post("users.enableTotp").code(code).send().await;
        let error = json!({
            "success": false, "error": "[error-2fa-already-enabled]", "errorType": "error-2fa-already-enabled"
        });
        answer.is(400, error);
    }
    assert_eq!(world.scan().await, before, "no code is spent for it");
    client.reset().code(&world.totp(ADMIN)).send().await.succeeds();
}

#[tokio::test]
async fn an_active_factor_is_proven_before_another_is_added() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    let asked = client.post("users.enableTotp").send().await;
    assert_eq!(asked.fails("totp-required").json()["details"]["method"], json!("email"));
    let code = world.host.last_code();
    assert_eq!(client.post("users.enableTotp").code(&code).send().await.status, 200);
    let world = World::new().await;
    let client = world.client(ADMIN);
    client.post("users.2fa.enableEmail").send().await.fails("totp-required");
    client.post("users.2fa.enableEmail").code(&world.totp(ADMIN)).send().await.succeeds();
    let answer = client.reset().send().await;
    assert_eq!(answer.json()["details"]["availableMethods"], json!(["totp", "email"]));
}

#[tokio::test]
async fn a_device_is_removed_with_a_code_of_either_kind() {
    for recovery in [false, true] {
        let world = World::new().await;
        let client = world.client(USER);
        let disabled = |disabled: bool| json!({"success": true, "disabled": disabled});
        for wrong in [&world.wrong_totp(USER), "", "AAAAAAAA", &ADMIN.recovery_code(0)] {
            with_code(&client, "users.disableTotp", wrong).await.is(200, disabled(false));
        }
        assert_eq!(world.codes_left(USER).await, Some(12));
        let code = if recovery { USER.recovery_code(0) } else { world.totp(USER) };
        with_code(&client, "users.disableTotp", &code).await.is(200, disabled(true));
        assert_eq!(world.codes_left(USER).await, None, "the recovery codes go with it");
        with_code(&client, "users.disableTotp", &code).await.is(200, disabled(false));
        let answer = client.reset().send().await;
        assert_eq!(answer.json()["details"]["method"], json!("password"));
    }
}

#[tokio::test]
async fn what_others_have_shut_is_open_after_a_proven_removal() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let (_, codes) = enrolled(&world, &client, ADMIN).await;
    let thief = world.other_client(ADMIN, 1);
    for _ in 0..5 {
        thief.reset().code("000000").send().await.fails("totp-invalid");
    }
    thief.reset().code("000000").send().await.waits(30);
    assert_eq!(with_code(&client, "users.disableTotp", &codes[0]).await.json()["disabled"], json!(true));
    world.clock.advance(30);
    let (secret, _) = enrolled(&world, &client, ADMIN).await;
    world.clock.advance(30);
    client.reset().code(&code_of(&secret, world.now())).send().await.succeeds();
}

#[tokio::test]
async fn new_recovery_codes_void_the_old() {
    let world = World::new().await;
    let client = world.client(USER);
    let remaining = async |client: &Client| -> Value {
        let answer = client.request("GET", "users.totpCodesRemaining").send().await;
        answer.json()["remaining"].clone()
    };
    assert_eq!(remaining(&client).await, json!(12));
    for wrong in [&world.wrong_totp(USER), "AAAAAAAA", ""] {
        with_code(&client, "users.regenerateTotpCodes", wrong).await.fails("invalid-totp");
    }
    let first = with_code(&client, "users.regenerateTotpCodes", &USER.recovery_code(0)).await;
    let codes = codes_of(&first);
    assert_eq!((codes.len(), remaining(&client).await), (12, json!(12)));
    with_code(&client, "users.regenerateTotpCodes", &USER.recovery_code(1)).await.fails("invalid-totp");
    client.reset().code(&codes[0]).send().await.succeeds();
    let again = with_code(&world.other_client(USER, 1), "users.regenerateTotpCodes", &world.totp(USER)).await;
    assert_eq!(codes_of(&again).len(), 12);
    let world = World::password_only().await;
    assert_eq!(remaining(&world.client(ADMIN)).await, json!(0));
    with_code(&world.client(ADMIN), "users.regenerateTotpCodes", "123456").await.fails("invalid-totp");
}

#[tokio::test]
async fn mailed_codes_are_switched_on_and_off() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let other = world.other_client(ADMIN, 1);
    world.host.change(ADMIN.id, |user| user.has_unverified_email = true);
    client.post("users.2fa.enableEmail").send().await.fails("error-not-allowed");
    world.host.change(ADMIN.id, |user| user.has_unverified_email = false);
    client.post("users.2fa.enableEmail").send().await.fails("totp-required");
    client.post("users.2fa.enableEmail").code(&ADMIN.password()).send().await.succeeds();
    assert!(client.is_in().await && !other.is_in().await, "other logins end");
    // Switching off requires a new proof each time.
    client.post("users.2fa.disableEmail").send().await.fails("totp-required");
    let code = world.host.last_code();
    client.post("users.2fa.disableEmail").code(&code).method("email").send().await.succeeds();
    let answer = client.post("users.2fa.disableEmail").send().await;
    assert_eq!(answer.fails("totp-required").json()["details"]["method"], json!("password"));
    client.post("users.2fa.disableEmail").code(&ADMIN.password()).send().await.succeeds();
    assert_eq!(world.host.codes(), 1);
}

/// A stolen login neither confirms what the owner has begun, nor uses up its tries.
#[tokio::test]
async fn only_the_login_that_began_an_enrolment_confirms_it() {
    let world = World::password_only().await;
    let (client, thief) = (world.client(ADMIN), world.other_client(ADMIN, 1));
    let secret = decode(enable(&client, ADMIN).await.json()["secret"].as_str().unwrap());
    let code = code_of(&secret, world.now());
    for _ in 0..20 {
        with_code(&thief, "users.validateTotp", &code).await.fails("invalid-totp");
        with_code(&thief, "users.validateTotp", "000000").await.fails("invalid-totp");
    }
    assert_eq!(with_code(&client, "users.validateTotp", &code).await.status, 200);
    assert!(!thief.is_in().await);
    // A new enrolment in another login replaces the one that was begun, and belongs to that login
    // only.
    let world = World::password_only().await;
    let (client, other) = (world.client(ADMIN), world.other_client(ADMIN, 1));
    let first = decode(enable(&client, ADMIN).await.json()["secret"].as_str().unwrap());
    let second = decode(enable(&other, ADMIN).await.json()["secret"].as_str().unwrap());
    for secret in [&first, &second] {
        with_code(&client, "users.validateTotp", &code_of(secret, world.now())).await.fails("invalid-totp");
    }
    with_code(&other, "users.validateTotp", &code_of(&first, world.now())).await.fails("invalid-totp");
    assert_eq!(with_code(&other, "users.validateTotp", &code_of(&second, world.now())).await.status, 200);
}

/// A reset of the keys ends all logins: what they have begun is void with them.
#[tokio::test]
async fn a_reset_voids_what_was_pending() {
    let world = World::new().await.without_totp(USER).await;
    let client = world.client(USER);
    let secret = decode(enable(&client, USER).await.json()["secret"].as_str().unwrap());
    world.client(ADMIN).reset_of(USER.id).code(&world.totp(ADMIN)).send().await.succeeds();
    // The host lets the very same token in again.
    world.host.add_token(USER.id, &USER.token());
    with_code(&client, "users.validateTotp", &code_of(&secret, world.now())).await.fails("invalid-totp");
}

#[tokio::test]
async fn an_enrolment_that_waits_too_long_is_void() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let secret = decode(enable(&client, ADMIN).await.json()["secret"].as_str().unwrap());
    world.clock.advance(EMAIL_CODE_SECONDS);
    with_code(&client, "users.validateTotp", &code_of(&secret, world.now())).await.fails("invalid-totp");
}

/// `docs/security.md` § 8: a change of factors ends all other logins, by default.
#[tokio::test]
async fn a_change_of_factors_ends_all_other_logins() {
    for ends in [true, false] {
        let two_factor = TwoFactorPolicy::builder().recovery(Preset::RocketChat).end_other_logins(ends);
        let policy = RocketChatPolicy::builder().two_factor(two_factor.build().unwrap()).build().unwrap();
        for path in ["users.disableTotp", "users.regenerateTotpCodes", "users.2fa.disableEmail"] {
            let world = World::with(policy.clone()).await.with_email(USER).await;
            let (client, other) = (world.client(USER), world.other_client(USER, 1));
            let answer = if path == "users.2fa.disableEmail" {
                client.post(path).code(&world.totp(USER)).send().await
            } else {
                with_code(&client, path, &world.totp(USER)).await
            };
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!((client.is_in().await, other.is_in().await), (true, !ends), "{path}");
            assert_eq!(world.count_events(USER, "other_logins_ended").await, usize::from(ends), "{path}");
        }
    }
}
