//! What the steps and the service return. In a step, a grant is tentative; the driver releases it after the commit.

use keywright_core::{AccountId, Charge, Purpose, Refusal};
use keywright_store::{Receipt, Release, WrongReceipt, released_as_is};

use crate::totp::device::DeviceId;

/// How a second factor was judged.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a verdict: no caller should need a wildcard arm that grants")]
pub enum VerifyOutcome<P> {
    /// Right, and spent now.
    Granted(P),
    /// Wrong, used or expired: outside all of these are one answer; the security log distinguishes them.
    Denied(Denial),
    /// Not looked at: guesses are paused, or shut.
    Refused(Refusal),
    /// Malformed: not looked at, not charged.
    Malformed,
    /// The account has no factor of this kind.
    NotEnrolled,
}

impl<P> VerifyOutcome<P> {
    /// Returns the verdict with its grant turned into something else.
    pub fn map<Q>(self, grant: impl FnOnce(P) -> Q) -> VerifyOutcome<Q> {
        match self {
            Self::Granted(proof) => VerifyOutcome::Granted(grant(proof)),
            Self::Denied(denial) => VerifyOutcome::Denied(denial),
            Self::Refused(refusal) => VerifyOutcome::Refused(refusal),
            Self::Malformed => VerifyOutcome::Malformed,
            Self::NotEnrolled => VerifyOutcome::NotEnrolled,
        }
    }
}

impl<P: Release> Release for VerifyOutcome<P> {
    type Released = VerifyOutcome<P::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(proof) => VerifyOutcome::Granted(proof.release(receipt)?),
            Self::Denied(denial) => VerifyOutcome::Denied(denial),
            Self::Refused(refusal) => VerifyOutcome::Refused(refusal),
            Self::Malformed => VerifyOutcome::Malformed,
            Self::NotEnrolled => VerifyOutcome::NotEnrolled,
        })
    }
}

/// A denial, without its reason.
#[derive(Debug)]
pub struct Denial {
    pub(crate) charge: Option<Charge>,
}

impl Denial {
    /// Returns what the guess ledger counted; `None` for a replay, which is denied and not charged.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }
}

/// Proof that an account has just shown a second factor. No public constructor, not `Clone`: one grant, one proof.
#[derive(Debug)]
#[must_use]
pub struct Proven {
    pub(crate) account: AccountId,
    pub(crate) method: Method,
    pub(crate) purpose: Purpose,
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
    /// The login password, once more; checked by the host. Only where nothing stronger is enrolled.
    Password,
    /// A mailed code: a confirmation, never called a factor (NIST SP 800-63B-4 § 3.1.3.1).
    Mailed,
}

impl Proven {
    pub(crate) const fn new(account: AccountId, method: Method, purpose: Purpose) -> Self {
        Self { account, method, purpose, drift: None }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The factor that was shown.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// What the proof is for, as the caller named it.
    #[must_use]
    pub const fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Returns by how many steps the device's clock was off: negative behind, positive ahead of the server's. `None` for
    /// what is no time-based code. It is reported, never learned: a window that follows a device would follow an
    /// attacker's guesses too.
    #[must_use]
    pub const fn drift(&self) -> Option<i8> {
        self.drift
    }
}

/// How the enrolment of a device began.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolmentStart<P> {
    /// Show this to the owner; a code of it makes the device active. An enrolment that was pending is void.
    Begun(P),
    /// The account has as many devices as the policy allows: remove or replace one.
    TooManyDevices,
    /// There is no such device to be replaced.
    UnknownDevice,
    /// A name has 1 to 64 characters, none of them a control character.
    BadName,
}

impl<P> EnrolmentStart<P> {
    /// Returns the outcome with what was begun turned into something else.
    pub fn map<Q>(self, begun: impl FnOnce(P) -> Q) -> EnrolmentStart<Q> {
        match self {
            Self::Begun(pending) => EnrolmentStart::Begun(begun(pending)),
            Self::TooManyDevices => EnrolmentStart::TooManyDevices,
            Self::UnknownDevice => EnrolmentStart::UnknownDevice,
            Self::BadName => EnrolmentStart::BadName,
        }
    }
}

impl<P: Release> Release for EnrolmentStart<P> {
    type Released = EnrolmentStart<P::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Begun(pending) => EnrolmentStart::Begun(pending.release(receipt)?),
            Self::TooManyDevices => EnrolmentStart::TooManyDevices,
            Self::UnknownDevice => EnrolmentStart::UnknownDevice,
            Self::BadName => EnrolmentStart::BadName,
        })
    }
}

/// How an enrolling code was judged. Never charged: whoever enrols was shown the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolmentOutcome {
    /// The device is active, the one it replaces is gone, and the step of this code is spent. Its next code is accepted.
    Active(DeviceId),
    /// The code is wrong. The enrolment stays pending.
    Wrong,
    /// The code is right, but for another time: the device's clock is off by this much, and its codes would be refused
    /// at every log-in. The enrolment stays pending.
    ClockOff(ClockOffset),
    /// No enrolment is pending: never begun, begun in another session, expired, or void since a credential or factor
    /// changed.
    NonePending,
    /// The text is malformed.
    Malformed,
    /// Devices came in another way meanwhile, and there is no room.
    TooManyDevices,
}

/// How a device of a secret that the client brings was enrolled. Never charged: the client has the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolOutcome {
    /// The device is active and the only one; the step of this code is spent. Its next code is accepted.
    Active(DeviceId),
    /// The secret does not show the code now. Nothing changed.
    Wrong,
    /// The secret shows the code at another time: the device's clock is off by this much. Nothing changed.
    ClockOff(ClockOffset),
    /// The code was used already, with this very secret: the account had a device of it before. Wait for the next code
    /// or draw another secret. Nothing changed.
    Spent,
    /// The text is malformed. Nothing changed.
    Malformed,
    /// The policy does not take the device. Nothing changed.
    NotTaken(DeviceFault),
}

/// Whether a device from elsewhere was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum DeviceImport {
    /// The device is active.
    Imported(DeviceId),
    /// It is not taken. Nothing changed.
    NotTaken(DeviceFault),
}

/// Why a device from elsewhere is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFault {
    /// The name is empty, too long, or has a control character.
    #[error("a device's name has 1 to 64 characters, none of them a control character")]
    Name,
    /// The secret has fewer bits than the policy's `min_secret_bits`.
    #[error("the secret is shorter than `min_secret_bits`")]
    ShortSecret,
    /// A year of guessing would find a code of so few digits with more than 1 %.
    #[error("codes with so few `digits` are not guarded by the guess ledger's policy")]
    Guessable,
    /// The account has as many devices as the policy's `devices`.
    #[error("the account has as many `devices` as the policy allows")]
    TooManyDevices,
    /// An active device has the same secret with other parameters. Six digits of a code are the end of its eight, so
    /// whoever saw a spent code of the one would know an unspent code of the other.
    #[error("an active device has the same secret with other parameters")]
    OtherParameters,
}

/// By how much a device's clock is off, in whole steps of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    pub(crate) seconds: i64,
}

impl ClockOffset {
    /// Returns by how many seconds the device's clock is off: positive ahead of the server's, negative behind. Accurate to
    /// a step of the device, 30 seconds by default. A code that was typed late looks like a clock that is behind.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }
}

impl std::fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "this device's clock is {} seconds ", self.seconds.unsigned_abs())?;
        f.write_str(if self.seconds < 0 { "behind" } else { "ahead" })
    }
}

released_as_is!(EnrolmentOutcome, EnrolOutcome, DeviceImport);
