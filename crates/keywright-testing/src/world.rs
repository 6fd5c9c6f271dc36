//! A store, a keyring, a clock that stands still, a seeded generator, a driver over them, and accounts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use keywright_core::{
    AccountId, Clock as _, EventChain, EventKind, GuessLedger, Keyring, LedgerPolicy, ManualClock, SecretBytes,
    SecurityEvent, Severity, SharedRng, SystemEntropy, Told, UnixSeconds, random_bytes,
};
use keywright_store::{
    Draft, Driver, DriverBuilder, MemoryStore, Observer, Partition, RecordStore, Release, Revision, Root, SlotKind,
    StepError, TransactError, guess,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use tempfile::TempDir;

use crate::store::Store;

/// More events, or partitions, than any test makes.
const ALL: u32 = 100_000;

/// A generator that gives the same numbers every time.
pub type SeededRng = SharedRng<ChaCha20Rng>;

/// A seeded generator: a failing test fails again.
#[must_use]
pub fn seeded(seed: u64) -> Arc<SeededRng> {
    Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)))
}

/// A moment, in seconds since 1970.
#[must_use]
pub fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// The keyring of every world that is given no other: one sealing key of ones, an index key of twos.
#[must_use]
pub fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
}

/// What a test does to an account from outside.
static TOUCHED: EventKind = EventKind::change("test_touched", Severity::Info, "a test changed the account");

/// What voids what was made or proven before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the epochs of a root")]
pub enum Epoch {
    /// A change of a credential.
    Credential,
    /// A change of a second factor.
    Factor,
    /// A change of a vault's key.
    Key,
}

/// A root or a record as it lies in the store.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a row is")]
pub struct Row {
    /// Whose it is.
    pub partition: Partition,
    /// The slot as text; `root` for a root.
    pub slot: String,
    /// The sealed body.
    pub body: Bytes,
}

/// Where it lies, and what tells it from others; not its whole body.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.body.get(self.body.len().saturating_sub(4)..).unwrap_or_default();
        write!(f, "Row({} {}, {} bytes, ..{end:02x?})", self.partition.key(), self.slot, self.body.len())
    }
}

/// What is the same for all servers of a world.
struct Setup {
    slots: Option<Vec<SlotKind>>,
    ledger: LedgerPolicy,
    observer: Option<Arc<dyn Observer>>,
    /// A seed that no server had yet.
    seeds: AtomicU64,
    /// The file of an SQLite store, as long as the world.
    _folder: Option<TempDir>,
}

/// What a test runs in. A clone shares everything, the clock and the store too.
#[derive(Clone)]
#[non_exhaustive]
pub struct World {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Stands still until it is told otherwise.
    pub clock: Arc<ManualClock>,
    /// What the driver draws from.
    pub entropy: Arc<SeededRng>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The account that the test is about: the first of the builder's.
    pub account: AccountId,
    /// The first server's.
    pub driver: Driver,
    setup: Arc<Setup>,
}

/// Puts a [`World`] together.
#[must_use = "a builder does nothing until `build` or `open`"]
pub struct WorldBuilder {
    store: Arc<dyn Store>,
    start: UnixSeconds,
    seed: u64,
    keyring: Keyring,
    slots: Option<Vec<SlotKind>>,
    ledger: LedgerPolicy,
    observer: Option<Arc<dyn Observer>>,
    accounts: Vec<AccountId>,
    folder: Option<TempDir>,
}

