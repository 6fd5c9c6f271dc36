//! The ledger's numbers, each with its arithmetic. `security.md` § 6 fixes them; a builder changes them inside bounds.

/// Wrong guesses of a lane that begin no wait: the fifth begins the first. A typing owner needs two or three.
pub const FREE_TRIES: u16 = 5;

/// The first wait, in seconds; each further one is twice as long. 30 s is one TOTP time step.
pub const BASE_WAIT: u64 = 30;

/// The longest wait, in seconds. 30 · 2⁷ = 3840 is above it, so the waits are 30 s, 1, 2, 4, 8, 16, 32 min, 1 h, 1 h, …:
/// guess 12 comes at 3,810 s, guess 12 + j at 3,810 + 3,600·j. A stranger has 34 guesses in 24 h (j = 22), the
/// fiftieth at 140,610 s = 39 h.
pub const MAX_WAIT: u64 = 3_600;

/// The load at which strangers are refused. Half of the door's, so that strangers alone never shut out a known device.
pub const STRANGER_LOAD_LIMIT: u16 = 50;

/// The load at which known devices are refused too. Together with the leak: at most 100 + 1 a day wrong guesses.
pub const KNOWN_LOAD_LIMIT: u16 = 100;

/// The streak at which strangers are locked: 50 + 5 × 10 = [`MAX_CONSECUTIVE`].
pub const STRANGER_LOCK: u16 = 50;

/// The streak at which a known device is forgotten: 50 + 5 × 10 = [`MAX_CONSECUTIVE`].
pub const DEVICE_FORGET: u16 = 10;

/// Known devices of a door. Bounds the stored form as well; a policy may have fewer, never more.
pub const MAX_DEVICES: usize = 5;

/// The load falls by one every so many seconds: one a day. Without the load, an owner who logs in daily and so clears
/// the streak gives strangers 34 × 365 = 12,410 guesses a year, 3.7 % at 3·10⁻⁶.
pub const LEAK_SECONDS: u64 = 86_400;

/// Secrets of so many random bits and more never lock (NIST SP 800-63B-4 asks for throttling below 64 bits only).
pub const NEVER_LOCKS_BITS: u32 = 64;

/// Consecutive failures of one authenticator, all lanes together (NIST SP 800-63B-4 § 3.2.2). No policy has more.
pub const MAX_CONSECUTIVE: u64 = 100;

/// The first year, in seconds: 365 days. [`KNOWN_LOAD_LIMIT`] + 365 leaks = 465 wrong guesses.
pub const YEAR_SECONDS: u64 = 365 * 86_400;

/// A year's guesses may succeed with a probability of one in this: 1 %.
pub const MIN_YEAR_ODDS: u64 = 100;

/// The numbers that a [`GuessLedger`](super::GuessLedger) goes by. [`Default`] are those of `security.md` § 6.
///
/// ```
/// # use keywright_core::{GuessOdds, LedgerPolicy, LedgerPolicyError};
/// let policy = LedgerPolicy::builder().base_wait(60).build()?;
/// assert_eq!((policy.wait(4), policy.wait(5), policy.wait(6), policy.wait(50)), (0, 60, 120, 3_600));
///
/// // Six digits, one step either side, five devices: 0.7 % a year. A step more on each side is refused.
/// assert!(policy.check_guess_probability(GuessOdds::totp(1, 1, 5, 6)?).is_ok());
/// assert!(policy.check_guess_probability(GuessOdds::totp(2, 2, 5, 6)?).is_err());
/// # Ok::<(), LedgerPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPolicy {
    pub(super) free_tries: u16,
    pub(super) base_wait: u64,
    pub(super) max_wait: u64,
    pub(super) stranger_load_limit: u16,
    pub(super) known_load_limit: u16,
    pub(super) stranger_lock: u16,
    pub(super) device_forget: u16,
    pub(super) devices: usize,
    pub(super) leak_seconds: u64,
}

