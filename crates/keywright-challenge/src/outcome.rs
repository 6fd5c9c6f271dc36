//! The outcomes of the steps.

use keywright_core::{Charge, Refusal};
use keywright_store::{Receipt, Release, WrongReceipt};

use crate::state::UserKey;

/// The outcome of checking a proof. In a step `K` is [`Tentative`](keywright_store::Tentative); the
/// driver releases it after the commit.
#[derive(Debug)]
#[must_use = "a proof may have been denied"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum Verification<K = UserKey> {
    /// The proof is correct. This is the user key.
    Granted(K),
    /// The proof is wrong and was charged.
    Denied(Charge),
    /// The proof was not checked, because of a wait or a limit.
    Refused(Refusal),
    /// The account has no challenge.
    NoChallenge,
}

impl<K> Verification<K> {
    /// Maps the key of a grant with a function and leaves every other outcome unchanged.
    pub fn map<L>(self, grant: impl FnOnce(K) -> L) -> Verification<L> {
        match self {
            Self::Granted(key) => Verification::Granted(grant(key)),
            Self::Denied(charge) => Verification::Denied(charge),
            Self::Refused(refusal) => Verification::Refused(refusal),
            Self::NoChallenge => Verification::NoChallenge,
        }
    }
}

impl<K: Release> Release for Verification<K> {
    type Released = Verification<K::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(key) => Verification::Granted(key.release(receipt)?),
            Self::Denied(charge) => Verification::Denied(charge),
            Self::Refused(refusal) => Verification::Refused(refusal),
            Self::NoChallenge => Verification::NoChallenge,
        })
    }
}

/// The outcome of setting a first challenge. In a step `K` is
/// [`Tentative`](keywright_store::Tentative).
#[derive(Debug)]
#[must_use = "the challenge may not have been set"]
#[expect(clippy::exhaustive_enums, reason = "a verdict: a new one must be handled everywhere")]
pub enum SetOutcome<K = UserKey> {
    /// The challenge is set. This is the new user key.
    Set(K),
    /// The account already has a challenge, which can be replaced only with its old secret.
    Exists,
}

impl<K> SetOutcome<K> {
    /// Maps the new key with a function and leaves the other outcome unchanged.
    pub fn map<L>(self, grant: impl FnOnce(K) -> L) -> SetOutcome<L> {
        match self {
            Self::Set(key) => SetOutcome::Set(grant(key)),
            Self::Exists => SetOutcome::Exists,
        }
    }
}

impl<K: Release> Release for SetOutcome<K> {
    type Released = SetOutcome<K::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Set(key) => SetOutcome::Set(key.release(receipt)?),
            Self::Exists => SetOutcome::Exists,
        })
    }
}

/// The user keys before and after a replacement.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keys {
    /// The previous user key, which opens the data to be carried over.
    pub old: UserKey,
    /// The new user key.
    pub new: UserKey,
}
