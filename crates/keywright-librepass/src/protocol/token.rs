//! The API token: it contains its account's id, and is stored as a hash.

use std::fmt;

use keywright_core::{Entropy, EntropyError, SecretBytes, SecretString, append_lp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::protocol::keys::push_digits;
use crate::protocol::user::UserId;

/// The prefix of every token (protocol § 5).
pub const TOKEN_PREFIX: &str = "lp_";

/// The label of the stored verifier.
const VERIFIER: &[u8] = b"keywright/v1/librepass/token-verifier";
/// The label of the slot.
const SLOT: &[u8] = b"keywright/v1/librepass/token-slot";

/// A token: `lp_` and 64 lower-case hex digits, which encode the user's UUID and then 16 secret
/// bytes (`docs/security.md` § 10). The protocol accepts any 64 digits; that the first half names
/// the account is this crate's choice, so that no look-up by a secret is needed.
///
/// ```
/// # fn main() -> Result<(), keywright_core::EntropyError> {
/// use keywright_core::SystemEntropy;
/// use keywright_librepass::{Token, UserId};
///
/// let user = UserId::random(&SystemEntropy)?;
/// let token = Token::random(user.clone(), &SystemEntropy)?;
/// let stored = token.verifier();
///
/// let sent = Token::parse(token.to_text().expose()).expect("a token");
/// assert_eq!(sent.user(), &user);
/// assert!(sent.matches(&stored));
/// # Ok(())
/// # }
/// ```
pub struct Token {
    user: UserId,
    secret: SecretBytes<16>,
}

impl Token {
    /// Draws a token for a user.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn random(user: UserId, entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        Ok(Self { user, secret: SecretBytes::random(entropy)? })
    }

    /// Parses a token. Returns `None` for anything except the one form that
    /// [`to_text`](Self::to_text) returns: tokens with upper-case digits were never issued.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(TOKEN_PREFIX)?;
        if digits.len() != 64 || digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let (user, secret) = digits.split_at_checked(32)?;
        let (mut bytes, mut hidden) = ([0; 16], SecretBytes::zeroed());
        hex::decode_to_slice(user, &mut bytes).ok()?;
        hex::decode_to_slice(secret, hidden.expose_mut()).ok()?;
        Some(Self { user: UserId::from_bytes(bytes).ok()?, secret: hidden })
    }

    /// Returns the text to give to the client, once.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut text = String::with_capacity(TOKEN_PREFIX.len().saturating_add(64));
        text.push_str(TOKEN_PREFIX);
        push_digits(&mut text, self.user.as_bytes());
        push_digits(&mut text, self.secret.expose());
        SecretString::new(text)
    }

    /// Returns the user that the token claims. Nothing is proven until [`matches`](Self::matches)
    /// returns true.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns what is stored instead of the token: SHA-256 of a label and LP(user's UUID, secret).
    /// The secret has 128 random bits, so a plain hash is enough: it cannot be guessed.
    #[must_use]
    pub fn verifier(&self) -> [u8; 32] {
        self.digest(VERIFIER)
    }

    /// Whether this is the token of a stored verifier, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        self.verifier().ct_eq(stored).into()
    }

    /// Returns where the token's record is stored: the first half of a second digest, under its own
    /// label. The database can read a slot and does not compare it in constant time, so the slot
    /// shares nothing with the verifier, which is sealed. A token that finds a record must still
    /// match its verifier, because a slot has only 128 bits of the digest.
    #[must_use]
    pub fn slot(&self) -> [u8; 16] {
        let mut slot = [0; 16];
        for (to, from) in slot.iter_mut().zip(self.digest(SLOT)) {
            *to = from;
        }
        slot
    }

    fn digest(&self, label: &[u8]) -> [u8; 32] {
        // Sized for the label, two lengths and two parts: growing would leave a copy of the secret
        // behind.
        let mut message = Zeroizing::new(Vec::with_capacity(label.len().saturating_add(40)));
        message.extend_from_slice(label);
        append_lp(&mut message, &[self.user.as_bytes(), self.secret.expose()]);
        Sha256::digest(&*message).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ..)", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const TEXT: &str = "lp_000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// Made with Python's `hashlib` from the documented bytes.
    #[test]
    fn known_answers() {
        let token = Token::parse(TEXT).unwrap();
        assert_eq!(token.user().to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(hex::encode(token.verifier()), "b819112a1100f9f632e3793a3474f8ec6f94cdc2268146218c000f586fe3dd56");
        assert_eq!(hex::encode(token.slot()), "f19010e96d2701762bd1bdae85c987d7");
    }

    #[test]
    fn one_form() {
        assert_eq!(Token::parse(TEXT).unwrap().to_text().expose(), TEXT);
        let bad = [
            String::new(),
            TEXT[3..].to_owned(),
            TEXT.replace("lp_", "LP_"),
            TEXT.replace("0f", "0F"),
            TEXT[..66].to_owned(),
            format!("{TEXT}0"),
            format!("{TEXT}\n"),
            format!(" {TEXT}"),
            TEXT.replace("1f", "1g"),
            TEXT.replace("1f", "é"),
            TEXT.replace("0e0f10", "0e0é10"),
        ];
        for text in bad {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_token_matches_only_its_own_verifier() {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let user = UserId::random(&rng).unwrap();
        let (one, two) = (Token::random(user.clone(), &rng).unwrap(), Token::random(user, &rng).unwrap());
        assert!(one.matches(&one.verifier()) && !one.matches(&two.verifier()));
        assert_ne!(one.slot(), two.slot());
        assert!(!one.verifier().starts_with(&one.slot()));
        let moved = Token { user: UserId::random(&rng).unwrap(), secret: one.secret.duplicate() };
        assert!(!moved.matches(&one.verifier()), "the user is hashed too");
        assert!(!format!("{one:?}").contains(&hex::encode(one.secret.expose())));
    }

    proptest! {
        #[test]
        fn any_text_parses_to_itself_or_not_at_all(text in "(lp_)?[0-9a-fA-Fé]{62,65}") {
            if let Some(token) = Token::parse(&text) {
                let again = token.to_text();
                prop_assert_eq!(again.expose(), text);
            }
        }
    }
}
