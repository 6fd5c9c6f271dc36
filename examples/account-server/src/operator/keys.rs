//! Changing the keyring: a new key, sealing everything under it, and removing the old ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keywright::{KeyId, Keyring, Keywright, Retirement, SystemEntropy};

use crate::failure::Failure;
use crate::keyring::KeyringPlace;
use crate::operator::failure::Failed;
use crate::operator::progress::Progress;
use crate::options::{KeysCommand, Options};
use crate::output;
use crate::start;

/// How many partitions are read at once.
const PARTITIONS: u32 = 64;

/// How long after a change of the keyring no key is removed. A running server reads its keyring
/// every ten seconds, and writes under the key that was the newest until then.
const SETTLED: Duration = Duration::from_secs(60);

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
        KeysCommand::Rotate => {
            drop(keywright);
            rotate(options, &path).await?
        }
        KeysCommand::Reseal => reseal(&keywright).await?,
        KeysCommand::Retire => retire(&keywright, &path).await?,
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

async fn rotate(options: &Options, path: &Path) -> Result<String, Failure> {
    let keyring = Keyring::update(path, &SystemEntropy, |keyring| Ok(keyring.rotated(&SystemEntropy)?));
    let keyring = keyring.map_err(|source| Failed::Keyring { path: path.to_path_buf(), source })?;
    let newest = keyring.key_ids().next().map(|kid| kid.to_string()).unwrap_or_default();
    // Opening the store records the new key there.
    start::open(options).await?;
    Ok(format!("{newest} is the newest key; copy the keyring to every other server, then run `keys reseal`"))
}

async fn reseal(keywright: &Keywright) -> Result<String, Failure> {
    let (housekeeping, progress) = (keywright.housekeeping(), Progress::new("sealed again"));
    let (mut next, mut resealed, mut unreadable) = (None, 0_u64, 0_u64);
    loop {
        let pass = housekeeping.reseal(next, PARTITIONS).await.map_err(Failed::Reseal)?;
        resealed = resealed.saturating_add(pass.resealed);
        unreadable = unreadable.saturating_add(u64::try_from(pass.unreadable.len()).unwrap_or(u64::MAX));
        progress.at(resealed);
        next = pass.next;
        if next.is_none() {
            break;
        }
    }
    if unreadable > 0 {
        return Err(Failed::Unreadable { partitions: unreadable }.into());
    }
    Ok(format!("sealed again under the newest key: {resealed} partitions"))
}

async fn retire(keywright: &Keywright, path: &Path) -> Result<String, Failure> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(Failed::Age)?;
    // A file from the future is as good as one from just now.
    let age = modified.elapsed().unwrap_or_default();
    if let Some(left) = SETTLED.checked_sub(age).filter(|left| !left.is_zero()) {
        return Err(Failed::TooEarly { seconds: left.as_secs().saturating_add(1) }.into());
    }
    match keywright.housekeeping().retire_old_keys().await.map_err(Failed::Retire)? {
        Retirement::Retired(_) => {}
        Retirement::InUse(partition) => return Err(Failed::InUse { partition }.into()),
        _ => return Ok("nothing was removed".to_owned()),
    }
    // Everything is under the newest key of the keyring that was read above. One that was added
    // since is before it in the file, and stays.
    let old: Vec<KeyId> = keywright.driver().keyring().key_ids().skip(1).collect();
    if old.is_empty() {
        return Ok("there is no older key".to_owned());
    }
    Keyring::update(path, &SystemEntropy, |keyring| Ok(keyring.without(&old)))
        .map_err(|source| Failed::Keyring { path: path.to_path_buf(), source })?;
    let ids: Vec<String> = old.iter().map(KeyId::to_string).collect();
    Ok(format!("removed from the keyring, as nothing is sealed under them: {}", ids.join(", ")))
}
