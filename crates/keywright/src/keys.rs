//! The keys of a store: adding one, sealing everything under it, and removing the older ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keywright_core::{KeyId, KeySourceError, Keyring, KeyringFileError, SecretString};
use keywright_store::Partition;

use crate::error::StartError;
use crate::housekeeping::{HousekeepingError, Retirement};
use crate::key_note;
use crate::keywright::Keywright;

/// How long after a change of the keyring file no key is removed from it. A running server that
/// reads its keyring every ten seconds, as the reference server does, writes under the key that was
/// the newest until then.
pub const SETTLED: Duration = Duration::from_secs(60);

/// How many partitions are read at once.
const PARTITIONS: u32 = 64;

/// The keys of a store, for an operator's commands. Each operation can be stopped at any moment and
/// run again, and the server may keep running.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keyring.toml");
/// use keywright::{AccountId, Keywright, MemoryStore};
///
/// let keywright = Keywright::builder(MemoryStore::new()).keyring_file(&path).open().await?;
/// keywright.ensure_account(&AccountId::new("user-1")?).await?;
///
/// let keys = keywright.keys();
/// let newest = keys.rotate().await?; // then copy the file to every other server
/// assert_eq!(keys.ids().next(), Some(newest));
/// let resealed = keys.reseal(|count| println!("{count} partitions")).await?;
/// assert_eq!(resealed.unreadable.len(), 0);
/// // A minute later, when every server has read the file:
/// # let changed = std::fs::File::options().append(true).open(&path)?;
/// # changed.set_modified(changed.metadata()?.modified()? - std::time::Duration::from_secs(120))?;
/// let retired = keys.retire().await?;
/// assert_eq!(retired.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Keys {
    keywright: Keywright,
    file: Option<PathBuf>,
}

/// What was sealed again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reseal {
    /// The number of partitions that were sealed again.
    pub resealed: u64,
    /// Partitions with a record that does not open. They were left alone: an operator must look
    /// into them before any key is removed.
    pub unreadable: Vec<Partition>,
}

/// Why the keys were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The keyring is not in a file. Change it where it comes from: [`Keys::rotated_text`] and
    /// [`Keys::text_without`] return what to put there.
    #[error("the keyring is not in a file: change it where it comes from")]
    NoFile,
    /// The keyring file cannot be read or changed. It is as it was.
    #[error("the keyring file cannot be changed")]
    File(#[from] KeyringFileError),
    /// The new keyring cannot be read back from its source.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// The new key is in the keyring file, but could not be recorded in the store. The next start
    /// records it.
    #[error("the new key is in the keyring file, but is not recorded in the store yet")]
    Note(#[source] Box<StartError>),
    /// The store could not be read or written. Run the operation again.
    #[error(transparent)]
    Store(#[from] HousekeepingError),
    /// Something is still sealed under an older key. Run [`Keys::reseal`], and look into what does
    /// not open. Nothing was removed.
    #[error("{} is still sealed under an older key: seal everything again first; nothing was removed", .0.key())]
    InUse(Partition),
    /// The keyring file changed less than [`SETTLED`] ago, so that a running server may not have
    /// read it yet. Nothing was removed.
    #[error(
        "the keyring changed less than a minute ago, and a running server may not have read it yet: wait {seconds} s; \
         nothing was removed"
    )]
    #[non_exhaustive]
    TooEarly {
        /// How long to wait, in seconds.
        seconds: u64,
    },
}

impl Keywright {
    /// Returns the keys of the store, to be rotated and retired.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys { keywright: self.clone(), file: self.keyring_path().map(Path::to_path_buf) }
    }
}

