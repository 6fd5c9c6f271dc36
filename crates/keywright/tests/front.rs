//! The front door: keys and stores that belong together, upkeep, the operator's acts.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::path::Path;
use std::sync::Arc;

use keywright::challenge::{Caller, ChallengeSecret, Proof, Salts, Setting, Verification};
use keywright::core::{KeyringFileError, SecretBytes};
use keywright::store::{Partition, Record, Slot, due};
use keywright::{
    AccountId, Creation, Door, EventKind, Keyring, Keywright, ManualClock, MemoryStore, Retirement, StartError, Store,
    SystemEntropy, UnixSeconds,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note(u8);

impl Record for Note {
    const SCHEMA: u16 = 1;
}

const NOTE: Slot = Slot::Host([7; 16]);

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

/// Seal keys by number, newest first, and always the same index key.
fn keyring(keys: &[u8]) -> Keyring {
    let seal: Vec<_> = keys.iter().map(|&key| SecretBytes::from_slice(&[key; 32]).unwrap()).collect();
    Keyring::from_keys(&seal, &SecretBytes::from_slice(&[0xee; 32]).unwrap()).unwrap()
}

async fn open(store: &Arc<dyn Store>, keys: &[u8]) -> Result<Keywright, StartError> {
    Keywright::builder_shared(store.clone()).keyring(keyring(keys)).open().await
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn newest(keys: &[u8]) -> keywright::KeyId {
    keyring(keys).kids().next().unwrap()
}

#[tokio::test]
async fn a_keyring_file_is_made_beside_an_empty_store_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    let start = async |store: &Arc<dyn Store>, path: &Path| {
        Keywright::builder_shared(store.clone()).keyring_file(path).open().await.map(|_| ())
    };
    let store = memory();
    start(&store, &path).await.unwrap();
    assert!(path.exists());
    start(&store, &path).await.unwrap();

    let moved = folder.path().join("moved.toml");
    std::fs::rename(&path, &moved).unwrap();
    let refused = start(&store, &path).await.unwrap_err();
    assert!(matches!(refused, StartError::Keyring(KeyringFileError::Missing)), "{refused:?}");
    assert!(!path.exists());
    start(&store, &moved).await.unwrap();
    let none = Keywright::builder_shared(store).open().await.unwrap_err();
    assert!(matches!(none, StartError::NoKeyring));
}

#[tokio::test]
async fn a_keyring_that_lacks_a_key_in_use_is_refused_and_the_key_named() {
    let store = memory();
    open(&store, &[1]).await.unwrap();
    open(&store, &[2, 1]).await.unwrap();
    for (keys, missing) in [(&[3][..], 1), (&[1], 2), (&[2], 1), (&[3, 2], 1)] {
        match open(&store, keys).await.unwrap_err() {
            StartError::MissingKey(kid) => assert_eq!(kid, newest(&[missing]), "{keys:?}"),
            other => panic!("{keys:?}: {other:?}"),
        }
    }
    // The order does not matter, nor do keys that were never used.
    open(&store, &[1, 2]).await.unwrap();
    open(&store, &[2, 9, 1]).await.unwrap();
    let error = open(&store, &[2]).await.unwrap_err();
    assert!(error.to_string().contains(&newest(&[1]).to_string()), "{error}");
}

#[tokio::test]
async fn a_store_with_data_but_no_note_of_keys_is_refused() {
    let store = memory();
    let keywright = open(&store, &[1]).await.unwrap();
    keywright.create_account(&account("alice")).await.unwrap();
    let server = Partition::server();
    keywright.driver().transact(&server, &[Slot::Kids], |draft| draft.delete(Slot::Kids)).await.unwrap();
    assert!(matches!(open(&store, &[1]).await.unwrap_err(), StartError::NoKeyNote));
}

#[tokio::test]
async fn of_two_fresh_keyrings_on_one_store_the_second_is_refused() {
    let store = memory();
    let (first, second) = tokio::join!(open(&store, &[1]), open(&store, &[2]));
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|won| **won).count(), 1);
}

#[tokio::test]
async fn rotation_reseals_keeps_sweep_hints_and_retires_the_old_key() {
    let store = memory();
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(1_000).unwrap()));
    let start = async |keys: &[u8]| {
        Keywright::builder_shared(store.clone()).keyring(keyring(keys)).clock(clock.clone()).open().await.unwrap()
    };
    let before = start(&[1]).await;
    let gone_at = UnixSeconds::new(2_000).unwrap();
    for name in ["alice", "bob", "carol"] {
        before.create_account(&account(name)).await.unwrap();
        let partition = Partition::account(&account(name));
        before.driver().transact(&partition, &[NOTE], |draft| draft.put(NOTE, &Note(1), Some(gone_at))).await.unwrap();
    }

    let after = start(&[2, 1]).await;
    let upkeep = after.housekeeping();
    assert!(matches!(upkeep.retire_old_keys().await.unwrap(), Retirement::InUse { .. }));
    let (mut place, mut resealed) = (None, 0);
    loop {
        let pass = upkeep.reseal(place, 2).await.unwrap();
        assert!(pass.unreadable.is_empty());
        resealed += pass.resealed;
        match pass.next {
            Some(next) => place = Some(next),
            None => break,
        }
    }
    // Three roots, three notes, the server's root; the note of keys was put when the new key came.
    assert_eq!(resealed, 7);
    assert_eq!(upkeep.reseal(None, 100).await.unwrap().resealed, 0);
    assert_eq!(upkeep.retire_old_keys().await.unwrap(), Retirement::Retired(vec![newest(&[1])]));
    assert_eq!(upkeep.retire_old_keys().await.unwrap(), Retirement::Retired(Vec::new()));

    let without = start(&[2]).await;
    let bob = Partition::account(&account("bob"));
    let note = without.driver().observe(&bob, &[NOTE], |draft| draft.read::<Note>(NOTE)).await.unwrap();
    assert_eq!(note.map(|note| note.0), Some(1));
    assert_eq!(without.housekeeping().sweep(10).await.unwrap(), 0);
    clock.advance(1_001);
    assert_eq!(without.housekeeping().sweep(10).await.unwrap(), 3, "re-sealed records kept their sweep hints");
}

