//! Small files in every format, made by hand from the descriptions, and the users who then log in.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::path::Path;
use std::sync::Arc;

use keywright::twofactor::import::{ExportConsent, Import, ImportReport};
use keywright::twofactor::{Purpose, TwoFactor, VerifyOutcome};
use keywright::{AccountId, Client, Clock, Keyring, Keywright, MemoryStore, SystemClock, SystemEntropy};
use moving_in::Hashes;
use moving_in::formats::{Entry, allauth, better_auth, devise, django_otp, keycloak, lines};

struct World {
    two_factor: TwoFactor,
    report: ImportReport,
    unread: Vec<String>,
}

impl World {
    async fn of(entries: Vec<Entry>) -> Self {
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder =
            Keywright::builder(MemoryStore::new()).keyring(keyring).code_verifier(Arc::new(Hashes::at_once(2)));
        let two_factor = builder.open().await.unwrap().two_factor();
        let unread = entries.iter().filter_map(|entry| entry.as_ref().err().map(ToString::to_string)).collect();
        let users = entries.into_iter().filter_map(Result::ok);
        let report = Import::new(two_factor.clone()).run(users, |_, _| {}).await.unwrap();
        Self { two_factor, report, unread }
    }

    /// Whether a code is accepted, once.
    async fn logs_in(&self, account: &str, typed: &str) -> bool {
        let (account, log_in) = (AccountId::new(account).unwrap(), Purpose::new("log-in"));
        let outcome = self.two_factor.verify(&account, typed, &log_in, Client::unknown()).await.unwrap();
        matches!(outcome, VerifyOutcome::Granted(_))
    }

    async fn shows(&self, account: &str, secret: &[u8]) -> bool {
        let app = totp_rs::Builder::new().with_secret(secret).build_noncompliant();
        self.logs_in(account, &app.generate(SystemClock.now().unwrap().get()).to_string()).await
    }
}

fn data(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

#[tokio::test]
async fn django_otp_dumps() {
    let world = World::of(django_otp::read(&data("django-otp.json"), "user-").unwrap()).await;
    assert_eq!((world.report.imported, world.report.devices, world.report.recovery_codes), (1, 1, 2));
    assert_eq!(world.unread.len(), 1, "{:?}", world.unread);
    assert!(world.unread[0].contains("2: a start of time other than 1970"), "{:?}", world.unread);
    assert!(world.shows("user-1", b"12345678901234567890").await);
    assert!(world.logs_in("user-1", "ABCD2345").await && !world.logs_in("user-1", "abcd2345").await);
}

/// The codes of a seed are compared with those that Python computes from the description.
#[tokio::test]
async fn allauth_dumps() {
    let world = World::of(allauth::read(&data("allauth.json"), "").unwrap()).await;
    assert_eq!((world.report.imported, world.report.devices, world.report.recovery_codes), (2, 2, 9 + 2));
    assert!(world.shows("1", b"12345678901234567890").await);
    let codes = ["99663132", "52337251"];
    assert!(!world.logs_in("1", codes[0]).await, "used there");
    assert!(world.logs_in("1", codes[1]).await && !world.logs_in("1", codes[1]).await);
    assert!(world.logs_in("2", "abcd2345").await);
}

#[tokio::test]
async fn devise_rows() {
    let world = World::of(devise::read(&data("devise.jsonl"), "").unwrap()).await;
    assert_eq!((world.report.imported, world.report.devices, world.report.recovery_codes), (2, 1, 2));
    assert!(world.shows("1", b"12345678901234567890").await);
    let code = "0123456789abcdef0123456789abcdef";
    assert!(world.logs_in("1", code).await && !world.logs_in("1", code).await);
}

#[tokio::test]
async fn better_auth_rows() {
    let world = World::of(better_auth::read(&data("better-auth.json"), "").unwrap()).await;
    assert_eq!((world.report.imported, world.report.devices, world.report.recovery_codes), (1, 1, 2));
    assert!(world.shows("Yq3xJp", b"abcdefghijklmnopqrstuvwxyzABCDEF").await);
    assert!(!world.logs_in("Yq3xJp", "AB3DE-FGH1J").await, "case matters there");
    assert!(world.logs_in("Yq3xJp", "aB3dEfGh1J").await && !world.logs_in("Yq3xJp", "aB3dE-fGh1J").await);
}

#[tokio::test]
async fn keycloak_realms() {
    let world = World::of(keycloak::read(&data("keycloak.json"), "").unwrap()).await;
    assert_eq!((world.report.imported, world.report.devices, world.report.recovery_codes), (3, 2, 1));
    assert_eq!(world.unread.len(), 1, "{:?}", world.unread);
    assert!(world.unread[0].contains("a counter-based code"), "{:?}", world.unread);
    assert!(world.shows("a1", b"DJmQfC73VGFhw7D4QJ8A").await);
    assert!(world.logs_in("a1", "8pnx-1qwa-eg7k").await && !world.logs_in("a1", "8PNX1QWAEG7K").await);
    assert!(world.shows("b2", b"12345678901234567890").await, "base32");
}

#[tokio::test]
async fn what_was_exported_is_read_again() {
    let world = World::of(django_otp::read(&data("django-otp.json"), "").unwrap()).await;
    let account = AccountId::new("1").unwrap();
    let user = world.two_factor.export_user(&account, ExportConsent::to_secrets_in_clear()).await.unwrap().unwrap();
    let line = user.to_line(&account).unwrap();
    let again = World::of(lines::read(&format!("{}\n\nnonsense\n", line.expose()))).await;
    assert_eq!((again.report.imported, again.report.devices, again.report.recovery_codes), (1, 1, 2));
    assert!(again.unread[0].starts_with("line 3: "), "{:?}", again.unread);
    assert!(again.logs_in("1", "abcd2345").await);
}
