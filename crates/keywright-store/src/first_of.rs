//! Waiting for a future with a limit.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Returns the first future's value, or `None` if the second ends before it. For a backend's
/// [`commit_until`](crate::RecordStore::commit_until).
///
/// The first future is polled first, so a value that is there is never lost to the limit. It is
/// dropped if the limit ends first, unless it is passed by reference.
pub async fn first_of<T>(
    mut wanted: impl Future<Output = T> + Unpin,
    mut limit: impl Future<Output = ()> + Unpin,
) -> Option<T> {
    poll_fn(|context| {
        if let Poll::Ready(value) = Pin::new(&mut wanted).poll(context) {
            return Poll::Ready(Some(value));
        }
        Pin::new(&mut limit).poll(context).map(|()| None)
    })
    .await
}
