//! The store: one writer, readers beside it, and the port.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use keywright_store::{BoxFuture, CommitError, first_of};
use rusqlite::Connection;

use crate::change::{Change, Task};
use crate::connect::{self, Settings};
use crate::fault::{Fault, FaultKind, OpenError};
use crate::inbox::{Inbox, Jobs};
use crate::read;
use crate::ticket::Ticket;
use crate::watch::{self, Watch};
use crate::writer::{self, Job};

/// A query for a reader thread. It sends its answer by itself.
type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A store that has its records, events and vaults in one SQLite file, or in memory.
///
/// Opening reads and may write the file on the calling thread, and dropping waits for the changes
/// that were already accepted. Do both where blocking is allowed. Everything in between is
/// asynchronous, under any runtime.
pub struct SqliteStore {
    // Dropped in this order, so that the writer's connection is the last to close, and SQLite moves
    // the log back into the file. Of several connections that close at the same time, each may
    // leave that to the others.
    readers: Inbox<Question>,
    writer: Inbox<Job>,
    path: Option<PathBuf>,
    watch: Option<Arc<Watch>>,
    settings: Settings,
}

impl SqliteStore {
    /// Opens the file at `path`, or creates it. This is [`builder`](Self::builder) with the default
    /// settings.
    ///
    /// # Errors
    /// Returns [`OpenError`] if the store cannot be opened. The file is unchanged then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open()
    }

    /// Opens a store in memory, which is gone when it is dropped. It is for tests, and for trying
    /// things out. The writer and one reader share one connection and take turns.
    ///
    /// # Errors
    /// Returns [`OpenError`] if the store cannot be opened.
    pub fn open_in_memory() -> Result<Self, OpenError> {
        Builder::new(None).open()
    }

    /// Returns a builder that opens the file at `path`.
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        Builder::new(Some(path.as_ref().to_path_buf()))
    }

    /// Returns the path of the file, or `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Checks whether the file, its log and the log's index are still those that were opened. Call
    /// it in a health check. It always succeeds in memory. Every commit checks the same; a load
    /// checks the file alone.
    ///
    /// # Errors
    /// Returns [`FaultKind::FileReplaced`] once one of them was deleted or replaced, and always
    /// from then on. Returns [`FaultKind::Disk`] if the system cannot determine it.
    pub fn check_files(&self) -> Result<(), Fault> {
        self.watch.as_deref().map_or(Ok(()), Watch::check)
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    pub(crate) async fn change(&self, change: Change) -> Result<u64, CommitError> {
        self.change_with(change, Ticket::default()).await
    }

    /// Makes a change, unless `limit` completes before the writer begins it. What has begun by then
    /// may happen or not.
    pub(crate) async fn change_until(&self, change: Change, limit: BoxFuture<'_, ()>) -> Result<u64, CommitError> {
        let ticket = Ticket::default();
        let late = || {
            Err(match ticket.withdraw() {
                true => Fault::new(FaultKind::Withdrawn).into_rejected(),
                false => CommitError::Unknown("the store did not answer in time".into()),
            })
        };
        first_of(Box::pin(self.change_with(change, ticket.clone())), limit).await.unwrap_or_else(late)
    }

    async fn change_with(&self, change: Change, ticket: Ticket) -> Result<u64, CommitError> {
        let (reply, verdict) = oneshot::channel();
        if self.writer.put(Job { task: Task { change, ticket }, reply }).await.is_err() {
            return Err(Fault::new(FaultKind::Stopped).into_rejected());
        }
        // There is no result although the change was accepted: the writer died while working on it,
        // before or after `COMMIT`.
        verdict.await.unwrap_or_else(|_| Err(CommitError::Unknown(Fault::new(FaultKind::Stopped).into())))
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.ask_beside(Watch::check, question).await
    }

    /// Runs a query, and verifies with `check` that the files are still in their place.
    pub(crate) async fn ask_beside<T: Send + 'static>(
        &self,
        check: fn(&Watch) -> Result<(), Fault>,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let watch = self.watch.clone();
        let question: Question = Box::new(move |connection| {
            // A caller that gave up while waiting costs no read.
            if !reply.is_canceled() {
                let answer = read::snapshot(connection, question);
                // Checked after the read, so that the result is the file's, and not that of a file
                // that is gone.
                let in_place = watch.as_deref().map_or(Ok(()), check);
                let _ = reply.send(in_place.and(answer));
            }
        });
        let stopped = || Fault::new(FaultKind::Stopped);
        self.readers.put(question).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

keywright_core::redacted_debug!(SqliteStore { path, .. });

/// The settings with which a store is opened.
#[derive(Debug, Clone)]
#[must_use = "a builder opens nothing until `open`"]
pub struct Builder {
    path: Option<PathBuf>,
    readers: usize,
    inbox: usize,
    group: usize,
    settings: Settings,
}

impl Builder {
    fn new(path: Option<PathBuf>) -> Self {
        let settings = Settings { busy_timeout: Duration::from_secs(1), size_limit: None, adopt: false };
        Self { path, readers: 4, inbox: 1_024, group: 256, settings }
    }

    /// Sets how many threads read beside the writer: 1 to 64. The default is 4. In memory it is
    /// always one.
    pub fn readers(mut self, threads: usize) -> Self {
        self.readers = threads.clamp(1, 64);
        self
    }

    /// Sets how many changes the queue of the writer holds, and how many queries that of the
    /// readers: at least 1. Callers that find a queue full wait. The default is 1,024.
    pub fn inbox(mut self, places: usize) -> Self {
        self.inbox = places.max(1);
        self
    }

    /// Sets the most changes that one transaction commits together: at least 1. The default is 256.
    pub fn group(mut self, changes: usize) -> Self {
        self.group = changes.max(1);
        self
    }

    /// Sets how long to wait for a lock of **another program**: at most 10 s. The default is 1 s.
    /// No thread of an executor is blocked meanwhile.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.settings.busy_timeout = timeout.min(Duration::from_secs(10));
        self
    }

    /// Sets the most pages (of 4,096 bytes, in a file created by this crate) that the database may
    /// have. A change that needs more is rejected with [`FaultKind::Full`]. There is no limit by
    /// default. A limit below the present size stops the growth.
    pub fn size_limit(mut self, pages: u32) -> Self {
        self.settings.size_limit = Some(pages);
        self
    }

    /// Creates this crate's tables in a file that already has a host's own tables. This works only
    /// if the file's `application_id` and `user_version` are unset; from then on, this crate uses
    /// both.
    pub fn adopt(mut self) -> Self {
        self.settings.adopt = true;
        self
    }

    /// Opens the store: checks which program the file belongs to, migrates it to the newest
    /// version, and starts the threads. A file that this creates is accessible only to its owner
    /// (mode 0600).
    ///
    /// # Errors
    /// Returns [`OpenError`] if the store cannot be opened. The file is unchanged then.
    pub fn open(self) -> Result<SqliteStore, OpenError> {
        let (writing, reading, watch) = match &self.path {
            Some(path) => {
                let before = watch::prepare(path);
                let writing = connect::writer(path, connect::READ_WRITE, &self.settings)?;
                let reader = |_| connect::reader(path, &self.settings).map(|reader| Arc::new(Mutex::new(reader)));
                let reading = (0..self.readers).map(reader).collect::<Result<Vec<_>, _>>()?;
                let watch = Arc::new(Watch::start(path, &before)?);
                (Arc::new(Mutex::new(writing)), reading, Some(watch))
            }
            None => {
                let only = Arc::new(Mutex::new(connect::memory(&self.settings)?));
                (Arc::clone(&only), vec![only], None)
            }
        };
        let writer = writer::worker(writing, watch.clone(), self.group);
        let writer = Inbox::start("keywright-writer", self.inbox, vec![writer]).map_err(OpenError::Thread)?;
        let readers = reading.into_iter().map(reader).collect();
        let readers = Inbox::start("keywright-reader", self.inbox, readers).map_err(OpenError::Thread)?;
        Ok(SqliteStore { readers, writer, path: self.path, watch, settings: self.settings })
    }
}

