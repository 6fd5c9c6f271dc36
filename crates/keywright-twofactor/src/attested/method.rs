//! The name and the strength of a method that the host checks.

use std::fmt;

/// The maximum number of attested methods that a policy may register.
pub const MAX_ATTESTED_METHODS: usize = 4;

/// The longest name of an attested method, in bytes.
const MAX_NAME_BYTES: usize = 32;

/// How much an attested method proves. The order is that of [`Ord`]: a rule with
/// [`strongest_of`](crate::Rule::strongest_of) accepts the strongest that is enrolled and no weaker
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Strength {
    /// The user can read messages that are sent to an address, for example an SMS. As strong as
    /// [`Method::Mailed`](crate::Method::Mailed).
    OutOfBand,
    /// The user has a device, and a page that imitates the server could obtain what it shows. As
    /// strong as [`Method::Totp`](crate::Method::Totp).
    SecondFactor,
    /// The user has a device whose answer is valid for this server alone, such as a passkey or a
    /// security key. Stronger than every method that this crate checks itself.
    PhishingResistant,
}

/// A method of the host's own: a name and a strength. It is registered in the policy with
/// [`StepUpPolicyBuilder::attested`](crate::StepUpPolicyBuilder::attested).
///
/// The host checks the method itself. Keywright keeps what is enrolled, issues the challenges, and
/// ensures that each checked answer grants once.
///
/// ```
/// use keywright_twofactor::{AttestedMethod, Method, Rule, StepUpPolicy, StepUpPolicyError, Strength};
///
/// const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
///
/// // Whoever has a passkey must use it, or a recovery code; others use their app or the password.
/// let policy = StepUpPolicy::builder().attested(PASSKEY).build()?;
/// # let _ = (policy, Rule::strongest_of(&[Method::Attested(PASSKEY)]));
/// # Ok::<(), StepUpPolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttestedMethod {
    name: &'static str,
    strength: Strength,
}

impl AttestedMethod {
    /// Creates a method. The name is kept with each enrolment, so it must not change.
    ///
    /// # Panics
    /// Panics if `name` is not 1 to 32 characters of `a-z`, `0-9` and `-`, or is the name of a
    /// method of this crate (`totp`, `recovery`, `password` or `mailed`). In a constant, that is a
    /// compile-time error.
    #[must_use]
    pub const fn new(name: &'static str, strength: Strength) -> Self {
        assert!(is_name(name), "the name of an attested method is 1 to 32 characters of a-z, 0-9 and -, and its own");
        Self { name, strength }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the strength.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }
}

impl fmt::Display for AttestedMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Whether a text is a name that an attested method may have.
pub(crate) const fn is_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.is_empty() || rest.len() > MAX_NAME_BYTES {
        return false;
    }
    if matches!(rest, b"totp" | b"recovery" | b"password" | b"mailed") {
        return false;
    }
    while let [first, others @ ..] = rest {
        if !matches!(first, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        rest = others;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_its_own() {
        for name in ["passkey", "u2f", "hardware-token", &"a".repeat(32)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Passkey", "pass key", "totp", "recovery", "password", "mailed", "\u{e9}", &"a".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(Strength::PhishingResistant > Strength::SecondFactor && Strength::SecondFactor > Strength::OutOfBand);
    }
}
