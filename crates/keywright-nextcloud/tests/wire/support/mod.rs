//! The world that a test runs in: a store, a host, a clock that stands still, and clients.

mod client;
mod host;
mod tampered;

use std::sync::Arc;

pub(crate) use client::{Answer, Auth, Client};
pub(crate) use host::{Call, TestHost};
use keywright_core::{AccountId, Clock, EventChain, GuessLedger, Keyring, ManualClock, SharedRng, Told, UnixSeconds};
use keywright_nextcloud::{Nextcloud, NextcloudPolicy, ResetStyle};
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore, StepError, Upkeep, guess};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};
use tampered::Tampered;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const PASSWORD: &str = "alice-login-password-planted";
pub(crate) const BOB_PASSWORD: &str = "bob-login-password-planted";

/// What a test needs of a store.
pub(crate) trait Store: RecordStore + Upkeep + 'static {}
impl<S: RecordStore + Upkeep + 'static> Store for S {}

/// A record, or a root, as it lies in the store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) partition: Partition,
    pub(crate) slot: String,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Row({} {}, {:02x?})",
            self.partition.key(),
            self.slot,
            &self.body[self.body.len().saturating_sub(4)..]
        )
    }
}

pub(crate) struct World {
    pub(crate) app: Nextcloud<TestHost>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) store: Arc<Tampered>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) driver: Driver,
    pub(crate) policy: NextcloudPolicy,
}

/// A seeded generator: a failing test fails again.
fn entropy(seed: u64) -> Arc<SharedRng<ChaCha20Rng>> {
    Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)))
}

pub(crate) fn alice() -> AccountId {
    AccountId::new("user-1").unwrap()
}

pub(crate) fn bob() -> AccountId {
    AccountId::new("user-2").unwrap()
}

/// The secret of the `n`th passphrase: 64 lower-case hex digits.
pub(crate) fn secret(n: u8) -> String {
    format!("{n:02x}5ec4e7").repeat(8)
}

/// Salts of the sizes that the real client makes.
pub(crate) fn salts(n: u8) -> Value {
    let hex = |bytes| format!("{n:02x}").repeat(bytes);
    json!([hex(256), hex(64), hex(16)])
}

