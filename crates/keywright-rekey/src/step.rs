//! The pure transitions of a vault: create, look, edit, swap, hold, promote, drop.

use alloc::vec::Vec;
use core::fmt;

use keywright_core::{EventKind, UnixSeconds};
use keywright_store::{CipherId, Draft, Manifest, Mark, Revision, Row, Slot, StageId, StepError, VaultWrite};

use crate::policy::{AtRest, VaultPolicy};
use crate::seal::{self, Fresh, SealedSwap, Sealer};
use crate::state::{Phase, Staged, VaultHead};

/// What is known of a vault without its ciphers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The vault's version: every change of a cipher moves it.
    pub revision: Revision,
    /// How many ciphers it has.
    pub count: u64,
    /// The last swap; the making of the vault, before the first.
    pub rekeyed: UnixSeconds,
    /// The account's key epoch: moved by every swap, so a device of an older one holds another key.
    pub key_epoch: u64,
}

/// A cipher to insert or replace: its text as sent, already checked, and the application's note.
#[derive(Clone, Copy)]
pub struct Put<'t> {
    id: CipherId,
    mark: Mark,
    text: &'t str,
    note: &'t [u8],
}

impl<'t> Put<'t> {
    /// A cipher. `mark` is what [`Limits::check`](crate::Limits::check) gave for `text`.
    #[must_use]
    pub const fn new(id: CipherId, mark: Mark, text: &'t str, note: &'t [u8]) -> Self {
        Self { id, mark, text, note }
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> CipherId {
        self.id
    }
}

impl fmt::Debug for Put<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Put({:?}, {} bytes)", self.id, self.text.len())
    }
}

/// Ordinary edits, all or none. An id in both lists is put.
#[derive(Debug, Clone, Default)]
pub struct Edit<'t> {
    put: Vec<Put<'t>>,
    delete: Vec<CipherId>,
}

impl<'t> Edit<'t> {
    /// Ciphers to put and ciphers to delete; deleting an absent one is no error.
    #[must_use]
    pub const fn new(put: Vec<Put<'t>>, delete: Vec<CipherId>) -> Self {
        Self { put, delete }
    }

    /// The ids it names, as [`Vaults::existing`](crate::Vaults::existing) wants them.
    #[must_use]
    pub fn ids(&self) -> Vec<CipherId> {
        self.put.iter().map(Put::id).chain(self.delete.iter().copied()).collect()
    }
}

/// Which ciphers a vault has at one head, of all or of those asked about. An edit rests on it: it counts by it and
/// conflicts if the head has moved.
#[derive(Debug, Clone)]
pub struct Existing {
    head: Revision,
    /// Those asked about, sorted; `None` if all were.
    asked: Option<Vec<CipherId>>,
    /// Those that exist, sorted.
    found: Vec<CipherId>,
}

impl Existing {
    pub(crate) fn new(head: Revision, asked: Option<Vec<CipherId>>, mut found: Vec<CipherId>) -> Self {
        found.sort_unstable();
        let asked = asked.map(|mut asked| {
            asked.sort_unstable();
            asked
        });
        Self { head, asked, found }
    }

    /// Of all ciphers, from a manifest; `None` if it is of no vault.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let found = manifest.entries.iter().map(|&(id, _)| id).collect();
        manifest.head.as_ref().map(|head| Self::new(head.revision, None, found))
    }

    /// The head at which this was so.
    #[must_use]
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// Whether a cipher that was asked about exists.
    #[must_use]
    pub fn contains(&self, id: CipherId) -> bool {
        self.found.binary_search(&id).is_ok()
    }

    fn was_asked(&self, id: CipherId) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.binary_search(&id).is_ok())
    }
}

/// The outcome of making a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Creating {
    /// It is made, and empty.
    Created,
    /// The account has one already; it is left as it is.
    Exists,
}

/// The outcome of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Editing {
    /// It is done, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has then.
        count: u64,
    },
    /// The vault is not the one that `existing` was read from: read again.
    HeadMoved,
    /// The writer's key epoch is not the account's: it would write under a key that the owner no longer uses.
    Fenced,
    /// The vault would hold more than the policy allows.
    Full {
        /// The most.
        limit: u64,
    },
    /// One cipher is put twice.
    Twice,
}

/// The outcome of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Swapping {
    /// Every cipher is replaced, the epochs are moved, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// The vault is not the one that was checked. Nothing is replaced.
    HeadMoved,
}

/// The outcome of holding a staged vault back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Holding {
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
    /// None is held.
    Nothing,
}

