//! The ledger's numbers, each with its arithmetic. A builder can change most of them within bounds.

/// The streak at which the first wait begins, so that the wrong guesses one to four cost nothing.
/// Somebody who mistypes needs two or three.
pub const FREE_TRIES: u16 = 5;

/// The first wait, in seconds; each further one is twice as long. Codes last 30 s in many apps.
pub const BASE_WAIT: u64 = 30;

/// The longest wait, in seconds. 30 · 2⁷ = 3840 is above it, so the waits are 30 s, 1, 2, 4, 8, 16,
/// 32 min, 1 h, 1 h, …: guess 12 comes at 3,810 s, guess 12 + j at 3,810 + 3,600·j. Unknown clients
/// alone have 34 guesses in 24 h (j = 22), and the fiftieth at 140,610 s = 39 h.
pub const MAX_WAIT: u64 = 3_600;

/// The level at which unknown clients are refused, all together.
pub const UNKNOWN_LEVEL_LIMIT: u16 = 50;

/// The seconds in which the level of the unknown clients falls by one: two days.
pub const UNKNOWN_LEAK_SECONDS: u64 = 2 * 86_400;

/// The level at which a known client is refused. 50 + 5 × 10 = 100 guesses at most in one burst,
/// whoever sends them.
pub const KNOWN_LEVEL_LIMIT: u16 = 10;

/// The seconds in which the level of a known client falls by one: ten days. 1/2 + 5 × 1/10 = 1
/// guess a day, so 100 + 365 = 465 in the first year. Without levels, an owner who logs in daily
/// and so resets the streak would give unknown clients 34 × 365 = 12,410 guesses a year, 3.7 % at
/// 3·10⁻⁶.
pub const KNOWN_LEAK_SECONDS: u64 = 10 * 86_400;

/// The streak at which unknown clients are locked out until somebody acts: 50 + 5 × 10 =
/// [`MAX_CONSECUTIVE`].
pub const UNKNOWN_STREAK_LIMIT: u16 = 50;

/// The streak at which a known client is locked out until somebody acts: 50 + 5 × 10 =
/// [`MAX_CONSECUTIVE`]. The level alone would allow one more consecutive failure every ten days,
/// without end.
pub const KNOWN_STREAK_LIMIT: u16 = 10;

/// The most known clients of a secret. It bounds the stored form too, so a policy may have fewer
/// but never more.
pub const MAX_KNOWN_CLIENTS: usize = 5;

/// The number of random bits from which a secret never locks anybody out (NIST SP 800-63B-4
/// requires throttling only below 64 bits).
pub const NEVER_LOCKED_BITS: u32 = 64;

/// The most consecutive failures, all clients together, that a policy may allow (NIST SP 800-63B-4
/// § 3.2.2).
pub const MAX_CONSECUTIVE: u64 = 100;

/// The first year, in seconds: 365 days.
pub const YEAR_SECONDS: u64 = 365 * 86_400;

/// A year of guessing must succeed with a probability of at most one in this number: 1 %.
pub const MIN_YEAR_ODDS: u64 = 100;

/// How long, in seconds, unknown clients must make no wrong guess for an owner's right guess to end
/// their streak. It also ends if they have made fewer than [`FREE_TRIES`] wrong guesses since the
/// last right one. Otherwise their waits stay at the longest.
pub const QUIET_SECONDS: u64 = 86_400;

/// The number of guesses that an admitted client has.
pub const MAX_ADMITTED_TRIES: u8 = 10;

/// How long an admission lasts, in seconds: an hour, enough to read a mail on one device and log in
/// on another.
pub const ADMISSION_SECONDS: u64 = 3_600;

/// The most admissions of an account in any [`ADMISSION_DAY`], for all secrets together: 3 × 10 =
/// 30 guesses. It bounds the stored form too, so a policy may have fewer but never more.
pub const MAX_ADMISSIONS: usize = 3;

/// The seconds over which [`MAX_ADMISSIONS`] are counted: any 24 h, not a calendar day.
pub const ADMISSION_DAY: u64 = 86_400;

/// The most guesses of one client that the host has not judged yet. All unknown clients together
/// count as one.
pub const MAX_IN_FLIGHT: usize = 4;

/// The most unjudged guesses of a secret: four for each known client, for each admission and for
/// the unknown clients together.
pub(super) const MAX_PENDING: usize = 4 * (MAX_KNOWN_CLIENTS + MAX_ADMISSIONS + 1);

/// The seconds after which a guess that the host has not judged is charged. Any password hash takes
/// far less.
pub const VERDICT_SECONDS: u64 = 120;

/// A mail is sent for a refusal that lasts longer than this many seconds: 15 minutes. The tenth
/// wrong guess in a row begins such a wait.
pub const MAIL_WAIT: u64 = 900;

