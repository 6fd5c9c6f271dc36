//! The world with the protocol of LibrePass: a host with a mailbox, and people with keys.

mod client;
mod host;

use std::ops::Deref;
use std::sync::Arc;

pub(crate) use client::{Answer, Client};
pub(crate) use host::TestHost;
use keywright_core::{AccountId, SharedRng};
use keywright_librepass::{LibrePass, LibrePassPolicy, LibrePassPolicyBuilder, PrivateKey, PublicKey, UserId};
use keywright_store::{Draft, MemoryStore, Release, StepError};
pub(crate) use keywright_testing::Row as Scanned;
use keywright_testing::{Store, WorldBuilder};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{ImportedDevice, TotpSecret, TwoFactorPolicy, TwoFactorSteps, recovery::Preset};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

/// 2027-01-15T08:00:00Z, the start of a time step.
pub(crate) const START: u64 = 1_800_000_000;
/// The server's public address.
pub(crate) const PUBLIC: &str = "https://pass.example";
/// Where the web pages are.
pub(crate) const WEB: &str = "https://web.example";

/// A person with an address and a private key. The key is what Argon2 would derive from a password:
/// the server never knows.
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) key: PrivateKey,
}

impl Person {
    pub(crate) fn new(email: &str) -> Self {
        let mut seed = [0; 32];
        seed.iter_mut().zip(email.bytes().cycle().enumerate()).for_each(|(to, (n, byte))| *to = byte ^ n as u8);
        Self { email: email.into(), key: PrivateKey::random(&SharedRng::new(ChaCha20Rng::from_seed(seed))).unwrap() }
    }

    /// The proof of the password, for a server's public key.
    pub(crate) fn shared(&self, server: &PublicKey) -> String {
        self.key.agree(server).unwrap().to_hex().expose().to_owned()
    }
}

pub(crate) fn alice() -> Person {
    Person::new("alice@example.com")
}

pub(crate) fn bob() -> Person {
    Person::new("bob@example.com")
}

/// The policy that tests start from.
pub(crate) fn policy() -> LibrePassPolicyBuilder {
    LibrePassPolicy::builder(PUBLIC).web_url(WEB)
}

/// The code of a secret, as an app shows it.
pub(crate) fn code_of(secret: &[u8], at: u64) -> String {
    totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(at).to_string()
}

pub(crate) struct World {
    base: keywright_testing::World,
    pub(crate) app: LibrePass<TestHost>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) policy: LibrePassPolicy,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

