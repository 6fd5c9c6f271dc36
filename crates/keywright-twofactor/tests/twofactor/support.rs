//! A world for the tests: one account on a store, a clock that stands still, a seeded generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::{
    AccountId, Client, ClientTag, Clock, EventChain, EventKind, GuessLedger, Keyring, LedgerPolicy, ManualClock,
    SecretBytes, SecurityEvent, Severity, SharedRng, UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore, Release, Revision, Root, StepError, guess};
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{
    Algorithm, DeviceFault, DeviceId, DeviceImport, EnrolmentStart, ImportedDevice, Parameters, PendingDevice,
    SLOT_KINDS, SLOTS, TotpSecret, TwoFactor, TwoFactorError, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome,
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

/// A client of which nothing is known.
pub(crate) const UNKNOWN: Client = Client::unknown();

/// What the tests do to an account from outside.
static TOUCHED: EventKind = EventKind::change("touched", Severity::Info, "a test changed the account");

/// Either voids what was proven before.
#[derive(Clone, Copy)]
pub(crate) enum Epoch {
    Credential,
    Factor,
}

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

fn driver(
    store: Arc<dyn RecordStore>,
    clock: Arc<ManualClock>,
    keyring: Keyring,
    seed: u64,
    ledger: LedgerPolicy,
) -> Driver {
    let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
    let builder = Driver::builder(store, Arc::new(keyring)).entropy(entropy).clock(clock).ledger_policy(ledger);
    builder.slots(SLOT_KINDS).build().unwrap()
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
        Self::guarded(store, policy, LedgerPolicy::default()).await
    }

    /// With a ledger policy of the server's own.
    pub(crate) async fn guarded(store: Arc<dyn RecordStore>, policy: TwoFactorPolicy, ledger: LedgerPolicy) -> Self {
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let driver = driver(store.clone(), clock.clone(), keyring(), 1, ledger);
        let account = AccountId::new("user-1").unwrap();
        driver.ensure_account(&account).await.unwrap();
        let service = TwoFactor::new(driver.clone(), policy).unwrap();
        Self { store, clock, account, driver, service, seeds: AtomicU64::new(10), _directory: None }
    }

    /// Another server on the same store: its own queue, its own generator, perhaps a fence.
    pub(crate) fn another_server(&self, seed: u64, fence: u64) -> TwoFactor {
        let keyring = keyring().with_fence(UnixSeconds::new(fence).unwrap());
        let ledger = self.driver.ledger_policy().clone();
        let driver = driver(self.store.clone(), self.clock.clone(), keyring, seed, ledger);
        TwoFactor::new(driver, self.steps().policy().clone()).unwrap()
    }

    /// A seed that no server of this world had.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) const fn steps(&self) -> &TwoFactorSteps {
        self.service.steps()
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
        self.try_import(ImportedDevice::new(name, TotpSecret::from_slice(seed).unwrap())).await.unwrap()
    }

    pub(crate) async fn try_import(&self, device: ImportedDevice) -> Result<DeviceId, DeviceFault> {
        match self.service.import_device(&self.account, &device).await.unwrap() {
            DeviceImport::Imported(id) => Ok(id),
            DeviceImport::NotTaken(fault) => Err(fault),
        }
    }

    pub(crate) async fn totp(&self, code: &str) -> Told {
        self.totp_for(code, "test", UNKNOWN).await
    }

    pub(crate) async fn totp_for(&self, code: &str, purpose: &str, client: Client) -> Told {
        Told::of(self.service.verify_totp(&self.account, code, purpose, client).await.unwrap())
    }

    /// Begins an enrolment and returns its secret.
    pub(crate) async fn begin(&self, name: &str, replaces: Option<DeviceId>) -> Vec<u8> {
        match self.begin_enrolment(SESSION, name, replaces).await.unwrap() {
            EnrolmentStart::Begun(pending) => pending.secret().expose().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// What composes the steps has taken its proof elsewhere: `change.rs` tests those that take one.
    pub(crate) async fn run<T: Release + Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        Ok(self.driver.run(&self.partition(), SLOTS, step).await?)
    }

    pub(crate) async fn begin_enrolment(
        &self,
        session: &[u8],
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<EnrolmentStart<PendingDevice>, TwoFactorError> {
        self.run(|draft| self.steps().begin_enrolment_in(draft, session, name, replaces)).await
    }

    pub(crate) async fn remove_device(&self, id: DeviceId) -> Result<bool, TwoFactorError> {
        self.run(|draft| self.steps().remove_device_in(draft, id, UNKNOWN)).await
    }

    pub(crate) async fn remove_all(&self) -> Result<bool, TwoFactorError> {
        self.run(|draft| self.steps().remove_all_in(draft, UNKNOWN)).await
    }

    pub(crate) async fn set_email(&self, on: bool) -> Result<bool, TwoFactorError> {
        self.run(|draft| self.steps().set_email_in(draft, on)).await
    }

    pub(crate) async fn make_recovery(&self, liveness: Liveness<'_>) -> Result<RecoveryCodes, TwoFactorError> {
        self.run(|draft| self.steps().make_recovery_in(draft, liveness, UNKNOWN)).await
    }

    pub(crate) async fn move_epoch(&self, epoch: Epoch) {
        let step = |draft: &mut Draft<'_>| {
            draft.event(&TOUCHED);
            match epoch {
                Epoch::Credential => draft.move_credential_epoch(),
                Epoch::Factor => draft.move_factor_epoch(),
            }
        };
        self.driver.transact(&self.partition(), &[], step).await.unwrap();
    }

    pub(crate) async fn root(&self) -> Root {
        self.driver.observe(&self.partition(), &[], |draft| draft.root()).await.unwrap()
    }

    pub(crate) async fn factor_epoch(&self) -> u64 {
        self.root().await.factor_epoch
    }

    pub(crate) async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut Draft<'_>| draft.read(guess::LEDGER);
        self.driver.observe(&self.partition(), &[guess::LEDGER.name()], look).await.unwrap().unwrap_or_default()
    }

    async fn chain(&self, chain: EventChain) -> Vec<SecurityEvent> {
        let mut events = self.driver.events(&self.account, chain, None, 100_000).await.unwrap().events;
        events.reverse();
        events
    }

    /// Changes and grants, oldest first, without what the account began with.
    pub(crate) async fn changes(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Changes).await.into_iter().skip(1).collect()
    }

    /// Their names.
    pub(crate) async fn told(&self) -> Vec<String> {
        self.changes().await.iter().map(|event| event.kind().to_owned()).collect()
    }

    /// Denials, oldest first.
    pub(crate) async fn denials(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Denials).await
    }

    /// The denials of one kind.
    pub(crate) async fn denials_of(&self, kind: &EventKind) -> Vec<SecurityEvent> {
        self.denials().await.into_iter().filter(|event| event.is(kind)).collect()
    }

    /// The root's revision, to see whether anything was written.
    pub(crate) async fn revision(&self) -> Revision {
        self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap().revision
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
    pub(crate) fn of(verdict: VerifyOutcome<keywright_twofactor::Proven>) -> Self {
        match verdict {
            VerifyOutcome::Granted(proof) => Self::Granted(proof.drift().unwrap()),
            VerifyOutcome::Denied(denial) => {
                denial.charge().map_or(Self::Replayed, |charge| Self::Charged(charge.streak()))
            }
            VerifyOutcome::Refused(refusal) => Self::Refused(refusal.retry_after()),
            VerifyOutcome::Malformed => Self::Malformed,
            VerifyOutcome::NotEnrolled => Self::NotEnrolled,
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

/// A code that no step has within so many steps around a moment, for none of the seeds.
pub(crate) fn unlike(seeds: &[&[u8]], at: u64, steps: u64) -> String {
    let near = |seed: &&[u8]| {
        let (first, last) = ((at / 30).saturating_sub(steps), at / 30 + steps);
        (first..=last).map(|step| code(seed, step * 30)).collect::<Vec<_>>()
    };
    let shown: std::collections::BTreeSet<String> = seeds.iter().flat_map(near).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

/// A code that no device shows near a moment.
pub(crate) fn wrong(seeds: &[&[u8]], at: u64) -> String {
    unlike(seeds, at, 3)
}

/// A client that presents a credential.
pub(crate) const fn client(byte: u8) -> Client {
    Client::credential(tag(byte))
}

pub(crate) const fn tag(byte: u8) -> ClientTag {
    ClientTag::from_bytes([byte; 16])
}

/// The step's own error.
pub(crate) fn step_error<T>(result: Result<T, TwoFactorError>) -> StepError {
    match result {
        Err(TwoFactorError::Transact(keywright_store::TransactError::Step(error))) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was decided"),
    }
}