impl Default for LedgerPolicy {
    fn default() -> Self {
        Self {
            free_tries: FREE_TRIES,
            base_wait: BASE_WAIT,
            max_wait: MAX_WAIT,
            stranger_load_limit: STRANGER_LOAD_LIMIT,
            known_load_limit: KNOWN_LOAD_LIMIT,
            stranger_lock: STRANGER_LOCK,
            device_forget: DEVICE_FORGET,
            devices: MAX_DEVICES,
            leak_seconds: LEAK_SECONDS,
        }
    }
}

impl LedgerPolicy {
    /// The streak at which the first wait begins.
    #[must_use]
    pub const fn free_tries(&self) -> u16 {
        self.free_tries
    }

    /// Starts from the default numbers.
    pub fn builder() -> LedgerPolicyBuilder {
        LedgerPolicyBuilder { policy: Self::default(), odds: GuessOdds::WEAKEST_TOTP }
    }

    /// Seconds that a lane waits after the wrong guess that made its streak `streak`.
    #[must_use]
    pub fn wait(&self, streak: u16) -> u64 {
        let Some(doublings) = streak.checked_sub(self.free_tries) else { return 0 };
        let factor = 1_u64.checked_shl(u32::from(doublings)).unwrap_or(u64::MAX);
        self.base_wait.saturating_mul(factor).min(self.max_wait)
    }

    /// Wrong guesses that are looked at in the 365 days from the first one on, at most, whatever lanes they come from,
    /// whenever the owner succeeds: the known load limit and the leaks of a year. 465 by default.
    #[must_use]
    pub fn guesses_in_first_year(&self) -> u64 {
        let leaks = YEAR_SECONDS.checked_div(self.leak_seconds).unwrap_or(u64::MAX);
        leaks.saturating_add(u64::from(self.known_load_limit))
    }

    /// Wrong guesses that are looked at without a right one in between, at most, in any time. 100 by default.
    #[must_use]
    pub fn consecutive_failures(&self) -> u64 {
        let of_devices = u64::from(self.device_forget).saturating_mul(self.devices.try_into().unwrap_or(u64::MAX));
        of_devices.saturating_add(u64::from(self.stranger_lock))
    }

    /// Checks that guessing for a year finds a secret of these odds with at most 1 %.
    ///
    /// # Errors
    /// [`LedgerPolicyError::FirstYear`] above that.
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
    /// Six digits, one time step either side, five devices: 15 in 10⁶, the weakest that the defaults allow.
    pub const WEAKEST_TOTP: Self = Self { hits: 15, space: 1_000_000 };

    /// `hits` right values among `space`.
    ///
    /// # Errors
    /// [`LedgerPolicyError::OutOfBounds`] if `space` is 0 or `hits` is not in `1..=space`.
    pub const fn new(hits: u64, space: u64) -> Result<Self, LedgerPolicyError> {
        if space == 0 {
            return Err(LedgerPolicyError::OutOfBounds { field: "space", min: 1, max: u64::MAX });
        }
        if hits == 0 || hits > space {
            return Err(LedgerPolicyError::OutOfBounds { field: "hits", min: 1, max: space });
        }
        Ok(Self { hits, space })
    }

    /// A time-based code: `(back + forward + 1) · devices` right values in 10^`digits`.
    ///
    /// # Errors
    /// [`LedgerPolicyError::OutOfBounds`] if `devices` is 0, `digits` above 19, or more values are right than there are.
    pub fn totp(back: u32, forward: u32, devices: u32, digits: u32) -> Result<Self, LedgerPolicyError> {
        let Some(space) = 10_u64.checked_pow(digits) else {
            return Err(LedgerPolicyError::OutOfBounds { field: "digits", min: 1, max: 19 });
        };
        if devices == 0 {
            return Err(LedgerPolicyError::OutOfBounds { field: "devices", min: 1, max: u64::from(u32::MAX) });
        }
        let steps = u64::from(back).saturating_add(u64::from(forward)).saturating_add(1);
        Self::new(steps.saturating_mul(u64::from(devices)), space)
    }
}

/// Changes the numbers of a [`LedgerPolicy`] one by one; [`build`](Self::build) checks them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct LedgerPolicyBuilder {
    policy: LedgerPolicy,
    odds: GuessOdds,
}

