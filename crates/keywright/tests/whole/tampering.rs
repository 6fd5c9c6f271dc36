//! Somebody who writes the database without the keyring, against accounts that the real services have filled.
//!
//! Every single row is put back, moved, dropped or added; each time every use of whatever it belongs to shows the truth or
//! is denied, at least one is denied as damage, and no use mends it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use keywright::challenge::{ChallengeSecret, Proof, Verification};
use keywright::confirm::{Confirmation, SendOutcome};
use keywright::rekey::{Swap, VaultError};
use keywright::store::slot::KindName;
use keywright::store::{CipherId, Partition, SlotName, StageId, Which};
use keywright::twofactor::recovery::Liveness;
use keywright::twofactor::{CHANGE_FACTORS, Demand, VerifyOutcome};
use keywright::{AccountId, Client, EventChain, UnixSeconds};
use keywright_store_conformance::glass::Rows;
use serde_json::{Value, json};

use crate::host::{ALICE, ROCKY, account};
use crate::world::{
    ALICE_AT_HOME, Answer, DORA, DeleteVault, Login, Person, Server, World, cipher_id, home, salts, secret, submission,
    submitted,
};

/// Another member, of whom rows can be taken.
const EMIL: &str = "emil";
/// A member who has nothing.
const FRITZ: &str = "fritz";
const SESSION: &[u8] = b"session 1";
/// Who has LibrePass, whose registration waits, and who is nobody.
const OWNER: &str = "owner@example.com";
const WAITING: &str = "waiting@example.com";
const NOBODY: &str = "nobody@example.com";

/// What a member knows.
#[derive(Default)]
struct Known {
    typed: String,
    mailed: String,
    recovery: String,
    upload: Option<StageId>,
}

/// The accounts and their past.
struct Scene {
    world: World,
    server: Server,
    user: Person,
    /// The LibrePass login: token and user.
    login: (String, String),
    /// Links of the change of address, and of the registration that waits.
    links: [String; 2],
    /// Alice's session.
    session: String,
    known: BTreeMap<&'static str, Known>,
    /// Where the address of the LibrePass user was waited for. Nobody looks there while it has an owner, and it is swept.
    idle: Vec<Partition>,
    /// All rows, after each act.
    past: Vec<Rows>,
    rows: Rows,
}

