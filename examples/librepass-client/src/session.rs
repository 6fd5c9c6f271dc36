//! A log-in with the keys of its password. It reads and writes the vault, and changes password and
//! address.

mod change;

use keywright_core::{Clock, SecretString, SecretVec, SystemClock, SystemEntropy, random_bytes};
use keywright_librepass::{EnvelopeError, LogIn, SecondFactor, SharedKey, UserKeys};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::cipher::{self, Cipher, Kind, Note};
use crate::error::ClientError;
use crate::http::{Verb, body};
use crate::saved::SavedLogin;
use crate::server::Server;

/// A log-in, and the keys derived from its password. The keys are only in memory, and are wiped
/// when this is dropped.
pub struct Session {
    server: Server,
    login: SavedLogin,
    keys: UserKeys,
    needs_second_factor: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sync<'a> {
    last_sync_timestamp: u64,
    updated: &'a [Cipher],
    deleted: &'a [&'a str],
}

#[derive(Deserialize)]
struct Synced {
    ciphers: Vec<Cipher>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TwoFactor<'a> {
    shared_key: &'a str,
    secret: &'a str,
    code: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TwoFactorDone {
    recovery_code: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delete<'a> {
    shared_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    user_id: String,
    api_key: String,
    verified: bool,
}

/// Log-ins.
impl Server {
    /// Logs in. If a second factor is enabled, the session can do nothing until
    /// [`prove_second_factor`](Session::prove_second_factor).
    ///
    /// # Errors
    /// A [`ClientError`] if the log-in fails.
    pub fn log_in(&self, email: &str, password: &str) -> Result<Session, ClientError> {
        let offer = self.pre_login(email)?;
        let keys = UserKeys::derive(email, password, offer.parameters)?;
        let body = body(&LogIn { email, shared_key: &keys.shared_key(&offer.server)? })?;
        let answer: LoggedIn = self.http().send(Verb::Post, "/api/auth/oauth?grantType=login", None, &body)?;
        let login = SavedLogin {
            server: self.address().to_owned(),
            certificates: None,
            email: email.to_owned(),
            user: answer.user_id,
            parameters: offer.parameters,
            token: SecretString::new(answer.api_key),
        };
        Ok(Session::new(self.clone(), login, keys, !answer.verified))
    }

    /// Resumes a saved log-in. The keys are derived from the password again, and the password is
    /// not sent.
    ///
    /// # Errors
    /// A [`ClientError`] if the keys cannot be derived. A wrong password is noticed only when a
    /// cipher is opened or something is changed.
    pub fn resume(&self, login: SavedLogin, password: &str) -> Result<Session, ClientError> {
        let keys = UserKeys::derive(&login.email, password, login.parameters)?;
        Ok(Session::new(self.clone(), login, keys, false))
    }
}

impl Session {
    pub(crate) const fn new(server: Server, login: SavedLogin, keys: UserKeys, needs_second_factor: bool) -> Self {
        Self { server, login, keys, needs_second_factor }
    }

    /// Returns what to save in order to resume later.
    #[must_use]
    pub const fn login(&self) -> &SavedLogin {
        &self.login
    }

    /// As [`login`](Self::login), but consumes the session.
    #[must_use]
    pub fn into_login(self) -> SavedLogin {
        self.login
    }

    /// Whether the server requires a code before anything else.
    #[must_use]
    pub const fn needs_second_factor(&self) -> bool {
        self.needs_second_factor
    }

    /// Sends a code of the authenticator app, or the recovery code.
    ///
    /// # Errors
    /// A [`ClientError`] if the code is refused or the call fails.
    pub fn prove_second_factor(&mut self, code: &str) -> Result<(), ClientError> {
        let body = body(&SecondFactor { api_key: self.login.token.expose(), code })?;
        self.server.http().send::<IgnoredAny>(Verb::Post, "/api/auth/oauth?grantType=2fa", None, &body)?;
        self.needs_second_factor = false;
        Ok(())
    }

    /// Reads the whole vault, still encrypted.
    ///
    /// # Errors
    /// A [`ClientError`] if the call fails.
    pub fn read(&self) -> Result<Vec<Cipher>, ClientError> {
        self.sync(0, &[], &[])
    }

    /// Puts new or changed ciphers in one call.
    ///
    /// # Errors
    /// A [`ClientError`] if the call fails.
    pub fn put(&self, ciphers: &[Cipher]) -> Result<(), ClientError> {
        self.sync(now()?, ciphers, &[]).map(drop)
    }

