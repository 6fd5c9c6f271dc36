//! The text of a keyring file: TOML.

use std::io;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::{Keyring, KeyringError};
use crate::entropy::EntropyError;
use crate::secret::{SecretBytes, SecretString};
use crate::store_id::StoreIdError;
use crate::time::{TimeError, UnixSeconds};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed {
    seal: Vec<String>,
    index: String,
    #[serde(default)]
    fence: u64,
    store: Option<String>,
}

impl Drop for Parsed {
    fn drop(&mut self) {
        self.seal.zeroize();
        self.index.zeroize();
    }
}

impl Keyring {
    /// Reads a keyring from the text of a keyring file.
    ///
    /// # Errors
    /// Returns [`KeyringFileError`] if the text is not a valid keyring. No error quotes the text.
    pub fn from_text(text: &str) -> Result<Self, KeyringFileError> {
        // The parser's message quotes the line at which it fails, which may be a key. Only the
        // line's number is kept.
        let parsed: Parsed = toml::from_str(text).map_err(|error| KeyringFileError::Format {
            line: error.span().map(|span| text.get(..span.start).unwrap_or("").matches('\n').count().saturating_add(1)),
        })?;
        let seal = parsed.seal.iter().map(|key| decode(key)).collect::<Result<Vec<_>, _>>()?;
        let keyring = Self::from_keys(&seal, &decode(&parsed.index)?)?.with_fence(UnixSeconds::new(parsed.fence)?);
        Ok(match &parsed.store {
            Some(store) => keyring.with_store(store.parse()?),
            None => keyring,
        })
    }

    /// Returns the text of the keyring's file, which [`from_text`](Self::from_text) reads. It holds
    /// the keys in clear.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let keys = self.current();
        let mut text = String::with_capacity(1024_usize.saturating_add(keys.len().saturating_mul(80)));
        text.push_str(
            "# Keywright keyring. Whoever has this file and the database can test guesses: keep the two apart, in backups too.\n\
             # seal: newest first; a new key in front is used for what is written next, older ones still open what they sealed.\n\
             # index: never changes. fence: Unix seconds; set it to the present after restoring a backup.\n\
             # store: the id of the store that these keys belong to; without it, an empty store in its place is not noticed.\n\
             seal = [",
        );
        for (place, key) in keys.iter().enumerate() {
            text.push_str(if place == 0 { "\"" } else { ", \"" });
            text.push_str(&Zeroizing::new(hex::encode(key.root.expose())));
            text.push('"');
        }
        text.push_str("]\nindex = \"");
        text.push_str(&Zeroizing::new(hex::encode(self.index.expose())));
        text.push_str("\"\nfence = ");
        text.push_str(&self.fence.to_string());
        text.push('\n');
        if let Some(store) = self.store {
            text.push_str(&std::format!("store = \"{store}\"\n"));
        }
        SecretString::new(text)
    }
}

fn decode(text: &str) -> Result<SecretBytes<32>, KeyringFileError> {
    let mut key = SecretBytes::zeroed();
    hex::decode_to_slice(text, key.expose_mut()).map_err(|_| KeyringFileError::Key)?;
    Ok(key)
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
    /// Other users may read the file. Its group may do so only if root owns it.
    #[error("the keyring file can be read by others: set its mode to 0600, or to 0440 if root owns it")]
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
    /// The store's id is not 32 hex digits.
    #[error("the store in the keyring file is not valid")]
    Store(#[from] StoreIdError),
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
    use crate::store_id::StoreId;

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
            std::format!("seal = [\"{secret}\"]\nindex = \"{secret}\"\nstore = \"{secret}\""),
        ] {
            let error = Keyring::from_text(&broken).unwrap_err();
            let shown =
                std::format!("{error} {error:?} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(!shown.contains("5e5e"), "{shown}");
        }
    }

    #[test]
    fn a_text_keeps_everything() {
        let ring = Keyring::generate(&SystemEntropy).unwrap().with_fence(UnixSeconds::new(77).unwrap());
        let read = Keyring::from_text(ring.to_text().expose()).unwrap();
        assert_eq!((read.fence().get(), read.store()), (77, None));
        let store = StoreId::generate(&SystemEntropy).unwrap();
        let ring = ring.with_store(store).rotated(&SystemEntropy).unwrap();
        let read = Keyring::from_text(ring.to_text().expose()).unwrap();
        assert_eq!((read.fence().get(), read.store()), (77, Some(store)));
        assert_eq!(read.key_ids().collect::<Vec<_>>(), ring.key_ids().collect::<Vec<_>>());
        assert_eq!((read.key_ids().count(), read.index_key_id()), (2, ring.index_key_id()));
        let (newest, oldest) = (read.key_ids().next().unwrap(), read.key_ids().last().unwrap());
        let retired = read.without(&[newest, oldest]);
        assert_eq!(retired.key_ids().collect::<Vec<_>>(), [newest], "the newest stays");
        assert_eq!((retired.fence().get(), retired.store()), (77, Some(store)));
    }
}
