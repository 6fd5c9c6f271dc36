//! An operator's commands. The server may keep running meanwhile, because their events are written
//! like all others.

use std::sync::Arc;

use keywright::core::SecretName;
use keywright::rekey::{Acceptance, Unreadable};
use keywright::rocketchat::Named;
use keywright::store::Partition;
use keywright::{AccountId, Damaged, Keywright, librepass};

use crate::accounts::directory::Accounts;
use crate::options::{AccountCommand, Command, Options, StoreChoice};
use crate::output;
use crate::start::{self, Failure};

/// How many partitions are read at once.
const PARTITIONS: u32 = 64;

/// Runs one command and prints the result.
///
/// # Errors
/// A [`Failure`]. Nothing was changed, unless the message states that this is unknown.
pub(crate) async fn run(options: &Options, command: &Command) -> Result<(), Failure> {
    match &options.store {
        StoreChoice::Memory => return Err(Failure::NothingStored),
        StoreChoice::Sqlite(path) if !path.exists() => return Err(Failure::NoStore { path: path.clone() }),
        StoreChoice::Sqlite(_) | StoreChoice::Postgres(_) => {}
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
        Command::Check { accept: None, .. } => return check(&keywright).await,
        Command::Check { accept: Some(accept), drop_unreadable } => {
            let id = find(&keywright, accept).await?;
            let unreadable = if *drop_unreadable { Unreadable::Drop } else { Unreadable::Report };
            accept_vault(&keywright, accept, &id, unreadable).await?
        }
    };
    output::say(&done).map_err(Failure::Output)
}

/// Checks everything, and prints damage as it is found.
async fn check(keywright: &Keywright) -> Result<(), Failure> {
    let (accounts, housekeeping) = (Accounts::new(keywright.driver().clone())?, keywright.housekeeping());
    let (mut partitions, mut records, mut ciphers, mut damaged) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut next = None;
    loop {
        let checked = housekeeping.check(next, PARTITIONS).await.map_err(Failure::Check)?;
        partitions = partitions.saturating_add(checked.partitions);
        records = records.saturating_add(checked.records);
        ciphers = ciphers.saturating_add(checked.ciphers);
        for Damaged { partition, faults, .. } in checked.damaged {
            damaged = damaged.saturating_add(1);
            let place = name(&accounts, &partition).await;
            for fault in faults {
                output::say(&format!("{place}: {fault}")).map_err(Failure::Output)?;
            }
        }
        match checked.next {
            Some(place) => next = Some(place),
            None => break,
        }
    }
    let looked_at = format!("looked at: {partitions} partitions, {records} records, {ciphers} ciphers");
    output::say(&looked_at).map_err(Failure::Output)?;
    if damaged == 0 { Ok(()) } else { Err(Failure::Damaged { partitions: damaged }) }
}

/// Returns how an operator refers to a partition. For an account, it is what `--accept` takes.
async fn name(accounts: &Accounts, partition: &Partition) -> String {
    let Some(account) = partition.as_account() else { return format!("partition {}", partition.key()) };
    match accounts.profile(&account).await {
        Ok(Some(profile)) => format!("account {account} ({})", profile.name),
        // The account is not in the accounts file, or its profile is damaged too, which is reported
        // separately.
        Ok(None) | Err(_) => format!("account {account}"),
    }
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
    }
}

/// Finds an account by its name or a verified address in the accounts file, by the address of a
/// LibrePass user, or by the id in the log.
async fn find(keywright: &Keywright, name: &str) -> Result<AccountId, Failure> {
    let accounts = Arc::new(Accounts::new(keywright.driver().clone())?);
    if let Some(account) = accounts.find(name).await? {
        return Ok(account);
    }
    if let Some(user) = accounts.rocketchat_user(Named::EmailOrUsername(name)).await? {
        return Ok(user.account);
    }
    if let Some(account) = librepass::account_of(keywright.driver(), name).await.map_err(Failure::Act)? {
        return Ok(account);
    }
    let unknown = || Failure::NoAccount { name: name.to_owned() };
    let account = AccountId::new(name).map_err(|_| unknown())?;
    let partition = Partition::account(&account);
    let exists = keywright.driver().observe(&partition, &[], |draft| Ok(draft.exists())).await;
    if exists.map_err(Failure::Act)? { Ok(account) } else { Err(unknown()) }
}
