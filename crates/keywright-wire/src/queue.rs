//! A queue in front of slow work, a password hash for one: bounded, fair between accounts, known clients first.
//!
//! A host that hashes in its `check_password` asks for a [`Turn`] first. Who gets none is [`Busy`], **before** anything is
//! hashed; the protocols answer it with 503 and `Retry-After`, and the guess is not charged.
//!
//! ```
//! use keywright_wire::HostError;
//! use keywright_wire::queue::{Asker, Limits, WorkQueue};
//!
//! struct Passwords { queue: WorkQueue }
//!
//! impl Passwords {
//!     async fn check(&self, asker: &Asker, password: &str) -> Result<bool, HostError> {
//!         let turn = self.queue.enter(asker).await?;
//!         // With tokio: `spawn_blocking`. The work takes the turn along, because it goes on if the request is given up.
//!         let work = move || {
//!             let _turn = turn;
//!             password.len() == 3 // the slow hash
//!         };
//!         Ok(work())
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let passwords = Passwords { queue: WorkQueue::new(Limits::default().at_once(2)) };
//! let asker = Asker::known(&keywright_core::AccountId::new("user-1")?);
//! assert!(passwords.check(&asker, "abc").await?);
//! # Ok(())
//! # }
//! ```
//!
//! # The rules
//! - At most [`at_once`](Limits::at_once) turns are out. While one is free nobody waits.
//! - At most so many known and so many unknown askers wait ([`Limits::waiting`]), and of each at most so many for one account
//!   ([`Limits::waiting_per_account`]): strangers take no place of a known client, nor of their own account's owner.
//! - Where all places are taken and an account that has fewer waiters asks for one, the latest waiter of the account that has
//!   most is told [`Busy`] instead: whoever fills the queue makes room.
//! - A free turn goes round among the accounts that wait. Known askers come first; after [`KNOWN_IN_A_ROW`] of them an unknown
//!   one has its turn. So an unknown asker that is the *n*-th of its account gets its turn after at most *n* · *a* turns of
//!   unknown askers, *a* being the accounts of unknown askers that wait when it comes or when one before it of its account is
//!   served, and five times as many in all.
//! - Who gives up while waiting leaves its place at once.
//!
//! Unknown login names are asked for under the partition of the decoy ledger that they are charged to, so a queue that is
//! full says nothing about which names exist. One queue serves one process; give every protocol of a server the same one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use keywright_core::{AccountId, PendingGuess};
use keywright_store::{Driver, Partition, guess};

pub use crate::busy::{BUSY_SECONDS, Busy};
use crate::error::HostError;
pub use keywright_store::Standing;

/// How many turns known askers get in a row while unknown ones wait.
pub const KNOWN_IN_A_ROW: u32 = 4;

/// How many unknown askers may wait, by default: 1.6 s of work on two cores, at 50 ms for a hash.
pub const WAITING_UNKNOWN: usize = 64;

/// How many known askers may wait, by default.
pub const WAITING_KNOWN: usize = 256;

/// How many askers of one account and standing may wait, by default. The guess ledger lets four unknown ones be judged at a
/// time, and four of each known client.
pub const WAITING_PER_ACCOUNT: usize = 8;

/// For whom slow work is done: an account, or the decoy that stands for an unknown name, and how the guess ledger knows the
/// client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    partition: Partition,
    standing: Standing,
}

impl Asker {
    /// An asker by the partition that its guess is charged to.
    #[must_use]
    pub const fn new(partition: Partition, standing: Standing) -> Self {
        Self { partition, standing }
    }

    /// The asker of a guess that has begun ([`guess::begin`]).
    #[must_use]
    pub const fn of_guess(partition: Partition, guess: &PendingGuess) -> Self {
        Self { partition, standing: guess::standing(guess.admitted()) }
    }

    /// The owner of an account, or the host itself: for what is no guess, a new password's hash for one.
    #[must_use]
    pub fn known(account: &AccountId) -> Self {
        Self { partition: Partition::account(account), standing: Standing::Known }
    }

    /// The account's partition, or the decoy's.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// How the guess ledger knows the client.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }
}

