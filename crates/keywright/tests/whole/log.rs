//! No secret of a whole life is in any span or event, at the finest level.

use keywright::challenge::{ChallengeSecret, Proof, SetOutcome, Verification};
use keywright::confirm::{Confirmation, SendOutcome};
use keywright::core::{Purpose, SessionId};
use keywright::rekey::{Swap, UploadStart};
use keywright::twofactor::recovery::Liveness;
use keywright::twofactor::{Enrolment, EnrolmentStart, VerifyOutcome};
use keywright::{AccountId, UnixSeconds};
use keywright_testing::{CapturedLog, Secrets};

use crate::host::{ALICES_PASSWORD, ALICES_PHONE, ROCKYS_TOKEN, account};
use crate::world::{DORA, DeleteVault, Person, Server, World, code_of, salts, secret, submission, submitted};

const SESSION: &[u8] = b"a session's id";

/// Enrols a device of a new account, and uses it and its recovery codes.
async fn two_factor(server: &Server, secrets: &Secrets) {
    let (erin, service) = (AccountId::new("erin").unwrap(), server.keywright.two_factor());
    server.keywright.ensure_account(&erin).await.unwrap();
    let (phone, session) = (server.client_of("erin"), SessionId::new(SESSION));
    let begun = service.begin(&erin, session, "phone").await.unwrap();
    let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
    let seed = pending.secret().expose().to_vec();
    secrets.plant(pending.secret().to_base32().expose());
    secrets.plant(hex::encode(&seed));
    secrets.plant(&seed);
    let code = code_of(&seed, server.now());
    let confirmed = service.confirm(&erin, session, &code, phone).await.unwrap();
    let Enrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
    secrets.plant_all(codes.iter().chain([code.as_str()]));
    server.clock.advance(30);
    let code = code_of(&seed, server.now());
    secrets.plant(&code);
    let purpose = Purpose::new("log-in");
    assert!(matches!(service.verify_totp(&erin, &code, &purpose, phone).await.unwrap(), VerifyOutcome::Granted(_)));
    for wrong in [code.as_str(), "918273", "WRONG-PLANTED-CODE"] {
        secrets.plant(wrong);
        let verdict = service.verify(&erin, wrong, &purpose, phone).await.unwrap();
        assert!(!matches!(verdict, VerifyOutcome::Granted(_)));
    }
    let first = codes.iter().next().unwrap();
    assert!(matches!(service.verify_recovery(&erin, first, &purpose, phone).await.unwrap(), VerifyOutcome::Granted(_)));
    server.clock.advance(30);
    let code = code_of(&seed, server.now());
    secrets.plant(&code);
    let action = keywright::twofactor::CHANGE_FACTORS;
    let stepped = service.step_up_totp(&erin, &action, session, &code, phone).await.unwrap();
    let VerifyOutcome::Granted(proof) = stepped else { panic!("{stepped:?}") };
    secrets.plant_all(service.make_recovery(proof, Liveness::Now, phone).await.unwrap().iter());
}

/// Checks and replaces Dora's passphrase, confirms an action, and re-encrypts the vault.
async fn the_rest(server: &Server, secrets: &Secrets) {
    let (dora, phone, session) = (account(DORA), server.client_of(DORA), SessionId::new(SESSION));
    let challenges = server.keywright.challenges();
    for (n, granted) in [(9, false), (1, true)] {
        secrets.plant(secret(n));
        let verdict = challenges.verify(&dora, &Proof::from_client(&secret(n)).unwrap(), phone).await.unwrap();
        assert_eq!(matches!(verdict, Verification::Granted(_)), granted);
    }
    let (second, other) = (ChallengeSecret::from_client(&secret(2)).unwrap(), account("frank"));
    secrets.plant(secret(2));
    server.keywright.ensure_account(&other).await.unwrap();
    let set = challenges.set(&other, &second, &salts(2), phone).await.unwrap();
    assert!(matches!(set, SetOutcome::Set(_)));

    let confirmations = server.keywright.confirmations();
    let shown = confirmations.begin_code(&dora, &DeleteVault(1), session).await.unwrap();
    secrets.plant(shown.expose());
    let typed = confirmations.confirm_code(&dora, DeleteVault(1), session, shown.expose()).await.unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));
    let mailed = confirmations.begin_mailed(&dora, &DeleteVault(2), session).await.unwrap();
    let SendOutcome::Send(code) = mailed else { panic!("{mailed:?}") };
    secrets.plant(code.expose());
    let typed = confirmations.confirm_mailed(&dora, DeleteVault(2), session, code.expose(), phone).await.unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));

    let vaults = server.keywright.vaults();
    let until = UnixSeconds::new(server.now() + 3_600).unwrap();
    let begun = vaults.begin_upload(&dora, None, until).await.unwrap();
    let UploadStart::Begun { upload, .. } = begun else { panic!("{begun:?}") };
    let body = submitted(0..3);
    secrets.plant(text_of_first(&body));
    let _ = vaults.put_part(&dora, upload, &submission(&body)).await.unwrap();
    let swapped = vaults.finish_upload(&dora, upload, &[], |draft| {
        draft.event(keywright::Event::new(&keywright::SESSIONS_ENDED_BY_OPERATOR));
        Ok(keywright::store::Plain(()))
    });
    let swapped = swapped.await.unwrap();
    assert!(matches!(swapped, Swap::Done { .. }), "{swapped:?}");
}

fn text_of_first(body: &[u8]) -> String {
    let ciphers: serde_json::Value = serde_json::from_slice(body).unwrap();
    ciphers[0]["data"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_whole_life_leaves_no_secret_in_any_span() {
    let log = CapturedLog::begin();
    let secrets = Secrets::from_iter([ALICES_PASSWORD, ALICES_PHONE, ROCKYS_TOKEN]);
    let world = World::new();
    let server = world.server().await;
    let user = Person::new("user@example.org", 5);
    // The protocols: a passphrase, a log-in, a registration, a vault.
    let (token, _) = server.settle(&user).await;
    secrets.plant(token);
    secrets.plant(user.shared(&server.server_key().await));
    two_factor(&server, &secrets).await;
    the_rest(&server, &secrets).await;
    let log = log.end();
    for part in [
        "operation=\"two_factor.confirm\"",
        "operation=\"two_factor.verify_recovery\"",
        "operation=\"challenge.verify\"",
        "operation=\"confirm.confirm_mailed\"",
        "operation=\"vault.",
        "operation=\"nextcloud\"",
        "operation=\"librepass\"",
        "outcome=\"committed\"",
        "keywright::security: a security event account=erin event=recovery_codes_made",
    ] {
        assert!(log.contains(part), "{part}");
    }
    assert!(secrets.planted() > 20);
    secrets.are_absent_from("the log", &log);
}
