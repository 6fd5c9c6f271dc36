//! Codes: what was typed, what a device shows, and a constant-time look at a whole window (`decisions.md` 27: `totp-rs`
//! computes, the window, the comparison and the last step are ours).

use core::fmt;

use keywright_core::UnixSeconds;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Builder, Totp};

use super::parameters::{MAX_DIGITS, MIN_DIGITS, Parameters};
use super::secret::TotpSecret;

/// How many steps before and after the present one are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Steps before the present one.
    pub back: u8,
    /// Steps after it.
    pub forward: u8,
}

impl Window {
    /// A window.
    #[must_use]
    pub const fn new(back: u8, forward: u8) -> Self {
        Self { back, forward }
    }
}

/// A code as typed: 6 to 8 ASCII digits. Anything else is malformed, whatever a parser of numbers would make of it.
pub(crate) struct TypedCode {
    value: u32,
    digits: u8,
}

impl TypedCode {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = u8::try_from(text.len()).ok().filter(|digits| (MIN_DIGITS..=MAX_DIGITS).contains(digits))?;
        let value = text.bytes().try_fold(0_u32, |value, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value.checked_mul(10)?.checked_add(digit.into())
        })?;
        Some(Self { value, digits })
    }

    pub(crate) const fn digits(&self) -> u8 {
        self.digits
    }
}

/// What a look at one device's window found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The step after the highest that matched; 0 for none.
    pub(crate) after: u64,
    /// Whether a step at or above the first acceptable one matched.
    pub(crate) fresh: Choice,
}

impl Found {
    /// Steps between the highest match and the present one.
    pub(crate) fn drift(&self, present: u64) -> Option<i8> {
        let step = i64::try_from(self.after.checked_sub(1)?).ok()?;
        i8::try_from(step.checked_sub_unsigned(present)?).ok()
    }
}

/// What one device's window says of a code. It is pure: whoever keeps no store of ours keeps the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum TotpCheck {
    /// It is right. Keep the step, and take none up to it from now on.
    Right {
        /// The highest step that matched.
        step: u64,
    },
    /// It matches spent steps only.
    Spent,
    /// It is wrong: count it.
    Wrong,
    /// No code by its form: no guess.
    Malformed,
}

/// Looks at the codes of one device.
///
/// ```
/// # use keywright_core::UnixSeconds;
/// # use keywright_twofactor::{Parameters, TotpCheck, TotpSecret, TotpVerifier, Window};
/// let verifier = TotpVerifier::new(&TotpSecret::from_slice(b"12345678901234567890")?, Parameters::default());
/// let (now, window) = (UnixSeconds::new(59)?, Window::new(1, 1));
/// assert_eq!(verifier.check("287082", now, window, None), TotpCheck::Right { step: 1 });
/// assert_eq!(verifier.check("287082", now, window, Some(1)), TotpCheck::Spent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TotpVerifier {
    totp: Totp,
    parameters: Parameters,
}

impl TotpVerifier {
    /// A verifier of a device's codes.
    #[must_use]
    pub fn new(secret: &TotpSecret, parameters: Parameters) -> Self {
        // A step of one second: its clock counts our steps. Lengths are checked by our own types, and 80-bit secrets
        // are a policy of ours; so the checks of `build` add nothing.
        let totp = Builder::new()
            .with_algorithm(parameters.algorithm().foreign())
            .with_digits(parameters.digits())
            .with_step_duration(1)
            .with_secret(secret.expose())
            .build_noncompliant();
        Self { totp, parameters }
    }

    /// Compares a code with every step of the window, without early exit. Steps up to `last` are spent.
    pub fn check(&self, code: &str, now: UnixSeconds, window: Window, last: Option<u64>) -> TotpCheck {
        let Some(typed) = TypedCode::parse(code).filter(|typed| typed.digits == self.parameters.digits()) else {
            return TotpCheck::Malformed;
        };
        let next = last.map_or(0, |last| last.saturating_add(1));
        let found = self.judge(&typed, self.parameters.step_at(now), window, next);
        match (bool::from(found.fresh), found.after.checked_sub(1)) {
            (true, Some(step)) => TotpCheck::Right { step },
            (false, Some(_)) => TotpCheck::Spent,
            (_, None) => TotpCheck::Wrong,
        }
    }

    /// The code of a step, as a number below 10^digits.
    pub(crate) fn at(&self, step: u64) -> u32 {
        let truncated = truncate(self.totp.sign(step).as_ref());
        truncated.checked_rem(self.parameters.modulus()).unwrap_or(u32::MAX)
    }

    /// Compares a typed code with every code of the window, without early exit. `next` is the first step that is still
    /// acceptable.
    pub(crate) fn judge(&self, typed: &TypedCode, present: u64, window: Window, next: u64) -> Found {
        let length = typed.digits.ct_eq(&self.parameters.digits());
        let mut found = Found { after: 0, fresh: Choice::from(0) };
        let last = present.saturating_add(window.forward.into());
        for step in present.saturating_sub(window.back.into())..=last {
            let hit = self.at(step).ct_eq(&typed.value) & length;
            found.after.conditional_assign(&step.saturating_add(1), hit);
            found.fresh |= hit & Choice::from(u8::from(step >= next));
        }
        found
    }
}

impl fmt::Debug for TotpVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpVerifier(..)")
    }
}

/// Dynamic truncation, RFC 4226 § 5.3.
fn truncate(signature: &[u8]) -> u32 {
    let offset = usize::from(signature.last().copied().unwrap_or(0) & 0x0f);
    // The shortest signature has 20 bytes and the highest offset is 15: there are always four.
    let four = signature.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    u32::from_be_bytes(four) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::parameters::Algorithm;

    const SEED: &[u8; 20] = b"12345678901234567890";

    /// RFC 4226 Appendix D: the intermediate values before the reduction to digits.
    #[test]
    fn rfc_4226_appendix_d_truncation() {
        let codes = TotpVerifier::new(&TotpSecret::from_slice(SEED).unwrap(), Parameters::DEFAULT);
        let truncated = [
            1_284_755_224,
            1_094_287_082,
            137_359_152,
            1_726_969_429,
            1_640_338_314,
            868_254_676,
            1_918_287_922,
            82_162_583,
            673_399_871,
            645_520_489,
        ];
        for (counter, expected) in (0..).zip(truncated) {
            assert_eq!(truncate(codes.totp.sign(counter).as_ref()), expected);
            assert_eq!(codes.at(counter), expected % 1_000_000);
        }
    }

    /// The whole window is looked at: the highest of two matching steps counts, and an old one does not hide it.
    #[test]
    fn the_highest_match_counts() {
        let parameters = Parameters::new(Algorithm::Sha1, 6, 30).unwrap();
        let codes = TotpVerifier::new(&TotpSecret::from_slice(SEED).unwrap(), parameters);
        let typed = TypedCode::parse("287082").unwrap(); // counter 1
        let found = codes.judge(&typed, 2, Window::new(2, 0), 0);
        assert_eq!((found.after, bool::from(found.fresh), found.drift(2)), (2, true, Some(-1)));
        let spent = codes.judge(&typed, 2, Window::new(2, 0), 2);
        assert_eq!((spent.after, bool::from(spent.fresh)), (2, false));
        let outside = codes.judge(&typed, 2, Window::new(0, 1), 0);
        assert_eq!((outside.after, bool::from(outside.fresh), outside.drift(2)), (0, false, None));
    }
}
