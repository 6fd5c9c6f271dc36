//! A bounded inbox before threads: who finds it full waits as a future, never as a thread.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use async_lock::{Semaphore, SemaphoreGuardArc};

/// How often in a row a thread looks in vain for one more job of its group: some microseconds.
const PATIENCE: u32 = 16;

/// A job and the place it takes in the inbox until a thread fetches it.
type Placed<J> = (J, SemaphoreGuardArc);

/// The sending side. Dropping it lets the threads finish what waits, and joins them.
pub(crate) struct Inbox<J: Send + 'static> {
    places: Arc<Semaphore>,
    sender: Option<mpsc::Sender<Placed<J>>>,
    threads: Vec<JoinHandle<()>>,
}

/// The receiving side, shared by the threads of one inbox.
pub(crate) struct Jobs<J>(Arc<Mutex<mpsc::Receiver<Placed<J>>>>);

impl<J: Send + 'static> Inbox<J> {
    /// An inbox of `size` places before one thread per element of `workers`.
    pub(crate) fn start<W>(name: &str, size: usize, workers: Vec<W>) -> io::Result<Self>
    where
        W: FnOnce(Jobs<J>) + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        // If a thread fails to start, dropping the half-made inbox stops the others.
        let mut inbox = Self { places: Arc::new(Semaphore::new(size)), sender: Some(sender), threads: Vec::new() };
        for worker in workers {
            let jobs = Jobs(Arc::clone(&receiver));
            inbox.threads.push(thread::Builder::new().name(name.into()).spawn(move || worker(jobs))?);
        }
        Ok(inbox)
    }

    /// Waits for a place and puts the job there. Once this returns, the job will be done, whoever still asks for it.
    /// Gives the job back if no thread is left.
    pub(crate) async fn put(&self, job: J) -> Result<(), J> {
        let place = self.places.acquire_arc().await;
        let Some(sender) = &self.sender else { return Err(job) };
        sender.send((job, place)).map_err(|mpsc::SendError((job, _))| job)
    }
}

impl<J: Send + 'static> Drop for Inbox<J> {
    fn drop(&mut self) {
        drop(self.sender.take());
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
    /// Blocks this thread until a job comes; then takes up to `most` that wait. Empty: the inbox is closed and done.
    ///
    /// `expected` is how many are likely on their way: those that were just answered. While they keep coming, they are
    /// waited for by giving up the processor, never by a clock; who comes alone is not held up.
    pub(crate) fn take(&self, most: usize, expected: usize) -> Vec<J> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = receiver.recv().into_iter();
        let mut group: Vec<J> = first.chain(receiver.try_iter()).take(most.max(1)).map(|(job, _place)| job).collect();
        let enough = expected.min(most);
        let mut in_vain = 0_u32;
        while !group.is_empty() && group.len() < enough && in_vain < PATIENCE {
            thread::yield_now();
            let before = group.len();
            group.extend(receiver.try_iter().take(enough.saturating_sub(before)).map(|(job, _place)| job));
            in_vain = if group.len() == before { in_vain.saturating_add(1) } else { 0 };
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

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
}
