//! The policy of two-factor authentication. A builder changes its numbers within bounds; a value
//! out of bounds is an error that names the field.

use keywright_core::{GuessOdds, LedgerPolicy, LedgerPolicyError};

use crate::origin::RequiredFactors;
use crate::recovery::code::Preset;
use crate::step_up::policy::StepUpPolicy;
pub use crate::step_up::policy::{FRESH_SECONDS, MAX_FRESH_SECONDS};
use crate::totp::code::Window;
use crate::totp::parameters::{Algorithm, Parameters, ParametersError};
pub use crate::totp::parameters::{DIGITS, MAX_DIGITS, MAX_STEP_SECONDS, MIN_DIGITS, MIN_STEP_SECONDS, STEP_SECONDS};
use crate::totp::secret::TotpSecret;
pub use crate::totp::secret::{MIN_SECRET_BITS, SECRET_BYTES};

/// The number of wrong enrolment codes that ends an enrolment. They are not charged to the ledger
/// (`docs/security.md` § 6), but a stolen login that did not begin the enrolment must not be able
/// to guess its code: 10 guesses at 5 in 10⁶ each give 5·10⁻⁵.
pub const ENROLMENT_TRIES: u8 = 10;

/// The maximum number of devices of an account. It is also a bound of the stored form. Source:
/// `docs/decisions.md` 26; the codes of five devices at ±1 step are guessed within a year with a
/// probability of 0.7 % (`docs/security.md` § 6).
pub const MAX_DEVICES: usize = 5;

/// The steps that are compared on either side of the present one. The window is the same at
/// enrolment and at every use, so that a device that can be enrolled can log in. Source: RFC 6238 §
/// 5.2.
pub const WINDOW: Window = Window::new(1, 1);

/// How far, in seconds on either side, an enrolment code outside the window is searched for, to
/// report how much the device's clock is off. One day covers a wrong time zone, a confusion of a.m.
/// and p.m., and a wrong date. At 30 s these are 5,760 codes, which take about 3 ms; a mistyped
/// code is among them with a probability of 0.6 %.
pub const ENROLMENT_DRIFT_SECONDS: u64 = 86_400;

/// How far, in seconds on either side, a wrong code at log-in is searched for, to report the
/// clock's offset to the owner in an event. Ten minutes are 40 codes of a device at 30 s. A wrong
/// guess is among those of five devices with a probability of 0.02 %.
pub const DRIFT_SECONDS: u64 = 600;

/// The minimum time between two events of the same kind about a device's clock, in seconds.
pub const CLOCK_REPORT_SECONDS: u64 = 3_600;

/// The maximum number of steps on either side that a policy may compare.
pub const MAX_WINDOW: u8 = 10;

/// How long an enrolment, or a set of recovery codes that was shown, stays pending, in seconds.
/// Source: OWASP ASVS 5.0 6.5.5, which allows ten minutes for a code that is sent. Both are visible
/// on a screen until they are proven or acknowledged, and a person who finds the session open later
/// should not be able to finish what the owner began.
pub const PENDING_SECONDS: u64 = 600;

/// The length of the shortest secret that may be imported, in bits. Source: RFC 4226 § 4 R6.
pub const MIN_IMPORT_BITS: u32 = 128;

/// For how many days a device is remembered. Source: `docs/decisions.md` 206.
pub const REMEMBER_DAYS: u16 = 30;

/// The maximum number of remembered devices of an account. It is also a bound of the stored form.
pub const MAX_REMEMBERED: usize = 10;

/// The scope within which a code is accepted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Once {
    /// The whole account: a code that was used for one purpose cannot be used for another.
    #[default]
    Account,
    /// One purpose: a code of the same time step is accepted again for another purpose. This is for
    /// protocols whose clients require two codes in a row.
    Purpose,
}

