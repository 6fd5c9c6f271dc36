//! The front door: keys and stores that belong together, upkeep, the operator's acts.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

mod activity;
mod horizon;
mod keys;
mod pairs;
mod verifier;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywright::challenge::{CHALLENGE_SECRET, ChallengeSecret, Proof, Salts, SetOutcome, Verification};
use keywright::confirm::ConfirmPolicy;
use keywright::core::{Client, KeyringFileError, SecretBytes};
use keywright::rekey::VaultPolicy;
use keywright::sqlite::{SqliteStore, rusqlite};
use keywright::store::due::{self, DUE, NewTask};
use keywright::store::guess::GUESSES_UNLOCKED;
use keywright::store::slot::Expiring;
use keywright::store::{
    ACCOUNT_CREATED, Batch, BoxFuture, COMMIT_SECONDS, LOAD_SECONDS, LoadError, Partition, Record, Revision, Slot,
    StepError, Timer, Write,
};
use keywright::twofactor::TwoFactorPolicy;
use keywright::{
    AccountCreation, AccountId, Keyring, Keywright, ManualClock, MemoryStore, NoVault, Retirement, StartError, Store,
    SystemEntropy, TransactError, UnixSeconds,
};
use keywright_testing::{Call, Heard, HookedStore};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note(u8);

impl Record for Note {
    const SCHEMA: u16 = 1;
}

const NOTE: Slot<Note, Expiring> = Slot::expiring("test-note");

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

/// Seal keys by number, newest first, and always the same index key.
fn keyring(keys: &[u8]) -> Keyring {
    let seal: Vec<_> = keys.iter().map(|&key| SecretBytes::from_slice(&[key; 32]).unwrap()).collect();
    Keyring::from_keys(&seal, &SecretBytes::from_slice(&[0xee; 32]).unwrap()).unwrap()
}

