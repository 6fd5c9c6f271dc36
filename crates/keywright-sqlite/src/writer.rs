//! The writer's side of the inbox. Waiting changes are committed together, and their outcomes are
//! sent after the shared `COMMIT`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures_channel::oneshot;
use keywright_store::CommitError;
use rusqlite::Connection;

use crate::apply::Applier;
use crate::change::Task;
use crate::fault::{Fault, FaultKind};
use crate::inbox::Jobs;
use crate::read::run;
use crate::rows::ApplyError;
use crate::watch::Watch;

/// The number of pages in the log from which on a `COMMIT` runs a checkpoint, which is SQLite's own
/// default.
const CHECKPOINT_PAGES: u32 = 1_000;

/// A task, and the channel to the caller that requested it.
pub(crate) struct Job {
    pub(crate) task: Task,
    pub(crate) reply: oneshot::Sender<Result<u64, CommitError>>,
}

/// Works until the inbox is closed and empty.
fn work(connection: &Mutex<Connection>, watch: Option<&Watch>, jobs: &Jobs<Job>, most: usize) {
    // Callers that were answered together return together. Without the number of them, the first
    // would be committed alone, and all others would wait for that.
    let mut answered = 1;
    loop {
        let group = jobs.take(most, answered);
        if group.is_empty() {
            return;
        }
        answered = group.len();
        // A poisoned lock only means that a thread panicked; what was begun is rolled back before
        // the next group.
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        serve(&connection, watch, group);
    }
}

/// The result of one transaction.
enum Attempt {
    /// It was committed. Each change has its own result; a refused one has written nothing.
    Committed(Vec<Result<u64, ApplyError>>),
    /// It could not begin, so nothing was checked.
    NotBegun(Fault),
    /// SQLite failed inside a change, or found no space for the commit, and everything was rolled back.
    RolledBack(Fault),
    /// The error came from `COMMIT` itself, and was not a full disk, so the changes may have been written.
    Uncertain(Vec<Result<u64, ApplyError>>, Fault),
}

