//! The partition is the unit of one commit: an account, a name, or the server.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use keywright_core::{AccountId, ClientTag, Keyring};

/// What one batch can change. Every table's primary key begins with it, so one account is on one
/// shard.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Arc<str>);

impl Partition {
    /// Returns an account's partition.
    #[must_use]
    pub fn account(account: &AccountId) -> Self {
        Self(format!("a/{account}").into())
    }

    /// Returns the partition of a name that must be unique (an address, a login name). It is
    /// identified by its index value, never by the text itself.
    #[must_use]
    pub fn name(index: &[u8; 32]) -> Self {
        Self(format!("n/{}", hex::encode(index)).into())
    }

    /// Returns the server's partition, for what all accounts share.
    #[must_use]
    pub fn server() -> Self {
        Self("s/".into())
    }

    /// Returns the text that a backend stores: `a/` and the account's id, `n/` and 64 hex digits,
    /// or `s/`. It has at most 192 bytes.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }

    /// Parses a [`key`](Self::key).
    ///
    /// # Errors
    /// Returns [`UnknownPartition`] if the key has none of the three forms.
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

    /// Returns the account, if this is an account's partition.
    #[must_use]
    pub fn as_account(&self) -> Option<AccountId> {
        self.0.strip_prefix("a/").and_then(|id| AccountId::new(id).ok())
    }

    /// Returns the label that sealing authenticates: for an account its bare id, and for the others
    /// the key after a NUL, which no id contains.
    pub(crate) fn seal_label(&self) -> Cow<'_, [u8]> {
        match self.0.strip_prefix("a/") {
            Some(id) => Cow::Borrowed(id.as_bytes()),
            None => {
                let mut label = Vec::with_capacity(self.0.len().saturating_add(1));
                label.push(0);
                label.extend_from_slice(self.0.as_bytes());
                Cow::Owned(label)
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

/// A stored text names no partition. It is a row of a newer version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored partition key is malformed or was written by a newer version")]
pub struct UnknownPartition;

/// Returns the tag by which a partition's guess ledger identifies a client that presents
/// `credential`.
pub(crate) fn client_tag(keyring: &Keyring, partition: &Partition, credential: &[u8]) -> ClientTag {
    ClientTag::from_bytes(keyring.index("device").tag(&[partition.key().as_bytes(), credential]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            if let Ok(partition) = Partition::parse(&text) { prop_assert_eq!(partition.key(), text); }
        }
    }
}
