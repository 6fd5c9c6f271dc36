//! What a step answers.

use keywright_core::{Charge, Refusal};

use crate::Wait;

/// How a code was judged. In a step `C` is tentative; only the commit's receipt makes a proof of it.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Confirmation<C> {
    /// The code is right and spent; here is the proof.
    Granted(C),
    /// No. Wrong code, another action, expired, spent, void, never asked for: outside all of these are one answer.
    Denied(Denial),
    /// The code was not looked at: a wait or a lock of the door of mailed codes.
    Refused(Refusal),
}

impl<C> Confirmation<C> {
    /// The outcome with its grant turned into something else.
    pub fn map<D>(self, grant: impl FnOnce(C) -> D) -> Confirmation<D> {
        match self {
            Self::Granted(proof) => Confirmation::Granted(grant(proof)),
            Self::Denied(denial) => Confirmation::Denied(denial),
            Self::Refused(refusal) => Confirmation::Refused(refusal),
        }
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

    /// What the guess ledger counted: only for a wrong mailed code.
    #[must_use]
    pub const fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    /// True if this was the last try and the code is dead now: the user must start over. Later tries say false.
    #[must_use]
    pub const fn was_last_try(&self) -> bool {
        self.last
    }
}

/// What a wait led to. In a step `C` and `W` are tentative.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Waiting<C, W = Wait> {
    /// The wait was over and not too long ago; here is the proof.
    Granted(C),
    /// None was pending, or it was too early, too late or void: a new wait, from now on.
    Begun(W),
}

/// Whether a code is to be mailed. In a step `C` is tentative: the mail goes out after the commit.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Sending<C> {
    /// Mail this code. All earlier ones of this (action, session) are void, their tries are not given back.
    Send(C),
    /// The last mail is too fresh; the code in it stays valid. Ask again after so many whole seconds, at least 1.
    NotYet {
        /// Seconds.
        retry_after: u64,
    },
    /// All mails or all tries of this confirmation, or all mails of the account's day, are used up. A code that was sent
    /// and has tries left stays valid.
    Exhausted {
        /// Seconds until a mail would go out again, at least 1.
        retry_after: u64,
    },
}
