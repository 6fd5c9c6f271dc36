//! The world with the protocol of Nextcloud Passwords: a host, and clients.

mod client;
mod host;

use std::ops::Deref;
use std::sync::Arc;

pub(crate) use client::{Answer, Auth, Client};
pub(crate) use host::{Call, TestHost};
use keywright_core::{AccountId, DenialKind};
use keywright_nextcloud::{Nextcloud, NextcloudPolicy, ResetStyle};
use keywright_store::{Draft, MemoryStore, Partition, StepError};
pub(crate) use keywright_testing::Row;
use keywright_testing::{HookedStore, Store};
use serde_json::{Value, json};

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const PASSWORD: &str = "alice-login-password-planted";
pub(crate) const BOB_PASSWORD: &str = "bob-login-password-planted";

pub(crate) struct World {
    /// About Alice; Bob has an account too.
    base: keywright_testing::World,
    pub(crate) app: Nextcloud<TestHost>,
    pub(crate) host: Arc<TestHost>,
    /// The store again, to hold calls up and to damage what lies in it.
    pub(crate) hooked: Arc<HookedStore>,
    pub(crate) policy: NextcloudPolicy,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
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
        let policy = NextcloudPolicy::builder().reset(ResetStyle::Wait).build().unwrap();
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
        let hooked = HookedStore::new(store);
        let base = keywright_testing::World::builder()
            .store(hooked.clone())
            .start(START)
            .accounts(["user-1", "user-2"])
            .slots(keywright_challenge::SLOT_KINDS)
            .slots(keywright_confirm::SLOT_KINDS)
            .slots(keywright_twofactor::SLOT_KINDS)
            .slots(keywright_nextcloud::SLOT_KINDS)
            .comparing();
        Self::assemble(base.build().await, hooked, host, policy)
    }

    fn assemble(
        base: keywright_testing::World,
        hooked: Arc<HookedStore>,
        host: Arc<TestHost>,
        policy: NextcloudPolicy,
    ) -> Self {
        host.watch(hooked.clone());
        let app = Nextcloud::new(base.driver.clone(), Arc::clone(&host), policy.clone()).unwrap();
        Self { base, app, host, hooked, policy }
    }

    fn again(&self, base: keywright_testing::World) -> Self {
        Self::assemble(base, Arc::clone(&self.hooked), Arc::clone(&self.host), self.policy.clone())
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) fn restarted(&self, seed: u64) -> Self {
        self.again(self.base.restarted(seed))
    }

    /// The same on another store: after a restart from its file.
    pub(crate) fn moved_to(&self, store: Arc<dyn Store>, seed: u64) -> Self {
        let hooked = HookedStore::new(store);
        let base = self.base.moved_to(hooked.clone(), seed);
        Self::assemble(base, hooked, Arc::clone(&self.host), self.policy.clone())
    }

    /// A server whose keyring has a fence at this moment: what it does after a restore.
    pub(crate) fn fenced(&self, seed: u64) -> Self {
        self.again(self.base.fenced(self.now(), seed))
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

    /// Damages a record of Alice's, or her root, as a bad disk would: from now on, the last byte of its body is another.
    pub(crate) fn damage(&self, slot: &str) {
        let (damaged, slot) = (self.partition(), slot.to_owned());
        self.hooked.after_loads(move |partition, slots, snapshot| {
            let spoil = |body: &mut bytes::Bytes| {
                let mut spoilt = body.to_vec();
                *spoilt.last_mut().unwrap() ^= 1;
                *body = spoilt.into();
            };
            if *partition != damaged {
                return;
            }
            if slot == "root" {
                snapshot.root.iter_mut().for_each(|root| spoil(&mut root.body));
            }
            let records = slots.iter().zip(&mut snapshot.records).filter(|(name, _)| name.to_text() == slot);
            records.filter_map(|(_, body)| body.as_mut()).for_each(spoil);
        });
    }

    /// Every root and record there is. A root that does not open names nothing.
    pub(crate) async fn scan(&self) -> Vec<Row> {
        self.scan_what_opens().await
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
        self.events_as_json().await
    }

    /// How many wrong guesses at one of Alice's secrets were counted.
    pub(crate) async fn charged(&self, secret: &str) -> u64 {
        self.denied(secret, DenialKind::Wrong).await
    }

    /// How many of Alice's events are of a kind.
    pub(crate) async fn count_events(&self, kind: &str) -> usize {
        self.events().await.iter().filter(|event| event["kind"] == kind).count()
    }
}
