//! Whether no other server uses the store. Only then do the claims on due work that it finds at its
//! start belong to dead processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// An advisory lock on a file beside the store, held while this value lives. An operator's commands
/// do not take it.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of a store. Returns `None` if another server holds it, or if this cannot be
    /// determined, which is logged.
    pub(crate) fn take(store: &Path) -> Option<Self> {
        match Self::attempt(store) {
            Ok(lock) => Some(lock),
            Err(TryLockError::WouldBlock) => {
                tracing::warn!("another server serves this store: what is due is left to the one that has claimed it");
                None
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the store cannot be locked: what is due waits until its claims have run out");
                None
            }
        }
    }

    fn attempt(store: &Path) -> Result<Self, TryLockError> {
        let file = lock_path(store).and_then(|path| open(&path)).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Self { _file: file })
    }
}

/// Derived from the store's real path, because a link to a store is the same store.
fn lock_path(store: &Path) -> io::Result<PathBuf> {
    let mut path = store.canonicalize()?.into_os_string();
    path.push(".lock");
    Ok(path.into())
}

/// The file is never removed, because another server may be about to lock it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_whatever_the_store_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("db");
        assert!(StoreLock::take(&store).is_none(), "there is no store");
        std::fs::write(&store, "").unwrap();
        let first = StoreLock::take(&store).unwrap();
        assert!(StoreLock::take(&store).is_none());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&store, folder.path().join("link")).unwrap();
            assert!(StoreLock::take(&folder.path().join("link")).is_none());
        }
        drop(first);
        assert!(StoreLock::take(&store).is_some());
    }
}
