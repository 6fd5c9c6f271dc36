//! The interface of a protocol that handles a request only once its whole body has arrived.

use std::future::Future;

use bytes::Bytes;
use http::Request;

use crate::answer::Reply;

/// A protocol as seen by a server that reads bodies. With the feature `tower`,
/// [`tower_service!`](crate::tower_service) makes it a `tower::Service`.
pub trait Protocol: Clone + Send + Sync + 'static {
    /// Returns the largest body for a path, in bytes.
    fn limit(&self, path: &str) -> usize;

    /// Refuses a request that can be refused without its body, before any of the body is read. By
    /// default nothing is refused.
    fn refuse_unread(&self, _: &Request<()>) -> impl Future<Output = Option<Reply>> + Send {
        std::future::ready(None)
    }

    /// Returns the answer to a body over the limit.
    fn too_large(&self) -> Reply;

    /// Returns the answer to a body that ended in an error of the connection.
    fn broken(&self) -> Reply;

    /// Returns the answer to a request whose body is complete.
    fn respond(&self, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}
