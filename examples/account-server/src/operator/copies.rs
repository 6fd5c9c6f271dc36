//! Backups, and their restoration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keywright::sqlite::SqliteStore;
use keywright::{Clock, Keyring, Keywright, SystemClock, SystemEntropy};

use crate::accounts::slots::SLOT_KINDS;
use crate::failure::Failure;
use crate::keyring::KeyringPlace;
use crate::operator::failure::Failed;
use crate::options::Options;
use crate::output;

/// Copies the store's file while the server runs. The copy has its name only once it is whole.
///
/// # Errors
/// A [`Failure`] if there is no copy.
pub(super) async fn back_up(store: &Path, copy: &Path) -> Result<(), Failure> {
    if fs::symlink_metadata(copy).is_ok() {
        return Err(Failed::Exists { path: copy.to_path_buf() }.into());
    }
    let opened = SqliteStore::open(store)
        .map_err(|source| Failure::Store { path: store.to_path_buf(), source: Box::new(source) })?;
    let part = part_of(copy)?;
    opened.backup_to(&part).await.map_err(Failed::Backup)?;
    put(&part, copy)?;
    let said =
        format!("backed up to {}; the keyring is not in it: keep a copy of that too, in another place", copy.display());
    output::say(&said).map_err(Failure::Output)
}

/// Restores a backup where there is no store. The fence in the keyring is set first, so that no
/// server starts on the copy without it. The store has its name only once it is whole, and was
/// opened with the keyring.
///
/// # Errors
/// A [`Failure`] if there is no store.
pub(super) async fn restore(options: &Options, backup: &Path, store: &Path) -> Result<(), Failure> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = store.as_os_str().to_owned();
        path.push(suffix);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Failed::StoreExists { path: path.into() }.into());
        }
    }
    let KeyringPlace::File(keyring) = KeyringPlace::find(options)? else { return Err(Failed::NoFile.into()) };
    if !keyring.exists() {
        return Err(Failed::NoKeyring { path: keyring }.into());
    }
    let part = part_of(store)?;
    SqliteStore::restore(backup, &part).map_err(Failed::Restore)?;
    let fenced = match belongs(&part, &keyring).await {
        Ok(()) => set_fence(&keyring),
        Err(error) => Err(error),
    };
    if let Err(error) = fenced {
        remove(&part)?;
        return Err(error);
    }
    put(&part, store)?;
    output::say(
        "restored, and the fence is set to now: sessions, tokens and codes from before are void; passwords are those of \
         the backup. Start the server, and tell the users",
    )
    .map_err(Failure::Output)
}

/// Opens the copy with the keyring, as the server will.
async fn belongs(copy: &Path, keyring: &Path) -> Result<(), Failure> {
    let store = SqliteStore::open(copy).map_err(Failed::Restored)?;
    let keyring = Keyring::load(keyring).map_err(|error| Failed::Pair(error.into()))?;
    let opened = Keywright::builder(store).keyring(keyring).slots(SLOT_KINDS).open().await;
    Ok(opened.map(drop).map_err(Failed::Pair)?)
}

fn set_fence(path: &Path) -> Result<(), Failure> {
    let failed = |source| Failed::Keyring { path: path.to_path_buf(), source };
    let now = SystemClock.now().map_err(|error| Failure::Act(error.into()))?;
    Keyring::update(path, &SystemEntropy, |keyring| Ok(keyring.with_fence(now))).map_err(failed)?;
    Ok(())
}

/// The path of an unfinished copy. What an earlier run left there is removed.
fn part_of(path: &Path) -> Result<PathBuf, Failure> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    remove(&part)?;
    Ok(part)
}

/// Removes an unfinished copy and what SQLite keeps beside it.
fn remove(part: &Path) -> Result<(), Failure> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let mut path = part.as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Failed::Move { path: path.into(), source }.into());
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Renames a complete copy to its final name. Never replaces another file.
fn put(part: &Path, path: &Path) -> Result<(), Failure> {
    let put = || {
        fs::hard_link(part, path)?;
        fs::remove_file(part)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
    };
    put().map_err(|source| Failed::Move { path: path.to_path_buf(), source }.into())
}