/// The pause after the first mail, in seconds: a day. It doubles with each mail whose link nobody
/// opens: 1, 2, 4, 8, 16, 30, 30, … days. A flood that never ends thus causes 5 mails in the first
/// month and 12 a year after that.
pub const MAIL_PAUSE: u64 = 86_400;

/// The longest pause between mails, in seconds: 30 days.
pub const MAX_MAIL_PAUSE: u64 = 30 * 86_400;

/// The number of admissions that the link of one mail can grant.
pub const MAIL_ADMISSIONS: u8 = 3;

/// The seconds within which repeated denials are reported in one event: short enough for a useful
/// log, and long enough that a flood of guesses does not fill it.
pub const DENIAL_REPORT_SECONDS: u64 = 3_600;

/// The wait that is reported for a lockout, which does not end with time, in seconds: a day.
/// Clients of some protocols require a number.
pub const LOCKED_RETRY_AFTER: u64 = 86_400;

/// The limits of one failure counter: that of the unknown clients together, or that of one known
/// client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) level: u16,
    pub(super) leak: u64,
    pub(super) streak: u16,
}

/// The numbers by which a [`GuessLedger`](super::GuessLedger) works.
///
/// ```
/// # use keywright_core::{GuessOdds, LedgerPolicy, LedgerPolicyError};
/// let policy = LedgerPolicy::builder().base_wait(60).build()?;
/// assert_eq!((policy.wait(4), policy.wait(5), policy.wait(6), policy.wait(50)), (0, 60, 120, 3_600));
///
/// // Six digits, one step either side, five devices: 0.7 % a year. A step more on each side is refused.
/// assert!(policy.check_guess_probability(GuessOdds::new(15, 1_000_000)?).is_ok());
/// assert!(policy.check_guess_probability(GuessOdds::new(25, 1_000_000)?).is_err());
/// # Ok::<(), LedgerPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPolicy {
    pub(super) free_tries: u16,
    pub(super) base_wait: u64,
    pub(super) max_wait: u64,
    pub(super) unknown: Limits,
    pub(super) known: Limits,
    pub(super) known_clients: usize,
    pub(super) admitted_tries: u8,
    pub(super) admissions: usize,
    pub(super) verdict_seconds: u64,
}

impl Default for LedgerPolicy {
    fn default() -> Self {
        Self {
            free_tries: FREE_TRIES,
            base_wait: BASE_WAIT,
            max_wait: MAX_WAIT,
            unknown: Limits { level: UNKNOWN_LEVEL_LIMIT, leak: UNKNOWN_LEAK_SECONDS, streak: UNKNOWN_STREAK_LIMIT },
            known: Limits { level: KNOWN_LEVEL_LIMIT, leak: KNOWN_LEAK_SECONDS, streak: KNOWN_STREAK_LIMIT },
            known_clients: MAX_KNOWN_CLIENTS,
            admitted_tries: MAX_ADMITTED_TRIES,
            admissions: MAX_ADMISSIONS,
            verdict_seconds: VERDICT_SECONDS,
        }
    }
}

impl LedgerPolicy {
    /// Returns a builder that starts from the default numbers.
    pub fn builder() -> LedgerPolicyBuilder {
        LedgerPolicyBuilder { policy: Self::default(), odds: GuessOdds::DEFAULT }
    }

    /// Returns the streak at which the first wait begins.
    #[must_use]
    pub const fn free_tries(&self) -> u16 {
        self.free_tries
    }

    /// Returns the wait, in seconds, that begins with the wrong guess that raises the streak to
    /// `streak`.
    #[must_use]
    pub fn wait(&self, streak: u16) -> u64 {
        let Some(doublings) = streak.checked_sub(self.free_tries) else { return 0 };
        let factor = 1_u64.checked_shl(u32::from(doublings)).unwrap_or(u64::MAX);
        self.base_wait.saturating_mul(factor).min(self.max_wait)
    }

    /// Returns the first streak with the longest wait: 12 by default (30 · 2⁷ s is above an hour).
    /// An owner's right guess lowers the unknown clients' streak to this number, so that their
    /// waits stay long.
    #[must_use]
    pub fn slow_streak(&self) -> u16 {
        (self.free_tries..u16::MAX).find(|&streak| self.wait(streak) >= self.max_wait).unwrap_or(u16::MAX)
    }