/// A server with LibrePass alone.
fn builder() -> WorldBuilder {
    let builder = keywright_testing::World::builder().start(START).slots(keywright_librepass::SLOT_KINDS);
    builder.slots(keywright_rekey::SLOT_KINDS).slots(keywright_twofactor::SLOT_KINDS).comparing()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(policy()).await
    }

    pub(crate) async fn with(policy: LibrePassPolicyBuilder) -> Self {
        Self::on(Arc::new(MemoryStore::new()), policy).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>, policy: LibrePassPolicyBuilder) -> Self {
        Self::assemble(builder().store(store).open(), Arc::default(), policy.build().unwrap()).await
    }

    /// Like the world above, with an observer of events and damage.
    #[cfg(feature = "client")]
    pub(crate) async fn observed(
        store: Arc<dyn Store>,
        policy: LibrePassPolicyBuilder,
        observer: Arc<dyn keywright_store::Observer>,
    ) -> Self {
        let base = builder().store(store).observer(observer).open();
        Self::assemble(base, Arc::default(), policy.build().unwrap()).await
    }

    async fn assemble(base: keywright_testing::World, host: Arc<TestHost>, policy: LibrePassPolicy) -> Self {
        let parts = (base.driver.clone(), base.store.clone(), Arc::clone(&host), policy.clone());
        let app = LibrePass::open(parts.0, parts.1, parts.2, parts.3).await.unwrap();
        Self { base, app, host, policy }
    }

    async fn again(&self, base: keywright_testing::World) -> Self {
        Self::assemble(base, Arc::clone(&self.host), self.policy.clone()).await
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) async fn restarted(&self, seed: u64) -> Self {
        self.again(self.base.restarted(seed)).await
    }

    /// The same host and clock over another store handle.
    pub(crate) async fn moved_to(&self, store: Arc<dyn Store>, seed: u64) -> Self {
        self.again(self.base.moved_to(store, seed)).await
    }

    /// The same after a backup was put back: what is older than the fence is void.
    pub(crate) async fn fenced(&self, fence: u64, seed: u64) -> Self {
        self.again(self.base.fenced(fence, seed)).await
    }

    /// The same with another policy.
    pub(crate) async fn ruled_by(&self, policy: LibrePassPolicyBuilder, seed: u64) -> Self {
        Self::assemble(self.base.restarted(seed), Arc::clone(&self.host), policy.build().unwrap()).await
    }

    pub(crate) fn client(&self) -> Client {
        Client { app: self.app.clone(), token: None }
    }

    /// The server's public key, as `preLogin` returns it.
    pub(crate) async fn server_key(&self) -> PublicKey {
        let answer = self.client().get("/api/auth/preLogin?email=").send().await;
        PublicKey::from_hex(answer.ok()["serverPublicKey"].as_str().unwrap()).unwrap()
    }

    /// The body that the person's client registers with.
    pub(crate) async fn registration(&self, person: &Person) -> Value {
        json!({
            "email": person.email,
            "sharedKey": person.shared(&self.server_key().await),
            "parallelism": 3,
            "memory": 65536,
            "iterations": 4,
            "publicKey": person.key.public_key().to_hex().expose(),
        })
    }

    pub(crate) async fn register(&self, person: &Person) -> Answer {
        self.client().post("/api/auth/register").json(&self.registration(person).await).send().await
    }

    /// Registers and opens the mailed link.
    pub(crate) async fn settle(&self, person: &Person) -> UserId {
        self.register(person).await.is(201, json!({}));
        if self.policy.verify_email() {
            self.open_link(&person.email).await.redirects();
        }
        self.user_of(person).await
    }

    /// Opens the newest link that was mailed to an address.
    pub(crate) async fn open_link(&self, email: &str) -> Answer {
        let link = self.host.link_to(email).expect("a link was mailed");
        self.client().get(link.strip_prefix(PUBLIC).unwrap()).send().await
    }

    pub(crate) async fn log_in(&self, person: &Person) -> Answer {
        let shared = person.shared(&self.server_key().await);
        self.log_in_with(&person.email, &shared).await
    }

    pub(crate) async fn log_in_with(&self, email: &str, shared: &str) -> Answer {
        self.client().log_in(email, shared).send().await
    }

    /// A client that is logged in, without a second factor.
    pub(crate) async fn client_of(&self, person: &Person) -> Client {
        let answer = self.log_in(person).await;
        let body = answer.ok();
        assert_eq!(body["verified"], true);
        Client { app: self.app.clone(), token: Some(body["apiKey"].as_str().unwrap().into()) }
    }

    pub(crate) async fn user_of(&self, person: &Person) -> UserId {
        UserId::parse(self.log_in(person).await.ok()["userId"].as_str().unwrap()).unwrap()
    }

    /// Steps of two-factor authentication as the service has them, but that no login ends.
    pub(crate) fn factors(&self) -> TwoFactorSteps {
        let policy = TwoFactorPolicy::builder().devices(1).min_secret_bits(80).recovery(Preset::LibrePass);
        TwoFactorSteps::new(policy.end_other_logins(false).build().unwrap(), self.driver.ledger_policy()).unwrap()
    }

    /// Switches 2FA on without going through HTTP. Returns the recovery code.
    pub(crate) async fn enrol(&self, user: &UserId, secret: &[u8]) -> String {
        let device = ImportedDevice::new("app", TotpSecret::from_slice(secret).unwrap());
        let codes = self.step(user.account(), |draft| {
            let imported = self.factors().import_device_in(draft, &device)?;
            assert!(matches!(imported, keywright_twofactor::DeviceImport::Imported(_)));
            self.factors().make_recovery_in(draft, Liveness::Now, keywright_core::Client::unknown())
        });
        codes.await.iter().next().unwrap().to_owned()
    }

    pub(crate) async fn step<T: Release + Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> T::Released {
        self.driver.run(&account.into(), keywright_twofactor::SLOTS, step).await.unwrap()
    }

    /// An account's events, oldest first, as JSON.
    pub(crate) async fn events(&self, user: &UserId) -> Vec<Value> {
        let mut events = self.driver.recent_events(user.account(), 10_000).await.unwrap();
        events.reverse();
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    pub(crate) async fn count_events(&self, user: &UserId, kind: &str) -> usize {
        self.events(user).await.iter().filter(|event| event["kind"] == kind).count()
    }
}

/// Runs a test on both stores.
pub(crate) async fn on_both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    test(World::new().await).await;
    let base = builder().sqlite().open();
    test(World::assemble(base, Arc::default(), policy().build().unwrap()).await).await;
}

/// Runs all requests concurrently and returns their answers, in no order.
pub(crate) async fn at_once<F>(many: usize, act: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(many));
    let mut set = tokio::task::JoinSet::new();
    for n in 0..many {
        let (start, act) = (Arc::clone(&start), act(n));
        set.spawn(async move {
            start.wait().await;
            act.await
        });
    }
    set.join_all().await
}
