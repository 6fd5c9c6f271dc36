//! The world with the two-factor endpoints of Rocket.Chat: a host, and four people.

mod client;
mod host;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use client::anonymous;
pub(crate) use client::{Answer, Client, Sending};
pub(crate) use host::{Call, TestHost};
use keywright_core::{AccountId, ClientTag, DenialKind};
use keywright_rocketchat::{LoginTokenId, Permission, RocketChat, RocketChatPolicy, User};
use keywright_store::{Draft, MemoryStore, Partition, StepError};
pub(crate) use keywright_testing::Row;
use keywright_testing::{HookedStore, Store};
use keywright_twofactor::{DeviceImport, ImportedDevice, TotpSecret, TwoFactor, TwoFactorSteps};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// 2027-01-15T08:00:00Z, the start of a step and of a minute.
pub(crate) const START: u64 = 1_800_000_000;

/// A person with an account.
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

    /// The login password as it is typed.
    pub(crate) fn typed_password(self) -> String {
        format!("password-planted-{}", self.name)
    }

    /// The digest of the login password, as clients send it.
    pub(crate) fn password(self) -> String {
        hex::encode(Sha256::digest(self.typed_password()))
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
    base: keywright_testing::World,
    pub(crate) app: RocketChat<TestHost>,
    pub(crate) host: Arc<TestHost>,
    /// The store again, to hold calls up.
    pub(crate) hooked: Arc<HookedStore>,
    pub(crate) policy: RocketChatPolicy,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
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
        let hooked = HookedStore::new(store);
        let base = keywright_testing::World::builder()
            .store(hooked.clone())
            .start(START)
            .accounts(["account-admin", "account-user", "account-target", "account-far"])
            .slots(keywright_confirm::SLOT_KINDS)
            .slots(keywright_twofactor::SLOT_KINDS)
            .slots(keywright_rocketchat::SLOT_KINDS)
            .comparing();
        let base = base.build().await;
        let host = Arc::new(TestHost::new(Arc::clone(&base.clock)));
        for person in PEOPLE {
            let mut user = User::new(person.account(), person.name).with_verified_emails(vec![person.email.into()]);
            user.is_federated = person == FEDERATED;
            host.add_user(person.id, user, &person.password());
            host.add_token(person.id, &person.token());
        }
        for permission in [Permission::EditOtherUserE2ee, Permission::EditOtherUserTotp, Permission::BypassRateLimit] {
            host.permit(&ADMIN.account(), permission);
        }
        let world = Self::assemble(base, hooked, host, policy);
        for person in PEOPLE {
            world.enrol(person).await;
        }
        world
    }

    fn assemble(
        base: keywright_testing::World,
        hooked: Arc<HookedStore>,
        host: Arc<TestHost>,
        policy: RocketChatPolicy,
    ) -> Self {
        let app = RocketChat::new(base.driver.clone(), Arc::clone(&host), policy.clone()).unwrap();
        Self { base, app, host, hooked, policy }
    }

    /// Another server on the same store and host: a restart, or a second process.
    pub(crate) fn restarted(&self, seed: u64) -> Self {
        let parts = (Arc::clone(&self.hooked), Arc::clone(&self.host));
        Self::assemble(self.base.restarted(seed), parts.0, parts.1, self.policy.clone())
    }

    pub(crate) fn factors(&self) -> TwoFactorSteps {
        TwoFactorSteps::new(self.policy.two_factor().clone(), self.driver.ledger_policy()).unwrap()
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

    /// A call without a login.
    pub(crate) fn call(&self, path: &str, body: &Value) -> Sending {
        anonymous(&self.app, "POST", path).json(body)
    }

    /// A log-in by username and typed password.
    pub(crate) fn log_in(&self, person: Person) -> Sending {
        self.call("login", &json!({"user": person.name, "password": person.typed_password()}))
    }

    /// A log-in with a code in the body.
    pub(crate) fn log_in_with(&self, person: Person, code: &str) -> Sending {
        self.call("login", &json!({"user": person.name, "password": person.typed_password(), "code": code}))
    }

    /// A client of the login that an answer has issued.
    pub(crate) fn client_of(&self, answer: &Answer) -> Client {
        let data = &answer.json()["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Client { app: self.app.clone(), id: text("userId"), token: text("authToken"), address: None }
    }

    /// How the guess ledger knows the client.
    pub(crate) fn tag(&self, person: Person, client: &Client) -> ClientTag {
        self.app.login_tag(&person.account(), &LoginTokenId(format!("{}-id", client.token)))
    }

    /// The service of a host that has pages of its own for the factors.
    pub(crate) fn two_factor(&self) -> TwoFactor {
        TwoFactor::new(self.driver.clone(), self.policy.two_factor().clone()).unwrap()
    }

    /// A client of another login of the person's.
    pub(crate) fn other_client(&self, person: Person, n: usize) -> Client {
        let token = format!("other-token-planted-{n}-{}", person.name);
        self.host.add_token(person.id, &token);
        Client { token, ..self.client(person) }
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

    /// A person's events, each chain oldest first, as JSON.
    pub(crate) async fn events(&self, person: Person) -> Vec<Value> {
        self.of(person.account()).events_as_json().await
    }

    /// How many wrong guesses at one of a person's secrets were charged.
    pub(crate) async fn charged(&self, person: Person, secret: &str) -> u64 {
        self.of(person.account()).denied(secret, DenialKind::Wrong).await
    }

    /// How many replays at one of a person's secrets were denied.
    pub(crate) async fn replayed(&self, person: Person, secret: &str) -> u64 {
        self.of(person.account()).denied(secret, DenialKind::Replayed).await
    }

    /// How many of a person's events are of a kind.
    pub(crate) async fn count_events(&self, person: Person, kind: &str) -> usize {
        self.events(person).await.iter().filter(|event| event["kind"] == kind).count()
    }
}
