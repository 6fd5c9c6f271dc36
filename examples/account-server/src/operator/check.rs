//! Finding damage, and accepting it.

use keywright::rekey::{Acceptance, Unreadable};
use keywright::store::Partition;
use keywright::{Damaged, Keywright};

use crate::accounts::directory::Accounts;
use crate::failure::Failure;
use crate::operator::find::find;
use crate::operator::progress::Progress;
use crate::output;

/// How many partitions are read at once.
const PARTITIONS: u32 = 64;

/// Checks everything, and prints damage as it is found.
///
/// # Errors
/// A [`Failure`] if anything is damaged, or if the check did not come to its end.
pub(super) async fn check(keywright: &Keywright) -> Result<(), Failure> {
    let (accounts, housekeeping) = (Accounts::new(keywright.driver().clone())?, keywright.housekeeping());
    let (mut partitions, mut records, mut ciphers, mut damaged) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut next, progress) = (None, Progress::new("checked"));
    loop {
        let checked = housekeeping.check(next, PARTITIONS).await.map_err(Failure::Check)?;
        partitions = partitions.saturating_add(checked.partitions);
        progress.at(partitions);
        records = records.saturating_add(checked.records);
        ciphers = ciphers.saturating_add(checked.ciphers);
        for Damaged { partition, faults, .. } in checked.damaged {
            damaged = damaged.saturating_add(1);
            let place = name(&accounts, &partition).await;
            for fault in faults {
                progress.pause(|| output::say(&format!("{place}: {fault}"))).map_err(Failure::Output)?;
            }
        }
        match checked.next {
            Some(place) => next = Some(place),
            None => break,
        }
    }
    drop(progress);
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

/// Accepts a damaged vault as it is.
///
/// # Errors
/// A [`Failure`] if the vault was not accepted.
pub(super) async fn accept_vault(keywright: &Keywright, name: &str, drop_unreadable: bool) -> Result<String, Failure> {
    let account = find(keywright, name).await?;
    let unreadable = if drop_unreadable { Unreadable::Drop } else { Unreadable::Report };
    match keywright.vaults().accept_damaged(&account, unreadable).await.map_err(Failure::Vault)? {
        Acceptance::Accepted { ciphers, counted, dropped } => Ok(format!(
            "{name}: the vault is accepted; ciphers before: {counted}, now: {ciphers}, dropped because they do not open: {}",
            dropped.len()
        )),
        Acceptance::Undamaged => Ok(format!("{name}: the vault is undamaged")),
        Acceptance::NoVault => Ok(format!("{name}: there is no vault")),
        Acceptance::Unreadable(ciphers) => Err(Failure::UnreadableCiphers { count: ciphers.len() }),
    }
}
