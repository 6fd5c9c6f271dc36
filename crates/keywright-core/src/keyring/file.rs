//! The keyring file: TOML with mode 0600. It is created once; a change replaces it as a whole.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::string::String;

use zeroize::Zeroizing;

use super::Keyring;
use super::text::KeyringFileError;
use crate::entropy::Entropy;

/// The largest keyring file that is read, in bytes. It has room for about 900 keys.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// How a keyring was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// The file existed.
    Existing,
    /// The file was created by this call.
    Created,
}

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// Returns [`KeyringFileError`] if the file is missing, is readable by others, or is not a
    /// valid keyring. No error quotes the file.
    pub fn load(path: &Path) -> Result<Self, KeyringFileError> {
        let mut file = File::open(path).map_err(at(path))?;
        check_mode(&file)?;
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let read = Read::by_ref(&mut file).take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        if u64::try_from(read).unwrap_or(u64::MAX) >= MAX_FILE_BYTES {
            return Err(KeyringFileError::Format { line: None });
        }
        Self::from_text(&text)
    }

    /// Creates a keyring file that must not exist yet. It has mode 0600 and is synced to disk
    /// before this returns. If two processes try, one creates it; the other gets
    /// [`KeyringFileError::Exists`] and should load it.
    ///
    /// Call this only for an **empty** store: a new key opens nothing in an existing one.
    ///
    /// # Errors
    /// Returns [`KeyringFileError`] if the file exists or cannot be written, or if the generator
    /// fails.
    pub fn create(path: &Path, entropy: &(impl Entropy + ?Sized)) -> Result<Self, KeyringFileError> {
        let keyring = Self::generate(entropy)?;
        let text = keyring.to_text();
        // The file is written under another name and then linked into place, so a reader never sees
        // half a keyring, and an existing one is never lost.
        let draft = draft_of(path, entropy)?;
        let written = write_new(&draft, text.expose().as_bytes()).and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        match written {
            Ok(()) => {
                removed?;
                sync_folder(path)?;
                Ok(keyring)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyringFileError::Exists),
            Err(error) => Err(at(path)(error).into()),
        }
    }

    /// Changes a keyring file, with all other changes kept out meanwhile. The file is replaced as a
    /// whole, and synced to disk before this returns, so a crash leaves the old or the new one.
    /// Mode, owner and group stay. Returns the new keyring.
    ///
    /// # Errors
    /// Returns [`KeyringFileError`] if the file cannot be read or replaced, or if `change` fails.
    /// The file is unchanged then.
    pub fn update(
        path: &Path,
        entropy: &(impl Entropy + ?Sized),
        change: impl FnOnce(Self) -> Result<Self, KeyringFileError>,
    ) -> Result<Self, KeyringFileError> {
        // Where the path leads, because a link must not be replaced by a file.
        let path = std::fs::canonicalize(path).map_err(at(path))?;
        let _locked = lock(&path)?;
        let keyring = change(Self::load(&path)?)?;
        let draft = draft_of(&path, entropy)?;
        let replaced = write_new(&draft, keyring.to_text().expose().as_bytes())
            .and_then(|()| same_access(&path, &draft))
            .and_then(|()| std::fs::rename(&draft, &path));
        if let Err(error) = replaced {
            // The error that is reported is the one above.
            let _removed = std::fs::remove_file(&draft);
            return Err(error.into());
        }
        sync_folder(&path)?;
        Ok(keyring)
    }

    /// Reads the keyring file, or creates it if it is absent **and** `store_is_empty`.
    ///
    /// # Errors
    /// Returns [`KeyringFileError::Missing`] if the file is absent although the store holds data.
    /// Otherwise it returns the errors of [`load`](Self::load) and [`create`](Self::create).
    pub fn open_or_create(
        path: &Path,
        entropy: &(impl Entropy + ?Sized),
        store_is_empty: bool,
    ) -> Result<(Self, Opened), KeyringFileError> {
        match Self::load(path) {
            Ok(keyring) => Ok((keyring, Opened::Existing)),
            Err(KeyringFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                if !store_is_empty {
                    return Err(KeyringFileError::Missing);
                }
                match Self::create(path, entropy) {
                    Ok(keyring) => Ok((keyring, Opened::Created)),
                    Err(KeyringFileError::Exists) => Ok((Self::load(path)?, Opened::Existing)),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Puts the path into an error of the system, whose own text does not say which file is meant.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), std::format!("{}: {error}", path.display()))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn draft_of(path: &Path, entropy: &(impl Entropy + ?Sized)) -> Result<PathBuf, KeyringFileError> {
    let mut tag = [0_u8; 8];
    entropy.fill(&mut tag)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(std::format!(".{}.new", hex::encode(tag)));
    Ok(draft.into())
}

/// Locks the keyring file that is at the path once the lock is held: whoever held it before may
/// have replaced the file.
fn lock(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        file.lock()?;
        if is_same_file(&file.metadata()?, &std::fs::metadata(path)?) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A file that is open cannot be replaced there.
#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Lets the same users read a new file as an old one.
#[cfg(unix)]
fn same_access(old: &Path, new: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (was, is) = (std::fs::metadata(old)?, std::fs::metadata(new)?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        std::os::unix::fs::chown(new, Some(was.uid()), Some(was.gid()))?;
    }
    std::fs::set_permissions(new, was.permissions())
}

#[cfg(not(unix))]
fn same_access(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Syncs the folder, because the new file name has to survive a crash too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Nobody but the owner may access the file. If root owns it, a group may read it: the server's,
/// which then cannot change it.
#[cfg(unix)]
fn check_mode(file: &File) -> Result<(), KeyringFileError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    // A pipe has no mode that is worth anything: whoever made it has it.
    if !metadata.is_file() {
        return Ok(());
    }
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 { Err(KeyringFileError::Mode) } else { Ok(()) }
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<(), KeyringFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn made_once_with_mode_0600_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        let made = Keyring::create(&path, &SystemEntropy).unwrap();
        let read = Keyring::load(&path).unwrap();
        assert_eq!(made.key_ids().collect::<Vec<_>>(), read.key_ids().collect::<Vec<_>>());
        assert_eq!(made.index("x").mac(&[]), read.index("x").mac(&[]));
        assert!(matches!(Keyring::create(&path, &SystemEntropy), Err(KeyringFileError::Exists)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap()) == 0;
            for (mode, good) in [(0o644, false), (0o440, is_root), (0o640, is_root), (0o660, false), (0o604, false)] {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                match Keyring::load(&path) {
                    Ok(_) => assert!(good, "{mode:o}"),
                    Err(error) => assert!(!good && matches!(error, KeyringFileError::Mode), "{mode:o}: {error}"),
                }
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn of_many_creators_one_wins_and_all_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        let key_ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| Keyring::open_or_create(&path, &SystemEntropy, true).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .map(|(ring, how)| (ring.key_ids().next(), how))
                .collect()
        });
        assert_eq!(key_ids.iter().filter(|(_, how)| *how == Opened::Created).count(), 1);
        assert!(key_ids.iter().all(|(kid, _)| *kid == key_ids[0].0));
    }

    #[test]
    fn never_a_fresh_key_beside_old_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        let refused = Keyring::open_or_create(&path, &SystemEntropy, false);
        assert!(matches!(refused, Err(KeyringFileError::Missing)));
        assert!(!path.exists());
    }

    #[test]
    fn an_error_of_the_system_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("keyring.toml");
        let refused = [
            Keyring::load(&path),
            Keyring::create(&path, &SystemEntropy),
            Keyring::update(&path, &SystemEntropy, Ok),
            Keyring::open_or_create(&path, &SystemEntropy, true).map(|(keyring, _)| keyring),
        ];
        for refused in refused {
            let Err(KeyringFileError::Io(error)) = refused else { panic!("{refused:?}") };
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn changes_replace_the_file_one_after_the_other_and_keep_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        let made = Keyring::create(&path, &SystemEntropy).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    Keyring::update(&path, &SystemEntropy, |ring| Ok(ring.rotated(&SystemEntropy)?)).unwrap();
                });
            }
        });
        let read = Keyring::load(&path).unwrap();
        assert_eq!(read.key_ids().count(), 9, "no change is lost");
        assert_eq!(read.key_ids().last(), made.key_ids().next());
        let refused = Keyring::update(&path, &SystemEntropy, |_| Err(KeyringFileError::Key));
        assert!(matches!(refused, Err(KeyringFileError::Key)));
        assert_eq!(Keyring::load(&path).unwrap().key_ids().count(), 9);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        }
    }
}
