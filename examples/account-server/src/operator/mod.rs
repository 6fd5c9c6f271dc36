//! An operator's commands. The server may keep running meanwhile, because their events are written
//! like all others. Each can be stopped at any moment and run again.
//!
//! `accounts` acts on accounts, `check` finds and accepts damage, `copies` makes and restores
//! backups, `keys` changes the keyring, `moving` takes second factors out and in. `failure` is what can go wrong.

mod accounts;
mod check;
mod copies;
pub(crate) mod failure;
mod find;
mod keys;
mod moving;
mod progress;

use keywright::Keywright;

use crate::failure::Failure;
use crate::operator::failure::Failed;
use crate::operator::progress::Progress;
use crate::options::{Command, KeysCommand, Options, StoreChoice};
use crate::output;
use crate::start;

/// How many rows are dropped at once. In between, the server's writer can do other work.
const SWEEP: u32 = 500;

/// Runs one command and prints the result.
///
/// # Errors
/// A [`Failure`]. Nothing was changed, unless the message states that this is unknown.
pub(crate) async fn run(options: &Options, command: &Command) -> Result<(), Failure> {
    match &options.store {
        StoreChoice::Memory => return Err(Failure::NothingStored),
        StoreChoice::Postgres(_) if matches!(command, Command::Backup { .. } | Command::Restore { .. }) => {
            return Err(Failed::NoSqlite.into());
        }
        StoreChoice::Postgres(_) => {}
        StoreChoice::Sqlite(path) => {
            if let Command::Restore { backup } = command {
                return copies::restore(options, backup, path).await;
            }
            if !path.exists() && !matches!(command, Command::Keys { command: KeysCommand::New }) {
                return Err(Failure::NoStore { path: path.clone() });
            }
            if let Command::Backup { path: copy } = command {
                return copies::back_up(path, copy).await;
            }
        }
    }
    if let Command::Keys { command } = command {
        return keys::run(options, *command).await;
    }
    let keywright = start::open(options).await?.keywright;
    let done = match command {
        Command::Accounts { command } => accounts::run(options, &keywright, command).await?,
        Command::Events { account, limit } => accounts::events(&keywright, account, *limit).await?,
        Command::Sweep => sweep(&keywright).await?,
        Command::Check { accept: None, .. } => return check::check(&keywright).await,
        Command::Check { accept: Some(accept), drop_unreadable } => {
            check::accept_vault(&keywright, accept, *drop_unreadable).await?
        }
        // These were run above.
        Command::Backup { .. } | Command::Restore { .. } | Command::Keys { .. } => return Ok(()),
    };
    output::say(&done).map_err(Failure::Output)
}

/// Drops what has expired, as the server does every hour.
async fn sweep(keywright: &Keywright) -> Result<String, Failure> {
    let (housekeeping, progress) = (keywright.housekeeping(), Progress::new("dropped"));
    let horizon = housekeeping.move_horizon().await.map_err(Failed::Sweep)?;
    let (mut rows, mut events) = (0_u64, 0_u64);
    loop {
        let gone = housekeeping.sweep(SWEEP).await.map_err(Failed::Sweep)?;
        rows = rows.saturating_add(gone);
        progress.at(rows);
        if gone < u64::from(SWEEP) {
            break;
        }
    }
    loop {
        let gone = housekeeping.forget_events(SWEEP).await.map_err(Failed::Sweep)?;
        events = events.saturating_add(gone);
        progress.at(rows.saturating_add(events));
        if gone < u64::from(SWEEP) {
            break;
        }
    }
    let until = output::moment(horizon.at);
    let ahead = if horizon.clock_is_ahead { "; the clock is more than a day ahead of the last sweep" } else { "" };
    Ok(format!("dropped: {rows} expired records, {events} old events; what expired before {until}{ahead}"))
}
