//! The policy of vaults and submissions. A value out of bounds is an error that names the field.

use keywright_store::ClientNonce;

use crate::format::{Format, Malformed};

/// The default maximum number of ciphers in one submission. Source: the project's goal, a
/// vault of 100,000.
pub const MAX_ENTRIES: usize = 100_000;

/// The maximum that a policy may set for the ciphers in one submission. At 24 bytes each they use
/// 384 MiB.
pub const MAX_MAX_ENTRIES: usize = 1 << 24;

/// The default maximum length of a cipher's text, in bytes: 65,536 hex digits
/// (`docs/decisions.md` 35).
pub const MAX_TEXT: usize = 65_536;

/// The maximum that a policy may set for the length of a cipher's text, in bytes: 1 GiB.
pub const MAX_MAX_TEXT: usize = 1 << 30;

/// The limits of one submission. Entries beyond the limits are counted, never kept.
///
/// ```
/// # use keywright_rekey::{Limits, LimitsError};
/// let limits = Limits::new(500, 65_536)?;
/// assert_eq!(Limits::new(0, 65_536).unwrap_err().to_string(), "`max_entries` is not in 1..=16777216");
/// # let _ = limits;
/// # Ok::<(), LimitsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_entries: usize,
    max_text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_entries: MAX_ENTRIES, max_text: MAX_TEXT }
    }
}

impl Limits {
    /// Creates limits of `max_entries` ciphers with `max_text` bytes of text each.
    ///
    /// # Errors
    /// Returns a [`LimitsError`] unless both are in 1..=[`MAX_MAX_ENTRIES`] and
    /// 1..=[`MAX_MAX_TEXT`], respectively.
    pub const fn new(max_entries: usize, max_text: usize) -> Result<Self, LimitsError> {
        if max_entries == 0 || max_entries > MAX_MAX_ENTRIES {
            return Err(LimitsError { field: "max_entries", most: MAX_MAX_ENTRIES });
        }
        if max_text == 0 || max_text > MAX_MAX_TEXT {
            return Err(LimitsError { field: "max_text", most: MAX_MAX_TEXT });
        }
        Ok(Self { max_entries, max_text })
    }

    /// Returns the maximum number of ciphers in one submission.
    #[must_use]
    pub const fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// Returns the maximum length of a cipher's text, in bytes.
    #[must_use]
    pub const fn max_text(&self) -> usize {
        self.max_text
    }

    /// Checks one text, for ciphers that are sent singly, and returns the nonce of its envelope.
    ///
    /// # Errors
    /// Returns a [`Malformed`] if the text is too long or `format` does not accept it.
    pub fn check(&self, format: &dyn Format, text: &str) -> Result<ClientNonce, Malformed> {
        self.check_bytes(format, text.as_bytes())
    }

    #[inline]
    pub(crate) fn check_bytes(&self, format: &dyn Format, text: &[u8]) -> Result<ClientNonce, Malformed> {
        if text.len() > self.max_text { Err(Malformed::TooLong) } else { format.check(text) }
    }
}

/// A number is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is not in 1..={most}")]
pub struct LimitsError {
    field: &'static str,
    most: usize,
}

/// The form in which the texts of ciphers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AtRest {
    /// Texts are sealed under a key of the account. This is the default: a text allows guesses at
    /// the password to be checked, so a dump must not contain it (`docs/security.md` § 2). Sealing
    /// costs 0.4 to 1 µs per 400 bytes.
    #[default]
    Sealed,
    /// Texts are stored as they were sent. For a host whose storage is encrypted under keys that
    /// its backups do not contain.
    AsSent,
}

/// The default maximum number of ciphers in one vault. The source is that of [`MAX_ENTRIES`].
pub const MAX_CIPHERS: u64 = 100_000;

/// The maximum that a policy may set for the ciphers in one vault: as many as for one submission.
pub const MAX_MAX_CIPHERS: u64 = 1 << 24;