async fn open(store: &Arc<dyn Store>, keys: &[u8]) -> Result<Keywright, StartError> {
    Keywright::builder_shared(store.clone()).keyring(keyring(keys)).slots(&[NOTE.kind()]).open().await
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn newest(keys: &[u8]) -> keywright::KeyId {
    keyring(keys).key_ids().next().unwrap()
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
    for (keys, missing) in [(&[3][..], 2), (&[1], 2), (&[2], 1), (&[3, 2], 1)] {
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
    keywright.ensure_account(&account("alice")).await.unwrap();
    // The note's name is the front door's own; a slot of the same name reaches it.
    let (server, note) = (Partition::server(), Slot::<Note>::lasting("key-ids"));
    keywright.driver().transact(&server, &[note.name()], |draft| draft.delete(note)).await.unwrap();
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
        Keywright::builder_shared(store.clone())
            .keyring(keyring(keys))
            .slots(&[NOTE.kind()])
            .clock(clock.clone())
            .open()
            .await
            .unwrap()
    };
    let before = start(&[1]).await;
    let gone_at = UnixSeconds::new(2_000).unwrap();
    for name in ["alice", "bob", "carol"] {
        before.ensure_account(&account(name)).await.unwrap();
        let partition = Partition::account(&account(name));
        let step = |draft: &mut keywright::store::Draft<'_>| draft.put_until(NOTE, &Note(1), gone_at);
        before.driver().transact(&partition, &[NOTE.name()], step).await.unwrap();
    }

    let after = start(&[2, 1]).await;
    let upkeep = after.housekeeping();
    assert!(matches!(upkeep.retire_old_keys().await.unwrap(), Retirement::InUse(_)));
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
    // Three accounts. The server's partition was put when the new key came, root and note of keys at once.
    assert_eq!(resealed, 3);
    assert_eq!(upkeep.reseal(None, 100).await.unwrap().resealed, 0);
    assert_eq!(upkeep.retire_old_keys().await.unwrap(), Retirement::Retired(vec![newest(&[1])]));
    assert_eq!(upkeep.retire_old_keys().await.unwrap(), Retirement::Retired(Vec::new()));

    let without = start(&[2]).await;
    let bob = Partition::account(&account("bob"));
    let note = without.driver().observe(&bob, &[NOTE.name()], |draft| draft.read(NOTE)).await.unwrap();
    assert_eq!(note.map(|note| note.0), Some(1));
    without.housekeeping().move_horizon().await.unwrap();
    assert_eq!(without.housekeeping().sweep(10).await.unwrap(), 0);
    clock.advance(1_001);
    // Another process: in one the horizon rests for an hour.
    let later = start(&[2]).await.housekeeping();
    later.move_horizon().await.unwrap();
    assert_eq!(later.sweep(10).await.unwrap(), 3, "re-sealed records kept their sweep hints");
}

#[tokio::test]
async fn a_record_that_does_not_open_is_reported_and_left() {
    let store = memory();
    let before = open(&store, &[1]).await.unwrap();
    before.ensure_account(&account("alice")).await.unwrap();
    // A body of another place, as a careless restore would leave it.
    let (alice, bob) = (Partition::account(&account("alice")), Partition::account(&account("bob")));
    let body = store.load(&alice, &[]).await.unwrap().root.unwrap().body;
    let write = Write::root(Revision::from_bytes([9; 16]), body);
    store.commit(Batch::new(bob.clone(), None, write).unwrap()).await.unwrap();
    let after = open(&store, &[2, 1]).await.unwrap();
    let pass = after.housekeeping().reseal(None, 100).await.unwrap();
    assert_eq!(pass.unreadable, std::slice::from_ref(&bob));
    let left = after.housekeeping().retire_old_keys().await.unwrap();
    assert_eq!(left, Retirement::InUse(bob));
}

#[tokio::test]
async fn a_root_of_an_unknown_form_does_not_stop_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).unwrap());
    let before = open(&store, &[1]).await.unwrap();
    for name in ["alice", "bob", "carol"] {
        before.ensure_account(&account(name)).await.unwrap();
    }
    let spoil = "UPDATE keywright_roots SET revision = zeroblob(15) WHERE partition = 'a/bob'";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(spoil, []).unwrap(), 1);
    let after = open(&store, &[2, 1]).await.unwrap();
    let pass = after.housekeeping().reseal(None, 100).await.unwrap();
    let bob = Partition::account(&account("bob"));
    assert_eq!((pass.resealed, pass.unreadable), (2, vec![bob.clone()]));
    assert_eq!(after.housekeeping().retire_old_keys().await.unwrap(), Retirement::InUse(bob));
}

#[tokio::test]
async fn accounts_that_are_owed_work_are_found() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(1_000_000).unwrap()));
    let builder = Keywright::builder_shared(memory()).keyring(keyring(&[1])).clock(clock.clone());
    let keywright = builder.open().await.unwrap();
    for name in ["alice", "bob", "carol"] {
        keywright.ensure_account(&account(name)).await.unwrap();
    }
    let owe = async |name: &str| {
        let partition = Partition::account(&account(name));
        let step = |draft: &mut keywright::store::Draft<'_>| due::add(draft, NewTask::new("test/work", Vec::new()));
        keywright.driver().transact(&partition, &[DUE.name()], step).await.unwrap()
    };
    owe("alice").await;
    let done = owe("bob").await;
    let bob = Partition::account(&account("bob"));
    keywright.driver().transact(&bob, &[DUE.name()], |draft| due::complete(draft, &done)).await.unwrap();
    // Claimed just now by the process that commits it, so it is due again once that claim has run
    // out.
    assert_eq!(keywright.housekeeping().due(None, 10).await.unwrap().accounts, []);
    assert_eq!(keywright.housekeeping().due_at_start(None, 10).await.unwrap().accounts, [account("alice")]);
    clock.advance(due::CLAIM_LASTS);
    assert_eq!(keywright.housekeeping().due(None, 10).await.unwrap().accounts, [account("alice")]);
}

fn work(draft: &mut keywright::store::Draft<'_>) -> Result<due::DueTask, StepError> {
    due::add(draft, NewTask::new("test/work", Vec::new()))
}

