//! The methods of a second factor, and which of them an act requires.

/// The methods that can be required, by the protocol's names and in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// A time-based code or a recovery code.
    Totp,
    /// A mailed code.
    Email,
    /// The digest of the login password, used only where nothing else is enrolled.
    Password,
}

impl Factor {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Email => "email",
            Self::Password => "password",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Totp, Self::Email, Self::Password].into_iter().find(|factor| factor.name() == name)
    }
}

/// What an act requires. A change of factors requires what is **enrolled**: switching a method off
/// in the policy, or losing the last verified address, must not open the factors to a client that
/// only holds a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// For acts that leave the factors unchanged: what is enrolled and offered by the policy, else
    /// the login password. Nothing is required while two-factor is off.
    Offered,
    /// For acts that take factors away: what is enrolled, whatever the policy offers, else the
    /// login password. Nothing is required while two-factor is off.
    Enrolled,
    /// For acts that add a factor: what is enrolled, whatever the policy offers, else the login
    /// password, whether two-factor and the password fallback are on or off. A thief of a login
    /// token must not be able to put an authenticator on the account (`docs/security.md` § 8).
    ToAdd,
}
