//! The numbers that are policy. A value outside its bounds is an error that names the field.

use keywright_store::ClientNonce;

use crate::format::{Format, Malformed};

/// Ciphers that one submission may hold. Source: the project's goal, a vault of 100,000.
pub const MAX_ENTRIES: usize = 100_000;

/// Ciphers that a policy may let one submission hold: 24 bytes each are 384 MiB.
pub const MAX_MAX_ENTRIES: usize = 1 << 24;

/// Bytes of text that one cipher may have. Source: `docs/decisions.md` 35, 65,536 hex digits.
pub const MAX_TEXT: usize = 65_536;

/// Bytes of text that a policy may let one cipher have, 1 GiB.
pub const MAX_MAX_TEXT: usize = 1 << 30;

/// How much one submission may hold. What is over the limits is counted, never kept.
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
    /// `max_entries` ciphers of `max_text` bytes of text each.
    ///
    /// # Errors
    /// [`LimitsError`] unless both are in 1..=[`MAX_MAX_ENTRIES`] and 1..=[`MAX_MAX_TEXT`].
    pub const fn new(max_entries: usize, max_text: usize) -> Result<Self, LimitsError> {
        if max_entries == 0 || max_entries > MAX_MAX_ENTRIES {
            return Err(LimitsError { field: "max_entries", most: MAX_MAX_ENTRIES });
        }
        if max_text == 0 || max_text > MAX_MAX_TEXT {
            return Err(LimitsError { field: "max_text", most: MAX_MAX_TEXT });
        }
        Ok(Self { max_entries, max_text })
    }

    /// Ciphers that one submission may hold.
    #[must_use]
    pub const fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// Bytes of text that one cipher may have.
    #[must_use]
    pub const fn max_text(&self) -> usize {
        self.max_text
    }

    /// Checks one text, for ciphers that come alone, and returns the nonce of its envelope.
    ///
    /// # Errors
    /// [`Malformed`]: too long, or what `format` says.
    pub fn check(&self, format: &dyn Format, text: &str) -> Result<ClientNonce, Malformed> {
        self.check_bytes(format, text.as_bytes())
    }

    #[inline]
    pub(crate) fn check_bytes(&self, format: &dyn Format, text: &[u8]) -> Result<ClientNonce, Malformed> {
        if text.len() > self.max_text { Err(Malformed::TooLong) } else { format.check(text) }
    }
}

/// A number is outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is not in 1..={most}")]
pub struct LimitsError {
    field: &'static str,
    most: usize,
}

/// How the texts of ciphers lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AtRest {
    /// Sealed under a key of the account. The default: a text is a password check, so a dump must not hold it
    /// (`docs/security.md` § 2). Costs 0.4 to 1 µs per 400 bytes.
    #[default]
    Sealed,
    /// As they were sent. For a host whose storage is encrypted under keys that its backups do not hold.
    AsSent,
}

/// Ciphers that one vault may have. Source: as [`MAX_ENTRIES`].
pub const MAX_CIPHERS: u64 = 100_000;

/// Ciphers that a policy may let one vault have: as many as one submission may.
pub const MAX_MAX_CIPHERS: u64 = 1 << 24;

/// Seconds for which a staged vault stays in the store beyond its end, so that a sweep with another server's clock does
/// not take it early: one hour.
pub const STAGE_GRACE_SECONDS: u64 = 3_600;

/// Ciphers up to which a vault is checked whole even when single ciphers are read. Source: `docs/security.md` § 2; the
/// marks of 5,000 rows are 320 kB, read and compared in a few milliseconds.
pub const MAX_CHECKED_WITH_SINGLE_READS: u64 = 5_000;

/// How vaults are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultPolicy {
    at_rest: AtRest,
    most_ciphers: u64,
    checked_with_single_reads: u64,
    sendable: Option<Sendable>,
}

/// What one submission of the whole vault may take.
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
    /// Another way to keep texts. What lies there already stays readable; a swap or an edit writes it anew.
    #[must_use]
    pub const fn with_at_rest(mut self, at_rest: AtRest) -> Self {
        self.at_rest = at_rest;
        self
    }

    /// Another limit of ciphers in one vault. A vault that has more already keeps them, and takes no more.
    ///
    /// # Errors
    /// [`LimitsError`] unless it is in 1..=[`MAX_MAX_CIPHERS`].
    pub const fn with_most_ciphers(mut self, ciphers: u64) -> Result<Self, LimitsError> {
        if ciphers == 0 || ciphers > MAX_MAX_CIPHERS {
            return Err(LimitsError { field: "most_ciphers", most: MAX_MAX_ENTRIES });
        }
        self.most_ciphers = ciphers;
        Ok(self)
    }

    /// Another size of vaults up to which reads of single ciphers, and edits, compare the whole vault with its head. In
    /// larger ones a row that was dropped, added or put back is noticed at the next full read, plan or swap only.
    #[must_use]
    pub const fn with_checked_single_reads(mut self, ciphers: u64) -> Self {
        self.checked_with_single_reads = ciphers;
        self
    }

    /// Refuses edits that would make a vault too large to be sent in one piece when it is encrypted anew
    /// (`docs/decisions.md` 62): a submission may have `bytes`, of which each cipher takes its text and
    /// `beside_each_text`. A vault that is larger already, because the limit was lowered, keeps its ciphers and may
    /// shrink. Default: no such limit.
    #[must_use]
    pub const fn with_sendable_size(mut self, bytes: u64, beside_each_text: u64) -> Self {
        self.sendable = Some(Sendable { bytes, beside_each_text });
        self
    }

    /// How texts lie in the store.
    #[must_use]
    pub const fn at_rest(&self) -> AtRest {
        self.at_rest
    }

    /// Ciphers that one vault may have.
    #[must_use]
    pub const fn most_ciphers(&self) -> u64 {
        self.most_ciphers
    }

    /// Ciphers up to which a vault is checked whole even when single ciphers are read.
    #[must_use]
    pub const fn checked_with_single_reads(&self) -> u64 {
        self.checked_with_single_reads
    }

    /// The limit that a vault would pass by growing from `before` to `after`, each a number of ciphers and the bytes of
    /// their texts.
    pub(crate) fn too_large(&self, before: (u64, u64), after: (u64, u64)) -> Option<u64> {
        let Sendable { bytes, beside_each_text } = self.sendable?;
        let size = |(count, texts): (u64, u64)| count.saturating_mul(beside_each_text).saturating_add(texts);
        if size(after) > bytes && size(after) > size(before) { Some(bytes) } else { None }
    }
}
