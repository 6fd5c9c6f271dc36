//! Why a store was not opened.

use keywright_core::{KeyId, KeySourceError, KeyringFileError, StoreId, UnixSeconds};
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
    /// The keyring's source cannot be read.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// The keyring was used with a store before, and this one is empty. The path is wrong, a volume
    /// is not mounted, or the store was lost. An empty store would look like a new server to
    /// everyone.
    #[error(
        "the keyring belongs to the store {0}, but this store is empty: check the path and that its volume is mounted, or \
         restore a backup; to start anew, use a new keyring file"
    )]
    EmptyStore(StoreId),
    /// The keyring and the store were not used together before, although the store's keys are in
    /// the keyring.
    #[error("the keyring belongs to the store {named}, but this is the store {store}: use the matching pair")]
    #[non_exhaustive]
    OtherStore {
        /// The store's id.
        store: StoreId,
        /// The id that the keyring names.
        named: StoreId,
    },
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
    /// The ledger policy does not protect codes of the two-factor policy: a year of guessing would
    /// find one. Set a stricter [ledger policy](crate::Builder::ledger_policy), or a
    /// [two-factor policy](crate::Builder::two_factor_policy) with more digits.
    #[cfg(feature = "twofactor")]
    #[error("the two-factor policy does not fit the ledger policy")]
    TwoFactor(#[from] keywright_twofactor::TwoFactorPolicyError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] LoadError),
    /// The keys in use could not be recorded.
    #[error("the keys in use could not be recorded")]
    Note(#[source] TransactError),
}
