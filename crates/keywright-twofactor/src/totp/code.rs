//! Codes: parsing typed text, computing what a device shows, and comparing a code with a whole
//! window in constant time.
//!
//! `totp-rs` computes the codes where a device is enrolled: a device becomes active only with a
//! code that this established library computes too. It keys its HMAC again for each code, and a
//! window has three; so for an active device the HMAC is keyed once here (`docs/decisions.md` 27).
//! A property test compares every code of the two.

use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac};
use keywright_core::{UnixSeconds, typed};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Builder, Totp};

use super::parameters::{Algorithm, MAX_DIGITS, MIN_DIGITS, Parameters};
use super::secret::TotpSecret;

/// The number of steps before and after the present one that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The number of steps before the present one.
    pub back: u8,
    /// The number of steps after the present one.
    pub forward: u8,
}

impl Window {
    /// Creates a window.
    #[must_use]
    pub const fn new(back: u8, forward: u8) -> Self {
        Self { back, forward }
    }
}

/// The label of a secret's fingerprint. It is longer than the message of a code, which has eight
/// bytes, so the two cannot coincide.
const FINGERPRINT_LABEL: &[u8] = b"keywright/v1/twofactor.secret";

/// The maximum length of typed text, in bytes. A code has 8; the rest leaves room for blanks and
/// hyphens.
const MAX_TYPED: usize = 256;

/// A code as typed: 6 to 8 ASCII digits, with any ignored characters between them. Anything else is
/// malformed, even if a number parser would accept it.
pub(crate) struct TypedCode {
    value: u32,
    digits: u8,
}

impl TypedCode {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED {
            return None;
        }
        let (mut value, mut digits) = (0_u32, 0_u8);
        for character in typed::characters(text) {
            let digit = character.to_digit(10).filter(|_| digits < MAX_DIGITS)?;
            value = value.checked_mul(10)?.checked_add(digit)?;
            digits = digits.saturating_add(1);
        }
        (digits >= MIN_DIGITS).then_some(Self { value, digits })
    }

    pub(crate) const fn digits(&self) -> u8 {
        self.digits
    }
}

/// The result of comparing a code with one device's window.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The step after the highest that matched, or 0 if none did.
    pub(crate) after: u64,
    /// Whether a step at or above the first acceptable one matched.
    pub(crate) fresh: Choice,
}

impl Found {
    fn nothing() -> Self {
        Self { after: 0, fresh: Choice::from(0) }
    }

    /// Returns the number of steps between the highest match and the present one.
    pub(crate) fn drift(&self, present: u64) -> Option<i8> {
        let step = i64::try_from(self.after.checked_sub(1)?).ok()?;
        i8::try_from(step.checked_sub_unsigned(present)?).ok()
    }
}

/// The result of checking a code against one device's window. The check changes nothing: a host
/// that does not use `keywright-store` must store the accepted step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a verdict: no caller should need a wildcard arm that grants")]
pub enum TotpCheck {
    /// The code is correct. Store the step, and accept none up to it from now on.
    Right {
        /// The highest step that matched.
        step: u64,
    },
    /// The code matches only steps that are spent.
    Spent,
    /// The code is wrong: count it as a guess.
    Wrong,
    /// The text is malformed, which is not a guess.
    Malformed,
}

/// A verifier for the codes of one device.
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
    /// An HMAC takes a key of any length (RFC 2104 § 2), so this is never `None`. If it were, no
    /// code would be correct.
    key: Option<Key>,
    parameters: Parameters,
}

/// An HMAC that has been keyed. Copies of it compute the codes. It is boxed because it is as
/// sensitive as the secret.
enum Key {
    Sha1(Box<Hmac<Sha1>>),
    Sha256(Box<Hmac<Sha256>>),
    Sha512(Box<Hmac<Sha512>>),
    TotpRs(Box<Totp>),
}

impl Key {
    fn new(algorithm: Algorithm, secret: &TotpSecret) -> Option<Self> {
        match algorithm {
            Algorithm::Sha1 => keyed(secret).map(Self::Sha1),
            Algorithm::Sha256 => keyed(secret).map(Self::Sha256),
            Algorithm::Sha512 => keyed(secret).map(Self::Sha512),
        }
    }
}

