//! The forms of recovery codes: how they are drawn, printed and parsed.

use keywright_core::{Entropy, EntropyError, SecretBytes, SecretString, SessionId, Strength, below, typed};
use keywright_store::StepError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// The form of a set's codes.
// Variants are stored by position, so a new one must be appended at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Preset {
    /// Ten codes of 80 bits with two check symbols: `XXXXXX-XXXXXX-XXXXXX`. They may be typed in
    /// either case, with any blanks and hyphens; I and L are read as 1, O as 0. The check detects
    /// every wrong symbol and every swap of two, so a typing error is malformed rather than a wrong
    /// guess.
    #[default]
    Default,
    /// Ten codes of 115 bits, more than the 112 bits from which NIST SP 800-63B-4 § 3.1.2.2
    /// requires no slow hash: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`. Typing is as lenient as for the
    /// default.
    Nist,
    /// Twelve codes of eight symbols out of 55, as Rocket.Chat's clients expect them. They have 46
    /// bits, so guesses can be locked. Case matters, blanks and hyphens do not. There is no check:
    /// any eight ASCII letters and digits are a guess.
    RocketChat,
    /// One random UUID in lower case with hyphens, as LibrePass clients expect it. It has 122 bits.
    /// It may be typed in either case, with any blanks and hyphens.
    LibrePass,
}

impl Preset {
    /// Returns the number of random bits in one code, rounded down.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Default => 80,
            Self::Nist => 115,
            // log₂ 55⁸ = 46.25.
            Self::RocketChat => 46,
            Self::LibrePass => 122,
        }
    }

    /// Returns how hard a code is to guess, which determines whether guesses can be locked.
    #[must_use]
    pub const fn strength(self) -> Strength {
        Strength::of_random_bits(self.bits())
    }

    /// Returns the number of codes in a set.
    #[must_use]
    pub const fn count(self) -> u8 {
        match self {
            Self::Default | Self::Nist => 10,
            Self::RocketChat => 12,
            Self::LibrePass => 1,
        }
    }

    /// Whether a text has the form of such a code, under the same rules for blanks, case and check
    /// as at verification. The answer reveals nothing about any account. It is for wire protocols
    /// that distinguish several kinds of codes by their form.
    #[must_use]
    pub fn is_form_of(self, typed: &str) -> bool {
        Canonical::parse(self, typed).is_some()
    }
}

/// When a new set replaces the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a set is live or waits for the owner's word; there is no third")]
pub enum Liveness {
    /// In the commit that creates the new set. This is for wire protocols without an
    /// acknowledgement (`docs/decisions.md` 23).
    Now,
    /// When the owner confirms, in the session that was shown the codes, that they have been kept:
    /// see [`acknowledge_recovery_in`](crate::TwoFactorSteps::acknowledge_recovery_in).
    OnAcknowledgement {
        /// The session that was shown the codes.
        session: SessionId,
    },
}

/// The 32 symbols of checked codes (`docs/security.md` § 5). I, L and O are left out and are read
/// as 1, 1 and 0; U is left out too.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The 55 symbols of Rocket.Chat's codes (`docs/protocols/rocket-chat.md` § 8).
const ROCKET_CHAT: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// The number of symbols in a Rocket.Chat code.
const ROCKET_CHAT_LEN: usize = 8;

/// Every code as a whole is 1 modulo this number. It is prime, and the order of 32 modulo it is 68,
/// more than the 25 symbols of the longest code, so every single wrong symbol and every swap of two
/// different symbols is detected.
const MODULUS: u32 = 1021;

/// The length of a UUID as text: 32 digits and four hyphens.
const UUID_LEN: usize = 36;

/// The number of digits in a UUID without its hyphens.
const UUID_DIGITS: usize = 32;

/// The positions of the hyphens in a UUID.
const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The maximum length of typed input, in bytes. The longest code has 36; the rest leaves room for
/// blanks and wide hyphens.
const MAX_INPUT: usize = 256;

