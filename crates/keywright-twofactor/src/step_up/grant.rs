//! The authorization of a change of factors, and the check that it is still valid when the change
//! is made.

use std::fmt;

use keywright_core::{AccountId, ActionName, SessionId};
use keywright_store::{Draft, StepError};

use super::proof::StepUp;
use crate::attested::state::AttestedFactors;
use crate::recovery;
use crate::state::Factors;

/// The action for which a [`StepUp`] is required to change factors. Whatever its rule says, only the
/// strongest method that is enrolled authorizes it, or a recovery code. If the default rule remembers a
/// proof for too long, define a rule for this action in the [`StepUpPolicy`](crate::StepUpPolicy).
pub const CHANGE_FACTORS: ActionName = ActionName::new("factors.change");

/// The authorization to change what authenticates an account. The functions that add a factor take
/// it by value.
#[must_use = "an authorization that nobody takes allows nothing"]
#[non_exhaustive]
pub enum FactorChange {
    /// The account has no factor yet. The change is refused if there is one at the time of the
    /// commit.
    #[non_exhaustive]
    FirstFactor {
        /// The account.
        account: AccountId,
        /// The session that makes the change.
        session: SessionId,
    },
    /// A fresh proof for [`CHANGE_FACTORS`].
    StepUp(StepUp),
}

impl FactorChange {
    /// Authorizes the first factor of an account.
    ///
    /// **The caller must have just checked the account's password**, or what its policy accepts in
    /// its place, in this request or a moment before. A login token alone must not suffice: a thief
    /// of the token could add an authenticator to the account and lock the owner out. Where the
    /// host's password check is a step-up ([`Attested::Password`](crate::Attested::Password)), pass
    /// that proof instead.
    pub const fn first_factor(account: AccountId, session: SessionId) -> Self {
        Self::FirstFactor { account, session }
    }

    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        match self {
            Self::FirstFactor { account, .. } => account,
            Self::StepUp(proof) => proof.account(),
        }
    }

    /// Returns the session that makes the change.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        match self {
            Self::FirstFactor { session, .. } => *session,
            Self::StepUp(proof) => proof.session(),
        }
    }

    /// Whether the authorization is valid now, in this draft of the same account. A step-up is
    /// valid only for its own action, and only if no epoch has moved since. It must also have been
    /// obtained with the strongest method that is enrolled, or with a recovery code: a rule may
    /// authorize other actions with a weaker method, but never this one. Call this when you compose steps;
    /// [`TwoFactor`](crate::TwoFactor) calls it itself.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn is_valid_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        if draft.partition().as_account().as_ref() != Some(self.account()) {
            return Ok(false);
        }
        match self {
            Self::FirstFactor { .. } => {
                let factors = Factors::read(draft)?;
                let codes = recovery::step::live(draft)?.is_some_and(|live| live.remaining() > 0);
                let attested = !AttestedFactors::read(draft)?.is_empty();
                Ok(!codes && !attested && !factors.email && factors.devices.is_empty())
            }
            // Whatever was enrolled since has moved an epoch.
            Self::StepUp(proof) => {
                Ok(proof.strongest && *proof.action() == CHANGE_FACTORS && proof.is_valid_in(draft)?)
            }
        }
    }
}

impl fmt::Debug for FactorChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstFactor { account, .. } => write!(f, "FirstFactor({account:?})"),
            Self::StepUp(proof) => proof.fmt(f),
        }
    }
}

impl From<StepUp> for FactorChange {
    fn from(proof: StepUp) -> Self {
        Self::StepUp(proof)
    }
}
