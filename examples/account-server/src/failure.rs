//! Why the server did not start, or ended, or a command failed.

use std::io;
use std::path::PathBuf;

use keywright::core::KeyringError;
use keywright::librepass::{LibrePassPolicyError, OpenError};
use keywright::nextcloud::NextcloudPolicyError;
use keywright::rekey::VaultError;
use keywright::rocketchat::RocketChatPolicyError;
use keywright::selfservice::SelfServicePolicyError;
use keywright::sqlite::Fault;
use keywright::store::LoadError;
use keywright::{HousekeepingError, StartError, StoreId, TransactError};

use crate::accounts::error::AccountsError;
use crate::accounts::file::error::AccountsFileError;
use crate::http::tls;
use crate::mail::SmtpError;
use crate::operator::failure::Failed;

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("threads cannot be started")]
    Runtime(#[source] io::Error),
    #[error("signals cannot be watched")]
    Signals(#[source] io::Error),
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("metrics cannot be measured")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    #[error("the listening address makes no URL: {0}")]
    Url(&'static str),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the store {} cannot be opened", path.display())]
    Store { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the database cannot be opened")]
    Database(#[from] keywright_postgres::OpenError),
    #[error("servers that share a database need the same keyring: name its file with --keyring")]
    NoKeyring,
    #[error("store and keyring {} cannot be used together", place.display())]
    Keyring { place: PathBuf, source: StartError },
    #[error("a keyring cannot be made")]
    Generate(#[source] KeyringError),
    #[error("the store cannot be read")]
    Scan(#[source] LoadError),
    #[error("the accounts file cannot be used")]
    AccountsFile(#[source] AccountsFileError),
    #[error("the accounts cannot be used")]
    Accounts(#[from] AccountsError),
    #[error("the outbox cannot be written")]
    Outbox(#[source] io::Error),
    #[error("the file {} of `--smtp-ca` cannot be read", path.display())]
    MailAuthority { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    #[error("Nextcloud Passwords cannot be served as the options say")]
    NextcloudPolicy(#[from] NextcloudPolicyError),
    #[error("Rocket.Chat cannot be served as the options say")]
    RocketChatPolicy(#[from] RocketChatPolicyError),
    #[error("LibrePass cannot be served")]
    LibrePass(#[from] OpenError),
    #[error("LibrePass cannot be served as the options say")]
    LibrePassPolicy(#[from] LibrePassPolicyError),
    #[error("the pages for owners cannot be served as the options say")]
    SelfService(#[from] SelfServicePolicyError),
    #[error("standard output cannot be written")]
    Output(#[source] io::Error),
    #[error("the server ended")]
    Serve(#[source] io::Error),
    #[error("the server stopped, because what it would store would be lost")]
    Lost(#[source] Fault),
    #[error(
        "the keyring {} belongs to the store {store}, but there is no file {}: check the path and that its volume is \
         mounted, or restore a backup; to start anew, use a new keyring file",
        keyring.display(), path.display()
    )]
    StoreGone { path: PathBuf, keyring: PathBuf, store: StoreId },
    #[error("KEYWRIGHT_KEYRING is set, and --keyring or --keyring-fd too: name one keyring")]
    TwoKeyrings,
    #[error(transparent)]
    Command(#[from] Failed),
    #[error("a store in memory holds no accounts")]
    NothingStored,
    #[error("there is no store {}", path.display())]
    NoStore { path: PathBuf },
    #[error("there is no account `{name}`")]
    NoAccount { name: String },
    #[error("the account cannot be changed")]
    Act(#[source] TransactError),
    #[error("the store cannot be checked to its end")]
    Check(#[source] HousekeepingError),
    #[error("damaged, lost or altered data in {partitions} partitions; requests that need it are denied")]
    Damaged { partitions: u64 },
    #[error("the vault cannot be accepted")]
    Vault(#[source] VaultError),
    #[error("{count} ciphers of the vault do not open; nothing is accepted without --drop-unreadable")]
    UnreadableCiphers { count: usize },
}
