//! Why a store was not opened.

use keywright_core::{KeyId, KeyringFileError, UnixSeconds};
use keywright_store::{LoadError, SlotKindsError, TransactError};

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was given no keyring.
    #[error("no keyring is set: pass a keyring file or a keyring to the builder")]
    NoKeyring,
    /// The keyring file cannot be used, for example because it is absent beside a store that holds
    /// data.
    #[error(transparent)]
    Keyring(#[from] KeyringFileError),
    /// The store was written with a key that the keyring lacks. Restore the keyring file that holds
    /// it.
    #[error("this store was written with the key {0}, which the keyring lacks: restore the matching keyring file")]
    MissingKey(KeyId),
    /// The store was written with another index key. With this one, every address and every known
    /// client would look new.
    #[error("this store was written with a different index key: restore the matching keyring file")]
    OtherIndexKey,
    /// The keyring's fence is in the future. Until that time, everything that is created would be
    /// void immediately: nobody could log in, and no code would be accepted. Either the clock is
    /// behind, or the fence was set by a clock that ran ahead.
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
    #[error("the store holds data but no record of its keys: data was lost or only partly restored")]
    NoKeyNote,
    /// The declared kinds of slots do not fit together.
    #[error(transparent)]
    Slots(#[from] SlotKindsError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] LoadError),
    /// The keys in use could not be recorded.
    #[error("the keys in use could not be recorded")]
    Note(#[source] TransactError),
}
