//! Vaults that are staged beside the current one: held back, or still being uploaded.

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
    /// The vault waits for [`promote_in`](crate::VaultSteps::promote_in). One that was held before
    /// is void.
    Held,
    /// The vault is not the one against which the staged one was checked.
    HeadMoved,
}

/// The outcome of promoting a held vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Promotion {
    /// The held vault becomes the current one, and the epochs move, once the draft is committed.
    Done {
        /// The vault's head after the promotion.
        head: Revision,
        /// The number of ciphers in the vault.
        ciphers: u64,
    },
    /// What it depends on has changed, or it has expired. It is dropped.
    Void,
    /// The vault that is held is not the one whose rows were checked. It is left unchanged: check
    /// again.
    Other,
    /// No vault is held.
    Nothing,
}

/// A whole vault that is stored beside the current one. It is made only from a [`SealedSwap`].
#[must_use = "a stage that is not held is to be dropped; else it lies there until it is swept"]
pub struct StagedSwap {
    /// The swap without its rows, which are in the store.
    pub(crate) swap: SealedSwap,
    pub(crate) stage: StageId,
    pub(crate) until: UnixSeconds,
}

impl StagedSwap {
    /// Returns the identifier of the stage, for [`Vaults::unstage`](crate::Vaults::unstage) if it
    /// is not held after all.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// Returns the time until which it can be promoted, exclusive.
    #[must_use]
    pub const fn until(&self) -> UnixSeconds {
        self.until
    }

    /// Returns the head of the vault that it was checked against.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.swap.head
    }
}

keywright_core::redacted_debug!(StagedSwap { stage, until, .. });

/// The rows of a stage as they were read and checked: a promotion moves exactly these, or nothing.
/// Only [`Vaults::covered`](crate::Vaults::covered) and the finish of an upload make one.
#[must_use = "what was checked is not promoted yet"]
#[derive(Clone)]
pub struct CheckedStage {
    pub(crate) stage: StageId,
    /// The head of the vault that they were checked against.
    pub(crate) head: Revision,
    /// The rows, sorted by id.
    pub(crate) rows: Vec<(CipherId, Mark)>,
    /// The digest of the rows with the notes that the vault has.
    pub(crate) digest: Digest,
}

impl CheckedStage {
    /// Returns the stage.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// Returns how many ciphers it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no ciphers, which is a stage of an empty vault.
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

/// Stages the record of a stage, which replaces any earlier one.
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

/// Returns what is staged, and whether everything that it depends on is still current.
pub(crate) fn staged(draft: &mut Draft<'_>) -> Result<Option<(Staged, bool)>, StepError> {
    let Some(staged) = draft.read(HELD)? else { return Ok(None) };
    let head = open(draft)?.map(|(revision, _)| revision);
    let live = staged.is_live(draft.now(), draft.keyring().fence(), &draft.root()?, head);
    Ok(Some((staged, live)))
}

/// Makes the held vault the current one, if the rows that were checked are those that were held.
pub(crate) fn promote(draft: &mut Draft<'_>, checked: &CheckedStage) -> Result<Promotion, StepError> {
    let Some((staged, live)) = staged(draft)? else { return Ok(Promotion::Nothing) };
    // An upload that is not finished was never checked as a whole.
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

/// Makes an upload the current vault, if it is the one that was checked, against the present head.
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

/// Returns the stage that the record names.
pub(crate) fn stage(draft: &mut Draft<'_>) -> Result<Option<StageId>, StepError> {
    Ok(draft.read(HELD)?.map(|staged| staged.stage()))
}
