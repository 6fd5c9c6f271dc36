//! A queue for slow work such as password hashing. It is bounded and fair between accounts, and
//! known clients come first.
//!
//! Before a host hashes a password in its `check_password`, it acquires a [`Permit`]. If that fails
//! with [`Busy`], nothing is hashed: the protocols answer the request with 503 and `Retry-After`,
//! and the guess does not count as wrong.
//!
//! ```
//! use keywright_wire::HostError;
//! use keywright_wire::queue::{Requester, Limits, WorkQueue};
//!
//! struct Passwords { queue: WorkQueue }
//!
//! impl Passwords {
//!     async fn check(&self, requester: &Requester, password: &str) -> Result<bool, HostError> {
//!         let permit = self.queue.acquire(requester).await?;
//!         // With tokio: `spawn_blocking`. The work holds the permit, because it continues if the request is dropped.
//!         let work = move || {
//!             let _permit = permit;
//!             password.len() == 3 // the slow hash
//!         };
//!         Ok(work())
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let passwords = Passwords { queue: WorkQueue::new(Limits::default().at_once(2)) };
//! let requester = Requester::known(&keywright_core::AccountId::new("user-1")?);
//! assert!(passwords.check(&requester, "abc").await?);
//! # Ok(())
//! # }
//! ```
//!
//! # The rules
//! - At most [`at_once`](Limits::at_once) permits are in use at a time. While one is free, nobody
//!   waits.
//! - A requester is *known* or *unknown*, as the guess ledger classifies the client.
//!   [`Limits::waiting`] bounds how many of each may wait, and [`Limits::waiting_per_account`] how
//!   many of each may wait for one account. So unknown requesters never take the place of a known
//!   one, not even of the owner of the account whose password they guess.
//! - If all places are taken, and a requester arrives for an account that has fewer waiting than
//!   others, then the latest requester of the account with the most waiting gets [`Busy`] instead.
//! - Permits are given out to the waiting accounts in rotation. Known requesters come first; after
//!   [`KNOWN_IN_A_ROW`] of them, one unknown requester gets a permit. So an unknown requester that
//!   is the *n*-th of its account gets its permit after at most *n* · *a* permits of unknown
//!   requesters, and five times as many permits in all. Here *a* is the number of accounts whose
//!   unknown requesters wait when it arrives or when an earlier requester of its account is served.
//! - A requester that gives up while waiting frees its place immediately.
//!
//! For a login name that does not exist, a protocol counts guesses in a *decoy*, a partition that
//! is derived from the name, and the requester is that partition. A full queue therefore reveals
//! nothing about which names exist. Use one queue for all protocols of a process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use keywright_core::{AccountId, PendingGuess};
use keywright_store::{Driver, Partition, guess};

pub use crate::busy::{BUSY_SECONDS, Busy};
use crate::error::HostError;
use crate::queue::measure::Waiting;
pub use keywright_store::Standing;

mod measure;

/// How many permits known requesters get in a row while unknown ones wait.
pub const KNOWN_IN_A_ROW: u32 = 4;

/// How many unknown requesters may wait, by default: 1.6 s of work on two cores, at 50 ms per hash.
pub const WAITING_UNKNOWN: usize = 64;

/// How many known requesters may wait, by default.
pub const WAITING_KNOWN: usize = 256;

/// How many known and how many unknown requesters may wait for one account, by default. The guess
/// ledger allows four guesses of unknown clients to be checked at a time, and four of each known
/// client.
pub const WAITING_PER_ACCOUNT: usize = 8;

/// For whom slow work is done: an account, or the decoy that stands for an unknown login name, and
/// whether the client is known to the guess ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    partition: Partition,
    standing: Standing,
    is_admitted: bool,
}

impl Requester {
    /// Returns the requester for the partition that its guess is charged to.
    #[must_use]
    pub const fn new(partition: Partition, standing: Standing) -> Self {
        Self { partition, standing, is_admitted: false }
    }

    /// Returns the requester of a guess that has begun ([`guess::begin`]).
    #[must_use]
    pub const fn of_guess(partition: Partition, guess: &PendingGuess) -> Self {
        Self::new(partition, guess::standing(guess.admitted()))
    }

    /// Returns the requester for an account's owner or the host itself, for work that is not a
    /// guess, such as hashing a new password.
    #[must_use]
    pub fn known(account: &AccountId) -> Self {
        Self::new(Partition::account(account), Standing::Known)
    }