/// Gives a guess back that the host answered with "busy": it was not looked at, and is not charged. Any other failure leaves
/// it as it is, to be charged in time. For a protocol, between [`guess::begin`] and its answer.
pub async fn give_back_if_busy(driver: &Driver, asker: &Asker, guess: &PendingGuess, error: &HostError) {
    if error.retry_after().is_none() {
        return;
    }
    let slots = [guess::LEDGER.name()];
    let withdrawn = driver.transact(&asker.partition, &slots, |draft| guess::withdraw(draft, guess)).await;
    if let Err(error) = withdrawn {
        tracing::warn!(error = &error as &dyn std::error::Error, "a guess that nobody looked at will be charged");
    }
}

/// The bounds of a [`WorkQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    at_once: usize,
    known: usize,
    unknown: usize,
    per_account: usize,
}

impl Default for Limits {
    /// As many turns as there are cores, [`WAITING_KNOWN`], [`WAITING_UNKNOWN`], [`WAITING_PER_ACCOUNT`].
    fn default() -> Self {
        Self {
            at_once: std::thread::available_parallelism().map_or(1, usize::from),
            known: WAITING_KNOWN,
            unknown: WAITING_UNKNOWN,
            per_account: WAITING_PER_ACCOUNT,
        }
    }
}

impl Limits {
    /// How many turns may be out at a time, at least one. Default: as many as there are cores.
    pub const fn at_once(mut self, turns: usize) -> Self {
        self.at_once = if turns == 0 { 1 } else { turns };
        self
    }

    /// How many known and how many unknown askers may wait. Defaults [`WAITING_KNOWN`] and [`WAITING_UNKNOWN`].
    pub const fn waiting(mut self, known: usize, unknown: usize) -> Self {
        self.known = known;
        self.unknown = unknown;
        self
    }

    /// How many askers of one account may wait, counted for each standing. Default [`WAITING_PER_ACCOUNT`].
    pub const fn waiting_per_account(mut self, askers: usize) -> Self {
        self.per_account = askers;
        self
    }
}

/// One who waits.
struct Waiter {
    id: u64,
    /// Takes the turn, or "busy" if another account needs the place.
    sender: oneshot::Sender<Result<Turn, Busy>>,
}

/// Those of one standing who wait: a line for each account, in a ring.
#[derive(Default)]
struct Crowd {
    /// The accounts with a line, the next to be served first.
    ring: VecDeque<Partition>,
    /// No line is empty.
    lines: HashMap<Partition, VecDeque<Waiter>>,
    /// In all lines together.
    waiting: usize,
}

impl Crowd {
    fn of(&self, account: &Partition) -> usize {
        self.lines.get(account).map_or(0, VecDeque::len)
    }

    fn push(&mut self, account: &Partition, waiter: Waiter) {
        let line = self.lines.entry(account.clone()).or_default();
        if line.is_empty() {
            self.ring.push_back(account.clone());
        }
        line.push_back(waiter);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// The first of the account whose turn it is; the account goes to the end of the ring.
    fn next(&mut self) -> Option<Waiter> {
        let account = self.ring.pop_front()?;
        let line = self.lines.get_mut(&account)?;
        let waiter = line.pop_front()?;
        self.waiting = self.waiting.saturating_sub(1);
        if line.is_empty() {
            self.lines.remove(&account);
        } else {
            self.ring.push_back(account);
        }
        Some(waiter)
    }

    /// Takes out one that gave up; nothing if it is not here any more.
    fn remove(&mut self, account: &Partition, id: u64) -> Option<Waiter> {
        let at = self.lines.get(account)?.iter().position(|waiter| waiter.id == id)?;
        self.take(account, at)
    }

    /// The latest waiter of the account that has most, if that has at least two more than `own`: with the place it gives up
    /// it still has no fewer than the account that takes it.
    fn make_room(&mut self, own: usize) -> Option<Waiter> {
        let account = self.ring.iter().max_by_key(|account| self.of(account))?.clone();
        let most = self.of(&account);
        if most > own.saturating_add(1) { self.take(&account, most.saturating_sub(1)) } else { None }
    }

    fn take(&mut self, account: &Partition, at: usize) -> Option<Waiter> {
        let line = self.lines.get_mut(account)?;
        let waiter = line.remove(at)?;
        self.waiting = self.waiting.saturating_sub(1);
        if line.is_empty() {
            self.lines.remove(account);
            self.ring.retain(|other| other != account);
        }
        Some(waiter)
    }
}

/// What the lock guards. Nobody waits while a turn is free.
#[derive(Default)]
struct State {
    out: usize,
    known: Crowd,
    unknown: Crowd,
    /// Turns of known askers since the last of an unknown one, while one waited.
    in_a_row: u32,
    next_id: u64,
}

impl State {
    fn crowd(&mut self, standing: Standing) -> &mut Crowd {
        match standing {
            Standing::Known => &mut self.known,
            // Of a standing that is not known here nothing is believed.
            _ => &mut self.unknown,
        }
    }

