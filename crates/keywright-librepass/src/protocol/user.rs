//! A user's id: a UUID, and the account it names.

use std::fmt;

use keywright_core::{AccountId, Entropy, EntropyError};

/// A LibrePass user: a random UUID that the server draws at registration. Its lower-case hyphenated
/// text is the [`AccountId`].
///
/// ```
/// use keywright_librepass::UserId;
///
/// let user = UserId::parse("3A469748-bc30-5a0b-8a3a-eafa3fe5bc54")?;
/// assert_eq!(user.to_string(), "3a469748-bc30-5a0b-8a3a-eafa3fe5bc54");
/// assert_eq!(user.account().as_str(), user.to_string());
/// assert!(UserId::parse("1-1-1-1-1").is_err());
/// # Ok::<(), keywright_librepass::UserIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserId {
    bytes: [u8; 16],
    account: AccountId,
}

/// The positions of the four hyphens in a UUID's text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl UserId {
    /// Draws a UUID of version 4, variant 1 (RFC 9562 § 5.4).
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let drawn = u128::from_be_bytes(keywright_core::random_bytes(entropy)?);
        let version = 0x4 << 76;
        let variant = 0b10 << 62;
        let bytes = ((drawn & !(0xf << 76) & !(0b11 << 62)) | version | variant).to_be_bytes();
        // 36 printable characters are a valid account id, so this never fails.
        Self::from_bytes(bytes).map_err(|UserIdError| EntropyError)
    }

    /// Creates an id from the 16 bytes of any UUID.
    ///
    /// # Errors
    /// [`UserIdError`], which cannot occur for 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, UserIdError> {
        let account = AccountId::new(hyphenated(&bytes)).map_err(|_| UserIdError)?;
        Ok(Self { bytes, account })
    }

    /// Parses the hyphenated text of 36 characters, in either case. The short form with digits left
    /// out, which upstream pads with zeros, is refused (protocol § 8).
    ///
    /// # Errors
    /// [`UserIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UserIdError> {
        let shaped = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
        if !shaped {
            return Err(UserIdError);
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(text.replace('-', ""), &mut bytes).map_err(|_| UserIdError)?;
        Self::from_bytes(bytes)
    }

    /// Returns the user of an account.
    ///
    /// # Errors
    /// [`UserIdError`] unless the account's id is a lower-case UUID, as for an account of another
    /// protocol.
    pub fn of_account(account: &AccountId) -> Result<Self, UserIdError> {
        let user = Self::parse(account.as_str())?;
        if user.account == *account { Ok(user) } else { Err(UserIdError) }
    }

    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

fn hyphenated(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        crate::protocol::keys::push_digits(&mut text, &[*byte]);
    }
    text
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.account.as_str())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

/// The text is not a hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user's id is not a UUID")]
pub struct UserIdError;

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn drawn_ids_are_version_4() {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..256 {
            let user = UserId::random(&rng).unwrap();
            let text = user.to_string();
            assert_eq!(text.as_bytes()[14], b'4');
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
            assert_eq!(UserId::parse(&text), Ok(user.clone()));
            assert_eq!(UserId::of_account(user.account()), Ok(user.clone()));
            assert!(seen.insert(user));
        }
    }

    #[test]
    fn one_text_form() {
        let text = "3a469748-bc30-5a0b-8a3a-eafa3fe5bc54";
        assert_eq!(UserId::parse(&text.to_uppercase()), UserId::parse(text));
        let bad = [
            "",
            "1-1-1-1-1",
            "3a469748bc305a0b8a3aeafa3fe5bc54",
            "{3a469748-bc30-5a0b-8a3a-eafa3fe5bc54}",
            "3a469748-bc30-5a0b-8a3a-eafa3fe5bc5g",
            "3a469748-bc30-5a0b-8a3a-eafa3fe5bc5é",
            "3a469748-bc30-5a0b-8a3-aeafa3fe5bc54",
            "3a4697480bc30-5a0b-8a3a-eafa3fe5bc54",
            " 3a469748-bc30-5a0b-8a3a-eafa3fe5bc5",
        ];
        for text in bad {
            assert_eq!(UserId::parse(text), Err(UserIdError), "{text}");
        }
        let foreign = AccountId::new(text.to_uppercase()).unwrap();
        assert_eq!(UserId::of_account(&foreign), Err(UserIdError));
    }
}
