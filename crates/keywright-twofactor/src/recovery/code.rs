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
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use std::collections::BTreeSet;

    fn rng(seed: u64) -> LocalRng<ChaCha20Rng> {
        LocalRng::new(ChaCha20Rng::seed_from_u64(seed))
    }

    fn print_hex(form: &Checked, number: &str) -> String {
        print(form, &hex::decode(number).unwrap()).unwrap().expose().to_string()
    }

    fn read(preset: Preset, typed: &str) -> Option<String> {
        Canonical::parse(preset, typed).map(|code| std::str::from_utf8(code.expose()).unwrap().to_string())
    }

    /// `docs/security.md` § 16.
    #[test]
    fn known_answers() {
        for (number, printed) in [
            ("00000000000000000000", "000000-000000-000001"),
            ("00000000000000000001", "000000-000000-0001ZV"),
            ("0123456789abcdef0123", "04HMAS-W9NF6Y-Y093S1"),
            ("ffffffffffffffffffff", "ZZZZZZ-ZZZZZZ-ZZZZQ5"),
        ] {
            assert_eq!(print_hex(&Checked::DEFAULT, number), printed);
            assert_eq!(read(Preset::Default, printed), Some(printed.replace('-', "")));
        }
        let printed = "ZZDSE-MRESA-34401-4D2PF-2DBDR";
        // 15 bytes, the topmost five bits zero.
        assert_eq!(print_hex(&Checked::NIST, "07fedcba98765432100123456789ab"), printed);
        assert_eq!(read(Preset::Nist, printed), Some(printed.replace('-', "")));
    }

    /// Tries all 32 symbols at every position, and all pairs of positions.
    fn slips_of(preset: Preset, code: &str) {
        let symbols: Vec<u8> = code.bytes().filter(|&byte| byte != b'-').collect();
        let is_taken = |symbols: &[u8]| read(preset, std::str::from_utf8(symbols).unwrap()).is_some();
        assert!(is_taken(&symbols));
        for at in 0..symbols.len() {
            for &other in ALPHABET.iter().filter(|&&other| other != symbols[at]) {
                let mut slip = symbols.clone();
                slip[at] = other;
                assert!(!is_taken(&slip), "{code}: {at} as {}", char::from(other));
            }
            for with in (0..at).filter(|&with| symbols[with] != symbols[at]) {
                let mut slip = symbols.clone();
                slip.swap(at, with);
                assert!(!is_taken(&slip), "{code}: {at} and {with} swapped");
            }
            let mut short = symbols.clone();
            short.remove(at);
            assert!(!is_taken(&short));
        }
        assert!(!is_taken(&[symbols.as_slice(), b"0"].concat()) && !is_taken(&[b"0", symbols.as_slice()].concat()));
    }

    #[test]
    fn what_a_symbol_counts_is_its_place_in_the_alphabet() {
        for typed in (0..=0x7f_u8).map(char::from) {
            let upper = typed.to_ascii_uppercase();
            let read_as = if "IL".contains(upper) {
                '1'
            } else if upper == 'O' {
                '0'
            } else {
                upper
            };
            let place = ALPHABET.iter().position(|&symbol| char::from(symbol) == read_as);
            let expected = place.map(|place| (u8::try_from(read_as).unwrap(), u8::try_from(place).unwrap()));
            assert_eq!(value(typed), expected, "{typed:?}");
        }
        assert!(('\u{80}'..='\u{ffff}').all(|typed| value(typed).is_none()));
    }

    #[test]
    fn every_wrong_symbol_and_every_swap_is_caught() {
        let rng = rng(1);
        for preset in [Preset::Default, Preset::Nist] {
            for _ in 0..20 {
                slips_of(preset, draw(preset, &rng).unwrap().expose());
            }
        }
        slips_of(Preset::Default, "000000-000000-000001");
        slips_of(Preset::Default, "ZZZZZZ-ZZZZZZ-ZZZZQ5");
    }

    /// The arithmetic behind the check: 32 has order 68 modulo the prime 1021, and no symbol
    /// difference is a multiple of it.
    #[test]
    fn the_order_of_32_exceeds_every_code() {
        let mut power = 32;
        let order = (1..).find(|_| {
            let is_one = power == 1;
            power = times_plus(power, 32, 0);
            is_one
        });
        assert_eq!(order, Some(68));
        assert!((2..MODULUS).all(|divisor| divisor * divisor > MODULUS || !MODULUS.is_multiple_of(divisor)));
    }

    #[test]
    fn a_random_string_passes_with_two_to_the_minus_ten() {
        let rng = rng(2);
        let mut taken = 0;
        for _ in 0..100_000 {
            let draw: [u8; 18] = keywright_core::random_bytes(&rng).unwrap();
            let text: String = draw.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
            taken += u32::from(Preset::Default.is_form_of(&text));
        }
        // 97.7 expected; five standard deviations are 49.
        assert!((49..147).contains(&taken), "{taken}");
    }

    #[test]
    fn input_is_forgiven() {
        let canonical = Some("04HMASW9NF6YY093S1".to_string());
        for typed in [
            "04HMAS-W9NF6Y-Y093S1",
            "04hmasw9nf6yy093s1",
            " O4hmas w9nf6y\tyo93si \r\n",
            "04HMAS\u{2010}W9NF6Y\u{2015}Y093SL",
            "04HMAS\u{2212}W9NF6Y\u{ad}\u{a0}\u{200b}\u{feff}Y093S1",
            "0-4-H-M-A-S--W9NF6YY093Sl\u{2011}\u{2012}\u{2013}\u{2014}",
        ] {
            assert_eq!(read(Preset::Default, typed), canonical, "{typed}");
        }
    }

    #[test]
    fn what_is_no_code_is_malformed() {
        let full_width: String =
            "04HMASW9NF6YY093S1".chars().map(|symbol| char::from_u32(u32::from(symbol) + 0xfee0).unwrap()).collect();
        let huge = "04HMAS-W9NF6Y-Y093S1".repeat(100_000);
        let spaces = format!("04HMASW9NF6YY093S1{}", " ".repeat(1 << 20));
        for typed in [
            "",
            " ",
            "000000",
            "123456",
            "U4HMAS-W9NF6Y-Y093S1",
            "04HMAS_W9NF6Y_Y093S1",
            "04HMAS~W9NF6Y-Y093S1",
            "04HMAS\u{200e}W9NF6Y-Y093S1",
            "04HMAS-W9NF6Y-Y093S1\0",
            "04HMAS-W9NF6Y-Y093\u{17f}1",
            &full_width,
            &huge,
            &spaces,
        ] {
            assert_eq!(read(Preset::Default, typed), None);
            assert_eq!(read(Preset::Nist, typed), None);
            assert_eq!(read(Preset::LibrePass, typed), None);
        }
    }

    #[test]
    fn rocket_chat_codes_are_exact_and_even() {
        let rng = rng(3);
        let mut seen = [0_u32; 55];
        for _ in 0..5_000 {
            let code = draw(Preset::RocketChat, &rng).unwrap();
            assert_eq!(read(Preset::RocketChat, code.expose()).as_deref(), Some(code.expose()));
            for byte in code.expose().bytes() {
                seen[ROCKET_CHAT.iter().position(|&symbol| symbol == byte).unwrap()] += 1;
            }
        }
        // 40,000 symbols, 727 each; five standard deviations are 134.
        assert!(seen.iter().all(|count| (590..865).contains(count)), "{seen:?}");
        assert_eq!(read(Preset::RocketChat, "xYzW7k2m").as_deref(), Some("xYzW7k2m"));
        assert!(Preset::RocketChat.is_form_of("O0Il1VU9"));
        for typed in [" xYzW 7k2m\n", "xYzW-7k2m", "xYzW\u{2011}7k2m"] {
            assert_eq!(read(Preset::RocketChat, typed).as_deref(), Some("xYzW7k2m"), "{typed}");
        }
        for typed in
            ["xYzW7k2", "xYzW7k2mm", "xYzW-7k2", " YzW7k2m", "xYzW7k2\u{e9}", "\u{ff11}\u{ff12}34", "xYzW_7k2m"]
        {
            assert_eq!(read(Preset::RocketChat, typed), None, "{typed}");
        }
    }

    #[test]
    fn librepass_codes_are_random_uuids() {
        let rng = rng(4);
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let code = draw(Preset::LibrePass, &rng).unwrap();
            let text = code.expose();
            assert!(text.len() == 36 && text[14..15] == *"4" && "89ab".contains(&text[19..20]), "{text}");
            let canonical = text.replace('-', "");
            for typed in [text, &canonical, &text.to_uppercase(), &text.replace('-', " \u{2013} ")] {
                assert_eq!(read(Preset::LibrePass, typed).as_deref(), Some(&*canonical), "{typed}");
            }
            assert!(!Preset::LibrePass.is_form_of(&text.replacen('-', "0", 1)));
            assert!(
                !Preset::LibrePass.is_form_of(&canonical[1..]) && !Preset::LibrePass.is_form_of(&format!("{{{text}}}"))
            );
            assert!(seen.insert(text.to_string()));
        }
        assert!(Preset::LibrePass.is_form_of("00000000-0000-0000-0000-000000000000"));
        assert!(!Preset::LibrePass.is_form_of("G0000000-0000-0000-0000-000000000000"));
    }

    #[test]
    fn a_failing_generator_draws_nothing() {
        struct Broken;
        impl Entropy for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
                Err(EntropyError)
            }
        }
        for preset in [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass] {
            assert!(draw(preset, &Broken).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(number in any::<[u8; 10]>(), longer in any::<[u8; 15]>()) {
            let printed = print(&Checked::DEFAULT, &number).unwrap();
            prop_assert_eq!(read(Preset::Default, printed.expose()), Some(printed.expose().replace('-', "")));
            let mut longer = longer;
            longer[0] &= 7;
            let printed = print(&Checked::NIST, &longer).unwrap();
            prop_assert_eq!(read(Preset::Nist, printed.expose()), Some(printed.expose().replace('-', "")));
        }

        #[test]
        fn one_slip_is_caught(number in any::<[u8; 10]>(), at in 0..18_usize, by in 1..32_usize, with in 0..18_usize) {
            let printed = print(&Checked::DEFAULT, &number).unwrap().expose().replace('-', "").into_bytes();
            let mut wrong = printed.clone();
            let old = ALPHABET.iter().position(|&symbol| symbol == wrong[at]).unwrap();
            wrong[at] = ALPHABET[old.wrapping_add(by) % 32];
            prop_assert!(!Preset::Default.is_form_of(std::str::from_utf8(&wrong).unwrap()));
            let mut swapped = printed.clone();
            swapped.swap(at, with);
            prop_assert_eq!(Preset::Default.is_form_of(std::str::from_utf8(&swapped).unwrap()), swapped == printed);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}", junk in any::<String>()) {
            for preset in [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass] {
                for typed in [&text, &junk] {
                    // A parsed code is in its canonical spelling, so parsing it again changes
                    // nothing.
                    if let Some(code) = read(preset, typed) { prop_assert_eq!(read(preset, &code), Some(code)); }
                }
            }
        }
    }
}
