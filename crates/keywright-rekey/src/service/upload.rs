//! A vault that arrives in parts: begun, put part by part, finished by one guarded commit (`docs/decisions.md` 36).
//!
//! Parts are not guarded, so an upload goes on after a crash, and a part that was perhaps kept is put again. What guards
//! is the record of the upload, with the head and the epochs it rests on, and the finish: it promotes exactly the rows
//! that it has checked, or nothing. Until then nothing of it is the vault.

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
    /// Begins an upload that can be finished before `until`. `known` is the head that the client read last, if that is
    /// known.
    ///
    /// # Errors
    /// [`VaultError`]; the vault is as it was.
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
        let (beginning, replaced) = self.driver.transact(&Partition::account(account), &VAULT_SLOTS, step).await?;
        self.tidy(account, replaced).await;
        Ok(beginning)
    }

    /// Puts one part: each text checked and sealed, the cover not looked at, but that there is no cipher in it that the
    /// vault has not. So what is kept never outgrows the vault. May be repeated, in any order.
    ///
    /// # Errors
    /// [`VaultError`]. Perhaps the part is kept: put it again.
    pub async fn put_part(
        &self,
        account: &AccountId,
        upload: StageId,
        part: &Submission<'_>,
    ) -> Result<PartOutcome, VaultError> {
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
        // As it was begun, whatever the policy is now: the head will say so of all its texts.
        let at_rest = if fresh.as_sent { AtRest::AsSent } else { AtRest::Sealed };
        let texts = part.iter().map(|(id, nonce, text)| NewText { id, nonce, note: Mark([0; 16]), text });
        let mut sealer = Sealer::new(&fresh.key, account);
        let rows = seal::rows(&mut sealer, (at_rest, Marks::Carrying), &**self.driver.entropy(), texts)?;
        let ciphers = rows.len();
        let purge_after = staged.until.plus(STAGE_GRACE_SECONDS);
        self.store.stage(&partition, upload, rows, purge_after).await.map_err(VaultError::Stage)?;
        Ok(PartOutcome::Kept { ciphers })
    }

    /// The ciphers that arrived so far, sorted by id; `None` if there is no such upload or it is void. One whose row cannot be
    /// read is not among them: put it again.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn uploaded(&self, account: &AccountId, upload: StageId) -> Result<Option<Vec<CipherId>>, VaultError> {
        let partition = Partition::account(account);
        if self.upload(&partition, upload).await?.is_none() {
            return Ok(None);
        }
        let staged = self.staged_marks(&partition, upload).await?;
        let arrived = staged.into_iter().filter(|(_, mark)| *mark != Mark::UNREADABLE);
        Ok(Some(arrived.map(|(id, _)| id).collect()))
    }

    /// Checks the whole upload against the vault, and makes it the vault in one commit. `slots` and `then` as with
    /// [`swap`](Self::swap). After [`Swap::Refused`] the missing parts may still be put.
    ///
    /// Every text is opened before: one that is not what was sealed, or a row that cannot be read, is reported as damage is, and
    /// the upload is [`Swap::Void`] and dropped: the client begins anew. The commit promotes exactly the rows that were checked. If another part arrives between the check and the commit,
    /// the account is answered as busy, and the finish is to be asked for again.
    ///
    /// # Errors
    /// As [`swap`](Self::swap).
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
        // The cover was checked just now.
        let Some(checked) = checked(&staged, rows, &manifest) else { return Ok(Swap::Void) };
        drop(manifest);
        match self.open_stage(account, &staged, &checked).await? {
            Opened::All => {}
            // Another part arrives at this moment.
            Opened::Moved => return Err(VaultError::Restless),
            Opened::NotAll => return self.drop_damaged(account, upload).await,
        }
        let step = |draft: &mut Draft<'_>| {
            let promotion = step::promote_upload(draft, &checked)?;
            let value = matches!(promotion, Promotion::Done { .. }).then(|| then(draft)).transpose()?;
            Ok((Plain(promotion), value))
        };
        let (promotion, value) = self.driver.run(&partition, &with_vault(slots), step).await?;
        Ok(promoted(promotion, value))
    }

    /// Reports an upload of which a row is not what was sealed, and drops it.
    async fn drop_damaged<T>(&self, account: &AccountId, upload: StageId) -> Result<Swap<T>, VaultError> {
        self.report(account, Harm::Held).await;
        let drop = |draft: &mut Draft<'_>| drop_stage(draft, upload);
        let dropped = self.driver.run(&Partition::account(account), &VAULT_SLOTS, drop).await?;
        self.tidy(account, (dropped == Promotion::Void).then_some(upload)).await;
        Ok(Swap::Void)
    }

    /// The record of a live upload of this name.
    async fn upload(&self, partition: &Partition, upload: StageId) -> Result<Option<Staged>, VaultError> {
        let seen = self.driver.observe(partition, &VAULT_SLOTS, step::staged).await?;
        let is_it = |staged: &Staged| staged.phase == Phase::Uploading && staged.stage() == upload;
        Ok(seen.and_then(|(staged, live)| (live && is_it(&staged)).then_some(staged)))
    }

    async fn staged_marks(&self, partition: &Partition, upload: StageId) -> Result<Vec<(CipherId, Mark)>, VaultError> {
        self.store.staged(partition, upload).await.map_err(VaultError::Load)
    }
}

/// Checks the rows of an upload, whose marks carry short nonces, as a submission would be checked.
fn check_stage(rows: &[(CipherId, Mark)], manifest: &VaultManifest) -> Result<(), Difference> {
    let nonces: Vec<(CipherId, ClientNonce)> = rows.iter().map(|&(id, mark)| (id, seal::nonce_of(mark))).collect();
    check_nonces(&nonces, manifest)
}

/// The ciphers of a part that the vault has not.
fn unknown(part: &Submission<'_>, manifest: &VaultManifest) -> Option<Difference> {
    let mut faults = part.faults().clone();
    for (id, ..) in part.iter() {
        if manifest.row(id).is_none() {
            faults.of_id(Fault::Unknown, id);
        }
    }
    (faults.count(Fault::Unknown) > 0).then_some(faults)
}

/// The faults that a part has by itself.
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