    /// Remembers that the host has admitted the guess already, in its `admit_guess`.
    #[must_use]
    pub const fn with_admitted(mut self, is_admitted: bool) -> Self {
        self.is_admitted = is_admitted;
        self
    }

    /// Returns whether the host has admitted the guess already. Where it counts what it admits, it
    /// must not count this requester once more.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns the partition of the account or of the decoy.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Returns whether the client is known to the guess ledger.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }
}

/// Withdraws a guess if the host's error is [busy](HostError::busy): the guess was not checked, and
/// does not count as wrong. After any other error the guess stays unjudged, and is charged later. A
/// protocol calls this after [`guess::begin`] when the host has returned an error.
pub async fn withdraw_if_busy(driver: &Driver, requester: &Requester, guess: &PendingGuess, error: &HostError) {
    if error.retry_after().is_some() {
        withdraw(driver, requester, guess).await;
    }
}

/// Withdraws a guess that was not checked, or whose sender learns nothing from the check because the
/// request fails as busy. It does not count as wrong. If this fails, it is charged later.
pub async fn withdraw(driver: &Driver, requester: &Requester, guess: &PendingGuess) {
    let slots = [guess::LEDGER.name()];
    let withdrawn = driver.transact(&requester.partition, &slots, |draft| guess::withdraw(draft, guess)).await;
    if let Err(error) = withdrawn {
        tracing::warn!(error = &error as &dyn std::error::Error, "a guess that was not checked will be charged");
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
    /// As many permits as there are cores, [`WAITING_KNOWN`], [`WAITING_UNKNOWN`] and
    /// [`WAITING_PER_ACCOUNT`].
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
    /// Sets how many permits may be in use at a time, at least one. The default is the number of
    /// cores.
    pub const fn at_once(mut self, permits: usize) -> Self {
        self.at_once = if permits == 0 { 1 } else { permits };
        self
    }

    /// Sets how many known and how many unknown requesters may wait. The defaults are
    /// [`WAITING_KNOWN`] and [`WAITING_UNKNOWN`].
    pub const fn waiting(mut self, known: usize, unknown: usize) -> Self {
        self.known = known;
        self.unknown = unknown;
        self
    }

    /// Returns how many requesters of a standing may wait.
    const fn of(&self, standing: Standing) -> usize {
        match standing {
            Standing::Known => self.known,
            // A standing that this crate does not know gets no privilege.
            _ => self.unknown,
        }
    }

    /// Sets how many requesters of one account may wait, counted for each standing. The default is
    /// [`WAITING_PER_ACCOUNT`].
    pub const fn waiting_per_account(mut self, requesters: usize) -> Self {
        self.per_account = requesters;
        self
    }
}

/// A requester that waits.
struct Waiter {
    id: u64,
    /// Receives the permit, or [`Busy`] if another account needs the place.
    sender: oneshot::Sender<Result<Permit, Busy>>,
}

/// The waiters of one standing: a line for each account, in a ring.
#[derive(Default)]
struct Crowd {
    /// The accounts with a line, the next to be served first.
    ring: VecDeque<Partition>,
    /// The lines, none of which is empty.
    lines: HashMap<Partition, VecDeque<Waiter>>,
    /// The number of waiters in all lines together.
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

    /// Removes and returns the first waiter of the next account; the account moves to the end of
    /// the ring.
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

    /// Removes a waiter that gave up; returns `None` if it is no longer here.
    fn remove(&mut self, account: &Partition, id: u64) -> Option<Waiter> {
        let at = self.lines.get(account)?.iter().position(|waiter| waiter.id == id)?;
        self.take(account, at)
    }

    /// Removes and returns the latest waiter of the account with the most waiters, if that account
    /// has at least two more than `own`: without that waiter it still has no fewer than the account
    /// that takes the place.
    fn make_room(&mut self, own: usize) -> Option<Waiter> {
        let (account, most) = self.gives_way(own)?;
        self.take(&account, most.saturating_sub(1))
    }

    /// Returns the account of that waiter, and how many waiters it has.
    fn gives_way(&self, own: usize) -> Option<(Partition, usize)> {
        let account = self.ring.iter().max_by_key(|account| self.of(account))?;
        let most = self.of(account);
        (most > own.saturating_add(1)).then(|| (account.clone(), most))
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

/// What the lock guards. Nobody waits while a permit is free.
#[derive(Default)]
struct State {
    out: usize,
    known: Crowd,
    unknown: Crowd,
    /// The permits that known requesters have had since the last permit of an unknown one, counted
    /// while an unknown one waits.
    in_a_row: u32,
    next_id: u64,
}

impl State {
    fn crowd(&mut self, standing: Standing) -> &mut Crowd {
        match standing {
            Standing::Known => &mut self.known,
            // A standing that this crate does not know gets no privilege.
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
        // No change can panic halfway, so a poisoned lock still guards a consistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a permit on, or takes it back if nobody waits.
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
            // Outside of the lock, because it wakes a task.
            match next.sender.send(Ok(Permit { shared: Some(Arc::clone(self)) })) {
                Ok(()) => return,
                // The waiter has just gone. Its permit must not be passed on twice.
                Err(unwanted) => {
                    if let Ok(mut permit) = unwanted {
                        permit.shared = None;
                    }
                }
            }
        }
    }
}

/// The queue. It is cheap to clone, and clones share one queue.
#[derive(Clone)]
pub struct WorkQueue {
    shared: Arc<Shared>,
}

impl WorkQueue {
    /// Returns an empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { limits, state: Mutex::default() }) }
    }

    /// Waits for a permit. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// Returns [`Busy`], immediately if there is no place, or later if another account needs the
    /// place.
    pub async fn acquire(&self, requester: &Requester) -> Result<Permit, Busy> {
        let acquired = self.wait(requester).await;
        if acquired.is_err() {
            measure::count_refusal(requester.standing);
        }
        acquired
    }

    async fn wait(&self, requester: &Requester) -> Result<Permit, Busy> {
        let (sender, receiver) = oneshot::channel();
        let limits = &self.shared.limits;
        let (id, evicted) = {
            let mut state = self.shared.state();
            if state.out < limits.at_once {
                state.out = state.out.saturating_add(1);
                return Ok(Permit { shared: Some(Arc::clone(&self.shared)) });
            }
            let id = state.next_id;
            state.next_id = id.wrapping_add(1);
            let most = limits.of(requester.standing);
            let crowd = state.crowd(requester.standing);
            let own = crowd.of(&requester.partition);
            if own >= limits.per_account {
                return Err(Busy);
            }
            let evicted = if crowd.waiting < most { None } else { Some(crowd.make_room(own).ok_or(Busy)?) };
            crowd.push(&requester.partition, Waiter { id, sender });
            (id, evicted)
        };
        if let Some(evicted) = evicted {
            // If the receiver has just gone, nobody needs the message.
            let _ = evicted.sender.send(Err(Busy));
        }
        let _place = Place { queue: self, requester, id, _waiting: Waiting::begin(requester.standing) };
        // The sender is dropped only after sending, or together with an abandoned place.
        receiver.await.unwrap_or(Err(Busy))
    }

    /// Checks whether a requester would get a permit or a place now. A host asks it before anything is
    /// committed for a guess; [`acquire`](Self::acquire) decides.
    ///
    /// # Errors
    /// Returns [`Busy`] if there is no place.
    pub fn check_place(&self, requester: &Requester) -> Result<(), Busy> {
        let limits = &self.shared.limits;
        let mut state = self.shared.state();
        if state.out < limits.at_once {
            return Ok(());
        }
        let crowd = state.crowd(requester.standing);
        let own = crowd.of(&requester.partition);
        let has_place = crowd.waiting < limits.of(requester.standing) || crowd.gives_way(own).is_some();
        if own < limits.per_account && has_place { Ok(()) } else { Err(Busy) }
    }

    /// Returns how many known and how many unknown requesters wait now, for a metric.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.shared.state();
        (state.known.waiting, state.unknown.waiting)
    }
}

keywright_core::redacted_debug!(WorkQueue { limits: shared.limits, .. });

/// A place in a line, until its future ends or is dropped.
struct Place<'q> {
    queue: &'q WorkQueue,
    requester: &'q Requester,
    id: u64,
    _waiting: Waiting,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let gone = self.queue.shared.state().crowd(self.requester.standing).remove(&self.requester.partition, self.id);
        // Outside of the lock, because it may wake a task.
        drop(gone);
    }
}

/// The right to do one piece of slow work. When it is dropped, the next requester gets it.
#[must_use = "the next one's permit comes when this is dropped"]
pub struct Permit {
    shared: Option<Arc<Shared>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.pass_on();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

#[cfg(test)]
mod tests;
