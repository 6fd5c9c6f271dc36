//! Reading a vault: its rows, and the head that vouches for them.
//!
//! Every change of a row writes a new head, and the head keeps the count and the digest of all
//! rows. So rows that agree with a head are exactly the rows of that head. Rows that do not agree
//! are damaged only if they were read together with the very root under which the head was read,
//! and a second read finds the same.

use std::fmt;

use keywright_core::{AccountId, SecretString, SecretVec};
use keywright_store::{CipherId, ClientNonce, Draft, Partition, Revision, Row, RowMarks, StepError, VaultRows, Which};

use super::Vaults;
use super::harm::Harm;
use crate::check::manifest::VaultManifest;
use crate::digest::Digest;
use crate::error::VaultError;
use crate::policy::VaultPolicy;
use crate::seal::Sealer;
use crate::state::{VAULT_SLOT, VaultHead};
use crate::step::edit::{Existing, Found};
use crate::step::{self, Head};

/// How often a read is attempted, because the account was changed in the meantime or because of
/// what the read found.
pub(super) const TRIES: u32 = 16;

/// A cipher as it was written: the text as sent, and the application's note.
pub struct Cipher {
    marks: RowMarks,
    text: SecretString,
    note: SecretVec,
}

impl Cipher {
    /// Returns the cipher's id.
    #[must_use]
    pub const fn id(&self) -> CipherId {
        self.marks.id
    }

    /// Returns the nonce of the text.
    #[must_use]
    pub const fn nonce(&self) -> ClientNonce {
        self.marks.nonce
    }

    /// Returns the text, byte for byte as it was sent.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// Returns the application's note.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        self.note.expose()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({:?})", self.id())
    }
}

/// Ciphers of a vault, all under one head.
#[derive(Debug)]
#[non_exhaustive]
pub struct Contents {
    /// The head to which they belong.
    pub head: Head,
    /// The ciphers, sorted by id.
    pub ciphers: Vec<Cipher>,
    asked: Option<Vec<CipherId>>,
}

impl Contents {
    /// Returns the state of these ciphers on which an edit is based.
    #[must_use]
    pub fn existing(&self) -> Existing {
        Existing::new(self.head.revision, self.asked.clone(), found(&self.ciphers))
    }
}

/// The head of a vault, and the root under which it was read.
pub(super) struct HeadSnapshot {
    pub(super) root: Option<Revision>,
    pub(super) head: Head,
    pub(super) record: VaultHead,
}

impl HeadSnapshot {
    /// Whether these are the marks of all the vault's rows.
    pub(super) fn vouches_for<'r>(&self, marks: impl IntoIterator<Item = &'r RowMarks>) -> bool {
        Digest::of(&self.record.digest_key, marks) == self.record.digest()
    }
}

/// The data that is requested from the store.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'w> {
    /// The marks of all rows.
    Marks,
    /// The given rows.
    Rows(Which<'w>),
}

impl Vaults {
    /// Returns the head and the marks of every row, compared with each other, for
    /// [`Submission::against`](crate::Submission::against). If the account has no vault, there is
    /// no head.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store fails or the account is busy. Returns
    /// [`VaultError::Damaged`] if the head and the rows disagree.
    pub async fn manifest(&self, account: &AccountId) -> Result<VaultManifest, VaultError> {
        let judge = |seen: &HeadSnapshot, read: VaultRows| {
            let marks = read.marks.unwrap_or_default();
            if seen.vouches_for(&marks) { Ok(marks) } else { Err(Harm::Rows) }
        };
        Ok(match self.verified(account, Wanted::Marks, judge).await? {
            Some((seen, rows)) => VaultManifest::verified(Some(seen.head.revision), rows),
            None => VaultManifest::verified(None, Vec::new()),
        })
    }

    /// Returns ciphers, all under one head, or `None` if the account has no vault. Every text and
    /// note is opened.
    ///
    /// The rows of the vault are compared with its head, even if single ciphers are requested. In
    /// vaults above [`VaultPolicy::checked_with_single_reads`], this is done only if `which`
    /// requests the marks.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store fails or the account is busy. Returns
    /// [`VaultError::Damaged`] if the rows and the head disagree. One cipher that does not open
    /// fails the whole read: it is never omitted.
    pub async fn read(&self, account: &AccountId, which: Which<'_>) -> Result<Option<Contents>, VaultError> {
        let judge = |seen: &HeadSnapshot, read: VaultRows| {
            if !are_whole(seen, which, &read) {
                return Err(Harm::Rows);
            }
            open(account, &seen.record, read.rows).map_err(Harm::Cipher)
        };
        let read = self.verified(account, Wanted::Rows(which), judge).await?;
        Ok(read.map(|(seen, ciphers)| Contents { head: seen.head, ciphers, asked: asked(which) }))
    }

    /// Returns which of `ids` exist, for an edit of them, or `None` if the account has no vault.
    /// The vault is compared with its head as by [`read`](Self::read), and the text and the note of
    /// each cipher are opened: an edit must not overwrite what somebody has altered.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store fails, the account is busy, or the rows and the head
    /// disagree. Returns [`VaultError::Open`] if one of the ciphers does not open.
    pub async fn existing(&self, account: &AccountId, ids: &[CipherId]) -> Result<Option<Existing>, VaultError> {
        let which = Which::Ids { ids, with_marks: false };
        let judge = |seen: &HeadSnapshot, read: VaultRows| {
            if !are_whole(seen, which, &read) {
                return Err(Harm::Rows);
            }
            let ciphers = open(account, &seen.record, read.rows).map_err(Harm::Cipher)?;
            Ok(found(&ciphers))
        };
        let read = self.verified(account, Wanted::Rows(which), judge).await?;
        Ok(read.map(|(seen, found)| Existing::new(seen.head.revision, asked(which), found)))
    }