impl TotpVerifier {
    /// Creates a verifier that uses `totp-rs` itself, for the code that enrols a device.
    pub(crate) fn by_totp_rs(secret: &TotpSecret, parameters: Parameters) -> Self {
        // With a step of one second, its clock counts our steps. Our own types check the lengths,
        // and 80-bit secrets are a matter of our policy, so the checks of `build` add nothing.
        let totp = Builder::new()
            .with_algorithm(parameters.algorithm().foreign())
            .with_digits(parameters.digits())
            .with_step_duration(1)
            .with_secret(secret.expose())
            .build_noncompliant();
        Self { key: Some(Key::TotpRs(Box::new(totp))), parameters }
    }

    /// Creates a verifier for a device's codes.
    #[must_use]
    pub fn new(secret: &TotpSecret, parameters: Parameters) -> Self {
        Self { key: Key::new(parameters.algorithm(), secret), parameters }
    }

    /// Compares a code with every step of the window, without early exit. Steps up to `last` are
    /// spent.
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

    /// Returns by how many steps the clock of a device that shows this code now is off. This is the
    /// nearest match outside the window, up to `range` steps away. All steps are compared, without
    /// early exit.
    pub(crate) fn steps_off(&self, typed: &TypedCode, present: u64, window: Window, range: u64) -> Option<i64> {
        let mut off = 0_i64;
        // The nearest step is compared last and therefore takes precedence.
        for distance in (1..=range).rev() {
            let behind = present.checked_sub(distance).filter(|_| distance > window.back.into());
            let ahead = present.checked_add(distance).filter(|_| distance > window.forward.into());
            let distance = i64::try_from(distance).unwrap_or(i64::MAX);
            for (step, steps) in [(behind, distance.saturating_neg()), (ahead, distance)] {
                if let Some(step) = step {
                    off.conditional_assign(&steps, self.shows(typed, step));
                }
            }
        }
        (off != 0).then_some(off)
    }

    /// Compares a typed code with every code of the window, without early exit. `next` is the first
    /// step that is still acceptable.
    pub(crate) fn judge(&self, typed: &TypedCode, present: u64, window: Window, next: u64) -> Found {
        let mut found = Found::nothing();
        let last = present.saturating_add(window.forward.into());
        for step in present.saturating_sub(window.back.into())..=last {
            let hit = self.shows(typed, step);
            found.after.conditional_assign(&step.saturating_add(1), hit);
            found.fresh |= hit & Choice::from(u8::from(step >= next));
        }
        found
    }

    /// Whether the device shows this code in a step.
    fn shows(&self, typed: &TypedCode, step: u64) -> Choice {
        // The arms differ only in their hash.
        let hit = match &self.key {
            Some(Key::Sha1(key)) => self.code_of(&sign(key.as_ref(), step)).ct_eq(&typed.value),
            Some(Key::Sha256(key)) => self.code_of(&sign(key.as_ref(), step)).ct_eq(&typed.value),
            Some(Key::Sha512(key)) => self.code_of(&sign(key.as_ref(), step)).ct_eq(&typed.value),
            Some(Key::TotpRs(totp)) => self.code_of(totp.sign(step).as_ref()).ct_eq(&typed.value),
            None => Choice::from(0),
        };
        hit & typed.digits.ct_eq(&self.parameters.digits())
    }

    /// Returns the code for a signature, as a number below 10^digits (RFC 4226 § 5.3).
    fn code_of(&self, signature: &[u8]) -> u32 {
        // The modulus is at least 10⁶.
        truncate(signature).checked_rem(self.parameters.modulus()).unwrap_or(u32::MAX)
    }
}

keywright_core::redacted_debug!(TotpVerifier);

/// The form in which a secret is remembered after its device is removed.
pub(crate) type Fingerprint = [u8; 16];

