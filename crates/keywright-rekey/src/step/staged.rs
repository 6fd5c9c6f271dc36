//! Vaults that are staged beside the vault: held back, or still being uploaded.

use std::fmt;

use keywright_core::{Event, UnixSeconds};
use keywright_store::{CipherId, Draft, Mark, Revision, StageId, StepError, VaultWrite};

use super::swap::{Next, belongs, replace};
use super::{drop_held, open};
use crate::digest::Digest;
use crate::events::{VAULT_DROPPED, VAULT_HELD};
use crate::seal::{Fresh, SealedSwap};
use crate::state::{HELD, Phase, Staged};

/// The outcome of holding a staged vault back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum HoldOutcome {
    /// It waits for [`promote_in`](crate::VaultSteps::promote_in). One that waited before is void.
    Held,
    /// The vault is not the one that was checked.
    HeadMoved,
}

/// The outcome of promoting a held vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Promotion {
    /// The held vault is the vault, the epochs are moved, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// What it rests on has changed, or its time is over. It is dropped.
    Void,
    /// Another vault is held than the one whose rows were looked at. It is left alone: look again.
    Other,
    /// None is held.
    Nothing,
}

/// A whole vault that lies in the store beside the vault. Made only from a [`SealedSwap`].
#[must_use = "a stage that is not held is to be dropped; else it lies there until it is swept"]
pub struct StagedSwap {
    /// Without its rows, which lie in the store.
    pub(crate) swap: SealedSwap,
    pub(crate) stage: StageId,
    pub(crate) until: UnixSeconds,
}

impl StagedSwap {
    /// Its name, for [`Vaults::unstage`](crate::Vaults::unstage) if it is not held after all.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// Until when it can be promoted, exclusive.
    #[must_use]
    pub const fn until(&self) -> UnixSeconds {
        self.until
    }

    /// The head of the vault that it was checked against.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.swap.head
    }
}

impl fmt::Debug for StagedSwap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedSwap").field("stage", &self.stage).field("until", &self.until).finish_non_exhaustive()
    }
}

/// The rows of a stage as they were read and checked: a promotion moves exactly these, or nothing. Made by
/// [`Vaults::covered`](crate::Vaults::covered).
#[must_use = "what was checked is not promoted yet"]
#[derive(Clone)]
pub struct CheckedStage {
    pub(crate) stage: StageId,
    /// The head of the vault that they were checked against.
    pub(crate) head: Revision,
    /// Sorted by id.
    pub(crate) rows: Vec<(CipherId, Mark)>,
    /// Of the rows, beside the notes that the vault has.
    pub(crate) digest: Digest,
}

impl CheckedStage {
    /// The stage.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// How many ciphers it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none: a stage of an empty vault.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for CheckedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedStage({:?}, {} ciphers)", self.stage, self.rows.len())
    }
}

pub(crate) fn hold(draft: &mut Draft<'_>, staged: &StagedSwap) -> Result<HoldOutcome, StepError> {
    belongs(draft, &staged.swap)?;
    let Some((revision, _)) = open(draft)?.filter(|(revision, _)| Some(*revision) == staged.swap.head) else {
        return Ok(HoldOutcome::HeadMoved);
    };
    let Digest { count, hashes } = staged.swap.digest;
    let phase = Phase::Held { count, hashes, text_bytes: staged.swap.text_bytes };
    keep(draft, phase, (staged.stage, revision), &staged.swap.fresh, staged.until)?;
    draft.event(Event::new(&VAULT_HELD).with("ciphers", count));
    Ok(HoldOutcome::Held)
}

/// Puts the record of a stage in place of whatever was staged before.
pub(crate) fn keep(
    draft: &mut Draft<'_>,
    phase: Phase,
    (stage, head): (StageId, Revision),
    fresh: &Fresh,
    until: UnixSeconds,
) -> Result<(), StepError> {
    if draft.read(HELD)?.is_some_and(|old| old.phase.is_held()) {
        draft.event(&VAULT_DROPPED);
    }
    let root = draft.root()?;
    let record = Staged::new(phase, (stage, head), fresh, &root, (draft.now(), until));
    draft.put_until(HELD, &record, until)
}

/// What is staged, and whether all that it rests on still stands.
pub(crate) fn staged(draft: &mut Draft<'_>) -> Result<Option<(Staged, bool)>, StepError> {
    let Some(staged) = draft.read(HELD)? else { return Ok(None) };
    let head = open(draft)?.map(|(revision, _)| revision);
    let live = staged.is_live(draft.now(), draft.keyring().fence(), &draft.root()?, head);
    Ok(Some((staged, live)))
}

/// Makes the held vault the vault, if the rows that were checked are those that were held.
pub(crate) fn promote(draft: &mut Draft<'_>, checked: &CheckedStage) -> Result<Promotion, StepError> {
    let Some((staged, live)) = staged(draft)? else { return Ok(Promotion::Nothing) };
    // What is still being uploaded was never checked whole.
    let Phase::Held { count, hashes, text_bytes } = staged.phase else { return Ok(Promotion::Nothing) };
    if !live {
        drop_held(draft)?;
        return Ok(Promotion::Void);
    }
    if checked.stage != staged.stage() || checked.digest != (Digest { count, hashes }) {
        return Ok(Promotion::Other);
    }
    promote_rows(draft, &staged, checked, Some(text_bytes))
}

/// Makes an upload the vault, if it is the one that was checked, against the head that is there.
pub(crate) fn promote_upload(draft: &mut Draft<'_>, checked: &CheckedStage) -> Result<Promotion, StepError> {
    match staged(draft)? {
        Some((staged, true))
            if staged.phase == Phase::Uploading && staged.stage() == checked.stage && staged.head() == checked.head =>
        {
            promote_rows(draft, &staged, checked, None)
        }
        _ => Ok(Promotion::Void),
    }
}

fn promote_rows(
    draft: &mut Draft<'_>,
    staged: &Staged,
    checked: &CheckedStage,
    text_bytes: Option<u64>,
) -> Result<Promotion, StepError> {
    let Some((_, head)) = open(draft)? else { return Ok(Promotion::Void) };
    let write = VaultWrite::Promote { stage: checked.stage, rows: checked.rows.clone() };
    let next = Next { fresh: staged.fresh(), digest: checked.digest, text_bytes };
    let ciphers = replace(draft, &head, next, write)?;
    draft.delete(HELD)?;
    Ok(Promotion::Done { head: draft.attempt(), ciphers })
}

/// The stage that the record names.
pub(crate) fn stage(draft: &mut Draft<'_>) -> Result<Option<StageId>, StepError> {
    Ok(draft.read(HELD)?.map(|staged| staged.stage()))
}
