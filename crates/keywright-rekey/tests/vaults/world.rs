//! The test fixture for vaults, and a client whose "encryption" shows which of its keys a text is
//! under: whatever the client's real cryptography is, a server cannot see more.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::{AccountId, Clock as _, EventKind, SecurityEvent, UnixSeconds};
use keywright_rekey::{
    CipherList, Contents, Edit, EditOutcome, Hex, Limits, PlanOutcome, Put, SLOT_KINDS, SealedSwap, Submission, Swap,
    VAULT_SLOT, VaultError, VaultPolicy, Vaults, id_text,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    CipherId, Draft, MemoryStore, Record, Revision, Slot, SlotName, StepError, TransactError, Which,
};
use keywright_testing::{Heard, Store};
use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};

pub(crate) const NOW: u64 = keywright_testing::World::START;

/// Represents the credential: the number of the client's key that the account uses. It is changed
/// in the very batch of a swap.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientKey {
    pub(crate) generation: u32,
}

impl Record for ClientKey {
    const SCHEMA: u16 = 1;
}

pub(crate) const CLIENT_KEY: Slot<ClientKey> = Slot::lasting("test-client-key");
/// The slots that [`set_key`] reads and writes.
pub(crate) const CLIENT_SLOTS: &[SlotName] = &[CLIENT_KEY.name()];
/// The key of a held change, written in the batch that holds it.
pub(crate) const PENDING: Slot<ClientKey> = Slot::lasting("test-pending-key");

/// The account's key epoch at its creation: epochs begin at random numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FirstEpoch(u64);

impl Record for FirstEpoch {
    const SCHEMA: u16 = 1;
}

const FIRST_EPOCH: Slot<FirstEpoch> = Slot::lasting("test-first-epoch");

pub(crate) fn id(number: u32) -> CipherId {
    let mut id = [0x11; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    CipherId(id)
}

/// A text under a generation of the client's key, with a nonce that is never repeated. `value` is
/// the content.
pub(crate) fn text(generation: u32, value: u32) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}{nonce:016x}{generation:08x}{value:08x}{}", std::process::id(), "00".repeat(16))
}

/// Decodes a text to its generation and value.
pub(crate) fn read_text(text: &str) -> (u32, u32) {
    let number = |at: usize| u32::from_str_radix(&text[at..at + 8], 16).unwrap();
    (number(24), number(32))
}

