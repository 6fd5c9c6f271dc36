//! The outcomes of the steps.

use keywright_core::{Charge, Refusal};
use keywright_store::{Receipt, Release, WrongReceipt};

use crate::code::Wait;

/// The outcome of checking a code. In a step `C` is [`Tentative`](keywright_store::Tentative); the
/// driver releases it after the commit.
#[derive(Debug)]
#[must_use = "a confirmation may have been denied"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum Confirmation<C> {
    /// The code is correct and has been spent. This is the proof.
    Granted(C),
    /// The code is wrong, for another action, expired, spent or void, or none was requested. The
    /// client must get one answer for all of these.
    Denied(Denial),
    /// The code was not checked, because mailed codes have a wait or a limit now.
    Refused(Refusal),
}

impl<C> Confirmation<C> {
    /// Maps the proof of a grant with a function and leaves every other outcome unchanged.
    pub fn map<D>(self, grant: impl FnOnce(C) -> D) -> Confirmation<D> {
        match self {
            Self::Granted(proof) => Confirmation::Granted(grant(proof)),
            Self::Denied(denial) => Confirmation::Denied(denial),
            Self::Refused(refusal) => Confirmation::Refused(refusal),
        }
    }
}

impl<C: Release> Release for Confirmation<C> {
    type Released = Confirmation<C::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(proof) => Confirmation::Granted(proof.release(receipt)?),
            Self::Denied(denial) => Confirmation::Denied(denial),
            Self::Refused(refusal) => Confirmation::Refused(refusal),
        })
    }
}

/// A denial that does not reveal its reason, which is in the security log only.
#[derive(Debug)]
pub struct Denial {
    pub(crate) charge: Option<Charge>,
    pub(crate) last: bool,
}

impl Denial {
    /// The denial for which nothing was counted.
    pub(crate) const FREE: Self = Self { charge: None, last: false };

    /// Returns what the guess ledger counted. This is `Some` only for a wrong mailed code.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    /// Whether this was the last attempt, so that the code is no longer valid and the user must
    /// start over. It is false for later attempts.
    #[must_use]
    pub const fn was_last_try(&self) -> bool {
        self.last
    }
}

/// The outcome of an attempt to confirm after a wait. In a step `C` and `W` are
/// [`Tentative`](keywright_store::Tentative).
#[derive(Debug)]
#[must_use = "the wait may not be over"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum WaitOutcome<C, W = Wait> {
    /// The wait was over, and had not been over for too long. This is the proof.
    Granted(C),
    /// A new wait has begun now, because no wait was pending, the attempt came too early or too
    /// late, or the pending wait was void.
    Begun(W),
}

impl<C, W> WaitOutcome<C, W> {
    /// Maps the proof of a grant with a function and leaves every other outcome unchanged.
    pub fn map<D>(self, grant: impl FnOnce(C) -> D) -> WaitOutcome<D, W> {
        match self {
            Self::Granted(proof) => WaitOutcome::Granted(grant(proof)),
            Self::Begun(wait) => WaitOutcome::Begun(wait),
        }
    }
}

impl<C: Release, W: Release> Release for WaitOutcome<C, W> {
    type Released = WaitOutcome<C::Released, W::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(proof) => WaitOutcome::Granted(proof.release(receipt)?),
            Self::Begun(wait) => WaitOutcome::Begun(wait.release(receipt)?),
        })
    }
}

/// The outcome of beginning a confirmation by a mailed code. In a step `C` is
/// [`Tentative`](keywright_store::Tentative): the mail is sent after the commit.
#[derive(Debug)]
#[must_use = "a mail may have to be sent"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum SendOutcome<C> {
    /// Mail this code. All earlier codes for this action in this session are void, but wrong
    /// attempts at them still count.
    Send(C),
    /// The last mail was sent too recently; the code in it stays valid.
    NotYet {
        /// The number of whole seconds, at least 1, after which to request again.
        retry_after: u64,
    },
    /// All mails or all attempts of this confirmation, or all mails of the account's day, are used
    /// up. A code that was sent and has attempts left stays valid.
    Exhausted {
        /// The number of whole seconds, at least 1, after which a mail would be sent again.
        retry_after: u64,
    },
}

impl<C: Release> Release for SendOutcome<C> {
    type Released = SendOutcome<C::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Send(code) => SendOutcome::Send(code.release(receipt)?),
            Self::NotYet { retry_after } => SendOutcome::NotYet { retry_after },
            Self::Exhausted { retry_after } => SendOutcome::Exhausted { retry_after },
        })
    }
}