    /// Returns the largest number of wrong guesses that are checked in the 365 days from the first
    /// one on, whoever sends them and whenever the owner succeeds. It is the sum of the level
    /// limits and a year's leaks: 465 by default. Each new place from which the owner logs in adds
    /// one, and each admission adds ten.
    #[must_use]
    pub fn guesses_in_first_year(&self) -> u64 {
        let places = u64::try_from(self.known_clients).unwrap_or(u64::MAX);
        let at_once = u64::from(self.known.level).saturating_mul(places).saturating_add(u64::from(self.unknown.level));
        // One common fraction is used, so that the year is rounded once: year · (1 / unknown +
        // places / known).
        let (unknown, known) = (u128::from(self.unknown.leak), u128::from(self.known.leak));
        let leaks = unknown
            .saturating_mul(u128::from(places))
            .saturating_add(known)
            .saturating_mul(u128::from(YEAR_SECONDS))
            .checked_div(unknown.saturating_mul(known))
            .unwrap_or(u128::MAX);
        at_once.saturating_add(u64::try_from(leaks).unwrap_or(u64::MAX))
    }

    /// Returns the largest number of wrong guesses that are checked without a right one in between,
    /// over any time and apart from admissions. It is 100 by default.
    #[must_use]
    pub fn consecutive_failures(&self) -> u64 {
        let places = u64::try_from(self.known_clients).unwrap_or(u64::MAX);
        u64::from(self.known.streak).saturating_mul(places).saturating_add(u64::from(self.unknown.streak))
    }

    /// Checks that a year of guessing finds a secret of these odds with a probability of at most 1
    /// %.
    ///
    /// # Errors
    /// Returns [`LedgerPolicyError::FirstYear`] if the probability is higher.
    pub fn check_guess_probability(&self, odds: GuessOdds) -> Result<(), LedgerPolicyError> {
        let guesses = self.guesses_in_first_year();
        // guesses · hits / space > 1 / 100, without division; each factor has 64 bits at most.
        let lucky = u128::from(guesses).saturating_mul(u128::from(odds.hits)).saturating_mul(u128::from(MIN_YEAR_ODDS));
        if lucky > u128::from(odds.space) { Err(LedgerPolicyError::FirstYear { guesses }) } else { Ok(()) }
    }
}

/// The chance of a single guess: `hits` of `space` equally likely values are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessOdds {
    hits: u64,
    space: u64,
}

impl GuessOdds {
    /// The odds that a policy must withstand by default: 15 right values in 10⁶.
    pub const DEFAULT: Self = Self { hits: 15, space: 1_000_000 };

    /// Returns the odds of `hits` right values among `space`.
    ///
    /// # Errors
    /// Returns [`LedgerPolicyError::OutOfBounds`] if `space` is 0 or `hits` is not in `1..=space`.
    pub const fn new(hits: u64, space: u64) -> Result<Self, LedgerPolicyError> {
        if space == 0 {
            return Err(LedgerPolicyError::OutOfBounds { field: "space", min: 1, max: u64::MAX });
        }
        if hits == 0 || hits > space {
            return Err(LedgerPolicyError::OutOfBounds { field: "hits", min: 1, max: space });
        }
        Ok(Self { hits, space })
    }
}

/// Changes the numbers of a [`LedgerPolicy`] one by one; [`build`](Self::build) checks them
/// together.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct LedgerPolicyBuilder {
    policy: LedgerPolicy,
    odds: GuessOdds,
}

impl LedgerPolicyBuilder {
    /// Sets the streak at which a wrong guess begins the first wait: 1 to 10. The default is
    /// [`FREE_TRIES`].
    pub const fn free_tries(mut self, streak: u16) -> Self {
        self.policy.free_tries = streak;
        self
    }

    /// Sets the first wait: 1 to 3,600 seconds. The default is [`BASE_WAIT`].
    pub const fn base_wait(mut self, seconds: u64) -> Self {
        self.policy.base_wait = seconds;
        self
    }

    /// Sets the longest wait: `base_wait` to 86,400 seconds. The default is [`MAX_WAIT`].
    pub const fn max_wait(mut self, seconds: u64) -> Self {
        self.policy.max_wait = seconds;
        self
    }

    /// Sets the level at which unknown clients are refused: 1 to 1,000. The default is
    /// [`UNKNOWN_LEVEL_LIMIT`].
    pub const fn unknown_level_limit(mut self, level: u16) -> Self {
        self.policy.unknown.level = level;
        self
    }

    /// Sets the seconds in which the level of the unknown clients falls by one: 3,600 to
    /// 31,536,000. The default is [`UNKNOWN_LEAK_SECONDS`].
    pub const fn unknown_leak_seconds(mut self, seconds: u64) -> Self {
        self.policy.unknown.leak = seconds;
        self
    }

    /// Sets the streak at which unknown clients are locked out: 1 to 100. The default is
    /// [`UNKNOWN_STREAK_LIMIT`].
    pub const fn unknown_streak_limit(mut self, streak: u16) -> Self {
        self.policy.unknown.streak = streak;
        self
    }

    /// Sets the level at which a known client is refused: 1 to 1,000. The default is
    /// [`KNOWN_LEVEL_LIMIT`].
    pub const fn known_level_limit(mut self, level: u16) -> Self {
        self.policy.known.level = level;
        self
    }

