//! The partition: the unit of one commit. An account, a name, or the server.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use keywright_core::AccountId;

/// What one batch can change. Every table's primary key begins with it, so one account sits on one shard.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Arc<str>);

impl Partition {
    /// An account.
    #[must_use]
    pub fn account(account: &AccountId) -> Self {
        Self(format!("a/{account}").into())
    }

    /// A name that must be unique (an address, a login name), by its index value: never by the text itself.
    #[must_use]
    pub fn name(index: &[u8; 32]) -> Self {
        Self(format!("n/{}", hex::encode(index)).into())
    }

    /// The server: what all accounts share.
    #[must_use]
    pub fn server() -> Self {
        Self("s/".into())
    }

    /// The text that a backend stores: `a/` and the account's id, `n/` and 64 hex digits, or `s/`. At most 192 bytes.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }

    /// Reads [`key`](Self::key) back.
    ///
    /// # Errors
    /// [`UnknownPartition`] if it is none of the three.
    pub fn parse(key: &str) -> Result<Self, UnknownPartition> {
        let known = match key.split_at_checked(2) {
            Some(("a/", id)) => AccountId::new(id).is_ok(),
            Some(("n/", digits)) => {
                let mut index = [0; 32];
                hex::decode_to_slice(digits, &mut index).is_ok() && hex::encode(index) == digits
            }
            Some(("s/", rest)) => rest.is_empty(),
            _ => false,
        };
        if known { Ok(Self(key.into())) } else { Err(UnknownPartition) }
    }

    /// Whether this is an account's partition, which must have a root record.
    #[must_use]
    pub fn is_account(&self) -> bool {
        self.0.starts_with("a/")
    }

    /// The account, if it is one.
    #[must_use]
    pub fn as_account(&self) -> Option<AccountId> {
        self.0.strip_prefix("a/").and_then(|id| AccountId::new(id).ok())
    }

    /// What sealing authenticates: the bare id of an account; for the others the key behind a NUL, which no id has.
    pub(crate) fn seal_label(&self) -> Vec<u8> {
        match self.0.strip_prefix("a/") {
            Some(id) => id.as_bytes().to_vec(),
            None => {
                let mut label = Vec::with_capacity(self.0.len().saturating_add(1));
                label.push(0);
                label.extend_from_slice(self.0.as_bytes());
                label
            }
        }
    }
}

impl From<&AccountId> for Partition {
    fn from(account: &AccountId) -> Self {
        Self::account(account)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({:?})", &*self.0)
    }
}

/// A text that names no partition: a row of a newer version, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored partition has no known form")]
pub struct UnknownPartition;

/// Which record of a partition: an enum with fixed-size binary parts, so no input becomes part of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Slot {
    /// Epochs, and which security records exist. Every batch guards it.
    Root,
    /// The guess ledger.
    Ledger,
    /// What the host must still do.
    Due,
    /// The PWDv1r1 challenge.
    Challenge,
    /// Pending confirmations.
    Confirmations,
    /// TOTP devices, and which other second factors are on.
    Factors,
    /// Recovery codes.
    Recovery,
    /// What one session has proven lately, by a digest of the session.
    StepUp([u8; 16]),
    /// Client keychains.
    Keychain,
    /// The list of the account's sessions.
    Sessions,
    /// One session, by its selector.
    Session([u8; 16]),
    /// The head of the cipher vault.
    VaultHead,
    /// A re-encrypted vault that is held back, or being uploaded in parts.
    Held,
    /// The credential record of a wire that keeps its own: address, key, parameters.
    Credential,
    /// The list of the account's API tokens.
    Tokens,
    /// One API token, by its selector.
    Token([u8; 16]),
    /// A change of address that waits for its mailed link.
    PendingAddress,
    /// The names that an account owns or intends to take.
    Names,
    /// Who holds a name; in the name's partition.
    Claim,
    /// A key pair that all instances share; in the server's partition.
    ServerKey,
    /// The seal keys in use; in the server's partition.
    Kids,
    /// A record of the host's own.
    Host([u8; 16]),
}

impl Slot {
    /// The bit in the root record that says this record must exist; `None` where absence is ordinary.
    pub(crate) const fn presence(self) -> Option<u32> {
        match self {
            Self::Challenge => Some(1),
            Self::Factors => Some(1 << 1),
            Self::Recovery => Some(1 << 2),
            Self::Ledger => Some(1 << 3),
            Self::VaultHead => Some(1 << 4),
            Self::Keychain => Some(1 << 5),
            Self::Credential => Some(1 << 6),
            Self::Names => Some(1 << 7),
            Self::Root
            | Self::Due
            | Self::Confirmations
            | Self::StepUp(_)
            | Self::Sessions
            | Self::Session(_)
            | Self::Kids
            | Self::Held
            | Self::Tokens
            | Self::Token(_)
            | Self::PendingAddress
            | Self::Claim
            | Self::ServerKey
            | Self::Host(_) => None,
        }
    }

