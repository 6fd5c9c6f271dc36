//! The salts that a server accepts. They have a fixed form, so that a stored challenge can always
//! be solved.

use std::fmt;

use keywright_core::{Entropy, EntropyError};

use crate::policy::{NEW_SALT_BYTES, SALT_DIGITS};
use crate::secret::is_lower_hex;

/// Three salts of 512 to 2048, 128 and 32 lower-case hex digits.
///
/// Nextcloud Passwords checks only the lengths, so a faulty client (which sends an odd number of
/// digits, or a letter that is not a digit) locks its user out permanently. This type refuses such
/// salts when they are set, while the old secret still works. Salts are not secret: any logged-in
/// client may read them.
#[derive(Clone, PartialEq, Eq)]
pub struct Salts([Box<str>; 3]);

impl Salts {
    /// Parses the salts that a client sent with a new challenge.
    ///
    /// # Errors
    /// Returns a [`SaltsError`] if there are not exactly three, or one has the wrong length or a
    /// digit that is not lower-case hex; the error has the index of the salt. Nothing is copied
    /// before all lengths are known to be in bounds.
    pub fn parse<S: AsRef<str>>(salts: &[S]) -> Result<Self, SaltsError> {
        let [first, second, third] = salts else {
            return Err(SaltsError::Count);
        };
        let salts = [first.as_ref(), second.as_ref(), third.as_ref()];
        for ((index, salt), digits) in (0_u8..).zip(salts).zip(&SALT_DIGITS) {
            if !digits.contains(&salt.len()) || !salt.len().is_multiple_of(2) {
                return Err(SaltsError::Length { index });
            }
            if !is_lower_hex(salt.as_bytes()) {
                return Err(SaltsError::NotLowerHex { index });
            }
        }
        Ok(Self(salts.map(Box::from)))
    }

    /// Draws new salts of 256, 64 and 16 bytes, as the real client does.
    ///
    /// # Errors
    /// Returns an [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let draw = |bytes: usize| -> Result<Box<str>, EntropyError> {
            let mut salt = vec![0_u8; bytes];
            entropy.fill(&mut salt)?;
            Ok(hex::encode(salt).into_boxed_str())
        };
        let [first, second, third] = NEW_SALT_BYTES;
        Ok(Self([draw(first)?, draw(second)?, draw(third)?]))
    }

    /// Returns the three salts in the order of the protocol.
    #[must_use]
    pub fn as_strs(&self) -> [&str; 3] {
        let [first, second, third] = &self.0;
        [first, second, third]
    }

    /// Returns the three salts as strings, to be sent or stored.
    #[must_use]
    pub fn into_strings(self) -> [String; 3] {
        self.0.map(String::from)
    }
}

/// Only the lengths are shown: with the salts, guesses at the password could be tested.
impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salts({:?} digits)", self.as_strs().map(str::len))
    }
}

/// Why texts are not valid [`Salts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaltsError {
    /// There are not exactly three.
    #[error("a challenge must have exactly three salts")]
    Count,
    /// A salt is too short or too long, or has an odd number of digits.
    #[error("salt {index} has the wrong length")]
    Length {
        /// The index of the salt: 0, 1 or 2.
        index: u8,
    },
    /// A salt has digits other than `0-9a-f`.
    #[error("salt {index} is not lower-case hex")]
    NotLowerHex {
        /// The index of the salt: 0, 1 or 2.
        index: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(digits: [usize; 3]) -> [String; 3] {
        digits.map(|n| "a".repeat(n))
    }

    #[test]
    fn the_bounds() {
        for good in [[512, 128, 32], [514, 128, 32], [2048, 128, 32]] {
            assert!(Salts::parse(&of(good)).is_ok(), "{good:?}");
        }
        for (bad, index) in [
            ([510, 128, 32], 0),
            ([513, 128, 32], 0),
            ([2050, 128, 32], 0),
            ([512, 126, 32], 1),
            ([512, 130, 32], 1),
            ([512, 128, 30], 2),
            ([512, 128, 34], 2),
        ] {
            assert_eq!(Salts::parse(&of(bad)), Err(SaltsError::Length { index }), "{bad:?}");
        }
        let mut upper = of([512, 128, 32]);
        upper[1] = "A".repeat(128);
        assert_eq!(Salts::parse(&upper), Err(SaltsError::NotLowerHex { index: 1 }));
        assert_eq!(Salts::parse(&upper[..2]), Err(SaltsError::Count));
        assert_eq!(Salts::parse::<&str>(&[]), Err(SaltsError::Count));
    }

    #[test]
    fn debug_shows_lengths_only() {
        let salts = Salts::parse(&of([512, 128, 32])).unwrap();
        assert_eq!(format!("{salts:?}"), "Salts([512, 128, 32] digits)");
    }

    proptest! {
        #[test]
        fn any_texts_are_salts_or_a_typed_error(texts in proptest::collection::vec(any::<String>(), 0..6)) {
            prop_assert!(Salts::parse(&texts).is_err(), "no random text is 512 hex digits");
        }

        #[test]
        fn near_misses_are_judged_by_the_rule(
            first in "[0-9a-f]{505,520}", second in "[0-9a-fA]{127,129}", third in "[0-9a-f]{31,33}", extra in any::<bool>(),
        ) {
            let mut texts: Vec<&str> = [first.as_str(), second.as_str(), third.as_str()].into();
            if extra {
                texts.push("extra");
            }
            let good = first.len() >= 512 && first.len() % 2 == 0 && second.len() == 128 && third.len() == 32
                && !second.contains('A') && !extra;
            prop_assert_eq!(Salts::parse(&texts).is_ok(), good);
        }

        #[test]
        fn good_salts_round_trip(first in "([0-9a-f]{2}){256,1024}", second in "[0-9a-f]{128}", third in "[0-9a-f]{32}") {
            let texts = [first, second, third];
            let salts = Salts::parse(&texts).unwrap();
            prop_assert_eq!(salts.as_strs(), [&*texts[0], &*texts[1], &*texts[2]]);
            prop_assert_eq!(Salts::parse(&salts.as_strs()), Ok(salts.clone()));
            prop_assert_eq!(salts.into_strings(), texts);
        }
    }
}