impl WorldBuilder {
    /// Another store than a new one in memory.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// A new SQLite store, in a folder that goes with the world.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(mut self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        self.store = Arc::new(keywright_sqlite::SqliteStore::open(folder.path().join("store.db")).unwrap());
        self.folder = Some(folder);
        self
    }

    /// Where the clock stands, in seconds since 1970. Default [`World::START`].
    pub fn start(mut self, seconds: u64) -> Self {
        self.start = at(seconds);
        self
    }

    /// What the generator starts from. Default 1.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Another seed each time: for a store that outlives the process, in which revisions must not come again.
    pub fn unseeded(mut self) -> Self {
        self.seed = u64::from_be_bytes(random_bytes(&SystemEntropy).unwrap()) >> 1;
        self
    }

    /// Another keyring than [`keyring`].
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = keyring;
        self
    }

    /// The kinds of slots that a crate declares. Default: all kinds are taken as they come.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.slots.get_or_insert_default().extend_from_slice(kinds);
        self
    }

    /// The ledger policy of every server.
    pub fn ledger(mut self, policy: LedgerPolicy) -> Self {
        self.ledger = policy;
        self
    }

    /// Who hears of events and damage.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Other accounts than `user-1` alone.
    pub fn accounts<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.accounts = names.into_iter().map(World::id).collect();
        self
    }

    /// The world, its accounts created.
    pub async fn build(self) -> World {
        let accounts = self.accounts.clone();
        let world = self.open();
        for account in &accounts {
            world.driver.ensure_account(account).await.unwrap();
        }
        world
    }

    /// The world without any account that its store has not.
    #[must_use]
    pub fn open(self) -> World {
        let (clock, entropy) = (Arc::new(ManualClock::new(self.start)), seeded(self.seed));
        let keyring = Arc::new(self.keyring);
        let setup = Setup {
            slots: self.slots,
            ledger: self.ledger,
            observer: self.observer,
            seeds: AtomicU64::new(self.seed.saturating_add(1_000)),
            _folder: self.folder,
        };
        let driver = setup.driver(self.store.clone(), &keyring, &entropy, &clock).build().unwrap();
        let account = self.accounts.into_iter().next().unwrap_or_else(|| World::id("user-1"));
        World { store: self.store, clock, entropy, keyring, account, driver, setup: Arc::new(setup) }
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
        match &self.observer {
            Some(observer) => builder.observer(Arc::clone(observer)),
            None => builder,
        }
    }
}

/// Worlds and their servers.
impl World {
    /// 2023-11-14, far from both ends of time.
    pub const START: u64 = 1_700_000_000;

    /// Begins to put a world together: `user-1` on a new store in memory, at [`START`](Self::START).
    pub fn builder() -> WorldBuilder {
        WorldBuilder {
            store: Arc::new(MemoryStore::new()),
            start: at(Self::START),
            seed: 1,
            keyring: keyring(),
            slots: None,
            ledger: LedgerPolicy::default(),
            observer: None,
            accounts: vec![Self::id("user-1")],
            folder: None,
        }
    }

    /// An account's id.
    #[must_use]
    pub fn id(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    /// The same world, about another account.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Self {
        Self { account, ..self.clone() }
    }

    /// A server on another way to the store, with a keyring of its own: put together, but for what a test adds.
    pub fn server_on(&self, store: Arc<dyn RecordStore>, keyring: &Arc<Keyring>, seed: u64) -> DriverBuilder {
        self.setup.driver(store, keyring, &seeded(seed), &self.clock)
    }

    /// A further server on the store: its own queue, its own generator.
    #[must_use]
    pub fn server(&self, seed: u64) -> Driver {
        self.server_on(self.store.clone(), &self.keyring, seed).build().unwrap()
    }

    /// The same world after a restart, or as a second process sees it.
    #[must_use]
    pub fn restarted(&self, seed: u64) -> Self {
        self.moved_to(self.store.clone(), seed)
    }

    /// The same on another store: after a restart from its file.
    #[must_use]
    pub fn moved_to(&self, store: Arc<dyn Store>, seed: u64) -> Self {
        let entropy = seeded(seed);
        let driver = self.setup.driver(store.clone(), &self.keyring, &entropy, &self.clock).build().unwrap();
        Self { store, entropy, driver, ..self.clone() }
    }