pub(crate) fn body(texts: impl IntoIterator<Item = (CipherId, String)>) -> Vec<u8> {
    let entries = texts.into_iter().map(|(id, text)| format!(r#"{{"id":"{}","data":"{text}"}}"#, id_text(id)));
    format!("[{}]", entries.collect::<Vec<_>>().join(",")).into_bytes()
}

pub(crate) fn submission(body: &[u8]) -> Submission<'_> {
    CipherList::new(body, Limits::default(), &Hex).deserialize(&mut serde_json::Deserializer::from_slice(body)).unwrap()
}

/// Every cipher's text under another generation.
pub(crate) fn anew(contents: &Contents, generation: u32) -> Vec<u8> {
    body(contents.ciphers.iter().map(|cipher| (cipher.id(), text(generation, read_text(cipher.text()).1))))
}

/// Writes the client's new key, which a password change does beside the swap.
pub(crate) fn set_key(draft: &mut Draft<'_>, generation: u32) -> Result<(), StepError> {
    draft.put(CLIENT_KEY, &ClientKey { generation })
}

#[derive(Clone)]
pub(crate) struct World {
    base: keywright_testing::World,
    /// The damage that the drivers of this fixture reported.
    pub(crate) damage: Arc<Heard>,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        let damage = Heard::new();
        // Not seeded: a process that is killed and started again must not draw the same revisions.
        let builder = keywright_testing::World::builder().unseeded().store(store).observer(damage.clone());
        let builder = builder.slots(SLOT_KINDS);
        let base = builder.slots(&[CLIENT_KEY.kind(), PENDING.kind(), FIRST_EPOCH.kind()]).open();
        Self { base, damage }
    }

    pub(crate) fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn sqlite() -> Self {
        Self::over(Arc::new(SqliteStore::open_in_memory().unwrap()))
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::memory(), Self::sqlite()]
    }

    /// The same for another account.
    pub(crate) fn of(&self, account: AccountId) -> Self {
        Self { base: self.base.of(account), ..self.clone() }
    }

    /// The same with another handle to the store.
    pub(crate) fn on(&self, store: Arc<dyn Store>) -> Self {
        Self { base: self.base.moved_to(store, self.next_seed()), ..self.clone() }
    }

    /// The same with a fence.
    pub(crate) fn fenced(&self, fence: u64) -> Self {
        Self { base: self.base.fenced(fence, self.next_seed()), ..self.clone() }
    }

    pub(crate) fn at(&self, seconds: u64) -> UnixSeconds {
        keywright_testing::at(NOW + seconds)
    }

    /// Another server on the same store.
    pub(crate) fn server(&self) -> Vaults {
        self.server_with(VaultPolicy::default())
    }

    pub(crate) fn server_with(&self, policy: VaultPolicy) -> Vaults {
        let driver = keywright_testing::World::server(self, self.next_seed());
        Vaults::new(driver, self.store.clone(), policy)
    }

    /// Returns the account with a vault of `ciphers` under the client's generation 1, each of value
    /// 0, with the note `note N`.
    pub(crate) async fn register(&self, ciphers: u32) -> Vaults {
        self.register_with(VaultPolicy::default(), ciphers).await
    }

    pub(crate) async fn register_with(&self, policy: VaultPolicy, ciphers: u32) -> Vaults {
        let vaults = self.server_with(policy);
        let step = |draft: &mut Draft<'_>| {
            let root = draft.create_account()?;
            draft.put(FIRST_EPOCH, &FirstEpoch(root.key_epoch))?;
            set_key(draft, 1)?;
            vaults.steps().create_in(draft)
        };
        let _ = vaults
            .driver()
            .run(&self.partition(), &[CLIENT_KEY.name(), FIRST_EPOCH.name(), VAULT_SLOT], step)
            .await
            .unwrap();
        let texts: Vec<_> = (0..ciphers).map(|number| (id(number), text(1, 0), format!("note {number}"))).collect();
        let put = texts.iter().map(|(id, text, note)| put(*id, text, note)).collect();
        let done = vaults.edit(&self.account, &Edit::new(put, Vec::new()), self.key_epoch().await).await.unwrap();
        assert!(matches!(done, EditOutcome::Done { count, .. } if count == u64::from(ciphers)), "{done:?}");
        vaults
    }

    pub(crate) async fn contents(&self) -> Contents {
        self.server().read(&self.account, Which::All).await.unwrap().unwrap()
    }

    pub(crate) async fn generation(&self) -> u32 {
        let look = |draft: &mut Draft<'_>| Ok(draft.read(CLIENT_KEY)?.unwrap().generation);
        self.server().driver().observe(&self.partition(), &[CLIENT_KEY.name()], look).await.unwrap()
    }

    /// The account's key epoch, as a device learns it that logs in now.
    pub(crate) async fn key_epoch(&self) -> u64 {
        self.root().await.key_epoch
    }

    /// How often the key epoch has moved since the account was created, which is as often as its
    /// vault was swapped.
    pub(crate) async fn swaps(&self) -> u64 {
        let look = |draft: &mut Draft<'_>| {
            let FirstEpoch(first) = draft.read(FIRST_EPOCH)?.unwrap();
            Ok(draft.root()?.key_epoch.wrapping_sub(first))
        };
        self.server().driver().observe(&self.partition(), &[FIRST_EPOCH.name()], look).await.unwrap()
    }

    /// Like [`check`](Self::check). Returns how often the vault was swapped.
    pub(crate) async fn check_swaps(&self) -> u64 {
        self.check().await;
        self.swaps().await
    }

    /// Checks that every cipher opens, that all are under one generation of the client's key, which
    /// is the account's, and that the head counts them.
    pub(crate) async fn check(&self) -> Contents {
        let (contents, generation) = (self.contents().await, self.generation().await);
        for cipher in &contents.ciphers {
            assert_eq!(read_text(cipher.text()).0, generation, "{cipher:?} is under another key than the account's");
        }
        assert_eq!(contents.head.count, u64::try_from(contents.ciphers.len()).unwrap());
        contents
    }

    /// A re-encryption of the present vault to `generation`, checked and sealed.
    pub(crate) async fn sealed(&self, vaults: &Vaults, generation: u32) -> SealedSwap {
        let contents = self.contents().await;
        let body = anew(&contents, generation);
        match vaults.plan(&self.account, &submission(&body), Some(contents.head.revision)).await.unwrap() {
            PlanOutcome::Ready(sealed) => sealed,
            other => panic!("{other:?}"),
        }
    }

    /// Performs the whole change as a service does.
    pub(crate) async fn change(&self, vaults: &Vaults, generation: u32) -> Result<Swap<()>, VaultError> {
        let contents = self.contents().await;
        self.change_from(vaults, &contents, Some(contents.head.revision), generation).await
    }

    pub(crate) async fn change_from(
        &self,
        vaults: &Vaults,
        contents: &Contents,
        known: Option<Revision>,
        generation: u32,
    ) -> Result<Swap<()>, VaultError> {
        let body = anew(contents, generation);
        vaults.swap(&self.account, &submission(&body), known, CLIENT_SLOTS, |draft| set_key(draft, generation)).await
    }

    /// Moves the store's horizon to `now` and sweeps everything that has expired. Returns how many
    /// records, stages and partitions were removed.
    pub(crate) async fn sweep(&self, now: UnixSeconds) -> u64 {
        while self.store.move_horizon(now).await.unwrap() < now {}
        let mut swept = 0;
        loop {
            match self.store.sweep(1).await.unwrap() {
                0 => return swept,
                more => swept += more,
            }
        }
    }

    /// Returns the account's newest events, newest first: their stored names.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.driver.recent_events(&self.account, 100).await.unwrap();
        events.iter().map(|event| event.kind().to_owned()).collect()
    }

    /// Returns how many of the newest events are of a kind.
    pub(crate) async fn times(&self, kind: &'static EventKind) -> usize {
        self.events().await.iter().filter(|name| **name == kind.name()).count()
    }

    /// How often a denial was reported in this very second.
    pub(crate) async fn told_now(&self, kind: &'static EventKind) -> usize {
        let now = self.clock.now().unwrap();
        self.denials().await.iter().filter(|event| event.is(kind) && event.at == now).count()
    }

    /// Returns the newest event of a kind.
    pub(crate) async fn event(&self, kind: &'static EventKind) -> SecurityEvent {
        let events = self.driver.recent_events(&self.account, 100).await.unwrap();
        events.into_iter().find(|event| event.is(kind)).unwrap()
    }
}

pub(crate) fn put<'t>(id: CipherId, text: &'t str, note: &'t str) -> Put<'t> {
    let nonce = Limits::default().check(&Hex, text).unwrap();
    Put::new(id, nonce, text, note.as_bytes())
}

pub(crate) fn is_busy<T>(result: &Result<T, VaultError>) -> bool {
    matches!(result, Err(VaultError::Transact(TransactError::Busy) | VaultError::Restless))
}
