//! The import of many users.

use std::num::NonZeroUsize;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use keywright_core::AccountId;
use keywright_store::TransactError;

use super::user::{ImportOutcome, ImportedUser};
use crate::error::TwoFactorError;
use crate::service::TwoFactor;

/// The number of users that are imported at the same time by default. A store that syncs its disk
/// once for several commits needs several at once to be fast.
pub const CONCURRENT: NonZeroUsize = match NonZeroUsize::new(64) {
    Some(number) => number,
    None => NonZeroUsize::MIN,
};

/// How often a user whose account is busy is tried again.
const TRIES: u32 = 8;

/// Imports many users. It can be stopped at any moment and run again from the start: users that
/// were imported are reported as such, at the price of a read each.
#[derive(Debug, Clone)]
#[must_use = "an import does nothing until `run`"]
pub struct Import {
    two_factor: TwoFactor,
    dry_run: bool,
    concurrent: NonZeroUsize,
}

/// How many users came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// Users that were imported, or would be if this were no trial.
    pub imported: u64,
    /// Users that had been imported before.
    pub already_imported: u64,
    /// Users whose accounts have second factors that were not imported.
    pub with_factors: u64,
    /// Users that cannot be imported.
    pub not_taken: u64,
    /// Devices of the users that were imported.
    pub devices: u64,
    /// Those whose secret is shorter than the policy requires.
    pub devices_below_policy: u64,
    /// Unused recovery codes of the users that were imported.
    pub recovery_codes: u64,
}

/// An import that has stopped, because the store failed. Run it again: it continues where it was.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped at {account}")]
#[non_exhaustive]
pub struct ImportStopped {
    /// The user at which the store failed.
    pub account: AccountId,
    /// What was done before.
    pub report: ImportReport,
    /// The failure.
    #[source]
    pub source: TwoFactorError,
}

impl Import {
    /// Creates an import.
    pub const fn new(two_factor: TwoFactor) -> Self {
        Self { two_factor, dry_run: false, concurrent: CONCURRENT }
    }

    /// Sets whether this is a trial: every user is checked, and nothing is written. Default false.
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many users are imported at the same time. Default [`CONCURRENT`].
    pub const fn concurrent(mut self, users: NonZeroUsize) -> Self {
        self.concurrent = users;
        self
    }

    /// Imports the users, in any order, and calls `each` with what became of each one. Users are
    /// taken from the iterator as they are needed, so it can read a file of any size.
    ///
    /// # Errors
    /// Returns [`ImportStopped`] if the store fails. The users that were taken and for which `each`
    /// was not called may have been imported.
    pub async fn run(
        &self,
        users: impl IntoIterator<Item = (AccountId, ImportedUser)>,
        mut each: impl FnMut(&AccountId, &ImportOutcome),
    ) -> Result<ImportReport, ImportStopped> {
        let mut users = users.into_iter();
        let mut running = FuturesUnordered::new();
        let mut report = ImportReport::default();
        loop {
            while running.len() < self.concurrent.get()
                && let Some((account, user)) = users.next()
            {
                running.push(self.import(account, user));
            }
            let Some((account, outcome)) = running.next().await else { return Ok(report) };
            match outcome {
                Ok(outcome) => {
                    report.count(&outcome);
                    each(&account, &outcome);
                }
                Err(source) => return Err(ImportStopped { account, report, source }),
            }
        }
    }

    async fn import(
        &self,
        account: AccountId,
        user: ImportedUser,
    ) -> (AccountId, Result<ImportOutcome, TwoFactorError>) {
        let mut tries = 1_u32;
        loop {
            let outcome = if self.dry_run {
                self.two_factor.try_import_user(&account, &user).await
            } else {
                self.two_factor.import_user(&account, &user).await
            };
            match outcome {
                Err(TwoFactorError::Transact(TransactError::Busy)) if tries < TRIES => tries = tries.saturating_add(1),
                outcome => return (account, outcome),
            }
        }
    }
}

impl ImportReport {
    /// Counts one more user.
    const fn count(&mut self, outcome: &ImportOutcome) {
        let counter = match outcome {
            ImportOutcome::Imported(factors) => {
                self.devices = self.devices.saturating_add(factors.devices as u64);
                self.devices_below_policy =
                    self.devices_below_policy.saturating_add(factors.devices_below_policy as u64);
                self.recovery_codes = self.recovery_codes.saturating_add(factors.recovery_codes as u64);
                &mut self.imported
            }
            ImportOutcome::AlreadyImported => &mut self.already_imported,
            ImportOutcome::HasFactors => &mut self.with_factors,
            ImportOutcome::NotTaken(_) => &mut self.not_taken,
        };
        *counter = counter.saturating_add(1);
    }
}