/// The numbers that govern two-factor authentication. [`Default`] uses the constants of this
/// module.
///
/// ```
/// # use keywright_twofactor::{TwoFactorPolicy, TwoFactorPolicyError, Window};
/// # use keywright_core::LedgerPolicy;
/// let ledger = LedgerPolicy::default(); // the driver's
/// TwoFactorPolicy::builder().digits(8).window(Window::new(2, 0)).build()?.check_ledger(&ledger)?;
/// // Six digits, five devices and five steps: a year of guessing would find a code with 1.2 %.
/// let weak = TwoFactorPolicy::builder().window(Window::new(2, 2)).build()?;
/// assert!(matches!(weak.check_ledger(&ledger), Err(TwoFactorPolicyError::Guessable(_))));
/// # Ok::<(), TwoFactorPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoFactorPolicy {
    pub(crate) parameters: Parameters,
    pub(crate) window: Window,
    pub(crate) devices: usize,
    pub(crate) pending_seconds: u64,
    pub(crate) min_secret_bits: u32,
    pub(crate) once: Once,
    pub(crate) recovery: Preset,
    pub(crate) step_up: StepUpPolicy,
    pub(crate) end_other_logins: bool,
    pub(crate) required: RequiredFactors,
    pub(crate) remember_days: u16,
}

impl Default for TwoFactorPolicy {
    fn default() -> Self {
        Self {
            parameters: Parameters::DEFAULT,
            window: WINDOW,
            devices: MAX_DEVICES,
            pending_seconds: PENDING_SECONDS,
            min_secret_bits: MIN_IMPORT_BITS,
            once: Once::Account,
            recovery: Preset::Default,
            step_up: StepUpPolicy::default(),
            end_other_logins: true,
            required: RequiredFactors::Own,
            remember_days: REMEMBER_DAYS,
        }
    }
}

impl TwoFactorPolicy {
    /// Returns a builder that starts from the default numbers.
    pub fn builder() -> TwoFactorPolicyBuilder {
        let default = Self::default();
        let parameters = default.parameters;
        TwoFactorPolicyBuilder {
            policy: default,
            algorithm: parameters.algorithm(),
            digits: parameters.digits(),
            step_seconds: parameters.step_seconds(),
        }
    }

    /// Returns the policy of OWASP ASVS 5.0 6.5.5: a code is valid for its own 30 seconds. Only the
    /// present step is accepted, at enrolment too.
    #[must_use]
    pub fn asvs() -> Self {
        Self { window: Window::new(0, 0), ..Self::default() }
    }

    /// Returns the algorithm, digits and step of devices that are enrolled from now on.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the form of recovery codes.
    #[must_use]
    pub const fn recovery(&self) -> Preset {
        self.recovery
    }

    /// Returns the step-up policy: which proofs authorize which action.
    #[must_use]
    pub const fn step_up(&self) -> &StepUpPolicy {
        &self.step_up
    }

    /// Whether a change of factors ends all other logins.
    #[must_use]
    pub const fn ends_other_logins(&self) -> bool {
        self.end_other_logins
    }

    /// Returns whose factors a protocol requires.
    #[must_use]
    pub const fn required(&self) -> RequiredFactors {
        self.required
    }

