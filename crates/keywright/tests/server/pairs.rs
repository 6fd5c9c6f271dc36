//! A store and its keyring recognise each other, and a keyring can come from elsewhere.

use std::sync::{Arc, Mutex};

use keywright::{
    KeySource, KeySourceError, Keyring, Keywright, MemoryStore, StartError, Store, SystemEntropy, TransactError,
};

use super::{account, memory};

#[tokio::test]
async fn a_keyring_file_names_its_store_and_is_refused_beside_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    let start = async |store: Arc<dyn Store>| Keywright::builder_shared(store).keyring_file(&path).open().await;
    let store = memory();
    let id = start(store.clone()).await.unwrap().store_id();
    assert_eq!(Keyring::load(&path).unwrap().store(), Some(id));
    assert_eq!(start(store.clone()).await.unwrap().store_id(), id);
    let refused = start(memory()).await.unwrap_err();
    assert!(matches!(refused, StartError::EmptyStore(named) if named == id), "{refused:?}");

    // A first start that was cut off between the store's note and the file's.
    let bare = Keyring::load(&path).unwrap().to_text().expose().replace(&format!("store = \"{id}\"\n"), "");
    std::fs::write(&path, &bare).unwrap();
    assert_eq!(start(store.clone()).await.unwrap().store_id(), id);
    assert_eq!(Keyring::load(&path).unwrap().store(), Some(id));

    // The same keys with two stores.
    std::fs::write(&path, &bare).unwrap();
    let other = start(memory()).await.unwrap().store_id();
    assert_ne!(other, id);
    match start(store).await.unwrap_err() {
        StartError::OtherStore { store, named, .. } => assert_eq!((store, named), (id, other)),
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn of_many_first_starts_all_agree_on_the_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    let store = memory();
    let start = async || Keywright::builder_shared(store.clone()).keyring_file(&path).open().await;
    let (one, two, three) = tokio::join!(start(), start(), start());
    let ids = [one, two, three].map(|opened| opened.unwrap().store_id());
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(Keyring::load(&path).unwrap().store(), Some(ids[0]));
}

/// A secret manager.
#[derive(Debug)]
struct Vault(Mutex<Option<String>>);

impl KeySource for Vault {
    fn read(&self) -> Result<Keyring, KeySourceError> {
        let text = self.0.lock().unwrap().clone().ok_or_else(|| KeySourceError::new("it is sealed"))?;
        Keyring::from_text(&text).map_err(KeySourceError::new)
    }
}

#[tokio::test]
async fn a_running_server_learns_of_a_key_that_another_one_uses() {
    let vault = Arc::new(Vault(Mutex::new(None)));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let start = async || {
        let source = Arc::clone(&vault) as Arc<dyn KeySource>;
        Keywright::builder_shared(store.clone()).key_source(source).open().await
    };
    assert!(matches!(start().await.unwrap_err(), StartError::Source(_)));
    let keyring = Keyring::generate(&SystemEntropy).unwrap();
    *vault.0.lock().unwrap() = Some(keyring.to_text().expose().to_owned());
    let first = start().await.unwrap();
    first.ensure_account(&account("alice")).await.unwrap();

    let rotated = keyring.rotated(&SystemEntropy).unwrap();
    *vault.0.lock().unwrap() = Some(rotated.to_text().expose().to_owned());
    let second = start().await.unwrap();
    while second.housekeeping().reseal(None, 100).await.unwrap().resealed > 0 {}
    assert_eq!(first.recent_events(&account("alice"), 9).await.unwrap().len(), 1, "it has read its source again");
    first.ensure_account(&account("bob")).await.unwrap();
    let all = keyring_ids(&rotated);
    let newest = rotated.without(&all);
    *vault.0.lock().unwrap() = Some(newest.to_text().expose().to_owned());
    second.housekeeping().retire_old_keys().await.unwrap();
    let third = start().await.unwrap();
    assert_eq!(third.recent_events(&account("bob"), 9).await.unwrap().len(), 1, "it was written with the new key");

    // A source that fails costs what it cannot open, and nothing else.
    *vault.0.lock().unwrap() = None;
    let unknown: Result<_, TransactError> = third.recent_events(&account("alice"), 9).await;
    assert_eq!(unknown.unwrap().len(), 1);
}

fn keyring_ids(keyring: &Keyring) -> Vec<keywright::KeyId> {
    keyring.key_ids().collect()
}

#[tokio::test]
async fn an_operator_ends_sessions_and_the_log_has_it() {
    let keyring = Keyring::generate(&SystemEntropy).unwrap();
    let keywright = Keywright::builder(MemoryStore::new()).keyring(keyring).open().await.unwrap();
    let alice = account("alice");
    assert!(keywright.operator().end_sessions(&alice).await.is_err(), "there is no account");
    keywright.ensure_account(&alice).await.unwrap();
    let epoch = async || {
        let root = keywright.driver().observe(&(&alice).into(), &[], |draft| draft.root()).await.unwrap();
        root.epochs()
    };
    let before = epoch().await;
    keywright.operator().end_sessions(&alice).await.unwrap();
    assert_ne!(epoch().await, before);
    let newest = keywright.recent_events(&alice, 1).await.unwrap().remove(0);
    assert_eq!(newest.kind(), "sessions_ended_by_operator");
}
