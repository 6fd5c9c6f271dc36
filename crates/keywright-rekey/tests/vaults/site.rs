//! One account with a vault on some store, servers over it, and a client whose "encryption" shows under which key of its
//! own a text is: whatever the client's real cryptography is, a server cannot see more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::{
    AccountId, Clock as _, EventChain, EventKind, Keyring, ManualClock, SecretBytes, SecurityEvent, Severity,
    SystemEntropy, UnixSeconds,
};
use keywright_rekey::{
    CipherList, Contents, Edit, EditOutcome, Hex, Limits, PlanOutcome, Put, SLOT_KINDS, SealedSwap, Submission, Swap,
    VAULT_SLOT, VaultError, VaultPolicy, Vaults, id_text,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{
    CipherId, Draft, Driver, MemoryStore, Observer, Partition, Record, Revision, Slot, SlotName, StepError,
    TransactError, Which,
};
use keywright_store_conformance::Backend;
use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};

pub(crate) const NOW: u64 = 1_700_000_000;

/// Stands for the credential: which key of the client's the account uses. Changed in the very batch of a swap.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientKey {
    pub(crate) generation: u32,
}

impl Record for ClientKey {
    const SCHEMA: u16 = 1;
}

pub(crate) const CLIENT_KEY: Slot<ClientKey> = Slot::lasting("test-client-key");
/// What [`set_key`] reads and puts.
pub(crate) const CLIENT_SLOTS: &[SlotName] = &[CLIENT_KEY.name()];
/// The key of a held change, put in the batch that holds it.
pub(crate) const PENDING: Slot<ClientKey> = Slot::lasting("test-pending-key");

/// The account's key epoch when it was made: epochs begin at random numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FirstEpoch(u64);

impl Record for FirstEpoch {
    const SCHEMA: u16 = 1;
}

const FIRST_EPOCH: Slot<FirstEpoch> = Slot::lasting("test-first-epoch");

/// An epoch was moved by a test.
static EPOCH_MOVED: EventKind = EventKind::change("test_epoch_moved", Severity::Info, "an epoch was moved");

pub(crate) fn id(number: u32) -> CipherId {
    let mut id = [0x11; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    CipherId(id)
}

/// A text under a generation of the client's key, with a nonce that never comes again. `value` is what is inside.
pub(crate) fn text(generation: u32, value: u32) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}{nonce:016x}{generation:08x}{value:08x}{}", std::process::id(), "00".repeat(16))
}

/// Reads a text back: generation and value.
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

/// Puts the client's new key: what a password change does beside the swap.
pub(crate) fn set_key(draft: &mut Draft<'_>, generation: u32) -> Result<(), StepError> {
    draft.put(CLIENT_KEY, &ClientKey { generation })
}

/// The same for every site: a restarted server opens what another has left.
fn keyring() -> Keyring {
    Keyring::from_keys(&[SecretBytes::from_slice(&[1; 32]).unwrap()], &SecretBytes::from_slice(&[2; 32]).unwrap())
        .unwrap()
}

#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountId,
    pub(crate) keyring: Arc<Keyring>,
    /// How often the drivers of this site reported damage.
    pub(crate) damage: Arc<Alarms>,
}

/// Counts what an operator is told.
#[derive(Debug, Default)]
pub(crate) struct Alarms(AtomicU64);

impl Alarms {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Observer for Alarms {
    fn event(&self, _: &AccountId, _: &SecurityEvent) {}

    fn damage(&self, _: &Partition, _: &StepError) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Site {
    pub(crate) fn over(store: Arc<dyn Backend>) -> Self {
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(NOW).unwrap()));
        let (account, keyring) = (AccountId::new("user-1").unwrap(), Arc::new(keyring()));
        Self { store, clock, account, keyring, damage: Arc::default() }
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

    pub(crate) fn fenced(&self, fence: u64) -> Self {
        let keyring = Arc::new(keyring().with_fence(UnixSeconds::new(fence).unwrap()));
        Self { keyring, ..self.clone() }
    }

    pub(crate) fn partition(&self) -> Partition {
        Partition::account(&self.account)
    }

    pub(crate) fn at(&self, seconds: u64) -> UnixSeconds {
        UnixSeconds::new(NOW + seconds).unwrap()
    }

    /// Another server on the same store.
    pub(crate) fn server(&self) -> Vaults {
        self.server_with(VaultPolicy::default())
    }

    pub(crate) fn server_with(&self, policy: VaultPolicy) -> Vaults {
        let driver = Driver::builder(Arc::clone(&self.store) as _, Arc::clone(&self.keyring))
            .entropy(Arc::new(SystemEntropy))
            .clock(Arc::clone(&self.clock) as _)
            .observer(Arc::clone(&self.damage) as _)
            .slots(SLOT_KINDS)
            .slots(&[CLIENT_KEY.kind(), PENDING.kind(), FIRST_EPOCH.kind()])
            .build()
            .unwrap();
        Vaults::new(driver, Arc::clone(&self.store) as _, policy)
    }

    /// The account with a vault of `ciphers` under the client's generation 1, each of value 0, with the note `note N`.
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

    /// The account's key epoch: what a device knows that logs in now.
    pub(crate) async fn key_epoch(&self) -> u64 {
        let look = |draft: &mut Draft<'_>| Ok(draft.root()?.key_epoch);
        self.server().driver().observe(&self.partition(), &[], look).await.unwrap()
    }

    /// How often the key epoch was moved since the account was made: as often as its vault was swapped.
    pub(crate) async fn swaps(&self) -> u64 {
        let look = |draft: &mut Draft<'_>| {
            let FirstEpoch(first) = draft.read(FIRST_EPOCH)?.unwrap();
            Ok(draft.root()?.key_epoch.wrapping_sub(first))
        };
        self.server().driver().observe(&self.partition(), &[FIRST_EPOCH.name()], look).await.unwrap()
    }

    /// As [`check`](Self::check); how often it was swapped.
    pub(crate) async fn check_swaps(&self) -> u64 {
        self.check().await;
        self.swaps().await
    }

    /// Every cipher opens, all are under one generation of the client's key, the account's, and the head counts them.
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

    /// The whole change as a service runs it.
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

    /// Moves an epoch, as a change of a credential or a factor does.
    pub(crate) async fn move_epoch(&self, which: fn(&mut Draft<'_>) -> Result<(), StepError>) {
        let step = |draft: &mut Draft<'_>| {
            draft.event(&EPOCH_MOVED);
            which(draft)
        };
        self.server().driver().transact(&self.partition(), &[], step).await.unwrap();
    }

    /// Moves the store's horizon to `now` and sweeps all that is over. Returns how many records, stages and partitions.
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

    /// The account's newest events, newest first: their stored names.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.server().driver().recent_events(&self.account, 100).await.unwrap();
        events.iter().map(|event| event.kind().to_owned()).collect()
    }

    /// How many of the newest events are of a kind.
    pub(crate) async fn times(&self, kind: &'static EventKind) -> usize {
        self.events().await.iter().filter(|name| **name == kind.name()).count()
    }

    /// How often a denial was told in this very second.
    pub(crate) async fn told_now(&self, kind: &'static EventKind) -> usize {
        let now = self.clock.now().unwrap();
        let page = self.server().driver().events(&self.account, EventChain::Denials, None, 8).await.unwrap();
        page.events.iter().filter(|event| event.is(kind) && event.at == now).count()
    }

    /// The newest event of a kind.
    pub(crate) async fn event(&self, kind: &'static EventKind) -> SecurityEvent {
        let events = self.server().driver().recent_events(&self.account, 100).await.unwrap();
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
