//! A store in memory whose vault reads can be made to return something else, like a backend that
//! reads in two steps, or one that lags behind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use keywright_store::{MemoryStore, Revision};
use keywright_testing::{HookedStore, Reply};

/// The result of one read of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// One row is missing.
    Lost,
    /// One row is missing, and the root is another.
    LostElsewhere,
    /// The rows are right, and the root is another.
    Elsewhere,
}

/// The results of the next reads, and that of all further ones.
#[derive(Debug, Default)]
pub(crate) struct Shadow(Mutex<(VecDeque<Trick>, Option<Trick>)>);

impl Shadow {
    /// Wraps a new store.
    pub(crate) fn new() -> (Arc<Self>, Arc<HookedStore<MemoryStore>>) {
        let (shadow, store) = (Arc::new(Self::default()), HookedStore::memory());
        let plays = Arc::clone(&shadow);
        store.after(move |reply| match reply {
            Reply::Manifest(Ok(manifest)) => play(plays.trick(), &mut manifest.root, &mut manifest.rows),
            Reply::Read(_, Ok(read)) => match &mut read.marks {
                Some(marks) => play(plays.trick(), &mut read.root, marks),
                None => play(plays.trick(), &mut read.root, &mut read.rows),
            },
            _ => {}
        });
        (shadow, store)
    }

    /// Sets the results of the next reads of the vault.
    pub(crate) fn next(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.0.lock().unwrap().0.extend(tricks);
    }

    /// Sets the result of all further reads.
    pub(crate) fn always(&self, trick: Option<Trick>) {
        self.0.lock().unwrap().1 = trick;
    }

    fn trick(&self) -> Option<Trick> {
        let (next, always) = &mut *self.0.lock().unwrap();
        next.pop_front().or(*always)
    }
}

fn play<T>(trick: Option<Trick>, root: &mut Option<Revision>, rows: &mut Vec<T>) {
    if matches!(trick, Some(Trick::Lost | Trick::LostElsewhere)) {
        rows.pop();
    }
    if matches!(trick, Some(Trick::LostElsewhere | Trick::Elsewhere)) {
        *root = Some(Revision::from_bytes([0x77; 16]));
    }
}
