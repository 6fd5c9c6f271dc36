//! What was begun and must come to its end, whoever stops waiting for it: requests, due work, mails.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Counts tasks that run on by themselves, so that a stop can wait for them. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    count: watch::Sender<usize>,
}

/// One task, until this is dropped.
#[derive(Debug)]
struct Begun(watch::Sender<usize>);

impl Running {
    /// Runs something as a task of its own. Dropping the handle does not end it.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.count.send_modify(|count| *count = count.saturating_add(1));
        let begun = Begun(self.count.clone());
        tokio::spawn(async move {
            let _begun = begun;
            work.await
        })
    }

    /// Waits until nothing runs.
    pub(crate) async fn ended(&self) {
        // The sender is here, so the channel is open.
        let mut count = self.count.subscribe();
        let _none = count.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
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
}
