//! Through what a factor was enrolled, and whose factors a protocol requires.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of an origin's name, in bytes.
const MAX_ORIGIN: usize = 32;

/// Through what a factor was enrolled: a protocol, or the library itself. It is stored with the
/// factor, and only code names it ([`TwoFactorSteps::through`](crate::TwoFactorSteps::through)), so
/// no request can choose it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "StoredName")]
pub struct Origin(Cow<'static, str>);

impl Origin {
    /// The library: factors that the host enrols by its own calls. Every protocol requires them.
    pub const LIBRARY: Self = Self(Cow::Borrowed("library"));

    /// Creates the origin of a protocol. The name is 1 to 32 lower-case ASCII letters, digits and
    /// hyphens.
    ///
    /// # Panics
    /// Panics for any other name. In a constant, this is an error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(is_name(name.as_bytes()), "an origin must be 1 to 32 lower-case letters, digits and hyphens");
        Self(Cow::Borrowed(name))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the origin of what replaces a factor of this origin. It is required wherever the old
    /// one was, so no replacement takes a factor away from another protocol.
    pub(crate) fn replaced_by(&self, new: &Self) -> Self {
        if self == new { new.clone() } else { Self::LIBRARY }
    }
}

/// Whether a text is a valid name.
const fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, others @ ..] = rest {
        if !(first.is_ascii_lowercase() || first.is_ascii_digit() || *first == b'-') {
            return false;
        }
        rest = others;
    }
    !name.is_empty() && name.len() <= MAX_ORIGIN
}

impl Default for Origin {
    fn default() -> Self {
        Self::LIBRARY
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stored name, before it is validated.
#[derive(Deserialize)]
struct StoredName(String);

/// The error for a stored name that is no origin.
#[derive(Debug, thiserror::Error)]
#[error("a stored origin is malformed")]
struct OriginError;

impl TryFrom<StoredName> for Origin {
    type Error = OriginError;
    fn try_from(StoredName(name): StoredName) -> Result<Self, OriginError> {
        if is_name(name.as_bytes()) { Ok(Self(name.into())) } else { Err(OriginError) }
    }
}

/// Whose factors a protocol requires where an account is used through several.
///
/// It decides what is **required**, never what is accepted: once a protocol requires a factor, each
/// factor of the account will do. A change of factors requires whatever the account has, under
/// either value, so nobody enrols a factor past the ones that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "a protocol's own factors, or those of all")]
pub enum RequiredFactors {
    /// Factors that were enrolled through this protocol or through the library. A client that
    /// cannot send a second factor is not locked out by what another protocol enrolled.
    #[default]
    Own,
    /// All factors of the account.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded() {
        for bad in ["", "Rocket", "a b", "ä", &"a".repeat(33)] {
            assert!(Origin::try_from(StoredName(bad.to_owned())).is_err(), "{bad}");
        }
        assert_eq!(Origin::try_from(StoredName("library".to_owned())).unwrap(), Origin::LIBRARY);
        assert_eq!(Origin::new("rocketchat").to_string(), "rocketchat");
    }

    #[test]
    fn what_replaces_a_factor_is_required_where_it_was() {
        let (one, other) = (Origin::new("one"), Origin::new("other"));
        assert_eq!(one.replaced_by(&one), one);
        assert_eq!(one.replaced_by(&other), Origin::LIBRARY);
        assert_eq!(Origin::LIBRARY.replaced_by(&other), Origin::LIBRARY);
    }
}
