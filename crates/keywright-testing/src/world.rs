//! A store, a keyring, a clock that stands still, a seeded generator, a driver over them, and
//! accounts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use keywright_core::{
    AccountId, Clock as _, DenialKind, EventChain, EventKind, GuessLedger, Keyring, LedgerPolicy, ManualClock,
    SecretBytes, SecurityEvent, Severity, SharedRng, SystemEntropy, UnixSeconds, random_bytes,
};
use keywright_store::{
    Draft, Driver, DriverBuilder, MemoryStore, Observer, Partition, RecordStore, Release, Revision, Root, SlotKind,
    StepError, TransactError, guess,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use tempfile::TempDir;

use crate::hashes::PlainHashes;

use keywright_store::Store;

/// More events, or partitions, than any test makes.
const ALL: u32 = 100_000;

/// A generator that returns the same numbers every time.
pub type SeededRng = SharedRng<ChaCha20Rng>;

/// Returns a seeded generator, so that a failing test fails again.
#[must_use]
pub fn seeded(seed: u64) -> Arc<SeededRng> {
    Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)))
}

/// Returns a moment, in seconds since 1970.
#[must_use]
pub fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// Returns the keyring of every world without another one. Its sealing key is all ones, and its
/// index key all twos.
#[must_use]
pub fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
}

/// The event of a change that a test makes to an account from outside.
static TOUCHED: EventKind = EventKind::change("test_touched", Severity::Info, "a test changed the account");

/// An epoch of an account. A move of it voids what was made or proven before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the epochs of a root")]
pub enum Epoch {
    /// Moved by a change of a credential.
    Credential,
    /// Moved by a change of a second factor.
    Factor,
    /// Moved by a change of a vault's key.
    Key,
}

/// A root or a record as it is stored.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a row is")]
pub struct Row {
    /// The partition that it belongs to.
    pub partition: Partition,
    /// The slot as text, or `root` for a root.
    pub slot: String,
    /// The sealed body.
    pub body: Bytes,
}

/// Shows the place and what distinguishes the row from others, but not the whole body.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.body.get(self.body.len().saturating_sub(4)..).unwrap_or_default();
        write!(f, "Row({} {}, {} bytes, ..{end:02x?})", self.partition.key(), self.slot, self.body.len())
    }
}

/// What all servers of a world share.
struct Setup {
    slots: Option<Vec<SlotKind>>,
    ledger: LedgerPolicy,
    observer: Option<Arc<dyn Observer>>,
    verifier: Option<Arc<PlainHashes>>,
    /// The next seed that no server has used.
    seeds: AtomicU64,
    /// The file of an SQLite store, kept as long as the world.
    _folder: Option<TempDir>,
}

/// Everything a test runs on. A clone shares all of it, including the clock and the store.
#[derive(Clone)]
#[non_exhaustive]
pub struct World {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock, which stands still until a test moves it.
    pub clock: Arc<ManualClock>,
    /// The generator that the driver draws from.
    pub entropy: Arc<SeededRng>,
    /// The keyring.
    pub keyring: Arc<Keyring>,
    /// The account that the test is about, which is the first one of the builder.
    pub account: AccountId,
    /// The driver of the first server.
    pub driver: Driver,
    /// The verifier of imported hashes, if the servers have it ([`WorldBuilder::comparing`]).
    pub hashes: Arc<PlainHashes>,
    setup: Arc<Setup>,
}

/// Builds a [`World`].
#[must_use = "a builder does nothing until `build` or `open`"]
pub struct WorldBuilder {
    store: Arc<dyn Store>,
    start: UnixSeconds,
    seed: u64,
    keyring: Keyring,
    slots: Option<Vec<SlotKind>>,
    ledger: LedgerPolicy,
    observer: Option<Arc<dyn Observer>>,
    compares: bool,
    accounts: Vec<AccountId>,
    folder: Option<TempDir>,
}

