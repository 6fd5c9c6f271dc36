//! The policy of confirmations. A builder changes its numbers within bounds; a value out of bounds
//! is an error that names the field.

use keywright_core::{Attempt, Client, Generation, SecretKind};

/// The kind of secret under which the account's guess ledger counts guesses at mailed codes. All
/// mailed codes of an account share one entry, so that neither a new code nor a new session resets
/// the count of guesses. Email never admits a client here, because an attacker who reads the
/// mailbox already has the code. A typed code has 96 bits, and therefore no entry.
pub const MAILED_CODE: SecretKind = SecretKind::new("mailed").without_mail();

/// The generation of [`MAILED_CODE`]. It is always the same, because no new code may reset the
/// count. [`guess::admit_client`](keywright_store::guess::admit_client) and
/// [`guess::unlock`](keywright_store::guess::unlock) take it.
pub const MAILED_GENERATION: Generation = Generation::HOST;

/// Returns an attempt of `client` at a mailed code.
pub(crate) const fn mailed_attempt(client: Client) -> Attempt {
    Attempt::new(MAILED_CODE, MAILED_GENERATION, client)
}

/// The maximum number of pending confirmations of one account; one more drops the oldest. It is
/// also a bound of the stored form. Source: `docs/decisions.md` 8.
pub const MAX_PENDING: usize = 8;

/// The lifetime of a shown code, in seconds. Source: OWASP ASVS 5.0 6.5.5 (out-of-band: at most 10
/// minutes); in Nextcloud Passwords, the code lives as long as its session.
pub const CODE_SECONDS: u64 = 600;

/// The number of wrong attempts that invalidates a shown code. Source: `docs/security.md` § 5. An
/// attacker has 5 guesses of 2⁹⁶.
pub const CODE_TRIES: u8 = 5;

/// The shortest random wait, in seconds. Source: Nextcloud Passwords 2019.7.0 to 2021.1.x.
pub const WAIT_MIN_SECONDS: u64 = 5;

/// The longest random wait, in seconds. The source is that of [`WAIT_MIN_SECONDS`].
pub const WAIT_MAX_SECONDS: u64 = 10;

/// How long a wait can be used after it is over, in seconds; the end is exclusive. The source is
/// that of [`WAIT_MIN_SECONDS`].
pub const WAIT_VALID_SECONDS: u64 = 60;

/// The maximum that a policy may set for the longest wait, and for the time that a wait can be used
/// afterwards, in seconds. It is also a bound of the stored form.
pub const MAX_WAIT_SECONDS: u64 = 300;

/// The lifetime of a mailed code, in seconds. Source: NIST SP 800-63B-4 § 3.1.3.2 and OWASP ASVS
/// 5.0 6.5.5, 10 minutes.
pub const MAILED_SECONDS: u64 = 600;

/// The maximum lifetime of a mailed code that a policy may set, in seconds. Source: NIST SP
/// 800-63B-4 § 4.2.1.2, 24 hours for a code sent by e-mail.
pub const MAILED_MAX_SECONDS: u64 = 86_400;

/// The number of wrong attempts at a mailed confirmation; a new code does not give them back.
/// Source: `docs/security.md` § 5. These are 5 guesses of 10⁶, and the guess ledger limits further
/// ones.
pub const MAILED_TRIES: u8 = 5;

/// The minimum time between two mails for the same action in the same session, in seconds. Source:
/// `docs/security.md` § 5.
pub const MAIL_SPACING_SECONDS: u64 = 60;

/// The maximum number of mails of one pending confirmation; the last code stays valid. Source:
/// `docs/security.md` § 5.
pub const MAILS_PER_PENDING: u8 = 5;

/// The maximum number of mails of one account in any 24 hours, over all actions and sessions. It is
/// also a bound of the stored form. Source: `docs/security.md` § 5.
pub const MAILS_PER_DAY: usize = 10;

/// The maximum number of mails of one account in any 24 hours that are sent again for requests
/// **without** login. They are part of [`MAILS_PER_DAY`], so that nobody else can use up the
/// owner's mails. A mail that got lost is sent again once or twice, not more often.
pub const RESENDS_PER_DAY: usize = 3;

/// The minimum time between two repeated events of one action, in seconds; events in between are
/// counted. Source: `docs/security.md` § 3.
pub const REPEAT_SECONDS: u64 = 3_600;

/// The sliding period of [`MAILS_PER_DAY`] and [`RESENDS_PER_DAY`], in seconds.
pub const DAY_SECONDS: u64 = 86_400;

