//! Leave to change what proves an account, and whether it holds at the moment of the change.

use alloc::vec::Vec;

use keywright_core::AccountId;
use keywright_store::{Draft, StepError};

use crate::outcome::Method;
use crate::recovery;
use crate::state::Factors;
use crate::step_up::StepUp;

/// The action that a [`StepUp`] must be for to change factors. Give it a rule of its own in
/// [`StepUpPolicy`](crate::StepUpPolicy) if the default one remembers for too long.
pub const CHANGE_FACTORS: &str = "factors.change";

/// Leave to change what proves an account: taken by value by what adds a factor.
#[derive(Debug)]
#[must_use = "a leave that nobody takes allows nothing"]
#[non_exhaustive]
pub enum Leave {
    /// The account has no factor yet: the login alone enrols the first. Refused if there is one by the time of the commit.
    #[non_exhaustive]
    FirstFactor {
        /// Whose first factor.
        account: AccountId,
        /// The opaque identity of 1 to [`MAX_SESSION`](crate::MAX_SESSION) bytes that the wire knows the caller by.
        session: Vec<u8>,
    },
    /// A fresh proof for [`CHANGE_FACTORS`].
    StepUp(StepUp),
}

impl Leave {
    /// For the first factor of an account.
    pub fn first_factor(account: AccountId, session: &[u8]) -> Self {
        Self::FirstFactor { account, session: session.to_vec() }
    }

    /// Whose factors.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        match self {
            Self::FirstFactor { account, .. } => account,
            Self::StepUp(proof) => proof.account(),
        }
    }

    /// In which session.
    #[must_use]
    pub fn session(&self) -> &[u8] {
        match self {
            Self::FirstFactor { session, .. } => session,
            Self::StepUp(proof) => proof.session(),
        }
    }

    /// Whether it holds now. A proof does for its own action, as long as no epoch has moved since, and if nothing
    /// stronger is enrolled than what it was proven by: a rule may open other actions with less, never this one. For steps
    /// that compose; [`TwoFactor`](crate::TwoFactor) asks by itself.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn holds_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        let factors = Factors::read(draft)?;
        let codes = recovery::remaining(draft)?.is_some_and(|remaining| remaining > 0);
        let strong = codes || !factors.devices.is_empty();
        Ok(match self {
            Self::FirstFactor { .. } => !strong && !factors.email,
            Self::StepUp(proof) => {
                let enough = match proof.method() {
                    Method::Totp | Method::Recovery => true,
                    Method::Mailed => !strong,
                    Method::Password => !strong && !factors.email,
                };
                enough && proof.action() == CHANGE_FACTORS && proof.epochs() == draft.root()?.epochs()
            }
        })
    }
}

impl From<StepUp> for Leave {
    fn from(proof: StepUp) -> Self {
        Self::StepUp(proof)
    }
}