/// How a checked code is drawn and printed.
struct Checked {
    /// The number of symbols that carry data, five bits each; two more are the check.
    data: usize,
    /// The number of symbols in a printed group.
    group: usize,
}

impl Checked {
    const DEFAULT: Self = Self { data: 16, group: 6 };
    const NIST: Self = Self { data: 23, group: 5 };

    const fn symbols(&self) -> usize {
        self.data.saturating_add(2)
    }
}

/// A code in the form that is hashed: only its symbols, in one canonical spelling.
pub(crate) struct Canonical(Zeroizing<Vec<u8>>);

impl Canonical {
    /// Parses what somebody typed. Returns `None` if it is not a code of this form.
    pub(crate) fn parse(preset: Preset, typed: &str) -> Option<Self> {
        if typed.len() > MAX_INPUT {
            return None;
        }
        match preset {
            Preset::Default => Self::parse_checked(&Checked::DEFAULT, typed),
            Preset::Nist => Self::parse_checked(&Checked::NIST, typed),
            // Any eight letters and digits are a guess, as in the wire protocol; other bytes occur
            // in no code.
            Preset::RocketChat => Self::parse_symbols(typed, ROCKET_CHAT_LEN, |typed| {
                u8::try_from(typed).ok().filter(u8::is_ascii_alphanumeric)
            }),
            // Every UUID version is accepted: an all-zero UUID is a guess too.
            Preset::LibrePass => Self::parse_symbols(typed, UUID_DIGITS, |typed| {
                u8::try_from(typed).ok().filter(u8::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase())
            }),
        }
    }

    /// Reads exactly `count` symbols.
    fn parse_symbols(typed: &str, count: usize, read: impl Fn(char) -> Option<u8>) -> Option<Self> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(count));
        for typed in typed::characters(typed) {
            let symbol = read(typed).filter(|_| symbols.len() < count)?;
            symbols.push(symbol);
        }
        (symbols.len() == count).then_some(Self(symbols))
    }

    fn exact(typed: &str) -> Self {
        Self(Zeroizing::new(typed.as_bytes().to_vec()))
    }

    fn parse_checked(form: &Checked, typed: &str) -> Option<Self> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(form.symbols()));
        let mut rest = 0_u32;
        for typed in typed::characters(typed) {
            let (symbol, value) = value(typed)?;
            if symbols.len() == form.symbols() {
                return None;
            }
            rest = times_plus(rest, 32, u32::from(value));
            symbols.push(symbol);
        }
        (symbols.len() == form.symbols() && rest == 1).then_some(Self(symbols))
    }

    /// Parses a code's digest as Rocket.Chat stores it.
    pub(crate) fn parse_digest(text: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| Self::exact(text))
    }

    /// Returns what [`parse_digest`](Self::parse_digest) would return for this code.
    pub(crate) fn digest(&self) -> Result<Self, StepError> {
        let mut text = Zeroizing::new(vec![0; 64]);
        hex::encode_to_slice(Sha256::digest(self.expose()), &mut text).map_err(|_| StepError::Crypto)?;
        Ok(Self(text))
    }

    /// Returns the ASCII symbols.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

keywright_core::redacted_debug!(Canonical);

/// Draws a code in the form in which it is shown.
pub(crate) fn draw(preset: Preset, entropy: &dyn Entropy) -> Result<SecretString, EntropyError> {
    match preset {
        Preset::Default => {
            let number = SecretBytes::<10>::random(entropy)?;
            print(&Checked::DEFAULT, number.expose())
        }
        Preset::Nist => {
            // 120 bits are drawn, and the topmost five are dropped.
            let mut number = SecretBytes::<15>::random(entropy)?;
            number.expose_mut().iter_mut().take(1).for_each(|top| *top &= 0b111);
            print(&Checked::NIST, number.expose())
        }
        Preset::RocketChat => {
            let mut text = Zeroizing::new(Vec::with_capacity(ROCKET_CHAT_LEN));
            for _ in 0..ROCKET_CHAT_LEN {
                text.push(symbol(ROCKET_CHAT, below(entropy, 55)?));
            }
            text_of(&text)
        }
        Preset::LibrePass => draw_uuid(entropy),
    }
}

