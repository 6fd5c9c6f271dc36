//! The test fixture for the two-factor service, and the codes that its tests type.

use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{Client, ClientTag, EventKind, LedgerPolicy, Purpose, SecurityEvent, SessionId};
use keywright_store::{Draft, MemoryStore, Release, StepError};
use keywright_testing::Store;
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{
    Algorithm, DeviceFault, DeviceId, DeviceImport, EnrolmentStart, ImportedDevice, Parameters, PendingDevice,
    SLOT_KINDS, SLOTS, TotpSecret, TwoFactor, TwoFactorError, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome,
};

pub(crate) use keywright_testing::Epoch;

/// 2023-11-14, the first second of a step of 15, 30 and 60 seconds, far from both ends of time.
pub(crate) const START: u64 = 1_699_999_980;

/// The seed of the RFCs: 20 bytes.
pub(crate) const SEED: &[u8] = b"12345678901234567890";

/// The session that enrols.
pub(crate) const SESSION: &[u8] = b"session-1";

/// Another session.
pub(crate) const OTHER: &[u8] = b"another seed of 20 b";

/// A client of which nothing is known.
pub(crate) const UNKNOWN: Client = Client::unknown();

pub(crate) struct World {
    base: keywright_testing::World,
    pub(crate) service: TwoFactor,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(TwoFactorPolicy::default()).await
    }

    pub(crate) async fn with(policy: TwoFactorPolicy) -> Self {
        Self::over(Arc::new(MemoryStore::new()), policy).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::sqlite_with(TwoFactorPolicy::default()).await
    }

    pub(crate) async fn sqlite_with(policy: TwoFactorPolicy) -> Self {
        Self::built(keywright_testing::World::builder().sqlite(), policy).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, policy: TwoFactorPolicy) -> Self {
        Self::guarded(store, policy, LedgerPolicy::default()).await
    }

    /// Creates the fixture with a ledger policy of the server's own.
    pub(crate) async fn guarded(store: Arc<dyn Store>, policy: TwoFactorPolicy, ledger: LedgerPolicy) -> Self {
        Self::built(keywright_testing::World::builder().store(store).ledger(ledger), policy).await
    }

    async fn built(builder: keywright_testing::WorldBuilder, policy: TwoFactorPolicy) -> Self {
        let base = builder.start(START).slots(SLOT_KINDS).build().await;
        let service = TwoFactor::new(base.driver.clone(), policy).unwrap();
        Self { base, service }
    }

    /// Another server on the same store: its own queue, its own generator, perhaps a fence.
    pub(crate) fn another_server(&self, seed: u64, fence: u64) -> TwoFactor {
        TwoFactor::new(self.fenced(fence, seed).driver, self.steps().policy().clone()).unwrap()
    }

    pub(crate) const fn steps(&self) -> &TwoFactorSteps {
        self.service.steps()
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

    pub(crate) async fn totp(&self, code: &str) -> Outcome {
        self.totp_for(code, &Purpose::new("test"), UNKNOWN).await
    }

    pub(crate) async fn totp_for(&self, code: &str, purpose: &Purpose, client: Client) -> Outcome {
        Outcome::of(self.service.verify_totp(&self.account, code, purpose, client).await.unwrap())
    }

    /// Begins an enrolment and returns its secret.
    pub(crate) async fn begin(&self, name: &str, replaces: Option<DeviceId>) -> Vec<u8> {
        match self.begin_enrolment(SessionId::new(SESSION), name, replaces).await.unwrap() {
            EnrolmentStart::Begun(pending) => pending.secret().expose().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// The caller of the composed steps has taken its proof elsewhere: `change.rs` tests those that
    /// take one.
    pub(crate) async fn run<T: Release + Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        Ok(self.driver.run(&self.partition(), SLOTS, step).await?)
    }

    pub(crate) async fn begin_enrolment(
        &self,
        session: SessionId,
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

    pub(crate) async fn make_recovery(&self, liveness: Liveness) -> Result<RecoveryCodes, TwoFactorError> {
        self.run(|draft| self.steps().make_recovery_in(draft, liveness, UNKNOWN)).await
    }

    pub(crate) async fn factor_epoch(&self) -> u64 {
        self.root().await.factor_epoch
    }

    /// Returns the names of the changes and grants, oldest first.
    pub(crate) async fn change_kinds(&self) -> Vec<String> {
        self.changes().await.iter().map(|event| event.kind().to_owned()).collect()
    }

    /// Returns the denials of one kind.
    pub(crate) async fn denials_of(&self, kind: &EventKind) -> Vec<SecurityEvent> {
        self.denials().await.into_iter().filter(|event| event.is(kind)).collect()
    }
}

/// A form of the outcome that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Granted, with its drift in steps.
    Granted(i8),
    /// Wrong, with the ledger's streak.
    Charged(u16),
    Replayed,
    Refused(u64),
    Malformed,
    NotEnrolled,
}

impl Outcome {
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

/// The code that an app shows at a time: six digits, 30 seconds, SHA-1.
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

/// A code that no step within this many steps of a time has, for any of the seeds.
pub(crate) fn unlike(seeds: &[&[u8]], at: u64, steps: u64) -> String {
    let near = |seed: &&[u8]| {
        let (first, last) = ((at / 30).saturating_sub(steps), at / 30 + steps);
        (first..=last).map(|step| code(seed, step * 30)).collect::<Vec<_>>()
    };
    let shown: std::collections::BTreeSet<String> = seeds.iter().flat_map(near).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

/// A code that no device shows near a time.
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

/// Returns the step's own error.
pub(crate) fn step_error<T>(result: Result<T, TwoFactorError>) -> StepError {
    match result {
        Err(TwoFactorError::Transact(keywright_store::TransactError::Step(error))) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was decided"),
    }
}
