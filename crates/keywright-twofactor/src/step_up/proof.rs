//! The proof that a step-up yields.

use std::fmt;

use keywright_core::{AccountId, ActionName, SessionId};
use keywright_store::{Draft, Epochs, Receipt, Release, StepError, WrongReceipt};

use super::policy::rank;
use crate::outcome::Method;

/// The action for which a [`StepUp`] is required to admit another client of the account, whose
/// guesses are refused because of other people's wrong guesses.
pub const ADMIT_CLIENT: ActionName = ActionName::new("guesses.admit");

/// The proof that a session authenticated again for an action (a *step-up*). Only a commit creates
/// one.
///
/// It is not `Clone` or `Serialize` and has no public constructor. The function that performs the
/// action takes the proof by value, and takes the account, the action and the session **from it**.
/// In the commit that acts, it checks whether the proof [is still valid](Self::is_valid_in):
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
    /// Whether no method that was enrolled at the grant is stronger.
    pub(super) strongest: bool,
    pub(super) epochs: Epochs,
}

impl StepUp {
    /// Whether the proof is still valid in this draft: it belongs to the draft's account, and no
    /// epoch has moved since it was created. A change of password, address, keys or factors makes
    /// it void. Code that acts on the proof checks this in the commit that acts, and also compares
    /// the [action](Self::action).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn is_valid_in(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let own = draft.partition().as_account().as_ref() == Some(&self.account);
        Ok(own && draft.root()?.epochs() == self.epochs)
    }

    /// Whether the proof admits another client of its account, in this draft of the account. It
    /// must be a proof for [`ADMIT_CLIENT`] with the method `least` or a stronger one, and no epoch
    /// may have moved since. The strengths are those of [`Rule::strongest_of`](crate::Rule::strongest_of). Other crates call this in their own steps that admit a client.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn admits_in(&self, draft: &Draft<'_>, least: Method) -> Result<bool, StepError> {
        Ok(self.action == ADMIT_CLIENT && rank(self.method) >= rank(least) && self.is_valid_in(draft)?)
    }

    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the action that the proof is for.
    #[must_use]
    pub const fn action(&self) -> &ActionName {
        &self.action
    }

    /// Returns the session that was authenticated.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Returns the factor that was shown.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether the action was authorized by an earlier proof that the session remembers.
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

/// What an action requires of a session now.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Demand<S> {
    /// Nothing more is required: a proof that the session remembers still authorizes the action.
    Remembered(S),
    /// One of these methods is required, strongest first; no other authorizes the action.
    Required(Vec<Method>),
    /// The account has none of the methods that the rule includes. The host decides whether that
    /// authorizes the action; refusing it is the safe choice.
    NothingEnrolled,
}

impl<S: Release> Release for Demand<S> {
    type Released = Demand<S::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Remembered(proof) => Demand::Remembered(proof.release(receipt)?),
            Self::Required(methods) => Demand::Required(methods),
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
