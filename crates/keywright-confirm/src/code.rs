//! Codes and tokens: how they are drawn, shown once, and kept as hashes.

use base64ct::{Base64Unpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use keywright_core::typed::characters;
use keywright_core::{Entropy, EntropyError, SecretBytes, SecretString, UnixSeconds, below};
use keywright_store::{StepError, secret_field};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// The number of random bytes in a typed code. As base64 they are 16 symbols of six bits.
const TYPED_BYTES: usize = 12;

/// The number of symbols in a typed code.
const TYPED_SYMBOLS: usize = 16;

/// The length of a typed code as text: four groups of four symbols, joined by `-`.
pub(crate) const TYPED_LEN: usize = 19;

/// The length of a mailed code as text.
pub(crate) const MAILED_LEN: usize = 6;

/// The label in a stored hash. It separates the styles: a typed code never matches as a mailed one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Label {
    Typed,
    Mailed,
}

impl Label {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Typed => b"keywright/v1/typed",
            Self::Mailed => b"keywright/v1/mailed",
        }
    }
}

/// A stored code: HMAC-SHA-256(random key, label ‖ 00 ‖ text), with its key beside it in the sealed
/// body (`docs/security.md` § 5).
#[derive(Serialize, Deserialize)]
pub(crate) struct Code {
    #[serde(with = "secret_field")]
    key: SecretBytes<32>,
    #[serde(with = "secret_field")]
    mac: SecretBytes<32>,
}

impl Code {
    pub(crate) fn new(entropy: &dyn Entropy, label: Label, text: &str) -> Result<Self, StepError> {
        let key = SecretBytes::random(entropy)?;
        let mac = mac(&key, label, text.as_bytes()).ok_or(StepError::Crypto)?;
        Ok(Self { key, mac })
    }

    /// Whether a text is exactly this code, compared in constant time.
    pub(crate) fn matches(&self, label: Label, text: &[u8]) -> Choice {
        match mac(&self.key, label, text) {
            Some(mac) => self.mac.expose().as_slice().ct_eq(mac.expose().as_slice()),
            None => Choice::from(0),
        }
    }
}

fn mac(key: &SecretBytes<32>, label: Label, text: &[u8]) -> Option<SecretBytes<32>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(text);
    let mut out = SecretBytes::zeroed();
    out.expose_mut().copy_from_slice(&mac.finalize().into_bytes());
    Some(out)
}

/// Draws a typed code. 12 bytes are 16 × 6 bits, so the code is uniform without rejection. The
/// encoder uses no lookup table, so no symbol leaves its own trace in the cache.
pub(crate) fn draw_typed(entropy: &dyn Entropy) -> Result<SecretString, EntropyError> {
    let bits = SecretBytes::<TYPED_BYTES>::random(entropy)?;
    let mut symbols = Zeroizing::new([0; TYPED_SYMBOLS]);
    Base64Unpadded::encode(bits.expose(), symbols.as_mut_slice()).map_err(|_| EntropyError)?;
    let mut text = Zeroizing::new(Vec::with_capacity(TYPED_LEN));
    for group in symbols.chunks(4) {
        if !text.is_empty() {
            text.push(b'-');
        }
        text.extend_from_slice(group);
    }
    text_of(&text)
}

/// Draws a mailed code, uniform in 0…999999 by rejection.
pub(crate) fn draw_mailed(entropy: &dyn Entropy) -> Result<SecretString, EntropyError> {
    let number = below(entropy, 1_000_000)?;
    let mut text = Zeroizing::new(Vec::with_capacity(MAILED_LEN));
    for place in [100_000, 10_000, 1_000, 100, 10, 1] {
        let digit = number.checked_div(place).unwrap_or(0) % 10;
        text.push(b'0' | u8::try_from(digit).unwrap_or(0));
    }
    text_of(&text)
}

fn text_of(ascii: &[u8]) -> Result<SecretString, EntropyError> {
    let mut text = String::with_capacity(ascii.len());
    text.push_str(std::str::from_utf8(ascii).map_err(|_| EntropyError)?);
    Ok(SecretString::new(text))
}

