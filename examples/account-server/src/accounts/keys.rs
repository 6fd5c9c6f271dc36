//! How a name, an address or a secret leads to its record: by an index value, which does not reveal
//! what it was made from.

use keywright::core::{IndexKey, Keyring};
use keywright::store::Partition;
use keywright::{AccountId, SecretString};

const ID_PREFIX: &str = "acc-";

/// The index keys.
pub(super) struct IndexKeys {
    login_names: IndexKey,
    app_passwords: IndexKey,
    user_ids: IndexKey,
    emails: IndexKey,
    auth_tokens: IndexKey,
}

impl IndexKeys {
    pub(super) fn new(keyring: &Keyring) -> Self {
        Self {
            login_names: keyring.index("login-name"),
            app_passwords: keyring.index("app-token"),
            user_ids: keyring.index("rocketchat-user-id"),
            emails: keyring.index("rocketchat-email"),
            auth_tokens: keyring.index("rocketchat-auth-token"),
        }
    }

    /// Letters are treated alike in upper and lower case, folded as the decoys of names that do not
    /// exist: otherwise an account would not share a ledger with a name that shares its decoy.
    pub(super) fn login_name(&self, name: &str) -> [u8; 32] {
        self.login_names.mac(&[name.to_lowercase().as_bytes()])
    }

    pub(super) fn app_password(&self, secret: &SecretString) -> [u8; 32] {
        self.app_passwords.mac(&[secret.expose().as_bytes()])
    }

    /// Returns the partition that names the holder of a Rocket.Chat user id.
    pub(super) fn user_id(&self, id: &str) -> Partition {
        Partition::name(&self.user_ids.mac(&[id.as_bytes()]))
    }

    /// Returns the partition that names the holder of a verified address.
    pub(super) fn email(&self, address: &str) -> Partition {
        Partition::name(&self.emails.mac(&[address.to_lowercase().as_bytes()]))
    }

    pub(super) fn auth_token(&self, token: &SecretString) -> [u8; 32] {
        self.auth_tokens.mac(&[token.expose().as_bytes()])
    }
}

/// Returns the id of the account whose login name has this index value, or `None` if it does not
/// form a valid id.
pub(super) fn account_id(login_name: &[u8; 32]) -> Option<AccountId> {
    AccountId::new(format!("{ID_PREFIX}{}", hex::encode(login_name))).ok()
}

/// Returns the partition of an account's profile, or `None` for an id that this server did not
/// make.
pub(super) fn profile_partition(account: &AccountId) -> Option<Partition> {
    account.as_str().strip_prefix(ID_PREFIX).and_then(decode).map(|index| Partition::name(&index))
}

/// Reads an index value from hex digits.
pub(super) fn decode(digits: &str) -> Option<[u8; 32]> {
    let mut index = [0; 32];
    hex::decode_to_slice(digits, &mut index).ok().map(|()| index)
}
