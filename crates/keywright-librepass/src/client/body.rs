//! The bodies that a client sends and the one that it must check, with members named as in the
//! protocol (§§ 5, 7).
//!
//! They hold keys, so none shows them in `Debug`. The caller must wipe what they are serialized
//! into.

use serde::{Deserialize, Serialize, Serializer};

use crate::protocol::keys::Key;
use crate::protocol::keys::{KeyTextError, PublicKey, SharedKey};
use crate::protocol::parameters::{ArgonParameters, ParameterError};

/// The answer to `GET auth/preLogin`. Deserializing it refuses parameters out of range: a server
/// that specifies less than 20480 KiB or no pass wants a hash that is cheap to guess against
/// (`docs/security.md` § 11).
#[derive(Debug, Deserialize)]
#[serde(try_from = "Answer")]
pub struct PreLogin {
    /// The parameters of the user's own derivation.
    pub parameters: ArgonParameters,
    /// The server's current public key.
    pub server: PublicKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    parallelism: u32,
    memory: u32,
    iterations: u32,
    server_public_key: String,
}

#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    #[error(transparent)]
    Key(#[from] KeyTextError),
}

impl TryFrom<Answer> for PreLogin {
    type Error = AnswerError;
    fn try_from(answer: Answer) -> Result<Self, Self::Error> {
        Ok(Self {
            parameters: ArgonParameters::new(answer.parallelism, answer.memory, answer.iterations)?,
            server: PublicKey::from_hex(&answer.server_public_key)?,
        })
    }
}

macro_rules! body {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name<'a> { $($(#[$field_meta])* pub $field: $type,)* }

        keywright_core::redacted_debug!($name<'_>);
    };
}

body! {
    /// The body of `POST auth/register`.
    Register {
        /// The address, as typed.
        email: &'a str,
        /// The password hint, at most 100 characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        password_hint: Option<&'a str>,
        /// The proof that the client has the private key.
        #[serde(serialize_with = "digits")]
        shared_key: &'a SharedKey,
        /// The parameters of the derivation.
        #[serde(flatten)]
        parameters: ArgonParameters,
        /// The user's public key.
        #[serde(serialize_with = "digits")]
        public_key: &'a PublicKey,
    }
}

body! {
    /// The body of `POST auth/oauth?grantType=login`.
    LogIn {
        /// The address, as typed.
        email: &'a str,
        /// The proof of the password.
        #[serde(serialize_with = "digits")]
        shared_key: &'a SharedKey,
    }
}

body! {
    /// The body of `POST auth/oauth?grantType=2fa`.
    SecondFactor {
        /// The token that the log-in returned.
        api_key: &'a str,
        /// A TOTP or the recovery code.
        code: &'a str,
    }
}

body! {
    /// One cipher of a change: its id and its new envelope.
    Reencrypted {
        /// The cipher's id, a UUID.
        id: &'a str,
        /// The result of [`VaultKey::encrypt`](crate::VaultKey::encrypt) under the new key.
        data: &'a str,
    }
}

body! {
    /// The body of `PATCH user/password`.
    ChangePassword {
        /// The proof of the current password.
        #[serde(serialize_with = "digits")]
        old_shared_key: &'a SharedKey,
        /// The new hint, at most 100 characters; if absent, the hint is cleared.
        #[serde(skip_serializing_if = "Option::is_none")]
        new_password_hint: Option<&'a str>,
        /// The new public key.
        #[serde(serialize_with = "digits")]
        new_public_key: &'a PublicKey,
        /// The proof that the client has the new private key.
        #[serde(serialize_with = "digits")]
        new_shared_key: &'a SharedKey,
        /// The parameters of the new derivation.
        #[serde(flatten)]
        parameters: ArgonParameters,
        /// **Every** cipher of the vault, once.
        ciphers: &'a [Reencrypted<'a>],
    }
}

body! {
    /// The body of `PATCH user/email`. It has no parameters: the user's own remain in force.
    ChangeEmail {
        /// The new address, as typed: the salt of the new keys.
        new_email: &'a str,
        /// The proof of the password with the current address.
        #[serde(serialize_with = "digits")]
        old_shared_key: &'a SharedKey,
        /// The new public key.
        #[serde(serialize_with = "digits")]
        new_public_key: &'a PublicKey,
        /// The proof that the client has the new private key.
        #[serde(serialize_with = "digits")]
        new_shared_key: &'a SharedKey,
        /// **Every** cipher of the vault, once.
        ciphers: &'a [Reencrypted<'a>],
    }
}

fn digits<S: Serializer, K: Key>(key: &&K, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(crate::protocol::keys::digits(key.bytes().expose()).expose())
}
