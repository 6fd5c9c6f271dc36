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
/// # use keywright_rekey::{Limits, VaultPolicyError};
/// let limits = Limits::builder().max_entries(500).build()?;
/// let error = Limits::builder().max_entries(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "`max_entries` is not in 1..=16777216");
/// # let _ = limits;
/// # Ok::<(), VaultPolicyError>(())
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
    /// Returns a builder that starts from the default numbers.
    pub fn builder() -> LimitsBuilder {
        LimitsBuilder { limits: Self::default() }
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

/// A builder that changes the numbers of [`Limits`] one by one; [`build`](Self::build) checks them
/// all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct LimitsBuilder {
    limits: Limits,
}

impl LimitsBuilder {
    /// Sets the maximum number of ciphers in one submission: 1 to [`MAX_MAX_ENTRIES`]. Default
    /// [`MAX_ENTRIES`].
    pub const fn max_entries(mut self, ciphers: usize) -> Self {
        self.limits.max_entries = ciphers;
        self
    }

    /// Sets the maximum length of a cipher's text: 1 to [`MAX_MAX_TEXT`] bytes. Default
    /// [`MAX_TEXT`]. In a re-encryption by [`Vaults`](crate::Vaults), a text may be as long as the
    /// one that it replaces.
    pub const fn max_text(mut self, bytes: usize) -> Self {
        self.limits.max_text = bytes;
        self
    }

    /// Returns the limits.
    ///
    /// # Errors
    /// Returns a [`VaultPolicyError`] if a number is out of bounds.
    pub fn build(self) -> Result<Limits, VaultPolicyError> {
        let Self { limits } = self;
        within("max_entries", limits.max_entries as u64, MAX_MAX_ENTRIES as u64)?;
        within("max_text", limits.max_text as u64, MAX_MAX_TEXT as u64)?;
        Ok(limits)
    }
}

const fn within(field: &'static str, value: u64, max: u64) -> Result<(), VaultPolicyError> {
    if 1 <= value && value <= max { Ok(()) } else { Err(VaultPolicyError::OutOfBounds { field, min: 1, max }) }
}

/// The reason why numbers do not form [`Limits`] or a [`VaultPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultPolicyError {
    /// A number is out of bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
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

/// The policy by which vaults are kept. [`Default`] uses the constants of this module.
///
/// ```
/// # use keywright_rekey::{VaultPolicy, VaultPolicyError};
/// let policy = VaultPolicy::builder().most_ciphers(5_000).build()?;
/// let error = VaultPolicy::builder().most_ciphers(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "`most_ciphers` is not in 1..=16777216");
/// # let _ = policy;
/// # Ok::<(), VaultPolicyError>(())
/// ```
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
    /// Returns a builder that starts from the default numbers.
    pub fn builder() -> VaultPolicyBuilder {
        VaultPolicyBuilder { policy: Self::default() }
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

/// A builder that changes a [`VaultPolicy`] one setting at a time; [`build`](Self::build) checks
/// them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct VaultPolicyBuilder {
    policy: VaultPolicy,
}

impl VaultPolicyBuilder {
    /// Sets the form in which texts are stored. Texts that are already stored stay readable; a swap
    /// or an edit writes them in the new form. Default [`AtRest::Sealed`].
    pub const fn at_rest(mut self, at_rest: AtRest) -> Self {
        self.policy.at_rest = at_rest;
        self
    }

    /// Sets the maximum number of ciphers in one vault: 1 to [`MAX_MAX_CIPHERS`]. A vault that
    /// already has more keeps them, and accepts no more. Default [`MAX_CIPHERS`].
    pub const fn most_ciphers(mut self, ciphers: u64) -> Self {
        self.policy.most_ciphers = ciphers;
        self
    }

    /// Sets the number of ciphers up to which reads and edits of single ciphers compare the whole
    /// vault with its head: any number. In a larger vault, a row that was deleted, added or
    /// replaced by an older version is detected only at the next full read, plan or swap. Default
    /// [`MAX_CHECKED_WITH_SINGLE_READS`].
    pub const fn checked_with_single_reads(mut self, ciphers: u64) -> Self {
        self.policy.checked_with_single_reads = ciphers;
        self
    }

    /// Refuses edits that would make a vault too large to be sent in one piece when it is
    /// re-encrypted (`docs/decisions.md` 62). A submission may have `bytes` bytes, at least 1, of
    /// which each cipher uses those of its text and `beside_each_text` more. A vault that is
    /// already larger, because the limit was lowered, keeps its ciphers and may shrink. There is no
    /// such limit by default.
    pub const fn sendable_size(mut self, bytes: u64, beside_each_text: u64) -> Self {
        self.policy.sendable = Some(Sendable { bytes, beside_each_text });
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// Returns a [`VaultPolicyError`] if a number is out of bounds.
    pub fn build(self) -> Result<VaultPolicy, VaultPolicyError> {
        let Self { policy } = self;
        within("most_ciphers", policy.most_ciphers, MAX_MAX_CIPHERS)?;
        if let Some(Sendable { bytes, .. }) = policy.sendable {
            within("sendable_size", bytes, u64::MAX)?;
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_both_bounds_and_is_named() {
        type Build = fn(u64) -> Result<(), VaultPolicyError>;
        #[expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let fields: [(&str, u64, Build); 3] = [
            ("max_entries", 1 << 24, |n| Limits::builder().max_entries(n as usize).build().map(drop)),
            ("max_text", 1 << 30, |n| Limits::builder().max_text(n as usize).build().map(drop)),
            ("most_ciphers", 1 << 24, |n| VaultPolicy::builder().most_ciphers(n).build().map(drop)),
        ];
        for (field, max, build) in fields {
            for (number, good) in [(1, true), (max, true), (0, false), (max + 1, false)] {
                let out = VaultPolicyError::OutOfBounds { field, min: 1, max };
                assert_eq!(build(number).err(), (!good).then_some(out), "{number}");
            }
        }
        let error = VaultPolicy::builder().sendable_size(0, 50).build().unwrap_err();
        assert!(error.to_string().starts_with("`sendable_size` is not in 1..="), "{error}");
        assert!(VaultPolicy::builder().sendable_size(1, 0).build().is_ok());
    }

    #[test]
    fn the_defaults_are_a_policy() {
        assert_eq!(Limits::builder().build(), Ok(Limits::default()));
        assert_eq!(VaultPolicy::builder().build(), Ok(VaultPolicy::default()));
    }
}
