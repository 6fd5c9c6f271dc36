//! A bounded number of concurrent derivations, in memory that is allocated when first needed and
//! then kept.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use keywright_core::Entropy;

use super::{Decoded, check_password};
use crate::client::{CreateError, DeriveError, Deriver};
use crate::salts::Salts;
use crate::secret::ChallengeSecret;

/// The maximum number of derivations that [`DeriverPool::default`] runs concurrently: 4, which use
/// 256 MiB.
pub const MAX_DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// Derives secrets for many threads. At most a fixed number of derivations run concurrently;
/// further callers wait in the order in which they came.
///
/// The pool never allocates more than that number times [`MEMORY_BYTES`](crate::MEMORY_BYTES).
/// Memory is allocated when first needed, wiped when it is returned, and kept for the next call,
/// which saves the page faults of 64 MiB.
///
/// Each call blocks its thread for a tenth of a second or more. In asynchronous code, call it where
/// blocking is allowed.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keywright_challenge::DeriverPool;
/// use keywright_core::SystemEntropy;
///
/// let pool = DeriverPool::default();
/// let (salts, secret) = pool.create("correct horse battery staple", &SystemEntropy)?;
/// // `salts` and `secret` go to the server as `data` and `secret` of `challenge/set`.
/// assert_eq!(salts.as_strs().map(str::len), [512, 128, 32]);
/// assert_eq!(secret.expose_str().len(), 64);
/// # Ok(())
/// # }
/// ```
pub struct DeriverPool {
    cap: usize,
    state: Mutex<State>,
    /// Signals that a derivation ended or that the head of the queue moved on.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Deriver>,
    running: usize,
    /// The ticket of the next caller; tickets below `started` have left the queue.
    drawn: u64,
    started: u64,
}

impl DeriverPool {
    /// Creates a pool that runs up to `concurrency` derivations at the same time. It allocates
    /// nothing yet.
    #[must_use]
    pub fn new(concurrency: NonZeroUsize) -> Self {
        Self { cap: concurrency.get(), state: Mutex::default(), moved: Condvar::new() }
    }

    /// Returns how many derivations may run at the same time.
    #[must_use]
    pub const fn concurrency(&self) -> usize {
        self.cap
    }

    /// Derives a secret like [`Deriver::derive`], after waiting until a derivation may run.
    ///
    /// # Errors
    /// Returns the [`DeriveError`] of [`Deriver::derive`], or
    /// [`OutOfMemory`](DeriveError::OutOfMemory) if memory cannot be allocated. It never returns
    /// [`Busy`](DeriveError::Busy).
    pub fn derive<S: AsRef<str>>(&self, password: &str, salts: &[S]) -> Result<ChallengeSecret, DeriveError> {
        // Checked before waiting, so that a refused password takes no place in the queue.
        check_password(password)?;
        let salts = Decoded::from_server(salts)?;
        self.wait().deriver()?.run(password, &salts)
    }

    /// Derives a secret like [`derive`](Self::derive), but does not wait.
    ///
    /// # Errors
    /// Returns [`DeriveError::Busy`] if all derivations are in use or other callers wait. The other
    /// errors are those of [`derive`](Self::derive).
    pub fn try_derive<S: AsRef<str>>(&self, password: &str, salts: &[S]) -> Result<ChallengeSecret, DeriveError> {
        check_password(password)?;
        let salts = Decoded::from_server(salts)?;
        self.start_now()?.deriver()?.run(password, &salts)
    }

    /// Creates a challenge like [`Deriver::create`], after waiting until a derivation may run.
    ///
    /// # Errors
    /// Returns a [`CreateError`] if no client accepts the password, memory cannot be allocated, a
    /// primitive fails, or the source of randomness fails.
    pub fn create(
        &self,
        password: &str,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<(Salts, ChallengeSecret), CreateError> {
        check_password(password).map_err(CreateError::from)?;
        self.wait().deriver()?.create(password, entropy)
    }

    /// Returns the memory that is not in use to the allocator, for a client that will be idle.
    pub fn release_idle(&self) {
        // The memory is freed under the lock; otherwise a caller that starts in the meantime could
        // allocate beyond the bound.
        self.lock().idle = Vec::new();
    }

    /// Locks the state. A panic leaves it consistent: it is changed only in steps that do not
    /// panic, and a lease that is dropped while unwinding ends like any other.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Lease<'_> {
        let mut state = self.lock();
        let ticket = state.drawn;
        state.drawn = ticket.wrapping_add(1);
        while state.started != ticket || state.running >= self.cap {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.start(state)
    }

    fn start_now(&self) -> Result<Lease<'_>, DeriveError> {
        let mut state = self.lock();
        if state.started != state.drawn || state.running >= self.cap {
            return Err(DeriveError::Busy);
        }
        state.drawn = state.drawn.wrapping_add(1);
        Ok(self.start(state))
    }

