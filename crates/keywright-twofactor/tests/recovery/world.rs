//! A world for the tests: one account on a store, a clock that stands still, a seeded generator.

use std::sync::Arc;

use keywright_core::{
    AccountId, Client, ClientTag, EventChain, EventKind, Keyring, LedgerPolicy, ManualClock, Refusal, SecretBytes,
    SecurityEvent, Severity, SharedRng, UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    Draft, Driver, MemoryStore, Partition, RecordStore, Release, Root, Snapshot, StepError, TransactError,
};
use keywright_twofactor::recovery::{ImportError, Liveness, Preset};
use keywright_twofactor::{Method, RECOVERY_SLOTS, SLOT_KINDS, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The session that is shown what waits.
pub(crate) const SESSION: &[u8] = b"session";
/// 2023-11-14, far from both ends of time.
pub(crate) const START: u64 = 1_700_000_000;

/// A client of which nothing is known.
pub(crate) const UNKNOWN: Client = Client::unknown();

/// What the tests do to an account from outside.
static TOUCHED: EventKind = EventKind::change("touched", Severity::Info, "a test changed the account");

pub(crate) struct World {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountId,
    pub(crate) partition: Partition,
    pub(crate) driver: Driver,
    /// The file of an SQLite store, as long as the world.
    _directory: Option<tempfile::TempDir>,
}

pub(crate) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// A client that presents a credential; without a name, one of which nothing is known.
pub(crate) fn client(name: Option<u8>) -> Client {
    name.map_or(UNKNOWN, |name| Client::credential(ClientTag::from_bytes([name; 16])))
}

pub(crate) fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
}

/// Steps whose policy makes codes of a kind. The epoch of credentials stays, to see that of factors alone.
pub(crate) fn steps(preset: Preset) -> TwoFactorSteps {
    let policy = TwoFactorPolicy::builder().recovery(preset).end_other_logins(false).build().unwrap();
    TwoFactorSteps::new(policy, &LedgerPolicy::default()).unwrap()
}

/// An outcome that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Granted,
    /// A replay: not charged.
    Denied,
    /// A wrong guess: the ledger's streak.
    Charged(u16),
    Refused(Refusal),
    Malformed,
    NotEnrolled,
}