    /// Reads the printed form back.
    ///
    /// # Errors
    /// [`UnknownSlot`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownSlot> {
        let part = |digits: &str| {
            let mut id = [0; 16];
            hex::decode_to_slice(digits, &mut id).map_err(|_| UnknownSlot)?;
            Ok(id)
        };
        let slot = match text {
            "root" => Self::Root,
            "ledger" => Self::Ledger,
            "due" => Self::Due,
            "challenge" => Self::Challenge,
            "confirmations" => Self::Confirmations,
            "factors" => Self::Factors,
            "recovery" => Self::Recovery,
            "keychain" => Self::Keychain,
            "sessions" => Self::Sessions,
            "vault" => Self::VaultHead,
            "kids" => Self::Kids,
            "held" => Self::Held,
            "credential" => Self::Credential,
            "tokens" => Self::Tokens,
            "pending-address" => Self::PendingAddress,
            "names" => Self::Names,
            "claim" => Self::Claim,
            "server-key" => Self::ServerKey,
            _ => match text.split_once('/') {
                Some(("session", digits)) => Self::Session(part(digits)?),
                Some(("token", digits)) => Self::Token(part(digits)?),
                Some(("stepup", digits)) => Self::StepUp(part(digits)?),
                Some(("host", digits)) => Self::Host(part(digits)?),
                _ => return Err(UnknownSlot),
            },
        };
        // One text per slot: upper-case digits are refused.
        if slot.to_text() == text { Ok(slot) } else { Err(UnknownSlot) }
    }

    /// The printed form, at most 40 bytes: what a backend stores and sealing authenticates.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{self}")
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, id) = match self {
            Self::Root => ("root", None),
            Self::Ledger => ("ledger", None),
            Self::Due => ("due", None),
            Self::Challenge => ("challenge", None),
            Self::Confirmations => ("confirmations", None),
            Self::Factors => ("factors", None),
            Self::Recovery => ("recovery", None),
            Self::Keychain => ("keychain", None),
            Self::Sessions => ("sessions", None),
            Self::VaultHead => ("vault", None),
            Self::Kids => ("kids", None),
            Self::Held => ("held", None),
            Self::Credential => ("credential", None),
            Self::Tokens => ("tokens", None),
            Self::PendingAddress => ("pending-address", None),
            Self::Names => ("names", None),
            Self::Claim => ("claim", None),
            Self::ServerKey => ("server-key", None),
            Self::Session(id) => ("session/", Some(id)),
            Self::StepUp(id) => ("stepup/", Some(id)),
            Self::Token(id) => ("token/", Some(id)),
            Self::Host(id) => ("host/", Some(id)),
        };
        f.write_str(name)?;
        id.into_iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({self})")
    }
}

/// A text that names no slot: a row of a newer version, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored slot has no known form")]
pub struct UnknownSlot;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_text_per_slot() {
        for slot in [
            Slot::Root,
            Slot::Ledger,
            Slot::Due,
            Slot::Challenge,
            Slot::Confirmations,
            Slot::Factors,
            Slot::Recovery,
            Slot::StepUp([0x1c; 16]),
            Slot::Keychain,
            Slot::Sessions,
            Slot::Session([0xab; 16]),
            Slot::VaultHead,
            Slot::Kids,
            Slot::Held,
            Slot::Credential,
            Slot::Tokens,
            Slot::Token([0x2d; 16]),
            Slot::PendingAddress,
            Slot::Names,
            Slot::Claim,
            Slot::ServerKey,
            Slot::Host([7; 16]),
        ] {
            assert_eq!(Slot::parse(&slot.to_text()), Ok(slot));
        }
        assert!(Slot::parse("session/ABABABABABABABABABABABABABABABAB").is_err());
        assert!(Slot::parse("root/").is_err());
    }

    #[test]
    fn partitions_do_not_meet() {
        let odd = AccountId::new("s/").unwrap();
        assert_ne!(Partition::account(&odd), Partition::server());
        assert_ne!(Partition::account(&odd).seal_label(), Partition::server().seal_label());
        assert_eq!(Partition::account(&odd).as_account(), Some(odd));
        assert_eq!(Partition::server().as_account(), None);
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_printing(text in "\\PC{0,60}") {
            if let Ok(slot) = Slot::parse(&text) { prop_assert_eq!(slot.to_text(), text.clone()); }
            if let Ok(partition) = Partition::parse(&text) { prop_assert_eq!(partition.key(), text); }
        }
    }
}
