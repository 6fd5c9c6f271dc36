//! One account on one store, a clock that stands still, a seeded generator.

use std::sync::Arc;

use bytes::Bytes;
use keywright_challenge::{Caller, ChallengeError, ChallengePolicy, ChallengeSecret, Challenges, Proof, Salts};
use keywright_challenge::{Setting, UserKey, Verification};
use keywright_core::{
    AccountId, DeviceTag, Entropy, EventKind, GuessLedger, Keyring, ManualClock, SecretBytes, SharedRng, UnixSeconds,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    Batch, Driver, Effect, Expect, MemoryStore, Partition, RecordStore, Revision, Slot, StepError, Stored,
    TransactError, Upkeep, Write,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const START: u64 = 1_700_000_000;

pub(crate) struct Site {
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) driver: Driver,
    entropy: Arc<dyn Entropy + Send + Sync>,
    store: Arc<dyn RecordStore>,
    upkeep: Arc<dyn Upkeep>,
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
        let keyring = Arc::new(Keyring::from_keys(&[key(1)], &key(9)).unwrap());
        let driver = Driver::new(store.clone(), keyring, Arc::clone(&entropy), clock.clone());
        let account = AccountId::new("user-1").unwrap();
        driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()).await.unwrap();
        Self { account, clock, driver, entropy, store: store.clone(), upkeep: store, _directory: directory }
    }

    pub(crate) fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    /// The service of the first server.
    pub(crate) fn challenges(&self) -> Challenges {
        Challenges::new(self.driver.clone(), ChallengePolicy::default())
    }

    /// The service of another server on the same store: it shares neither queue nor, here, the keyring.
    pub(crate) fn server_with(&self, keyring: Keyring) -> Challenges {
        let driver = Driver::new(self.store.clone(), Arc::new(keyring), Arc::clone(&self.entropy), self.clock.clone());
        Challenges::new(driver, ChallengePolicy::default())
    }

    /// The service of another server on the same store, with the same keyring.
    pub(crate) fn server(&self) -> Challenges {
        self.server_with(Keyring::from_keys(&[key(1)], &key(9)).unwrap())
    }

    /// Sets secret `n`; the user key that it was given.
    pub(crate) async fn set(&self, n: u8) -> UserKey {
        match self.challenges().set(&self.account, &secret(n), &salts(n)).await.unwrap() {
            Setting::Set(key) => key,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn verify(&self, n: u8, caller: &Caller) -> Verification {
        self.challenges().verify(&self.account, &proof(n), caller).await.unwrap()
    }

    pub(crate) async fn credential_epoch(&self) -> u64 {
        self.driver.observe(&self.partition(), &[], |draft| Ok(draft.root()?.credential_epoch)).await.unwrap()
    }

    pub(crate) async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut keywright_store::Draft<'_>| draft.read::<GuessLedger>(Slot::Ledger);
        self.driver.observe(&self.partition(), &[Slot::Ledger], look).await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn stored(&self, slot: Slot) -> Option<Stored> {
        self.store.load(&self.partition(), &[slot]).await.unwrap().remove(0)
    }

    /// What a thief of the database holds: every body, every event.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        for row in self.upkeep.scan(None, 1_000).await.unwrap() {
            dump.extend_from_slice(row.partition.key().as_bytes());
            dump.extend_from_slice(row.slot.to_text().as_bytes());
            dump.extend_from_slice(&row.stored.body);
        }
        for kind in self.events().await {
            dump.extend_from_slice(format!("{kind:?}").as_bytes());
        }
        dump
    }

    /// The account's events, oldest first.
    pub(crate) async fn events(&self) -> Vec<EventKind> {
        let events = self.store.events(&self.partition(), None, 1_000).await.unwrap();
        events.into_iter().rev().map(|(_, event)| event.kind).collect()
    }

    /// Changes a record behind the back of all services, as somebody with the database could. The root stays.
    pub(crate) async fn tamper(&self, slot: Slot, body: Option<Vec<u8>>) {
        let guard = |stored: Option<Stored>| Expect::Revision(stored.unwrap().revision);
        let (root, expect) = (guard(self.stored(Slot::Root).await), guard(self.stored(slot).await));
        let effect = body.map_or(Effect::Delete, |body| Effect::Put { body: Bytes::from(body), purge_after: None });
        let writes =
            vec![Write { slot: Slot::Root, expect: root, effect: Effect::Check }, Write { slot, expect, effect }];
        let revision = Revision::random(&*self.entropy).unwrap();
        self.store.commit(Batch::new(self.partition(), revision, writes).unwrap()).await.unwrap();
    }
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

pub(crate) fn tag(n: u8) -> DeviceTag {
    DeviceTag::from_bytes([n; 16])
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
