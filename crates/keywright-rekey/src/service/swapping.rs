//! Replacing a vault: plan, swap, stage, hold, promote.

use bytes::Bytes;
use keywright_core::{AccountId, UnixSeconds};
use keywright_store::{
    CipherId, ClientNonce, Draft, Mark, Partition, Plain, Release, Revision, Row, RowMarks, SlotName, StageId,
    StagedText, StepError,
};

use super::Vaults;
use super::harm::Harm;
use super::reading::TRIES;
use crate::check::manifest::VaultManifest;
use crate::digest::{Digest, Summing};
use crate::error::VaultError;
use crate::outcome::{Coverage, PlanOutcome, Promotion, Swap, SwapOutcome};
use crate::parse::submission::Submission;
use crate::policy::STAGE_GRACE_SECONDS;
use crate::seal::{SealedSwap, Sealer};
use crate::stage::{CheckedStage, StagedSwap};
use crate::state::{Phase, Staged, VAULT_SLOTS};
use crate::step;

/// The number of texts of a stage that are read together to be opened.
const OPENED_AT_ONCE: u32 = 500;

/// The result of opening the texts of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// Each text is the one that was sealed.
    All,
    /// A text is not the one that was sealed under its mark.
    NotAll,
    /// The stage has other rows by now.
    Moved,
}

impl Vaults {
    /// Checks a submission against the vault as it is now, and seals it. `known` is the head that
    /// the client read last, if that is known; if it is not the current one, the fault is
    /// [`Fault::Stale`](crate::Fault::Stale).
    ///
    /// A text beyond the limit of the submission is accepted if the cipher that it replaces has one
    /// that is at least as long: a vault that came in under a higher limit can be re-encrypted under
    /// a lower one (`docs/decisions.md` 62).
    ///
    /// Sealing takes 0.4 to 1 µs per 400 bytes on the calling thread. To do that elsewhere, use
    /// [`manifest`](Self::manifest) and [`plan_against`](Self::plan_against).
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged.
    pub async fn plan(
        &self,
        account: &AccountId,
        submission: &Submission<'_>,
        known: Option<Revision>,
    ) -> Result<PlanOutcome, VaultError> {
        let manifest = self.manifest(account).await?;
        let accepting = self.accepting_long(account, submission).await?;
        self.plan_against(account, accepting.as_ref().unwrap_or(submission), &manifest, known)
    }

