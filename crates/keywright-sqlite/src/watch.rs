//! Watches whether the file is still the one that was opened.
//!
//! A file that is deleted or replaced under a running server stays open, and whatever is written to
//! it is lost; SQLite does not notice. Each group of commits therefore checks, before it answers,
//! whether the path still leads to the same file, its log and the log's index. A load checks the
//! file alone, because no decision is based on it that a commit does not check again. Another
//! process that writes to the file changes nothing about that.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::{Fault, FaultKind};

/// Distinguishes files at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// On other systems, an open file usually cannot be replaced, so only its presence is checked.
    #[cfg(not(unix))]
    const fn of(_: &Metadata) -> Self {
        Self {}
    }
}

/// The files of one store, as they were when it was opened. Once one of them was gone, the store
/// remains stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The file itself comes first.
    files: Vec<(PathBuf, Identity)>,
    lost: AtomicBool,
}

/// The file at a path before SQLite opens it.
#[derive(Debug)]
pub(crate) struct Before(Option<Identity>);

/// Creates the file if there is none, accessible only to its owner, because it holds ids, events
/// and sealed secrets. SQLite gives the log and its index the permissions of the file. If this
/// fails, SQLite reports the reason when it opens the path.
pub(crate) fn prepare(path: &Path) -> Before {
    let made = create_private(path).or_else(|error| match error.kind() {
        // A link that leads to nothing yet: its target is created, and must be as private.
        io::ErrorKind::AlreadyExists if std::fs::metadata(path).is_err() => private().create(true).open(path),
        _ => Err(error),
    });
    let metadata = match made {
        Ok(file) => file.metadata(),
        Err(_) => std::fs::metadata(path),
    };
    Before(metadata.ok().as_ref().map(Identity::of))
}

/// Creates a file that did not exist, readable and writable only by its owner.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    private().create_new(true).open(path)
}

/// Opens for writing. A file that this creates is accessible only to its owner.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Returns the path with a suffix after its name, as SQLite names the files that belong to a
/// database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(suffix);
    name.into()
}

impl Watch {
    /// Records what the path leads to, once SQLite has opened it and its log.
    pub(crate) fn start(path: &Path, before: &Before) -> Result<Self, Fault> {
        let identity = |path: &Path| std::fs::metadata(path).map(|metadata| Identity::of(&metadata));
        let main = identity(path).map_err(|error| cannot_look(&error))?;
        if before.0 != Some(main) {
            return Err(Fault::new(FaultKind::FileReplaced));
        }
        // The log is beside the file itself, wherever the path leads.
        let real = std::fs::canonicalize(path).map_err(|error| cannot_look(&error))?;
        let mut files = vec![(path.to_path_buf(), main)];
        for suffix in ["-wal", "-shm"] {
            let beside = beside(&real, suffix);
            let identity = identity(&beside).map_err(|error| cannot_look(&error))?;
            files.push((beside, identity));
        }
        Ok(Self { files, lost: AtomicBool::new(false) })
    }

    /// Checks that a path leads to the store's own file, and that the file is still in its place.
    ///
    /// # Errors
    /// Returns [`FaultKind::OtherFile`] if it leads to another file. Otherwise returns the errors
    /// of [`check`](Self::check).
    pub(crate) fn is_at(&self, path: &Path) -> Result<(), Fault> {
        self.check()?;
        let other = || Fault::new(FaultKind::OtherFile);
        let Some((own, identity)) = self.files.first() else { return Err(other()) };
        let found = std::fs::metadata(path).map_err(|_| other())?;
        // On systems where files have no identity of their own, their paths are compared.
        let is_same = Identity::of(&found) == *identity
            && (cfg!(unix) || std::fs::canonicalize(path).ok() == std::fs::canonicalize(own).ok());
        if is_same { Ok(()) } else { Err(other()) }
    }

    /// Checks that every file is still in its place.
    ///
    /// # Errors
    /// Returns [`FaultKind::FileReplaced`] if one is not, and always from then on. Returns
    /// [`FaultKind::Disk`] if the system cannot determine it.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.look_at(&self.files)
    }

    /// Checks that the file itself is still in its place.
    ///
    /// # Errors
    /// Returns the errors of [`check`](Self::check).
    pub(crate) fn check_main(&self) -> Result<(), Fault> {
        self.look_at(self.files.get(..1).unwrap_or_default())
    }

    fn look_at(&self, files: &[(PathBuf, Identity)]) -> Result<(), Fault> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Fault::new(FaultKind::FileReplaced));
        }
        for (path, identity) in files {
            match std::fs::metadata(path) {
                Ok(metadata) if Identity::of(&metadata) == *identity => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Fault::new(FaultKind::Disk)),
                Ok(_) | Err(_) => {
                    self.lost.store(true, Ordering::Release);
                    return Err(Fault::new(FaultKind::FileReplaced));
                }
            }
        }
        Ok(())
    }
}

fn cannot_look(error: &io::Error) -> Fault {
    let gone = error.kind() == io::ErrorKind::NotFound;
    Fault::new(if gone { FaultKind::FileReplaced } else { FaultKind::Disk })
}