/// The secret of an app token, which is not its id.
pub(crate) fn token_secret(id: &str) -> String {
    format!("app-token-planted-{id}-0123456789")
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(NextcloudPolicy::default()).await
    }

    pub(crate) async fn waiting() -> Self {
        let mut policy = NextcloudPolicy::default();
        policy.reset = ResetStyle::Wait;
        Self::with(policy).await
    }

    pub(crate) async fn with(policy: NextcloudPolicy) -> Self {
        Self::on(Arc::new(MemoryStore::new()), policy).await
    }

    /// Alice and Bob, each with a login password and app tokens `phone`, `laptop`, and `t0` … `t15` for Alice.
    pub(crate) async fn on(store: Arc<dyn Store>, policy: NextcloudPolicy) -> Self {
        let host = Arc::new(TestHost::default());
        for (name, account, password) in [("Alice", alice(), PASSWORD), ("bob", bob(), BOB_PASSWORD)] {
            host.add_user(name, &account, password);
        }
        for id in ["phone", "laptop"].map(String::from).into_iter().chain((0..16).map(|n| format!("t{n}"))) {
            host.add_token(&alice(), &id, &token_secret(&id));
        }
        host.add_token(&bob(), "bobs", &token_secret("bobs"));
        let store = Arc::new(Tampered::new(store));
        host.watch(store.clone());
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let keyring = Arc::new(Keyring::generate(&*entropy(7)).unwrap());
        let world = Self::assemble(store, host, clock, keyring, policy, 1);
        for account in [alice(), bob()] {
            world.driver.ensure_account(&account).await.unwrap();
        }
        world
    }

    fn assemble(
        store: Arc<Tampered>,
        host: Arc<TestHost>,
        clock: Arc<ManualClock>,
        keyring: Arc<Keyring>,
        policy: NextcloudPolicy,
        seed: u64,
    ) -> Self {
        let records: Arc<dyn RecordStore> = store.clone();
        let driver = Driver::builder(records, Arc::clone(&keyring))
            .entropy(entropy(seed))
            .clock(clock.clone())
            .slots(keywright_challenge::SLOT_KINDS)
            .slots(keywright_confirm::SLOT_KINDS)
            .slots(keywright_twofactor::SLOT_KINDS)
            .slots(keywright_nextcloud::SLOT_KINDS)
            .build()
            .unwrap();
        let app = Nextcloud::new(driver.clone(), Arc::clone(&host), policy.clone()).unwrap();
        Self { app, host, store, clock, keyring, driver, policy }
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) fn restarted(&self, seed: u64) -> Self {
        let parts = (Arc::clone(&self.store), Arc::clone(&self.host), Arc::clone(&self.clock));
        Self::assemble(parts.0, parts.1, parts.2, Arc::clone(&self.keyring), self.policy.clone(), seed)
    }

    /// The same on another store: after a restart from its file.
    pub(crate) fn moved_to(&self, store: Arc<dyn Store>, seed: u64) -> Self {
        let store = Arc::new(Tampered::new(store));
        self.host.watch(store.clone());
        let parts = (Arc::clone(&self.host), Arc::clone(&self.clock));
        Self::assemble(store, parts.0, parts.1, Arc::clone(&self.keyring), self.policy.clone(), seed)
    }

    /// A server whose keyring has a fence at this moment: what it does after a restore.
    pub(crate) fn fenced(&self, keyring: Keyring, seed: u64) -> Self {
        let keyring = Arc::new(keyring.with_fence(self.clock.now().unwrap()));
        let parts = (Arc::clone(&self.store), Arc::clone(&self.host), Arc::clone(&self.clock));
        Self::assemble(parts.0, parts.1, parts.2, keyring, self.policy.clone(), seed)
    }

    /// The keyring again, as it would be read from its file.
    pub(crate) fn keyring_again() -> Keyring {
        Keyring::generate(&*entropy(7)).unwrap()
    }

    pub(crate) fn client(&self, name: &str, secret: &str) -> Client {
        Client { app: self.app.clone(), auth: Auth::Basic(name.into(), secret.into()), session: None, address: None }
    }

    /// A client of Alice's with an app token.
    pub(crate) fn token(&self, id: &str) -> Client {
        self.client("alice", &token_secret(id))
    }

    /// A client of Alice's with her login password.
    pub(crate) fn password(&self) -> Client {
        self.client("alice", PASSWORD)
    }

    pub(crate) fn bob(&self) -> Client {
        self.client("bob", &token_secret("bobs"))
    }

    /// Alice with the challenge `secret(1)`, set from `phone`; its authorized session.
    pub(crate) async fn with_challenge(&self) -> Client {
        let mut phone = self.token("phone");
        phone.set(&secret(1), None).await.is(200, json!({"success": true}));
        phone
    }

    /// A client of a token whose session was opened with the challenge `secret(1)`.
    pub(crate) async fn opened(&self, token: &str) -> Client {
        let mut client = self.token(token);
        assert_eq!(client.open(&secret(1)).await.status, 200);
        client
    }

    pub(crate) async fn step<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> T {
        self.driver.transact(&Partition::account(account), &[], step).await.unwrap()
    }

    /// Damages a record of Alice's, or her root, as a bad disk would.
    pub(crate) fn damage(&self, slot: &str) {
        self.store.damage(&Partition::account(&alice()), slot);
    }

    /// Every root and record there is.
    pub(crate) async fn scan(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for partition in self.store.partitions(None, 100_000).await.unwrap() {
            // A root that does not open names nothing.
            let slots = self.driver.slots_of(&partition).await.unwrap_or_default();
            let found = self.store.load(&partition, &slots).await.unwrap();
            let row = |slot: String, body: &[u8]| Row { partition: partition.clone(), slot, body: body.to_vec() };
            rows.extend(found.root.iter().map(|root| row("root".into(), &root.body)));
            let records = slots.iter().zip(&found.records);
            rows.extend(records.filter_map(|(slot, body)| Some(row(slot.to_text(), body.as_ref()?))));
        }
        rows
    }

    /// The rows of saved sessions.
    pub(crate) async fn session_rows(&self) -> usize {
        self.scan().await.iter().filter(|row| row.slot.starts_with("session/")).count()
    }

    /// The slots of an account, as text.
    pub(crate) async fn slots(&self, account: &AccountId) -> Vec<String> {
        let partition = Partition::account(account);
        self.scan().await.into_iter().filter(|row| row.partition == partition).map(|row| row.slot).collect()
    }

    /// Alice's events, each chain oldest first, as JSON.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for chain in EventChain::ALL {
            let mut events = self.driver.events(&alice(), chain, None, 10_000).await.unwrap().events;
            events.reverse();
            all.extend(events.iter().map(|event| serde_json::to_value(event).unwrap()));
        }
        all
    }

    /// How many wrong guesses at one of Alice's secrets were counted. Within an hour the log has one event for all.
    pub(crate) async fn charged(&self, secret: &str) -> u64 {
        let told = self.events().await;
        let told = told
            .iter()
            .filter(|event| event["kind"] == "guess_denied" && event["secret"] == secret && event["reason"] == "wrong");
        let told: u64 = told.map(|event| event["earlier"].as_u64().unwrap_or(0).saturating_add(1)).sum();
        let read = |draft: &mut Draft<'_>| draft.read(guess::LEDGER);
        let mut ledger: GuessLedger = self.step(&alice(), read).await.unwrap_or_default();
        let later = self.clock.now().unwrap().plus(7_200);
        let untold = ledger.take_untold(later).into_iter();
        let untold = untold.filter(|untold| untold.secret.as_str() == secret && untold.what == Told::Wrong);
        untold.map(|untold| u64::from(untold.times)).chain([told]).sum()
    }

    /// How many of Alice's events are of a kind.
    pub(crate) async fn count_events(&self, kind: &str) -> usize {
        self.events().await.iter().filter(|event| event["kind"] == kind).count()
    }
}
