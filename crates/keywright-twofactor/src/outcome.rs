//! The outcomes that the steps and the service return. In a step, a grant is tentative; the driver
//! releases it after the commit.

use keywright_core::{AccountId, Charge, Purpose, Refusal};
use keywright_store::{Epochs, Receipt, Release, WrongReceipt, released_as_is};

use crate::attested::method::AttestedMethod;
use crate::recovery::set::RecoveryCodes;
use crate::totp::device::DeviceId;

/// The outcome of checking a second factor.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a verdict: no caller should need a wildcard arm that grants")]
pub enum VerifyOutcome<P> {
    /// The code is correct and has now been spent.
    Granted(P),
    /// The code is wrong, used or expired. The client must get one answer for all of these; the
    /// security log distinguishes them.
    Denied(Denial),
    /// The code was not checked, because guesses are paused or locked.
    Refused(Refusal),
    /// The text is malformed; it was neither checked nor charged.
    Malformed,
    /// The account has no factor of this kind. It may have others, so this lets nobody in: whether the
    /// password is enough is decided before, by
    /// [`Enrolled::requires_second_factor`](crate::Enrolled::requires_second_factor).
    NotEnrolled,
}

impl<P> VerifyOutcome<P> {
    /// Maps the proof of a grant with a function and leaves every other outcome unchanged.
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

/// A denial that does not reveal its reason.
#[derive(Debug)]
pub struct Denial {
    pub(crate) charge: Option<Charge>,
}

impl Denial {
    /// Returns what the guess ledger counted, or `None` for a replay, which is denied but not
    /// charged.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }
}

/// The proof that somebody has just entered a correct second factor of an account. It has no public
/// constructor and is not `Clone`, so one grant yields one proof.
#[derive(Debug)]
#[must_use = "start the session of the account in the proof, and of no other"]
pub struct Proven {
    pub(crate) account: AccountId,
    pub(crate) method: Method,
    pub(crate) purpose: Purpose,
    /// The number of steps by which a time-based code was off.
    pub(crate) drift: Option<i8>,
    /// Whether the device's secret is shorter than the policy requires.
    pub(crate) below_policy: bool,
    /// The epochs in which the factor was shown.
    pub(crate) epochs: Epochs,
}

/// A second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// A time-based code of an enrolled device.
    Totp,
    /// A recovery code.
    Recovery,
    /// The login password, checked once more by the host. It is acceptable only where nothing
    /// stronger is enrolled.
    Password,
    /// A mailed code. It shows that the user can read the mailbox, and never counts as a second
    /// factor (NIST SP 800-63B-4 § 3.1.3.1).
    Mailed,
    /// A method that the host checks itself, such as a passkey.
    Attested(AttestedMethod),
}

impl Method {
    /// Returns the method's name: `totp`, `recovery`, `password`, `mailed`, or that of an attested
    /// method. It is for messages between a server and its own client.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Password => "password",
            Self::Mailed => "mailed",
            Self::Attested(method) => method.name(),
        }
    }
}

impl Proven {
    pub(crate) const fn new(account: AccountId, method: Method, purpose: Purpose, epochs: Epochs) -> Self {
        Self { account, method, purpose, drift: None, below_policy: false, epochs }
    }

    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the factor that was shown.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Returns the purpose for which the code was accepted, as the caller stated it.
    #[must_use]
    pub const fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Returns by how many steps the device's clock was off: negative if it is behind the server's,
    /// positive if it is ahead. Returns `None` for anything but a time-based code. The drift is
    /// reported, never learned: a window that follows a device would also follow an attacker's
    /// guesses.
    #[must_use]
    pub const fn drift(&self) -> Option<i8> {
        self.drift
    }

    /// Whether the owner should enrol the device again: the code is of a device that was imported
    /// with a secret shorter than the policy requires.
    #[must_use]
    pub const fn advises_renewal(&self) -> bool {
        self.below_policy
    }
}

/// The outcome of renaming a device or an attested factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum RenameOutcome {
    /// It has the new name.
    Renamed,
    /// The account has no such device or factor.
    UnknownDevice,
    /// The name is not valid. It must have 1 to 64 characters, none of them a control character.
    BadName,
}

keywright_store::released_as_is!(RenameOutcome);

/// The outcome of beginning the enrolment of a device.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolmentStart<P> {
    /// The enrolment has begun. Show this value to the owner; a code from the device makes it
    /// active. Any enrolment that was pending is void.
    Begun(P),
    /// The account has as many devices as the policy allows. Remove or replace one first.
    TooManyDevices,
    /// The device to be replaced does not exist.
    UnknownDevice,
    /// The name is not valid. It must have 1 to 64 characters, none of them a control character.
    BadName,
}