/// A use of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Open,
    Salts(&'static str),
    Passphrase(&'static str),
    Typed(&'static str),
    Mailed(&'static str),
    Enrolled(&'static str),
    Device(&'static str),
    Recovery(&'static str),
    StepUp(&'static str),
    Vault(&'static str),
    /// The first vault of who has none.
    FirstVault(&'static str),
    Manifest(&'static str),
    Upload(&'static str),
    Names(&'static str),
    Due(&'static str),
    Log(&'static str, EventChain),
    Session,
    Typo,
    Password,
    Keychain,
    Reset,
    ChatDevice,
    ChatRecovery,
    LogIn,
    Sync,
    Hint,
    NewAddress,
    Verify,
    FirstLogIn,
    Resend,
    NobodyLogsIn,
}

/// How a use ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Shown(String),
    /// Refused, for another reason than damage.
    Denied(String),
    /// Denied, and the damage was reported to the operator.
    Noticed,
}

/// What an answer shows: an error of the server's own is none.
fn shown(answer: Answer) -> Result<String, String> {
    match answer.status {
        500.. => Err(format!("{answer:?}")),
        status @ 400.. => Ok(format!("denied: {status}")),
        status => Ok(status.to_string()),
    }
}

fn granted<T>(verdict: VerifyOutcome<T>) -> String {
    match verdict {
        VerifyOutcome::Granted(_) => "granted".into(),
        VerifyOutcome::NotEnrolled => "denied: not enrolled".into(),
        _ => "denied".into(),
    }
}

fn said(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let server = world.server().await;
        let user = Person::new(OWNER, 1);
        let mut past = vec![world.glass.rows()];
        let mut snap = || past.push(world.glass.rows());
        let login = server.settle(&user).await;
        let listed = world.glass.rows().records.into_keys().filter(|(_, slot)| slot.to_string() == "lp-waiting");
        let idle = listed.map(|(partition, _)| partition).collect();
        snap();
        for name in [EMIL, FRITZ] {
            server.keywright.ensure_account(&account(name)).await.unwrap();
        }
        server.settle_member(EMIL).await;
        snap();

        let mut known: BTreeMap<&'static str, Known> = BTreeMap::new();
        for name in [DORA, EMIL] {
            known.insert(name, Known::default());
            let (member, client) = (account(name), server.client_of(name));
            let change = server.step_up(name, CHANGE_FACTORS, SESSION).await;
            let codes = server.two_factor.make_recovery(change, Liveness::Now, client).await.unwrap();
            let codes: Vec<String> = codes.iter().map(str::to_owned).collect();
            snap();
            let wrong = server.two_factor.verify_totp(&member, "000000", "log-in", Client::unknown()).await.unwrap();
            assert_eq!(granted(wrong), "denied");
            snap();
            let right = server.two_factor.verify_recovery(&member, &codes[0], "log-in", client).await.unwrap();
            assert_eq!(granted(right), "granted");
            snap();
            known.entry(name).or_default().recovery = codes[1].clone();
            let challenges = server.keywright.challenges();
            let old = Proof::from_client(&secret(1)).unwrap();
            let new = ChallengeSecret::from_client(&secret(2)).unwrap();
            let replaced = challenges.replace(&member, &old, &new, &salts(2), client).await.unwrap();
            assert!(matches!(replaced, Verification::Granted(_)));
            snap();
            server.edit(name, &[(0, "newer"), (3, "fourth")], &[2]).await;
            snap();
            let body = submitted([0, 1, 3]);
            let swapped =
                server.keywright.vaults().swap(&member, &submission(&body), None, &[], |_| Ok(())).await.unwrap();
            assert!(matches!(swapped, Swap::Done { .. }), "{swapped:?}");
            snap();
            server.edit(name, &[(1, "newest")], &[]).await;
            snap();
        }

        // Alice: another passphrase, a keychain twice, a typo, a session, and a reset that is asked for.
        server.set_passphrase(2, Some(1)).await;
        snap();
        let session = server.open_session(ALICE_AT_HOME, 2).await;
        for keychain in ["first", "second"] {
            let body = json!({"id": "CSEv1r1", "data": keychain});
            server.passwords(ALICE_AT_HOME, home(), Some(&session), ("keychain/set", Some(body))).await.is(200);
            snap();
        }
        for guess in ["guess", "another"] {
            let login = Login::Password(ALICE, guess);
            server.passwords(login, home(), None, ("session/request", None)).await;
            snap();
        }
        for _ in 0..2 {
            let body = json!({"challenge": secret(9)});
            server.passwords(Login::Phone, home(), None, ("session/open", Some(body))).await.is(401);
            snap();
        }
        server.passwords(ALICE_AT_HOME, home(), Some(&session), ("account/reset", Some(json!({})))).await.is(202);
        snap();

        // Rocky: new recovery codes, and one of them wrong.
        server.clock.advance(60);
        let body = json!({"code": server.totp()});
        server.rocky(None, "users.totp.regenerateCodes", body).await.is(200);
        snap();
        server.rocky(Some("ZZZZZZZZ"), "users.resetE2EKey", json!({})).await.is(400);
        snap();

        // The LibrePass user: a wrong key, ciphers, a change of address that waits, a mail that does not go out.
        let wrong = Person::new(&user.email, 2).shared(&server.server_key().await);
        for email in [&*user.email, NOBODY, NOBODY] {
            let body = json!({"email": email, "sharedKey": wrong});
            server.pass(("POST", "/api/auth/oauth?grantType=login"), home(), None, &body).await.is(400);
            snap();
        }
        server.sync(&login, [0, 1]).await;
        snap();
        server.register(&Person::new(WAITING, 3), home()).await.is(201);
        snap();
        let waits = server.house.take(WAITING).unwrap();
        for n in 4..6 {
            server.ask_for_address(&login.0, &user, &Person::new("owner.new@example.com", n), 3).await;
            snap();
        }
        let links = [server.house.take("owner.new@example.com").unwrap(), waits];
        server.house.is_mail_down.store(true, Ordering::Relaxed);
        let hint = format!("/api/auth/passwordHint?email={}", user.email);
        server.pass(("GET", &hint), home(), None, &Value::Null).await.is(200);
        snap();

        // The members again: what lasts minutes only.
        for name in [DORA, EMIL] {
            let (member, known) = (account(name), known.get_mut(name).unwrap());
            drop(server.step_up(name, "vault.export", SESSION).await);
            snap();
            let confirmations = server.keywright.confirmations();
            known.typed = confirmations.ask_code(&member, &DeleteVault(1), SESSION).await.unwrap().expose().to_owned();
            snap();
            let sent = confirmations.ask_mailed(&member, &DeleteVault(2), SESSION).await.unwrap();
            let SendOutcome::Send(code) = sent else { panic!("{sent:?}") };
            known.mailed = code.expose().to_owned();
            snap();
            let wrong = confirmations.confirm_code(&member, DeleteVault(1), SESSION, "000-000").await.unwrap();
            assert!(!matches!(wrong, Confirmation::Granted(_)));
            snap();
            let vaults = server.keywright.vaults();
            let until = UnixSeconds::new(server.now() + 3_600).unwrap();
            let keywright::rekey::UploadStart::Begun { upload, .. } =
                vaults.begin_upload(&member, None, until).await.unwrap()
            else {
                panic!("no upload")
            };
            let part = submitted([0, 1, 3]);
            let _ = vaults.put_part(&member, upload, &submission(&part)).await.unwrap();
            known.upload = Some(upload);
            snap();
        }
        server.house.is_mail_down.store(false, Ordering::Relaxed);
        // The next code of every device.
        server.clock.advance(60);
        let rows = world.glass.rows();
        Self { world, server, user, login, links, session, known, idle, past, rows }
    }

    fn put(&self, rows: &Rows) {
        self.world.glass.edit(|all| *all = rows.clone());
    }

    fn librepass_account(&self) -> AccountId {
        AccountId::new(self.login.1.clone()).unwrap()
    }

    /// Whose account a use is of; the LibrePass user's goes by the name of its address.
    fn account_of(&self, name: &str) -> AccountId {
        match name {
            WAITING => {
                let (_, user) = self.links[1].split_once("user=").unwrap();
                AccountId::new(&user[..36]).unwrap()
            }
            OWNER => self.librepass_account(),
            name => account(name),
        }
    }

    async fn use_it(&self, used: Use) -> Seen {
        let before = self.world.heard.damages();
        let ended = self.try_to(used).await;
        let told = self.world.heard.damages() > before;
        match ended {
            Ok(shown) if !told && shown.starts_with("denied") => Seen::Denied(shown),
            Ok(shown) if !told => Seen::Shown(shown),
            Ok(shown) if shown.starts_with("denied") => Seen::Noticed,
            Err(_) if told => Seen::Noticed,
            Err(other) if !told => Seen::Denied(other),
            other => panic!("{used:?} ends in {other:?}, and damage was told: {told}"),
        }
    }

    async fn try_to(&self, used: Use) -> Result<String, String> {
        let server = &self.server;
        let (confirmations, vaults) = (server.keywright.confirmations(), server.keywright.vaults());
        let none = Known::default();
        let known = |name: &str| self.known.get(name).unwrap_or(&none);
        Ok(match used {
            Use::Open => self.world.try_server().await.map(|_| "open".to_owned()).map_err(said)?,
            Use::Salts(name) => {
                format!("{:?}", server.keywright.challenges().get(&account(name)).await.map_err(said)?)
            }
            Use::Passphrase(name) => {
                let proof = Proof::from_client(&secret(2)).unwrap();
                let (member, challenges) = (account(name), server.keywright.challenges());
                match challenges.verify(&member, &proof, server.client_of(name)).await.map_err(said)? {
                    Verification::Granted(_) => "granted".into(),
                    other => format!("denied: {other:?}"),
                }
            }
            Use::Typed(name) => {
                let typed = &known(name).typed;
                match confirmations.confirm_code(&account(name), DeleteVault(1), SESSION, typed).await.map_err(said)? {
                    Confirmation::Granted(_) => "granted".into(),
                    _ => "denied".into(),
                }
            }
            Use::Mailed(name) => {
                let (member, client, typed) = (account(name), server.client_of(name), &known(name).mailed);
                let confirmed = confirmations.confirm_mailed(&member, DeleteVault(2), SESSION, typed, client);
                match confirmed.await.map_err(said)? {
                    Confirmation::Granted(_) => "granted".into(),
                    _ => "denied".into(),
                }
            }
            Use::Enrolled(name) => format!("{:?}", server.two_factor.enrolled(&account(name)).await.map_err(said)?),
            Use::Device(name) => {
                let (member, code, client) = (account(name), server.totp(), server.client_of(name));
                let verified = server.two_factor.verify_totp(&member, &code, "log-in", client);
                granted(verified.await.map_err(said)?)
            }
            Use::Recovery(name) => {
                let (member, code, client) = (account(name), &known(name).recovery, server.client_of(name));
                let verified = server.two_factor.verify_recovery(&member, code, "log-in", client);
                granted(verified.await.map_err(said)?)
            }
            Use::StepUp(name) => {
                match server.two_factor.demand(&account(name), "vault.export", SESSION, true).await.map_err(said)? {
                    Demand::Remembered(_) => "granted".into(),
                    _ => "denied".into(),
                }
            }
            Use::Vault(name) => match vaults.read(&self.account_of(name), Which::All).await.map_err(said)? {
                Some(contents) => {
                    let ciphers = contents.ciphers.iter();
                    let ciphers = ciphers.map(|cipher| (cipher.id(), cipher.text(), cipher.note()));
                    format!("{:?}", ciphers.collect::<Vec<_>>())
                }
                None => "no vault".into(),
            },
            Use::FirstVault(name) => {
                let (member, slots) = (account(name), [keywright::rekey::VAULT_SLOT]);
                let make = |draft: &mut keywright::store::Draft<'_>| vaults.steps().create_in(draft).map(drop);
                let made = server.keywright.driver().transact(&Partition::account(&member), &slots, make).await;
                made.map_err(said)?;
                let read = vaults.read(&member, Which::All).await.map_err(said)?;
                format!("{} ciphers", read.unwrap().ciphers.len())
            }
            Use::Manifest(name) => match vaults.manifest(&self.account_of(name)).await {
                Ok(manifest) => format!("{manifest:?}"),
                Err(error) => return Err(said(error)),
            },
            Use::Upload(name) => {
                let upload = known(name).upload.unwrap_or(StageId([7; 16]));
                match vaults.finish_upload(&account(name), upload, &[], |_| Ok(())).await {
                    Ok(Swap::Done { .. }) => "granted".into(),
                    Ok(_) => "denied".into(),
                    Err(VaultError::Restless) => "denied: restless".into(),
                    Err(error) => return Err(said(error)),
                }
            }
            Use::Names(name) => {
                let look = |draft: &mut keywright::store::Draft<'_>| keywright::store::names::owned(draft);
                let slots = [keywright::store::names::NAMES.name()];
                let partition = Partition::account(&account(name));
                format!("{:?}", server.keywright.driver().observe(&partition, &slots, look).await.map_err(said)?)
            }
            Use::Due(name) => {
                let account = self.account_of(name);
                server.nextcloud.finish_due(&account).await.map_err(said)?;
                server.rocketchat.finish_due(&account, false).await.map_err(said)?;
                server.librepass.finish_due(&account).await.map_err(said)?.to_string()
            }
            Use::Log(name, chain) => {
                let page = server.keywright.events(&self.account_of(name), chain, None, 1_000).await.map_err(said)?;
                format!("{:?}", page.events)
            }
            Use::Session => {
                let request = ("account/challenge/get", None);
                shown(server.passwords(ALICE_AT_HOME, home(), Some(&self.session), request).await)?
            }
            Use::Typo => {
                let body = json!({"challenge": secret(9)});
                shown(server.passwords(Login::Phone, home(), None, ("session/open", Some(body))).await)?
            }
            Use::Password => shown(server.passwords(ALICE_AT_HOME, home(), None, ("session/request", None)).await)?,
            Use::Keychain => {
                let answer = server.passwords(ALICE_AT_HOME, home(), Some(&self.session), ("keychain/get", None)).await;
                match answer.status {
                    200 => answer.json().to_string(),
                    _ => shown(answer)?,
                }
            }
            Use::Reset => {
                let request = ("account/reset", Some(json!({})));
                shown(server.passwords(ALICE_AT_HOME, home(), Some(&self.session), request).await)?
            }
            Use::ChatDevice => shown(server.rocky(Some(&server.totp()), "users.resetE2EKey", json!({})).await)?,
            Use::ChatRecovery => shown(server.rocky(Some("ZZZZZZZZ"), "users.resetE2EKey", json!({})).await)?,
            Use::LogIn | Use::NobodyLogsIn => {
                let shared = self.user.shared(&self.try_server_key().await?);
                let email = if used == Use::LogIn { &*self.user.email } else { NOBODY };
                let body = json!({"email": email, "sharedKey": shared});
                shown(server.pass(("POST", "/api/auth/oauth?grantType=login"), home(), None, &body).await)?
            }
            Use::Sync => {
                let body = json!({"lastSyncTimestamp": 0, "updated": [], "deleted": []});
                let answer = server.pass(("POST", "/api/cipher/sync"), home(), Some(&self.login.0), &body).await;
                match answer.status {
                    200 => answer.json()["ciphers"].to_string(),
                    _ => shown(answer)?,
                }
            }
            Use::Hint => {
                let path = format!("/api/auth/passwordHint?email={}", self.user.email);
                shown(server.pass(("GET", &path), home(), None, &Value::Null).await)?
            }
            Use::NewAddress | Use::Verify => {
                let link = &self.links[usize::from(used == Use::Verify)];
                let path = &link[link.find("/api/").unwrap()..];
                shown(server.pass(("GET", path), home(), None, &Value::Null).await)?
            }
            Use::FirstLogIn => {
                let path = &self.links[1][self.links[1].find("/api/").unwrap()..];
                let verified = shown(server.pass(("GET", path), home(), None, &Value::Null).await)?;
                let shared = Person::new(WAITING, 3).shared(&self.try_server_key().await?);
                let body = json!({"email": WAITING, "sharedKey": shared});
                let log_in = ("POST", "/api/auth/oauth?grantType=login");
                format!("{verified}, {}", shown(server.pass(log_in, home(), None, &body).await)?)
            }
            Use::Resend => {
                let path = format!("/api/auth/resendVerificationEmail?email={WAITING}");
                shown(server.pass(("GET", &path), home(), None, &Value::Null).await)?
            }
        })
    }

    async fn try_server_key(&self) -> Result<keywright::librepass::PublicKey, String> {
        let path = ("GET", "/api/auth/preLogin?email=");
        let answer = self.server.pass(path, home(), None, &Value::Null).await;
        if answer.status != 200 {
            return Err(format!("{answer:?}"));
        }
        let key = answer.json()["serverPublicKey"].as_str().unwrap().to_owned();
        Ok(keywright::librepass::PublicKey::from_hex(&key).unwrap())
    }

    /// The uses of a partition.
    fn uses(&self, partition: &Partition) -> Vec<Use> {
        let logs = |name| EventChain::ALL.map(|chain| Use::Log(name, chain));
        for name in [DORA, EMIL, FRITZ] {
            if *partition == Partition::account(&account(name)) {
                return [
                    Use::Salts(name),
                    Use::Passphrase(name),
                    Use::Typed(name),
                    Use::Mailed(name),
                    Use::Enrolled(name),
                    Use::Device(name),
                    Use::Recovery(name),
                    Use::StepUp(name),
                    Use::Vault(name),
                    if name == FRITZ { Use::FirstVault(name) } else { Use::Vault(name) },
                    Use::Manifest(name),
                    Use::Upload(name),
                    Use::Names(name),
                    Use::Due(name),
                ]
                .into_iter()
                .chain(logs(name))
                .collect();
            }
        }
        if *partition == Partition::account(&account(ALICE)) {
            let uses = [Use::Session, Use::Typo, Use::Password, Use::Keychain, Use::Reset, Use::Due(ALICE)];
            return uses.into_iter().chain(logs(ALICE)).collect();
        }
        if *partition == Partition::account(&account(ROCKY)) {
            let uses = [Use::ChatDevice, Use::ChatRecovery, Use::Due(ROCKY)];
            return uses.into_iter().chain(logs(ROCKY)).collect();
        }
        if *partition == Partition::account(&self.librepass_account()) {
            let uses = [Use::LogIn, Use::Sync, Use::Hint, Use::NewAddress, Use::Vault(OWNER), Use::Due(OWNER)];
            return uses.into_iter().chain(logs(OWNER)).collect();
        }
        if *partition == Partition::server() {
            return vec![Use::Open, Use::LogIn];
        }
        if partition.is_account() {
            let uses = [Use::Verify, Use::FirstLogIn, Use::Vault(WAITING), Use::Due(WAITING)];
            return uses.into_iter().chain(logs(WAITING)).collect();
        }
        vec![Use::LogIn, Use::Resend, Use::NobodyLogsIn]
    }
}

/// Rows in which a single one is another.
struct Attack {
    what: String,
    rows: Rows,
    partition: Partition,
    /// Whether what is lost may be taken for what has expired, or was never there.
    may_read_as_absent: bool,
    /// Whether an operation may drop the row unread. An expiring record only ever admits, so
    /// without it more is denied.
    may_be_dropped: bool,
}

/// A table: how to get at it, and whose a row is.
struct Table<K, V> {
    name: &'static str,
    read: fn(&Rows) -> &BTreeMap<K, V>,
    write: fn(&mut Rows) -> &mut BTreeMap<K, V>,
    owner: fn(&K) -> &Partition,
    /// Where else a row of a member's is put: in another member's place, and in places that nobody has.
    elsewhere: fn(&K, &Partition) -> Vec<K>,
    is_expiring: fn(&V) -> bool,
}

impl Scene {
    /// The members' partitions: their rows are taken for each other's.
    fn members(&self) -> [Partition; 3] {
        [DORA, EMIL, FRITZ].map(|name| Partition::account(&account(name)))
    }

    /// Everything that can be done to a single row of a table.
    fn attacks<K, V>(&self, table: &Table<K, V>) -> Vec<Attack>
    where
        K: Ord + Clone + std::fmt::Debug,
        V: Clone + PartialEq + std::fmt::Debug,
    {
        let mut attacks = Vec::new();
        let mut attack = |what: &str, keys: (&K, &K), row: &V, change: &dyn Fn(&mut BTreeMap<K, V>)| {
            let mut rows = self.rows.clone();
            change((table.write)(&mut rows));
            let what = format!("{}: {:?} {what} {:?}", table.name, keys.0, keys.1);
            if rows != self.rows && !self.idle.contains((table.owner)(keys.1)) {
                let partition = (table.owner)(keys.1).clone();
                let may_be_dropped = (table.is_expiring)(row);
                let may_read_as_absent = may_be_dropped && !(table.read)(&rows).contains_key(keys.1);
                attacks.push(Attack { what, rows, partition, may_read_as_absent, may_be_dropped });
            }
        };
        let now = (table.read)(&self.rows);
        for (key, row) in now {
            attack("is dropped", (key, key), row, &|rows| drop(rows.remove(key)));
            if !self.members().contains((table.owner)(key)) {
                continue;
            }
            for there in self.members().iter().flat_map(|member| (table.elsewhere)(key, member)) {
                attack("is copied to", (key, &there), row, &|rows| drop(rows.insert(there.clone(), row.clone())));
            }
        }
        let mut tried: Vec<(&K, &V)> = Vec::new();
        for (key, old) in self.past.iter().flat_map(|rows| (table.read)(rows)) {
            // A session or token that is over: nobody presents it, so nothing looks for it.
            let is_over = (table.is_expiring)(old) && !now.contains_key(key);
            if now.get(key) != Some(old) && !is_over && !tried.contains(&(key, old)) {
                tried.push((key, old));
                attack("is put back", (key, key), old, &|rows| drop(rows.insert(key.clone(), old.clone())));
            }
        }
        attacks
    }

    /// What every use of a partition shows, each on its own.
    async fn audit(&self, rows: &Rows, partition: &Partition) -> Vec<(Use, Seen)> {
        let mut audit = Vec::new();
        for used in self.uses(partition) {
            self.put(rows);
            audit.push((used, self.use_it(used).await));
        }
        audit
    }

    /// What the operator's check says of a partition.
    async fn faults(&self, partition: &Partition) -> Vec<String> {
        let mut checked = self.server.keywright.housekeeping().check(None, u32::MAX).await.unwrap();
        assert!(checked.next.is_none());
        checked.damaged.retain(|damaged| damaged.partition == *partition);
        checked.damaged.iter().flat_map(|damaged| &damaged.faults).map(ToString::to_string).collect()
    }

    /// Tries attacks. Returns how many were noticed.
    async fn all_are_noticed(&self, attacks: Vec<Attack>) -> usize {
        let mut truths: BTreeMap<Partition, Vec<(Use, Seen)>> = BTreeMap::new();
        let mut count = 0;
        for Attack { what, rows, partition, may_read_as_absent, may_be_dropped } in attacks {
            if !truths.contains_key(&partition) {
                let truth = self.audit(&self.rows, &partition).await;
                assert!(truth.iter().all(|(_, seen)| *seen != Seen::Noticed), "{truth:#?}");
                truths.insert(partition.clone(), truth);
            }
            let seen = self.audit(&rows, &partition).await;
            let mut noticed = Vec::new();
            for ((used, seen), (_, truth)) in seen.iter().zip(&truths[&partition]) {
                match seen {
                    Seen::Noticed => noticed.push(*used),
                    Seen::Denied(_) if may_read_as_absent => {}
                    seen => assert_eq!(seen, truth, "{what}: {used:?}"),
                }
            }
            if may_read_as_absent && noticed.is_empty() {
                continue;
            }
            assert!(!noticed.is_empty(), "{what}: not noticed");
            self.put(&rows);
            assert!(!self.faults(&partition).await.is_empty(), "{what}: the operator's check finds nothing");
            count += 1;
            // Whatever is done with it, nothing mends it.
            self.put(&rows);
            for used in self.uses(&partition) {
                self.use_it(used).await;
            }
            for used in noticed {
                match self.use_it(used).await {
                    Seen::Noticed => {}
                    Seen::Denied(_) if may_be_dropped => {}
                    other => panic!("{what}: {used:?} was mended in silence: {other:?}"),
                }
            }
        }
        count
    }
}

#[tokio::test]
async fn a_root_that_is_put_back_moved_or_dropped_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "roots",
        read: |rows| &rows.roots,
        write: |rows| &mut rows.roots,
        owner: |partition| partition,
        elsewhere: |_, member| vec![member.clone()],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn a_record_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "records",
        read: |rows| &rows.records,
        write: |rows| &mut rows.records,
        owner: |(partition, _)| partition,
        elsewhere: |(_, slot), member| vec![(member.clone(), *slot)],
        is_expiring: |row| row.purge_after.is_some(),
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 100, "{count}");
}

/// A record under an id that no root names: nobody asks for it, so no use meets it. The operator's check finds it, whatever its
/// kind, and it is never served.
#[tokio::test]
async fn a_record_that_no_root_names_is_found_by_the_check() {
    let scene = Scene::new().await;
    let kinds = keywright::slot_kinds().into_iter().map(|kind| kind.name()).chain([KindName::new("nobodys")]);
    let kinds: Vec<KindName> = kinds.collect();
    let past = scene.past.iter().flat_map(|rows| &rows.records);
    let rows: Vec<_> = past.chain(&scene.rows.records).map(|(_, row)| row.clone()).collect();
    let mut found = 0;
    for member in scene.members() {
        scene.put(&scene.rows);
        assert_eq!(scene.faults(&member).await, Vec::<String>::new());
        let truth = scene.audit(&scene.rows, &member).await;
        for (at, kind) in kinds.iter().enumerate() {
            let stray = SlotName::new(*kind, Some([77; 16]));
            let mut tampered = scene.rows.clone();
            // Under its own kind or another: nothing that it says is read.
            tampered.records.insert((member.clone(), stray), rows[at * 31 % rows.len()].clone());
            scene.put(&tampered);
            let faults = scene.faults(&member).await;
            assert!(faults.len() == 1 && faults[0].contains(&stray.to_text()), "{stray}: {faults:?}");
            assert_eq!(scene.audit(&tampered, &member).await, truth, "{stray}");
            scene.put(&tampered);
            let read = scene.server.keywright.driver().slots_of(&member).await.unwrap();
            assert!(!read.contains(&stray), "{stray}");
            found += 1;
        }
    }
    assert!(found > 60, "{found}");
}

#[tokio::test]
async fn a_cipher_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "ciphers",
        read: |rows| &rows.ciphers,
        write: |rows| &mut rows.ciphers,
        owner: |(partition, _)| partition,
        elsewhere: |(_, id), member| vec![(member.clone(), *id), (member.clone(), cipher_id(77))],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 30, "{count}");
}

#[tokio::test]
async fn an_event_that_is_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "events",
        read: |rows| &rows.events,
        write: |rows| &mut rows.events,
        owner: |(partition, ..)| partition,
        elsewhere: |(_, chain, number), member| vec![(member.clone(), *chain, *number), (member.clone(), *chain, 999)],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 50, "{count}");
}

/// Parts of a stage are nobody's until they are promoted: one that is not what it was is refused, and the vault stays.
#[tokio::test]
async fn a_staged_row_that_is_put_back_moved_dropped_or_added_is_not_promoted() {
    let scene = Scene::new().await;
    let mut attacks = Vec::new();
    for ((partition, stage), staged) in &scene.rows.stages {
        let mut attack = |what: String, change: &dyn Fn(&mut Rows)| {
            let mut rows = scene.rows.clone();
            change(&mut rows);
            attacks.push(Attack {
                what,
                rows,
                partition: partition.clone(),
                may_read_as_absent: true,
                may_be_dropped: true,
            });
        };
        let key = (partition.clone(), *stage);
        attack(format!("{key:?} is dropped"), &|rows| drop(rows.stages.remove(&key)));
        for (id, row) in &staged.rows {
            let edit = |rows: &mut Rows, change: &dyn Fn(&mut BTreeMap<CipherId, keywright::store::Row>)| {
                change(&mut rows.stages.get_mut(&key).unwrap().rows);
            };
            attack(format!("{id:?} of {key:?} is dropped"), &|rows| edit(rows, &|staged| drop(staged.remove(id))));
            let mut stray = row.clone();
            stray.marks.id = cipher_id(77);
            attack(format!("{id:?} of {key:?} is copied"), &|rows| {
                edit(rows, &|staged| drop(staged.insert(cipher_id(77), stray.clone())));
            });
            // What an upload holds is its client's to judge, which finishes it: only a vault that is held back is told from
            // another by its own.
            if *partition != Partition::account(&scene.librepass_account()) {
                continue;
            }
            let elsewhere = scene.past.iter().flat_map(|rows| &rows.stages).filter(|(other, _)| **other != key);
            for other in elsewhere.filter_map(|(_, other)| other.rows.get(id)) {
                attack(format!("{id:?} of {key:?} is of another stage"), &|rows| {
                    edit(rows, &|staged| drop(staged.insert(*id, other.clone())));
                });
            }
        }
    }
    assert!(attacks.len() > 20, "{}", attacks.len());
    for Attack { what, rows, partition, .. } in attacks {
        let promotes = |used: &Use| matches!(used, Use::Upload(_) | Use::NewAddress);
        for used in scene.uses(&partition).into_iter().filter(promotes) {
            scene.put(&scene.rows);
            let Seen::Shown(_) = scene.use_it(used).await else { panic!("{used:?} promotes nothing") };
            scene.put(&rows);
            let seen = scene.use_it(used).await;
            assert!(matches!(seen, Seen::Denied(_) | Seen::Noticed), "{what}: {used:?} ends in {seen:?}");
            assert!(rows.ciphers == scene.world.glass.rows().ciphers, "{what}: the vault stays");
        }
    }
}
