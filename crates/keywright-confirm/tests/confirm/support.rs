//! A world for the tests: one account on a memory store, a clock that stands still, a seeded generator.

use std::sync::Arc;

use keywright_confirm::{Action, ConfirmPolicy, Confirmation, Confirmations, Sending, Waiting};
use keywright_core::{AccountId, EventKind, Keyring, ManualClock, SecretBytes, SharedRng, UnixSeconds};
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore, Root, StepError};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// 2023-11-14, far from both ends of time.
pub(crate) const START: u64 = 1_700_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delete {
    pub(crate) target: &'static str,
    pub(crate) parameters: &'static str,
}

pub(crate) const DELETE: Delete = Delete { target: "vault-7", parameters: "all" };

impl Action for Delete {
    const NAME: &'static str = "test.delete";
    fn target(&self) -> &str {
        self.target
    }
    fn parameters(&self) -> Vec<u8> {
        self.parameters.into()
    }
}

/// The same effect under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export(pub(crate) Delete);

impl Action for Export {
    const NAME: &'static str = "test.export";
    fn target(&self) -> &str {
        self.0.target
    }
    fn parameters(&self) -> Vec<u8> {
        self.0.parameters.into()
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountId,
    pub(crate) driver: Driver,
    pub(crate) confirmations: Confirmations,
}

fn keyring() -> Keyring {
    let key = |byte: u8| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(1)], &key(2)).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(ConfirmPolicy::default(), 1).await
    }

    pub(crate) async fn with(policy: ConfirmPolicy, seed: u64) -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        let driver = Driver::new(store.clone(), Arc::new(keyring()), entropy, clock.clone());
        let account = AccountId::new("user-1").unwrap();
        driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()).await.unwrap();
        let confirmations = Confirmations::new(driver.clone(), policy);
        Self { store, clock, account, driver, confirmations }
    }

    /// Another server on the same store: its own queue, its own generator.
    pub(crate) fn another_server(&self, seed: u64, fence: u64) -> Confirmations {
        let keyring = keyring().with_fence(UnixSeconds::new(fence).unwrap());
        let entropy = Arc::new(SharedRng::new(ChaCha20Rng::seed_from_u64(seed)));
        let driver = Driver::new(self.store.clone(), Arc::new(keyring), entropy, self.clock.clone());
        Confirmations::new(driver, self.confirmations.steps().policy().clone())
    }

    pub(crate) fn now(&self) -> u64 {
        use keywright_core::Clock;
        self.clock.now().unwrap().get()
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.clock.set(UnixSeconds::new(seconds).unwrap());
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(seconds);
    }

    pub(crate) async fn move_epoch(&self, change: fn(&mut Root)) {
        let step = |draft: &mut Draft<'_>| {
            let mut root = draft.root()?;
            change(&mut root);
            draft.put_root(&root)
        };
        self.driver.transact(&Partition::account(&self.account), &[], step).await.unwrap();
    }

    /// What the log says, oldest first, without what the account began with.
    pub(crate) async fn events(&self) -> Vec<EventKind> {
        let partition = Partition::account(&self.account);
        let mut events = self.store.events(&partition, None, 10_000).await.unwrap();
        events.sort_by_key(|(id, _)| *id);
        events.into_iter().map(|(_, event)| event.kind).filter(|kind| *kind != EventKind::AccountCreated).collect()
    }

    /// All that is stored, to see whether anything was written.
    pub(crate) async fn revisions(&self) -> Vec<Option<keywright_store::Revision>> {
        use keywright_store::Slot;
        let slots = [Slot::Root, Slot::Confirmations, Slot::Ledger];
        let stored = self.store.load(&Partition::account(&self.account), &slots).await.unwrap();
        stored.into_iter().map(|stored| stored.map(|stored| stored.revision)).collect()
    }

    pub(crate) async fn ask_code(&self, action: &impl Action, session: &[u8]) -> String {
        self.confirmations.ask_code(&self.account, action, session).await.unwrap().expose().into()
    }

    pub(crate) async fn code<A: Action>(&self, action: A, session: &[u8], typed: &str) -> Told {
        Told::of(self.confirmations.confirm_code(&self.account, action, session, typed).await.unwrap())
    }

    pub(crate) async fn ask_mailed(&self, action: &impl Action, session: &[u8]) -> Mailed {
        match self.confirmations.ask_mailed(&self.account, action, session).await.unwrap() {
            Sending::Send(code) => Mailed::Sent(code.expose().into()),
            Sending::NotYet { retry_after } => Mailed::NotYet(retry_after),
            Sending::Exhausted { retry_after } => Mailed::Exhausted(retry_after),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn mailed<A: Action>(&self, action: A, session: &[u8], typed: &str) -> Told {
        Told::of(self.confirmations.confirm_mailed(&self.account, action, session, typed, None).await.unwrap())
    }

    /// `None`: granted; else the seconds and the earliest moment of the new wait.
    pub(crate) async fn wait<A: Action>(&self, action: A, session: &[u8]) -> Option<(u64, u64)> {
        match self.confirmations.confirm_wait(&self.account, action, session).await.unwrap() {
            Waiting::Granted(_) => None,
            Waiting::Begun(wait) => Some((wait.seconds(), wait.earliest().get())),
            other => panic!("{other:?}"),
        }
    }
}

/// An outcome that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Granted,
    Denied,
    /// A wrong mailed code: the ledger's streak, and whether it was the last try.
    Charged(u16, bool),
    /// The last try of a typed code.
    Last,
    Refused(u64),
}

impl Told {
    pub(crate) fn of<C>(outcome: Confirmation<C>) -> Self {
        match outcome {
            Confirmation::Granted(_) => Self::Granted,
            Confirmation::Denied(denial) => match denial.charge() {
                Some(charge) => Self::Charged(charge.streak(), denial.was_last_try()),
                None if denial.was_last_try() => Self::Last,
                None => Self::Denied,
            },
            Confirmation::Refused(refusal) => Self::Refused(refusal.retry_after()),
            _ => panic!("a new outcome"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mailed {
    Sent(String),
    NotYet(u64),
    Exhausted(u64),
}

impl Mailed {
    pub(crate) fn sent(self) -> String {
        match self {
            Self::Sent(code) => code,
            held => panic!("no mail: {held:?}"),
        }
    }
}

/// Another code of the same form.
pub(crate) fn wrong(code: &str) -> String {
    let (head, last) = code.split_at(code.len() - 1);
    format!("{head}{}", if last == "1" { "2" } else { "1" })
}

/// A wrong session is a mistake of the host.
pub(crate) fn is_misuse<T>(result: Result<T, keywright_confirm::ConfirmError>) -> bool {
    use keywright_store::TransactError::Step;
    matches!(result, Err(keywright_confirm::ConfirmError::Transact(Step(StepError::Misuse(_)))))
}