impl<P> EnrolmentStart<P> {
    /// Maps the pending device with a function and leaves every other outcome unchanged.
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

/// The outcome of checking an enrolment code. It is never charged, because the person who enrols
/// has seen the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolmentOutcome {
    /// The device is active, the one that it replaces is removed, and the step of this code is
    /// spent. Its next code is accepted.
    Active(DeviceId),
    /// The code is wrong. The enrolment stays pending.
    Wrong,
    /// The code is correct for another time: the device's clock is off by this much, and its codes
    /// would be refused at every log-in. The enrolment stays pending.
    ClockOff(ClockOffset),
    /// No enrolment is pending. It was never begun, was begun in another session, has expired, or
    /// is void because a credential or factor changed.
    NonePending,
    /// The text is malformed.
    Malformed,
    /// Other devices were added in the meantime, and the account has no room for one more.
    TooManyDevices,
}

/// The outcome of confirming the enrolment of a device with [`confirm`](crate::TwoFactor::confirm).
/// A wrong code is never charged, because the person who enrols has seen the secret.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Enrolment {
    /// The device is active, the one that it replaces is removed, and the step of this code is
    /// spent. Its next code is accepted.
    Active {
        /// The new device.
        device: DeviceId,
        /// Recovery codes, if the account had none that is unused. They are active. Show them to the
        /// owner now: they cannot be read again.
        recovery_codes: Option<RecoveryCodes>,
    },
    /// The code is wrong. The enrolment stays pending, until the
    /// [last of a few](crate::ENROLMENT_TRIES) wrong codes.
    Wrong,
    /// The code is correct for another time: the device's clock is off by this much, and its codes
    /// would be refused at every log-in. The enrolment stays pending.
    ClockOff(ClockOffset),
    /// No enrolment is pending. It was never begun, was begun in another session, has expired, or
    /// is void because a credential or factor changed.
    NonePending,
    /// The text is not a code.
    Malformed,
    /// Other devices were added in the meantime, and the account has no room for one more.
    TooManyDevices,
}

/// The outcome of enrolling a device whose secret the client supplies. It is never charged, because
/// the client has the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EnrolOutcome {
    /// The device is active and is the account's only one; the step of this code is spent. Its next
    /// code is accepted.
    Active(DeviceId),
    /// The secret does not produce the code now. Nothing changed.
    Wrong,
    /// The secret produces the code at another time: the device's clock is off by this much.
    /// Nothing changed.
    ClockOff(ClockOffset),
    /// A code of this time step was already used with the same secret, because the account had a
    /// device with this secret before. Wait for the next code or draw another secret. Nothing
    /// changed.
    Spent,
    /// The text is malformed. Nothing changed.
    Malformed,
    /// The policy does not accept the device. Nothing changed.
    NotTaken(DeviceFault),
}

/// The outcome of importing a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum DeviceImport {
    /// The device is active.
    Imported(DeviceId),
    /// The device is not accepted. Nothing changed.
    NotTaken(DeviceFault),
}

/// Why a device is not accepted that was imported or whose secret the client supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFault {
    /// The name is empty, too long, or contains a control character.
    #[error("a device's name must be 1 to 64 characters without control characters")]
    Name,
    /// The secret has fewer bits than the policy's `min_secret_bits`.
    #[error("the secret is shorter than `min_secret_bits`")]
    ShortSecret,
    /// A year of guessing would find a code with so few digits with a probability above 1 %.
    #[error("codes with so few `digits` are too easy to guess under the ledger policy")]
    Guessable,
    /// The account already has as many devices as the policy's `devices` allows.
    #[error("the account already has as many `devices` as the policy allows")]
    TooManyDevices,
    /// An active device has the same secret with other parameters. A six-digit code consists of the
    /// last digits of the eight-digit code of the same step, so anyone who saw a spent code of one
    /// device would know an unspent code of the other.
    #[error("an active device has the same secret with other parameters")]
    OtherParameters,
}

/// The amount by which a device's clock is off, in whole steps of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    pub(crate) seconds: i64,
}

impl ClockOffset {
    /// Returns by how many seconds the device's clock is off: positive if it is ahead of the
    /// server's, negative if it is behind. The value is accurate to one step of the device, 30
    /// seconds by default. A code that was typed late looks like a clock that is behind.
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
