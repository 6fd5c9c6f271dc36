//! A world for the tests: one account on a store, a clock that stands still, a seeded generator.

use std::sync::Arc;

use keywright_core::{
    AccountId, DeviceTag, EventKind, GuessLedger, Keyring, LedgerPolicy, ManualClock, Refusal, SecretBytes, SharedRng,
    UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    Draft, Driver, MemoryStore, Partition, RecordStore, Root, Slot, StepError, Stored, Tentative, TransactError,
};
use keywright_twofactor::policy::PENDING_SECONDS;
use keywright_twofactor::recovery::{self, ImportError, Liveness, Preset};
use keywright_twofactor::{Method, Proven, Verdict};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// 2023-11-14, far from both ends of time.
pub(crate) const START: u64 = 1_700_000_000;

pub(crate) struct World {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) partition: Partition,
    pub(crate) driver: Driver,
    /// The file of an SQLite store, as long as the world.
    _directory: Option<tempfile::TempDir>,
}

pub(crate) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

pub(crate) fn tag(name: u8) -> DeviceTag {
    DeviceTag::from_bytes([name; 16])
}

pub(crate) fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
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

/// One server's judgement of a code. "Busy" denies; the client's repeat is judged (`decisions.md` 13).
pub(crate) async fn judge(
    driver: &Driver,
    partition: &Partition,
    code: &str,
    tag: Option<DeviceTag>,
) -> Result<Told, TransactError> {
    let policy = LedgerPolicy::default();
    loop {
        let step = |draft: &mut Draft<'_>| recovery::verify(draft, &policy, code, "test.open", tag);
        let done = driver.transact(partition, &[Slot::Recovery, Slot::Ledger], step).await;
        let (verdict, receipt) = match done {
            Err(TransactError::Busy) => {
                tokio::task::yield_now().await;
                continue;
            }
            done => done?,
        };
        return Ok(match verdict {
            Verdict::Granted(proof) => {
                let proof: Proven = proof.release(&receipt).unwrap();
                assert_eq!(Partition::account(proof.account()), *partition);
                assert_eq!((proof.method(), proof.purpose()), (Method::Recovery, "test.open"));
                Told::Granted
            }
            Verdict::Denied(denial) => denial.charge().map_or(Told::Denied, |charge| Told::Charged(charge.streak())),
            Verdict::Refused(refusal) => Told::Refused(refusal),
            Verdict::Malformed => Told::Malformed,
            Verdict::NotEnrolled => Told::NotEnrolled,
            _ => panic!("a new verdict"),
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
        let partition = Partition::account(&AccountId::new("user-1").unwrap());
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(1)));
        let driver = Driver::new(Arc::clone(&store), Arc::new(keyring()), entropy, clock.clone());
        driver.transact(&partition, &[], |draft| draft.create_account()).await.unwrap();
        Self { store, clock, partition, driver, _directory: directory }
    }

    /// Another server on the same store: its own queue, its own generator.
    pub(crate) fn server(&self, seed: u64, keyring: Keyring) -> Driver {
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        Driver::new(Arc::clone(&self.store), Arc::new(keyring), entropy, self.clock.clone())
    }

    pub(crate) async fn run<T: Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TransactError> {
        Ok(self.driver.transact(&self.partition, &[], step).await?.0)
    }

    pub(crate) async fn make(&self, preset: Preset, liveness: Liveness) -> Vec<String> {
        let step = |draft: &mut Draft<'_>| recovery::make(draft, preset, liveness, PENDING_SECONDS);
        let (codes, receipt) = self.driver.transact(&self.partition, &[Slot::Recovery], step).await.unwrap();
        let codes = Tentative::release(codes, &receipt).unwrap();
        codes.iter().map(str::to_owned).collect()
    }

    pub(crate) async fn import(&self, preset: Preset, codes: &[&str]) -> Result<(), ImportError> {
        let step = |draft: &mut Draft<'_>| match recovery::import(draft, preset, codes) {
            Err(ImportError::Step(error)) => Err(error),
            done => Ok(done),
        };
        self.run(step).await.unwrap()
    }

    pub(crate) async fn acknowledge(&self) -> bool {
        self.run(recovery::acknowledge).await.unwrap()
    }

    pub(crate) async fn remaining(&self) -> Option<u8> {
        self.run(recovery::remaining).await.unwrap()
    }

    pub(crate) async fn remove(&self) -> bool {
        self.run(recovery::remove).await.unwrap()
    }

    pub(crate) async fn refusal(&self, tag: Option<DeviceTag>) -> Option<Refusal> {
        self.run(|draft| recovery::refusal(draft, &LedgerPolicy::default(), tag)).await.unwrap()
    }

    pub(crate) async fn verify(&self, code: &str) -> Told {
        self.verify_as(code, None).await
    }

    pub(crate) async fn verify_as(&self, code: &str, tag: Option<DeviceTag>) -> Told {
        judge(&self.driver, &self.partition, code, tag).await.unwrap()
    }

    pub(crate) async fn root(&self) -> Root {
        self.run(|draft| draft.root()).await.unwrap()
    }

    pub(crate) async fn ledger(&self) -> GuessLedger {
        self.run(|draft| draft.read::<GuessLedger>(Slot::Ledger)).await.unwrap().unwrap_or_default()
    }

    /// What the log says, oldest first, without what the account began with.
    pub(crate) async fn events(&self) -> Vec<EventKind> {
        let mut events = self.store.events(&self.partition, None, 10_000).await.unwrap();
        events.sort_by_key(|(id, _)| *id);
        events.into_iter().map(|(_, event)| event.kind).filter(|kind| *kind != EventKind::AccountCreated).collect()
    }

    /// All that is stored, to see whether anything was written.
    pub(crate) async fn stored(&self) -> Vec<Option<Stored>> {
        self.store.load(&self.partition, &[Slot::Root, Slot::Recovery, Slot::Ledger]).await.unwrap()
    }
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
