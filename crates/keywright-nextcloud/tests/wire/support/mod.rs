//! The world that a test runs in: a store, a host, a clock that stands still, and clients.

mod client;
mod host;

use std::sync::Arc;

pub(crate) use client::{Answer, Auth, Client};
pub(crate) use host::{Call, TestHost};
use keywright_core::{AccountId, Clock, Keyring, ManualClock, SharedRng, UnixSeconds};
use keywright_nextcloud::{Nextcloud, NextcloudPolicy, ResetStyle};
use keywright_store::{
    Batch, Draft, Driver, Effect, Expect, MemoryStore, Partition, RecordStore, Revision, Scanned, Slot, StepError,
    Stored, Upkeep, Write,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const PASSWORD: &str = "alice-login-password-planted";
pub(crate) const BOB_PASSWORD: &str = "bob-login-password-planted";

/// What a test needs of a store.
pub(crate) trait Store: RecordStore + Upkeep + 'static {}
impl<S: RecordStore + Upkeep + 'static> Store for S {}

pub(crate) struct World {
    pub(crate) app: Nextcloud<TestHost>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) store: Arc<dyn Store>,
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
        host.watch(Arc::clone(&store));
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let keyring = Arc::new(Keyring::generate(&*entropy(7)).unwrap());
        let world = Self::assemble(store, host, clock, keyring, policy, 1);
        for account in [alice(), bob()] {
            world.step(&account, |draft| draft.create_account()).await;
        }
        world
    }

    fn assemble(
        store: Arc<dyn Store>,
        host: Arc<TestHost>,
        clock: Arc<ManualClock>,
        keyring: Arc<Keyring>,
        policy: NextcloudPolicy,
        seed: u64,
    ) -> Self {
        let records: Arc<dyn RecordStore> = store.clone();
        let driver = Driver::new(records, Arc::clone(&keyring), entropy(seed), clock.clone());
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
        self.host.watch(Arc::clone(&store));
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
        Client { app: self.app.clone(), auth: Auth::Basic(name.into(), secret.into()), session: None }
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
        let slots = [Slot::Ledger, Slot::Due, Slot::Challenge, Slot::Keychain, Slot::Sessions, Slot::VaultHead];
        self.driver.transact(&Partition::account(account), &slots, step).await.unwrap().0
    }

    /// Damages a record of Alice's, as a bad disk would.
    pub(crate) async fn damage(&self, slot: Slot) {
        let partition = Partition::account(&alice());
        let slots = if slot == Slot::Root { vec![slot] } else { vec![Slot::Root, slot] };
        let loaded = self.store.load(&partition, &slots).await.unwrap();
        let mut writes = Vec::new();
        for (one, stored) in slots.into_iter().zip(loaded) {
            let Stored { revision, body } = stored.unwrap();
            let mut body = body.to_vec();
            *body.last_mut().unwrap() ^= 1;
            let put = Effect::Put { body: body.into(), purge_after: None };
            let effect = if one == slot { put } else { Effect::Check };
            writes.push(Write { slot: one, expect: Expect::Revision(revision), effect });
        }
        let batch = Batch::new(partition, Revision::from_bytes([9; 16]), writes).unwrap();
        self.store.commit(batch).await.unwrap();
    }

    /// Every record there is.
    pub(crate) async fn scan(&self) -> Vec<Scanned> {
        self.store.scan(None, 100_000).await.unwrap()
    }

    /// The rows of saved sessions.
    pub(crate) async fn session_rows(&self) -> usize {
        self.scan().await.iter().filter(|row| matches!(row.slot, Slot::Session(_))).count()
    }

    /// The slots of an account, as text.
    pub(crate) async fn slots(&self, account: &AccountId) -> Vec<String> {
        let partition = Partition::account(account);
        self.scan().await.iter().filter(|row| row.partition == partition).map(|row| row.slot.to_text()).collect()
    }

    /// The kinds of Alice's events, oldest first, as JSON.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut events = self.store.events(&Partition::account(&alice()), None, 10_000).await.unwrap();
        events.reverse();
        events.iter().map(|(_, event)| serde_json::to_value(event).unwrap()).collect()
    }

    /// How many of Alice's events are of a kind.
    pub(crate) async fn count_events(&self, kind: &str) -> usize {
        self.events().await.iter().filter(|event| event["kind"] == kind).count()
    }
}
