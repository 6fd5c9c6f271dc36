//! The vault: an account's ciphers, which are too many for one record. Rows are opaque here; what opens them, and what
//! proves that none is missing, lives above, in the crate that owns the vault's head.

use std::fmt;

use bytes::Bytes;

use crate::Revision;

/// The id of a cipher: 16 bytes, a UUID as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
pub struct CipherId(pub [u8; 16]);

/// What tells one stored version of a row's part from another: 16 random bytes of the driver's, drawn anew at each write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes and nothing else")]
pub struct Mark(pub [u8; 16]);

impl Mark {
    /// The mark under which a backend lists a row that it cannot read. Nobody draws it (2⁻¹²⁸ a try), nothing is sealed under
    /// it, and no digest vouches for it: whoever meets it knows that the row was damaged, and denies.
    pub const UNREADABLE: Self = Self([0; 16]);
}

/// The client's envelope nonce, padded with zeros to 16 bytes, or a digest where a format has none. It serves the checks
/// for unchanged texts and reused nonces, and authenticates nothing.
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

/// One cipher: its marks, its sealed text, and what its application notes beside it.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it from a row")]
pub struct Row {
    /// The id and the marks.
    pub marks: RowMarks,
    /// The sealed text, byte for byte as it was committed.
    pub text: Bytes,
    /// The application's note (a kind, times), sealed too. An edit writes it; a swap and a promotion leave the one that
    /// is there, because who re-encrypts a vault sends texts alone.
    pub note: Bytes,
}

impl Row {
    /// The id.
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

/// Rows of one write. Ids are distinct; a backend refuses a write whose are not.
pub type Rows = Vec<Row>;

/// A change of the vault. It rides in a batch, whose guard is the root: two changes never pass each other.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every vault write there is")]
pub enum VaultWrite {
    /// Ordinary edits: rows inserted or replaced, rows deleted (an absent one is no error).
    Edit {
        /// Rows to insert or replace.
        put: Rows,
        /// Rows to delete.
        delete: Vec<CipherId>,
    },
    /// Every row's text, text mark and nonce replaced; notes and their marks stay. A conflict unless the ids are
    /// **exactly** those that the account has.
    Swap {
        /// The new rows; their notes are not looked at.
        rows: Rows,
    },
    /// As [`Swap`](Self::Swap), with the rows of a stage, which goes with it. A conflict unless the stage holds exactly
    /// these (id, text mark) pairs: parts of a stage are unguarded and may come late or twice.
    Promote {
        /// The stage.
        stage: StageId,
        /// What was checked, sorted by id.
        rows: Vec<(CipherId, Mark)>,
    },
}

/// The marks of every row of a vault, sorted by id, and the root's revision, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Manifest {
    /// The root's revision; `None` where there is no root.
    pub root: Option<Revision>,
    /// Every cipher, sorted by id.
    pub rows: Vec<RowMarks>,
}

/// Rows of a vault, sorted by id, and the root's revision, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct VaultRows {
    /// The root's revision; `None` where there is no root.
    pub root: Option<Revision>,
    /// The rows that were asked for.
    pub rows: Rows,
    /// The marks of **every** row of the vault, sorted by id, if they were asked for.
    pub marks: Option<Vec<RowMarks>>,
}

/// Which ciphers to read.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every selection there is")]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those of the list that exist.
    Ids {
        /// The ciphers.
        ids: &'a [CipherId],
        /// Whether the marks of the whole vault come along, from the same snapshot: what proves that no row is missing.
        with_marks: bool,
    },
}
