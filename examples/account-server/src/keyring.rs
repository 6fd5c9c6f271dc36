//! Where the keyring comes from.

use std::env;
use std::fs;
use std::path::PathBuf;

use keywright::{Builder, Keyring, SystemEntropy};

use crate::failure::Failure;
use crate::options::{Options, StoreChoice};

/// The variable that holds the text of a keyring.
const TEXT: &str = "KEYWRIGHT_KEYRING";
/// Set by systemd to the folder of `ConfigurationDirectory=`.
const FOLDER: &str = "CONFIGURATION_DIRECTORY";
/// The file in that folder.
const FILE: &str = "keyring.toml";

/// Where the keyring is.
#[derive(Debug)]
pub(crate) enum KeyringPlace {
    /// In a file, which is created for an empty store.
    File(PathBuf),
    /// In a descriptor that was open when the server started.
    Descriptor(u32),
    /// In the environment.
    Environment,
    /// Nowhere: for a store in memory. Refused for one in a database.
    Memory,
}

impl KeyringPlace {
    /// `--keyring` or `--keyring-fd`; or the variable `KEYWRIGHT_KEYRING`; or a file in the
    /// configuration folder; or a file beside the store, to try things out.
    ///
    /// # Errors
    /// A [`Failure`] if two are named.
    pub(crate) fn find(options: &Options) -> Result<Self, Failure> {
        let text = env::var_os(TEXT).is_some();
        match (&options.keyring, options.keyring_fd) {
            (Some(_), _) | (_, Some(_)) if text => Err(Failure::TwoKeyrings),
            (Some(path), _) => Ok(Self::File(path.clone())),
            (None, Some(number)) => Ok(Self::Descriptor(number)),
            (None, None) if text => Ok(Self::Environment),
            (None, None) => Ok(match (&options.store, env::var_os(FOLDER)) {
                (StoreChoice::Memory, _) => Self::Memory,
                (_, Some(folder)) => Self::File(PathBuf::from(folder).join(FILE)),
                (StoreChoice::Postgres(_), None) => Self::Memory,
                (StoreChoice::Sqlite(path), None) => Self::File(path.with_extension("keyring.toml")),
            }),
        }
    }

    /// Sets the keyring of a builder.
    ///
    /// # Errors
    /// A [`Failure`] if a keyring cannot be generated.
    pub(crate) fn set(&self, builder: Builder) -> Result<Builder, Failure> {
        Ok(match self {
            Self::File(path) => builder.keyring_file(path),
            Self::Descriptor(number) => builder.keyring_fd(*number),
            Self::Environment => builder.keyring_env(TEXT),
            Self::Memory => builder.keyring(Keyring::generate(&SystemEntropy).map_err(Failure::Generate)?),
        })
    }

    /// Whether the keyring outlives this process.
    pub(crate) const fn is_named(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// How a message names it.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Descriptor(number) => format!("(file descriptor {number})").into(),
            Self::Environment => format!("(variable {TEXT})").into(),
            Self::Memory => "(in memory)".into(),
        }
    }
}

/// Whether the store is gone although the keyring was used with one. Checked before the store is
/// opened, because that would create an empty file, in a folder that is not mounted for example.
///
/// # Errors
/// A [`Failure`] that names the store.
pub(crate) fn check_store_is_there(options: &Options, place: &KeyringPlace) -> Result<(), Failure> {
    let (StoreChoice::Sqlite(path), KeyringPlace::File(keyring)) = (&options.store, place) else { return Ok(()) };
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    // A keyring that cannot be read is reported when the store is opened with it.
    match Keyring::load(keyring).ok().and_then(|found| found.store()) {
        Some(store) => Err(Failure::StoreGone { path: path.clone(), keyring: keyring.clone(), store }),
        None => Ok(()),
    }
}
