//! A server, before a log-in.

use std::fmt;
use std::path::Path;

use keywright_librepass::{ArgonParameters, PreLogin, Register, UserKeys};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::ClientError;
use crate::http::{Http, Verb, body};

/// The name that a LibrePass server reports (protocol § 6).
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

impl Server {
    /// Checks that a LibrePass server answers at an address. `certificates` is a PEM file to trust
    /// instead of the public authorities, for a server that made its own certificate.
    ///
    /// # Errors
    /// [`ClientError::NoLibrePass`] if it is another kind of server, and another [`ClientError`] if
    /// the call fails.
    pub fn open(address: &str, certificates: Option<&Path>) -> Result<Self, ClientError> {
        let http = Http::new(address, certificates)?;
        let info: Info = http.get("/actuator/info", &[]).map_err(|error| match error {
            ClientError::Transport(_) => error,
            _ => ClientError::NoLibrePass,
        })?;
        let group = info.group.or_else(|| info.build.and_then(|build| build.group));
        if group.as_deref() == Some(GROUP) { Ok(Self { http }) } else { Err(ClientError::NoLibrePass) }
    }

    /// Returns the server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.base()
    }

    /// Creates an account. The server mails a link that must be opened before the first log-in. The
    /// address is the salt of the keys, so log in with exactly the same text, including capitals.
    ///
    /// # Errors
    /// A [`ClientError`] if the call fails. The server refuses with `LP-Duplicated` if the address
    /// has an account.
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

    /// Returns the parameters of an address, and the server's current key. It is called before each
    /// proof, because the key changes every day.
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
