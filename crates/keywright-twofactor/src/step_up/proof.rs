//! The proof that a step-up leads to.

use std::fmt;

use keywright_core::{AccountId, ActionName, SessionId};
use keywright_store::{Draft, Epochs, Receipt, Release, StepError, WrongReceipt};

use super::policy::rank;
use crate::outcome::Method;

/// The action that a [`StepUp`] must be for to let another client of the account in, whose guesses are refused because of
/// the failures of others.
pub const ADMIT_CLIENT: ActionName = ActionName::new("guesses.admit");

/// The proof that a session of an account proved itself once more for an action. Only a commit makes one.
///
/// Not `Clone`, not `Serialize`, without a constructor. The function that acts takes it by value and takes account,
/// action and session **from it**. In the commit that acts it asks whether the proof [still holds](Self::is_valid_in):
///
/// ```
/// # use keywright_store::{Draft, Driver, Partition, TransactError};
/// # use keywright_twofactor::{ActionName, StepUp};
/// const MAKE_API_KEY: ActionName = ActionName::new("api-key.make");
///
/// async fn make_new_api_key(driver: &Driver, proof: StepUp) -> Result<bool, TransactError> {
///     let step = |draft: &mut Draft<'_>| {
///         if *proof.action() != MAKE_API_KEY || !proof.is_valid_in(draft)? {
///             return Ok(false);
///         }
///         // …
///         Ok(true)
///     };
///     driver.transact(&Partition::account(proof.account()), &[], step).await
/// }
/// ```
///
/// ```compile_fail
/// # use keywright_twofactor::StepUp;
/// fn twice(proof: StepUp) -> [StepUp; 2] {
///     [proof.clone(), proof] // no such method
/// }
/// ```
#[must_use = "a proof that nobody takes opens nothing"]
pub struct StepUp {
    pub(super) account: AccountId,
    pub(super) action: ActionName,
    pub(super) session: SessionId,
    pub(super) method: Method,
    pub(super) remembered: bool,
    pub(super) epochs: Epochs,
}

impl StepUp {
    /// Whether it still holds, in this draft: the draft is of its account, and no epoch has moved since it was made. A change
    /// of password, address, keys or factors voids it. Whoever acts on it asks this in the commit that acts, and compares
    /// the [action](Self::action).
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn is_valid_in(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let own = draft.partition().as_account().as_ref() == Some(&self.account);
        Ok(own && draft.root()?.epochs() == self.epochs)
    }

    /// Whether it lets another client of its account in, in this very draft of the account: a proof for [`ADMIT_CLIENT`]
    /// by `least` or a stronger method, with no epoch moved since. Time-based and recovery codes are the strongest, then
    /// mailed codes, then the password. For steps that admit a client at a secret of their own.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn admits_in(&self, draft: &Draft<'_>, least: Method) -> Result<bool, StepError> {
        Ok(self.action == ADMIT_CLIENT && rank(self.method) >= rank(least) && self.is_valid_in(draft)?)
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The action that it is for.
    #[must_use]
    pub const fn action(&self) -> &ActionName {
        &self.action
    }

    /// The session that proved itself.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The factor that was shown.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether an earlier proof of the session's window opened it.
    #[must_use]
    pub const fn was_remembered(&self) -> bool {
        self.remembered
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepUp({})", self.action)
    }
}

/// What an action demands of a session now.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Demand<S> {
    /// Nothing: a proof of the session's window still opens it.
    Remembered(S),
    /// Any of these methods, strongest first; no other opens it.
    Ask(Vec<Method>),
    /// The account has none of the methods that the rule names. Whether that opens the action is the host's decision,
    /// and "no" is the safe one.
    NothingEnrolled,
}

impl<S: Release> Release for Demand<S> {
    type Released = Demand<S::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Remembered(proof) => Demand::Remembered(proof.release(receipt)?),
            Self::Ask(methods) => Demand::Ask(methods),
            Self::NothingEnrolled => Demand::NothingEnrolled,
        })
    }
}

/// What the host itself has checked, for [`StepUps::attest_in`](crate::StepUps::attest_in).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attested {
    /// The login password.
    Password,
    /// A mailed code.
    Mailed,
}

impl From<Attested> for Method {
    fn from(attested: Attested) -> Self {
        match attested {
            Attested::Password => Self::Password,
            Attested::Mailed => Self::Mailed,
        }
    }
}
