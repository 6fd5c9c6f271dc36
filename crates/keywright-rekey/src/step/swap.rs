//! The swap of a whole vault, and what it shares with a promotion.

use keywright_core::Event;
use keywright_store::{Draft, StepError, VaultWrite};

use super::{drop_held, open};
use crate::digest::Digest;
use crate::events::VAULT_SWAPPED;
use crate::outcome::SwapOutcome;
use crate::seal::{Fresh, SealedSwap};
use crate::state::{VAULT, VaultHead};

pub(crate) fn swap(draft: &mut Draft<'_>, sealed: &SealedSwap) -> Result<SwapOutcome, StepError> {
    belongs(draft, sealed)?;
    let Some((revision, head)) = open(draft)? else { return Ok(SwapOutcome::HeadMoved) };
    if Some(revision) != sealed.head {
        return Ok(SwapOutcome::HeadMoved);
    }
    let next = Next { fresh: sealed.fresh.duplicate(), digest: sealed.digest, text_bytes: Some(sealed.text_bytes) };
    let ciphers = replace(draft, &head, next, VaultWrite::Swap { rows: sealed.rows.clone() })?;
    drop_held(draft)?;
    Ok(SwapOutcome::Done { head: draft.attempt(), ciphers })
}

/// The new state of the vault: its keys, its digest, and the total length of its texts where that
/// is known.
pub(super) struct Next {
    pub(super) fresh: Fresh,
    pub(super) digest: Digest,
    pub(super) text_bytes: Option<u64>,
}

/// Replaces every cipher. The vault gets a new head with new keys, and the epochs move
/// (`docs/decisions.md` 6), so that sessions, pending confirmations, held vaults and stale devices
/// are void.
pub(super) fn replace(
    draft: &mut Draft<'_>,
    head: &VaultHead,
    next: Next,
    write: VaultWrite,
) -> Result<u64, StepError> {
    let Next { fresh, digest, text_bytes } = next;
    if digest.count != head.count {
        return Err(StepError::Misuse("the vault was checked against rows that were not compared with its head"));
    }
    draft.put(VAULT, &head.rekeyed(fresh, digest, text_bytes, draft.now()))?;
    draft.write_vault(write)?;
    draft.move_key_epoch()?;
    draft.move_credential_epoch()?;
    draft.event(Event::new(&VAULT_SWAPPED).with("ciphers", head.count));
    Ok(head.count)
}

/// Checks that the swap was sealed for the draft's account; in another account's draft nothing of
/// it would open.
pub(super) fn belongs(draft: &Draft<'_>, sealed: &SealedSwap) -> Result<(), StepError> {
    if draft.partition().as_account().as_ref() == Some(&sealed.account) {
        Ok(())
    } else {
        Err(StepError::Misuse("the swap was sealed for another account"))
    }
}
