//! Taking the second factors of an account out again.

use keywright_core::{AccountId, Event};
use keywright_store::{Draft, StepError};

use super::steps::number;
use super::user::{ImportOutcome, ImportedUser};
use crate::error::TwoFactorError;
use crate::events;
use crate::recovery::imported::{IMPORTED, ImportedCodes, Source};
use crate::recovery::state::Recovery;
use crate::service::TwoFactor;
use crate::state::Factors;
use crate::step::{SLOTS, TwoFactorSteps};
use crate::totp::active::Device;

/// The operator's consent to an export: what it returns holds the secrets **in clear**, and whoever
/// reads it can compute every code of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportConsent(());

impl ExportConsent {
    /// Consents to secrets in clear. Write the export to nothing but an encrypted place that only
    /// the operator can read, and delete it when it was taken over.
    #[must_use]
    pub const fn to_secrets_in_clear() -> Self {
        Self(())
    }
}

/// Moving in and out, one user at a time.
impl TwoFactor {
    /// Takes over the second factors of a user of another system, in one commit. See
    /// [`TwoFactorSteps::import_user_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown)
    /// the user may have been imported; calling this again tells.
    pub async fn import_user(&self, account: &AccountId, user: &ImportedUser) -> Result<ImportOutcome, TwoFactorError> {
        if let Some(refused) = self.unverifiable(user) {
            return Ok(refused);
        }
        self.run("two_factor.import_user", account, SLOTS, |draft| self.steps.import_user_in(draft, user)).await
    }

    /// Returns what [`import_user`](Self::import_user) would return, and changes nothing.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails.
    pub async fn try_import_user(
        &self,
        account: &AccountId,
        user: &ImportedUser,
    ) -> Result<ImportOutcome, TwoFactorError> {
        if let Some(refused) = self.unverifiable(user) {
            return Ok(refused);
        }
        Ok(self
            .driver
            .named("two_factor.try_import_user")
            .observe(&account.into(), SLOTS, |draft| self.steps.try_import_in(draft, user))
            .await?)
    }

    /// Returns the second factors of an account, with their secrets in clear, for another system or
    /// another store of Keywright, which [imports](Self::import_user) them as they are. Returns
    /// `None` if the account does not exist or has none. Only the **operator** may do this. An
    /// event records it.
    ///
    /// Recovery codes that were made here are kept as keyed hashes only: another store of Keywright
    /// can take those over, and another system cannot. What is not exported: enrolments and recovery
    /// codes that are pending, step-ups, counts of guesses, and which codes of removed devices were
    /// used.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is returned.
    pub async fn export_user(
        &self,
        account: &AccountId,
        consent: ExportConsent,
    ) -> Result<Option<ImportedUser>, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| self.steps.export_user_in(draft, consent);
        Ok(self.driver.named("two_factor.export_user").transact(&account.into(), SLOTS, step).await?)
    }

    fn unverifiable(&self, user: &ImportedUser) -> Option<ImportOutcome> {
        let hashed = user.recovery.as_ref().is_some_and(ImportedCodes::needs_verifier);
        (hashed && !self.driver.has_code_verifier())
            .then_some(ImportOutcome::NotTaken(super::user::ImportFault::NoCodeVerifier))
    }
}

/// Moving out.
impl TwoFactorSteps {
    /// Returns the second factors of the account, with their secrets in clear. See
    /// [`TwoFactor::export_user`].
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn export_user_in(
        &self,
        draft: &mut Draft<'_>,
        _consent: ExportConsent,
    ) -> Result<Option<ImportedUser>, StepError> {
        if !draft.exists() {
            return Ok(None);
        }
        let (factors, recovery) = (Factors::read(draft)?, Recovery::read(draft)?);
        let source = match recovery.live {
            Some(set) => Some(Source::Made(Box::new(set))),
            None => draft.read(IMPORTED)?.and_then(|imported| imported.codes).map(|set| Source::Again(Box::new(set))),
        };
        if factors.devices.is_empty() && source.is_none() && !factors.email {
            return Ok(None);
        }
        let remaining = match &source {
            Some(Source::Made(set)) => set.remaining(),
            Some(Source::Again(set)) => set.remaining(),
            _ => 0,
        };
        let event = Event::new(&events::FACTORS_EXPORTED).with("devices", number(factors.devices.len()));
        draft.event(event.with("recovery", remaining));
        Ok(Some(ImportedUser {
            devices: factors.devices.iter().map(Device::export).collect(),
            recovery: source.map(|source| ImportedCodes { source, spelling: None }),
            email: factors.email,
        }))
    }
}