    fn start(&self, mut state: MutexGuard<'_, State>) -> Lease<'_> {
        state.started = state.started.wrapping_add(1);
        state.running = state.running.saturating_add(1);
        let idle = state.idle.pop();
        drop(state);
        // The next caller in the queue may be able to start too.
        self.moved.notify_all();
        Lease { pool: self, memory: idle }
    }
}

/// Runs up to `min(available parallelism, MAX_DEFAULT_CONCURRENCY)` derivations at the same time.
impl Default for DeriverPool {
    fn default() -> Self {
        let available = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::new(available.min(MAX_DEFAULT_CONCURRENCY))
    }
}

keywright_core::redacted_debug!(DeriverPool { concurrency: cap, .. });

/// The right to run one derivation. The running and idle derivers together never exceed the limit,
/// because an idle deriver is used before a new one is made.
struct Lease<'a> {
    pool: &'a DeriverPool,
    memory: Option<Deriver>,
}

impl Lease<'_> {
    /// Returns the deriver, which is allocated outside the lock if none was idle.
    fn deriver(&mut self) -> Result<&mut Deriver, DeriveError> {
        match &mut self.memory {
            Some(deriver) => Ok(deriver),
            none => Ok(none.insert(Deriver::new()?)),
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.running = state.running.saturating_sub(1);
        state.idle.extend(self.memory.take());
        drop(state);
        self.pool.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn pool(concurrency: usize) -> DeriverPool {
        DeriverPool::new(NonZeroUsize::new(concurrency).unwrap())
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_default_is_bounded() {
        assert!((1..=4).contains(&DeriverPool::default().concurrency()));
    }

    #[test]
    fn waiters_start_in_the_order_they_came() {
        let pool = pool(1);
        let order = Mutex::new(Vec::new());
        let first = pool.wait();
        std::thread::scope(|scope| {
            for number in 0..8_u64 {
                let (pool, order) = (&pool, &order);
                scope.spawn(move || {
                    let _lease = pool.wait();
                    order.lock().unwrap().push(number);
                });
                until(|| pool.lock().drawn == number + 2);
            }
            assert!(matches!(pool.start_now(), Err(DeriveError::Busy)));
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), (0..8).collect::<Vec<_>>());
        assert!(pool.start_now().is_ok());
    }

    #[test]
    fn never_more_than_the_cap_at_once_or_in_memory() {
        let pool = pool(2);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let mut lease = pool.wait();
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        lease.deriver().unwrap();
                        let state = pool.lock();
                        assert!(state.running <= 2 && state.running + state.idle.len() <= 2);
                        drop(state);
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        let state = pool.lock();
        assert_eq!((state.running, state.drawn, state.started), (0, 18, 18));
        assert!((1..=2).contains(&state.idle.len()));
        drop(state);
        pool.release_idle();
        assert!(pool.lock().idle.is_empty());
    }

    #[test]
    fn a_panic_gives_its_place_back() {
        let pool = pool(1);
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _lease = pool.wait();
            panic!("while deriving");
        }));
        assert!(unwound.is_err());
        assert!(pool.start_now().is_ok());
    }

    #[test]
    fn refused_input_takes_no_place_and_no_memory() {
        let pool = pool(1);
        let busy = pool.wait();
        assert_eq!(pool.derive("short", &["", "", ""]).err(), Some(DeriveError::PasswordTooShort));
        assert_eq!(pool.derive("long enough!", &[""; 2]).err(), Some(DeriveError::TooFewSalts));
        let salts = ["00".repeat(256), "01".repeat(64), "02".repeat(16)];
        assert_eq!(pool.try_derive("long enough!", &salts).err(), Some(DeriveError::Busy));
        drop(busy);
        assert!(pool.lock().idle.is_empty());
    }
}
