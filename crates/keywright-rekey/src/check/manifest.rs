//! What a vault consists of, without its texts.

use std::fmt;

use keywright_store::{CipherId, ClientNonce, Revision, RowMarks};

/// The marks of every row of a vault, and the head that they belong to.
///
/// [`Vaults::manifest`](crate::Vaults::manifest) makes one that was compared with the count and the digest in the vault's
/// head, so that no row is missing, added or older.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultManifest {
    head: Option<Revision>,
    rows: Vec<RowMarks>,
}

impl VaultManifest {
    pub(crate) const fn verified(head: Option<Revision>, rows: Vec<RowMarks>) -> Self {
        Self { head, rows }
    }

    /// The same rows with other nonces.
    pub(crate) fn map_nonces(mut self, map: impl Fn(ClientNonce) -> ClientNonce) -> Self {
        self.rows.iter_mut().for_each(|row| row.nonce = map(row.nonce));
        self
    }

    /// A manifest of rows that nobody has compared with a head: for tests, and for hosts that keep their ciphers
    /// elsewhere. What is swapped by it on a vault that has other rows denies from then on, as a damaged one.
    #[must_use]
    pub fn unverified(head: Option<Revision>, mut rows: Vec<RowMarks>) -> Self {
        rows.sort_unstable_by_key(|row| row.id);
        Self { head, rows }
    }

    /// The vault's head; `None` where there is no vault.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// The marks of every row, sorted by id.
    #[must_use]
    pub fn rows(&self) -> &[RowMarks] {
        &self.rows
    }

    /// The row of a cipher.
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
