//! The pure transitions of a vault: create, read the head, edit, swap, hold, promote, drop.

pub(crate) mod edit;
pub(crate) mod staged;
pub(crate) mod swap;

use keywright_core::UnixSeconds;
use keywright_store::{Draft, Revision, StepError, released_as_is};

pub(crate) use edit::edit;
pub use edit::{Edit, Existing, Put};
pub(crate) use staged::{hold, keep, promote, promote_upload, stage, staged};
pub(crate) use swap::swap;

use crate::events::VAULT_DROPPED;
use crate::outcome::CreateOutcome;
use crate::state::{HELD, VAULT, VaultHead};

/// What is known of a vault without its ciphers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The vault's version: every change of a cipher moves it.
    pub revision: Revision,
    /// The number of ciphers in the vault.
    pub count: u64,
    /// The number of edits of the vault so far. An edit that is based on this head is the next one.
    /// An application that notes it with each cipher of an edit knows, without trusting a clock,
    /// which ciphers were edited after a read.
    pub edits: u64,
    /// The time of the last swap, or of the vault's creation if there was none.
    pub rekeyed: UnixSeconds,
    /// The account's key epoch. Every swap moves it, so a device with an older one has another key.
    pub key_epoch: u64,
}

impl Head {
    pub(crate) const fn of(revision: Revision, record: &VaultHead, key_epoch: u64) -> Self {
        Self { revision, count: record.count, edits: record.edits, rekeyed: record.rekeyed, key_epoch }
    }
}

released_as_is!(Head);

/// Returns the vault's revision and record, if there is one.
pub(crate) fn open(draft: &mut Draft<'_>) -> Result<Option<(Revision, VaultHead)>, StepError> {
    let record = draft.read(VAULT)?;
    Ok(draft.revision(VAULT).zip(record))
}

pub(crate) fn create(draft: &mut Draft<'_>) -> Result<CreateOutcome, StepError> {
    if draft.read(VAULT)?.is_some() {
        return Ok(CreateOutcome::Exists);
    }
    let head = VaultHead::new(draft.entropy(), draft.now())?;
    draft.put(VAULT, &head)?;
    Ok(CreateOutcome::Created)
}

pub(crate) fn head(draft: &mut Draft<'_>) -> Result<Option<Head>, StepError> {
    let Some((revision, record)) = open(draft)? else { return Ok(None) };
    Ok(Some(Head::of(revision, &record, draft.root()?.key_epoch)))
}

/// Drops the record of what is staged, but not its rows. Returns whether there was a held vault.
pub(crate) fn drop_held(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let Some(staged) = draft.read(HELD)? else { return Ok(false) };
    draft.delete(HELD)?;
    let was_held = staged.phase.is_held();
    if was_held {
        draft.event(&VAULT_DROPPED);
    }
    Ok(was_held)
}