    /// Returns the submission with the texts beyond its limit that replace texts at least as long,
    /// or `None` if there are none beyond the limit. Pass it to
    /// [`plan_against`](Self::plan_against).
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store fails, the account is busy, or one of these ciphers is
    /// damaged.
    pub async fn accepting_long<'b>(
        &self,
        account: &AccountId,
        submission: &Submission<'b>,
    ) -> Result<Option<Submission<'b>>, VaultError> {
        let ids = submission.long_ids();
        if ids.is_empty() {
            return Ok(None);
        }
        let Some(existing) = self.existing(account, &ids).await? else { return Ok(None) };
        // If the vault has changed since its manifest was read, no swap of the plan succeeds.
        let accepts = |id, length| {
            let stored = existing.text_bytes(id);
            stored.is_some_and(|stored| u64::try_from(length).is_ok_and(|length| length <= stored))
        };
        Ok(Some(submission.accepting_long(accepts)))
    }

    /// Checks a submission like [`plan`](Self::plan), against a manifest that was read before, and
    /// seals it. It does not wait for anything; for a large vault it computes for as long as the
    /// whole of `plan`.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the generator fails or a text cannot be sealed.
    pub fn plan_against(
        &self,
        account: &AccountId,
        submission: &Submission<'_>,
        manifest: &VaultManifest,
        known: Option<Revision>,
    ) -> Result<PlanOutcome, VaultError> {
        Ok(match submission.against_known(manifest, known) {
            Ok(plan) => {
                PlanOutcome::Ready(plan.seal(account, self.steps.policy().at_rest(), &**self.driver.entropy())?)
            }
            Err(difference) => PlanOutcome::Refused(difference),
        })
    }

    /// Checks a submission and swaps. `then` runs in the same draft after the swap, for the new
    /// credential and the sessions that are kept. It may run several times; a tentative value in
    /// its outcome is released. `slots` are those that it reads or writes: list all of them, so
    /// that they are loaded together.
    ///
    /// If the vault changed since it was checked, the outcome is [`Swap::HeadMoved`]. It is not
    /// checked again: a client whose last head is not known would overwrite a cipher that was just
    /// written.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged. If [it is unknown](VaultError::is_unknown), either the old
    /// **or** the new vault is stored, as a whole.
    pub async fn swap<T, F>(
        &self,
        account: &AccountId,
        submission: &Submission<'_>,
        known: Option<Revision>,
        slots: &[SlotName],
        mut then: F,
    ) -> Result<Swap<T::Released>, VaultError>
    where
        T: Release + Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let sealed = match self.plan(account, submission, known).await? {
            PlanOutcome::Ready(sealed) => sealed,
            PlanOutcome::Refused(difference) => return Ok(Swap::Refused(difference)),
        };
        let step = |draft: &mut Draft<'_>| {
            let dropped = self.steps.staged_in(draft)?;
            match self.steps.swap_in(draft, &sealed)? {
                SwapOutcome::Done { head, ciphers } => Ok(Some((Plain((head, ciphers, dropped)), then(draft)?))),
                SwapOutcome::HeadMoved => Ok(None),
            }
        };
        let outcome =
            self.driver.named("vault.swap").run(&Partition::account(account), &with_vault(slots), step).await?;
        let Some(((head, ciphers, dropped), value)) = outcome else { return Ok(Swap::HeadMoved) };
        self.tidy(account, dropped).await;
        Ok(Swap::Done { head, ciphers, value })
    }

    /// Stores a sealed vault beside the current one, to be held by
    /// [`hold_in`](crate::VaultSteps::hold_in) and promoted before `until`. If it is not held after
    /// all, call [`unstage`](Self::unstage). If the server crashes before that, a sweep deletes the
    /// rows.
    ///
    /// # Errors
    /// Returns [`VaultError::Stage`] if the rows cannot be stored; the vault is unchanged.
    pub async fn stage(&self, mut swap: SealedSwap, until: UnixSeconds) -> Result<StagedSwap, VaultError> {
        let stage = StageId(keywright_core::random_bytes(&**self.driver.entropy())?);
        let partition = Partition::account(&swap.account);
        let purge_after = until.plus(STAGE_GRACE_SECONDS);
        let rows = std::mem::take(&mut swap.rows);
        self.store.stage(&partition, stage, rows, purge_after).await.map_err(VaultError::Stage)?;
        Ok(StagedSwap { swap, stage, until })
    }

    /// Removes the rows of a stage immediately, if it was not held after all or if a **committed**
    /// step has replaced or dropped it. Never call this for a stage that may still be promoted, and
    /// therefore not after a commit whose outcome is unknown.
    ///
    /// # Errors
    /// Returns [`VaultError::Stage`] if the rows cannot be removed; the sweep removes them later.
    pub async fn unstage(&self, account: &AccountId, stage: StageId) -> Result<(), VaultError> {
        self.store.unstage(&Partition::account(account), stage).await.map_err(VaultError::Stage)
    }

    /// Removes the rows of a dropped stage after a change is done. A failure must not affect the
    /// answer for that change.
    pub(super) async fn tidy(&self, account: &AccountId, dropped: Option<StageId>) {
        if let Some(stage) = dropped {
            // The sweep removes what is left.
            drop(self.unstage(account, stage).await);
        }
    }

    /// Checks whether the staged rows of the held vault are unchanged, and whether the vault and
    /// the epochs on which it depends are still current. Call this before
    /// [`promote_in`](crate::VaultSteps::promote_in), which takes the rows that were read here and
    /// promotes exactly these. Every text is opened, because after the promotion there is no other.
    /// Altered rows are reported like [damage](VaultError::Damaged), although the current vault is
    /// intact.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged.
    pub async fn covered(&self, account: &AccountId) -> Result<Coverage, VaultError> {
        let partition = Partition::account(account);
        let mut suspected = None;
        for _ in 0..TRIES {
            let found = self.driver.named("vault.covered").observe(&partition, &VAULT_SLOTS, step::staged).await?;
            let Some((staged, live)) = found else { return Ok(Coverage::Nothing) };
            let Phase::Held { count, hashes, .. } = staged.phase else { return Ok(Coverage::Nothing) };
            if !live {
                return Ok(Coverage::Void(staged.stage()));
            }
            let rows = self.store.staged(&partition, staged.stage()).await.map_err(VaultError::Load)?;
            let manifest = self.manifest(account).await?;
            if manifest.head() != Some(staged.head()) {
                continue;
            }
            let is_empty = rows.is_empty();
            if let Some(checked) = checked(&staged, rows, &manifest)
                && checked.digest == (Digest { count, hashes })
                && self.open_stage(account, &staged, &checked).await? == Opened::All
            {
                return Ok(Coverage::Covered(checked));
            }
            // The stage may have been promoted or dropped between the two reads.
            if suspected != Some(staged.stage()) {
                suspected = Some(staged.stage());
                continue;
            }
            // A sweep removes a stage as a whole.
            if !is_empty {
                self.report(account, Harm::Held).await;
            }
            return Ok(Coverage::Uncovered(staged.stage()));
        }
        Err(VaultError::Restless)
    }

    /// Opens every text of a stage whose rows were checked, a page at a time, and reports whether
    /// each is the one that was sealed under its mark.
    pub(super) async fn open_stage(
        &self,
        account: &AccountId,
        staged: &Staged,
        checked: &CheckedStage,
    ) -> Result<Opened, VaultError> {
        let (partition, fresh) = (Partition::account(account), staged.fresh());
        let (mut after, mut rows) = (None, checked.rows.iter());
        while rows.len() > 0 {
            let page = self.store.staged_texts(&partition, checked.stage, after, OPENED_AT_ONCE).await;
            let page = page.map_err(VaultError::Load)?;
            let Some(last) = page.last() else { return Ok(Opened::Moved) };
            after = Some(last.id);
            let mut sealer = Sealer::new(&fresh.key, account);
            for text in page {
                if rows.next() != Some(&(text.id, text.mark)) {
                    return Ok(Opened::Moved);
                }
                if sealer.open_text(fresh.as_sent, &row_of(text)).is_none() {
                    return Ok(Opened::NotAll);
                }
            }
        }
        Ok(Opened::All)
    }

    /// Promotes the held vault, if its rows cover the vault and everything that it depends on is
    /// still current. `slots` and `then` are those of [`swap`](Self::swap).
    ///
    /// # Errors
    /// The errors are those of [`swap`](Self::swap).
    pub async fn promote<T, F>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        mut then: F,
    ) -> Result<Swap<T::Released>, VaultError>
    where
        T: Release + Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let partition = Partition::account(account);
        for _ in 0..TRIES {
            let (checked, stage) = match self.covered(account).await? {
                Coverage::Nothing => return Ok(Swap::Nothing),
                Coverage::Uncovered(stage) | Coverage::Void(stage) => (None, stage),
                Coverage::Covered(checked) => {
                    let stage = checked.stage;
                    (Some(checked), stage)
                }
            };
            let step = |draft: &mut Draft<'_>| {
                let promotion = match &checked {
                    Some(checked) => step::promote(draft, checked)?,
                    None => drop_stage(draft, stage)?,
                };
                let value = matches!(promotion, Promotion::Done { .. }).then(|| then(draft)).transpose()?;
                Ok((promotion, value))
            };
            let (promotion, value) =
                self.driver.named("vault.promote").run(&partition, &with_vault(slots), step).await?;
            if promotion == Promotion::Other {
                continue;
            }
            self.tidy(account, (promotion == Promotion::Void).then_some(stage)).await;
            return Ok(promoted(promotion, value));
        }
        Err(VaultError::Restless)
    }
}