#[tokio::test]
async fn a_pass_over_due_work_leaves_out_nobody_while_the_list_changes() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    let (housekeeping, mut claimed) = (keywright.housekeeping(), HashMap::new());
    let owe = async |name: &AccountId| {
        keywright.ensure_account(name).await.unwrap();
        keywright.driver().transact(&name.into(), &[DUE.name()], work).await.unwrap()
    };
    let finish = async |name: &AccountId, task: &due::DueTask| {
        keywright.driver().transact(&name.into(), &[DUE.name()], |draft| due::complete(draft, task)).await.unwrap()
    };
    for number in 0..10 {
        let account = account(&format!("user-{number}"));
        claimed.insert(account.clone(), owe(&account).await);
    }
    let (mut seen, mut place) = (Vec::new(), None);
    loop {
        let due = housekeeping.due_at_start(place, 3).await.unwrap();
        for account in &due.accounts {
            // Half of it is done between two stretches; the rest stays in the list.
            if let Some(task) = claimed.get(account).filter(|_| seen.len() % 2 == 0) {
                assert!(finish(account, task).await);
            }
            seen.push(account.clone());
        }
        match due.next {
            Some(next) => place = Some(next),
            None => break,
        }
        // An account whose key comes first.
        owe(&account(&format!("a-user-{}", seen.len()))).await;
    }
    let once: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "each once: {seen:?}");
    assert!(claimed.keys().all(|account| once.contains(account)), "{seen:?}");
}

/// Somebody who can write to the database can move or clear the hint of when work is due, but not
/// the value in the root.
#[tokio::test]
async fn work_that_was_put_off_in_the_database_is_found_by_the_pass_over_all_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).unwrap());
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(1_000_000).unwrap()));
    let builder = Keywright::builder_shared(store).keyring(keyring(&[1])).clock(clock.clone());
    let keywright = builder.open().await.unwrap();
    let (owed, idle) = (account("owed"), account("idle"));
    for account in [&owed, &idle] {
        keywright.ensure_account(account).await.unwrap();
        let task = keywright.driver().transact(&account.into(), &[DUE.name()], work).await.unwrap();
        if *account == idle {
            let done = |draft: &mut keywright::store::Draft<'_>| due::complete(draft, &task);
            assert!(keywright.driver().transact(&account.into(), &[DUE.name()], done).await.unwrap());
        }
    }
    clock.advance(due::CLAIM_LASTS);
    let housekeeping = keywright.housekeeping();
    assert_eq!(housekeeping.due(None, 10).await.unwrap().accounts, std::slice::from_ref(&owed));
    let database = keywright::sqlite::rusqlite::Connection::open(&path).unwrap();
    for (hint, listed) in [("9999999999", 1), ("NULL", 0)] {
        let write = format!("UPDATE keywright_roots SET due_at = {hint} WHERE due_at IS NOT NULL");
        assert_eq!(database.execute(&write, []).unwrap(), 1);
        assert_eq!(housekeeping.due(None, 10).await.unwrap().accounts, []);
        assert_eq!(housekeeping.due_at_start(None, 10).await.unwrap().accounts.len(), listed);
        let (mut found, mut place) = (Vec::new(), None);
        loop {
            let stretch = housekeeping.scan_due(place, 1).await.unwrap();
            assert!(stretch.unreadable.is_empty());
            found.extend(stretch.accounts);
            match stretch.next {
                Some(next) => place = Some(next),
                None => break,
            }
        }
        assert_eq!(found, std::slice::from_ref(&owed));
    }
    database.execute("UPDATE keywright_roots SET body = zeroblob(80) WHERE partition LIKE '%owed'", []).unwrap();
    let pass = housekeeping.scan_due(None, 10).await.unwrap();
    assert_eq!((pass.accounts, pass.unreadable), (vec![], vec![owed]));
}

