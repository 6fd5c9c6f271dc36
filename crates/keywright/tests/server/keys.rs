//! Rotating and retiring keys through the library, and keyrings from variables, descriptors and text.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use keywright::{KeyId, Keyring, KeysError, Keywright, SETTLED, StartError, SystemEntropy};

use super::{account, memory};

/// Makes the keyring look as if it was changed some time ago.
fn age(path: &Path) {
    let file = File::options().append(true).open(path).unwrap();
    let changed = file.metadata().unwrap().modified().unwrap();
    file.set_modified(changed.checked_sub(SETTLED.saturating_add(Duration::from_secs(60))).unwrap()).unwrap();
}

#[tokio::test]
async fn a_key_is_added_everything_is_sealed_under_it_and_the_old_one_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    let store = memory();
    let keywright = Keywright::builder_shared(store.clone()).keyring_file(&path).open().await.unwrap();
    keywright.ensure_account(&account("one")).await.unwrap();
    let keys = keywright.keys();
    let first = keys.ids().next().unwrap();

    let newest = keys.rotate().await.unwrap();
    assert_eq!(keys.ids().collect::<Vec<_>>(), [newest, first], "known here without a restart");
    assert_eq!(Keyring::load(&path).unwrap().key_ids().collect::<Vec<_>>(), [newest, first]);
    let early = keys.retire().await.unwrap_err();
    assert!(matches!(early, KeysError::TooEarly { seconds, .. } if seconds <= 60), "{early:?}");
    age(&path);
    assert!(matches!(keys.retire().await.unwrap_err(), KeysError::InUse(_)));
    let mut counts = Vec::new();
    let done = keys.reseal(|count| counts.push(count)).await.unwrap();
    assert!(done.unreadable.is_empty() && counts.last() == Some(&done.resealed) && done.resealed == 1, "{done:?}");
    assert_eq!(keys.reseal(|_| {}).await.unwrap().resealed, 0);
    assert_eq!(keys.retire().await.unwrap(), [first]);
    assert_eq!(Keyring::load(&path).unwrap().key_ids().collect::<Vec<_>>(), [newest]);
    // A start with the new file, and none with a copy of the old key alone.
    age(&path);
    let again = Keywright::builder_shared(store).keyring_file(&path).open().await.unwrap();
    assert_eq!(again.keys().retire().await.unwrap(), [] as [KeyId; 0]);
    assert!(again.recent_events(&account("one"), 1).await.is_ok());
}

#[tokio::test]
async fn a_keyring_as_text_is_changed_where_it_comes_from() {
    let store = memory();
    let text = Keyring::generate(&SystemEntropy).unwrap().to_text();
    let copy = || keywright::SecretString::new(text.expose().to_owned());
    let open = async |text| Keywright::builder_shared(store.clone()).keyring_text(text).open().await;
    let keywright = open(copy()).await.unwrap();
    keywright.ensure_account(&account("one")).await.unwrap();
    assert!(matches!(keywright.keys().rotate().await.unwrap_err(), KeysError::NoFile));
    let rotated = keywright.keys().rotated_text().unwrap();

    let keywright = open(rotated).await.unwrap();
    let keys = keywright.keys();
    assert_eq!(keys.ids().count(), 2);
    keys.reseal(|_| {}).await.unwrap();
    let retired = keys.retire().await.unwrap();
    assert_eq!((retired.len(), keys.ids().count()), (1, 2), "what the source has is not changed");
    let keywright = open(keys.text_without(&retired).unwrap()).await.unwrap();
    assert_eq!(keywright.keys().ids().count(), 1);
    assert!(keywright.recent_events(&account("one"), 1).await.is_ok());
    assert!(matches!(open(copy()).await.unwrap_err(), StartError::MissingKey(_)), "the old key alone");
    assert!(!format!("{keys:?}").contains(&text.expose()[text.expose().len() - 40..]));
}

#[tokio::test]
async fn variables_and_descriptors_that_hold_no_keyring_are_named_and_not_quoted() {
    let unset = Keywright::builder_shared(memory()).keyring_env("KEYWRIGHT_TEST_NOT_SET").open().await.unwrap_err();
    assert!(matches!(unset, StartError::Source(_)), "{unset:?}");
    assert!(format!("{unset:?}").contains("KEYWRIGHT_TEST_NOT_SET"), "{unset:?}");
    // Cargo sets this one.
    let other = Keywright::builder_shared(memory()).keyring_env("CARGO_MANIFEST_DIR").open().await.unwrap_err();
    let shown = format!("{other} {other:?}");
    assert!(matches!(other, StartError::Source(_)) && !shown.contains(env!("CARGO_MANIFEST_DIR")), "{shown}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_descriptor_is_read_and_its_file_is_read_again() {
    use std::os::fd::AsRawFd;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    Keyring::create(&path, &SystemEntropy).unwrap();
    let file = File::open(&path).unwrap();
    let number = u32::try_from(file.as_raw_fd()).unwrap();
    let store = memory();
    let keywright = Keywright::builder_shared(store).keyring_fd(number).open().await.unwrap();
    assert_eq!(keywright.keys().ids().count(), 1);
    assert!(matches!(keywright.keys().rotate().await.unwrap_err(), KeysError::NoFile));
    assert!(!keywright.driver().keyring().refresh().unwrap());
    let none = Keywright::builder_shared(memory()).keyring_fd(u32::MAX).open().await.unwrap_err();
    assert!(matches!(none, StartError::Source(_)), "{none:?}");
}
