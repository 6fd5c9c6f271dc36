//! Many requests at once.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Runs a request `times` times at once and returns all outcomes, in no particular order. Each is a
/// task of its own, and all of them start together. Use a runtime with several worker threads
/// (`#[tokio::test(flavor = "multi_thread")]`), so that they also run in parallel.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let next = Arc::new(AtomicUsize::new(0));
/// let mut drawn = keywright::testing::race(8, || {
///     let next = next.clone();
///     async move { next.fetch_add(1, Ordering::Relaxed) }
/// })
/// .await;
/// drawn.sort_unstable();
/// assert_eq!(drawn, [0, 1, 2, 3, 4, 5, 6, 7]);
/// # }
/// ```
///
/// # Panics
/// Panics if a request panics, with its message.
pub async fn race<T, F>(times: usize, request: impl Fn() -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(times));
    let mut running = JoinSet::new();
    for _ in 0..times {
        let (start, work) = (Arc::clone(&start), request());
        running.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    running.join_all().await
}