    /// Checks this policy against the server's ledger policy: a year of guessing must find a code
    /// with these `digits`, this `window` and this many `devices` with a probability of at most 1
    /// %.
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError::Guessable`] if the probability is higher.
    pub fn check_ledger(&self, ledger: &LedgerPolicy) -> Result<(), TwoFactorPolicyError> {
        Ok(self.guards(&self.parameters, ledger)?)
    }

    /// Whether a secret is long enough to be imported.
    #[must_use]
    pub fn takes(&self, secret: &TotpSecret) -> bool {
        secret.bits() >= self.min_secret_bits
    }

    /// Checks that a year of guessing at devices with this many digits succeeds with a probability
    /// of at most 1 %.
    pub(crate) fn guards(&self, parameters: &Parameters, ledger: &LedgerPolicy) -> Result<(), LedgerPolicyError> {
        ledger.check_guess_probability(odds(self.window, self.devices, parameters.digits())?)
    }
}

/// Returns the odds of a guess at a time-based code: `(back + forward + 1) · devices` of
/// 10^`digits` codes are correct.
fn odds(window: Window, devices: usize, digits: u8) -> Result<GuessOdds, LedgerPolicyError> {
    let steps = u64::from(window.back).saturating_add(u64::from(window.forward)).saturating_add(1);
    let devices = u64::try_from(devices).unwrap_or(u64::MAX);
    GuessOdds::new(steps.saturating_mul(devices), 10_u64.saturating_pow(digits.into()))
}

/// A builder that changes the numbers of a [`TwoFactorPolicy`] one by one; [`build`](Self::build)
/// checks them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct TwoFactorPolicyBuilder {
    policy: TwoFactorPolicy,
    algorithm: Algorithm,
    digits: u8,
    step_seconds: u64,
}

impl TwoFactorPolicyBuilder {
    /// Sets the hash of new devices. Default SHA-1, because some apps accept the others but show
    /// the codes of SHA-1 all the same.
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the number of digits of new devices: 6 to 8. Default 6.
    pub const fn digits(mut self, digits: u8) -> Self {
        self.digits = digits;
        self
    }

    /// Sets the step of new devices: 15 to 60 seconds. Default 30.
    pub const fn step_seconds(mut self, seconds: u64) -> Self {
        self.step_seconds = seconds;
        self
    }

    /// Sets the steps that are compared, at enrolment and at use: 0 to 10 on either side. Default
    /// [`WINDOW`].
    pub const fn window(mut self, window: Window) -> Self {
        self.policy.window = window;
        self
    }

    /// Sets the maximum number of devices of an account: 1 to 5. Default [`MAX_DEVICES`].
    pub const fn devices(mut self, devices: usize) -> Self {
        self.policy.devices = devices;
        self
    }

    /// Sets for how many days a device is remembered: 1 to 90. Default [`REMEMBER_DAYS`].
    pub const fn remember_days(mut self, days: u16) -> Self {
        self.policy.remember_days = days;
        self
    }

    /// Sets how long an enrolment or a set of recovery codes stays pending: 60 to 3,600 seconds.
    /// Default [`PENDING_SECONDS`].
    pub const fn pending_seconds(mut self, seconds: u64) -> Self {
        self.policy.pending_seconds = seconds;
        self
    }

    /// Sets the length of the shortest secret that may be imported: 80 to 512 bits. Default
    /// [`MIN_IMPORT_BITS`]. Choose a lower value only where a protocol requires it.
    pub const fn min_secret_bits(mut self, bits: u32) -> Self {
        self.policy.min_secret_bits = bits;
        self
    }

    /// Sets the scope within which a code is accepted once. Default [`Once::Account`].
    pub const fn once(mut self, once: Once) -> Self {
        self.policy.once = once;
        self
    }

    /// Sets the form of recovery codes. Default [`Preset::Default`].
    pub const fn recovery(mut self, preset: Preset) -> Self {
        self.policy.recovery = preset;
        self
    }

    /// Sets the step-up policy: which proofs authorize which action.
    pub fn step_up(mut self, step_up: StepUpPolicy) -> Self {
        self.policy.step_up = step_up;
        self
    }

    /// Sets whether a change of factors (a device added, replaced or removed, recovery codes,
    /// mailed codes) ends all other logins by moving the credential epoch in its commit. Default
    /// true. To keep the login that makes the change, write its record again in the same draft,
    /// with the new epoch. The host must end those logins that it stores itself.
    pub const fn end_other_logins(mut self, end: bool) -> Self {
        self.policy.end_other_logins = end;
        self
    }

    /// Sets whose factors a protocol requires. Default [`RequiredFactors::Own`].
    pub const fn required(mut self, required: RequiredFactors) -> Self {
        self.policy.required = required;
        self
    }

    /// Returns the policy. Whether the server's ledger policy protects its codes is checked where
    /// the two meet, in [`TwoFactor::new`](crate::TwoFactor::new).
    ///
    /// # Errors
    /// Returns a [`TwoFactorPolicyError`] if a number is out of bounds.
    pub fn build(self) -> Result<TwoFactorPolicy, TwoFactorPolicyError> {
        let Self { mut policy, algorithm, digits, step_seconds } = self;
        policy.parameters = Parameters::new(algorithm, digits, step_seconds)?;
        within("window", policy.window.back.max(policy.window.forward).into(), 0, MAX_WINDOW.into())?;
        within("devices", policy.devices as u64, 1, MAX_DEVICES as u64)?;
        within("pending_seconds", policy.pending_seconds, 60, 3_600)?;
        within("min_secret_bits", policy.min_secret_bits.into(), MIN_SECRET_BITS.into(), 512)?;
        within("remember_days", policy.remember_days.into(), 1, 90)?;
        Ok(policy)
    }
}

const fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), TwoFactorPolicyError> {
    if min <= value && value <= max { Ok(()) } else { Err(TwoFactorPolicyError::OutOfBounds { field, min, max }) }
}

/// Why numbers do not form a valid [`TwoFactorPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TwoFactorPolicyError {
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
    /// The digits or the step are out of bounds.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A year of guessing would find a code with a probability above 1 %: (back + forward + 1) ·
    /// devices · guesses / 10^digits.
    #[error("`window`, `devices` and `digits` allow codes that are too easy to guess under the server's ledger policy")]
    Guessable(#[from] LedgerPolicyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_as_good_as_the_window_and_the_devices_make_it() {
        let of = |hits, space| GuessOdds::new(hits, space);
        assert_eq!(odds(Window::new(0, 0), 1, 6), of(1, 1_000_000));
        assert_eq!(odds(Window::new(1, 1), 1, 8), of(3, 100_000_000));
        assert_eq!(odds(Window::new(10, 10), 5, 6), of(105, 1_000_000));
        assert!(odds(WINDOW, 0, 6).is_err(), "no device, nothing to guess at");
        // Both extremes are an error or odds, never a panic.
        assert!(odds(Window::new(u8::MAX, u8::MAX), usize::MAX, u8::MAX).is_ok());
        // The odds that a ledger policy assumes by default are the weakest that these defaults
        // allow.
        assert_eq!(odds(WINDOW, MAX_DEVICES, DIGITS), Ok(GuessOdds::DEFAULT));
        let default = LedgerPolicy::default();
        assert!(default.check_guess_probability(odds(Window::new(10, 10), 1, 6).unwrap()).is_ok()); // 0.0098
        assert!(default.check_guess_probability(odds(Window::new(10, 11), 1, 6).unwrap()).is_err()); // 0.0102
    }

    #[test]
    fn every_number_has_both_bounds_and_is_named() {
        type Change = fn(TwoFactorPolicyBuilder, u64) -> TwoFactorPolicyBuilder;
        #[expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let fields: [(&str, u64, u64, Change); 7] = [
            ("digits", 6, 8, |b, n| b.digits(n as u8)),
            ("step_seconds", 15, 60, |b, n| b.step_seconds(n)),
            ("window", 0, 10, |b, n| b.digits(8).window(Window::new(n as u8, n as u8))),
            ("devices", 1, 5, |b, n| b.devices(n as usize)),
            ("pending_seconds", 60, 3_600, |b, n| b.pending_seconds(n)),
            ("remember_days", 1, 90, |b, n| b.remember_days(n as u16)),
            ("min_secret_bits", 80, 512, |b, n| b.min_secret_bits(n as u32)),
        ];
        for (field, min, max, change) in fields {
            let outside = [min.checked_sub(1), Some(max + 1)].into_iter().flatten().map(|number| (number, false));
            for (number, good) in [(min, true), (max, true)].into_iter().chain(outside) {
                let built = change(TwoFactorPolicy::builder(), number).build();
                assert_eq!(built.is_ok(), good, "{field} = {number}: {built:?}");
                if let Err(error) = built {
                    assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
                }
            }
        }
    }

