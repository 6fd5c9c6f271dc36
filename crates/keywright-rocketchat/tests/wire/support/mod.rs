//! The world that a test runs in: a store, a host, a clock that stands still, and four people.

mod client;
mod host;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) use client::{Answer, Client};
pub(crate) use host::{Call, TestHost};
use keywright_core::{AccountId, Clock, Keyring, ManualClock, SharedRng, UnixSeconds};
use keywright_rocketchat::{Permission, RocketChat, RocketChatPolicy, User};
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore, Scanned, Slot, StepError, Upkeep};
use keywright_twofactor::{TotpSecret, TwoFactorSteps};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// 2027-01-15T08:00:00Z, the start of a step and of a minute.
pub(crate) const START: u64 = 1_800_000_000;

/// What a test needs of a store.
pub(crate) trait Store: RecordStore + Upkeep + 'static {}
impl<S: RecordStore + Upkeep + 'static> Store for S {}

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
    pub(crate) store: Arc<dyn Store>,
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
        let keyring = Arc::new(Keyring::generate(&*entropy(7)).unwrap());
        let world = Self::assemble(store, host, clock, keyring, policy, 1);
        for person in PEOPLE {
            world.step(person, |draft| draft.create_account()).await;
            world.enrol(person).await;
        }
        world
    }

    fn assemble(
        store: Arc<dyn Store>,
        host: Arc<TestHost>,
        clock: Arc<ManualClock>,
        keyring: Arc<Keyring>,
        policy: RocketChatPolicy,
        seed: u64,
    ) -> Self {
        let records: Arc<dyn RecordStore> = store.clone();
        let driver = Driver::new(records, Arc::clone(&keyring), entropy(seed), clock.clone());
        let app = RocketChat::new(driver.clone(), Arc::clone(&host), policy.clone()).unwrap();
        Self { app, host, store, clock, keyring, driver, policy }
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) fn restarted(&self, seed: u64) -> Self {
        let parts = (Arc::clone(&self.store), Arc::clone(&self.host), Arc::clone(&self.clock));
        Self::assemble(parts.0, parts.1, parts.2, Arc::clone(&self.keyring), self.policy.clone(), seed)
    }

    pub(crate) fn factors(&self) -> TwoFactorSteps {
        TwoFactorSteps::new(self.policy.two_factor.clone())
    }

    pub(crate) async fn enrol(&self, person: Person) {
        let codes = person.recovery_codes();
        self.step(person, |draft| {
            let secret = TotpSecret::from_slice(&person.secret()).unwrap();
            self.factors().import_device_in(draft, "app", secret)?;
            let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
            self.factors().import_recovery_in(draft, &codes).unwrap();
            Ok(())
        })
        .await;
    }

    /// Takes a person's devices and recovery codes away.
    pub(crate) async fn without_totp(self, person: Person) -> Self {
        self.step(person, |draft| self.factors().remove_all_in(draft)).await;
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
        Client { app: self.app.clone(), id: person.id.into(), token: person.token() }
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
        let slots = [
            Slot::Ledger,
            Slot::Due,
            Slot::Challenge,
            Slot::Factors,
            Slot::Recovery,
            Slot::Keychain,
            Slot::Sessions,
            Slot::VaultHead,
            Slot::Confirmations,
        ];
        self.driver.transact(&Partition::account(&person.account()), &slots, step).await.unwrap().0
    }

    /// Unused recovery codes.
    pub(crate) async fn codes_left(&self, person: Person) -> Option<u8> {
        self.step(person, |draft| self.factors().enrolled_in(draft)).await.recovery
    }

    /// Every record there is.
    pub(crate) async fn scan(&self) -> Vec<Scanned> {
        self.store.scan(None, 100_000).await.unwrap()
    }

    /// A person's events, oldest first, as JSON.
    pub(crate) async fn events(&self, person: Person) -> Vec<Value> {
        let mut events = self.store.events(&Partition::account(&person.account()), None, 10_000).await.unwrap();
        events.reverse();
        events.iter().map(|(_, event)| serde_json::to_value(event).unwrap()).collect()
    }

    /// How many of a person's events are of a kind.
    pub(crate) async fn count_events(&self, person: Person, kind: &str) -> usize {
        self.events(person).await.iter().filter(|event| event["kind"] == kind).count()
    }
}
