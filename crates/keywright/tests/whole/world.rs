//! A server of everything over a store whose rows lie open, and clients of its protocols.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use keywright::challenge::{ChallengeSecret, Salts, SetOutcome};
use keywright::confirm::Action;
use keywright::core::{ActionName, SessionId};
use keywright::librepass::{LibrePass, LibrePassPolicy, Privacy, PrivateKey, PublicKey};
use keywright::nextcloud::{Nextcloud, NextcloudPolicy};
use keywright::rekey::{
    CipherList, CreateOutcome, Edit, EditOutcome, Hex, Limits, Put, Submission, VAULT_SLOTS, id_text,
};
use keywright::rocketchat::{RocketChat, RocketChatPolicy};
use keywright::store::{CipherId, Draft, StepError};
use keywright::twofactor::{
    AttestedMethod, DeviceImport, ImportedDevice, Method, Rule, StepUp, StepUpPolicy, Strength, TotpSecret, TwoFactor,
    TwoFactorPolicy, TwoFactorSteps, VerifyOutcome,
};
use keywright::{AccountId, Client, Clock, Keywright, ManualClock};
use keywright_store_conformance::glass::GlassStore;
use keywright_testing::{Heard, keyring, seeded};
use serde::de::DeserializeSeed as _;
use serde_json::{Value, json};

use crate::host::{ALICE, ALICES_PASSWORD, ALICES_PHONE, House, ROCKY, ROCKYS_TOKEN, account};

/// 2027-01-15T08:00:00Z, the start of a time step.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 86_400;
/// Who uses the services without a protocol.
pub(crate) const DORA: &str = "dora";

/// A method that the host checks itself.
pub(crate) const SMS: AttestedMethod = AttestedMethod::new("sms", Strength::OutOfBand);
/// Where the LibrePass server says that it is.
const PUBLIC: &str = "https://pass.example";

/// The home that owners call from.
pub(crate) fn home() -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 7).into()
}

/// What outlives a server: its store, its clock, and the host around it.
pub(crate) struct World {
    base: keywright_testing::World,
    pub(crate) glass: Arc<GlassStore>,
    pub(crate) house: Arc<House>,
    /// What an operator is told.
    pub(crate) heard: Arc<Heard>,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let (glass, heard) = (Arc::<GlassStore>::default(), Heard::new());
        let base = keywright_testing::World::builder().store(glass.clone()).start(START).open();
        Self { base, glass, house: Arc::default(), heard }
    }

    /// A server on the store, as after a restart.
    pub(crate) async fn server(&self) -> Server {
        self.try_server().await.unwrap()
    }

    /// The same, if it starts.
    pub(crate) async fn try_server(&self) -> Result<Server, Box<dyn std::error::Error>> {
        let builder = Keywright::builder_shared(Arc::clone(&self.glass) as _).keyring(keyring());
        let builder = builder.clock(Arc::clone(&self.clock) as _).observer(Arc::clone(&self.heard) as _);
        let keywright = builder.entropy(seeded(self.next_seed())).open().await?;
        let nextcloud = keywright.nextcloud(Arc::clone(&self.house), NextcloudPolicy::default()).unwrap();
        let rocketchat = keywright.rocketchat(Arc::clone(&self.house), RocketChatPolicy::default()).unwrap();
        let policy = LibrePassPolicy::builder(PUBLIC).privacy(Privacy::Uniform).build().unwrap();
        let librepass = keywright.librepass(Arc::clone(&self.house), policy).await?;
        // A proof is remembered, so that step-ups leave rows.
        let rule = Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Password]).remembered(900);
        let policy = TwoFactorPolicy::builder()
            .step_up(StepUpPolicy::builder().attested(SMS).default_rule(rule).build().unwrap())
            .build()
            .unwrap();
        let two_factor = TwoFactor::new(keywright.driver().clone(), policy).unwrap();
        let house = Arc::clone(&self.house);
        let clock = Arc::clone(&self.clock);
        Ok(Server { keywright, nextcloud, rocketchat, librepass, two_factor, house, clock })
    }
}

