//! The vault: an account's ciphers, which are too many for one record. Rows are plain here; what proves that a swap was
//! checked lives above, in the crate that checks it.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::Stored;

/// The id of a cipher: 16 bytes, a UUID as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CipherId(pub [u8; 16]);

/// What tells one version of a cipher from another without reading its text: the envelope's nonce, padded with zeros to
/// 16 bytes, or a digest where a format has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 16]);

/// The id of a staged upload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub [u8; 16]);

macro_rules! hex_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    )*};
}
hex_debug!(CipherId, Mark, StageId);

/// One cipher: its id, its mark, its sealed text, and what its application notes beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The id.
    pub id: CipherId,
    /// The mark.
    pub mark: Mark,
    /// The sealed text, byte for byte as it was committed.
    pub body: Bytes,
    /// The application's note (a kind, times), sealed too. An edit writes it; a swap and a promotion leave the one that
    /// is there, because who re-encrypts a vault sends texts alone.
    pub meta: Bytes,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({:?}, {:?}, {} + {} bytes)", self.id, self.mark, self.body.len(), self.meta.len())
    }
}

/// Rows of one write. Ids are distinct; a backend refuses a write whose are not.
pub type Rows = Vec<Row>;

/// A change of the vault. It rides in a batch that puts the vault's head, so two changes never pass each other.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every vault write there is")]
pub enum VaultWrite {
    /// Ordinary edits: rows inserted or replaced, rows deleted (absent ones are no error: the head decides races).
    Edit {
        /// Rows to insert or replace.
        put: Rows,
        /// Rows to delete.
        delete: Vec<CipherId>,
    },
    /// Every row's mark and body replaced. A conflict unless the ids are **exactly** those the account owns.
    Swap {
        /// The new rows; their `meta` is not looked at.
        rows: Rows,
    },
    /// As [`Swap`](Self::Swap), with the rows of a stage, which goes with it.
    Promote {
        /// The stage.
        stage: StageId,
    },
}

/// The head and every (id, mark) of a vault, from one snapshot, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The vault's head record; `None` where no vault exists.
    pub head: Option<Stored>,
    /// Every cipher, sorted by id.
    pub entries: Vec<(CipherId, Mark)>,
}

/// Which ciphers to read.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every selection there is")]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those of the list that exist.
    Ids(&'a [CipherId]),
}
