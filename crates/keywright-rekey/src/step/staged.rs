//! Vaults that are staged beside the current one: held back, or still being uploaded.

use keywright_core::{Event, UnixSeconds};
use keywright_store::{Draft, Revision, StageId, StepError, VaultWrite};

use super::swap::{Next, belongs, replace};
use super::{drop_held, open};
use crate::digest::Digest;
use crate::events::{VAULT_DROPPED, VAULT_HELD};
use crate::outcome::{HoldOutcome, Promotion};
use crate::seal::Fresh;
use crate::stage::{CheckedStage, StagedSwap};
use crate::state::{HELD, Phase, Staged};

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
