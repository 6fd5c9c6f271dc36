//! A bounded inbox before threads. A caller that finds it full waits as a future, and never blocks
//! a thread.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use async_lock::{Semaphore, SemaphoreGuardArc};

/// How often in a row a thread checks in vain for one more job of its group, which takes some
/// microseconds.
const PATIENCE: u32 = 16;

/// A job, and the place that it takes in the inbox until a thread fetches it.
type Placed<J> = (J, SemaphoreGuardArc);

/// The sending side. Dropping it lets the threads finish the waiting jobs, and joins them.
pub(crate) struct Inbox<J: Send + 'static> {
    places: Arc<Semaphore>,
    shared: Arc<Shared<J>>,
    threads: Vec<JoinHandle<()>>,
}

/// The receiving side; each thread of an inbox has one.
pub(crate) struct Jobs<J>(Arc<Shared<J>>);

struct Shared<J> {
    queue: Mutex<Queue<J>>,
    /// Notified once for each job that a sleeping thread has to fetch. A job wakes one thread, and
    /// no thread that is awake.
    filled: Condvar,
}

struct Queue<J> {
    waiting: VecDeque<Placed<J>>,
    /// The number of threads that sleep and that no job has been promised to. One too many costs a
    /// call to the system; one too few would leave a job unfetched.
    asleep: usize,
    /// The number of threads that are left.
    threads: usize,
    closed: bool,
}

impl<J> Shared<J> {
    /// Nothing that is done under the lock can panic half way through.
    fn lock(&self) -> MutexGuard<'_, Queue<J>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Send + 'static> Inbox<J> {
    /// Starts an inbox with `size` places, and one thread for each element of `workers`.
    pub(crate) fn start<W>(name: &str, size: usize, workers: Vec<W>) -> io::Result<Self>
    where
        W: FnOnce(Jobs<J>) + Send + 'static,
    {
        let queue = Queue { waiting: VecDeque::new(), asleep: 0, threads: 0, closed: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), filled: Condvar::new() });
        // If a thread fails to start, dropping the incomplete inbox stops the others.
        let mut inbox = Self { places: Arc::new(Semaphore::new(size)), shared, threads: Vec::new() };
        for worker in workers {
            let jobs = Jobs::new(&inbox.shared);
            inbox.threads.push(thread::Builder::new().name(name.into()).spawn(move || worker(jobs))?);
        }
        Ok(inbox)
    }

    /// Waits for a place and puts the job there. Once this returns, the job will be done, even if
    /// its caller is gone. Returns the job if no thread is left.
    pub(crate) async fn put(&self, job: J) -> Result<(), J> {
        let place = self.places.acquire_arc().await;
        let mut queue = self.shared.lock();
        if queue.threads == 0 {
            return Err(job);
        }
        queue.waiting.push_back((job, place));
        let wake = queue.asleep > 0;
        queue.asleep = queue.asleep.saturating_sub(1);
        drop(queue);
        if wake {
            self.shared.filled.notify_one();
        }
        Ok(())
    }
}

impl<J: Send + 'static> Drop for Inbox<J> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to do either.
            let _ = thread.join();
        }
    }
}

impl<J: Send + 'static> fmt::Debug for Inbox<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl<J> Jobs<J> {
    fn new(shared: &Arc<Shared<J>>) -> Self {
        let mut queue = shared.lock();
        queue.threads = queue.threads.saturating_add(1);
        Self(Arc::clone(shared))
    }

    /// Blocks this thread until a job arrives, then takes up to `most` waiting jobs. Returns none
    /// once the inbox is closed and empty.
    ///
    /// `expected` is how many jobs are likely on their way, namely those of the callers that were
    /// just answered. While they keep arriving, this waits for them by yielding the processor,
    /// never by a clock. A job that comes alone is not delayed.
    pub(crate) fn take(&self, most: usize, expected: usize) -> Vec<J> {
        let mut group = Vec::with_capacity(expected.min(most));
        // Waiters for a place are woken outside of the lock, because a waker runs the executor's
        // code.
        let mut places = Vec::new();
        let mut queue = self.0.lock();
        while queue.waiting.is_empty() && !queue.closed {
            queue.asleep = queue.asleep.saturating_add(1);
            queue = self.0.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.fetch(most.max(1), &mut group, &mut places);
        drop(queue);
        places.clear();
        let enough = expected.min(most);
        let mut in_vain = 0_u32;
        while !group.is_empty() && group.len() < enough && in_vain < PATIENCE {
            thread::yield_now();
            let before = group.len();
            self.0.lock().fetch(enough, &mut group, &mut places);
            places.clear();
            in_vain = if group.len() == before { in_vain.saturating_add(1) } else { 0 };
        }
        group
    }
}

