//! A store that answers when the history says so, and what the history says.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

use keywright_core::EventChain;
use keywright_store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
};

/// What a driver has asked for.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them")]
pub(crate) enum Asked {
    Load(Vec<SlotName>),
    Commit(Batch),
}

#[derive(Debug)]
pub(crate) enum Answer {
    Loaded(Snapshot),
    Told(Result<(), CommitError>),
}

#[derive(Debug, Default)]
struct Desk {
    asked: Option<Asked>,
    answer: Option<Answer>,
}

/// One driver's way to the store.
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

impl RecordStore for Gate {
    fn load<'a>(&'a self, _: &'a Partition, slots: &'a [SlotName]) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            match self.ask(Asked::Load(slots.to_vec())).await {
                Answer::Loaded(snapshot) => Ok(snapshot),
                Answer::Told(_) => panic!("a load was answered as a commit"),
            }
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            match self.ask(Asked::Commit(batch)).await {
                Answer::Told(told) => told,
                Answer::Loaded(_) => panic!("a commit was answered as a load"),
            }
        })
    }

    fn events<'a>(
        &'a self,
        _: &'a Partition,
        _: EventChain,
        _: Option<EventNumber>,
        _: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        panic!("no history reads events")
    }
}
