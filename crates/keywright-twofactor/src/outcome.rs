//! What a proof of a second factor leads to.

use alloc::string::String;

use keywright_core::{AccountId, Charge, Refusal};

/// How a second factor was judged. In a step `P` is tentative; only the commit's receipt makes a proof of it.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Verdict<P> {
    /// Right, and spent now.
    Granted(P),
    /// No. Wrong, used, expired: outside all of these are one answer; the security log tells them apart.
    Denied(Denial),
    /// Not looked at: a wait or a lock.
    Refused(Refusal),
    /// No code of this kind by its form: not looked at, not charged.
    Malformed,
    /// The account has no factor of this kind.
    NotEnrolled,
}

impl<P> Verdict<P> {
    /// The verdict with its grant turned into something else.
    pub fn map<Q>(self, grant: impl FnOnce(P) -> Q) -> Verdict<Q> {
        match self {
            Self::Granted(proof) => Verdict::Granted(grant(proof)),
            Self::Denied(denial) => Verdict::Denied(denial),
            Self::Refused(refusal) => Verdict::Refused(refusal),
            Self::Malformed => Verdict::Malformed,
            Self::NotEnrolled => Verdict::NotEnrolled,
        }
    }
}

/// A denial, without its reason.
#[derive(Debug)]
pub struct Denial {
    pub(crate) charge: Option<Charge>,
}

impl Denial {
    /// What the guess ledger counted; `None` for a replay, which is denied and not charged.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }
}

/// That an account has just proven a second factor. No public constructor, not `Clone`: one grant, one proof.
#[derive(Debug)]
#[must_use]
pub struct Proven {
    pub(crate) account: AccountId,
    pub(crate) method: Method,
    pub(crate) purpose: String,
    /// Steps that the code was off; for TOTP.
    pub(crate) drift: Option<i8>,
}

/// A second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Method {
    /// A time-based code of an enrolled device.
    Totp,
    /// A recovery code.
    Recovery,
    /// The login password, once more; proven by the host. Only where nothing stronger is enrolled.
    Password,
    /// A mailed code: confirmation, never called a factor (NIST SP 800-63B-4 § 3.1.3.1).
    Mailed,
}

impl Proven {
    pub(crate) const fn new(account: AccountId, method: Method, purpose: String) -> Self {
        Self { account, method, purpose, drift: None }
    }

    /// Who.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// By what.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// For what, as the caller named it.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// Steps that the device's clock was off: negative behind, positive ahead of the server's. `None` for what is no
    /// time-based code. It is told, never learned: a window that follows a device would follow an attacker's guesses too.
    #[must_use]
    pub const fn drift(&self) -> Option<i8> {
        self.drift
    }
}
