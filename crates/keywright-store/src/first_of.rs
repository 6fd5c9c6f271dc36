//! Waiting for a future with a limit.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The first future's value, unless the second ends before it.
pub(crate) async fn first_of<T>(
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
