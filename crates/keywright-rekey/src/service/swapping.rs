//! Replacing a vault: plan, swap, stage, hold, promote.

use core::fmt;

use keywright_core::{AccountId, UnixSeconds};
use keywright_store::{Draft, Partition, Receipt, Revision, StageId, StepError};

use super::{VAULT_SLOTS, Vaults};
use crate::policy::STAGE_GRACE_SECONDS;
use crate::seal::SealedSwap;
use crate::state::Phase;
use crate::step::{self, Promotion, StagedSwap, Swapping};
use crate::{Difference, Submission, VaultError};

/// The outcome of checking a submission against the vault.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Planning {
    /// It covers the vault; here it is, sealed.
    Ready(SealedSwap),
    /// It does not.
    Refused(Difference),
}

/// The outcome of a swap that the service ran.
#[must_use]
#[non_exhaustive]
pub enum Swap<T> {
    /// It is committed.
    Done {
        /// The vault's head now.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
        /// What the caller's own step gave.
        value: T,
        /// Releases what is tentative in it.
        receipt: Receipt,
    },
    /// The vault was changed between the check and the commit. Nothing is replaced: the client reads and encrypts anew.
    HeadMoved,
    /// The submission does not fit the vault. Nothing is replaced.
    Refused(Difference),
    /// What was held or uploaded is void, and dropped.
    Void,
    /// Nothing was held or uploaded under this name.
    Nothing,
}

impl<T> fmt::Debug for Swap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { head, ciphers, .. } => write!(f, "Done({head:?}, {ciphers} ciphers)"),
            Self::HeadMoved => f.write_str("HeadMoved"),
            Self::Refused(difference) => f.debug_tuple("Refused").field(difference).finish(),
            Self::Void => f.write_str("Void"),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// Whether what is held can still be promoted, as far as its rows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Coverage {
    /// Its rows are exactly the vault's ciphers.
    Covered,
    /// They are not: rows were swept, or the vault has changed. Drop it.
    Uncovered,
    /// Nothing is held.
    Nothing,
}