/// Normalizes typed text to the form in which a typed code is drawn: without ignored characters, in
/// four groups. Returns `None` for a text of another length. However long the text is, only the
/// characters of one code are copied.
pub(crate) fn typed_form(typed: &str) -> Option<SecretString> {
    let mut text = Zeroizing::new(String::with_capacity(TYPED_LEN));
    for character in characters(typed) {
        if !character.is_ascii() || text.len() >= TYPED_LEN {
            return None;
        }
        if matches!(text.len(), 4 | 9 | 14) {
            text.push('-');
        }
        text.push(character);
    }
    if text.len() == TYPED_LEN { Some(SecretString::new(std::mem::take(&mut *text))) } else { None }
}

/// Normalizes typed text to the form of a mailed code, which is six ASCII digits. Any other text is
/// not a guess.
pub(crate) fn mailed_form(typed: &str) -> Option<SecretString> {
    let mut text = Zeroizing::new(String::with_capacity(MAILED_LEN));
    for character in characters(typed) {
        if !character.is_ascii_digit() || text.len() >= MAILED_LEN {
            return None;
        }
        text.push(character);
    }
    if text.len() == MAILED_LEN { Some(SecretString::new(std::mem::take(&mut *text))) } else { None }
}

/// A code that is shown once and typed back by the user.
pub struct TypedCode {
    pub(crate) text: SecretString,
    pub(crate) cancel: CancelToken,
    pub(crate) expires: UnixSeconds,
}

impl TypedCode {
    /// Returns the text: four groups of four of `A–Z a–z 0–9 + /`, joined by `-`. 96 bits.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns the token that withdraws the confirmation, for the notice to the owner.
    #[must_use]
    pub const fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Returns the first time at which the code is no longer accepted.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}

keywright_core::redacted_debug!(TypedCode { expires, .. });

/// A code to be mailed. It confirms that the user can read the mailbox; it is not a second factor
/// (NIST SP 800-63B-4 § 3.1.3.1).
pub struct MailedCode {
    pub(crate) text: SecretString,
    pub(crate) cancel: CancelToken,
    pub(crate) expires: UnixSeconds,
}

impl MailedCode {
    /// Returns the text: six digits.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns the token that withdraws the confirmation, for the same mail or for the notice to
    /// the owner.
    #[must_use]
    pub const fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Returns the first time at which the code is no longer accepted.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}

keywright_core::redacted_debug!(MailedCode { expires, .. });

/// A wait that has begun, after which the action may be confirmed.
pub struct Wait {
    pub(crate) seconds: u64,
    pub(crate) earliest: UnixSeconds,
    pub(crate) latest: UnixSeconds,
    pub(crate) cancel: CancelToken,
}

impl Wait {
    /// Returns the length of the wait, in whole seconds of the server's clock.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Returns the first time at which the action may be confirmed.
    #[must_use]
    pub const fn earliest(&self) -> UnixSeconds {
        self.earliest
    }

    /// Returns the first time at which the action may no longer be confirmed.
    #[must_use]
    pub const fn latest(&self) -> UnixSeconds {
        self.latest
    }

    /// Returns the token that withdraws the confirmation, for the notice to the owner.
    #[must_use]
    pub const fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }
}

keywright_core::redacted_debug!(Wait { earliest, latest, .. });

/// A token that withdraws a pending confirmation: 256 bits, for the link in a notice. It is stored
/// as a hash.
///
/// The link contains the account and the token. It must act **on POST only**: on GET, show a page
/// with a button, because otherwise every mail scanner would cancel the confirmation
/// (`docs/security.md` § 9).
pub struct CancelToken(SecretBytes<32>);

impl CancelToken {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        SecretBytes::random(entropy).map(Self)
    }

    /// Parses the form that [`to_hex`](Self::to_hex) returns.
    ///
    /// # Errors
    /// Returns [`CancelTokenError`] for anything but 64 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, CancelTokenError> {
        let mut bytes = SecretBytes::zeroed();
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(CancelTokenError);
        }
        hex::decode_to_slice(text, bytes.expose_mut()).map_err(|_| CancelTokenError)?;
        Ok(Self(bytes))
    }

    /// Returns the text for a link: 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> SecretString {
        SecretString::new(hex::encode(self.0.expose()))
    }

    /// Returns the stored form: SHA-256(`keywright/v1/cancel` ‖ 00 ‖ token).
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"keywright/v1/cancel\0");
        hash.update(self.0.expose());
        hash.finalize().into()
    }
}

keywright_core::redacted_debug!(CancelToken);

