//! What a step answers.

use keywright_core::{Charge, Refusal};
use keywright_store::{Receipt, Release, WrongReceipt};

use crate::code::Wait;

/// How a code was judged. In a step `C` is [`Tentative`](keywright_store::Tentative); the driver releases it after the
/// commit.
#[derive(Debug)]
#[must_use = "a confirmation may have been denied"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum Confirmation<C> {
    /// The code is right and spent; here is the proof.
    Granted(C),
    /// The code is wrong, or of another action, expired, spent, void, or none was asked for: outside, all of these are one
    /// answer.
    Denied(Denial),
    /// The code was not looked at, because mailed codes have a wait or a limit now.
    Refused(Refusal),
}

impl<C> Confirmation<C> {
    /// Returns the outcome with its grant turned into something else.
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

/// A denial, without its reason: that is in the security log only.
#[derive(Debug)]
pub struct Denial {
    pub(crate) charge: Option<Charge>,
    pub(crate) last: bool,
}

impl Denial {
    /// Nothing was counted.
    pub(crate) const FREE: Self = Self { charge: None, last: false };

    /// Returns what the guess ledger counted, which is only ever a wrong mailed code.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    /// Whether this was the last try and the code is dead now, so that the user must start over. It is false for later
    /// tries.
    #[must_use]
    pub const fn was_last_try(&self) -> bool {
        self.last
    }
}

/// What a wait led to. In a step `C` and `W` are [`Tentative`](keywright_store::Tentative).
#[derive(Debug)]
#[must_use = "the wait may not be over"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum WaitOutcome<C, W = Wait> {
    /// The wait was over and not too long ago; here is the proof.
    Granted(C),
    /// No wait was pending, or it was too early, too late or void: a new wait has begun now.
    Begun(W),
}

impl<C, W> WaitOutcome<C, W> {
    /// Returns the outcome with its grant turned into something else.
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

/// Whether a code is to be mailed. In a step `C` is [`Tentative`](keywright_store::Tentative): the mail goes out after the
/// commit.
#[derive(Debug)]
#[must_use = "a mail may have to be sent"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum SendOutcome<C> {
    /// Mail this code. All earlier ones of this (action, session) are void, and their tries are not given back.
    Send(C),
    /// The last mail is too fresh; the code in it stays valid.
    NotYet {
        /// The whole seconds, at least 1, after which to ask again.
        retry_after: u64,
    },
    /// All mails or all tries of this confirmation, or all mails of the account's day, are used up. A code that was sent
    /// and has tries left stays valid.
    Exhausted {
        /// The whole seconds, at least 1, after which a mail would go out again.
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