impl WorldBuilder {
    /// Uses the given store instead of a new one in memory.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// Uses a new SQLite store, in a folder that is removed with the world.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(mut self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        self.store = Arc::new(keywright_sqlite::SqliteStore::open(folder.path().join("store.db")).unwrap());
        self.folder = Some(folder);
        self
    }

    /// Sets the clock's time, in seconds since 1970. The default is [`World::START`].
    pub fn start(mut self, seconds: u64) -> Self {
        self.start = at(seconds);
        self
    }

    /// Sets the generator's seed. The default is 1.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Uses another seed each time, for a store that outlives the process, in which revisions must
    /// not repeat.
    pub fn unseeded(mut self) -> Self {
        self.seed = u64::from_be_bytes(random_bytes(&SystemEntropy).unwrap()) >> 1;
        self
    }

    /// Uses the given keyring instead of [`keyring`].
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = keyring;
        self
    }

    /// Sets the kinds of slots that a crate declares. By default, all kinds are accepted.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.slots.get_or_insert_default().extend_from_slice(kinds);
        self
    }

    /// Sets the ledger policy of every server.
    pub fn ledger(mut self, policy: LedgerPolicy) -> Self {
        self.ledger = policy;
        self
    }

    /// Sets the observer of events and damage.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Has the servers compare imported hashes.
    pub fn comparing(mut self) -> Self {
        self.compares = true;
        self
    }

    /// Sets the accounts to create, instead of `user-1` alone.
    pub fn accounts<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.accounts = names.into_iter().map(World::id).collect();
        self
    }

    /// Builds the world and creates its accounts.
    pub async fn build(self) -> World {
        let accounts = self.accounts.clone();
        let world = self.open();
        for account in &accounts {
            world.driver.ensure_account(account).await.unwrap();
        }
        world
    }

    /// Builds the world without creating accounts that its store does not have.
    #[must_use]
    pub fn open(self) -> World {
        let (clock, entropy) = (Arc::new(ManualClock::new(self.start)), seeded(self.seed));
        let keyring = Arc::new(self.keyring);
        let hashes = Arc::new(PlainHashes::default());
        let setup = Setup {
            verifier: self.compares.then(|| Arc::clone(&hashes)),
            slots: self.slots,
            ledger: self.ledger,
            observer: self.observer,
            seeds: AtomicU64::new(self.seed.saturating_add(1_000)),
            _folder: self.folder,
        };
        let driver = setup.driver(self.store.clone(), &keyring, &entropy, &clock).build().unwrap();
        let account = self.accounts.into_iter().next().unwrap_or_else(|| World::id("user-1"));
        World { store: self.store, clock, entropy, keyring, account, driver, hashes, setup: Arc::new(setup) }
    }
}

impl fmt::Debug for WorldBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldBuilder").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

impl Setup {
    fn driver(
        &self,
        store: Arc<dyn RecordStore>,
        keyring: &Arc<Keyring>,
        entropy: &Arc<SeededRng>,
        clock: &Arc<ManualClock>,
    ) -> DriverBuilder {
        let mut builder = Driver::builder(store, Arc::clone(keyring))
            .entropy(entropy.clone())
            .clock(clock.clone())
            .ledger_policy(self.ledger.clone());
        if let Some(slots) = &self.slots {
            builder = builder.slots(slots);
        }
        if let Some(verifier) = &self.verifier {
            builder = builder.code_verifier(verifier.clone());
        }
        match &self.observer {
            Some(observer) => builder.observer(Arc::clone(observer)),
            None => builder,
        }
    }
}

/// The world and its servers.
impl World {
    /// 2023-11-14, far from both ends of the range of times.
    pub const START: u64 = 1_700_000_000;

    /// Returns a builder: `user-1` on a new store in memory, at [`START`](Self::START).
    pub fn builder() -> WorldBuilder {
        WorldBuilder {
            store: Arc::new(MemoryStore::new()),
            start: at(Self::START),
            seed: 1,
            keyring: keyring(),
            slots: None,
            ledger: LedgerPolicy::default(),
            observer: None,
            compares: false,
            accounts: vec![Self::id("user-1")],
            folder: None,
        }
    }

    /// Returns an account's id.
    #[must_use]
    pub fn id(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    /// Returns the same world, about another account.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Self {
        Self { account, ..self.clone() }
    }

    /// Returns the builder of a server on another handle of the store with its own keyring, which a
    /// test can still change.
    pub fn server_on(&self, store: Arc<dyn RecordStore>, keyring: &Arc<Keyring>, seed: u64) -> DriverBuilder {
        self.setup.driver(store, keyring, &seeded(seed), &self.clock)
    }

    /// Returns a further server on the store, with its own queue and its own generator.
    #[must_use]
    pub fn server(&self, seed: u64) -> Driver {
        self.server_on(self.store.clone(), &self.keyring, seed).build().unwrap()
    }

    /// Returns the same world after a restart, or as a second process sees it.
    #[must_use]
    pub fn restarted(&self, seed: u64) -> Self {
        self.moved_to(self.store.clone(), seed)
    }

    /// Returns the same world on another store, such as after a restart from its file.
    #[must_use]
    pub fn moved_to(&self, store: Arc<dyn Store>, seed: u64) -> Self {
        let entropy = seeded(seed);
        let driver = self.setup.driver(store.clone(), &self.keyring, &entropy, &self.clock).build().unwrap();
        Self { store, entropy, driver, ..self.clone() }
    }

    /// Returns the same world after a restart with another keyring.
    #[must_use]
    pub fn keyed(&self, keyring: Keyring, seed: u64) -> Self {
        Self { keyring: Arc::new(keyring), ..self.clone() }.restarted(seed)
    }

    /// Returns the same world after a backup was restored: what was made before `fence` is void.
    /// Uses the keyring [`keyring`].
    #[must_use]
    pub fn fenced(&self, fence: u64, seed: u64) -> Self {
        self.keyed(keyring().with_fence(at(fence)), seed)
    }

    /// Returns a seed that no server of this world has used.
    #[must_use]
    pub fn next_seed(&self) -> u64 {
        self.setup.seeds.fetch_add(1, Ordering::Relaxed)
    }
}

