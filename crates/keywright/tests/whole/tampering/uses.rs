//! Every use of what is stored, and how it ends.

use keywright::challenge::{Proof, Verification};
use keywright::confirm::Confirmation;
use keywright::rekey::{Swap, VaultError};
use keywright::store::{Partition, StageId, Which};
use keywright::twofactor::Demand;
use keywright::{ActionName, EventChain, SessionId};
use serde_json::{Value, json};

use super::scene::{EMIL, FRITZ, Known, LOG_IN, NOBODY, OWNER, SESSION, Scene, WAITING, granted};
use crate::host::{ALICE, ROCKY, account};
use crate::world::{ALICE_AT_HOME, Answer, DORA, DeleteVault, Login, Person, home, secret};

/// A use of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
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
pub(super) enum Seen {
    Shown(String),
    /// Refused, for another reason than damage.
    Denied(String),
    /// Denied, and the operator was told of damage.
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

fn said(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Scene {
    pub(super) async fn use_it(&self, used: Use) -> Seen {
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
                match confirmations
                    .confirm_code(&account(name), DeleteVault(1), SessionId::new(SESSION), typed)
                    .await
                    .map_err(said)?
                {
                    Confirmation::Granted(_) => "granted".into(),
                    _ => "denied".into(),
                }
            }
            Use::Mailed(name) => {
                let (member, client, typed) = (account(name), server.client_of(name), &known(name).mailed);
                let confirmed =
                    confirmations.confirm_mailed(&member, DeleteVault(2), SessionId::new(SESSION), typed, client);
                match confirmed.await.map_err(said)? {
                    Confirmation::Granted(_) => "granted".into(),
                    _ => "denied".into(),
                }
            }
            Use::Enrolled(name) => format!("{:?}", server.two_factor.enrolled(&account(name)).await.map_err(said)?),
            Use::Device(name) => {
                let (member, code, client) = (account(name), server.totp(), server.client_of(name));
                let verified = server.two_factor.verify_totp(&member, &code, &LOG_IN, client);
                granted(verified.await.map_err(said)?)
            }
            Use::Recovery(name) => {
                let (member, code, client) = (account(name), &known(name).recovery, server.client_of(name));
                let verified = server.two_factor.verify_recovery(&member, code, &LOG_IN, client);
                granted(verified.await.map_err(said)?)
            }
            Use::StepUp(name) => {
                match server
                    .two_factor
                    .demand(&account(name), &ActionName::new("vault.export"), SessionId::new(SESSION), true)
                    .await
                    .map_err(said)?
                {
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
    pub(super) fn uses(&self, partition: &Partition) -> Vec<Use> {
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