/// Returns a value that two secrets share exactly if an HMAC of this algorithm takes them for the
/// same key, so that both show the same codes. For example, trailing zero bytes make no difference
/// to an HMAC (RFC 2104 § 2).
pub(crate) fn fingerprint(algorithm: Algorithm, secret: &TotpSecret) -> Fingerprint {
    fn of<M: Mac>(mut hmac: M) -> Fingerprint {
        hmac.update(FINGERPRINT_LABEL);
        hmac.finalize().into_bytes().first_chunk().copied().unwrap_or_default()
    }
    match Key::new(algorithm, secret) {
        Some(Key::Sha1(key)) => of(*key),
        Some(Key::Sha256(key)) => of(*key),
        Some(Key::Sha512(key)) => of(*key),
        Some(Key::TotpRs(_)) | None => Fingerprint::default(),
    }
}

/// Keys an HMAC with a device's secret.
fn keyed<M: Mac + KeyInit>(secret: &TotpSecret) -> Option<Box<M>> {
    <M as KeyInit>::new_from_slice(secret.expose()).ok().map(Box::new)
}

/// Returns the HMAC of a step (RFC 6238 § 4.2).
fn sign<M: Mac + Clone>(key: &M, step: u64) -> Output<M> {
    let mut hmac = key.clone();
    hmac.update(&step.to_be_bytes());
    hmac.finalize().into_bytes()
}