/// The error for a text that is not a cancel token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cancel token must be 64 lower-case hex digits")]
pub struct CancelTokenError;

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn rng(seed: u64) -> LocalRng<ChaCha20Rng> {
        LocalRng::new(ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn asvs_6_5_3_typed_codes_use_all_64_symbols_evenly() {
        let rng = rng(1);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut seen = [0_u32; 64];
        for _ in 0..4_000 {
            let code = draw_typed(&rng).unwrap();
            let groups: Vec<&str> = code.expose().split('-').collect();
            assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4), "{}", code.expose());
            for byte in code.expose().bytes().filter(|&byte| byte != b'-') {
                seen[alphabet.iter().position(|&symbol| symbol == byte).unwrap()] += 1;
            }
        }
        // 64,000 symbols, 1,000 each; five standard deviations are 157.
        assert!(seen.iter().all(|count| (840..1160).contains(count)), "{seen:?}");
    }

    #[test]
    fn typed_codes_are_the_plain_base_64_of_96_bits() {
        struct Given;
        impl Entropy for Given {
            fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
                out.copy_from_slice(&[0, 0, 0, 255, 255, 255, 0, 16, 131, 16, 81, 135]);
                Ok(())
            }
        }
        assert_eq!(draw_typed(&Given).unwrap().expose(), "AAAA-////-ABCD-EFGH");
    }

    #[test]
    fn nist_3_1_3_2_mailed_codes_are_six_digits_evenly() {
        let rng = rng(2);
        let mut seen = [[0_u32; 10]; 6];
        for _ in 0..10_000 {
            let code = draw_mailed(&rng).unwrap();
            assert_eq!(mailed_form(code.expose()).unwrap().expose(), code.expose());
            for (place, byte) in code.expose().bytes().enumerate() {
                seen[place][usize::from(byte - b'0')] += 1;
            }
        }
        // 1,000 each; five standard deviations are 150.
        assert!(seen.iter().flatten().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn only_six_ascii_digits_are_a_guess() {
        for text in ["123456", " 123 456\n", "123\u{2011}456", "\u{feff}1-2-3-4-5-6"] {
            assert_eq!(mailed_form(text).unwrap().expose(), "123456", "{text}");
        }
        for text in
            ["", "12345", "1234567", "12345a", " 12345", "12345 ", "+12345", "١٢٣", "\u{661}23456", "１２３４５６"]
        {
            assert!(mailed_form(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_typed_code_is_taken_with_any_blanks_and_hyphens() {
        let code = "AAaa-////-+BCD-0123";
        for text in
            [code, "AAaa////+BCD0123", " AAaa \u{a0}////\t+BCD\n0123 ", "AAaa\u{2010}////\u{2013}+BCD\u{2212}0123"]
        {
            assert_eq!(typed_form(text).unwrap().expose(), code, "{text}");
        }
        for text in ["", "AAaa-////-+BCD-012", "AAaa-////-+BCD-01234", "AAaa-////-+BCD-012é", &"A".repeat(1 << 16)] {
            assert!(typed_form(text).is_none(), "{}", text.len());
        }
    }

    /// HMAC-SHA-256(key, label ‖ 00 ‖ text), computed independently.
    #[test]
    fn the_stored_hash_is_fixed_to_the_byte() {
        let key = SecretBytes::from_slice(&[7; 32]).unwrap();
        let mut by_hand = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        by_hand.update(b"keywright/v1/typed\0AAAA-BBBB-CCCC-DDDD");
        let expected: [u8; 32] = by_hand.finalize().into_bytes().into();
        assert!(mac(&key, Label::Typed, b"AAAA-BBBB-CCCC-DDDD").unwrap().ct_eq(&expected));
        assert!(!mac(&key, Label::Mailed, b"AAAA-BBBB-CCCC-DDDD").unwrap().ct_eq(&expected));
    }

    #[test]
    fn cancel_tokens_have_one_text() {
        let token = CancelToken::random(&rng(3)).unwrap();
        let text = token.to_hex();
        assert_eq!(CancelToken::parse(text.expose()).unwrap().hash(), token.hash());
        for bad in ["", "00", &text.expose().to_uppercase(), &format!("{}00", text.expose()), "zz"] {
            assert!(CancelToken::parse(bad).is_err(), "{bad}");
        }
    }
}
