//! The vault: an account's ciphers (the encrypted entries of a password manager), which are too
//! many for one record. Each is a row. This crate does not interpret rows: the keys that open them,
//! and the record that proves that none is missing (the vault's *head*), belong to
//! `keywright-rekey`.

use std::fmt;

use bytes::Bytes;

use crate::revision::Revision;

/// The id of a cipher: 16 bytes, usually a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
pub struct CipherId(pub [u8; 16]);

/// Identifies one stored version of a text or a note: 16 random bytes that are drawn afresh at each
/// write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
pub struct Mark(pub [u8; 16]);

impl Mark {
    /// The mark under which a backend lists a row that it cannot read. Nobody draws it (2⁻¹²⁸ a
    /// try), nothing is sealed under it, and no digest authenticates it. A reader that sees it
    /// knows that the row was damaged, and must deny.
    pub const UNREADABLE: Self = Self([0; 16]);
}

/// The nonce under which the client encrypted a text, padded with zeros to 16 bytes, or a digest if
/// the client's format has no nonce. It serves to detect texts that were not changed and nonces
/// that were reused; it authenticates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
pub struct ClientNonce(pub [u8; 16]);

/// The id of a staged upload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
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
hex_debug!(CipherId, Mark, ClientNonce, StageId);

/// What identifies the stored version of a row, without its text and its note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "backends make it from a row")]
pub struct RowMarks {
    /// The cipher.
    pub id: CipherId,
    /// The mark of its text.
    pub text: Mark,
    /// The mark of its note.
    pub note: Mark,
    /// The client's nonce of its text.
    pub nonce: ClientNonce,
}

/// One cipher: its marks, its sealed text, and its application's note.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it from a row")]
pub struct Row {
    /// The id and the marks.
    pub marks: RowMarks,
    /// The sealed text, byte for byte as it was committed.
    pub text: Bytes,
    /// The application's note (a kind, times), which is sealed too. An edit writes it. A swap and a
    /// promotion keep the existing one, because a client that re-encrypts a vault sends only the
    /// texts.
    pub note: Bytes,
}

impl Row {
    /// Returns the cipher's id.
    #[must_use]
    pub const fn id(&self) -> CipherId {
        self.marks.id
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({:?}, {} + {} bytes)", self.marks, self.text.len(), self.note.len())
    }
}

/// The text of one row of a stage.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it from a row")]
pub struct StagedText {
    /// The cipher.
    pub id: CipherId,
    /// The mark of the text.
    pub mark: Mark,
    /// The sealed text, byte for byte as it was staged.
    pub text: Bytes,
}

impl fmt::Debug for StagedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedText({:?}, {:?}, {} bytes)", self.id, self.mark, self.text.len())
    }
}

/// The rows of one write. Their ids are distinct; a backend refuses a write in which they are not.
pub type Rows = Vec<Row>;

/// A change of the vault. It is part of a batch, whose guard is the root, so changes are applied
/// one after the other.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every vault write there is")]
pub enum VaultWrite {
    /// Ordinary edits: rows are inserted or replaced, and rows are deleted (an absent one is not an
    /// error).
    Edit {
        /// Rows to insert or replace.
        put: Rows,
        /// Rows to delete.
        delete: Vec<CipherId>,
    },
    /// Replaces every row's text, text mark and nonce; notes and their marks are kept. It is a
    /// conflict unless the ids are **exactly** those that the account has.
    Swap {
        /// The new rows; their notes are ignored.
        rows: Rows,
    },
    /// Replaces the rows as [`Swap`](Self::Swap) does, with those of a stage, which is removed. It
    /// is a conflict unless the stage holds exactly these (id, text mark) pairs, because the parts
    /// of a stage are unguarded and may arrive late or twice.
    Promote {
        /// The stage.
        stage: StageId,
        /// The pairs that were checked, sorted by id.
        rows: Vec<(CipherId, Mark)>,
    },
}

/// The marks of every row of a vault, sorted by id, and the root's revision, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Manifest {
    /// The root's revision; `None` if there is no root.
    pub root: Option<Revision>,
    /// Every cipher, sorted by id.
    pub rows: Vec<RowMarks>,
}

/// Rows of a vault, sorted by id, and the root's revision, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct VaultRows {
    /// The root's revision; `None` if there is no root.
    pub root: Option<Revision>,
    /// The requested rows.
    pub rows: Rows,
    /// The marks of **every** row of the vault, sorted by id, if they were requested.
    pub marks: Option<Vec<RowMarks>>,
}

/// The ciphers to read.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every selection there is")]
pub enum Which<'a> {
    /// All of them.
    All,
    /// The ciphers of the list that exist.
    Ids {
        /// The ciphers.
        ids: &'a [CipherId],
        /// Whether to include the marks of the whole vault, from the same snapshot. They prove that
        /// no row is missing.
        with_marks: bool,
    },
}
