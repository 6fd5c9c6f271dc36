//! A vault that arrives in parts. An upload is begun, receives part after part, and is finished by
//! one guarded commit (`docs/decisions.md` 36).
//!
//! Parts are not guarded, so an upload can continue after a crash, and a part that may have been
//! stored is sent again. The record of the upload is guarded, with the head and the epochs on which
//! it depends, and so is the finish: it promotes exactly the rows that it has checked, or nothing.
//! Until then, no part of the upload belongs to the vault.

use keywright_core::{AccountId, UnixSeconds};
use keywright_store::{
    CipherId, ClientNonce, Draft, Mark, Partition, Plain, Release, Revision, SlotName, StageId, StepError,
};

use super::Vaults;
use super::harm::Harm;
use super::swapping::{Opened, checked, drop_stage, promoted, with_vault};
use crate::check::check_nonces;
use crate::check::manifest::VaultManifest;
use crate::error::VaultError;
use crate::outcome::{PartOutcome, Promotion, Swap, UploadStart};
use crate::parse::submission::Submission;
use crate::policy::{AtRest, STAGE_GRACE_SECONDS};
use crate::report::{Difference, Fault};
use crate::seal::{self, Fresh, Marks, NewText, Sealer};
use crate::state::{Phase, Staged, VAULT_SLOTS};
use crate::step;

