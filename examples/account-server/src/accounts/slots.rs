//! What the store keeps of accounts: the records, and the slots that this server declares for them.

use keywright::store::{Record, Slot};
use keywright::{AccountId, SlotKind};
use serde::{Deserialize, Serialize};

use crate::accounts::password::PasswordHash;

/// Lies under the index value of the login name.
pub(super) const PROFILE: Slot<Profile> = Slot::lasting("server-profile");
/// Lies under the index value of the app password.
pub(super) const APP_PASSWORD: Slot<AppPassword> = Slot::lasting("server-app-password");
/// Lies beside [`PROFILE`].
pub(super) const ROCKETCHAT_PROFILE: Slot<RocketChatProfile> = Slot::lasting("server-rocketchat-user");
/// Lies under the index value of a user id of Rocket.Chat, or of a verified address.
pub(super) const HOLDER: Slot<Holder> = Slot::lasting("server-rocketchat-owner");
/// Lies under the index value of a login token of Rocket.Chat.
pub(super) const AUTH_TOKEN: Slot<AuthToken> = Slot::lasting("server-rocketchat-token");

/// The kinds of slots that this server declares.
pub(crate) const SLOT_KINDS: &[SlotKind] =
    &[PROFILE.kind(), APP_PASSWORD.kind(), ROCKETCHAT_PROFILE.kind(), HOLDER.kind(), AUTH_TOKEN.kind()];

/// What the server knows of an account.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profile {
    /// As it stands in the accounts file.
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(super) password: Option<PasswordHash>,
}

impl Record for Profile {
    const SCHEMA: u16 = 1;
}

/// An app password's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
pub(super) struct AppPassword {
    pub(super) account: AccountId,
    /// Kept when it has ended, so that nothing brings it back.
    pub(super) ended: bool,
}

impl Record for AppPassword {
    const SCHEMA: u16 = 1;
}

/// What an account is to Rocket.Chat.
#[derive(Serialize, Deserialize)]
pub(super) struct RocketChatProfile {
    pub(super) user_id: String,
    /// By upstream's names.
    pub(super) permissions: Vec<String>,
    pub(super) verified_emails: Vec<String>,
    /// Of the password's SHA-256 in lower-case hex, which is all that this wire sends. The login password's own hash
    /// cannot be compared with that, and the digest as it is would be as good as the password here: so a second slow
    /// hash, with a salt of its own.
    pub(super) password_digest: Option<PasswordHash>,
    /// The index values of its login tokens, ended ones too.
    pub(super) auth_tokens: Vec<[u8; 32]>,
}

impl Record for RocketChatProfile {
    const SCHEMA: u16 = 1;
}

/// Whose a user id or an address is.
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
    /// Kept when it has ended, so that nothing brings it back.
    pub(super) ended: bool,
}

impl Record for AuthToken {
    const SCHEMA: u16 = 1;
}
