//! A world for the tests: one account on a store, a clock that stands still, a seeded generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::{
    AccountId, Clock, DeviceTag, EventKind, GuessLedger, Keyring, ManualClock, SecretBytes, SharedRng, UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, MemoryStore, Partition, Receipt, RecordStore, Revision, Root, Slot, StepError};
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{
    Algorithm, Beginning, DeviceId, Parameters, PendingDevice, SLOTS, TotpSecret, TwoFactor, TwoFactorError,
    TwoFactorPolicy, Verdict,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// 2023-11-14, the first second of a step of 15, 30 and 60 seconds, far from both ends of time.
pub(crate) const START: u64 = 1_699_999_980;

/// The seed of the RFCs: 20 bytes.
pub(crate) const SEED: &[u8] = b"12345678901234567890";

/// The session that enrols.
pub(crate) const SESSION: &[u8] = b"session-1";

/// Another one.
pub(crate) const OTHER: &[u8] = b"another seed of 20 b";

pub(crate) struct World {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountId,
    pub(crate) driver: Driver,
    pub(crate) service: TwoFactor,
    seeds: AtomicU64,
    _directory: Option<tempfile::TempDir>,
}

pub(crate) fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(TwoFactorPolicy::default()).await
    }

    pub(crate) async fn with(policy: TwoFactorPolicy) -> Self {
        Self::over(Arc::new(MemoryStore::new()), policy).await
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
        Self { _directory: Some(directory), ..Self::over(store, TwoFactorPolicy::default()).await }
    }

    pub(crate) async fn over(store: Arc<dyn RecordStore>, policy: TwoFactorPolicy) -> Self {
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(1)));
        let driver = Driver::new(store.clone(), Arc::new(keyring()), entropy, clock.clone());
        let account = AccountId::new("user-1").unwrap();
        driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()).await.unwrap();
        let service = TwoFactor::new(driver.clone(), policy);
        Self { store, clock, account, driver, service, seeds: AtomicU64::new(10), _directory: None }
    }

    /// Another server on the same store: its own queue, its own generator, perhaps a fence.
    pub(crate) fn another_server(&self, seed: u64, fence: u64) -> TwoFactor {
        let keyring = keyring().with_fence(UnixSeconds::new(fence).unwrap());
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        let driver = Driver::new(self.store.clone(), Arc::new(keyring), entropy, self.clock.clone());
        TwoFactor::new(driver, self.service.steps().policy().clone())
    }

    /// A seed that no server of this world had: two that draw the same revisions undo every guard.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().unwrap().get()
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.clock.set(UnixSeconds::new(seconds).unwrap());
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(seconds);
    }

    pub(crate) fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    pub(crate) async fn import(&self, name: &str, seed: &[u8]) -> DeviceId {
        self.service.import_device(&self.account, name, &TotpSecret::from_slice(seed).unwrap()).await.unwrap()
    }

    pub(crate) async fn totp(&self, code: &str) -> Told {
        self.totp_for(code, "test", None).await
    }

    pub(crate) async fn totp_for(&self, code: &str, purpose: &str, tag: Option<DeviceTag>) -> Told {
        Told::of(self.service.verify_totp(&self.account, code, purpose, tag).await.unwrap())
    }

    /// Begins an enrolment and gives its secret.
    pub(crate) async fn begin(&self, name: &str, replaces: Option<DeviceId>) -> Vec<u8> {
        match self.begin_enrolment(SESSION, name, replaces).await.unwrap() {
            Beginning::Begun(pending) => pending.secret().expose().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// What composes the steps has taken its proof elsewhere: `leave.rs` tests those that take one.
    async fn change<T: Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), TwoFactorError> {
        Ok(self.driver.transact(&self.partition(), SLOTS, step).await?)
    }

    pub(crate) async fn begin_enrolment(
        &self,
        session: &[u8],
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<Beginning<PendingDevice>, TwoFactorError> {
        let steps = self.service.steps();
        let (begun, receipt) = self.change(|draft| steps.begin_enrolment_in(draft, session, name, replaces)).await?;
        Ok(begun.map(|pending| pending.release(&receipt).unwrap()))
    }

    pub(crate) async fn remove_device(&self, id: DeviceId) -> Result<bool, TwoFactorError> {
        Ok(self.change(|draft| self.service.steps().remove_device_in(draft, id)).await?.0)
    }

    pub(crate) async fn remove_all(&self) -> Result<bool, TwoFactorError> {
        Ok(self.change(|draft| self.service.steps().remove_all_in(draft)).await?.0)
    }

    pub(crate) async fn set_email(&self, on: bool) -> Result<bool, TwoFactorError> {
        Ok(self.change(|draft| self.service.steps().set_email_in(draft, on)).await?.0)
    }

    pub(crate) async fn make_recovery(&self, liveness: Liveness) -> Result<RecoveryCodes, TwoFactorError> {
        let (codes, receipt) = self.change(|draft| self.service.steps().make_recovery_in(draft, liveness)).await?;
        Ok(codes.release(&receipt)?)
    }

    pub(crate) async fn move_epoch(&self, change: fn(&mut Root)) {
        let step = |draft: &mut Draft<'_>| {
            let mut root = draft.root()?;
            change(&mut root);
            draft.put_root(&root)
        };
        self.driver.transact(&self.partition(), &[], step).await.unwrap();
    }

    pub(crate) async fn factor_epoch(&self) -> u64 {
        self.driver.observe(&self.partition(), &[], |draft| Ok(draft.root()?.factor_epoch)).await.unwrap()
    }

    pub(crate) async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut Draft<'_>| draft.read(Slot::Ledger);
        self.driver.observe(&self.partition(), &[Slot::Ledger], look).await.unwrap().unwrap_or_default()
    }

    /// What the log says, oldest first, without what the account began with.
    pub(crate) async fn events(&self) -> Vec<EventKind> {
        let mut events = self.store.events(&self.partition(), None, 100_000).await.unwrap();
        events.sort_by_key(|(id, _)| *id);
        events.into_iter().map(|(_, event)| event.kind).filter(|kind| *kind != EventKind::AccountCreated).collect()
    }

    /// All that is stored, to see whether anything was written.
    pub(crate) async fn revisions(&self) -> Vec<Option<Revision>> {
        let slots = [Slot::Root, Slot::Factors, Slot::Recovery, Slot::Ledger];
        let stored = self.store.load(&self.partition(), &slots).await.unwrap();
        stored.into_iter().map(|stored| stored.map(|stored| stored.revision)).collect()
    }
}