/// One server's judgement of a code. "Busy" denies; the client's repeat is judged (`docs/decisions.md` 13).
pub(crate) async fn judge(
    driver: &Driver,
    partition: &Partition,
    code: &str,
    client: Client,
) -> Result<Told, TransactError> {
    let steps = TwoFactorSteps::default();
    loop {
        let step = |draft: &mut Draft<'_>| steps.verify_recovery_in(draft, code, "test.open", client);
        let verdict = match driver.run(partition, RECOVERY_SLOTS, step).await {
            Err(TransactError::Busy) => {
                tokio::task::yield_now().await;
                continue;
            }
            done => done?,
        };
        return Ok(match verdict {
            VerifyOutcome::Granted(proof) => {
                assert_eq!(Partition::account(proof.account()), *partition);
                assert_eq!((proof.method(), proof.purpose()), (Method::Recovery, "test.open"));
                Told::Granted
            }
            VerifyOutcome::Denied(denial) => {
                denial.charge().map_or(Told::Denied, |charge| Told::Charged(charge.streak()))
            }
            VerifyOutcome::Refused(refusal) => Told::Refused(refusal),
            VerifyOutcome::Malformed => Told::Malformed,
            VerifyOutcome::NotEnrolled => Told::NotEnrolled,
        });
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()), None).await
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
        Self::over(Arc::new(store), Some(directory)).await
    }

    pub(crate) async fn over(store: Arc<dyn RecordStore>, directory: Option<tempfile::TempDir>) -> Self {
        let clock = Arc::new(ManualClock::new(at(START)));
        let account = AccountId::new("user-1").unwrap();
        let partition = Partition::account(&account);
        let driver = server(&store, &clock, 1, keyring());
        driver.ensure_account(&account).await.unwrap();
        Self { store, clock, account, partition, driver, _directory: directory }
    }

    /// Another server on the same store: its own queue, its own generator.
    pub(crate) fn server(&self, seed: u64, keyring: Keyring) -> Driver {
        server(&self.store, &self.clock, seed, keyring)
    }

    pub(crate) async fn run<T: Release + Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TransactError> {
        self.driver.run(&self.partition, &[], step).await
    }

    async fn look<T: Send>(&self, look: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send) -> T {
        self.driver.observe(&self.partition, &[], look).await.unwrap()
    }

    pub(crate) async fn make(&self, preset: Preset, liveness: Liveness<'_>) -> Vec<String> {
        let steps = steps(preset);
        let codes = self.run(|draft| steps.make_recovery_in(draft, liveness, UNKNOWN)).await.unwrap();
        codes.iter().map(str::to_owned).collect()
    }

    pub(crate) async fn import(&self, preset: Preset, codes: &[&str]) -> Result<(), ImportError> {
        let steps = steps(preset);
        let step = |draft: &mut Draft<'_>| match steps.import_recovery_in(draft, codes) {
            Err(ImportError::Step(error)) => Err(error),
            done => Ok(done),
        };
        self.run(step).await.unwrap()
    }

    pub(crate) async fn acknowledge(&self) -> bool {
        acknowledge(&self.driver, &self.partition).await.unwrap()
    }

    pub(crate) async fn remaining(&self) -> Option<u8> {
        let steps = steps(Preset::Default);
        self.look(|draft| steps.enrolled_in(draft)).await.recovery
    }

    pub(crate) async fn remove(&self) -> bool {
        let steps = steps(Preset::Default);
        self.run(|draft| steps.remove_recovery_in(draft, UNKNOWN)).await.unwrap()
    }

    pub(crate) async fn refusal(&self, client: Client) -> Option<Refusal> {
        let steps = steps(Preset::Default);
        self.look(|draft| steps.recovery_refusal_in(draft, client)).await
    }

    pub(crate) async fn verify(&self, code: &str) -> Told {
        self.verify_as(code, UNKNOWN).await
    }

    pub(crate) async fn verify_as(&self, code: &str, client: Client) -> Told {
        judge(&self.driver, &self.partition, code, client).await.unwrap()
    }

    pub(crate) async fn root(&self) -> Root {
        self.look(|draft| draft.root()).await
    }

    async fn chain(&self, chain: EventChain) -> Vec<SecurityEvent> {
        let mut events = self.driver.events(&self.account, chain, None, 10_000).await.unwrap().events;
        events.reverse();
        events
    }

    /// Changes and grants, oldest first, without what the account began with: their names, and the unused codes that they
    /// count.
    pub(crate) async fn changes(&self) -> Vec<(String, Option<u64>)> {
        let changes = self.chain(EventChain::Changes).await;
        changes.iter().skip(1).map(|event| (event.kind().to_owned(), event.count("remaining"))).collect()
    }

    pub(crate) async fn denials(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Denials).await
    }

    /// Moves an epoch from outside: that of credentials, or that of factors.
    pub(crate) async fn move_epoch(&self, credential: bool) {
        let step = |draft: &mut Draft<'_>| {
            draft.event(&TOUCHED);
            if credential { draft.move_credential_epoch() } else { draft.move_factor_epoch() }
        };
        self.run(step).await.unwrap();
    }

    /// All that is stored, to see whether anything was written.
    pub(crate) async fn stored(&self) -> Snapshot {
        self.store.load(&self.partition, RECOVERY_SLOTS).await.unwrap()
    }
}

/// One server's acknowledgement.
pub(crate) async fn acknowledge(driver: &Driver, partition: &Partition) -> Result<bool, TransactError> {
    let steps = steps(Preset::Default);
    driver.run(partition, RECOVERY_SLOTS, |draft| steps.acknowledge_recovery_in(draft, SESSION, UNKNOWN)).await
}

fn server(store: &Arc<dyn RecordStore>, clock: &Arc<ManualClock>, seed: u64, keyring: Keyring) -> Driver {
    let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
    let builder = Driver::builder(Arc::clone(store), Arc::new(keyring)).entropy(entropy).clock(clock.clone());
    builder.slots(SLOT_KINDS).build().unwrap()
}

/// A well-formed code of a kind that is in no set of these tests.
pub(crate) fn foreign(preset: Preset, nth: usize) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let checked = |places: usize| {
        let data = format!("{nth:0places$}");
        let number = data.bytes().fold(0, |number, digit| (number * 32 + usize::from(digit - b'0')) % 1021);
        let check = (1 + 3 * 1021 - 3 * number) % 1021;
        format!("{data}{}{}", char::from(SYMBOLS[check / 32]), char::from(SYMBOLS[check % 32]))
    };
    match preset {
        Preset::Default => checked(16),
        Preset::Nist => checked(23),
        Preset::RocketChat => format!("{nth:08}"),
        _ => format!("00000000-0000-0000-0000-{nth:012}"),
    }
}
