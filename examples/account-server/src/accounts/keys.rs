//! How a name, an address or a secret leads to its record: by an index value, which tells nobody what it was made of.

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

    /// Upper and lower case of ASCII letters are one name.
    pub(super) fn login_name(&self, name: &str) -> [u8; 32] {
        self.login_names.mac(&[name.to_ascii_lowercase().as_bytes()])
    }

    pub(super) fn app_password(&self, secret: &SecretString) -> [u8; 32] {
        self.app_passwords.mac(&[secret.expose().as_bytes()])
    }

    /// Where the holder of a user id of Rocket.Chat is found.
    pub(super) fn user_id(&self, id: &str) -> Partition {
        Partition::name(&self.user_ids.mac(&[id.as_bytes()]))
    }

    /// Where the holder of a verified address is found.
    pub(super) fn email(&self, address: &str) -> Partition {
        Partition::name(&self.emails.mac(&[address.to_ascii_lowercase().as_bytes()]))
    }

    pub(super) fn auth_token(&self, token: &SecretString) -> [u8; 32] {
        self.auth_tokens.mac(&[token.expose().as_bytes()])
    }
}

/// Returns the id of the account whose login name has this index value; `None` if it makes no id.
pub(super) fn account_id(login_name: &[u8; 32]) -> Option<AccountId> {
    AccountId::new(format!("{ID_PREFIX}{}", hex::encode(login_name))).ok()
}

/// Returns where the profile of an account lies; `None` for an id that is not of this server's making.
pub(super) fn profile_partition(account: &AccountId) -> Option<Partition> {
    account.as_str().strip_prefix(ID_PREFIX).and_then(decode).map(|index| Partition::name(&index))
}

/// Reads an index value from hex digits.
pub(super) fn decode(digits: &str) -> Option<[u8; 32]> {
    let mut index = [0; 32];
    hex::decode_to_slice(digits, &mut index).ok().map(|()| index)
}
