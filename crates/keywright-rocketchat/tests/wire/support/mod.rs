//! The world that a test runs in: a store, a host, a clock that stands still, and four people.

mod client;
mod held;
mod host;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) use client::{Answer, Client};
use held::Held;
pub(crate) use host::{Call, TestHost};
use keywright_core::{
    AccountId, ClientTag, Clock, EventChain, GuessLedger, Keyring, ManualClock, SharedRng, Told, UnixSeconds,
};
use keywright_rocketchat::{LoginTokenId, Permission, RocketChat, RocketChatPolicy, User};
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore, StepError, Upkeep, guess};
use keywright_twofactor::{DeviceImport, ImportedDevice, TotpSecret, TwoFactor, TwoFactorSteps};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// 2027-01-15T08:00:00Z, the start of a step and of a minute.
pub(crate) const START: u64 = 1_800_000_000;

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
        write!(f, "Row({} {}, {} bytes)", self.partition.key(), self.slot, self.body.len())
    }
}

/// Somebody with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    /// Of the TOTP secret.
    seed: u8,
    /// Of the recovery codes.
    prefix: &'static str,
}

pub(crate) const ADMIN: Person =
    Person { id: "AdminAdminAdminAd", name: "admin", email: "caller@example.com", seed: 1, prefix: "AdmReC2" };
pub(crate) const USER: Person =
    Person { id: "UserUserUserUserU", name: "user", email: "user@example.com", seed: 2, prefix: "UsrReC2" };
pub(crate) const TARGET: Person =
    Person { id: "TargetTargetTarge", name: "Target", email: "target@example.com", seed: 3, prefix: "TgtReC2" };
pub(crate) const FEDERATED: Person =
    Person { id: "FederatedFederate", name: "far", email: "far@example.com", seed: 4, prefix: "FarReC2" };
const PEOPLE: [Person; 4] = [ADMIN, USER, TARGET, FEDERATED];

impl Person {
    pub(crate) fn account(self) -> AccountId {
        AccountId::new(format!("account-{}", self.name.to_lowercase())).unwrap()
    }

    pub(crate) fn token(self) -> String {
        format!("login-token-planted-{}", self.name)
    }

    /// The digest of the login password, as clients send it.
    pub(crate) fn password(self) -> String {
        hex::encode(Sha256::digest(format!("password-planted-{}", self.name)))
    }

    pub(crate) fn secret(self) -> [u8; 20] {
        [self.seed; 20]
    }

    /// Twelve codes of eight symbols.
    pub(crate) fn recovery_codes(self) -> Vec<String> {
        "ABCDEFGHJKLM".chars().map(|last| format!("{}{last}", self.prefix)).collect()
    }

    pub(crate) fn recovery_code(self, n: usize) -> String {
        self.recovery_codes()[n].clone()
    }
}

/// The code of a secret, as an app shows it.
pub(crate) fn code_of(secret: &[u8], at: u64) -> String {
    totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(at).to_string()
}

pub(crate) struct World {
    pub(crate) app: RocketChat<TestHost>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) store: Arc<Held>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) driver: Driver,
    pub(crate) policy: RocketChatPolicy,
}