    /// `docs/security.md` § 6: (back + forward + 1) · devices · 465 / 10^digits at most 1 %.
    #[test]
    fn more_than_one_percent_a_year_is_refused() {
        let build = |back, forward, devices, digits| {
            let builder = TwoFactorPolicy::builder().window(Window::new(back, forward));
            builder.devices(devices).digits(digits).build()?.check_ledger(&LedgerPolicy::default())
        };
        assert!(build(1, 1, 5, 6).is_ok()); // 0.70 %
        assert!(build(2, 1, 5, 6).is_ok()); // 0.93 %
        assert!(build(2, 2, 4, 6).is_ok()); // 0.93 %
        assert!(matches!(build(2, 2, 5, 6), Err(TwoFactorPolicyError::Guessable(_)))); // 1.16 %
        assert!(build(10, 10, 1, 6).is_ok()); // 0.98 %
        assert!(matches!(build(10, 10, 2, 6), Err(TwoFactorPolicyError::Guessable(_))));
        assert!(build(10, 10, 5, 7).is_ok());
    }

    #[test]
    fn the_defaults_and_the_preset_are_policies() {
        assert_eq!(TwoFactorPolicy::builder().build(), Ok(TwoFactorPolicy::default()));
        let present = Window::new(0, 0);
        let built = TwoFactorPolicy::builder().window(present).build();
        assert_eq!(built, Ok(TwoFactorPolicy::asvs()));
    }
}
