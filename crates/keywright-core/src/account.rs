//! The account, named by the host's stored id. Each account is one partition of the store.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The longest id, in bytes. It fits a MySQL or PostgreSQL index beside a slot, and a file name.
const MAX_ACCOUNT_ID_BYTES: usize = 190;

/// An account, named by the **host's stored id**: a primary key, a UUID, or the canonical user
/// name.
///
/// Never pass what somebody typed: `Alice` and `alice` would be two ledgers with two budgets of
/// guesses. An id is 1 to 190 bytes of UTF-8 without control characters.
///
/// A number is its decimal digits, whatever its type: `42_i32` and `42_u64` are one account. Pass a key
/// always as the integer that its column has, for an `i64` of -1 read as a `u64` is another account. All
/// ids of a store share one space. Number 42 of a second table, such as `staff` beside `users`, would be
/// the same account with the same factors: give the ids of one table a prefix, `staff:42`.
///
/// ```
/// # use keywright_core::AccountId;
/// let account = AccountId::new("user-1")?;
/// assert_eq!(account.as_str(), "user-1");
/// assert_eq!(AccountId::from(42), AccountId::new("42")?);
/// assert_ne!(AccountId::new("staff:42")?, AccountId::from(42));
/// assert!(AccountId::new("").is_err());
/// # Ok::<(), keywright_core::AccountIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Box<str>);

impl AccountId {
    /// Creates an id from the host's stored one.
    ///
    /// # Errors
    /// Returns [`AccountIdError`] if `id` is empty, is longer than 190 bytes, or contains a control
    /// character.
    pub fn new(id: impl Into<String>) -> Result<Self, AccountIdError> {
        let id: String = id.into();
        if id.is_empty() {
            return Err(AccountIdError::Empty);
        }
        if id.len() > MAX_ACCOUNT_ID_BYTES {
            return Err(AccountIdError::TooLong);
        }
        if id.chars().any(char::is_control) {
            return Err(AccountIdError::ControlCharacter);
        }
        Ok(Self(id.into_boxed_str()))
    }

    /// Returns the id as the host stores it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({:?})", &*self.0)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AccountId {
    type Error = AccountIdError;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id)
    }
}

macro_rules! from_number {
    ($($number:ty),*) => {
        $(
            /// The number's decimal digits, of which every one is an id. See [`AccountId`] for the keys of a
            /// second table.
            impl From<$number> for AccountId {
                fn from(id: $number) -> Self {
                    Self(std::string::ToString::to_string(&id).into_boxed_str())
                }
            }
        )*
    };
}

from_number!(i32, i64, u32, u64);

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0.into()
    }
}

/// Why a string is not a valid [`AccountId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountIdError {
    /// The string is empty.
    #[error("an account id is empty")]
    Empty,
    /// The string has more than 190 bytes.
    #[error("an account id is longer than {MAX_ACCOUNT_ID_BYTES} bytes")]
    TooLong,
    /// The string contains a control character (NUL is one).
    #[error("an account id contains a control character")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_no_host_stores() {
        assert_eq!(AccountId::new(""), Err(AccountIdError::Empty));
        assert_eq!(AccountId::new("a\0b"), Err(AccountIdError::ControlCharacter));
        assert_eq!(AccountId::new("x".repeat(191)), Err(AccountIdError::TooLong));
        assert!(AccountId::new("x".repeat(190)).is_ok());
        assert!(AccountId::new("Ünïcode / with spaces").is_ok());
    }

    #[test]
    fn a_number_is_the_id_that_its_digits_are() -> Result<(), AccountIdError> {
        assert_eq!(AccountId::from(i64::MIN), AccountId::new("-9223372036854775808")?);
        assert_eq!(AccountId::from(u64::MAX), AccountId::new("18446744073709551615")?);
        assert_eq!(AccountId::from(0_u32), AccountId::new("0")?);
        assert_eq!(AccountId::from(-1_i32), AccountId::new("-1")?);
        Ok(())
    }
}
