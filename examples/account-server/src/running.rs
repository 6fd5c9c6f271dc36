//! Tasks that must run to their end even if nobody waits for them any more: requests, due work,
//! mails.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Counts independent tasks, so that a stop can wait for them. Cheap to clone, and clones share one
/// count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    count: usize,
    stopped_at: Option<Instant>,
}

/// Counts as one task until it is dropped.
#[derive(Debug)]
struct Begun(watch::Sender<State>);

impl Running {
    /// Runs a future as a separate task. Dropping the handle does not end it.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        tokio::spawn(self.counted(work))
    }

    /// Counts a future from now until it ends or is dropped.
    pub(crate) fn counted<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.state.send_modify(|state| state.count = state.count.saturating_add(1));
        let begun = Begun(self.state.clone());
        async move {
            let _begun = begun;
            work.await
        }
    }

    /// From now on, nothing is started that no caller waits for. Running tasks continue.
    pub(crate) fn stop(&self) {
        self.state.send_modify(|state| {
            state.stopped_at.get_or_insert_with(Instant::now);
        });
    }

    /// Whether `stop` was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.borrow().stopped_at.is_some()
    }

    /// Waits until `stop` is called.
    pub(crate) async fn stopping(&self) {
        self.wait_for(|state| state.stopped_at.is_some()).await;
    }

    /// Waits until nothing runs.
    pub(crate) async fn ended(&self) {
        self.wait_for(|state| state.count == 0).await;
    }

    /// Stops, and waits until nothing runs, for at most `limit` from the moment of the stop.
    /// Returns how many tasks were cut off.
    pub(crate) async fn finish(&self, limit: Duration) -> usize {
        self.stop();
        let stopped_at = self.state.borrow().stopped_at;
        let until = stopped_at.and_then(|moment| moment.checked_add(limit)).unwrap_or_else(Instant::now);
        let _in_time = timeout_at(until, self.ended()).await;
        self.state.borrow().count
    }

    async fn wait_for(&self, reached: impl Fn(&State) -> bool) {
        let mut state = self.state.subscribe();
        // The sender is owned here, so the channel is open.
        let _reached = state.wait_for(|state| reached(state)).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.count = state.count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_nobody_waits_for_comes_to_its_end() {
        let running = Running::default();
        running.ended().await;
        let (go, told) = oneshot::channel::<()>();
        let (done, heard) = oneshot::channel();
        drop(running.spawn(async move {
            told.await.unwrap();
            done.send(()).unwrap();
        }));
        tokio::select! {
            biased;
            () = running.ended() => panic!("it runs"),
            () = tokio::task::yield_now() => {}
        }
        go.send(()).unwrap();
        running.ended().await;
        heard.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        let running = Running::default();
        assert!(running.spawn(async { panic!("on purpose") }).await.is_err());
        running.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_what_runs_but_not_for_ever() {
        let running = Running::default();
        let (go, told) = oneshot::channel::<()>();
        let short = running.spawn(async { told.await.unwrap() });
        drop(running.spawn(std::future::pending::<()>()));
        assert!(!running.is_stopping());
        running.stop();
        running.stopping().await;
        go.send(()).unwrap();
        let begun = Instant::now();
        assert_eq!(running.finish(Duration::from_secs(10)).await, 1);
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        short.await.unwrap();
    }
}
