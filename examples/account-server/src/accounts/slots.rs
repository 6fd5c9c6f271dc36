//! What is stored about accounts: the records, and the slots that this server declares for them.

use std::collections::BTreeMap;

use keywright::store::slot::Expiring;
use keywright::store::{Record, Slot};
use keywright::{AccountId, SlotKind, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::accounts::password::PasswordHash;
use crate::readiness;

/// The profile, under the index value of the login name.
pub(super) const PROFILE: Slot<Profile> = Slot::lasting("server-profile");
/// An app password, under its own index value.
pub(super) const APP_PASSWORD: Slot<AppPassword> = Slot::lasting("server-app-password");
/// The Rocket.Chat profile, beside [`PROFILE`].
pub(super) const ROCKETCHAT_PROFILE: Slot<RocketChatProfile> = Slot::lasting("server-rocketchat-user");
/// The holder of a Rocket.Chat user id or of a verified address, under its index value.
pub(super) const HOLDER: Slot<Holder> = Slot::lasting("server-rocketchat-owner");
/// A Rocket.Chat login token, under its own index value.
pub(super) const AUTH_TOKEN: Slot<AuthToken> = Slot::lasting("server-rocketchat-token");

/// A Rocket.Chat login token that a log-in was issued, under its own index value. It is deleted
/// when it ends.
pub(super) const ISSUED_TOKEN: Slot<IssuedToken, Expiring> = Slot::expiring("server-rocketchat-login");
/// The tokens that log-ins of an account were issued, beside [`PROFILE`].
pub(super) const ISSUED_TOKENS: Slot<IssuedTokens> = Slot::lasting("server-rocketchat-list");
/// The end-to-end key pair of an account, beside [`PROFILE`].
pub(super) const ROCKETCHAT_KEYS: Slot<RocketChatKeys> = Slot::lasting("server-rocketchat-keys");

/// What a user of Nextcloud Passwords has set, in the account's own partition.
pub(super) const SETTINGS: Slot<UserSettings> = Slot::lasting("server-user-settings");

/// The kinds of slots that this server declares.
pub(crate) const SLOT_KINDS: &[SlotKind] = &[
    PROFILE.kind(),
    APP_PASSWORD.kind(),
    ROCKETCHAT_PROFILE.kind(),
    HOLDER.kind(),
    AUTH_TOKEN.kind(),
    ISSUED_TOKEN.kind(),
    ISSUED_TOKENS.kind(),
    ROCKETCHAT_KEYS.kind(),
    SETTINGS.kind(),
    readiness::TEST.kind(),
];

/// What the server knows about an account.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profile {
    /// The name as the accounts file spells it.
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(super) password: Option<PasswordHash>,
    /// The index values of the account's app passwords, including those that have ended.
    pub(super) app_passwords: Vec<[u8; 32]>,
}

impl Record for Profile {
    const SCHEMA: u16 = 2;
}

/// An app password's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
pub(super) struct AppPassword {
    pub(super) account: AccountId,
    /// A record that has ended is kept, so that nothing brings it back.
    pub(super) ended: bool,
}

impl Record for AppPassword {
    const SCHEMA: u16 = 1;
}

/// What an account has in the Rocket.Chat protocol.
#[derive(Serialize, Deserialize)]
pub(super) struct RocketChatProfile {
    pub(super) user_id: String,
    /// Upstream's names of the permissions.
    pub(super) permissions: Vec<String>,
    pub(super) verified_emails: Vec<String>,
    /// The slow hash of the password's SHA-256 in lower-case hex digits, which is all that this
    /// protocol sends. The login password's own hash cannot be compared with that digest, and the
    /// bare digest would be as good as the password here. So this is a second slow hash, with its
    /// own salt.
    pub(super) password_digest: Option<PasswordHash>,
    /// The index values of the login tokens of the accounts file, including those that have ended.
    pub(super) auth_tokens: Vec<[u8; 32]>,
}

impl Record for RocketChatProfile {
    const SCHEMA: u16 = 1;
}

/// The account that a user id or an address belongs to.
#[derive(Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) account: AccountId,
}

impl Record for Holder {
    const SCHEMA: u16 = 1;
}

/// A login token's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
pub(super) struct AuthToken {
    pub(super) account: AccountId,
    /// A record that has ended is kept, so that nothing brings it back.
    pub(super) ended: bool,
}

impl Record for AuthToken {
    const SCHEMA: u16 = 1;
}

/// An issued login token's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
pub(super) struct IssuedToken {
    pub(super) account: AccountId,
    pub(super) expires: UnixSeconds,
}

impl Record for IssuedToken {
    const SCHEMA: u16 = 1;
}

/// The login tokens that log-ins of an account were issued, oldest first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct IssuedTokens {
    /// Index values, and when each token expires.
    pub(super) tokens: Vec<([u8; 32], UnixSeconds)>,
}

impl Record for IssuedTokens {
    const SCHEMA: u16 = 1;
}

/// An end-to-end key pair, as the client encoded it. Its private key is wrapped with a key that this
/// server never has.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RocketChatKeys {
    pub(super) public_key: String,
    pub(super) private_key: String,
}

impl Record for RocketChatKeys {
    const SCHEMA: u16 = 1;
}

/// Settings by name. A value is JSON text: the record's own format has no type for any value.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct UserSettings(pub(super) BTreeMap<String, String>);

impl Record for UserSettings {
    const SCHEMA: u16 = 1;
}