    /// Reads until the result is consistent. Returns `None` if the account has no vault.
    pub(super) async fn verified<T>(
        &self,
        account: &AccountId,
        wanted: Wanted<'_>,
        judge: impl Fn(&HeadSnapshot, VaultRows) -> Result<T, Harm>,
    ) -> Result<Option<(HeadSnapshot, T)>, VaultError> {
        let mut suspected = None;
        for _ in 0..TRIES {
            let Some(seen) = self.look(account).await? else { return Ok(None) };
            let read = self.fetch(account, wanted, &seen).await?;
            let root = read.root;
            let harm = match judge(&seen, read) {
                Ok(found) => return Ok(Some((seen, found))),
                Err(harm) => harm,
            };
            if root != seen.root {
                continue;
            }
            if suspected == Some(root) {
                self.report(account, harm).await;
                return Err(harm.into());
            }
            suspected = Some(root);
        }
        Err(VaultError::Restless)
    }

    /// Returns the head of the vault, if there is one.
    pub(super) async fn look(&self, account: &AccountId) -> Result<Option<HeadSnapshot>, VaultError> {
        let look = |draft: &mut Draft<'_>| -> Result<Option<HeadSnapshot>, StepError> {
            let Some((revision, record)) = step::open(draft)? else { return Ok(None) };
            let head = Head::of(revision, &record, draft.root()?.key_epoch);
            Ok(Some(HeadSnapshot { root: draft.based_on(), head, record }))
        };
        Ok(self.driver.named("vault.look").observe(&Partition::account(account), &[VAULT_SLOT], look).await?)
    }

    /// Reads from the store, with the marks of all rows where the policy requires them to be
    /// compared.
    async fn fetch(
        &self,
        account: &AccountId,
        wanted: Wanted<'_>,
        seen: &HeadSnapshot,
    ) -> Result<VaultRows, VaultError> {
        let partition = Partition::account(account);
        let read = match wanted {
            Wanted::Marks => self.store.manifest(&partition).await.map(|manifest| VaultRows {
                root: manifest.root,
                rows: Vec::new(),
                marks: Some(manifest.rows),
            }),
            Wanted::Rows(which) => self.store.read(&partition, with_marks(which, seen, self.steps.policy())).await,
        };
        read.map_err(VaultError::Load)
    }
}

fn with_marks<'i>(which: Which<'i>, seen: &HeadSnapshot, policy: &VaultPolicy) -> Which<'i> {
    match which {
        Which::All => Which::All,
        Which::Ids { ids, with_marks } => {
            Which::Ids { ids, with_marks: with_marks || seen.head.count <= policy.checked_with_single_reads() }
        }
    }
}

/// Whether rows are those that the head vouches for, as far as they can be compared.
fn are_whole(seen: &HeadSnapshot, which: Which<'_>, read: &VaultRows) -> bool {
    match (which, &read.marks) {
        (Which::All, _) => seen.vouches_for(read.rows.iter().map(|row| &row.marks)),
        (Which::Ids { ids, .. }, Some(marks)) => seen.vouches_for(marks) && are_of(&read.rows, ids, marks),
        // Nothing proves that the rows are complete, so they must at least belong to the head's own
        // root.
        (Which::Ids { .. }, None) => read.root == seen.root,
    }
}

/// Whether the rows are exactly those of the marks that were requested.
fn are_of(rows: &[Row], ids: &[CipherId], marks: &[RowMarks]) -> bool {
    let find = |id: CipherId| marks.binary_search_by_key(&id, |marks| marks.id).ok().and_then(|at| marks.get(at));
    let has = |id: CipherId| rows.binary_search_by_key(&id, Row::id).is_ok();
    rows.iter().all(|row| find(row.marks.id) == Some(&row.marks)) && ids.iter().all(|&id| find(id).is_none() || has(id))
}

/// Opens rows. The error is the id of the first that does not open.
pub(super) fn open(account: &AccountId, record: &VaultHead, rows: Vec<Row>) -> Result<Vec<Cipher>, CipherId> {
    let mut texts = Sealer::new(&record.key, account);
    let mut notes = Sealer::new(&record.note_key, account);
    let open = |row: Row| {
        let opened = texts.open_text(record.as_sent, &row).zip(notes.open_note(&row));
        let (text, note) = opened.ok_or(row.marks.id)?;
        Ok(Cipher { marks: row.marks, text, note })
    };
    rows.into_iter().map(open).collect()
}

/// Returns what an edit needs to know about ciphers that were opened, with the lengths of the texts
/// themselves.
fn found(ciphers: &[Cipher]) -> Vec<Found> {
    ciphers.iter().map(|cipher| Found::new(cipher.marks, cipher.text().len())).collect()
}

fn asked(which: Which<'_>) -> Option<Vec<CipherId>> {
    match which {
        Which::All => None,
        Which::Ids { ids, .. } => Some(ids.to_vec()),
    }
}
