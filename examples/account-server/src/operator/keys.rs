//! Changing the keyring: a new key, sealing everything under it, and removing the old ones.

use std::path::PathBuf;

use keywright::{KeyId, KeysError, Keywright};

use crate::failure::Failure;
use crate::keyring::KeyringPlace;
use crate::operator::failure::Failed;
use crate::operator::progress::Progress;
use crate::options::{KeysCommand, Options};
use crate::output;
use crate::start;

/// Runs one command and prints the result.
///
/// # Errors
/// A [`Failure`]. What was done stays, and the command can be run again.
pub(super) async fn run(options: &Options, command: KeysCommand) -> Result<(), Failure> {
    let path = match KeyringPlace::find(options)? {
        KeyringPlace::File(path) => path,
        _ if matches!(command, KeysCommand::List | KeysCommand::Reseal) => PathBuf::new(),
        _ => return Err(Failed::NoFile.into()),
    };
    if command == KeysCommand::New && path.exists() {
        return Err(Failed::Exists { path }.into());
    }
    // First, with the keyring as it is: a wrong pair is refused before anything is changed.
    let keywright = start::open(options).await?.keywright;
    let said = match command {
        // Opening an empty store has made both.
        KeysCommand::New | KeysCommand::List => list(&keywright),
        KeysCommand::Rotate => rotate(&keywright).await?,
        KeysCommand::Reseal => reseal(&keywright).await?,
        KeysCommand::Retire => retire(&keywright).await?,
    };
    output::say(&said).map_err(Failure::Output)
}

fn list(keywright: &Keywright) -> String {
    let keyring = keywright.driver().keyring();
    let mut lines: Vec<String> = keyring.key_ids().map(|kid| format!("{kid}  opens what is sealed under it")).collect();
    if let Some(newest) = lines.first_mut() {
        newest.replace_range(16.., "  the newest: seals what is written");
    }
    lines.push(format!("store: {}", keywright.store_id()));
    if keyring.fence().get() > 0 {
        lines.push(format!("fence: {}", output::moment(keyring.fence())));
    }
    lines.join("\n")
}

async fn rotate(keywright: &Keywright) -> Result<String, Failure> {
    let newest = keywright.keys().rotate().await.map_err(Failed::Keys)?;
    Ok(format!("{newest} is the newest key; copy the keyring to every other server, then run `keys reseal`"))
}

async fn reseal(keywright: &Keywright) -> Result<String, Failure> {
    let progress = Progress::new("sealed again");
    let done = keywright.keys().reseal(|resealed| progress.at(resealed)).await.map_err(Failed::Keys)?;
    if !done.unreadable.is_empty() {
        let partitions = u64::try_from(done.unreadable.len()).unwrap_or(u64::MAX);
        return Err(Failed::Unreadable { partitions }.into());
    }
    Ok(format!("sealed again under the newest key: {} partitions", done.resealed))
}

async fn retire(keywright: &Keywright) -> Result<String, Failure> {
    let old = keywright.keys().retire().await.map_err(|error| match error {
        KeysError::InUse(partition) => Failed::InUse { partition },
        other => Failed::Keys(other),
    })?;
    if old.is_empty() {
        return Ok("there is no older key".to_owned());
    }
    let ids: Vec<String> = old.iter().map(KeyId::to_string).collect();
    Ok(format!("removed from the keyring, as nothing is sealed under them: {}", ids.join(", ")))
}