/// A whole vault that lies in the store beside the vault. Made only from a [`SealedSwap`].
#[must_use = "a stage that is not held is to be dropped; else it lies there until it is swept"]
pub struct StagedSwap {
    /// Without its rows, which lie in the store.
    pub(crate) swap: SealedSwap,
    pub(crate) ciphers: u64,
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

/// The vault's revision and record, if there is one.
pub(crate) fn open(draft: &mut Draft<'_>) -> Result<Option<(Revision, VaultHead)>, StepError> {
    let record = draft.read::<VaultHead>(Slot::VaultHead)?;
    Ok(draft.revision(Slot::VaultHead)?.zip(record))
}

pub(crate) fn create(draft: &mut Draft<'_>) -> Result<Creating, StepError> {
    if draft.read::<VaultHead>(Slot::VaultHead)?.is_some() {
        return Ok(Creating::Exists);
    }
    let head = VaultHead::new(draft.entropy(), draft.now())?;
    draft.put(Slot::VaultHead, &head, None)?;
    Ok(Creating::Created)
}

pub(crate) fn head(draft: &mut Draft<'_>) -> Result<Option<Head>, StepError> {
    let Some((revision, record)) = open(draft)? else { return Ok(None) };
    let key_epoch = draft.root()?.key_epoch;
    Ok(Some(Head { revision, count: record.count, rekeyed: record.rekeyed, key_epoch }))
}

pub(crate) fn edit(
    draft: &mut Draft<'_>,
    policy: &VaultPolicy,
    edit: &Edit<'_>,
    existing: &Existing,
    key_epoch: u64,
) -> Result<Editing, StepError> {
    let Some((revision, mut head)) = open(draft)? else { return Ok(Editing::HeadMoved) };
    // The fence first: who writes under an old key is not told to read again and try once more.
    if draft.root()?.key_epoch != key_epoch {
        return Ok(Editing::Fenced);
    }
    if revision != existing.head {
        return Ok(Editing::HeadMoved);
    }
    let Some(count) = counted(edit, existing, head.count)? else { return Ok(Editing::Twice) };
    if count > policy.most_ciphers() && count > head.count {
        return Ok(Editing::Full { limit: policy.most_ciphers() });
    }
    let rows = rows(draft, policy, &head, edit)?;
    head.count = count;
    head.as_sent |= policy.at_rest() == AtRest::AsSent && !edit.put.is_empty();
    draft.put(Slot::VaultHead, &head, None)?;
    draft.write_vault(VaultWrite::Edit { put: rows, delete: edit.delete.clone() })?;
    Ok(Editing::Done { head: draft.attempt(), count })
}

/// How many ciphers there are after an edit; `None` if it puts one twice.
fn counted(edit: &Edit<'_>, existing: &Existing, before: u64) -> Result<Option<u64>, StepError> {
    let mut put = edit.put.iter().map(Put::id).collect::<Vec<_>>();
    let mut delete = edit.delete.clone();
    put.sort_unstable();
    delete.sort_unstable();
    delete.dedup();
    if put.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Ok(None);
    }
    if !put.iter().chain(&delete).all(|&id| existing.was_asked(id)) {
        return Err(StepError::Misuse("an edit names a cipher whose existence was not looked up"));
    }
    let new = put.iter().filter(|&&id| !existing.contains(id)).count();
    let gone = delete.iter().filter(|&&id| existing.contains(id) && put.binary_search(&id).is_err()).count();
    let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    Ok(Some(before.saturating_add(count(new)).saturating_sub(count(gone))))
}

fn rows(draft: &Draft<'_>, policy: &VaultPolicy, head: &VaultHead, edit: &Edit<'_>) -> Result<Vec<Row>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let texts = edit.put.iter().map(|put| (put.id, put.mark, put.text));
    let mut sealer = Sealer::new(&head.key, &account);
    let mut rows = seal::rows(&mut sealer, policy.at_rest(), draft.entropy(), texts)?;
    let mut notes = Sealer::new(&head.note_key, &account);
    for (row, put) in rows.iter_mut().zip(&edit.put) {
        row.meta = notes.note(draft.entropy(), put.id, put.note)?;
    }
    Ok(rows)
}

pub(crate) fn swap(draft: &mut Draft<'_>, sealed: &SealedSwap) -> Result<Swapping, StepError> {
    belongs(draft, sealed)?;
    let Some((revision, head)) = open(draft)? else { return Ok(Swapping::HeadMoved) };
    if Some(revision) != sealed.head {
        return Ok(Swapping::HeadMoved);
    }
    let write = VaultWrite::Swap { rows: sealed.rows.clone() };
    let ciphers = replace(draft, &head, sealed.fresh.duplicate(), write)?;
    drop_held(draft)?;
    Ok(Swapping::Done { head: draft.attempt(), ciphers })
}

