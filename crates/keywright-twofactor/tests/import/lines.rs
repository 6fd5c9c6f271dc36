//! Moving out: an export, as lines of JSON, and its import into another store.

use keywright_core::AccountId;
use keywright_twofactor::import::{ExportConsent, ImportOutcome, ImportedUser, LineError};
use keywright_twofactor::recovery::{ImportedCodes, Liveness};
use keywright_twofactor::{Algorithm, Parameters};

use crate::support::{SEED, START, UNKNOWN, Verdict, World, bcrypt_of, code, device, id};

async fn export(world: &World, account: &AccountId) -> String {
    let consent = ExportConsent::to_secrets_in_clear();
    let user = world.service.export_user(account, consent).await.unwrap().unwrap();
    user.to_line(account).unwrap().expose().to_owned()
}

async fn take_over(world: &World, line: &str) -> AccountId {
    let (account, user) = ImportedUser::from_line(line).unwrap();
    let outcome = world.import(&account, &user).await;
    assert!(matches!(outcome, ImportOutcome::Imported(_)), "{outcome:?}");
    account
}

#[tokio::test]
async fn another_store_takes_over_what_was_exported() {
    let (old, new) = (World::new().await, World::sqlite().await);
    let account = id("user");
    let long = Parameters::new(Algorithm::Sha512, 8, 60).unwrap();
    let user = ImportedUser::new().device(device(SEED)).device(device(&[9; 20]).with_parameters(long)).email(true);
    let _ = old.import(&account, &user).await;
    let steps = old.service.steps();
    let codes =
        old.of(account.clone()).run(|draft| steps.make_recovery_in(draft, Liveness::Now, UNKNOWN)).await.unwrap();
    let codes: Vec<String> = codes.iter().map(str::to_owned).collect();
    assert_eq!(old.totp(&account, &code(SEED, START)).await, Verdict::Granted);
    assert_eq!(old.recover(&account, &codes[0]).await, Verdict::Granted);

    let line = export(&old, &account).await;
    assert!(!line.contains('\n') && line.contains("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
    let kinds: Vec<_> = old.of(account.clone()).changes().await.iter().map(|event| event.kind().to_owned()).collect();
    assert_eq!(kinds.last().unwrap(), "factors_exported");

    assert_eq!(take_over(&new, &line).await, account);
    let enrolled = new.service.enrolled(&account).await.unwrap();
    assert_eq!((enrolled.devices.len(), enrolled.email, enrolled.recovery), (2, true, Some(9)));
    assert_eq!(enrolled.devices[1].parameters, long);
    // What was used there is used here.
    assert_eq!(new.totp(&account, &code(SEED, START)).await, Verdict::Replayed);
    assert_eq!(new.totp(&account, &code(SEED, START + 30)).await, Verdict::Granted);
    assert_eq!(new.recover(&account, &codes[0]).await, Verdict::Replayed);
    assert_eq!(new.recover(&account, &codes[1]).await, Verdict::Granted);
}

#[tokio::test]
async fn imported_codes_move_on_as_they_are() {
    let (old, new) = (World::new().await, World::new().await);
    for (name, codes) in [
        ("clear", ImportedCodes::in_clear(["zqk4-7pna", "b3xm9wte"])),
        ("hashed", ImportedCodes::hashes(["zqk47pna", "b3xm9wte"].map(bcrypt_of))),
    ] {
        let account = id(name);
        let _ = old.import(&account, &ImportedUser::new().device(device(SEED)).recovery(codes)).await;
        assert_eq!(old.recover(&account, "zqk47pna").await, Verdict::Granted);
        let line = export(&old, &account).await;
        take_over(&new, &line).await;
        assert_eq!(new.recover(&account, "zqk47pna").await, Verdict::Replayed, "{name}");
        assert_eq!(new.recover(&account, "b3xm9wte").await, Verdict::Granted, "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_codes_survives_a_line() {
    let world = World::new().await;
    use keywright_twofactor::recovery::Digest;
    let digest = "0".repeat(64);
    let long = "0".repeat(128);
    for (name, codes) in [
        ("clear", ImportedCodes::in_clear(["zqk4-7pna"])),
        ("sha256", ImportedCodes::digests(Digest::Sha256, [digest.as_str()])),
        ("sha512", ImportedCodes::digests(Digest::Sha512, [long.as_str()])),
        ("hashes", ImportedCodes::hashes(["$2a$10$x"])),
    ] {
        let account = id(name);
        let user = ImportedUser::new().device(device(SEED).with_last_step(7)).recovery(codes);
        let line = user.to_line(&account).unwrap();
        let (read, user) = ImportedUser::from_line(line.expose()).unwrap();
        assert_eq!((read, user.devices()[0].last_step()), (account, Some(7)));
        assert_eq!(user.to_line(&id(name)).unwrap().expose(), line.expose());
        assert!(matches!(world.import(&id(name), &user).await, ImportOutcome::Imported(_)), "{name}");
    }
}

#[tokio::test]
async fn an_account_without_factors_has_no_export() {
    let world = World::new().await;
    let consent = ExportConsent::to_secrets_in_clear();
    assert!(world.service.export_user(&world.account, consent).await.unwrap().is_none());
    assert!(world.service.export_user(&id("nobody"), consent).await.unwrap().is_none());
}

#[test]
fn a_line_that_is_none_is_not_quoted() {
    let secret = "PLANTEDPLANTEDPL";
    let device = |secret: &str| format!(r#"{{"name": "phone", "secret": "{secret}"}}"#);
    let line = |version: u8, rest: &str| format!(r#"{{"version": {version}, "account": "a", "devices": [{rest}]}}"#);
    for broken in [
        secret.to_owned(),
        line(2, &device(secret)),
        line(1, &device("PLANTED!")),
        line(1, &device("PLANTED")),
        line(1, &format!(r#"{{"name": "phone", "secrets": "{secret}"}}"#)),
        format!(
            r#"{{"version": 1, "account": "a", "recovery": {{"made": {{"preset": "Default", "key": "{secret}",
            "hashes": "", "used": 0, "made": 0, "digests": false}}}}}}"#
        ),
    ] {
        let error: LineError = ImportedUser::from_line(&broken).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("PLANTED"), "{shown}");
    }
}