impl Keys {
    /// Returns the ids of the keys, the newest first. The newest seals what is written, and the
    /// others open what they have sealed.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keyring().key_ids()
    }

    /// Returns the text of the keyring, for a copy in a safe place. It holds the keys **in clear**.
    #[must_use]
    pub fn text(&self) -> SecretString {
        self.keyring().to_text()
    }

    /// Adds a fresh key to the keyring file. From now on it seals what is written here; copy the
    /// file to every other server. A server that meets the key in the store before it has the file
    /// denies what was sealed under it. Returns the key's id.
    ///
    /// # Errors
    /// Returns a [`KeysError`]. After [`KeysError::Note`] the key is in the file.
    pub async fn rotate(&self) -> Result<KeyId, KeysError> {
        let path = self.file.as_deref().ok_or(KeysError::NoFile)?;
        let entropy = &**self.keywright.driver().entropy();
        let rotated = Keyring::update(path, entropy, |keyring| Ok(keyring.rotated(entropy)?))?;
        self.keyring().refresh()?;
        key_note::note(self.keywright.driver(), false).await.map_err(|error| KeysError::Note(Box::new(error)))?;
        rotated.key_ids().next().ok_or(KeysError::NoFile)
    }

    /// Returns the text of the keyring with a fresh key, for a keyring that is not in a file: put it
    /// where the keyring comes from. It holds the keys **in clear**. Each call draws another key.
    ///
    /// # Errors
    /// Returns [`KeysError::File`] if the generator fails.
    pub fn rotated_text(&self) -> Result<SecretString, KeysError> {
        let copy = Keyring::from_text(self.text().expose())?;
        let rotated = copy.rotated(&**self.keywright.driver().entropy()).map_err(KeyringFileError::from)?;
        Ok(rotated.to_text())
    }

    /// Seals everything again that is not under the newest key, and calls `progress` with the
    /// number of partitions that were. One commit for each of them.
    ///
    /// # Errors
    /// Returns [`KeysError::Store`] if a partition could not be read or written. Run it again then.
    pub async fn reseal(&self, mut progress: impl FnMut(u64)) -> Result<Reseal, KeysError> {
        let housekeeping = self.keywright.housekeeping();
        let (mut next, mut done) = (None, Reseal::default());
        loop {
            let pass = housekeeping.reseal(next, PARTITIONS).await?;
            done.resealed = done.resealed.saturating_add(pass.resealed);
            done.unreadable.extend(pass.unreadable);
            progress(done.resealed);
            next = pass.next;
            if next.is_none() {
                return Ok(done);
            }
        }
    }

    /// Proves that nothing is sealed under an older key, and removes the older keys from the keyring
    /// file, if the keyring is in one. Returns the ids of those keys, or of none if there is only
    /// one. A key that another process has added meanwhile stays.
    ///
    /// If the keyring is not in a file, wait after a change until every server has read it, call
    /// this, and then put [`text_without`](Self::text_without) these keys where the keyring comes
    /// from. Keep a copy of the old keys for as long as you keep backups that they open.
    ///
    /// # Errors
    /// Returns a [`KeysError`]. The keyring is as it was then.
    pub async fn retire(&self) -> Result<Vec<KeyId>, KeysError> {
        if let Some(path) = &self.file {
            let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified());
            // A file from the future is as good as one from just now.
            let age = changed.map_err(KeyringFileError::Io)?.elapsed().unwrap_or_default();
            if let Some(left) = SETTLED.checked_sub(age).filter(|left| !left.is_zero()) {
                return Err(KeysError::TooEarly { seconds: left.as_secs().saturating_add(1) });
            }
        }
        // Everything is under the newest key of this moment. A key that is added from now on is
        // before it in the file, and stays.
        let old: Vec<KeyId> = self.ids().skip(1).collect();
        if let Retirement::InUse(partition) = self.keywright.housekeeping().retire_old_keys().await? {
            return Err(KeysError::InUse(partition));
        }
        if let Some(path) = self.file.as_deref().filter(|_| !old.is_empty()) {
            let entropy = &**self.keywright.driver().entropy();
            Keyring::update(path, entropy, |keyring| Ok(keyring.without(&old)))?;
        }
        Ok(old)
    }

    /// Returns the text of the keyring without these keys. The newest is never left out. It holds
    /// the keys **in clear**.
    ///
    /// # Errors
    /// Returns [`KeysError::File`] if the keyring cannot be copied, which does not happen.
    pub fn text_without(&self, retired: &[KeyId]) -> Result<SecretString, KeysError> {
        Ok(Keyring::from_text(self.text().expose())?.without(retired).to_text())
    }

    fn keyring(&self) -> &Keyring {
        self.keywright.driver().keyring()
    }
}