    /// The same after a restart with another keyring.
    #[must_use]
    pub fn keyed(&self, keyring: Keyring, seed: u64) -> Self {
        Self { keyring: Arc::new(keyring), ..self.clone() }.restarted(seed)
    }

    /// The same after a backup was put back: what was made before `fence` is void. With the keyring [`keyring`].
    #[must_use]
    pub fn fenced(&self, fence: u64, seed: u64) -> Self {
        self.keyed(keyring().with_fence(at(fence)), seed)
    }

    /// A seed that no server of this world had.
    #[must_use]
    pub fn next_seed(&self) -> u64 {
        self.setup.seeds.fetch_add(1, Ordering::Relaxed)
    }
}

/// Time.
impl World {
    /// Where the clock stands, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now().unwrap().get()
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, seconds: u64) {
        self.clock.set(at(seconds));
    }

    /// Moves the clock on.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(seconds);
    }
}

/// The account, and what lies in the store.
impl World {
    /// Where the account lies.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    /// Runs a step on the account.
    ///
    /// # Errors
    /// What the driver answers.
    pub async fn run<T: Release + Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TransactError> {
        self.driver.run(&self.partition(), &[], step).await
    }

    /// Looks at the account.
    pub async fn look<T: Send>(&self, look: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send) -> T {
        self.driver.observe(&self.partition(), &[], look).await.unwrap()
    }

    /// Moves one of the account's epochs, as a change beside the test's own does.
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

    /// The account's root.
    pub async fn root(&self) -> Root {
        self.look(|draft| draft.root()).await
    }

    /// The root's revision, to see whether anything was written.
    pub async fn revision(&self) -> Revision {
        self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap().revision
    }

    /// The account's guess ledger.
    pub async fn ledger(&self) -> GuessLedger {
        let look = |draft: &mut Draft<'_>| draft.read(guess::LEDGER);
        self.driver.observe(&self.partition(), &[guess::LEDGER.name()], look).await.unwrap().unwrap_or_default()
    }

    /// The account's events of one chain, oldest first.
    pub async fn chain(&self, chain: EventChain) -> Vec<SecurityEvent> {
        let mut events = self.driver.events(&self.account, chain, None, ALL).await.unwrap().events;
        events.reverse();
        events
    }

    /// Changes and grants, oldest first, without the creation of the account.
    pub async fn changes(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Changes).await.into_iter().skip(1).collect()
    }

    /// Denials, oldest first.
    pub async fn denials(&self) -> Vec<SecurityEvent> {
        self.chain(EventChain::Denials).await
    }

    /// The account's events as JSON, each chain oldest first.
    pub async fn events_as_json(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for chain in EventChain::ALL {
            all.extend(self.chain(chain).await.iter().map(|event| serde_json::to_value(event).unwrap()));
        }
        all
    }

    /// How many denials of one kind at one of the account's secrets were counted. Within an hour the log has one event for
    /// all; the ledger counts those that were not told yet.
    pub async fn denied(&self, secret: &str, what: Told) -> u64 {
        let reason = match what {
            Told::Wrong => "wrong",
            Told::Replayed => "replayed",
            _ => panic!("{what:?} has no reason yet"),
        };
        let told = self.events_as_json().await;
        let told = told
            .iter()
            .filter(|event| event["kind"] == "guess_denied" && event["secret"] == secret && event["reason"] == reason)
            .map(|event| event["earlier"].as_u64().unwrap_or(0).saturating_add(1));
        let later = self.clock.now().unwrap().plus(7_200);
        let untold = self.ledger().await.take_untold(later).into_iter();
        let untold = untold.filter(|untold| untold.secret.as_str() == secret && untold.what == what);
        told.chain(untold.map(|untold| u64::from(untold.times))).sum()
    }

    /// Every root and record there is.
    pub async fn scan(&self) -> Vec<Row> {
        self.rows(false).await
    }

    /// Every root there is, and every record that is named by one that opens.
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

    /// What a thief of the database holds: every key, slot, body and event.
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