/// The numbers that govern confirmations. [`Default`] uses the constants of this module.
///
/// ```
/// # use keywright_confirm::{ConfirmPolicy, ConfirmPolicyError};
/// // LibrePass mails a confirmation that lives for a day.
/// let policy = ConfirmPolicy::builder().mailed_seconds(86_400).build()?;
/// let error = ConfirmPolicy::builder().code_tries(6).build().unwrap_err();
/// assert_eq!(error.to_string(), "`code_tries` is not in 1..=5");
/// # let _ = policy;
/// # Ok::<(), ConfirmPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmPolicy {
    pub(crate) pending: usize,
    pub(crate) code_seconds: u64,
    pub(crate) code_tries: u8,
    pub(crate) wait_min_seconds: u64,
    pub(crate) wait_max_seconds: u64,
    pub(crate) wait_valid_seconds: u64,
    pub(crate) mailed_seconds: u64,
    pub(crate) mailed_tries: u8,
    pub(crate) mail_spacing_seconds: u64,
    pub(crate) mails_per_pending: u8,
    pub(crate) mails_per_day: usize,
    pub(crate) resends_per_day: usize,
}

impl Default for ConfirmPolicy {
    fn default() -> Self {
        Self {
            pending: MAX_PENDING,
            code_seconds: CODE_SECONDS,
            code_tries: CODE_TRIES,
            wait_min_seconds: WAIT_MIN_SECONDS,
            wait_max_seconds: WAIT_MAX_SECONDS,
            wait_valid_seconds: WAIT_VALID_SECONDS,
            mailed_seconds: MAILED_SECONDS,
            mailed_tries: MAILED_TRIES,
            mail_spacing_seconds: MAIL_SPACING_SECONDS,
            mails_per_pending: MAILS_PER_PENDING,
            mails_per_day: MAILS_PER_DAY,
            resends_per_day: RESENDS_PER_DAY,
        }
    }
}

impl ConfirmPolicy {
    /// Returns a builder that starts from the default numbers.
    pub fn builder() -> ConfirmPolicyBuilder {
        ConfirmPolicyBuilder { policy: Self::default() }
    }
}

/// A builder that changes the numbers of a [`ConfirmPolicy`] one by one; [`build`](Self::build)
/// checks them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConfirmPolicyBuilder {
    policy: ConfirmPolicy,
}

impl ConfirmPolicyBuilder {
    /// Sets the maximum number of pending confirmations of one account: 1 to 8. Default
    /// [`MAX_PENDING`].
    pub const fn pending(mut self, pending: usize) -> Self {
        self.policy.pending = pending;
        self
    }

    /// Sets the lifetime of a shown code: 30 to 600 seconds. Default [`CODE_SECONDS`].
    pub const fn code_seconds(mut self, seconds: u64) -> Self {
        self.policy.code_seconds = seconds;
        self
    }

    /// Sets the number of attempts at a shown code: 1 to 5. Default [`CODE_TRIES`].
    pub const fn code_tries(mut self, tries: u8) -> Self {
        self.policy.code_tries = tries;
        self
    }

    /// Sets the shortest wait: 1 to 300 seconds. Default [`WAIT_MIN_SECONDS`].
    pub const fn wait_min_seconds(mut self, seconds: u64) -> Self {
        self.policy.wait_min_seconds = seconds;
        self
    }

    /// Sets the longest wait: `wait_min_seconds` to 300 seconds. Default [`WAIT_MAX_SECONDS`].
    pub const fn wait_max_seconds(mut self, seconds: u64) -> Self {
        self.policy.wait_max_seconds = seconds;
        self
    }

    /// Sets how long a wait can be used after it is over: 1 to 300 seconds. Default
    /// [`WAIT_VALID_SECONDS`].
    pub const fn wait_valid_seconds(mut self, seconds: u64) -> Self {
        self.policy.wait_valid_seconds = seconds;
        self
    }

    /// Sets the lifetime of a mailed code: 60 to 86,400 seconds. Default [`MAILED_SECONDS`]. Choose
    /// a higher value only where a protocol requires it.
    pub const fn mailed_seconds(mut self, seconds: u64) -> Self {
        self.policy.mailed_seconds = seconds;
        self
    }

    /// Sets the number of attempts at a mailed confirmation: 1 to 5. Default [`MAILED_TRIES`].
    pub const fn mailed_tries(mut self, tries: u8) -> Self {
        self.policy.mailed_tries = tries;
        self
    }

    /// Sets the minimum time between two mails: 60 to 3,600 seconds. Default
    /// [`MAIL_SPACING_SECONDS`].
    pub const fn mail_spacing_seconds(mut self, seconds: u64) -> Self {
        self.policy.mail_spacing_seconds = seconds;
        self
    }