/// Returns the slots of a change of the vault and of the step that runs after it.
pub(super) fn with_vault(slots: &[SlotName]) -> Vec<SlotName> {
    VAULT_SLOTS.iter().chain(slots).copied().collect()
}

/// Drops what is held, if it is this stage.
pub(super) fn drop_stage(draft: &mut Draft<'_>, stage: StageId) -> Result<Promotion, StepError> {
    match step::stage(draft)? {
        None => Ok(Promotion::Nothing),
        Some(held) if held == stage => step::drop_held(draft).map(|_| Promotion::Void),
        Some(_) => Ok(Promotion::Other),
    }
}

/// Returns the rows of a stage, if they have the ids of the vault's, with their count and digest
/// together with the vault's notes.
pub(super) fn checked(staged: &Staged, rows: Vec<(CipherId, Mark)>, manifest: &VaultManifest) -> Option<CheckedStage> {
    if rows.len() != manifest.rows().len() {
        return None;
    }
    let fresh = staged.fresh();
    let mut summing = Summing::new(&fresh.digest_key);
    for (&(id, text), owned) in rows.iter().zip(manifest.rows()) {
        if id != owned.id {
            return None;
        }
        summing.add(id, text, owned.note);
    }
    Some(CheckedStage { stage: staged.stage(), head: staged.head(), rows, digest: summing.finish() })
}

/// Converts a staged text to a row. The fields that a stage does not have are not needed to open
/// the text.
fn row_of(StagedText { id, mark, text }: StagedText) -> Row {
    let marks = RowMarks { id, text: mark, note: Mark([0; 16]), nonce: ClientNonce([0; 16]) };
    Row { marks, text, note: Bytes::new() }
}

/// Converts a promotion's outcome to that of the service.
pub(super) fn promoted<T>(promotion: Promotion, value: Option<T>) -> Swap<T> {
    match (promotion, value) {
        (Promotion::Done { head, ciphers }, Some(value)) => Swap::Done { head, ciphers, value },
        (Promotion::Nothing, _) => Swap::Nothing,
        _ => Swap::Void,
    }
}