/// The world's clock.
impl World {
    /// Returns the clock's time, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now().unwrap().get()
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, seconds: u64) {
        self.clock.set(at(seconds));
    }

    /// Moves the clock forward by so many seconds.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(seconds);
    }
}

/// The account, and what is stored.
impl World {
    /// Returns the account's partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    /// Runs a step on the account.
    ///
    /// # Errors
    /// The driver's error.
    pub async fn run<T: Release + Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TransactError> {
        self.driver.run(&self.partition(), &[], step).await
    }

    /// Reads the account.
    pub async fn look<T: Send>(&self, look: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send) -> T {
        self.driver.observe(&self.partition(), &[], look).await.unwrap()
    }

    /// Moves one of the account's epochs, as a change made outside the test does.
    pub async fn move_epoch(&self, epoch: Epoch) {
        let step = |draft: &mut Draft<'_>| {
            draft.event(&TOUCHED);
            match epoch {
                Epoch::Credential => draft.move_credential_epoch(),
                Epoch::Factor => draft.move_factor_epoch(),
                Epoch::Key => draft.move_key_epoch(),
            }
        };
        self.run(step).await.unwrap();
    }

    /// Returns the account's root.
    pub async fn root(&self) -> Root {
        self.look(|draft| draft.root()).await
    }

    /// Returns the root's revision, which shows whether anything was written.
    pub async fn revision(&self) -> Revision {
        self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap().revision
    }

    /// Returns the account's guess ledger.
    pub async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut Draft<'_>| draft.read(guess::LEDGER);
        self.driver.observe(&self.partition(), &[guess::LEDGER.name()], look).await.unwrap().unwrap_or_default()
    }

    /// Returns the account's events of one chain, oldest first.
    pub async fn chain(&self, chain: EventChain) -> Vec<SecurityEvent> {
        let mut events = self.driver.events(&self.account, chain, None, ALL).await.unwrap().events;
        events.reverse();
        events
    }

    /// Returns changes and grants, oldest first, without the creation of the account.
    pub async fn changes(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Changes).await.into_iter().skip(1).collect()
    }

    /// Returns denials, oldest first.
    pub async fn denials(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Denials).await
    }

    /// Returns the account's events as JSON, each chain oldest first.
    pub async fn events_as_json(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for chain in EventChain::ALL {
            all.extend(self.chain(chain).await.iter().map(|event| serde_json::to_value(event).unwrap()));
        }
        all
    }

    /// Returns how many denials of one kind were counted at one of the account's secrets. Within an
    /// hour, the log has one event for all of them, and the ledger counts those that are not in an
    /// event yet.
    pub async fn denied(&self, secret: &str, what: DenialKind) -> u64 {
        let reason = match what {
            DenialKind::Wrong => "wrong",
            DenialKind::Replayed => "replayed",
            _ => panic!("{what:?} has no reason yet"),
        };
        let events = self.events_as_json().await;
        let counted = events
            .iter()
            .filter(|event| event["kind"] == "guess_denied" && event["secret"] == secret && event["reason"] == reason)
            .map(|event| event["earlier"].as_u64().unwrap_or(0).saturating_add(1));
        let later = self.clock.now().unwrap().plus(7_200);
        let unreported = self.ledger().await.take_unreported(later).into_iter();
        let unreported =
            unreported.filter(|unreported| unreported.secret.as_str() == secret && unreported.what == what);
        counted.chain(unreported.map(|unreported| u64::from(unreported.times))).sum()
    }

    /// Returns every root and record in the store.
    pub async fn scan(&self) -> Vec<Row> {
        self.rows(false).await
    }

    /// Returns every root in the store, and every record that is named by a root that opens.
    pub async fn scan_what_opens(&self) -> Vec<Row> {
        self.rows(true).await
    }

    async fn rows(&self, leniently: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        for partition in self.store.partitions(None, ALL).await.unwrap() {
            let slots = match self.driver.slots_of(&partition).await {
                Err(_) if leniently => Vec::new(),
                slots => slots.unwrap(),
            };
            let found = self.store.load(&partition, &slots).await.unwrap();
            let row = |slot: String, body: Bytes| Row { partition: partition.clone(), slot, body };
            rows.extend(found.root.map(|root| row("root".into(), root.body)));
            let records = slots.iter().zip(found.records);
            rows.extend(records.filter_map(|(slot, body)| Some(row(slot.to_text(), body?))));
        }
        rows
    }

    /// Returns what a thief of the database holds: every key, slot, body and event.
    pub async fn dump(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        for row in self.scan().await {
            dump.extend_from_slice(row.partition.key().as_bytes());
            dump.extend_from_slice(row.slot.as_bytes());
            dump.extend_from_slice(&row.body);
        }
        for partition in self.store.partitions(None, ALL).await.unwrap() {
            for chain in EventChain::ALL {
                for event in self.store.events(&partition, chain, None, ALL).await.unwrap().events {
                    dump.extend_from_slice(&event.json);
                }
            }
        }
        dump
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("account", &self.account).finish_non_exhaustive()
    }
}
