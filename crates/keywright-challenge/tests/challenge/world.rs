//! One account on one store, a clock that stands still, a seeded generator.

use std::sync::Arc;

use bytes::Bytes;
use keywright_challenge::{
    ChallengeError, ChallengeSecret, Challenges, Proof, SLOT_KINDS, SLOTS, Salts, SetOutcome, UserKey, Verification,
};
use keywright_core::{
    AccountId, Client, ClientTag, Entropy, EventChain, GuessLedger, Keyring, ManualClock, SecretBytes, SharedRng,
    UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    Batch, Driver, MemoryStore, Partition, Put, RecordStore, Revision, SlotName, StepError, Stored, TransactError,
    Upkeep, Write, guess,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const START: u64 = 1_700_000_000;

/// A client of which nothing is known, and that stays so.
pub(crate) const UNKNOWN: Client = Client::unknown();

pub(crate) const CHALLENGE: SlotName = SLOTS[0];
pub(crate) const LEDGER: SlotName = guess::LEDGER.name();

pub(crate) struct Site {
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) driver: Driver,
    entropy: Arc<dyn Entropy + Send + Sync>,
    store: Arc<dyn RecordStore>,
    upkeep: Arc<dyn Upkeep>,
    /// Epochs start at a random number: what a test sees is how far they moved.
    first_epoch: u64,
    _directory: Option<tempfile::TempDir>,
}

impl Site {
    pub(crate) async fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::new()), None).await
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
        Self::over(Arc::new(store), Some(directory)).await
    }

    pub(crate) async fn over<S: RecordStore + Upkeep + 'static>(
        store: Arc<S>,
        directory: Option<tempfile::TempDir>,
    ) -> Self {
        let entropy: Arc<dyn Entropy + Send + Sync> = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(11)));
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let driver = driver(store.clone(), keyring(), &entropy, &clock);
        let account = AccountId::new("user-1").unwrap();
        driver.ensure_account(&account).await.unwrap();
        let mut site = Self {
            account,
            clock,
            driver,
            entropy,
            store: store.clone(),
            upkeep: store,
            first_epoch: 0,
            _directory: directory,
        };
        site.first_epoch = site.epochs_moved().await;
        site
    }

    pub(crate) fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    /// The service of the first server.
    pub(crate) fn challenges(&self) -> Challenges {
        Challenges::new(self.driver.clone())
    }

    /// The service of another server on the same store: it shares neither queue nor, here, the keyring.
    pub(crate) fn server_with(&self, keyring: Keyring) -> Challenges {
        Challenges::new(driver(Arc::clone(&self.store), keyring, &self.entropy, &self.clock))
    }

    /// The service of another server on the same store, with the same keyring.
    pub(crate) fn server(&self) -> Challenges {
        self.server_with(keyring())
    }

    /// Sets secret `n` by a client that stays unknown; the user key that it was given.
    pub(crate) async fn set(&self, n: u8) -> UserKey {
        match self.challenges().set(&self.account, &secret(n), &salts(n), UNKNOWN).await.unwrap() {
            SetOutcome::Set(key) => key,
            SetOutcome::Exists => panic!("there is a challenge"),
        }
    }

    pub(crate) async fn verify(&self, n: u8, client: Client) -> Verification {
        self.challenges().verify(&self.account, &proof(n), client).await.unwrap()
    }

    /// How often the credential epoch has moved since the account was made.
    pub(crate) async fn epochs_moved(&self) -> u64 {
        let look = |draft: &mut keywright_store::Draft<'_>| Ok(draft.root()?.credential_epoch);
        self.driver.observe(&self.partition(), &[], look).await.unwrap().wrapping_sub(self.first_epoch)
    }

    pub(crate) async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut keywright_store::Draft<'_>| draft.read(guess::LEDGER);
        self.driver.observe(&self.partition(), &[LEDGER], look).await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn root(&self) -> Stored {
        self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap()
    }

    pub(crate) async fn stored(&self, slot: SlotName) -> Option<Bytes> {
        self.store.load(&self.partition(), &[slot]).await.unwrap().records.remove(0)
    }

    /// What a thief of the database holds: every body, every event.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        for partition in self.upkeep.partitions(None, 1_000).await.unwrap() {
            dump.extend_from_slice(partition.key().as_bytes());
            let slots = self.driver.slots_of(&partition).await.unwrap();
            let snapshot = self.store.load(&partition, &slots).await.unwrap();
            dump.extend_from_slice(&snapshot.root.unwrap().body);
            for (slot, body) in slots.iter().zip(snapshot.records) {
                dump.extend_from_slice(slot.to_text().as_bytes());
                dump.extend_from_slice(&body.unwrap());
            }
            for chain in EventChain::ALL {
                for event in self.store.events(&partition, chain, None, 1_000).await.unwrap().events {
                    dump.extend_from_slice(&event.json);
                }
            }
        }
        dump
    }

    /// What the log of changes and grants says, oldest first.
    pub(crate) async fn changes(&self) -> Vec<String> {
        self.log(EventChain::Changes).await
    }

    /// What the log of denials says, oldest first.
    pub(crate) async fn denials(&self) -> Vec<String> {
        self.log(EventChain::Denials).await
    }

    async fn log(&self, chain: EventChain) -> Vec<String> {
        let page = self.driver.events(&self.account, chain, None, 1_000).await.unwrap();
        page.events.iter().rev().map(ToString::to_string).collect()
    }

    /// Changes a record behind the back of all services, as somebody who writes the database could. The root stays.
    pub(crate) async fn tamper(&self, slot: SlotName, body: Option<Bytes>) {
        let root = self.root().await;
        let aside = Revision::from_bytes([0xee; 16]);
        let mut write = Write::root(aside, root.body.clone());
        match body {
            Some(body) => write.put.push(Put { slot, body, purge_after: None }),
            None => write.delete.push(slot),
        }
        self.store.commit(Batch::new(self.partition(), Some(root.revision), write).unwrap()).await.unwrap();
        let back = Write::root(root.revision, root.body);
        self.store.commit(Batch::new(self.partition(), Some(aside), back).unwrap()).await.unwrap();
    }
}