/// An answer of any of the protocols.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The session's id, where there is one.
    pub(crate) session: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    fn of(response: http::Response<Bytes>) -> Self {
        let session = response.headers().get("x-api-session").map(|id| id.to_str().unwrap().to_owned());
        Self { status: response.status().as_u16(), session, body: response.into_body() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// How a Nextcloud client logs in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login<'a> {
    Password(&'a str, &'a str),
    Phone,
}

pub(crate) const ALICE_AT_HOME: Login<'_> = Login::Password(ALICE, ALICES_PASSWORD);

/// A running server.
pub(crate) struct Server {
    pub(crate) keywright: Keywright,
    pub(crate) nextcloud: Nextcloud<House>,
    pub(crate) rocketchat: RocketChat<House>,
    pub(crate) librepass: LibrePass<House>,
    pub(crate) two_factor: TwoFactor,
    pub(crate) house: Arc<House>,
    pub(crate) clock: Arc<ManualClock>,
}

/// A LibrePass user: an address, and the key that Argon2 would make of the password.
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) key: PrivateKey,
}

impl Person {
    pub(crate) fn new(email: &str, password: u64) -> Self {
        Self { email: email.into(), key: PrivateKey::random(&*seeded(password)).unwrap() }
    }

    pub(crate) fn shared(&self, server: &PublicKey) -> String {
        self.key.agree(server).unwrap().to_hex().expose().to_owned()
    }
}

/// The secret of a passphrase, as a client of PWDv1r1 sends it.
pub(crate) fn secret(n: u8) -> String {
    format!("{n:02x}5ec4e7").repeat(8)
}

fn hex_salts(n: u8) -> [String; 3] {
    [256, 64, 16].map(|bytes| format!("{n:02x}").repeat(bytes))
}

pub(crate) fn salts(n: u8) -> Salts {
    let [one, two, three] = hex_salts(n);
    Salts::parse(&[one.as_str(), &two, &three]).unwrap()
}

/// The code of a secret, as an app shows it.
pub(crate) fn code_of(secret: &[u8], at: u64) -> String {
    totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(at).to_string()
}

/// The seed of everybody's device.
const SEED: [u8; 20] = [7; 20];

/// Text of a cipher; none comes twice, because its nonce does not.
pub(crate) fn cipher_text() -> String {
    static NONCE: AtomicU64 = AtomicU64::new(1);
    format!("{:024x}{}", NONCE.fetch_add(1, Ordering::Relaxed), "ab".repeat(24))
}

