//! What changes factors is proven by what is enrolled, whatever the policy offers.

use keywright_rocketchat::RocketChatPolicy;
use keywright_store::Draft;
use keywright_twofactor::recovery::Preset;
use keywright_twofactor::{DeviceImport, ImportedDevice, Origin, RequiredFactors, TotpSecret, TwoFactorPolicy};
use serde_json::json;

use crate::support::{ADMIN, Answer, Client, TARGET, World};

/// Every way to switch something off, and none.
fn policies() -> Vec<RocketChatPolicy> {
    let mut policies = Vec::new();
    for (enabled, by_totp, by_email) in
        [(true, true, true), (true, false, true), (true, true, false), (true, false, false), (false, true, true)]
    {
        let policy = RocketChatPolicy::builder().enabled(enabled).by_totp(by_totp).by_email(by_email);
        policies.push(policy.build().unwrap());
    }
    policies
}

/// Calls without a code and with the password: neither is accepted, and `method` is required.
async fn is_proven_by(client: &Client, path: &str, method: &str) {
    let asks = |answer: &Answer, error: &str| {
        assert_eq!(answer.fails(error).json()["details"]["method"], json!(method), "{path}");
    };
    asks(&client.post(path).send().await, "totp-required");
    asks(&client.post(path).code(&ADMIN.password()).method("password").send().await, "totp-invalid");
}

#[tokio::test]
async fn a_totp_device_guards_the_factors() {
    for policy in policies() {
        let enabled = policy.enabled();
        let world = World::with(policy.clone()).await;
        let client = world.client(ADMIN);
        is_proven_by(&client, "users.2fa.enableEmail", "totp").await;
        client.post("users.2fa.enableEmail").code(&world.totp(ADMIN)).send().await.succeeds();
        is_proven_by(&client, "users.2fa.disableEmail", "totp").await;
        client.post("users.2fa.disableEmail").code(&ADMIN.recovery_code(0)).send().await.succeeds();
        if enabled {
            is_proven_by(&client, "users.resetTOTP", "totp").await;
            client.post("users.resetTOTP").code(&ADMIN.recovery_code(1)).send().await.succeeds();
        }
    }
}