impl Vaults {
    /// Begins an upload that can be finished before `until`. `known` is the head that the client
    /// read last, if that is known.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged; the vault is unchanged.
    pub async fn begin_upload(
        &self,
        account: &AccountId,
        known: Option<Revision>,
        until: UnixSeconds,
    ) -> Result<UploadStart, VaultError> {
        let at_rest = self.steps.policy().at_rest();
        let step = |draft: &mut Draft<'_>| {
            let Some((head, _)) = step::open(draft)? else { return Ok((UploadStart::NoVault, None)) };
            if known.is_some_and(|known| known != head) {
                return Ok((UploadStart::HeadMoved, None));
            }
            let (upload, replaced) = (StageId(draft.random()?), step::stage(draft)?);
            let fresh = Fresh::random(at_rest, draft.entropy())?;
            step::keep(draft, Phase::Uploading, (upload, head), &fresh, until)?;
            Ok((UploadStart::Begun { upload, head }, replaced))
        };
        let (beginning, replaced) =
            self.driver.named("vault.begin_upload").transact(&Partition::account(account), &VAULT_SLOTS, step).await?;
        self.tidy(account, replaced).await;
        Ok(beginning)
    }

    /// Stores one part. Each text is checked and sealed. Of the cover, only one condition is
    /// checked: the part must not contain a cipher that the vault does not have, so that the upload
    /// never outgrows the vault. Parts may be repeated and sent in any order.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged. The part may have been stored: send it again.
    pub async fn put_part(
        &self,
        account: &AccountId,
        upload: StageId,
        part: &Submission<'_>,
    ) -> Result<PartOutcome, VaultError> {
        let accepting = self.accepting_long(account, part).await?;
        let part = accepting.as_ref().unwrap_or(part);
        if let Some(faults) = faults(part) {
            return Ok(PartOutcome::Refused(faults));
        }
        let partition = Partition::account(account);
        let Some(staged) = self.upload(&partition, upload).await? else { return Ok(PartOutcome::Void) };
        let manifest = self.manifest(account).await?;
        if manifest.head() != Some(staged.head()) {
            return Ok(PartOutcome::Void);
        }
        if let Some(faults) = unknown(part, &manifest) {
            return Ok(PartOutcome::Refused(faults));
        }
        let fresh = staged.fresh();
        // The form is that with which the upload was begun, whatever the policy is now: the head
        // applies one form to all its texts.
        let at_rest = if fresh.as_sent { AtRest::AsSent } else { AtRest::Sealed };
        let texts = part.iter().map(|(id, nonce, text)| NewText { id, nonce, note: Mark([0; 16]), text });
        let mut sealer = Sealer::new(&fresh.key, account);
        let rows = seal::rows(&mut sealer, (at_rest, Marks::Carrying), &**self.driver.entropy(), texts)?;
        let ciphers = rows.len();
        let purge_after = staged.until.plus(STAGE_GRACE_SECONDS);
        self.store.stage(&partition, upload, rows, purge_after).await.map_err(VaultError::Stage)?;
        Ok(PartOutcome::Kept { ciphers })
    }

    /// Returns the ciphers that have arrived so far, sorted by id, or `None` if there is no such
    /// upload or it is void. A cipher whose row cannot be read is not among them: send it again.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged.
    pub async fn uploaded(&self, account: &AccountId, upload: StageId) -> Result<Option<Vec<CipherId>>, VaultError> {
        let partition = Partition::account(account);
        if self.upload(&partition, upload).await?.is_none() {
            return Ok(None);
        }
        let staged = self.staged_marks(&partition, upload).await?;
        let arrived = staged.into_iter().filter(|(_, mark)| *mark != Mark::UNREADABLE);
        Ok(Some(arrived.map(|(id, _)| id).collect()))
    }

    /// Checks the whole upload against the vault, and makes it the current vault in one commit.
    /// `slots` and `then` are those of [`swap`](Self::swap). After [`Swap::Refused`] the missing
    /// parts may still be sent.
    ///
    /// Every text is opened first. If one is not what was sealed, or a row cannot be read, this is
    /// reported like damage, the upload is dropped, and the outcome is [`Swap::Void`]: the client
    /// must begin again. The commit promotes exactly the rows that were checked. If another part
    /// arrives between the check and the commit, the error is that the account is busy, and the
    /// finish must be requested again.
    ///
    /// # Errors
    /// The errors are those of [`swap`](Self::swap).
    pub async fn finish_upload<T, F>(
        &self,
        account: &AccountId,
        upload: StageId,
        slots: &[SlotName],
        mut then: F,
    ) -> Result<Swap<T::Released>, VaultError>
    where
        T: Release + Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let partition = Partition::account(account);
        let Some(staged) = self.upload(&partition, upload).await? else { return Ok(Swap::Nothing) };
        let rows = self.staged_marks(&partition, upload).await?;
        let manifest = self.manifest(account).await?;
        if manifest.head() != Some(staged.head()) {
            return Ok(Swap::Void);
        }
        if rows.iter().any(|(_, mark)| *mark == Mark::UNREADABLE) {
            return self.drop_damaged(account, upload).await;
        }
        let manifest = manifest.map_nonces(seal::short);
        if let Err(difference) = check_stage(&rows, &manifest) {
            return Ok(Swap::Refused(difference));
        }
        // The cover was checked just before.
        let Some(checked) = checked(&staged, rows, &manifest) else { return Ok(Swap::Void) };
        drop(manifest);
        match self.open_stage(account, &staged, &checked).await? {
            Opened::All => {}
            // Another part arrived at this moment.
            Opened::Moved => return Err(VaultError::Restless),
            Opened::NotAll => return self.drop_damaged(account, upload).await,
        }
        let step = |draft: &mut Draft<'_>| {
            let promotion = step::promote_upload(draft, &checked)?;
            let value = matches!(promotion, Promotion::Done { .. }).then(|| then(draft)).transpose()?;
            Ok((Plain(promotion), value))
        };
        let (promotion, value) =
            self.driver.named("vault.finish_upload").run(&partition, &with_vault(slots), step).await?;
        Ok(promoted(promotion, value))
    }

    /// Reports an upload in which a row is not what was sealed, and drops it.
    async fn drop_damaged<T>(&self, account: &AccountId, upload: StageId) -> Result<Swap<T>, VaultError> {
        self.report(account, Harm::Held).await;
        let drop = |draft: &mut Draft<'_>| drop_stage(draft, upload);
        let dropped =
            self.driver.named("vault.drop_damaged").run(&Partition::account(account), &VAULT_SLOTS, drop).await?;
        self.tidy(account, (dropped == Promotion::Void).then_some(upload)).await;
        Ok(Swap::Void)
    }

    /// Returns the record of a live upload with this identifier.
    async fn upload(&self, partition: &Partition, upload: StageId) -> Result<Option<Staged>, VaultError> {
        let seen = self.driver.named("vault.upload").observe(partition, &VAULT_SLOTS, step::staged).await?;
        let is_it = |staged: &Staged| staged.phase == Phase::Uploading && staged.stage() == upload;
        Ok(seen.and_then(|(staged, live)| (live && is_it(&staged)).then_some(staged)))
    }

    async fn staged_marks(&self, partition: &Partition, upload: StageId) -> Result<Vec<(CipherId, Mark)>, VaultError> {
        self.store.staged(partition, upload).await.map_err(VaultError::Load)
    }
}

/// Checks the rows of an upload, whose marks carry short nonces, like a submission.
fn check_stage(rows: &[(CipherId, Mark)], manifest: &VaultManifest) -> Result<(), Difference> {
    let nonces: Vec<(CipherId, ClientNonce)> = rows.iter().map(|&(id, mark)| (id, seal::nonce_of(mark))).collect();
    check_nonces(&nonces, manifest)
}

/// Returns the faults of a part that has ciphers which are not in the vault.
fn unknown(part: &Submission<'_>, manifest: &VaultManifest) -> Option<Difference> {
    let mut faults = part.faults().clone();
    for (id, ..) in part.iter() {
        if manifest.row(id).is_none() {
            faults.of_id(Fault::Unknown, id);
        }
    }
    (faults.count(Fault::Unknown) > 0).then_some(faults)
}

/// Returns the faults of a part by itself.
fn faults(part: &Submission<'_>) -> Option<Difference> {
    let mut faults = part.faults().clone();
    let mut ids = part.iter().map(|(id, ..)| id).collect::<Vec<_>>();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        if let [a, b] = pair
            && a == b
        {
            faults.of_id(Fault::Duplicate, *a);
        }
    }
    if faults.faults().next().is_some() { Some(faults) } else { None }
}
