//! Why a store was not opened.

use keywright_core::{KeyId, KeyringFileError, UnixSeconds};
use keywright_store::{LoadError, SlotKindsError, TransactError};

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was told of no keyring.
    #[error("no keyring: name a keyring file, or give one")]
    NoKeyring,
    /// The keyring file cannot be used; absent beside a store that holds data, for one.
    #[error(transparent)]
    Keyring(#[from] KeyringFileError),
    /// The store was written with a key that the keyring lacks. Restore the keyring file that holds it.
    #[error("the keyring lacks the key {0}, which this store was written with: restore the right keyring file")]
    MissingKey(KeyId),
    /// The store was written with another index key: every address and every known client would look new.
    #[error("the keyring has another index key than this store was written with: restore the right keyring file")]
    OtherIndexKey,
    /// The keyring's fence lies in the future. Until then, whatever is made would be void at once: nobody could log in, and
    /// no code would be right. Either the clock is behind, or the fence was set by one that ran ahead.
    #[error(
        "the keyring's fence ({fence}) lies in the future of this server's clock ({now}): set the clock, or set the fence \
         to the moment of the last restore"
    )]
    #[non_exhaustive]
    FutureFence {
        /// The fence.
        fence: UnixSeconds,
        /// What this server's clock says.
        now: UnixSeconds,
    },
    /// The store holds data, but not the note of its keys.
    #[error("the store holds data, but no note of its keys: lost or half-restored data")]
    NoKeyNote,
    /// The kinds of slots do not go together.
    #[error(transparent)]
    Slots(#[from] SlotKindsError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] LoadError),
    /// The keys in use could not be noted.
    #[error("the note of the keys in use failed")]
    Note(#[source] TransactError),
}
