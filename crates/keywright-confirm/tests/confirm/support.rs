//! The test fixture for confirmations, the actions that the tests confirm, and the outcomes.

use std::ops::Deref;
use std::sync::Arc;

use keywright_confirm::{Action, ConfirmPolicy, Confirmation, Confirmations, SendOutcome, WaitOutcome};
use keywright_core::{Client, EventChain, SessionId};
use keywright_store::{MemoryStore, StoredEvent};

pub(crate) use keywright_testing::Epoch;

pub(crate) const START: u64 = keywright_testing::World::START;

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
    base: keywright_testing::World,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) confirmations: Confirmations,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(ConfirmPolicy::default(), 1).await
    }

    pub(crate) async fn with(policy: ConfirmPolicy, seed: u64) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let base = keywright_testing::World::builder().store(memory.clone()).seed(seed);
        let base = base.slots(keywright_confirm::SLOT_KINDS).build().await;
        let confirmations = Confirmations::new(base.driver.clone(), policy);
        Self { base, memory, confirmations }
    }

    /// Another server on the same store: its own queue, its own generator.
    pub(crate) fn another_server(&self, seed: u64, fence: u64) -> Confirmations {
        Confirmations::new(self.fenced(fence, seed).driver, self.confirmations.steps().policy().clone())
    }

    /// Erases the account, as a confirmed action would.
    pub(crate) async fn erase(&self) {
        let keep = keywright_confirm::KEEP_ON_ERASE;
        self.driver.run(&self.partition(), keep, |draft| draft.erase(keep)).await.unwrap();
    }

    /// The events about confirmations in the log of changes and grants, oldest first.
    pub(crate) async fn changes(&self) -> Vec<String> {
        self.log(EventChain::Changes).await
    }

    /// The events in the log of denials, oldest first.
    pub(crate) async fn denials(&self) -> Vec<String> {
        self.log(EventChain::Denials).await
    }

    async fn log(&self, chain: EventChain) -> Vec<String> {
        let mut events = self.chain(chain).await;
        events.retain(|event| !event.kind().starts_with("account_") && event.kind() != "test_touched");
        events.iter().map(ToString::to_string).collect()
    }

    /// Every event that is stored.
    pub(crate) async fn stored_events(&self) -> Vec<StoredEvent> {
        let mut all = Vec::new();
        for chain in EventChain::ALL {
            all.extend(self.store.events(&self.partition(), chain, None, 1_000).await.unwrap().events);
        }
        all
    }

    /// A client identified by the credential that it presents.
    pub(crate) fn client(&self, credential: &[u8]) -> Client {
        Client::credential(self.driver.client_tag(&self.account, credential))
    }

    pub(crate) async fn begin_code(&self, action: &impl Action, session: SessionId) -> String {
        self.confirmations.begin_code(&self.account, action, session).await.unwrap().expose().into()
    }

    pub(crate) async fn code<A: Action>(&self, action: A, session: SessionId, typed: &str) -> Outcome {
        Outcome::of(self.confirmations.confirm_code(&self.account, action, session, typed).await.unwrap())
    }

    pub(crate) async fn begin_mailed(&self, action: &impl Action, session: SessionId) -> Mailed {
        match self.confirmations.begin_mailed(&self.account, action, session).await.unwrap() {
            SendOutcome::Send(code) => Mailed::Sent(code.expose().into()),
            SendOutcome::NotYet { retry_after } => Mailed::NotYet(retry_after),
            SendOutcome::Exhausted { retry_after } => Mailed::Exhausted(retry_after),
        }
    }

    /// Tries a mailed code as an unknown client.
    pub(crate) async fn mailed<A: Action>(&self, action: A, session: SessionId, typed: &str) -> Outcome {
        self.mailed_from(Client::unknown(), action, session, typed).await
    }

    pub(crate) async fn mailed_from<A: Action>(
        &self,
        client: Client,
        action: A,
        session: SessionId,
        typed: &str,
    ) -> Outcome {
        Outcome::of(self.confirmations.confirm_mailed(&self.account, action, session, typed, client).await.unwrap())
    }

    /// `None` if granted; otherwise the length and the earliest time of the new wait.
    pub(crate) async fn wait<A: Action>(&self, action: A, session: SessionId) -> Option<(u64, u64)> {
        match self.confirmations.confirm_wait(&self.account, action, session).await.unwrap() {
            WaitOutcome::Granted(_) => None,
            WaitOutcome::Begun(wait) => Some((wait.seconds(), wait.earliest().get())),
        }
    }
}

/// A form of the outcome that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted,
    Denied,
    /// A wrong mailed code, with the ledger's streak and whether it was the last attempt.
    Charged(u16, bool),
    /// The last attempt at a typed code.
    Last,
    Refused(u64),
}

impl Outcome {
    pub(crate) fn of<C>(outcome: Confirmation<C>) -> Self {
        match outcome {
            Confirmation::Granted(_) => Self::Granted,
            Confirmation::Denied(denial) => match denial.charge() {
                Some(charge) => Self::Charged(charge.streak(), denial.was_last_try()),
                None if denial.was_last_try() => Self::Last,
                None => Self::Denied,
            },
            Confirmation::Refused(refusal) => Self::Refused(refusal.retry_after()),
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

pub(crate) fn asked() -> String {
    "confirmation_asked (action: test.delete)".into()
}

pub(crate) fn granted() -> String {
    "confirmation_granted (action: test.delete)".into()
}

pub(crate) fn denied(reason: &str) -> String {
    format!("confirmation_denied (action: test.delete, reason: {reason})")
}