pub(crate) fn cipher_id(number: u32) -> CipherId {
    let mut id = [0x11; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    CipherId(id)
}

/// A destructive action of Dora's.
pub(crate) struct DeleteVault(pub(crate) u32);

impl Action for DeleteVault {
    const NAME: &'static str = "vault.delete";
    fn target(&self) -> &str {
        "vault"
    }
    fn parameters(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

/// The clients.
impl Server {
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().unwrap().get()
    }

    /// The code that everybody's device shows.
    pub(crate) fn totp(&self) -> String {
        code_of(&SEED, self.now())
    }

    /// Sends one request of the Nextcloud protocol.
    pub(crate) async fn passwords(
        &self,
        login: Login<'_>,
        from: IpAddr,
        session: Option<&str>,
        (path, body): (&str, Option<Value>),
    ) -> Answer {
        let (name, password) = match login {
            Login::Password(name, password) => (name, password),
            Login::Phone => (ALICE, ALICES_PHONE),
        };
        let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(format!("{}{path}", keywright::nextcloud::BASE_PATH))
            .header("authorization", basic)
            .header("content-type", "application/json")
            .extension(from);
        let request = session.iter().fold(request, |request, id| request.header("x-api-session", *id));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        Answer::of(self.nextcloud.handle(request.body(body).unwrap()).await)
    }

    /// Opens a session of Alice's with the passphrase `n`. Returns its id.
    pub(crate) async fn open_session(&self, login: Login<'_>, n: u8) -> String {
        let asked = self.passwords(login, home(), None, ("session/request", None)).await.is(200);
        let body = json!({"challenge": secret(n)});
        let opened = self.passwords(login, home(), asked.session.as_deref(), ("session/open", Some(body))).await;
        opened.is(200).session.unwrap()
    }

    /// Sets Alice's passphrase, in the place of an old one.
    pub(crate) async fn set_passphrase(&self, new: u8, old: Option<u8>) {
        let session = match old {
            Some(old) => Some(self.open_session(ALICE_AT_HOME, old).await),
            None => None,
        };
        let body = json!({"secret": secret(new), "data": hex_salts(new), "oldSecret": old.map(secret)});
        let request = ("account/challenge/set", Some(body));
        self.passwords(ALICE_AT_HOME, home(), session.as_deref(), request).await.is(200);
    }

    /// Sends one request of the Rocket.Chat protocol, with Rocky's login or another token.
    pub(crate) async fn chat(&self, token: &str, from: IpAddr, code: Option<&str>, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}{path}", keywright::rocketchat::BASE_PATH))
            .header("x-user-id", ROCKY)
            .header("x-auth-token", token)
            .header("content-type", "application/json")
            .extension(from);
        let request = code.iter().fold(request, |request, code| request.header("x-2fa-code", *code));
        let request = request.header("x-2fa-method", "totp").body(body.to_string()).unwrap();
        Answer::of(self.rocketchat.handle(request).await)
    }

    pub(crate) async fn rocky(&self, code: Option<&str>, path: &str, body: Value) -> Answer {
        self.chat(ROCKYS_TOKEN, home(), code, path, body).await
    }

    /// Sends one request of the LibrePass protocol.
    pub(crate) async fn pass(
        &self,
        (method, path): (&str, &str),
        from: IpAddr,
        token: Option<&str>,
        body: &Value,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-client", "Java/1.5.0").extension(from);
        let request = request.header("content-type", "application/json");
        let request = token.iter().fold(request, |request, token| request.header("authorization", *token));
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        Answer::of(self.librepass.handle(request.body(body).unwrap()).await)
    }

    pub(crate) async fn server_key(&self) -> PublicKey {
        let answer = self.pass(("GET", "/api/auth/preLogin?email="), home(), None, &Value::Null).await.is(200);
        PublicKey::from_hex(answer.json()["serverPublicKey"].as_str().unwrap()).unwrap()
    }

    pub(crate) async fn register(&self, person: &Person, from: IpAddr) -> Answer {
        let body = json!({
            "email": person.email,
            "sharedKey": person.shared(&self.server_key().await),
            "parallelism": 3,
            "memory": 65_536,
            "iterations": 4,
            "publicKey": person.key.public_key().to_hex().expose(),
        });
        self.pass(("POST", "/api/auth/register"), from, None, &body).await
    }

    /// Opens the newest link that was mailed to an address.
    pub(crate) async fn open_link(&self, email: &str) -> Answer {
        let link = self.house.take(email).unwrap();
        self.pass(("GET", link.strip_prefix(PUBLIC).unwrap()), home(), None, &Value::Null).await
    }

    /// Logs in. Returns the token and whose it is.
    pub(crate) async fn log_in(&self, person: &Person, from: IpAddr) -> (String, String) {
        let body = json!({"email": person.email, "sharedKey": person.shared(&self.server_key().await)});
        let answer = self.pass(("POST", "/api/auth/oauth?grantType=login"), from, None, &body).await.is(200).json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("apiKey"), text("userId"))
    }

    /// Writes ciphers of these numbers.
    pub(crate) async fn sync(&self, (token, user): &(String, String), numbers: impl IntoIterator<Item = u32>) {
        let cipher = |number| json!({"id": id_text(cipher_id(number)), "owner": user, "protectedData": cipher_text()});
        let updated: Vec<Value> = numbers.into_iter().map(cipher).collect();
        let body = json!({"lastSyncTimestamp": 0, "updated": updated, "deleted": []});
        self.pass(("POST", "/api/cipher/sync"), home(), Some(token), &body).await.is(200);
    }

    /// Requests a change of address; the vault has `ciphers`.
    pub(crate) async fn ask_for_address(&self, token: &str, old: &Person, new: &Person, ciphers: u32) {
        let server = self.server_key().await;
        let again = |number| json!({"id": id_text(cipher_id(number)), "data": cipher_text()});
        let body = json!({
            "newEmail": new.email,
            "oldSharedKey": old.shared(&server),
            "newPublicKey": new.key.public_key().to_hex().expose(),
            "newSharedKey": new.shared(&server),
            "ciphers": (0..ciphers).map(again).collect::<Vec<Value>>(),
        });
        self.pass(("PATCH", "/api/user/email"), home(), Some(token), &body).await.is(200);
    }
}

/// The services themselves.
impl Server {
    /// The client of a member's own.
    pub(crate) fn client_of(&self, name: &str) -> Client {
        self.keywright.client(&account(name), format!("the app token of {name}").as_bytes())
    }

    pub(crate) fn network(&self, of: &AccountId, from: IpAddr) -> Client {
        self.keywright.client(of, from.to_string().as_bytes())
    }