fn serve(connection: &Connection, watch: Option<&Watch>, mut group: Vec<Job>) {
    // Nobody waits for the file's lock on behalf of a caller that waits no more.
    group.retain(|job| !job.task.ticket.is_withdrawn());
    if group.is_empty() {
        return;
    }
    let (tasks, replies): (Vec<Task>, Vec<_>) = group.into_iter().map(|job| (job.task, job.reply)).unzip();
    // A large change fills the log beyond the point at which SQLite runs a checkpoint in the
    // `COMMIT` itself. The log is durable by then, so nobody has to wait for that: it is done after
    // the answers. If it cannot be done (a reader is in the way), the next one does it.
    let is_large = tasks.iter().any(|task| task.change.is_large());
    if is_large {
        let _ = connection.pragma_update(None, "wal_autocheckpoint", 0);
    }
    for (verdict, reply) in watched(connection, watch, &tasks).into_iter().zip(replies) {
        // A caller that is gone does not undo the change.
        let _ = reply.send(verdict);
    }
    if is_large {
        let _ = connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES);
        let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

/// Decides, on a file that is in its place before the first write and after `COMMIT`.
fn watched(connection: &Connection, watch: Option<&Watch>, tasks: &[Task]) -> Vec<Result<u64, CommitError>> {
    if let Err(fault) = watch.map_or(Ok(()), Watch::check_main) {
        return Attempt::NotBegun(fault).into_verdicts(tasks.len());
    }
    let verdicts = decide(connection, tasks);
    match watch.map_or(Ok(()), Watch::check) {
        Ok(()) => verdicts,
        Err(fault) => {
            let unknown = |_| Err(CommitError::Unknown(fault.clone().into()));
            verdicts.into_iter().map(|verdict| verdict.and_then(unknown)).collect()
        }
    }
}

fn decide(connection: &Connection, tasks: &[Task]) -> Vec<Result<u64, CommitError>> {
    match attempt(connection, tasks) {
        // One change made all of them fail, so each is tried alone.
        Attempt::RolledBack(_) if tasks.len() > 1 => one_by_one(connection, tasks),
        attempt => attempt.into_verdicts(tasks.len()),
    }
}

fn one_by_one(connection: &Connection, tasks: &[Task]) -> Vec<Result<u64, CommitError>> {
    let mut verdicts = Vec::with_capacity(tasks.len());
    for task in tasks {
        let attempt = attempt(connection, std::slice::from_ref(task));
        if let Attempt::NotBegun(_) = attempt {
            // Usually the file is locked. The others would each wait as long, for the same answer.
            let left = tasks.len().saturating_sub(verdicts.len());
            verdicts.extend(attempt.into_verdicts(left));
            break;
        }
        verdicts.extend(attempt.into_verdicts(1));
    }
    verdicts
}

impl Attempt {
    fn into_verdicts(self, changes: usize) -> Vec<Result<u64, CommitError>> {
        let settled = |verdict: Result<u64, ApplyError>| verdict.map_err(ApplyError::into_commit_error);
        match self {
            Self::Committed(verdicts) => verdicts.into_iter().map(settled).collect(),
            Self::NotBegun(fault) | Self::RolledBack(fault) => {
                (0..changes).map(|_| Err(fault.clone().into_rejected())).collect()
            }
            Self::Uncertain(verdicts, fault) => verdicts
                .into_iter()
                // A conflict remains one: that change has written nothing, whatever became of the
                // others.
                .map(|verdict| settled(verdict).and_then(|_| Err(CommitError::Unknown(fault.clone().into()))))
                .collect(),
        }
    }
}

fn attempt(connection: &Connection, tasks: &[Task]) -> Attempt {
    let attempt = transact(connection, tasks);
    // In any case, the next group finds no transaction open. If this fails too, its `BEGIN` reports
    // it.
    if !connection.is_autocommit() {
        let _ = run(connection, "ROLLBACK");
    }
    attempt
}

fn transact(connection: &Connection, tasks: &[Task]) -> Attempt {
    let begun = run(connection, "BEGIN IMMEDIATE").and_then(|()| Applier::new(connection));
    let mut applier = match begun {
        Ok(applier) => applier,
        Err(error) => return Attempt::NotBegun(error.into()),
    };
    let mut verdicts = Vec::with_capacity(tasks.len());
    for task in tasks {
        if !task.ticket.begin() {
            // Its caller has been told that it never happens.
            verdicts.push(Err(ApplyError::Refused(Fault::new(FaultKind::Withdrawn))));
            continue;
        }
        // A panic here is a bug of ours, and before `COMMIT`: it is rolled back like any other
        // failure. The connection is still sound, because SQLite's own state is not unwound.
        let applied = catch_unwind(AssertUnwindSafe(|| task.change.apply(&mut applier)));
        match applied.unwrap_or(Err(ApplyError::Failed(Fault::new(FaultKind::Other)))) {
            Err(ApplyError::Failed(fault)) => return Attempt::RolledBack(fault),
            verdict => verdicts.push(verdict),
        }
    }
    match commit(connection, tasks) {
        Ok(()) => Attempt::Committed(verdicts),
        Err(error) => match Fault::from(error) {
            // The frame that makes a transaction count is the last that is written to the log, so with
            // no space for all of them it does not count, not even after a crash. SQLite has rolled it
            // back already, unless the next transaction does.
            fault if fault.kind() == FaultKind::Full => Attempt::RolledBack(fault),
            fault => Attempt::Uncertain(verdicts, fault),
        },
    }
}

#[cfg(not(test))]
fn commit(connection: &Connection, _: &[Task]) -> Result<(), rusqlite::Error> {
    run(connection, "COMMIT")
}

#[cfg(test)]
use crate::lossy::commit;

/// The writer's thread, for [`Inbox::start`](crate::inbox::Inbox::start).
pub(crate) fn worker(
    connection: Arc<Mutex<Connection>>,
    watch: Option<Arc<Watch>>,
    most: usize,
) -> impl FnOnce(Jobs<Job>) + Send + 'static {
    move |jobs| work(&connection, watch.as_deref(), &jobs, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::ticket::Ticket;
    use bytes::Bytes;
    use keywright_core::AccountId;
    use keywright_store::{Batch, Partition, Revision, Write};
    use std::time::Duration;

    fn connection() -> Connection {
        let settings = crate::connect::Settings { busy_timeout: Duration::ZERO, size_limit: None, adopt: false };
        crate::connect::memory(&settings).unwrap()
    }

    fn put(account: &str, revision: u8, expect: Option<u8>) -> Task {
        let partition = Partition::account(&AccountId::new(account).unwrap());
        let numbered = |number| Revision::from_bytes([number; 16]);
        let write = Write::root(numbered(revision), Bytes::from_static(b"body"));
        task(Change::Commit(Batch::new(partition, expect.map(numbered), write).unwrap()))
    }

    fn task(change: Change) -> Task {
        Task { change, ticket: Ticket::default() }
    }

    fn roots(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM keywright_roots", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_conflict_spoils_nothing_for_the_others() {
        let connection = connection();
        let group = [put("a", 1, None), put("a", 2, None), put("b", 3, None), {
            // This depends on what the first of the same group wrote.
            put("a", 4, Some(1))
        }];
        let verdicts = decide(&connection, &group);
        assert!(matches!(verdicts[..], [Ok(_), Err(CommitError::Conflict), Ok(_), Ok(_)]), "{verdicts:?}");
        assert_eq!(roots(&connection), 2);
    }

    #[test]
    fn what_was_taken_back_is_not_written() {
        let connection = connection();
        let group = [put("a", 1, None), put("b", 2, None)];
        assert!(group[0].ticket.withdraw());
        let verdicts = decide(&connection, &group);
        assert!(matches!(verdicts[..], [Err(CommitError::Rejected(_)), Ok(_)]), "{verdicts:?}");
        assert_eq!(roots(&connection), 1);
        assert!(!group[1].ticket.withdraw(), "what was written cannot be taken back");
    }

    #[test]
    fn a_panic_in_one_change_costs_the_others_nothing() {
        let connection = connection();
        let group =
            [put("a", 1, None), task(Change::Meanwhile(Box::new(|_| panic!("a mistake of ours")))), put("b", 2, None)];
        let verdicts = decide(&connection, &group);
        assert!(matches!(verdicts[..], [Ok(_), Err(CommitError::Rejected(_)), Ok(_)]), "{verdicts:?}");
        assert_eq!(roots(&connection), 2);
        assert!(decide(&connection, &[put("c", 3, None)]).remove(0).is_ok(), "the writer goes on");
    }

    #[test]
    fn an_error_from_commit_itself_is_unknown_and_a_conflict_stays_one() {
        let connection = connection();
        // A deferred constraint fails at COMMIT, and only there.
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON;
                 CREATE TABLE parent (id INTEGER PRIMARY KEY);
                 CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
            )
            .unwrap();
        let spoil = task(Change::Meanwhile(Box::new(|connection| {
            connection.execute_batch("INSERT INTO child VALUES (7)").unwrap();
        })));
        let group = [put("a", 1, None), put("a", 2, None), spoil];
        let verdicts = decide(&connection, &group);
        assert!(
            matches!(verdicts[..], [Err(CommitError::Unknown(_)), Err(CommitError::Conflict), Err(_)]),
            "{verdicts:?}"
        );
        assert_eq!(roots(&connection), 0);
        assert!(decide(&connection, &group[..1]).remove(0).is_ok(), "no transaction was left open");
    }

    /// The file is gone after the first check and before `COMMIT`: what was committed is
    /// reported as unknown, never as done.
    #[cfg(unix)]
    #[test]
    fn a_file_that_goes_during_a_commit_makes_it_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let settings = crate::connect::Settings { busy_timeout: Duration::ZERO, size_limit: None, adopt: false };
        let before = crate::watch::prepare(&path);
        let connection = crate::connect::writer(&path, crate::connect::READ_WRITE, &settings).unwrap();
        let watch = Watch::start(&path, &before).unwrap();
        let delete =
            Change::Meanwhile(Box::new(|connection| std::fs::remove_file(connection.path().unwrap()).unwrap()));
        let group = [put("a", 1, None), task(delete), put("a", 2, None)];
        let verdicts = watched(&connection, Some(&watch), &group);
        assert!(
            matches!(verdicts[..], [Err(CommitError::Unknown(_)), _, Err(CommitError::Conflict)]),
            "a conflict wrote nothing in any case: {verdicts:?}"
        );
        let verdicts = watched(&connection, Some(&watch), &[put("b", 3, None)]);
        assert!(matches!(verdicts[..], [Err(CommitError::Rejected(_))]), "{verdicts:?}");
        assert_eq!(roots(&connection), 1, "nothing more was written");
    }
}
