//! The manifest of a vault: its rows without their texts.

use std::fmt;

use keywright_store::{CipherId, ClientNonce, Revision, RowMarks};

/// The marks of every row of a vault, and the head that they belong to.
///
/// [`Vaults::manifest`](crate::Vaults::manifest) returns one that was compared with the count and
/// the digest in the vault's head, so that no row is missing, added or outdated.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultManifest {
    head: Option<Revision>,
    rows: Vec<RowMarks>,
}

impl VaultManifest {
    pub(crate) const fn verified(head: Option<Revision>, rows: Vec<RowMarks>) -> Self {
        Self { head, rows }
    }

    /// Returns the same rows with their nonces mapped by a function.
    pub(crate) fn map_nonces(mut self, map: impl Fn(ClientNonce) -> ClientNonce) -> Self {
        self.rows.iter_mut().for_each(|row| row.nonce = map(row.nonce));
        self
    }

    /// Creates a manifest of rows that were not compared with a head: for tests, and for hosts that
    /// keep their ciphers elsewhere. If it is used to swap a vault that has other rows, that vault
    /// is denied from then on, like a damaged one.
    #[must_use]
    pub fn unverified(head: Option<Revision>, mut rows: Vec<RowMarks>) -> Self {
        rows.sort_unstable_by_key(|row| row.id);
        Self { head, rows }
    }

    /// Returns the vault's head, or `None` if there is no vault.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// Returns the marks of every row, sorted by id.
    #[must_use]
    pub fn rows(&self) -> &[RowMarks] {
        &self.rows
    }

    /// Returns the row of a cipher.
    #[must_use]
    pub fn row(&self, id: CipherId) -> Option<&RowMarks> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok().and_then(|at| self.rows.get(at))
    }
}

impl fmt::Debug for VaultManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultManifest({} ciphers, {:?})", self.rows.len(), self.head)
    }
}
