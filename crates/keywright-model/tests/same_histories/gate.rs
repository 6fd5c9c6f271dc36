//! A store that answers when the history allows it, and with what the history determines.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use keywright_store::{Batch, CommitError, MemoryStore, SlotName, Snapshot};
use keywright_testing::{Call, HookedStore};

/// The request of a driver.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them")]
pub(crate) enum Asked {
    Load(Vec<SlotName>),
    Commit(Batch),
}

#[derive(Debug)]
pub(crate) enum Answer {
    Loaded(Snapshot),
    Commit(Result<(), CommitError>),
}

#[derive(Debug, Default)]
struct Desk {
    asked: Option<Asked>,
    answer: Option<Answer>,
}

/// One driver's access to the store.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Desk>);

impl Gate {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap()
    }

    pub(crate) fn asked(&self) -> Option<Asked> {
        self.desk().asked.clone()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        let mut desk = self.desk();
        (desk.asked, desk.answer) = (None, Some(answer));
    }

    async fn ask(&self, asked: Asked) -> Answer {
        self.desk().asked = Some(asked);
        poll_fn(|_| self.desk().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// A store that is reached only through its gate.
pub(crate) fn gated(gate: &Arc<Gate>) -> Arc<HookedStore<MemoryStore>> {
    let store = HookedStore::memory();
    store.before_reads(|call| {
        assert!(!matches!(call, Call::Events(..)), "no history reads events");
        async { Ok(()) }
    });
    let loads = Arc::clone(gate);
    store.instead_of_load(move |_, slots| {
        let gate = Arc::clone(&loads);
        async move {
            match gate.ask(Asked::Load(slots)).await {
                Answer::Loaded(snapshot) => Ok(snapshot),
                Answer::Commit(_) => panic!("a load was answered as a commit"),
            }
        }
    });
    let commits = Arc::clone(gate);
    store.instead_of_commit(move |batch| {
        let gate = Arc::clone(&commits);
        async move {
            match gate.ask(Asked::Commit(batch)).await {
                Answer::Commit(answer) => answer,
                Answer::Loaded(_) => panic!("a commit was answered as a load"),
            }
        }
    });
    store
}