/// Performs the dynamic truncation of RFC 4226 § 5.3.
fn truncate(signature: &[u8]) -> u32 {
    let offset = usize::from(signature.last().copied().unwrap_or(0) & 0x0f);
    // The shortest signature has 20 bytes and the highest offset is 15: there are always four.
    let four = signature.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    u32::from_be_bytes(four) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEED: &[u8; 20] = b"12345678901234567890";

    /// RFC 4226 Appendix D: the intermediate values before the reduction to digits.
    #[test]
    fn rfc_4226_appendix_d_truncation() {
        let key: Box<Hmac<Sha1>> = keyed(&TotpSecret::from_slice(SEED).unwrap()).unwrap();
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
        let secret = TotpSecret::from_slice(SEED).unwrap();
        let codes = TotpVerifier::by_totp_rs(&secret, Parameters::DEFAULT);
        let Some(Key::TotpRs(peer)) = &codes.key else { panic!("not by totp-rs") };
        for (counter, expected) in (0..).zip(truncated) {
            let signature = sign(key.as_ref(), counter);
            assert_eq!(truncate(&signature), expected);
            assert_eq!(peer.sign(counter).as_ref(), signature.as_slice());
            assert_eq!(codes.code_of(&signature), expected % 1_000_000);
        }
    }

    fn any_parameters() -> impl Strategy<Value = Parameters> {
        let algorithm = prop::sample::select(Vec::from([Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]));
        (algorithm, MIN_DIGITS..=MAX_DIGITS, 15..=60_u64)
            .prop_map(|(algorithm, digits, step)| Parameters::new(algorithm, digits, step).unwrap())
    }

    fn peer(secret: &[u8], parameters: Parameters) -> totp_rs::Totp {
        let peer = Builder::new().with_algorithm(parameters.algorithm().foreign()).with_digits(parameters.digits());
        peer.with_step_duration(parameters.step_seconds()).with_secret(secret).build_noncompliant()
    }

    proptest! {
        /// `totp-rs` computes every code as this crate does, for any algorithm, length, step and
        /// time, and for secrets shorter and longer than a block of the hash.
        #[test]
        fn codes_are_those_of_totp_rs(
            secret in prop::collection::vec(any::<u8>(), 10..=128),
            parameters in any_parameters(),
            now in 180..253_402_300_000_u64,
            off in -3_i64..=3,
        ) {
            let peer = peer(&secret, parameters);
            let ours = TotpVerifier::new(&TotpSecret::from_slice(&secret).unwrap(), parameters);
            let off = off.wrapping_mul(i64::try_from(parameters.step_seconds()).unwrap());
            let at = now.checked_add_signed(off).unwrap();
            let shown = peer.generate(at).to_string();
            // The step is alone in its window; then it is at its usual place.
            let step = at.div_euclid(parameters.step_seconds());
            let there = ours.check(&shown, UnixSeconds::new(at).unwrap(), Window::new(0, 0), None);
            prop_assert_eq!(there, TotpCheck::Right { step });
            let seen = ours.check(&shown, UnixSeconds::new(now).unwrap(), Window::new(1, 1), None);
            prop_assert_eq!(seen != TotpCheck::Wrong, peer.check(&shown, now).is_some());
            let enrolling = TotpVerifier::by_totp_rs(&TotpSecret::from_slice(&secret).unwrap(), parameters);
            prop_assert_eq!(enrolling.check(&shown, UnixSeconds::new(now).unwrap(), Window::new(1, 1), None), seen);
            let near = off.unsigned_abs() <= parameters.step_seconds();
            prop_assert!(!near || seen != TotpCheck::Wrong);
        }

        /// Both judge a wrong code, or one that is correct by chance, alike.
        #[test]
        fn verdicts_are_those_of_totp_rs(parameters in any_parameters(), guess in any::<u32>(), now in 120..10_u64.pow(11)) {
            let ours = TotpVerifier::new(&TotpSecret::from_slice(SEED).unwrap(), parameters);
            let guess = guess.rem_euclid(parameters.modulus());
            let guess = format!("{guess:0width$}", width = usize::from(parameters.digits()));
            let seen = ours.check(&guess, UnixSeconds::new(now).unwrap(), Window::new(1, 1), None);
            prop_assert_eq!(seen == TotpCheck::Wrong, peer(SEED, parameters).check(&guess, now).is_none());
        }
    }

    #[test]
    fn digits_are_typed_with_blanks_and_hyphens() {
        let value = |text| TypedCode::parse(text).map(|typed| (typed.value, typed.digits));
        for text in
            ["026920", " 026 920 ", "026-920", "02\u{a0}69\u{2011}20\n", "0\u{200b}26920\u{feff}", "0 2 6 9 2 0"]
        {
            assert_eq!(value(text), Some((26_920, 6)), "{text:?}");
        }
        assert_eq!(value("9999 9999"), Some((99_999_999, 8)));
        let wide = " ".repeat(257);
        for text in
            ["", " ", "26920 ", "+26920", "123456789", "12345\0", "\u{ff11}23456", "\u{661}23456", "1234.56", &wide]
        {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    /// The nearest step outside the window is found on either side, and no further away than
    /// requested.
    #[test]
    fn a_clock_that_is_off_is_measured() {
        let secret = TotpSecret::from_slice(SEED).unwrap();
        let codes = TotpVerifier::new(&secret, Parameters::DEFAULT);
        let shown = |step: u64| {
            let code = codes.code_of(&sign(keyed::<Hmac<Sha1>>(&secret).unwrap().as_ref(), step));
            TypedCode::parse(&format!("{code:06}")).unwrap()
        };
        let (present, window) = (50_000_000_u64, Window::new(1, 1));
        for off in [-20_i64, -3, -2, 2, 3, 20] {
            let typed = shown(present.saturating_add_signed(off));
            assert_eq!(codes.steps_off(&typed, present, window, 20), Some(off));
            let near = off.unsigned_abs() - 1;
            assert_eq!(codes.steps_off(&typed, present, window, near), None, "{off}");
        }
        for off in [-1_i64, 0, 1] {
            let typed = shown(present.saturating_add_signed(off));
            assert_eq!(codes.steps_off(&typed, present, window, 20), None, "in the window");
        }
        // At the beginning of time there are no earlier steps.
        assert_eq!(codes.steps_off(&shown(5), 2, window, 20), Some(3));
        let seven = Parameters::new(Algorithm::Sha1, 7, 30).unwrap();
        let other = TotpVerifier::new(&secret, seven);
        assert_eq!(other.steps_off(&shown(present + 2), present, window, 20), None, "another length");
    }

    #[test]
    fn a_fingerprint_is_of_the_key_and_no_code() {
        let print = |algorithm, bytes: &[u8]| fingerprint(algorithm, &TotpSecret::from_slice(bytes).unwrap());
        let zeros = [&SEED[..], &[0; 9]].concat();
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
            assert_eq!(print(algorithm, SEED), print(algorithm, &zeros));
            assert_ne!(print(algorithm, SEED), print(algorithm, b"another seed of 20 b"));
        }
        assert_ne!(print(Algorithm::Sha1, SEED), print(Algorithm::Sha256, SEED));
    }

    /// The whole window is compared: the highest of two matching steps counts, and an old one does
    /// not hide it.
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
