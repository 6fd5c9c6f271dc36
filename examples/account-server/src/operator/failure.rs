//! Why a command failed.

use std::io;
use std::path::PathBuf;

use keywright::rocketchat::DueError;
use keywright::sqlite::{BackupError, OpenError};
use keywright::store::Partition;
use keywright::twofactor::TwoFactorError;
use keywright::twofactor::import::{ImportStopped, LineError};
use keywright::{HousekeepingError, KeyringFileError, KeysError, StartError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("the store cannot be swept to its end; run this again")]
    Sweep(#[source] HousekeepingError),
    #[error("the second factors cannot be changed")]
    Factors(#[source] TwoFactorError),
    #[error("secrets are not written in clear without --secrets-in-clear")]
    NotInClear,
    #[error("the file {} cannot be read or written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("line {number} of the file is not a user")]
    Line { number: usize, source: LineError },
    #[error("the import has stopped; run it again")]
    Import(#[source] Box<ImportStopped>),
    #[error("there is no challenge for the account")]
    Challenge(#[source] DueError),
    #[error("there is an account `{name}` already")]
    AccountExists { name: String },
    #[error("`{name}` is not a name of 1 to 190 bytes without colon or control character")]
    Name { name: String },
    #[error("the value of --email is not an e-mail address")]
    Email,
    #[error("nothing is erased without --yes")]
    NotConfirmed,
    #[error(
        "a PostgreSQL database is backed up and restored with its own tools; afterwards, set the fence in the keyring"
    )]
    NoSqlite,
    #[error("the store cannot be copied")]
    Backup(#[source] BackupError),
    #[error("there is a file at {} already", path.display())]
    Exists { path: PathBuf },
    #[error("the copy cannot be moved to {}", path.display())]
    Move { path: PathBuf, source: io::Error },
    #[error("the backup cannot be restored")]
    Restore(#[source] BackupError),
    #[error("there is a store at {} already: stop the server, and move the store with its -wal and -shm away", path.display())]
    StoreExists { path: PathBuf },
    #[error("the restored copy cannot be opened")]
    Restored(#[source] OpenError),
    #[error("the backup and the keyring do not belong together; nothing was restored")]
    Pair(#[source] StartError),
    #[error("the keyring file {} is needed to restore a backup: it is made with the store, and is not in the backup", path.display())]
    NoKeyring { path: PathBuf },
    #[error("the keyring is not in a file, so it is changed where it comes from")]
    NoFile,
    #[error("the keyring {} cannot be changed", path.display())]
    Keyring { path: PathBuf, source: KeyringFileError },
    #[error(transparent)]
    Keys(KeysError),
    #[error("{partitions} partitions hold records that do not open and were left alone; run `check`")]
    Unreadable { partitions: u64 },
    #[error("{} is still sealed under an older key: run `keys reseal` first; nothing was removed", partition.key())]
    InUse { partition: Partition },
}
