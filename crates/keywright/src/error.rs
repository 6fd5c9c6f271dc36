//! Why a store was not opened.

use keywright_core::{KeyId, KeyringFileError, UnixSeconds};
use keywright_store::{LoadError, SlotKindsError, TransactError};

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was given no keyring.
    #[error("no keyring: name a keyring file, or give one")]
    NoKeyring,
    /// The keyring file cannot be used, for example because it is absent beside a store that holds
    /// data.
    #[error(transparent)]
    Keyring(#[from] KeyringFileError),
    /// The store was written with a key that the keyring lacks. Restore the keyring file that holds it.
    #[error("the keyring lacks the key {0}, which this store was written with: restore the right keyring file")]
    MissingKey(KeyId),
    /// The store was written with another index key. With this one, every address and every known
    /// client would look new.
    #[error("the keyring has another index key than this store was written with: restore the right keyring file")]
    OtherIndexKey,
    /// The keyring's fence is in the future. Until then, everything that is made would be void
    /// immediately: nobody could log in, and no code would be right. Either the clock is behind, or
    /// the fence was set by a clock that ran ahead.
    #[error(
        "the keyring's fence ({fence}) lies in the future of this server's clock ({now}): set the clock, or set the fence \
         to the moment of the last restore"
    )]
    #[non_exhaustive]
    FutureFence {
        /// The fence.
        fence: UnixSeconds,
        /// The present time by this server's clock.
        now: UnixSeconds,
    },
    /// The store holds data, but not the record of its keys.
    #[error("the store holds data, but no note of its keys: lost or half-restored data")]
    NoKeyNote,
    /// The declared kinds of slots do not fit together.
    #[error(transparent)]
    Slots(#[from] SlotKindsError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] LoadError),
    /// The keys in use could not be recorded.
    #[error("the note of the keys in use failed")]
    Note(#[source] TransactError),
}