fn driver(
    store: Arc<dyn RecordStore>,
    keyring: Keyring,
    entropy: &Arc<dyn Entropy + Send + Sync>,
    clock: &Arc<ManualClock>,
) -> Driver {
    let builder = Driver::builder(store, Arc::new(keyring)).entropy(Arc::clone(entropy)).clock(clock.clone());
    builder.slots(SLOT_KINDS).build().unwrap()
}

fn keyring() -> Keyring {
    Keyring::from_keys(&[key(1)], &key(9)).unwrap()
}

pub(crate) fn key(n: u8) -> SecretBytes<32> {
    SecretBytes::from_slice(&[n; 32]).unwrap()
}

pub(crate) fn secret(n: u8) -> ChallengeSecret {
    ChallengeSecret::from_client(&secret_text(n)).unwrap()
}

pub(crate) fn secret_text(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

pub(crate) fn proof(n: u8) -> Proof {
    Proof::from(secret(n))
}

pub(crate) fn salts(n: u8) -> Salts {
    Salts::parse(&[256, 64, 16].map(|bytes| format!("{:02x}", n ^ 0x5a).repeat(bytes))).unwrap()
}

pub(crate) const fn tag(n: u8) -> ClientTag {
    ClientTag::from_bytes([n; 16])
}

/// A client by its credential.
pub(crate) const fn token(n: u8) -> Client {
    Client::credential(tag(n))
}

pub(crate) fn granted<K: std::fmt::Debug>(outcome: Verification<K>) -> K {
    match outcome {
        Verification::Granted(key) => key,
        other => panic!("{other:?}"),
    }
}

/// The streak of a guess that was looked at and charged.
pub(crate) fn streak<K: std::fmt::Debug>(outcome: Verification<K>) -> u16 {
    match outcome {
        Verification::Denied(charge) => charge.streak(),
        other => panic!("{other:?}"),
    }
}

/// The seconds of a guess that was not looked at.
pub(crate) fn wait<K: std::fmt::Debug>(outcome: Verification<K>) -> u64 {
    match outcome {
        Verification::Refused(refusal) => refusal.retry_after(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn step_error<T: std::fmt::Debug>(result: Result<T, ChallengeError>) -> StepError {
    match result {
        Err(ChallengeError::Transact(TransactError::Step(error))) => error,
        other => panic!("{other:?}"),
    }
}
