//! The methods of a second factor, and which of them an act asks for.

/// What is asked for, by the wire's names and in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// A time-based code or a recovery code.
    Totp,
    /// A mailed code.
    Email,
    /// The digest of the login password; only where nothing else is enrolled.
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

/// What an act asks for. What changes factors goes by what is **enrolled**: switching a method off in the policy, or losing
/// the last verified address, must not open the factors to whoever holds a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// For acts that leave the factors as they are: what is enrolled and offered by the policy, else the login password;
    /// nothing while two-factor is off.
    Offered,
    /// For acts that take factors away: what is enrolled, whatever the policy offers. Else the login password; nothing
    /// while two-factor is off.
    Enrolled,
    /// For acts that add one: what is enrolled, whatever the policy offers. Else the login password, two-factor and the
    /// password fallback on or off: whoever steals a login token must not put an authenticator of their own on the
    /// account (`docs/security.md` § 8).
    ToAdd,
}