    /// Sets the maximum number of mails of one pending confirmation: 1 to 5. Default
    /// [`MAILS_PER_PENDING`].
    pub const fn mails_per_pending(mut self, mails: u8) -> Self {
        self.policy.mails_per_pending = mails;
        self
    }

    /// Sets the maximum number of mails of one account in 24 hours: 1 to 10. Default
    /// [`MAILS_PER_DAY`].
    pub const fn mails_per_day(mut self, mails: usize) -> Self {
        self.policy.mails_per_day = mails;
        self
    }

    /// Sets the maximum number of mails of one account in 24 hours for requests without login: from
    /// 1 to 3. Default [`RESENDS_PER_DAY`].
    pub const fn resends_per_day(mut self, mails: usize) -> Self {
        self.policy.resends_per_day = mails;
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// Returns a [`ConfirmPolicyError`] if a number is out of bounds.
    pub fn build(self) -> Result<ConfirmPolicy, ConfirmPolicyError> {
        let Self { policy } = self;
        within("pending", policy.pending as u64, 1, MAX_PENDING as u64)?;
        within("code_seconds", policy.code_seconds, 30, CODE_SECONDS)?;
        within("code_tries", policy.code_tries.into(), 1, CODE_TRIES.into())?;
        within("wait_min_seconds", policy.wait_min_seconds, 1, MAX_WAIT_SECONDS)?;
        within("wait_max_seconds", policy.wait_max_seconds, policy.wait_min_seconds, MAX_WAIT_SECONDS)?;
        within("wait_valid_seconds", policy.wait_valid_seconds, 1, MAX_WAIT_SECONDS)?;
        within("mailed_seconds", policy.mailed_seconds, 60, MAILED_MAX_SECONDS)?;
        within("mailed_tries", policy.mailed_tries.into(), 1, MAILED_TRIES.into())?;
        within("mail_spacing_seconds", policy.mail_spacing_seconds, MAIL_SPACING_SECONDS, 3_600)?;
        within("mails_per_pending", policy.mails_per_pending.into(), 1, MAILS_PER_PENDING.into())?;
        within("mails_per_day", policy.mails_per_day as u64, 1, MAILS_PER_DAY as u64)?;
        within("resends_per_day", policy.resends_per_day as u64, 1, RESENDS_PER_DAY as u64)?;
        Ok(policy)
    }
}

const fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfirmPolicyError> {
    if min <= value && value <= max { Ok(()) } else { Err(ConfirmPolicyError::OutOfBounds { field, min, max }) }
}

/// Why numbers do not form a valid [`ConfirmPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmPolicyError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_both_bounds_and_is_named() {
        type Change = fn(ConfirmPolicyBuilder, u64) -> ConfirmPolicyBuilder;
        #[expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let fields: [(&str, u64, u64, Change); 12] = [
            ("pending", 1, 8, |b, n| b.pending(n as usize)),
            ("code_seconds", 30, 600, |b, n| b.code_seconds(n)),
            ("code_tries", 1, 5, |b, n| b.code_tries(n as u8)),
            ("wait_min_seconds", 1, 300, |b, n| b.wait_min_seconds(n).wait_max_seconds(n.clamp(1, MAX_WAIT_SECONDS))),
            ("wait_max_seconds", 5, 300, |b, n| b.wait_max_seconds(n)),
            ("wait_valid_seconds", 1, 300, |b, n| b.wait_valid_seconds(n)),
            ("mailed_seconds", 60, 86_400, |b, n| b.mailed_seconds(n)),
            ("mailed_tries", 1, 5, |b, n| b.mailed_tries(n as u8)),
            ("mail_spacing_seconds", 60, 3_600, |b, n| b.mail_spacing_seconds(n)),
            ("mails_per_pending", 1, 5, |b, n| b.mails_per_pending(n as u8)),
            ("mails_per_day", 1, 10, |b, n| b.mails_per_day(n as usize)),
            ("resends_per_day", 1, 3, |b, n| b.resends_per_day(n as usize)),
        ];
        for (field, min, max, change) in fields {
            for (number, good) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
                let built = change(ConfirmPolicy::builder(), number).build();
                assert_eq!(built.is_ok(), good, "{field} = {number}: {built:?}");
                if let Err(error) = built {
                    assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_defaults_are_a_policy() {
        assert_eq!(ConfirmPolicy::builder().build(), Ok(ConfirmPolicy::default()));
    }
}