#[tokio::test]
async fn mailed_codes_guard_the_factors() {
    for policy in policies() {
        let enabled = policy.enabled();
        let paths = ["users.enableTotp", "users.2fa.disableEmail", "users.resetTOTP"];
        for path in paths.into_iter().filter(|path| enabled || *path != "users.resetTOTP") {
            let world = World::with(policy.clone()).await.without_totp(ADMIN).await.with_email(ADMIN).await;
            let client = world.client(ADMIN);
            is_proven_by(&client, path, "email").await;
            let answer = client.post(path).code(&world.host.last_code()).send().await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
}

/// A mailed code is confirmation: it takes no device away, and adds nothing beside one, whatever the client would like.
#[tokio::test]
async fn with_both_enrolled_a_change_of_factors_asks_for_the_device() {
    for policy in policies() {
        let enabled = policy.enabled();
        for path in ["users.resetTOTP", "users.2fa.disableEmail", "users.2fa.enableEmail"] {
            let world = World::with(policy.clone()).await.with_email(ADMIN).await;
            if !enabled && path == "users.resetTOTP" {
                continue;
            }
            let client = world.client(ADMIN);
            for code in ["", "000000"] {
                let answer = client.post(path).method("email").code(code).send().await;
                let details =
                    &answer.fails(if code.is_empty() { "totp-required" } else { "totp-invalid" }).json()["details"];
                assert_eq!(details["method"], json!("totp"), "{path}");
            }
            assert_eq!((world.host.codes(), world.codes_left(ADMIN).await), (0, Some(12)), "no code is mailed for it");
            client.post(path).method("email").code(&world.totp(ADMIN)).send().await.succeeds();
        }
    }
}

/// No proof is possible, and the password is none.
#[tokio::test]
async fn mailed_codes_without_an_address_still_guard_the_factors() {
    for policy in policies() {
        let enabled = policy.enabled();
        let world = World::with(policy).await.without_totp(ADMIN).await.with_email(ADMIN).await;
        world.host.change(ADMIN.id, |user| user.verified_emails.clear());
        let (client, before) = (world.client(ADMIN), world.scan().await);
        let paths = ["users.enableTotp", "users.2fa.enableEmail", "users.2fa.disableEmail", "users.resetTOTP"];
        for path in paths.into_iter().filter(|path| enabled || *path != "users.resetTOTP") {
            for code in ["", "123456", &ADMIN.password()] {
                client.post(path).code(code).send().await.fails("error-not-allowed");
            }
        }
        assert_eq!((world.scan().await, world.host.calls()), (before, vec![]));
        // With a device beside them there is a proof.
        world.enrol(ADMIN).await;
        is_proven_by(&client, "users.2fa.disableEmail", "totp").await;
        client.post("users.2fa.disableEmail").code(&world.totp(ADMIN)).send().await.succeeds();
    }
}

#[tokio::test]
async fn recovery_codes_without_a_device_are_a_factor_too() {
    for policy in policies() {
        let world = World::with(policy).await.without_totp(ADMIN).await;
        let codes = ADMIN.recovery_codes();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let import = |draft: &mut Draft<'_>| {
            world.factors().import_recovery_in(draft, &codes).unwrap();
            Ok(())
        };
        world.step(ADMIN, import).await;
        let client = world.client(ADMIN);
        is_proven_by(&client, "users.enableTotp", "totp").await;
        assert_eq!(client.post("users.enableTotp").code(codes[0]).send().await.status, 200);
    }
}

#[tokio::test]
async fn with_nothing_enrolled_the_password_guards_the_factors() {
    let mut policies = policies();
    policies.push(RocketChatPolicy::builder().password_fallback(false).build().unwrap());
    for policy in policies {
        let fallback = policy.password_fallback();
        let enabled = policy.enabled();
        let world = World::with(policy).await.without_totp(ADMIN).await;
        let client = world.client(ADMIN);
        if enabled {
            let asked = client.post("users.2fa.disableEmail").send().await;
            assert_eq!(asked.fails("totp-required").json()["details"]["method"], json!("password"));
        } else {
            client.post("users.2fa.disableEmail").send().await.succeeds();
        }
        // A login token alone adds no factor, two-factor and the fallback on or off (`docs/decisions.md` 54, finding
        // A9).
        let before = world.scan().await;
        for path in ["users.enableTotp", "users.2fa.enableEmail"] {
            for code in ["", "123456", &ADMIN.recovery_code(0), &TARGET.password()[1..]] {
                let answer = client.post(path).code(code).send().await;
                let error = if code.is_empty() { "totp-required" } else { "totp-invalid" };
                assert_eq!(answer.fails(error).json()["details"]["method"], json!("password"), "{path}");
            }
        }
        assert_eq!((world.scan().await, world.host.calls()), (before, vec![]));
        client.post("users.enableTotp").code(&TARGET.password()).send().await.fails("totp-invalid");
        let device = world.step(ADMIN, |draft| world.factors().enrolled_in(draft)).await;
        assert!(!device.has_totp() && !device.pending && !device.email);
        assert_eq!(client.post("users.enableTotp").code(&ADMIN.password()).send().await.status, 200);
        client.post("users.2fa.enableEmail").code(&ADMIN.password()).send().await.succeeds();
        // For anything else the fallback decides.
        if enabled && !fallback {
            let world = World::with(world.policy).await.without_totp(ADMIN).await;
            world.client(ADMIN).reset().code(&ADMIN.password()).send().await.fails("totp-invalid");
        }
    }
}

/// An account without a password has nothing to prove its first factor with on this wire.
#[tokio::test]
async fn without_a_password_no_first_factor_is_added() {
    let world = World::password_only().await;
    world.host.change(ADMIN.id, |user| user.has_password = false);
    let (client, before) = (world.client(ADMIN), world.scan().await);
    for path in ["users.enableTotp", "users.2fa.enableEmail"] {
        client.post(path).send().await.fails("totp-required");
        client.post(path).code(&ADMIN.password()).send().await.fails("totp-invalid");
    }
    assert_eq!((world.scan().await, world.host.calls()), (before, vec![]));
}

/// The keys are no factor: there it is as the protocol has it (protocol §§ 5, 6).
#[tokio::test]
async fn a_reset_of_the_keys_goes_by_what_is_offered() {
    for policy in policies() {
        let (enabled, by_totp) = (policy.enabled(), policy.by_totp());
        let world = World::with(policy).await;
        let client = world.client(ADMIN);
        match (enabled, by_totp) {
            (false, _) => drop(client.reset().send().await.succeeds()),
            (true, true) => is_proven_by(&client, "users.resetE2EKey", "totp").await,
            (true, false) => drop(client.reset().code(&ADMIN.password()).send().await.succeeds()),
        }
    }
}

/// A device of another protocol is not asked for, so a client that shows none is not locked out;
/// but it guards the factors here, or a thief of a login would put an authenticator beside it.
#[tokio::test]
async fn what_another_protocol_enrolled_guards_the_factors_only() {
    for required in [RequiredFactors::Own, RequiredFactors::All] {
        let two_factor = TwoFactorPolicy::builder().recovery(Preset::RocketChat).required(required).build().unwrap();
        let policy = RocketChatPolicy::builder().two_factor(two_factor).build().unwrap();
        let world = World::with(policy).await.without_totp(ADMIN).await;
        let secret = TotpSecret::from_slice(&ADMIN.secret()).unwrap();
        let device = ImportedDevice::new("phone", secret);
        let elsewhere = world.factors().through(Origin::new("elsewhere"));
        world
            .step(ADMIN, |draft| {
                let imported = elsewhere.import_device_in(draft, &device)?;
                assert!(matches!(imported, DeviceImport::Imported(_)));
                Ok(())
            })
            .await;
        let all = required == RequiredFactors::All;
        assert_eq!(world.log_in(ADMIN).send().await.status, if all { 401 } else { 200 });
        let client = world.client(ADMIN);
        let asked = client.post("users.logoutOtherClients").send().await;
        assert_eq!(
            asked.fails("totp-required").json()["details"]["method"],
            json!(if all { "totp" } else { "password" })
        );
        is_proven_by(&client, "users.2fa.enableEmail", "totp").await;
        is_proven_by(&client, "users.2fa.disableEmail", "totp").await;
        client.post("users.2fa.enableEmail").code(&world.totp(ADMIN)).send().await.succeeds();
    }
}