    /// Runs a step on an account.
    async fn step<T: Send>(
        &self,
        of: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> T {
        let slots = [keywright::twofactor::SLOTS, &VAULT_SLOTS].concat();
        self.keywright.driver().transact(&of.into(), &slots, step).await.unwrap()
    }

    /// Makes the owners: Alice with a passphrase, Rocky with a device, recovery codes and mailed codes, Dora with a
    /// passphrase, a device, recovery codes and a vault of three, and a LibrePass user with a vault of three, whose login is returned.
    pub(crate) async fn settle(&self, user: &Person) -> (String, String) {
        for name in [ALICE, ROCKY, DORA] {
            self.keywright.ensure_account(&account(name)).await.unwrap();
        }
        self.set_passphrase(1, None).await;
        let ledger = self.keywright.driver().ledger_policy();
        let steps = TwoFactorSteps::new(RocketChatPolicy::default().two_factor().clone(), ledger).unwrap();
        self.enrol(&account(ROCKY), &steps, "AbcdEF2").await;
        self.step(&account(ROCKY), |draft| steps.set_email_in(draft, true)).await;

        self.settle_member(DORA).await;

        self.register(user, home()).await.is(201);
        self.open_link(&user.email).await.is(302);
        let login = self.log_in(user, home()).await;
        self.sync(&login, 0..3).await;
        login
    }

    /// Adds to an account that has been made a passphrase, a device and a vault of three.
    pub(crate) async fn settle_member(&self, name: &str) {
        let member = account(name);
        let first = ChallengeSecret::from_client(&secret(1)).unwrap();
        let set = self.keywright.challenges().set(&member, &first, &salts(1), self.client_of(name)).await.unwrap();
        assert!(matches!(set, SetOutcome::Set(_)));
        let made = self.step(&member, |draft| self.keywright.vaults().steps().create_in(draft)).await;
        assert!(matches!(made, CreateOutcome::Created));
        self.edit(name, &[(0, "first"), (1, "second"), (2, "third")], &[]).await;
        let device = ImportedDevice::new("phone", TotpSecret::from_slice(&SEED).unwrap());
        let imported = self.two_factor.import_device(&member, &device).await.unwrap();
        assert!(matches!(imported, DeviceImport::Imported(_)));
    }

    async fn enrol(&self, of: &AccountId, steps: &TwoFactorSteps, prefix: &str) {
        let codes: Vec<String> = "GHJKLMNPQRST".chars().map(|last| format!("{prefix}{last}")).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let device = ImportedDevice::new("phone", TotpSecret::from_slice(&SEED).unwrap());
        let step = |draft: &mut Draft<'_>| {
            let imported = steps.import_device_in(draft, &device)?;
            assert!(matches!(imported, DeviceImport::Imported(_)));
            steps.import_recovery_in(draft, &codes).unwrap();
            Ok(())
        };
        self.step(of, step).await;
    }

    /// Steps up for an action in a session, with the device.
    pub(crate) async fn step_up(&self, name: &str, action: &ActionName, session: &[u8]) -> StepUp {
        let (member, code, client) = (account(name), self.totp(), self.client_of(name));
        match self.two_factor.step_up_totp(&member, action, SessionId::new(session), &code, client).await.unwrap() {
            VerifyOutcome::Granted(proof) => proof,
            other => panic!("{other:?}"),
        }
    }

    /// Writes and deletes ciphers of a member's.
    pub(crate) async fn edit(&self, name: &str, puts: &[(u32, &str)], deletes: &[u32]) {
        let (vaults, member) = (self.keywright.vaults(), account(name));
        let texts: Vec<String> = puts.iter().map(|_| cipher_text()).collect();
        let puts = puts.iter().zip(&texts).map(|((number, note), text)| {
            Put::new(cipher_id(*number), Limits::default().check(&Hex, text).unwrap(), text, note.as_bytes())
        });
        let edit = Edit::new(puts.collect(), deletes.iter().map(|&number| cipher_id(number)).collect());
        let head = vaults.head(&member).await.unwrap().unwrap();
        let edited = vaults.edit(&member, &edit, head.key_epoch).await.unwrap();
        assert!(matches!(edited, EditOutcome::Done { .. }), "{edited:?}");
    }
}

/// A re-encryption of ciphers of these numbers, as a client sends it.
pub(crate) fn submitted(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let entry = |number| json!({"id": id_text(cipher_id(number)), "data": cipher_text()});
    serde_json::to_vec(&numbers.into_iter().map(entry).collect::<Vec<Value>>()).unwrap()
}

pub(crate) fn submission(body: &[u8]) -> Submission<'_> {
    CipherList::new(body, Limits::default(), &Hex).deserialize(&mut serde_json::Deserializer::from_slice(body)).unwrap()
}
