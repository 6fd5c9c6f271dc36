//! Reading a vault: rows and the head that they belong to.

use core::fmt;
use std::vec::Vec;

use keywright_core::{AccountId, SecretString, SecretVec};
use keywright_store::{CipherId, Draft, Manifest, Mark, Partition, Revision, Row, Slot, StepError, Which};

use super::Vaults;
use crate::VaultError;
use crate::seal::Sealer;
use crate::state::VaultHead;
use crate::step::{self, Existing, Head};

/// How often a read is tried again because the vault was changed meanwhile, before it waits for the account's turn; and
/// how often then, where only other servers can still change it.
const TRIES: u32 = 3;

/// From so many ids on, what exists is looked up in the manifest instead of row by row.
const MANY: usize = 64;

/// A cipher as it was written: the text as sent, and the application's note.
pub struct Cipher {
    id: CipherId,
    mark: Mark,
    text: SecretString,
    note: SecretVec,
}

impl Cipher {
    /// The id.
    #[must_use]
    pub const fn id(&self) -> CipherId {
        self.id
    }

    /// The mark of the text.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// The text, byte for byte as it was sent.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// The application's note.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        self.note.expose()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({:?})", self.id)
    }
}

/// Ciphers of a vault, all of one head.
#[derive(Debug)]
#[non_exhaustive]
pub struct Contents {
    /// The head that they belong to.
    pub head: Head,
    /// The ciphers, sorted by id.
    pub ciphers: Vec<Cipher>,
    asked: Option<Vec<CipherId>>,
}

impl Contents {
    /// What an edit of these ciphers rests on.
    #[must_use]
    pub fn existing(&self) -> Existing {
        let found = self.ciphers.iter().map(Cipher::id).collect();
        Existing::new(self.head.revision, self.asked.clone(), found)
    }
}

impl Vaults {
    /// Head and every (id, mark), for [`Submission::against`](crate::Submission::against).
    ///
    /// # Errors
    /// [`VaultError::Load`].
    pub async fn manifest(&self, account: &AccountId) -> Result<Manifest, VaultError> {
        self.store.manifest(&Partition::account(account)).await.map_err(VaultError::Load)
    }

    /// Ciphers, all of one head; `None` if the account has no vault. Opens every text and note.
    ///
    /// # Errors
    /// [`VaultError`]. One cipher that does not open fails the whole: it is never left out.
    pub async fn read(&self, account: &AccountId, which: Which<'_>) -> Result<Option<Contents>, VaultError> {
        let Some((head, record, rows)) = self.rows(account, which).await? else { return Ok(None) };
        let mut texts = Sealer::new(&record.key, account);
        let mut notes = Sealer::new(&record.note_key, account);
        let open = |row: Row| {
            let text = texts.open_text(record.as_sent, row.id, &row.body);
            let (text, note) = text.zip(notes.open_note(row.id, &row.meta)).ok_or(VaultError::Open(row.id))?;
            Ok(Cipher { id: row.id, mark: row.mark, text, note })
        };
        let ciphers = rows.into_iter().map(open).collect::<Result<_, VaultError>>()?;
        Ok(Some(Contents { head, ciphers, asked: asked(which) }))
    }

    /// Which of `ids` exist, and at which head; `None` if the account has no vault.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn existing(&self, account: &AccountId, ids: &[CipherId]) -> Result<Option<Existing>, VaultError> {
        if ids.len() < MANY {
            let Some((head, _, rows)) = self.rows(account, Which::Ids(ids)).await? else { return Ok(None) };
            let found = rows.iter().map(|row| row.id).collect();
            return Ok(Some(Existing::new(head.revision, Some(ids.to_vec()), found)));
        }
        Ok(Existing::of(&self.manifest(account).await?))
    }

    /// Rows and the head they belong to. Every change of a row moves the head to a revision that never comes again: the
    /// same head before and after says that no row changed between.
    async fn rows(
        &self,
        account: &AccountId,
        which: Which<'_>,
    ) -> Result<Option<(Head, VaultHead, Vec<Row>)>, VaultError> {
        let partition = Partition::account(account);
        let Some(mut before) = self.look(&partition).await? else { return Ok(None) };
        let mut turn = None;
        for tried in 0..TRIES.saturating_mul(2) {
            if tried == TRIES {
                turn = Some(self.driver.turn(&partition).await?);
            }
            let rows = self.store.read(&partition, which).await.map_err(VaultError::Load)?;
            let Some(after) = self.look(&partition).await? else { return Ok(None) };
            if after.0.revision == before.0.revision {
                drop(turn);
                return Ok(Some((after.0, after.1, rows)));
            }
            before = after;
        }
        Err(VaultError::Restless)
    }

    async fn look(&self, partition: &Partition) -> Result<Option<(Head, VaultHead)>, VaultError> {
        let look = |draft: &mut Draft<'_>| -> Result<Option<(Revision, VaultHead, u64)>, StepError> {
            let Some((revision, record)) = step::open(draft)? else { return Ok(None) };
            Ok(Some((revision, record, draft.root()?.key_epoch)))
        };
        let seen = self.driver.observe(partition, &[Slot::VaultHead], look).await?;
        Ok(seen.map(|(revision, record, key_epoch)| {
            (Head { revision, count: record.count, rekeyed: record.rekeyed, key_epoch }, record)
        }))
    }
}

fn asked(which: Which<'_>) -> Option<Vec<CipherId>> {
    match which {
        Which::All => None,
        Which::Ids(ids) => Some(ids.to_vec()),
    }
}