fn reader(connection: Arc<Mutex<Connection>>) -> impl FnOnce(Jobs<Question>) + Send + 'static {
    move |jobs| {
        while let Some(question) = jobs.take(1, 1).pop() {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            // A bug in a query costs one answer, not the thread: the reply is dropped, which is an
            // error for the caller.
            let _ = catch_unwind(AssertUnwindSafe(|| question(&connection)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn a_change_that_has_begun_cannot_be_taken_back() {
        let store = SqliteStore::open_in_memory().unwrap();
        let (begun, has_begun) = oneshot::channel::<()>();
        let (go, gate) = mpsc::channel::<()>();
        let begun = Mutex::new(Some(begun));
        let blocks = Change::Meanwhile(Box::new(move |_| {
            let begun = begun.lock().unwrap().take();
            begun.unwrap().send(()).unwrap();
            gate.recv().unwrap();
        }));
        let limit = Box::pin(async { has_begun.await.unwrap() });
        assert!(matches!(block_on(store.change_until(blocks, limit)), Err(CommitError::Unknown(_))));
        go.send(()).unwrap();
        // A limit that never ends changes nothing.
        let next = Change::Meanwhile(Box::new(|_| {}));
        assert_eq!(block_on(store.change_until(next, Box::pin(std::future::pending()))).unwrap(), 0);
    }
}