#[tokio::test]
async fn sign_up_shut_out_and_unlock() {
    let heard = Heard::new();
    let builder = Keywright::builder(MemoryStore::new()).keyring(keyring(&[1])).observer(heard.clone());
    let keywright = builder.open().await.unwrap();
    let alice = account("alice");
    assert_eq!(keywright.ensure_account(&alice).await.unwrap(), AccountCreation::Created);
    assert_eq!(keywright.ensure_account(&alice).await.unwrap(), AccountCreation::AlreadyExists);

    let [one, two, three] = [256, 64, 16].map(|bytes| "5a".repeat(bytes));
    let salts = Salts::parse(&[one.as_str(), &two, &three]).unwrap();
    let (right, wrong) = ("ab".repeat(32), "cd".repeat(32));
    let challenges = keywright.challenges();
    let phone = keywright.client(&alice, b"app token 1");
    let set = challenges.set(&alice, &ChallengeSecret::from_client(&right).unwrap(), &salts, phone).await.unwrap();
    assert!(matches!(set, SetOutcome::Set(_)));
    let guess = async |text: &str, client: Client| {
        challenges.verify(&alice, &Proof::from_client(text).unwrap(), client).await.unwrap()
    };
    for _ in 0..5 {
        assert!(matches!(guess(&wrong, Client::unknown()).await, Verification::Denied(_)));
    }
    assert!(matches!(guess(&right, Client::unknown()).await, Verification::Refused(_)));
    assert!(matches!(guess(&right, phone).await, Verification::Granted(_)), "strangers hold up strangers alone");
    for _ in 0..5 {
        assert!(matches!(guess(&wrong, phone).await, Verification::Denied(_)));
    }
    let unlocked = keywright.operator().unlock(&alice).await.unwrap();
    assert_eq!(unlocked.iter().map(|name| name.as_str()).collect::<Vec<_>>(), [CHALLENGE_SECRET.name()]);
    assert!(keywright.operator().unlock(&alice).await.unwrap().is_empty());
    assert!(matches!(guess(&right, Client::unknown()).await, Verification::Granted(_)));

    let events = keywright.recent_events(&alice, 100).await.unwrap();
    assert!(events.iter().any(|event| event.is(&GUESSES_UNLOCKED) && event.text("secret") == Some("challenge")));
    assert!(events.iter().any(|event| event.is(&ACCOUNT_CREATED) && event.number == 1));
    assert_eq!((heard.events().len(), heard.damages()), (events.len(), 0), "each was heard once, after its commit");
    let (whose, first) = heard.events().remove(0);
    assert_eq!((whose, first.kind()), (alice, "account_created"));
}

#[tokio::test]
async fn a_store_without_a_vault_serves_what_needs_none() {
    let builder = Keywright::builder(NoVault(MemoryStore::new())).keyring(keyring(&[1]));
    let keywright = builder.open().await.unwrap();
    let alice = account("alice");
    keywright.ensure_account(&alice).await.unwrap();
    let challenges = keywright.challenges();
    assert!(challenges.get(&alice).await.unwrap().is_none());
    let partition = Partition::account(&alice);
    assert!(keywright.store().manifest(&partition).await.is_err());
    let checked = keywright.housekeeping().check(None, 100).await.unwrap();
    assert_eq!((checked.damaged.len(), checked.partitions, checked.next), (0, 2, None));
    let write = |draft: &mut keywright::store::Draft<'_>| {
        draft.write_vault(keywright::store::VaultWrite::Swap { rows: Vec::new() })
    };
    let refused = keywright.driver().transact(&partition, &[], write).await.unwrap_err();
    assert!(matches!(refused, TransactError::Rejected(_)), "{refused:?}");
}

#[tokio::test]
async fn services_take_a_policy_of_the_servers_own() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    let confirm = ConfirmPolicy::builder().mailed_seconds(900).build().unwrap();
    assert_ne!(keywright.confirmations().steps().policy(), &confirm);
    assert_eq!(keywright.confirmations_with(confirm.clone()).steps().policy(), &confirm);
    let two_factor = TwoFactorPolicy::builder().pending_seconds(300).build().unwrap();
    assert_ne!(keywright.two_factor().steps().policy(), &two_factor);
    assert_eq!(keywright.two_factor_with(two_factor.clone()).unwrap().steps().policy(), &two_factor);
    let vault = VaultPolicy::builder().most_ciphers(7).build().unwrap();
    assert_ne!(keywright.vaults().steps().policy(), &vault);
    assert_eq!(keywright.vaults_with(vault).steps().policy(), &vault);
}