impl LedgerPolicyBuilder {
    /// The streak whose wrong guess begins the first wait: 1 to 10. Default [`FREE_TRIES`].
    pub const fn free_tries(mut self, streak: u16) -> Self {
        self.policy.free_tries = streak;
        self
    }

    /// The first wait: 1 to 3,600 seconds. Default [`BASE_WAIT`].
    pub const fn base_wait(mut self, seconds: u64) -> Self {
        self.policy.base_wait = seconds;
        self
    }

    /// The longest wait: `base_wait` to 86,400 seconds. Default [`MAX_WAIT`].
    pub const fn max_wait(mut self, seconds: u64) -> Self {
        self.policy.max_wait = seconds;
        self
    }

    /// The load at which strangers are refused: 1 to `known_load_limit`. Default [`STRANGER_LOAD_LIMIT`].
    pub const fn stranger_load_limit(mut self, level: u16) -> Self {
        self.policy.stranger_load_limit = level;
        self
    }

    /// The load at which known devices are refused: 1 to 1,000. Default [`KNOWN_LOAD_LIMIT`].
    pub const fn known_load_limit(mut self, level: u16) -> Self {
        self.policy.known_load_limit = level;
        self
    }

    /// The streak at which strangers are locked: 1 to 100. Default [`STRANGER_LOCK`].
    pub const fn stranger_lock(mut self, streak: u16) -> Self {
        self.policy.stranger_lock = streak;
        self
    }

    /// The streak at which a known device is forgotten: 1 to 100. Default [`DEVICE_FORGET`].
    pub const fn device_forget(mut self, streak: u16) -> Self {
        self.policy.device_forget = streak;
        self
    }

    /// Known devices of a door: 0 to 5. Default [`MAX_DEVICES`].
    pub const fn devices(mut self, devices: usize) -> Self {
        self.policy.devices = devices;
        self
    }

    /// Seconds in which the load falls by one: 3,600 to 31,536,000. Default [`LEAK_SECONDS`].
    pub const fn leak_seconds(mut self, seconds: u64) -> Self {
        self.policy.leak_seconds = seconds;
        self
    }

    /// The weakest secret that this policy guards. Default [`GuessOdds::WEAKEST_TOTP`].
    pub const fn odds(mut self, odds: GuessOdds) -> Self {
        self.odds = odds;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// [`LedgerPolicyError`]: a number out of its bounds, more than [`MAX_CONSECUTIVE`] consecutive failures, or more than
    /// 1 % in the first year.
    pub fn build(self) -> Result<LedgerPolicy, LedgerPolicyError> {
        let Self { policy, odds } = self;
        within("free_tries", policy.free_tries.into(), 1, 10)?;
        within("base_wait", policy.base_wait, 1, 3_600)?;
        within("max_wait", policy.max_wait, policy.base_wait, 86_400)?;
        within("known_load_limit", policy.known_load_limit.into(), 1, 1_000)?;
        within("stranger_load_limit", policy.stranger_load_limit.into(), 1, policy.known_load_limit.into())?;
        within("stranger_lock", policy.stranger_lock.into(), 1, 100)?;
        within("device_forget", policy.device_forget.into(), 1, 100)?;
        if policy.devices > MAX_DEVICES {
            return Err(LedgerPolicyError::OutOfBounds { field: "devices", min: 0, max: 5 });
        }
        within("leak_seconds", policy.leak_seconds, 3_600, YEAR_SECONDS)?;
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

/// Why numbers make no [`LedgerPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerPolicyError {
    /// One number is out of its bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// Which.
        field: &'static str,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// More consecutive failures than NIST SP 800-63B-4 § 3.2.2 allows.
    #[error(
        "`stranger_lock` + `devices` · `device_forget` = {failures} is above {MAX_CONSECUTIVE} consecutive failures"
    )]
    Consecutive {
        /// `stranger_lock + devices · device_forget`.
        failures: u64,
    },
    /// A year of guessing finds the secret with more than 1 %.
    #[error(
        "`known_load_limit` and `leak_seconds` allow {guesses} guesses in the first year, which find `odds` above 1 %"
    )]
    FirstYear {
        /// Wrong guesses looked at in the first year.
        guesses: u64,
    },
}
