//! Keyrings from the environment and from file descriptors.

use std::path::{Path, PathBuf};

use keywright_core::{KeySource, KeySourceError, Keyring, SecretString};

/// A keyring file as a source to read again.
#[derive(Debug)]
pub(crate) struct KeyFile(pub(crate) PathBuf);

impl KeySource for KeyFile {
    fn read(&self) -> Result<Keyring, KeySourceError> {
        Keyring::load(&self.0).map_err(KeySourceError::new)
    }
}

/// A keyring whose text is in a variable of the environment.
#[derive(Debug)]
pub(crate) struct KeyVariable(pub(crate) String);

impl KeySource for KeyVariable {
    fn read(&self) -> Result<Keyring, KeySourceError> {
        let absent = |_| KeySourceError::new(format!("the variable {} is not set, or not UTF-8", self.0));
        let text = std::env::var(&self.0).map_err(absent)?;
        Keyring::from_text(SecretString::new(text).expose()).map_err(KeySourceError::new)
    }
}

/// A keyring in a descriptor that was open when the process started.
#[derive(Debug)]
pub(crate) struct KeyDescriptor(PathBuf);

impl KeyDescriptor {
    pub(crate) fn new(number: u32) -> Self {
        // On Linux this opens the file once more, so a file can be read again from its start.
        Self(format!("/dev/fd/{number}").into())
    }

    /// Whether it can be read again. A pipe can be read only once.
    pub(crate) fn is_file(&self) -> bool {
        Path::is_file(&self.0)
    }
}

impl KeySource for KeyDescriptor {
    fn read(&self) -> Result<Keyring, KeySourceError> {
        Keyring::load(&self.0).map_err(KeySourceError::new)
    }
}
