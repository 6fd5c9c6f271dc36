//! Ordinary edits, which put and delete ciphers and update the head's count and digest.

use std::fmt;

use keywright_store::{CipherId, ClientNonce, Draft, Mark, Revision, Row, RowMarks, StepError, VaultWrite};

use super::open;
use crate::outcome::EditOutcome;
use crate::policy::{AtRest, VaultPolicy};
use crate::seal::{self, Marks, NewText, Sealer};
use crate::state::{VAULT, VaultHead};

/// A cipher to insert or replace: its text as sent, already checked, and the application's note.
#[derive(Clone, Copy)]
pub struct Put<'t> {
    id: CipherId,
    nonce: ClientNonce,
    text: &'t str,
    note: &'t [u8],
}

impl<'t> Put<'t> {
    /// Creates the put of a cipher. `nonce` is what [`Limits::check`](crate::Limits::check)
    /// returned for `text`.
    #[must_use]
    pub const fn new(id: CipherId, nonce: ClientNonce, text: &'t str, note: &'t [u8]) -> Self {
        Self { id, nonce, text, note }
    }

    /// Returns the cipher's id.
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

/// Ordinary edits, of which all are applied or none. A cipher whose id is in both lists is put.
#[derive(Debug, Clone, Default)]
pub struct Edit<'t> {
    put: Vec<Put<'t>>,
    delete: Vec<CipherId>,
}

impl<'t> Edit<'t> {
    /// Creates an edit of ciphers to put and ciphers to delete; deleting an absent one is not an
    /// error.
    #[must_use]
    pub const fn new(put: Vec<Put<'t>>, delete: Vec<CipherId>) -> Self {
        Self { put, delete }
    }

    /// Returns the ids in the edit, as [`Vaults::existing`](crate::Vaults::existing) takes them.
    #[must_use]
    pub fn ids(&self) -> Vec<CipherId> {
        self.put.iter().map(Put::id).chain(self.delete.iter().copied()).collect()
    }
}

/// A row that exists: its marks, and the length of its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    marks: RowMarks,
    text_bytes: u64,
}

impl Found {
    pub(crate) fn new(marks: RowMarks, text_bytes: usize) -> Self {
        Self { marks, text_bytes: u64::try_from(text_bytes).unwrap_or(u64::MAX) }
    }

    pub(crate) const fn id(&self) -> CipherId {
        self.marks.id
    }
}

/// The ciphers of a vault that existed when it was read, with their marks: all of them, or those
/// that were requested. An edit needs it to update the count and digest in the head, and is refused
/// if the head has moved since.
#[derive(Debug, Clone)]
pub struct Existing {
    head: Revision,
    /// The requested ids, sorted; `None` if all were requested.
    requested: Option<Vec<CipherId>>,
    /// The rows that exist, sorted by id.
    found: Vec<Found>,
}

impl Existing {
    pub(crate) fn new(head: Revision, requested: Option<Vec<CipherId>>, mut found: Vec<Found>) -> Self {
        found.sort_unstable_by_key(Found::id);
        let requested = requested.map(|mut requested| {
            requested.sort_unstable();
            requested
        });
        Self { head, requested, found }
    }

    /// Returns the head at which this was read.
    #[must_use]
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// Whether a cipher that was requested exists.
    #[must_use]
    pub fn contains(&self, id: CipherId) -> bool {
        self.found(id).is_some()
    }

    /// Returns the length of a cipher's text as sent, in bytes, if it was requested and exists.
    pub(crate) fn text_bytes(&self, id: CipherId) -> Option<u64> {
        self.found(id).map(|found| found.text_bytes)
    }

    fn found(&self, id: CipherId) -> Option<&Found> {
        self.found.binary_search_by_key(&id, Found::id).ok().and_then(|at| self.found.get(at))
    }

    fn was_asked(&self, id: CipherId) -> bool {
        self.requested.as_ref().is_none_or(|requested| requested.binary_search(&id).is_ok())
    }
}

/// The rows that an edit removes from the vault: those that it replaces, and those that it deletes.
struct Replaced {
    gone: Vec<RowMarks>,
    text_bytes: u64,
}