/// Replaces every cipher: a new head with a new key, and the epochs moved (`decisions.md` 6), so that sessions, pending
/// confirmations, held vaults and stale devices are void.
fn replace(draft: &mut Draft<'_>, head: &VaultHead, fresh: Fresh, write: VaultWrite) -> Result<u64, StepError> {
    let now = draft.now();
    draft.put(Slot::VaultHead, &head.rekeyed(fresh, now), None)?;
    draft.write_vault(write)?;
    let mut root = draft.root()?;
    root.move_key_epoch();
    root.move_credential_epoch();
    draft.put_root(&root)?;
    draft.event(EventKind::VaultSwapped { ciphers: head.count });
    Ok(head.count)
}

/// A swap is sealed for one account; in another's draft nothing of it would open.
fn belongs(draft: &Draft<'_>, sealed: &SealedSwap) -> Result<(), StepError> {
    if draft.partition().as_account().as_ref() == Some(&sealed.account) {
        Ok(())
    } else {
        Err(StepError::Misuse("a swap of another account"))
    }
}

pub(crate) fn hold(draft: &mut Draft<'_>, staged: &StagedSwap) -> Result<Holding, StepError> {
    belongs(draft, &staged.swap)?;
    let Some((revision, _)) = open(draft)?.filter(|(revision, _)| Some(*revision) == staged.swap.head) else {
        return Ok(Holding::HeadMoved);
    };
    keep(draft, Phase::Held, (staged.stage, revision), &staged.swap.fresh, staged.until)?;
    draft.event(EventKind::VaultHeld { ciphers: staged.ciphers });
    Ok(Holding::Held)
}

/// Puts the record of a stage in place of whatever was staged before.
pub(crate) fn keep(
    draft: &mut Draft<'_>,
    phase: Phase,
    (stage, head): (StageId, Revision),
    fresh: &Fresh,
    until: UnixSeconds,
) -> Result<(), StepError> {
    if draft.read::<Staged>(Slot::Held)?.is_some_and(|old| old.phase == Phase::Held) {
        draft.event(EventKind::VaultDropped);
    }
    let root = draft.root()?;
    let record = Staged::new(phase, stage, head, fresh, &root, (draft.now(), until));
    draft.put(Slot::Held, &record, Some(until))
}

/// What is staged, and whether all that it rests on still stands.
pub(crate) fn staged(draft: &mut Draft<'_>) -> Result<Option<(Staged, bool)>, StepError> {
    let Some(staged) = draft.read::<Staged>(Slot::Held)? else { return Ok(None) };
    let head = open(draft)?.map(|(revision, _)| revision);
    let live = staged.is_live(draft.now(), draft.keyring().fence(), &draft.root()?, head);
    Ok(Some((staged, live)))
}

pub(crate) fn promote(draft: &mut Draft<'_>) -> Result<Promotion, StepError> {
    match staged(draft)? {
        // What is still being uploaded was never checked whole.
        None | Some((Staged { phase: Phase::Uploading, .. }, _)) => Ok(Promotion::Nothing),
        Some((_, false)) => {
            drop_held(draft)?;
            Ok(Promotion::Void)
        }
        Some((staged, true)) => promote_stage(draft, &staged),
    }
}

/// Makes a live stage the vault.
pub(crate) fn promote_stage(draft: &mut Draft<'_>, staged: &Staged) -> Result<Promotion, StepError> {
    let Some((_, head)) = open(draft)? else { return Ok(Promotion::Void) };
    let ciphers = replace(draft, &head, staged.fresh(), VaultWrite::Promote { stage: staged.stage() })?;
    draft.delete(Slot::Held)?;
    Ok(Promotion::Done { head: draft.attempt(), ciphers })
}

/// The stage that the record names.
pub(crate) fn stage(draft: &mut Draft<'_>) -> Result<Option<StageId>, StepError> {
    Ok(draft.read::<Staged>(Slot::Held)?.map(|staged| staged.stage()))
}

/// Drops the record of what is staged, not its rows. Gives whether a held vault was there.
pub(crate) fn drop_held(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let Some(staged) = draft.read::<Staged>(Slot::Held)? else { return Ok(false) };
    draft.delete(Slot::Held)?;
    let was_held = staged.phase == Phase::Held;
    if was_held {
        draft.event(EventKind::VaultDropped);
    }
    Ok(was_held)
}