#[tokio::test]
async fn a_record_that_does_not_open_is_reported_and_left() {
    let store = memory();
    let before = open(&store, &[1]).await.unwrap();
    before.create_account(&account("alice")).await.unwrap();
    // A body of another place, as a careless restore would leave it.
    let (alice, bob) = (Partition::account(&account("alice")), Partition::account(&account("bob")));
    let body = store.load(&alice, &[Slot::Root]).await.unwrap().remove(0).unwrap().body;
    let revision = keywright::store::Revision::from_bytes([9; 16]);
    let write = keywright::store::Write {
        slot: Slot::Root,
        expect: keywright::store::Expect::Absent,
        effect: keywright::store::Effect::Put { body, purge_after: None },
    };
    store.commit(keywright::store::Batch::new(bob.clone(), revision, vec![write]).unwrap()).await.unwrap();
    let after = open(&store, &[2, 1]).await.unwrap();
    let pass = after.housekeeping().reseal(None, 100).await.unwrap();
    assert_eq!(pass.unreadable, [(bob.clone(), Slot::Root)]);
    let left = after.housekeeping().retire_old_keys().await.unwrap();
    assert_eq!(left, Retirement::InUse { partition: bob, slot: Slot::Root });
}

#[tokio::test]
async fn accounts_that_are_owed_work_are_found() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    for name in ["alice", "bob", "carol"] {
        keywright.create_account(&account(name)).await.unwrap();
    }
    let owe = async |name: &str| {
        let partition = Partition::account(&account(name));
        let step = |draft: &mut keywright::store::Draft<'_>| due::add(draft, "test.work", Vec::new());
        keywright.driver().transact(&partition, &[Slot::Due], step).await.unwrap().0
    };
    owe("alice").await;
    let done = owe("bob").await;
    let bob = Partition::account(&account("bob"));
    keywright.driver().transact(&bob, &[Slot::Due], |draft| due::complete(draft, &done)).await.unwrap();
    let (mut place, mut found) = (None, Vec::new());
    loop {
        let pass = keywright.housekeeping().due(place, 1).await.unwrap();
        found.extend(pass.accounts);
        match pass.next {
            Some(next) => place = Some(next),
            None => break,
        }
    }
    assert_eq!(found, [account("alice")]);
}

#[tokio::test]
async fn sign_up_lock_and_unlock() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    let alice = account("alice");
    assert_eq!(keywright.create_account(&alice).await.unwrap(), Creation::Created);
    assert_eq!(keywright.create_account(&alice).await.unwrap(), Creation::AlreadyExists);

    let [one, two, three] = [256, 64, 16].map(|bytes| "5a".repeat(bytes));
    let salts = Salts::parse(&[one.as_str(), &two, &three]).unwrap();
    let (right, wrong) = ("ab".repeat(32), "cd".repeat(32));
    let challenges = keywright.challenges();
    let set = challenges.set(&alice, &ChallengeSecret::from_client(&right).unwrap(), &salts).await.unwrap();
    assert!(matches!(set, Setting::Set(_)));
    let guess = async |text: &str| {
        challenges.verify(&alice, &Proof::from_client(text).unwrap(), &Caller::stranger()).await.unwrap()
    };
    for _ in 0..5 {
        assert!(matches!(guess(&wrong).await, Verification::Denied(_)));
    }
    assert!(matches!(guess(&right).await, Verification::Refused(_)));
    assert!(keywright.unlock(&alice, Door::Challenge).await.unwrap());
    assert!(!keywright.unlock(&alice, Door::Totp).await.unwrap());
    assert!(matches!(guess(&right).await, Verification::Granted(_)));

    let events = keywright.events(&alice, None, 100).await.unwrap();
    assert!(events.iter().any(|(_, event)| event.kind == EventKind::DoorUnlocked { door: Door::Challenge }));
    assert_eq!(events.last().unwrap().1.kind, EventKind::AccountCreated);
    let newest = keywright.events(&alice, None, 1).await.unwrap();
    assert_eq!(newest, events[..1]);
    let older = keywright.events(&alice, Some(newest[0].0), 100).await.unwrap();
    assert_eq!(older, events[1..]);
}

#[tokio::test]
async fn nothing_shows_a_key() {
    let keywright =
        Keywright::builder(MemoryStore::new()).keyring(keyring(&[0x5e])).entropy(SystemEntropy).open().await.unwrap();
    let shown = format!("{keywright:?} {:?} {:?}", keywright.housekeeping(), Keywright::builder(MemoryStore::new()));
    assert!(!shown.contains("5e5e") && !shown.contains("94, 94"), "{shown}");
}