impl<J> Queue<J> {
    /// Moves waiting jobs to a group until that has `most`, together with the places that this
    /// frees.
    fn fetch(&mut self, most: usize, group: &mut Vec<J>, places: &mut Vec<SemaphoreGuardArc>) {
        let some = most.saturating_sub(group.len()).min(self.waiting.len());
        for (job, place) in self.waiting.drain(..some) {
            group.push(job);
            places.push(place);
        }
    }
}

impl<J> Drop for Jobs<J> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.threads = queue.threads.saturating_sub(1);
        // A thread that panicked may have been promised a job, so another is woken in its place.
        // After the last thread nothing is done any more, and the waiting callers must be notified.
        let left = if queue.threads == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
        drop(queue);
        self.0.filled.notify_all();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::sync::mpsc;

    #[test]
    fn bounded_and_finished_before_the_drop_returns() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let (go, gate) = mpsc::channel::<()>();
        let seen = Arc::clone(&done);
        let worker = move |jobs: Jobs<u32>| {
            let _ = gate.recv();
            loop {
                let group = jobs.take(2, 1);
                if group.is_empty() {
                    break;
                }
                seen.lock().unwrap().push(group);
            }
        };
        let inbox = Inbox::start("test", 3, vec![worker]).unwrap();
        block_on(async {
            for job in 0..3 {
                inbox.put(job).await.unwrap();
            }
            let mut fourth = Box::pin(inbox.put(3));
            assert!(poll_once(fourth.as_mut()).await.is_none(), "the fourth waits");
            go.send(()).unwrap();
            fourth.await.unwrap();
        });
        drop(inbox);
        let groups = done.lock().unwrap();
        assert_eq!(groups.concat(), [0, 1, 2, 3]);
        assert!(groups.iter().all(|group| group.len() <= 2));
    }

    #[test]
    fn a_job_wakes_one_thread_and_behind_the_last_it_comes_back() {
        let (report, seen) = mpsc::channel();
        let worker = |jobs: Jobs<u32>, report: mpsc::Sender<u32>| {
            // One job each; then the thread ends, as one that panicked would.
            report.send(jobs.take(1, 1)[0]).unwrap();
        };
        let workers = (0..3).map(|_| (report.clone(), worker)).map(|(report, worker)| move |jobs| worker(jobs, report));
        let inbox = Inbox::start("test", 8, workers.collect()).unwrap();
        for job in 0..3 {
            block_on(inbox.put(job)).unwrap();
        }
        let mut done: Vec<u32> = (0..3).map(|_| seen.recv().unwrap()).collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2]);
        drop(report);
        assert!(seen.recv().is_err(), "all threads are gone");
        // The last thread reports what it did before it drops its side.
        while inbox.shared.lock().threads > 0 {
            thread::yield_now();
        }
        assert_eq!(block_on(inbox.put(3)), Err(3));
    }

    #[test]
    fn many_senders_and_threads_lose_nothing() {
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let workers = (0..4).map(|_| {
            let count = Arc::clone(&count);
            move |jobs: Jobs<usize>| loop {
                let group = jobs.take(3, 1);
                if group.is_empty() {
                    return;
                }
                count.fetch_add(group.into_iter().sum(), std::sync::atomic::Ordering::Relaxed);
            }
        });
        let inbox = Inbox::start("test", 5, workers.collect()).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2_000).for_each(|_| block_on(inbox.put(1)).unwrap()));
            }
        });
        drop(inbox);
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 8_000);
    }
}
