//! The fixture: a world without accounts of its own making, and a verifier of real hashes.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use keywright_core::{AccountId, Client, ClientTag, Purpose};
use keywright_store::BoxFuture;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
use keywright_twofactor::{ImportedDevice, SLOT_KINDS, TotpSecret, TwoFactor, TwoFactorPolicy, VerifyOutcome};

/// 2023-11-14, the first second of a step.
pub(crate) const START: u64 = 1_699_999_980;

/// A secret of 160 bits.
pub(crate) const SEED: &[u8] = b"12345678901234567890";

pub(crate) struct World {
    base: keywright_testing::World,
    pub(crate) service: TwoFactor,
    pub(crate) verifier: Arc<Verifier>,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::built(keywright_testing::World::builder()).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::built(keywright_testing::World::builder().sqlite()).await
    }

    async fn built(builder: keywright_testing::WorldBuilder) -> Self {
        let base = builder.start(START).slots(SLOT_KINDS).build().await;
        let verifier = Arc::new(Verifier::default());
        let service = TwoFactor::new(base.driver.clone(), TwoFactorPolicy::default()).unwrap();
        let service = service.with_code_verifier(verifier.clone());
        Self { base, service, verifier }
    }

    pub(crate) async fn import(&self, account: &AccountId, user: &ImportedUser) -> ImportOutcome {
        self.service.import_user(account, user).await.unwrap()
    }

    pub(crate) async fn totp(&self, account: &AccountId, code: &str) -> Verdict {
        Verdict::of(&self.service.verify_totp(account, code, &LOG_IN, UNKNOWN).await.unwrap())
    }

    pub(crate) async fn recover(&self, account: &AccountId, code: &str) -> Verdict {
        Verdict::of(&self.service.verify_recovery(account, code, &LOG_IN, UNKNOWN).await.unwrap())
    }

    pub(crate) async fn remaining(&self, account: &AccountId) -> Option<u8> {
        self.service.enrolled(account).await.unwrap().recovery
    }
}

pub(crate) static LOG_IN: std::sync::LazyLock<Purpose> = std::sync::LazyLock::new(|| Purpose::new("log-in"));

pub(crate) const UNKNOWN: Client = Client::unknown();

pub(crate) const fn client(byte: u8) -> Client {
    Client::credential(ClientTag::from_bytes([byte; 16]))
}

pub(crate) fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

pub(crate) fn device(seed: &[u8]) -> ImportedDevice {
    ImportedDevice::new("phone", TotpSecret::from_slice(seed).unwrap())
}

/// The code that an app shows.
pub(crate) fn code(seed: &[u8], at: u64) -> String {
    totp_rs::Builder::new().with_secret(seed).build_noncompliant().generate(at).to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    /// Wrong, with the ledger's streak.
    Charged(u16),
    Replayed,
    Refused,
    Malformed,
    NotEnrolled,
}

impl Verdict {
    pub(crate) fn of<P>(verdict: &VerifyOutcome<P>) -> Self {
        match verdict {
            VerifyOutcome::Granted(_) => Self::Granted,
            VerifyOutcome::Denied(denial) => {
                denial.charge().map_or(Self::Replayed, |charge| Self::Charged(charge.streak()))
            }
            VerifyOutcome::Refused(_) => Self::Refused,
            VerifyOutcome::Malformed => Self::Malformed,
            VerifyOutcome::NotEnrolled => Self::NotEnrolled,
        }
    }
}

/// Compares bcrypt and Argon2 hashes, on threads for slow work.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    pub(crate) busy: AtomicBool,
    pub(crate) compared: Arc<AtomicUsize>,
}

fn matches(hash: &str, code: &[u8]) -> bool {
    if hash.starts_with("$argon2") {
        PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(code, &hash).is_ok())
    } else {
        bcrypt::verify(code, hash).unwrap_or(false)
    }
}

impl CodeVerifier for Verifier {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        Box::pin(async move {
            if self.busy.load(Ordering::Relaxed) {
                return Err(VerifierUnavailable);
            }
            let compared = self.compared.clone();
            let run = move || {
                job.run(|hash, code| {
                    compared.fetch_add(1, Ordering::Relaxed);
                    matches(hash, code)
                })
            };
            tokio::task::spawn_blocking(run).await.map_err(|_| VerifierUnavailable)
        })
    }
}

/// A hash with the smallest cost that bcrypt has.
pub(crate) fn bcrypt_of(code: &str) -> String {
    bcrypt::hash_with_salt(code, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoA)
}