/// A seeded generator: a failing test fails again.
fn entropy(seed: u64) -> Arc<SharedRng<ChaCha20Rng>> {
    Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(RocketChatPolicy::default()).await
    }

    pub(crate) async fn with(policy: RocketChatPolicy) -> Self {
        Self::on(Arc::new(MemoryStore::new()), policy).await
    }

    /// Everybody has a login token, a password, a verified address, TOTP and twelve recovery codes; the admin has the
    /// permissions.
    pub(crate) async fn on(store: Arc<dyn Store>, policy: RocketChatPolicy) -> Self {
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let host = Arc::new(TestHost::new(Arc::clone(&clock)));
        for person in PEOPLE {
            let mut user = User::new(person.account(), person.name).with_verified_emails(vec![person.email.into()]);
            user.is_federated = person == FEDERATED;
            host.add_user(person.id, user, &person.password());
            host.add_token(person.id, &person.token());
        }
        for permission in [Permission::EditOtherUserE2ee, Permission::EditOtherUserTotp, Permission::BypassRateLimit] {
            host.permit(&ADMIN.account(), permission);
        }
        let store = Arc::new(Held::new(store));
        let keyring = Arc::new(Keyring::generate(&*entropy(7)).unwrap());
        let world = Self::assemble(store, host, clock, keyring, policy, 1);
        for person in PEOPLE {
            world.driver.ensure_account(&person.account()).await.unwrap();
            world.enrol(person).await;
        }
        world
    }

    fn assemble(
        store: Arc<Held>,
        host: Arc<TestHost>,
        clock: Arc<ManualClock>,
        keyring: Arc<Keyring>,
        policy: RocketChatPolicy,
        seed: u64,
    ) -> Self {
        let records: Arc<dyn RecordStore> = store.clone();
        let driver = Driver::builder(records, Arc::clone(&keyring))
            .entropy(entropy(seed))
            .clock(clock.clone())
            .slots(keywright_confirm::SLOT_KINDS)
            .slots(keywright_twofactor::SLOT_KINDS)
            .slots(keywright_rocketchat::SLOT_KINDS)
            .build()
            .unwrap();
        let app = RocketChat::new(driver.clone(), Arc::clone(&host), policy.clone()).unwrap();
        Self { app, host, store, clock, keyring, driver, policy }
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) fn restarted(&self, seed: u64) -> Self {
        let parts = (Arc::clone(&self.store), Arc::clone(&self.host), Arc::clone(&self.clock));
        Self::assemble(parts.0, parts.1, parts.2, Arc::clone(&self.keyring), self.policy.clone(), seed)
    }

    pub(crate) fn factors(&self) -> TwoFactorSteps {
        TwoFactorSteps::new(self.policy.two_factor.clone(), self.driver.ledger_policy()).unwrap()
    }

    pub(crate) async fn enrol(&self, person: Person) {
        let codes = person.recovery_codes();
        self.step(person, |draft| {
            let secret = TotpSecret::from_slice(&person.secret()).unwrap();
            let imported = self.factors().import_device_in(draft, &ImportedDevice::new("app", secret))?;
            assert!(matches!(imported, DeviceImport::Imported(_)));
            let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
            self.factors().import_recovery_in(draft, &codes).unwrap();
            Ok(())
        })
        .await;
    }

    /// Takes a person's devices and recovery codes away.
    pub(crate) async fn without_totp(self, person: Person) -> Self {
        self.step(person, |draft| self.factors().remove_all_in(draft, keywright_core::Client::unknown())).await;
        self
    }

    /// Switches a person's mailed codes on.
    pub(crate) async fn with_email(self, person: Person) -> Self {
        self.step(person, |draft| self.factors().set_email_in(draft, true)).await;
        self
    }

    /// The admin with nothing but e-mail codes.
    pub(crate) async fn email_only() -> Self {
        Self::new().await.without_totp(ADMIN).await.with_email(ADMIN).await
    }

    /// The admin with nothing enrolled.
    pub(crate) async fn password_only() -> Self {
        Self::new().await.without_totp(ADMIN).await
    }

    pub(crate) fn limited(self) -> Self {
        self.host.limited.store(true, Ordering::SeqCst);
        self
    }

    /// A client of a person's login.
    pub(crate) fn client(&self, person: Person) -> Client {
        Client { app: self.app.clone(), id: person.id.into(), token: person.token(), address: None }
    }

    /// How the guess ledger knows the client.
    pub(crate) fn tag(&self, person: Person, client: &Client) -> ClientTag {
        self.app.login_tag(&person.account(), &LoginTokenId(format!("{}-id", client.token)))
    }

    /// The service of a host that has pages of its own for the factors.
    pub(crate) fn two_factor(&self) -> TwoFactor {
        TwoFactor::new(self.driver.clone(), self.policy.two_factor.clone()).unwrap()
    }

    /// A client of another login of the person's.
    pub(crate) fn other_client(&self, person: Person, n: usize) -> Client {
        let token = format!("other-token-planted-{n}-{}", person.name);
        self.host.add_token(person.id, &token);
        Client { token, ..self.client(person) }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().unwrap().get()
    }

    /// The person's present code.
    pub(crate) fn totp(&self, person: Person) -> String {
        code_of(&person.secret(), self.now())
    }

    /// Six digits that are not the person's, now or one step off.
    pub(crate) fn wrong_totp(&self, person: Person) -> String {
        let right: Vec<String> = (0..5).map(|n| code_of(&person.secret(), self.now() - 60 + n * 30)).collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
    }

    /// Spends `times` wrong codes.
    pub(crate) async fn guess_wrong(&self, client: &Client, person: Person, times: usize) {
        for _ in 0..times {
            client.reset().code(&self.wrong_totp(person)).send().await.fails("totp-invalid");
        }
    }

    pub(crate) async fn step<T: Send>(
        &self,
        person: Person,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> T {
        let slots = [keywright_twofactor::SLOTS, keywright_confirm::SLOTS].concat();
        self.driver.transact(&Partition::account(&person.account()), &slots, step).await.unwrap()
    }

    /// Unused recovery codes.
    pub(crate) async fn codes_left(&self, person: Person) -> Option<u8> {
        self.step(person, |draft| self.factors().enrolled_in(draft)).await.recovery
    }

    /// Every root and record there is.
    pub(crate) async fn scan(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for partition in self.store.partitions(None, 100_000).await.unwrap() {
            let slots = self.driver.slots_of(&partition).await.unwrap();
            let found = self.store.load(&partition, &slots).await.unwrap();
            let row = |slot: String, body: &[u8]| Row { partition: partition.clone(), slot, body: body.to_vec() };
            rows.extend(found.root.iter().map(|root| row("root".into(), &root.body)));
            let records = slots.iter().zip(&found.records);
            rows.extend(records.filter_map(|(slot, body)| Some(row(slot.to_text(), body.as_ref()?))));
        }
        rows
    }

    /// A person's events, each chain oldest first, as JSON.
    pub(crate) async fn events(&self, person: Person) -> Vec<Value> {
        let mut all = Vec::new();
        for chain in EventChain::ALL {
            let mut events = self.driver.events(&person.account(), chain, None, 10_000).await.unwrap().events;
            events.reverse();
            all.extend(events.iter().map(|event| serde_json::to_value(event).unwrap()));
        }
        all
    }

    /// How many denials of one kind at one of a person's secrets were counted. Within an hour the log has one event for all.
    async fn denied(&self, person: Person, secret: &str, what: Told, reason: &str) -> u64 {
        let told = self.events(person).await;
        let told = told
            .iter()
            .filter(|event| event["kind"] == "guess_denied" && event["secret"] == secret && event["reason"] == reason);
        let told: u64 = told.map(|event| event["earlier"].as_u64().unwrap_or(0) + 1).sum();
        let mut ledger: GuessLedger = self.step(person, |draft| draft.read(guess::LEDGER)).await.unwrap_or_default();
        let later = self.clock.now().unwrap().plus(7_200);
        let untold = ledger.take_untold(later).into_iter();
        let untold = untold.filter(|untold| untold.secret.as_str() == secret && untold.what == what);
        untold.map(|untold| u64::from(untold.times)).chain([told]).sum()
    }

    /// How many wrong guesses at one of a person's secrets were charged.
    pub(crate) async fn charged(&self, person: Person, secret: &str) -> u64 {
        self.denied(person, secret, Told::Wrong, "wrong").await
    }

    /// How many replays at one of a person's secrets were denied.
    pub(crate) async fn replayed(&self, person: Person, secret: &str) -> u64 {
        self.denied(person, secret, Told::Replayed, "replayed").await
    }

    /// How many of a person's events are of a kind.
    pub(crate) async fn count_events(&self, person: Person, kind: &str) -> usize {
        self.events(person).await.iter().filter(|event| event["kind"] == kind).count()
    }
}
