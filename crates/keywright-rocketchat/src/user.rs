//! Users and logins, as the host supplies them.

use keywright_core::{AccountId, SecretString, UnixSeconds};
use sha2::{Digest, Sha256};

/// The host's stored id of a login token. It is not the token itself, so it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoginTokenId(pub String);

/// A login that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// The user who is logged in.
    pub user: User,
    /// The token that the login came with.
    pub token: LoginTokenId,
    /// The first moment at which the token is no longer valid, or `None` if it does not expire.
    pub expires: Option<UnixSeconds>,
}

impl Login {
    /// Returns a login of a user.
    #[must_use]
    pub const fn new(user: User, token: LoginTokenId) -> Self {
        Self { user, token, expires: None }
    }

    /// Sets when the token expires.
    #[must_use]
    pub fn with_expiry(self, expires: UnixSeconds) -> Self {
        Self { expires: Some(expires), ..self }
    }
}

/// A user, as far as this protocol needs one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The host's stored id of the account.
    pub account: AccountId,
    /// The user's login name; a user without one is admitted nowhere.
    pub username: Option<String>,
    /// The verified addresses. The first one is named in answers.
    pub verified_emails: Vec<String>,
    /// Whether there are addresses that are not verified. If so, e-mail codes cannot be switched
    /// on.
    pub has_unverified_email: bool,
    /// Whether there is a login password.
    pub has_password: bool,
    /// Whether the account lives on another server. If so, its keys and factors are not reset here.
    pub is_federated: bool,
}

impl User {
    /// Returns a user with a name and a password, and without addresses.
    #[must_use]
    pub fn new(account: AccountId, username: impl Into<String>) -> Self {
        Self {
            account,
            username: Some(username.into()),
            verified_emails: Vec::new(),
            has_unverified_email: false,
            has_password: true,
            is_federated: false,
        }
    }

    /// Sets the verified addresses.
    #[must_use]
    pub fn with_verified_emails(self, verified_emails: Vec<String>) -> Self {
        Self { verified_emails, ..self }
    }
}

// Leaves out name and addresses, because they are personal.
keywright_core::redacted_debug!(User { account, .. });

/// A login token that the host has just issued.
#[non_exhaustive]
pub struct IssuedLogin {
    /// The host's stored id of the token.
    pub id: LoginTokenId,
    /// The token itself, which is shown once.
    pub token: SecretString,
}

impl IssuedLogin {
    /// Returns a fresh token with its stored id.
    #[must_use]
    pub const fn new(id: LoginTokenId, token: SecretString) -> Self {
        Self { id, token }
    }
}

keywright_core::redacted_debug!(IssuedLogin { id, .. });

/// What `me` and a log-in show of a user. What is enrolled as a second factor is added by this
/// crate.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The user's id on the wire (`_id`, `userId`), which comes back in `x-user-id`.
    pub user_id: String,
    /// The login name.
    pub username: String,
    /// The name that is shown to others. The default is the login name.
    pub name: String,
    /// The addresses, and whether each is verified.
    pub emails: Vec<(String, bool)>,
    /// Whether the account is active. The default is yes. A user who is not active is let in by no
    /// log-in, as if it did not exist; end its logins when it is deactivated.
    pub active: bool,
    /// The roles. The default is `user`.
    pub roles: Vec<String>,
}

impl Profile {
    /// Returns the profile of an active user without addresses, whose role is `user`.
    #[must_use]
    pub fn new(user_id: impl Into<String>, username: impl Into<String>) -> Self {
        let username = username.into();
        Self {
            user_id: user_id.into(),
            name: username.clone(),
            username,
            emails: Vec::new(),
            active: true,
            roles: vec!["user".into()],
        }
    }

    /// Sets the addresses, all of them verified.
    #[must_use]
    pub fn with_verified_emails(self, emails: impl IntoIterator<Item = String>) -> Self {
        Self { emails: emails.into_iter().map(|email| (email, true)).collect(), ..self }
    }
}

// Leaves out names and addresses, because they are personal.
keywright_core::redacted_debug!(Profile { active, .. });

/// An end-to-end key pair, as the client encodes it.
#[non_exhaustive]
pub struct EndToEndKeys {
    /// The public key.
    pub public_key: String,
    /// The private key, which the client has wrapped with a key that the server never has.
    pub private_key: SecretString,
}

impl EndToEndKeys {
    /// Returns a pair.
    #[must_use]
    pub fn new(public_key: impl Into<String>, private_key: SecretString) -> Self {
        Self { public_key: public_key.into(), private_key }
    }
}

keywright_core::redacted_debug!(EndToEndKeys);

/// Whether a key pair was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three outcomes that callers must tell apart")]
pub enum KeysStored {
    /// The pair was stored.
    Stored,
    /// The account has a pair, which was not to be replaced. Nothing was stored.
    Exists,
    /// The login has ended. Nothing was stored.
    LoginEnded,
}

/// A login password, in the form in which the client sent it.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "the two forms of the wire")]
pub enum SentPassword<'a> {
    /// The password as it was typed. Only a log-in sends this form.
    Plain(&'a SecretString),
    /// The SHA-256 of the UTF-8 password, as 64 lower-case hex digits.
    Digest(&'a SecretString),
}

impl SentPassword<'_> {
    /// Returns the SHA-256 of the password as 64 lower-case hex digits, whichever form was sent. A
    /// host that stores a slow hash **of that digest** can check both forms.
    #[must_use]
    pub fn digest(&self) -> SecretString {
        match self {
            Self::Plain(password) => SecretString::new(hex::encode(Sha256::digest(password.expose()))),
            Self::Digest(digest) => SecretString::new(digest.expose().to_owned()),
        }
    }
}

keywright_core::redacted_debug!(SentPassword<'_>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_password_have_one_digest() {
        let secret = |text: &str| SecretString::new(text.into());
        let (plain, digest) =
            (secret("password"), secret("5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"));
        assert_eq!(SentPassword::Plain(&plain).digest().expose(), digest.expose());
        assert_eq!(SentPassword::Digest(&digest).digest().expose(), digest.expose());
        assert!(!format!("{:?}", SentPassword::Plain(&plain)).contains("password"));
    }
}
