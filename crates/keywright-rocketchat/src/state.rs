//! What is stored: challenges and proofs that can be used again, in the account's partition, and
//! login codes, each in a partition of its own.

use keywright_core::{AccountId, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Epochs, Full, Record, Slot, SlotFamily, StepError};
use serde::{Deserialize, Serialize};

use crate::policy::{
    CHALLENGE_SECONDS, CHALLENGE_TRIES, CREDIT_SECONDS, LOGIN_CODE_SECONDS, MAX_CHALLENGES, MAX_CREDITS,
};

/// A log-in that waits for its second factor, under a digest of its id.
pub(crate) const CHALLENGES: SlotFamily<Challenge, Expiring> =
    SlotFamily::expiring("rocketchat-challenge", MAX_CHALLENGES, Full::EvictsFirstToExpire);
/// A proof whose act stopped before its change, under a digest of what it is bound to.
pub(crate) const CREDITS: SlotFamily<Credit, Expiring> =
    SlotFamily::expiring("rocketchat-credit", MAX_CREDITS, Full::EvictsFirstToExpire);
/// A login code, in the partition of its index value.
pub(crate) const LOGIN_CODE: Slot<LoginCode, Expiring> = Slot::expiring("rocketchat-login-code");

/// When something was made, and in which epochs. What was made in the future is void: the clock
/// went back, and its age is not known (`docs/security.md` § 8).
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Made {
    at: UnixSeconds,
    pub(crate) expires: UnixSeconds,
    epochs: Epochs,
}

impl Made {
    fn now(draft: &Draft<'_>, epochs: Epochs, seconds: u64) -> Self {
        let at = draft.now();
        Self { at, expires: at.plus(seconds), epochs }
    }

    /// Whether its time has not come to an end.
    fn is_fresh(&self, draft: &Draft<'_>) -> bool {
        let now = draft.now();
        draft.keyring().fence() <= self.at && self.at <= now && now < self.expires
    }

    /// Whether it counts in a draft of its account.
    pub(crate) fn is_live(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        Ok(self.is_fresh(draft) && draft.root()?.epochs() == self.epochs)
    }
}

/// A log-in that waits for its second factor.
#[derive(Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) made: Made,
    pub(crate) tries: u8,
    /// Whether a mailed code was asked for. Until then the strongest enrolled factor is required.
    pub(crate) by_email: bool,
}

impl Challenge {
    pub(crate) fn new(draft: &Draft<'_>) -> Result<Self, StepError> {
        let made = Made::now(draft, draft.root()?.epochs(), CHALLENGE_SECONDS);
        Ok(Self { made, tries: CHALLENGE_TRIES, by_email: false })
    }
}

impl Record for Challenge {
    const SCHEMA: u16 = 1;
}

/// A proof whose act stopped before its change (`docs/decisions.md` 28a).
#[derive(Serialize, Deserialize)]
pub(crate) struct Credit {
    pub(crate) made: Made,
    /// The keyed digest of the code that was the proof, together with what the proof is bound to.
    pub(crate) code: [u8; 32],
}

impl Credit {
    /// Returns a credit that ends with the one that it continues, if any.
    pub(crate) fn new(draft: &Draft<'_>, code: [u8; 32], until: Option<UnixSeconds>) -> Result<Self, StepError> {
        let mut made = Made::now(draft, draft.root()?.epochs(), CREDIT_SECONDS);
        made.expires = until.map_or(made.expires, |until| until.min(made.expires));
        Ok(Self { made, code })
    }
}

impl Record for Credit {
    const SCHEMA: u16 = 1;
}

/// A login code. Its partition's name is the keyed digest of the code, so there is nothing to
/// compare.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoginCode {
    pub(crate) account: AccountId,
    made: Made,
}

impl LoginCode {
    /// Returns the record of a code for an account in these epochs.
    pub(crate) fn new(draft: &Draft<'_>, account: AccountId, epochs: Epochs) -> Self {
        Self { account, made: Made::now(draft, epochs, LOGIN_CODE_SECONDS) }
    }

    /// Returns the epochs in which the code counts, if its time has not come to an end.
    pub(crate) fn epochs(&self, draft: &Draft<'_>) -> Option<Epochs> {
        self.made.is_fresh(draft).then_some(self.made.epochs)
    }

    pub(crate) const fn expires(&self) -> UnixSeconds {
        self.made.expires
    }
}

impl Record for LoginCode {
    const SCHEMA: u16 = 1;
}