/// An outcome that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// With its drift in steps.
    Granted(i8),
    /// Wrong: the ledger's streak.
    Charged(u16),
    Replayed,
    Refused(u64),
    Malformed,
    NotEnrolled,
}

impl Told {
    pub(crate) fn of(verdict: Verdict<keywright_twofactor::Proven>) -> Self {
        match verdict {
            Verdict::Granted(proof) => Self::Granted(proof.drift().unwrap()),
            Verdict::Denied(denial) => denial.charge().map_or(Self::Replayed, |charge| Self::Charged(charge.streak())),
            Verdict::Refused(refusal) => Self::Refused(refusal.retry_after()),
            Verdict::Malformed => Self::Malformed,
            Verdict::NotEnrolled => Self::NotEnrolled,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) const fn granted(self) -> bool {
        matches!(self, Self::Granted(_))
    }
}

/// The code that an app shows at a moment: six digits, 30 seconds, SHA-1.
pub(crate) fn code(seed: &[u8], at: u64) -> String {
    code_of(seed, at, Parameters::default())
}

pub(crate) fn code_of(seed: &[u8], at: u64, parameters: Parameters) -> String {
    let algorithm = match parameters.algorithm() {
        Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
        Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
        Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
        other => panic!("{other:?}"),
    };
    let app = totp_rs::Builder::new().with_secret(seed).with_algorithm(algorithm).with_digits(parameters.digits());
    app.with_step_duration(parameters.step_seconds()).build_noncompliant().generate(at).to_string()
}

/// A code that no step of three steps around a moment has, for none of the seeds.
pub(crate) fn wrong(seeds: &[&[u8]], at: u64) -> String {
    let near = |seed: &&[u8]| (0..7_u64).map(|step| code(seed, at + 90 - step * 30)).collect::<Vec<_>>();
    let shown: Vec<String> = seeds.iter().flat_map(near).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

pub(crate) const fn tag(byte: u8) -> DeviceTag {
    DeviceTag::from_bytes([byte; 16])
}

/// The step's own error.
pub(crate) fn step_error<T>(result: Result<T, TwoFactorError>) -> keywright_store::StepError {
    match result {
        Err(TwoFactorError::Transact(keywright_store::TransactError::Step(error))) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was decided"),
    }
}