/// How long a staged vault stays in the store after it has expired, in seconds, so that a sweep
/// with another server's clock does not remove it early: one hour.
pub const STAGE_GRACE_SECONDS: u64 = 3_600;

/// The number of ciphers up to which the whole vault is checked even when single ciphers are read.
/// Source: `docs/security.md` § 2; the marks of 5,000 rows are 320 kB, which are read and compared
/// in a few milliseconds.
pub const MAX_CHECKED_WITH_SINGLE_READS: u64 = 5_000;

/// The policy for stored vaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultPolicy {
    at_rest: AtRest,
    most_ciphers: u64,
    checked_with_single_reads: u64,
    sendable: Option<Sendable>,
}

/// The limit of one submission of the whole vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sendable {
    bytes: u64,
    beside_each_text: u64,
}

impl Default for VaultPolicy {
    fn default() -> Self {
        Self {
            at_rest: AtRest::Sealed,
            most_ciphers: MAX_CIPHERS,
            checked_with_single_reads: MAX_CHECKED_WITH_SINGLE_READS,
            sendable: None,
        }
    }
}

impl VaultPolicy {
    /// Sets the form in which texts are stored. Texts that are already stored stay readable; a swap
    /// or an edit writes them in the new form.
    #[must_use]
    pub const fn with_at_rest(mut self, at_rest: AtRest) -> Self {
        self.at_rest = at_rest;
        self
    }

    /// Sets the maximum number of ciphers in one vault. A vault that already has more keeps them,
    /// and accepts no more.
    ///
    /// # Errors
    /// Returns a [`LimitsError`] unless it is in 1..=[`MAX_MAX_CIPHERS`].
    pub const fn with_most_ciphers(mut self, ciphers: u64) -> Result<Self, LimitsError> {
        if ciphers == 0 || ciphers > MAX_MAX_CIPHERS {
            return Err(LimitsError { field: "most_ciphers", most: MAX_MAX_ENTRIES });
        }
        self.most_ciphers = ciphers;
        Ok(self)
    }

    /// Sets the number of ciphers up to which reads and edits of single ciphers compare the whole
    /// vault with its head. In a larger vault, a row that was deleted, added or replaced by an
    /// older version is detected only at the next full read, plan or swap.
    #[must_use]
    pub const fn with_checked_single_reads(mut self, ciphers: u64) -> Self {
        self.checked_with_single_reads = ciphers;
        self
    }

    /// Refuses edits that would make a vault too large to be sent in one piece when it is
    /// re-encrypted (`docs/decisions.md` 62). A submission may have `bytes` bytes, of which each
    /// cipher uses those of its text and `beside_each_text` more. A vault that is already larger,
    /// because the limit was lowered, keeps its ciphers and may shrink. There is no such limit by
    /// default.
    #[must_use]
    pub const fn with_sendable_size(mut self, bytes: u64, beside_each_text: u64) -> Self {
        self.sendable = Some(Sendable { bytes, beside_each_text });
        self
    }

    /// Returns the form in which texts are stored.
    #[must_use]
    pub const fn at_rest(&self) -> AtRest {
        self.at_rest
    }

    /// Returns the maximum number of ciphers in one vault.
    #[must_use]
    pub const fn most_ciphers(&self) -> u64 {
        self.most_ciphers
    }

    /// Returns the number of ciphers up to which the whole vault is checked even when single
    /// ciphers are read.
    #[must_use]
    pub const fn checked_with_single_reads(&self) -> u64 {
        self.checked_with_single_reads
    }

    /// Returns the limit that a vault would exceed by growing from `before` to `after`, if any.
    /// Each is a number of ciphers and the bytes of their texts.
    pub(crate) fn too_large(&self, before: (u64, u64), after: (u64, u64)) -> Option<u64> {
        let Sendable { bytes, beside_each_text } = self.sendable?;
        let size = |(count, texts): (u64, u64)| count.saturating_mul(beside_each_text).saturating_add(texts);
        if size(after) > bytes && size(after) > size(before) { Some(bytes) } else { None }
    }
}
