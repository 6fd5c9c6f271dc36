//! What an operator does beside the server, which may go on running: its events are written like all others.

use std::sync::Arc;

use keywright::core::SecretName;
use keywright::rekey::{Acceptance, Unreadable};
use keywright::rocketchat::Named;
use keywright::store::Partition;
use keywright::{AccountId, Keywright};

use crate::accounts::Accounts;
use crate::options::{AccountCommand, Command, Options, StoreChoice};
use crate::output;
use crate::start::{self, Failure};

/// Runs one command and prints what it did.
///
/// # Errors
/// [`Failure`]; nothing was changed, unless it is said that this is unknown.
pub(crate) async fn run(options: &Options, command: &Command) -> Result<(), Failure> {
    match &options.store {
        StoreChoice::Memory => return Err(Failure::NothingStored),
        StoreChoice::Sqlite(path) if !path.exists() => return Err(Failure::NoStore { path: path.clone() }),
        StoreChoice::Sqlite(_) => {}
    }
    let keywright = start::open(options).await?.keywright;
    let done = match command {
        Command::Accounts { command: AccountCommand::Unlock { account } } => {
            let id = find(&keywright, account).await?;
            let lifted = keywright.unlock(&id).await.map_err(Failure::Act)?;
            let names: Vec<&str> = lifted.iter().map(SecretName::as_str).collect();
            if names.is_empty() {
                format!("{account}: no wait or limit was in force")
            } else {
                format!("{account}: waits and limits are lifted at: {}", names.join(", "))
            }
        }
        Command::Check { accept, drop_unreadable } => {
            let id = find(&keywright, accept).await?;
            let unreadable = if *drop_unreadable { Unreadable::Drop } else { Unreadable::Report };
            accept_vault(&keywright, accept, &id, unreadable).await?
        }
    };
    output::say(&done).map_err(Failure::Output)
}

async fn accept_vault(
    keywright: &Keywright,
    name: &str,
    account: &AccountId,
    unreadable: Unreadable,
) -> Result<String, Failure> {
    match keywright.vaults().accept_damaged(account, unreadable).await.map_err(Failure::Vault)? {
        Acceptance::Accepted { ciphers, counted, dropped } => Ok(format!(
            "{name}: the vault is accepted; ciphers before: {counted}, now: {ciphers}, dropped because they do not open: {}",
            dropped.len()
        )),
        Acceptance::Undamaged => Ok(format!("{name}: the vault is undamaged")),
        Acceptance::NoVault => Ok(format!("{name}: there is no vault")),
        Acceptance::Unreadable(ciphers) => Err(Failure::UnreadableCiphers { count: ciphers.len() }),
        _ => Ok(format!("{name}: this program does not know what came of it; see the account's events")),
    }
}

/// An account by its name or a verified address of the accounts file, or by the id that the log shows.
async fn find(keywright: &Keywright, name: &str) -> Result<AccountId, Failure> {
    let accounts = Arc::new(Accounts::new(keywright.driver().clone())?);
    if let Some(account) = accounts.find(name).await? {
        return Ok(account);
    }
    if let Some(user) = accounts.chat_user(Named::EmailOrUsername(name)).await? {
        return Ok(user.account);
    }
    let unknown = || Failure::NoAccount { name: name.to_owned() };
    let account = AccountId::new(name).map_err(|_| unknown())?;
    let partition = Partition::account(&account);
    let exists = keywright.driver().observe(&partition, &[], |draft| Ok(draft.exists())).await;
    if exists.map_err(Failure::Act)? { Ok(account) } else { Err(unknown()) }
}