    /// Removes ciphers.
    ///
    /// # Errors
    /// A [`ClientError`] if the call fails.
    pub fn remove(&self, ids: &[&str]) -> Result<(), ClientError> {
        self.sync(now()?, &[], ids).map(drop)
    }

    /// Encrypts a text into a new cipher, which is not sent yet.
    ///
    /// # Errors
    /// A [`ClientError`] if the text cannot be encrypted.
    pub fn seal(&self, kind: Kind, text: &[u8]) -> Result<Cipher, ClientError> {
        let data = self.keys.vault_key().encrypt(text, &SystemEntropy)?;
        Ok(Cipher::new(fresh_id()?, &self.login.user, kind, data))
    }

    /// Decrypts the text of a cipher.
    ///
    /// # Errors
    /// An [`EnvelopeError`] if the cipher does not open, which is `Denied` if the password is
    /// wrong.
    pub fn open(&self, cipher: &Cipher) -> Result<SecretVec, EnvelopeError> {
        self.keys.vault_key().decrypt(&cipher.protected_data)
    }

    /// Returns the name or title in a cipher, if it has one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn name(&self, cipher: &Cipher) -> Result<Option<String>, EnvelopeError> {
        Ok(cipher::name(&self.open(cipher)?))
    }

    /// Writes a new secure note, and returns its id.
    ///
    /// # Errors
    /// A [`ClientError`] if the note cannot be encrypted or the call fails.
    pub fn write_note(&self, title: &str, note: &str) -> Result<String, ClientError> {
        let cipher = self.seal(Kind::NOTE, &body(&Note { title, note })?)?;
        self.put(std::slice::from_ref(&cipher))?;
        Ok(cipher.id)
    }

    /// Enables the second factor, from a `secret` in base32 and a code computed from it. Returns
    /// the recovery code, which works once.
    ///
    /// # Errors
    /// A [`ClientError`] if the code is refused or the call fails.
    pub fn set_up_two_factor(&self, secret: &SecretString, code: &str) -> Result<SecretString, ClientError> {
        let proof = self.proof()?.to_hex();
        let body = body(&TwoFactor { shared_key: proof.expose(), secret: secret.expose(), code })?;
        let done: TwoFactorDone =
            self.send(Verb::Post, "/api/user/setup/2fa", &body).map_err(ClientError::of_change)?;
        Ok(SecretString::new(done.recovery_code))
    }

    /// Deletes the account and everything in it. If a second factor is enabled, `code` is one of
    /// the authenticator app.
    ///
    /// # Errors
    /// A [`ClientError`] if the call fails.
    pub fn delete_account(&self, code: Option<&str>) -> Result<(), ClientError> {
        let proof = self.proof()?.to_hex();
        let body = body(&Delete { shared_key: proof.expose(), code })?;
        let done = self.send::<IgnoredAny>(Verb::Delete, "/api/user/delete", &body);
        done.map(drop).map_err(ClientError::of_change)
    }

    /// Sends the given changes, and returns what has changed since a time in seconds, or everything
    /// for 0.
    fn sync(&self, since: u64, updated: &[Cipher], deleted: &[&str]) -> Result<Vec<Cipher>, ClientError> {
        let body = body(&Sync { last_sync_timestamp: since, updated, deleted })?;
        Ok(self.send::<Synced>(Verb::Post, "/api/cipher/sync", &body)?.ciphers)
    }

    /// Computes the proof of the password, for the server's current key.
    fn proof(&self) -> Result<SharedKey, ClientError> {
        Ok(self.keys.shared_key(&self.server.pre_login(&self.login.email)?.server)?)
    }

    fn send<T: serde::de::DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: &zeroize::Zeroizing<Vec<u8>>,
    ) -> Result<T, ClientError> {
        self.server.http().send(verb, path, Some(&self.login.token), body)
    }
}

/// Returns the time to send so that the answer contains no ciphers other than those just written.
fn now() -> Result<u64, ClientError> {
    Ok(SystemClock.now()?.get())
}

/// A random UUID (RFC 9562 § 5.4), as clients choose them.
fn fresh_id() -> Result<String, ClientError> {
    let drawn = u128::from_be_bytes(random_bytes(&SystemEntropy)?);
    let id = (drawn & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    Ok(keywright_rekey::id_text(keywright_store::CipherId(id.to_be_bytes())))
}

keywright_core::redacted_debug!(Session { server, .. });