    /// Sets the seconds in which the level of a known client falls by one: 3,600 to 31,536,000. The
    /// default is [`KNOWN_LEAK_SECONDS`].
    pub const fn known_leak_seconds(mut self, seconds: u64) -> Self {
        self.policy.known.leak = seconds;
        self
    }

    /// Sets the streak at which a known client is locked out: 1 to 100. The default is
    /// [`KNOWN_STREAK_LIMIT`].
    pub const fn known_streak_limit(mut self, streak: u16) -> Self {
        self.policy.known.streak = streak;
        self
    }

    /// Sets the number of known clients of a secret: 0 to 5. The default is [`MAX_KNOWN_CLIENTS`].
    pub const fn known_clients(mut self, clients: usize) -> Self {
        self.policy.known_clients = clients;
        self
    }

    /// Sets the number of guesses of an admitted client: 1 to 10. The default is
    /// [`MAX_ADMITTED_TRIES`].
    pub const fn admitted_tries(mut self, tries: u8) -> Self {
        self.policy.admitted_tries = tries;
        self
    }

    /// Sets the number of admissions of an account in any 24 hours: 0 to 3. The default is
    /// [`MAX_ADMISSIONS`].
    pub const fn admissions_per_day(mut self, admissions: usize) -> Self {
        self.policy.admissions = admissions;
        self
    }

    /// Sets the seconds after which a guess that the host has not judged is charged: 10 to 3,600.
    /// The default is [`VERDICT_SECONDS`].
    pub const fn verdict_seconds(mut self, seconds: u64) -> Self {
        self.policy.verdict_seconds = seconds;
        self
    }

    /// Sets the odds of the weakest secret that this policy protects. The default is
    /// [`GuessOdds::DEFAULT`].
    pub const fn odds(mut self, odds: GuessOdds) -> Self {
        self.odds = odds;
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// Returns [`LedgerPolicyError`] if a number is out of its bounds, if the limits allow more
    /// than [`MAX_CONSECUTIVE`] consecutive failures, or if a year of guessing succeeds with a
    /// probability of more than 1 %.
    pub fn build(self) -> Result<LedgerPolicy, LedgerPolicyError> {
        let Self { policy, odds } = self;
        within("free_tries", policy.free_tries.into(), 1, 10)?;
        within("base_wait", policy.base_wait, 1, 3_600)?;
        within("max_wait", policy.max_wait, policy.base_wait, 86_400)?;
        within("unknown_level_limit", policy.unknown.level.into(), 1, 1_000)?;
        within("unknown_leak_seconds", policy.unknown.leak, 3_600, YEAR_SECONDS)?;
        within("unknown_streak_limit", policy.unknown.streak.into(), 1, 100)?;
        within("known_level_limit", policy.known.level.into(), 1, 1_000)?;
        within("known_leak_seconds", policy.known.leak, 3_600, YEAR_SECONDS)?;
        within("known_streak_limit", policy.known.streak.into(), 1, 100)?;
        at_most("known_clients", policy.known_clients, MAX_KNOWN_CLIENTS)?;
        within("admitted_tries", policy.admitted_tries.into(), 1, MAX_ADMITTED_TRIES.into())?;
        at_most("admissions_per_day", policy.admissions, MAX_ADMISSIONS)?;
        within("verdict_seconds", policy.verdict_seconds, 10, 3_600)?;
        let failures = policy.consecutive_failures();
        if failures > MAX_CONSECUTIVE {
            return Err(LedgerPolicyError::Consecutive { failures });
        }
        policy.check_guess_probability(odds)?;
        Ok(policy)
    }
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), LedgerPolicyError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(LedgerPolicyError::OutOfBounds { field, min, max }) }
}

fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), LedgerPolicyError> {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    within(field, wide(count), 0, wide(max))
}

/// Why numbers do not form a valid [`LedgerPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerPolicyError {
    /// A number is out of its bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the number.
        field: &'static str,
        /// The smallest value that is allowed.
        min: u64,
        /// The largest value that is allowed.
        max: u64,
    },
    /// The limits allow more consecutive failures than NIST SP 800-63B-4 § 3.2.2.
    #[error(
        "`unknown_streak_limit` + `known_clients` · `known_streak_limit` = {failures} is above {MAX_CONSECUTIVE} \
         consecutive failures"
    )]
    Consecutive {
        /// `unknown_streak_limit + known_clients · known_streak_limit`.
        failures: u64,
    },
    /// A year of guessing finds the secret with a probability of more than 1 %.
    #[error("the level limits and leaks allow {guesses} guesses in the first year, which find `odds` above 1 %")]
    FirstYear {
        /// The number of wrong guesses that are checked in the first year.
        guesses: u64,
    },
}