impl Vaults {
    /// Checks a submission against the vault as it is now, and seals it. `known` is the head that the client read last,
    /// if that is known: another is [`Fault::Stale`](crate::Fault::Stale).
    ///
    /// Sealing takes 0.4 to 1 µs per 400 bytes on the calling thread.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn plan(
        &self,
        account: &AccountId,
        submission: &Submission<'_>,
        known: Option<Revision>,
    ) -> Result<Planning, VaultError> {
        let manifest = self.manifest(account).await?;
        Ok(match submission.against_known(&manifest, known) {
            Ok(plan) => Planning::Ready(plan.seal(account, self.steps.policy().at_rest(), &**self.driver.entropy())?),
            Err(difference) => Planning::Refused(difference),
        })
    }

    /// Checks and swaps. `then` runs in the same draft after the swap: the new credential, the sessions that stay. It may
    /// run several times.
    ///
    /// A vault that changed since it was checked is [`Swap::HeadMoved`]. It is not checked again: a client of which no
    /// head is known would overwrite the cipher that somebody just wrote.
    ///
    /// # Errors
    /// [`VaultError`]; if [it is unknown](VaultError::is_unknown), old **or** new is there, whole.
    pub async fn swap<T, F>(
        &self,
        account: &AccountId,
        submission: &Submission<'_>,
        known: Option<Revision>,
        mut then: F,
    ) -> Result<Swap<T>, VaultError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let sealed = match self.plan(account, submission, known).await? {
            Planning::Ready(sealed) => sealed,
            Planning::Refused(difference) => return Ok(Swap::Refused(difference)),
        };
        let step = |draft: &mut Draft<'_>| {
            let dropped = self.steps.staged_in(draft)?;
            match self.steps.swap_in(draft, &sealed)? {
                Swapping::Done { head, ciphers } => Ok(Some((head, ciphers, then(draft)?, dropped))),
                Swapping::HeadMoved => Ok(None),
            }
        };
        let (outcome, receipt) = self.driver.transact(&Partition::account(account), &VAULT_SLOTS, step).await?;
        let Some((head, ciphers, value, dropped)) = outcome else { return Ok(Swap::HeadMoved) };
        self.tidy(account, dropped).await;
        Ok(Swap::Done { head, ciphers, value, receipt })
    }

    /// Keeps a sealed vault beside the vault, to be held by [`hold_in`](crate::VaultSteps::hold_in) and promoted before
    /// `until`. If it is not held after all, [`unstage`](Self::unstage) it; a crash before that leaves rows that the sweep
    /// takes.
    ///
    /// # Errors
    /// [`VaultError::Stage`]; the vault is as it was.
    pub async fn stage(&self, mut swap: SealedSwap, until: UnixSeconds) -> Result<StagedSwap, VaultError> {
        let stage = StageId(keywright_core::random_bytes(&**self.driver.entropy())?);
        let partition = Partition::account(&swap.account);
        let purge_after = until.plus(STAGE_GRACE_SECONDS);
        let rows = core::mem::take(&mut swap.rows);
        let ciphers = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.store.stage(&partition, stage, rows, purge_after).await.map_err(VaultError::Stage)?;
        Ok(StagedSwap { swap, ciphers, stage, until })
    }

    /// Takes the rows of a stage away at once: of one that was not held after all, or that a **committed** step has
    /// replaced or dropped. Never of one that may still be promoted, so not after a commit whose outcome is unknown.
    ///
    /// # Errors
    /// [`VaultError::Stage`]; what stays is swept.
    pub async fn unstage(&self, account: &AccountId, stage: StageId) -> Result<(), VaultError> {
        self.store.unstage(&Partition::account(account), stage).await.map_err(VaultError::Stage)
    }

    /// The same behind a change that is done, so nothing that fails here may undo its answer.
    pub(super) async fn tidy(&self, account: &AccountId, dropped: Option<StageId>) {
        if let Some(stage) = dropped {
            // What stays is swept.
            drop(self.unstage(account, stage).await);
        }
    }

    /// Whether the held vault's rows are exactly the vault's ciphers. Ask before
    /// [`promote_in`](crate::VaultSteps::promote_in), and drop what is not covered: its promotion could only conflict.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn covered(&self, account: &AccountId) -> Result<Coverage, VaultError> {
        Ok(match self.held(account).await? {
            None => Coverage::Nothing,
            Some((_, true)) => Coverage::Covered,
            Some((_, false)) => Coverage::Uncovered,
        })
    }

    /// The stage that is held, and whether its rows are exactly the vault's ciphers.
    async fn held(&self, account: &AccountId) -> Result<Option<(StageId, bool)>, VaultError> {
        let partition = Partition::account(account);
        let staged = self.driver.observe(&partition, &VAULT_SLOTS, step::staged).await?;
        let Some((staged, _)) = staged.filter(|(staged, _)| staged.phase == Phase::Held) else { return Ok(None) };
        let rows = self.store.staged(&partition, staged.stage()).await.map_err(VaultError::Load)?;
        let manifest = self.manifest(account).await?;
        let owned = manifest.entries.iter().map(|(id, _)| id);
        Ok(Some((staged.stage(), rows.iter().map(|(id, _)| id).eq(owned))))
    }

    /// Promotes the held vault, if its rows cover the vault and all that it rests on still stands. `then` as with
    /// [`swap`](Self::swap).
    ///
    /// # Errors
    /// As [`swap`](Self::swap).
    pub async fn promote<T, F>(&self, account: &AccountId, mut then: F) -> Result<Swap<T>, VaultError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let uncovered = self.held(account).await?.and_then(|(stage, covered)| (!covered).then_some(stage));
        let step = |draft: &mut Draft<'_>| {
            let held = self.steps.staged_in(draft)?;
            if held.is_some() && held == uncovered {
                self.steps.drop_held_in(draft)?;
                return Ok(((Promotion::Void, None), held));
            }
            let promotion = self.steps.promote_in(draft)?;
            let value = matches!(promotion, Promotion::Done { .. }).then(|| then(draft)).transpose()?;
            Ok(((promotion, value), held.filter(|_| promotion == Promotion::Void)))
        };
        let ((outcome, dropped), receipt) =
            self.driver.transact(&Partition::account(account), &VAULT_SLOTS, step).await?;
        self.tidy(account, dropped).await;
        Ok(promoted(outcome, receipt))
    }
}

/// A promotion's outcome in the service's words.
pub(super) fn promoted<T>(outcome: (Promotion, Option<T>), receipt: Receipt) -> Swap<T> {
    match outcome {
        (Promotion::Done { head, ciphers }, Some(value)) => Swap::Done { head, ciphers, value, receipt },
        (Promotion::Nothing, _) => Swap::Nothing,
        (Promotion::Done { .. } | Promotion::Void, _) => Swap::Void,
    }
}