pub(crate) fn edit(
    draft: &mut Draft<'_>,
    policy: &VaultPolicy,
    edit: &Edit<'_>,
    existing: &Existing,
    key_epoch: u64,
) -> Result<EditOutcome, StepError> {
    let Some((revision, mut head)) = open(draft)? else { return Ok(EditOutcome::HeadMoved) };
    // The fence is checked first: a client that writes under an old key must not be advised to read
    // again and retry.
    if draft.root()?.key_epoch != key_epoch {
        return Ok(EditOutcome::Fenced);
    }
    if revision != existing.head {
        return Ok(EditOutcome::HeadMoved);
    }
    let Some(Replaced { gone, text_bytes }) = replaced(edit, existing)? else { return Ok(EditOutcome::Twice) };
    let length = |put: &Put<'_>| u64::try_from(put.text.len()).unwrap_or(u64::MAX);
    let put_bytes = edit.put.iter().fold(0_u64, |sum, put| sum.saturating_add(length(put)));
    let bytes = head.text_bytes.saturating_add(put_bytes).saturating_sub(text_bytes);
    let size = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    let count = head.count.saturating_add(size(edit.put.len())).saturating_sub(size(gone.len()));
    if count > policy.most_ciphers() && count > head.count {
        return Ok(EditOutcome::Full { limit: policy.most_ciphers() });
    }
    if let Some(limit) = policy.too_large((head.count, head.text_bytes), (count, bytes)) {
        return Ok(EditOutcome::TooLarge { limit });
    }
    let rows = rows(draft, policy, &head, edit)?;
    head.set_digest(head.digest().replace(&head.digest_key, &gone, rows.iter().map(|row| &row.marks)));
    head.text_bytes = bytes;
    head.edits = head.edits.saturating_add(1);
    head.as_sent |= policy.at_rest() == AtRest::AsSent && !edit.put.is_empty();
    draft.put(VAULT, &head)?;
    draft.write_vault(VaultWrite::Edit { put: rows, delete: deleted(edit) })?;
    Ok(EditOutcome::Done { head: draft.attempt(), count })
}

/// Returns the rows that an edit replaces and deletes, or `None` if it puts a cipher twice.
fn replaced(edit: &Edit<'_>, existing: &Existing) -> Result<Option<Replaced>, StepError> {
    let mut put = edit.put.iter().map(Put::id).collect::<Vec<_>>();
    put.sort_unstable();
    if put.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Ok(None);
    }
    let touched = || put.iter().copied().chain(deleted(edit));
    if !touched().all(|id| existing.was_asked(id)) {
        return Err(StepError::Misuse("the edit names a cipher that `existing` does not cover"));
    }
    let mut replaced = Replaced { gone: Vec::new(), text_bytes: 0 };
    for found in touched().filter_map(|id| existing.found(id)) {
        replaced.gone.push(found.marks);
        replaced.text_bytes = replaced.text_bytes.saturating_add(found.text_bytes);
    }
    Ok(Some(replaced))
}

/// Returns the ids to delete, sorted, without duplicates and without those that are put.
fn deleted(edit: &Edit<'_>) -> Vec<CipherId> {
    let mut put = edit.put.iter().map(Put::id).collect::<Vec<_>>();
    put.sort_unstable();
    let mut delete = edit.delete.clone();
    delete.retain(|id| put.binary_search(id).is_err());
    delete.sort_unstable();
    delete.dedup();
    delete
}

fn rows(draft: &Draft<'_>, policy: &VaultPolicy, head: &VaultHead, edit: &Edit<'_>) -> Result<Vec<Row>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    // The mark of a note is set with the note, below.
    let note = Mark([0; 16]);
    let texts = edit.put.iter().map(|put| NewText { id: put.id, nonce: put.nonce, note, text: put.text });
    let mut sealer = Sealer::new(&head.key, &account);
    let mut rows = seal::rows(&mut sealer, (policy.at_rest(), Marks::Random), draft.entropy(), texts)?;
    let mut notes = Sealer::new(&head.note_key, &account);
    for (row, put) in rows.iter_mut().zip(&edit.put) {
        (row.marks.note, row.note) = notes.note(draft.entropy(), put.id, put.note)?;
    }
    Ok(rows)
}
