//! Copies of the whole file: a backup while the server runs, and its restoration.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use futures_channel::oneshot;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::fault::{Fault, FaultKind, OpenError};
use crate::store::SqliteStore;
use crate::watch::{self, create_private};
use crate::{connect, log, read, schema};

/// Why a copy was not made. Nothing is left at its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is already a file at the copy's path, or the log or journal of one. It was not
    /// touched.
    #[error("a file already exists at `{}`", .0.display())]
    Exists(PathBuf),
    /// The copy cannot be created or synchronised.
    #[error("the copy cannot be written")]
    Io(#[source] io::Error),
    /// SQLite could not read the source or write the copy.
    #[error("the copy failed")]
    Fault(#[from] Fault),
    /// The file to be copied is not a Keywright file, or is of a newer version.
    #[error("this program cannot restore the file")]
    NotOurs(#[source] OpenError),
    /// The operating system did not provide a thread.
    #[error("a thread for the copy cannot be started")]
    Thread(#[source] io::Error),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Fault(fault) => Self::Fault(fault),
            error => Self::NotOurs(error),
        }
    }
}

impl SqliteStore {
    /// Copies the whole file, including a host's own tables, to `path`, from one snapshot. Commits
    /// and loads continue meanwhile. The copy is a single file without a write-ahead log,
    /// accessible only to its owner (mode 0600), and synchronised to disk when this returns. A
    /// store in memory can be copied to a file too, but other operations wait meanwhile.
    ///
    /// Keep the copy as safe as the file itself, and apart from the keyring.
    /// [`restore`](Self::restore) brings it back.
    ///
    /// The copy is made on a thread of its own. Dropping the future does not stop it.
    ///
    /// # Errors
    /// Returns [`BackupError`] if the copy could not be made. Nothing is left at `path`; an
    /// existing file there is not touched.
    pub async fn backup_to(&self, path: impl Into<PathBuf>) -> Result<(), BackupError> {
        let target = path.into();
        let Some(source) = self.path().map(Path::to_path_buf) else {
            return self.ask(move |connection| Ok(copy(connection, &target, || Ok(())))).await?;
        };
        let (settings, watch) = (self.settings().clone(), self.watch().cloned());
        let work = move || {
            // The file is opened by its path, which may no longer lead to the store's file. This is
            // checked before, so that no other file is touched, and again after the copy.
            let in_place = || watch.as_deref().map_or(Ok(()), watch::Watch::check);
            in_place()?;
            let connection = connect::reader(&source, &settings)?;
            read::snapshot(&connection, |connection| Ok(copy(connection, &target, in_place)))?
        };
        let (reply, answer) = oneshot::channel();
        thread::Builder::new()
            .name("keywright-backup".into())
            .spawn(move || reply.send(work()))
            .map_err(BackupError::Thread)?;
        answer.await.unwrap_or_else(|_| Err(Fault::new(FaultKind::Stopped).into()))
    }

    /// Copies a backup to `path`, where [`open`](Self::open) can open it. There must be no file at
    /// `path`, and no log or journal beside it either, because the log of another file would be
    /// applied to this one. This blocks the thread.
    ///
    /// Codes that were spent after the backup was made can be used once more, and guesses that were
    /// counted after it are forgotten.
    ///
    /// # Errors
    /// Returns [`BackupError`] if the backup could not be restored. Nothing is left at `path`; an
    /// existing file there is not touched.
    pub fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(backup, flags)?;
        connect::distrust(&source)?;
        let version = schema::version(&source, false)?;
        if version == 0 {
            return Err(BackupError::NotOurs(OpenError::Foreign { application_id: 0 }));
        }
        schema::check(&source, version)?;
        copy(&source, path.as_ref(), || Ok(()))
    }
}

/// Copies all pages in one step, in one read transaction of the source, which blocks no writer.
fn copy(source: &Connection, target: &Path, is_sound: impl FnOnce() -> Result<(), Fault>) -> Result<(), BackupError> {
    // SQLite would apply, or delete, files that another database has left beside this path.
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = watch::beside(target, suffix);
        if std::fs::symlink_metadata(&beside).is_ok() {
            return Err(BackupError::Exists(beside));
        }
    }
    let file = create_private(target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(target.to_path_buf()),
        _ => BackupError::Io(error),
    })?;
    let copied = copy_pages(source, target).and_then(|()| is_sound().map_err(BackupError::Fault));
    let copied = copied.and_then(|()| sync(&file, target).map_err(BackupError::Io));
    if copied.is_err() {
        // The file is ours, because it was not there before.
        let _ = std::fs::remove_file(target);
    }
    copied
}

fn copy_pages(source: &Connection, target: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(target, flags)?;
    let step = Backup::new(source, &mut copy)?.step(-1)?;
    if step != StepResult::Done {
        return Err(Fault::new(FaultKind::Locked).into());
    }
    // The copied header requires a log. Without a log, the copy is a single file that can be read
    // even on a read-only medium.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    log::forget(&copy)?;
    copy.close().map_err(|(_, error)| error.into())
}

/// Makes the copy and its name durable.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    #[cfg(unix)]
    {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
