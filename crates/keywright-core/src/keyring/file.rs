//! The keyring file: TOML with mode 0600. This crate creates it once and never replaces it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::{Keyring, KeyringError};
use crate::entropy::{Entropy, EntropyError};
use crate::secret::SecretBytes;
use crate::time::{TimeError, UnixSeconds};

/// The largest keyring file that is read, in bytes. It has room for about 900 keys.
const MAX_FILE_BYTES: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed {
    seal: Vec<String>,
    index: String,
    #[serde(default)]
    fence: u64,
}

impl Drop for Parsed {
    fn drop(&mut self) {
        self.seal.zeroize();
        self.index.zeroize();
    }
}

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
        let mut file = File::open(path)?;
        check_mode(&file)?;
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let read = Read::by_ref(&mut file).take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        if u64::try_from(read).unwrap_or(u64::MAX) >= MAX_FILE_BYTES {
            return Err(KeyringFileError::Format { line: None });
        }
        Self::parse(&text)
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
        let mut draft = path.as_os_str().to_owned();
        let mut tag = [0_u8; 8];
        entropy.fill(&mut tag)?;
        draft.push(std::format!(".{}.new", hex::encode(tag)));
        let draft = std::path::PathBuf::from(draft);
        let written = write_new(&draft, text.as_bytes()).and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        match written {
            Ok(()) => {
                removed?;
                sync_folder(path)?;
                Ok(keyring)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyringFileError::Exists),
            Err(error) => Err(error.into()),
        }
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

    fn parse(text: &str) -> Result<Self, KeyringFileError> {
        // The parser's message quotes the line at which it fails, which may be a key. Only the
        // line's number is kept.
        let parsed: Parsed = toml::from_str(text).map_err(|error| KeyringFileError::Format {
            line: error.span().map(|span| text.get(..span.start).unwrap_or("").matches('\n').count().saturating_add(1)),
        })?;
        let seal = parsed.seal.iter().map(|key| decode(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_keys(&seal, &decode(&parsed.index)?)?.with_fence(UnixSeconds::new(parsed.fence)?))
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut text =
            Zeroizing::new(String::with_capacity(1024_usize.saturating_add(self.keys.len().saturating_mul(80))));
        text.push_str(
            "# Keywright keyring. Whoever has this file and the database can test guesses: keep the two apart, in backups too.\n\
             # seal: newest first; a new key in front is used for what is written next, older ones still open what they sealed.\n\
             # index: never changes. fence: Unix seconds; set it to the present after restoring a backup.\n\
             seal = [",
        );
        for (place, key) in self.keys.iter().enumerate() {
            text.push_str(if place == 0 { "\"" } else { ", \"" });
            text.push_str(&Zeroizing::new(hex::encode(key.root.expose())));
            text.push('"');
        }
        text.push_str("]\nindex = \"");
        text.push_str(&Zeroizing::new(hex::encode(self.index.expose())));
        text.push_str("\"\nfence = ");
        text.push_str(&self.fence.to_string());
        text.push('\n');
        text
    }
}

fn decode(text: &str) -> Result<SecretBytes<32>, KeyringFileError> {
    let mut key = SecretBytes::zeroed();
    hex::decode_to_slice(text, key.expose_mut()).map_err(|_| KeyringFileError::Key)?;
    Ok(key)
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

/// Syncs the folder, because the new file name has to survive a crash too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn check_mode(file: &File) -> Result<(), KeyringFileError> {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(KeyringFileError::Mode);
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<(), KeyringFileError> {
    Ok(())
}

/// Why a keyring file cannot be used. No variant quotes the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringFileError {
    /// The file cannot be read or written.
    #[error("the keyring file cannot be read or written")]
    Io(#[from] io::Error),
    /// The file exists already.
    #[error("the keyring file exists already")]
    Exists,
    /// The file is absent, and the store holds data that only its keys open.
    #[error("the keyring file is missing, but the store holds data: restore the file; a new one would open none of it")]
    Missing,
    /// Other users may read the file.
    #[error("the keyring file can be read by others: set its mode to 0600")]
    Mode,
    /// The file is not a keyring: its TOML is malformed, or a field is unknown or missing.
    #[error("the keyring file is not valid{}", .line.map(|line| std::format!(" (line {line})")).unwrap_or_default())]
    Format {
        /// The line, counted from 1, if it is known.
        line: Option<usize>,
    },
    /// A key is not 64 hex digits.
    #[error("a key in the keyring file is not 64 hex digits")]
    Key,
    /// The fence is not a valid time.
    #[error("the fence in the keyring file is not a valid time")]
    Fence(#[from] TimeError),
    /// The keys do not form a keyring.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The random number generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
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
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(Keyring::load(&path), Err(KeyringFileError::Mode)));
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
    fn errors_do_not_quote_the_file() {
        let secret = "5e".repeat(32);
        for broken in [
            std::format!("seal = [\"{secret}\"]\nindex = \"{secret}\"\nother = \"{secret}\""),
            std::format!("seal = [\"{secret}\nindex = 1"),
            std::format!("seal = [\"{secret}zz\"]\nindex = \"{secret}\""),
            std::format!("seal = []\nindex = \"{secret}\""),
            std::format!("seal = [\"{secret}\", \"{secret}\"]\nindex = \"{secret}\""),
            std::format!("seal = [\"{secret}\"]\nindex = \"{secret}\"\nfence = 1700000000000"),
        ] {
            let error = Keyring::parse(&broken).unwrap_err();
            let shown =
                std::format!("{error} {error:?} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(!shown.contains("5e5e"), "{shown}");
        }
    }

    #[test]
    fn the_fence_is_kept() {
        let ring = Keyring::generate(&SystemEntropy).unwrap().with_fence(UnixSeconds::new(77).unwrap());
        assert_eq!(Keyring::parse(&ring.to_text()).unwrap().fence().get(), 77);
    }
}