/// Prints a big-endian number with its two check symbols.
fn print(form: &Checked, number: &[u8]) -> Result<SecretString, EntropyError> {
    let rest = number.iter().fold(0, |rest, &byte| times_plus(rest, 256, u32::from(byte)));
    // C = (1 − 3N) mod 1021, so that 1024·N + C ≡ 3N + C ≡ 1.
    let check = 1_u32.wrapping_add(MODULUS.wrapping_sub(rest).wrapping_mul(3)) % MODULUS;
    let number = number.iter().fold(Zeroizing::new(0_u128), |mut sum, &byte| {
        *sum = (*sum << 8) | u128::from(byte);
        sum
    });
    let code = Zeroizing::new((*number << 10) | u128::from(check));
    let mut text = Zeroizing::new(Vec::with_capacity(form.symbols().saturating_mul(2)));
    for at in 0..form.symbols() {
        if at != 0 && at.checked_rem(form.group) == Some(0) {
            text.push(b'-');
        }
        let right = form.symbols().saturating_sub(at).saturating_sub(1).saturating_mul(5);
        let five = u8::try_from((*code >> right) & 31).unwrap_or(0);
        text.push(symbol(ALPHABET, u32::from(five)));
    }
    text_of(&text)
}

/// Draws a random UUID (RFC 9562 version 4) in lower case with hyphens. It has 122 random bits.
fn draw_uuid(entropy: &dyn Entropy) -> Result<SecretString, EntropyError> {
    let mut bytes = SecretBytes::<16>::random(entropy)?;
    let [_, _, _, _, _, _, version, _, variant, ..] = bytes.expose_mut();
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let mut text = Zeroizing::new(Vec::with_capacity(UUID_LEN));
    for byte in bytes.expose() {
        if UUID_HYPHENS.contains(&text.len()) {
            text.push(b'-');
        }
        for half in [byte >> 4, byte & 15] {
            text.push(symbol(b"0123456789abcdef", u32::from(half)));
        }
    }
    text_of(&text)
}

/// Returns `(rest · base + digit) mod 1021`. All operands are below 1021, so nothing wraps.
const fn times_plus(rest: u32, base: u32, digit: u32) -> u32 {
    rest.wrapping_mul(base).wrapping_add(digit) % MODULUS
}

/// Returns the symbol for a typed character of a checked code, and the symbol's position in the
/// alphabet. The input is the caller's own, so ordinary code is used (`docs/security.md` § 13).
fn value(typed: char) -> Option<(u8, u8)> {
    let symbol = match u8::try_from(typed).ok()?.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    // The ranges skip the letters that are left out.
    let (first, counts) = match symbol {
        b'0'..=b'9' => (b'0', 0),
        b'A'..=b'H' => (b'A', 10),
        b'J'..=b'K' => (b'J', 18),
        b'M'..=b'N' => (b'M', 20),
        b'P'..=b'T' => (b'P', 22),
        b'V'..=b'Z' => (b'V', 27),
        _ => return None,
    };
    Some((symbol, symbol.wrapping_sub(first).wrapping_add(counts)))
}

/// Returns the symbol at an index. Every symbol is read, so none leaves its own trace in the cache.
/// This is written by hand because `base32ct` supports neither alphabet, and libraries that accept
/// any alphabet look the symbols up in a table.
fn symbol(alphabet: &[u8], index: u32) -> u8 {
    alphabet.iter().zip(0_u32..).fold(0, |found, (&symbol, at)| found | (symbol & mask(at.ct_eq(&index))))
}

fn mask(choice: Choice) -> u8 {
    choice.unwrap_u8().wrapping_neg()
}

fn text_of(ascii: &[u8]) -> Result<SecretString, EntropyError> {
    let mut text = String::with_capacity(ascii.len());
    text.push_str(std::str::from_utf8(ascii).map_err(|_| EntropyError)?);
    Ok(SecretString::new(text))
}

#[cfg(test)]
mod tests;