#[tokio::test]
async fn another_index_key_is_refused() {
    let store = memory();
    open(&store, &[1]).await.unwrap();
    let seal = [SecretBytes::from_slice(&[1; 32]).unwrap()];
    let other = Keyring::from_keys(&seal, &SecretBytes::from_slice(&[0xef; 32]).unwrap()).unwrap();
    let error = Keywright::builder_shared(store).keyring(other).open().await.unwrap_err();
    assert!(matches!(error, StartError::OtherIndexKey), "{error:?}");
}

#[tokio::test]
async fn nothing_shows_a_key() {
    let keywright =
        Keywright::builder(MemoryStore::new()).keyring(keyring(&[0x5e])).entropy(SystemEntropy).open().await.unwrap();
    let shown = format!("{keywright:?} {:?} {:?}", keywright.housekeeping(), Keywright::builder(MemoryStore::new()));
    assert!(!shown.contains("5e5e") && !shown.contains("94, 94"), "{shown}");
}

/// Records each wait, and lets none take long.
#[derive(Debug, Default)]
struct Impatient(std::sync::Mutex<Vec<Duration>>);

impl Timer for Impatient {
    fn wait(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// Returns a store that keeps no vault.
fn bare() -> Arc<HookedStore<NoVault<MemoryStore>>> {
    HookedStore::new(Arc::new(NoVault(MemoryStore::new())))
}

#[tokio::test]
async fn a_store_that_hangs_holds_an_account_no_longer_than_the_limit() {
    // A store of which one commit never answers.
    let (store, next) = (bare(), Arc::new(AtomicBool::new(false)));
    let hangs = Arc::clone(&next);
    store.before_writes(move |call| {
        let hangs = matches!(call, Call::Commit(_)) && hangs.swap(false, Ordering::SeqCst);
        async move { if hangs { std::future::pending().await } else { Ok(()) } }
    });
    let timer = Arc::new(Impatient::default());
    let limit = Duration::from_secs(COMMIT_SECONDS);
    let builder = Keywright::builder_shared(store).keyring(keyring(&[1])).commit_limit(timer.clone(), limit);
    let keywright = builder.open().await.unwrap();
    next.store(true, Ordering::SeqCst);
    let made = keywright.ensure_account(&account("alice")).await.unwrap();
    assert_eq!(made, AccountCreation::Created, "the commit is given up, settled, and made once more");
    let waits = timer.0.lock().unwrap();
    assert!(!waits.is_empty() && waits.iter().all(|wait| *wait == limit), "{waits:?}");
}

#[tokio::test]
async fn a_load_that_hangs_is_answered_as_busy_when_the_limit_is_over() {
    // A store of which one load never answers.
    let (store, next) = (bare(), Arc::new(AtomicBool::new(false)));
    let hangs = Arc::clone(&next);
    store.before_reads(move |call| {
        let hangs = matches!(call, Call::Load(..)) && hangs.swap(false, Ordering::SeqCst);
        async move { if hangs { std::future::pending().await } else { Ok(()) } }
    });
    let timer = Arc::new(Impatient::default());
    let limit = Duration::from_secs(LOAD_SECONDS);
    let builder = Keywright::builder_shared(store).keyring(keyring(&[1])).load_limit(timer.clone(), limit);
    let keywright = builder.open().await.unwrap();
    next.store(true, Ordering::SeqCst);
    let error = keywright.ensure_account(&account("alice")).await.unwrap_err();
    assert!(matches!(error, TransactError::Load(LoadError::TimedOut)) && error.is_busy(), "{error:?}");
    assert_eq!(keywright.ensure_account(&account("alice")).await.unwrap(), AccountCreation::Created);
    let waits = timer.0.lock().unwrap();
    assert!(!waits.is_empty() && waits.iter().all(|wait| *wait == limit), "{waits:?}");
}

#[tokio::test]
async fn clients_without_a_credential_are_not_one_client() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    let account = account("user");
    assert_eq!(keywright.client(&account, b""), Client::unknown());
    assert_ne!(keywright.client(&account, b"a"), Client::unknown());
    assert_ne!(keywright.client(&account, b"a"), keywright.client(&account, b"b"));
}
