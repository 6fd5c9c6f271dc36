//! A server, before anybody has logged in.

use std::fmt;
use std::path::Path;

use keywright_core::SecretString;
use keywright_librepass::{ArgonParameters, LogIn, PreLogin, Register, UserKeys};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::ClientError;
use crate::http::{Http, Verb, body};
use crate::saved::SavedLogin;
use crate::session::Session;

/// What a server calls itself (dossier § 6).
const GROUP: &str = "dev.medzik.librepass";

/// A LibrePass server.
#[derive(Clone)]
pub struct Server {
    http: Http,
}

#[derive(Deserialize)]
struct Info {
    build: Option<Build>,
    group: Option<String>,
}

#[derive(Deserialize)]
struct Build {
    group: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    user_id: String,
    api_key: String,
    verified: bool,
}

impl Server {
    /// Sees that a LibrePass server answers at an address. `certificates` is a PEM file to trust instead of the public
    /// authorities: for a certificate that a server made itself.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::NoLibrePass`] if it is another kind of server.
    pub fn open(address: &str, certificates: Option<&Path>) -> Result<Self, ClientError> {
        let http = Http::new(address, certificates)?;
        let info: Info = http.get("/actuator/info", &[]).map_err(|error| match error {
            ClientError::Transport(_) => error,
            _ => ClientError::NoLibrePass,
        })?;
        let group = info.group.or_else(|| info.build.and_then(|build| build.group));
        if group.as_deref() == Some(GROUP) { Ok(Self { http }) } else { Err(ClientError::NoLibrePass) }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.base()
    }

    /// Makes an account. The server mails a link that must be opened before the first log-in. The address is the salt of
    /// the keys: log in with the very same text, capitals included.
    ///
    /// # Errors
    /// [`ClientError`]; refused with `LP-Duplicated` if the address has an account.
    pub fn register(
        &self,
        email: &str,
        password: &str,
        hint: Option<&str>,
        parameters: ArgonParameters,
    ) -> Result<(), ClientError> {
        let offer = self.pre_login(email)?;
        let keys = UserKeys::derive(email, password, parameters)?;
        let (shared_key, public_key) = (&keys.shared_key(&offer.server)?, keys.public_key());
        let body = body(&Register { email, password_hint: hint, shared_key, parameters, public_key })?;
        self.http.send::<IgnoredAny>(Verb::Post, "/api/auth/register", None, &body)?;
        Ok(())
    }

    /// Logs in. Where a second factor is on, the session can do nothing until
    /// [`prove_second_factor`](Session::prove_second_factor).
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log_in(&self, email: &str, password: &str) -> Result<Session, ClientError> {
        let offer = self.pre_login(email)?;
        let keys = UserKeys::derive(email, password, offer.parameters)?;
        let body = body(&LogIn { email, shared_key: &keys.shared_key(&offer.server)? })?;
        let answer: LoggedIn = self.http.send(Verb::Post, "/api/auth/oauth?grantType=login", None, &body)?;
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

    /// Goes on with a log-in that was saved: the password gives the keys again, and is not sent.
    ///
    /// # Errors
    /// [`ClientError`]. Whether the password is right shows when a cipher is opened or something is changed.
    pub fn resume(&self, login: SavedLogin, password: &str) -> Result<Session, ClientError> {
        let keys = UserKeys::derive(&login.email, password, login.parameters)?;
        Ok(Session::new(self.clone(), login, keys, false))
    }

    /// The parameters of an address, and the server's present key. Asked before each proof: the key changes every day.
    pub(crate) fn pre_login(&self, email: &str) -> Result<PreLogin, ClientError> {
        self.http.get("/api/auth/preLogin", &[("email", email)])
    }

    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.address()).finish()
    }
}
