//! Taking the second factors of all accounts out, and in again.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use keywright::store::Partition;
use keywright::twofactor::import::{ExportConsent, Import, ImportOutcome, ImportedUser};
use keywright::{AccountId, Keywright};

use crate::failure::Failure;
use crate::operator::failure::Failed;
use crate::operator::progress::Progress;
use crate::output;

/// How many partitions are listed at once.
const PARTITIONS: u32 = 256;

/// Writes one line for each account with second factors to a new file.
///
/// # Errors
/// A [`Failure`]. Accounts that were written have an event of it.
pub(super) async fn export(keywright: &Keywright, path: &Path, confirmed: bool) -> Result<String, Failure> {
    if !confirmed {
        return Err(Failed::NotInClear.into());
    }
    let failed = |source| Failed::File { path: path.to_path_buf(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path).map_err(failed)?);
    let factors = keywright.two_factor();
    let (mut after, mut count, progress) = (None, 0_u64, Progress::new("accounts"));
    loop {
        let page = keywright.store().partitions(after, PARTITIONS).await.map_err(Failure::Scan)?;
        let Some(last) = page.last().cloned() else { break };
        for account in page.iter().filter_map(Partition::as_account) {
            let consent = ExportConsent::to_secrets_in_clear();
            let Some(user) = factors.export_user(&account, consent).await.map_err(Failed::Factors)? else { continue };
            let line = user.to_line(&account).map_err(|source| Failed::Line { number: 0, source })?;
            writeln!(file, "{}", line.expose()).map_err(failed)?;
            count = count.saturating_add(1);
            progress.at(count);
        }
        after = Some(last);
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(format!("{count} accounts, with their secrets in clear: {}", path.display()))
}

/// Takes over what such a file holds.
///
/// # Errors
/// A [`Failure`]. It can be run again.
pub(super) async fn import(keywright: &Keywright, path: &Path, dry_run: bool) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|source| Failed::File { path: path.to_path_buf(), source })?;
    let lines = text.lines().zip(1_usize..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(line, number)| ImportedUser::from_line(line).map_err(|source| Failed::Line { number, source });
    // All lines are read before anything is written.
    let users = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    let (mut refused, mut count, progress) = (Vec::new(), 0_u64, Progress::new("accounts"));
    let each = |account: &AccountId, outcome: &ImportOutcome| {
        count = count.saturating_add(1);
        progress.at(count);
        if let ImportOutcome::NotTaken(fault) = outcome {
            refused.push(format!("{account}: {fault}"));
        }
    };
    let import = Import::new(keywright.two_factor()).dry_run(dry_run);
    let report = import.run(users, each).await.map_err(|stopped| Failed::Import(Box::new(stopped)))?;
    drop(progress);
    for line in refused {
        output::say(&line).map_err(Failure::Output)?;
    }
    let trial = if dry_run { "; nothing was written" } else { "" };
    Ok(format!(
        "imported: {}, before: {}, with factors of their own: {}, not accepted: {}{trial}",
        report.imported, report.already_imported, report.with_factors, report.not_taken
    ))
}