    fn next(&mut self) -> Option<Waiter> {
        if self.unknown.waiting == 0 || (self.known.waiting > 0 && self.in_a_row < KNOWN_IN_A_ROW) {
            let next = self.known.next();
            self.in_a_row = if self.unknown.waiting == 0 { 0 } else { self.in_a_row.saturating_add(1) };
            next
        } else {
            self.in_a_row = 0;
            self.unknown.next()
        }
    }
}

struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a turn on, or takes it back if nobody waits.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let Some(next) = state.next() else {
                    state.out = state.out.saturating_sub(1);
                    return;
                };
                next
            };
            // Outside of the lock: it wakes a task.
            match next.sender.send(Ok(Turn { shared: Some(Arc::clone(self)) })) {
                Ok(()) => return,
                // It has gone just now. Its turn must not be handed on twice.
                Err(unwanted) => {
                    if let Ok(mut turn) = unwanted {
                        turn.shared = None;
                    }
                }
            }
        }
    }
}

/// The queue. Cheap to clone; clones are one queue.
#[derive(Clone)]
pub struct WorkQueue {
    shared: Arc<Shared>,
}

impl WorkQueue {
    /// A queue that nobody waits in.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { limits, state: Mutex::default() }) }
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Busy`], at once if there is no place, or later if another account needs this one.
    pub async fn enter(&self, asker: &Asker) -> Result<Turn, Busy> {
        let (sender, receiver) = oneshot::channel();
        let limits = &self.shared.limits;
        let (id, evicted) = {
            let mut state = self.shared.state();
            if state.out < limits.at_once {
                state.out = state.out.saturating_add(1);
                return Ok(Turn { shared: Some(Arc::clone(&self.shared)) });
            }
            let id = state.next_id;
            state.next_id = id.wrapping_add(1);
            let most = if asker.standing == Standing::Known { limits.known } else { limits.unknown };
            let crowd = state.crowd(asker.standing);
            let own = crowd.of(&asker.partition);
            if own >= limits.per_account {
                return Err(Busy);
            }
            let evicted = if crowd.waiting < most { None } else { Some(crowd.make_room(own).ok_or(Busy)?) };
            crowd.push(&asker.partition, Waiter { id, sender });
            (id, evicted)
        };
        if let Some(evicted) = evicted {
            // If it has gone just now, there is nobody to tell.
            let _ = evicted.sender.send(Err(Busy));
        }
        let _place = Place { queue: self, asker, id };
        // The sender is dropped by its sending alone, or with a place that nobody waits at.
        receiver.await.unwrap_or(Err(Busy))
    }

    /// How many wait now, known and unknown: for a metric.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.shared.state();
        (state.known.waiting, state.unknown.waiting)
    }
}

keywright_core::redacted_debug!(WorkQueue { limits: shared.limits, .. });

/// A place in a line, until its future ends or is given up.
struct Place<'q> {
    queue: &'q WorkQueue,
    asker: &'q Asker,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let gone = self.queue.shared.state().crowd(self.asker.standing).remove(&self.asker.partition, self.id);
        // Outside of the lock: it may wake a task.
        drop(gone);
    }
}

/// The right to do one piece of slow work, until it is dropped; then it goes to the next.
#[must_use = "the next one's turn comes when this is dropped"]
pub struct Turn {
    shared: Option<Arc<Shared>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.pass_on();
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

#[cfg(test)]
mod tests;
