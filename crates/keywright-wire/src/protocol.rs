//! A protocol that looks at a request only once all of it is there.

use std::future::Future;

use bytes::Bytes;
use http::Request;

use crate::answer::Reply;

/// A protocol, as a server that reads bodies sees it. With the feature `tower`, [`tower_service!`](crate::tower_service)
/// makes a `tower::Service` of it.
pub trait Protocol: Clone + Send + Sync + 'static {
    /// Returns the largest body for a path, in bytes.
    fn limit(&self, path: &str) -> usize;

    /// Refuses what needs no body to be refused, before any of it is read. By default nothing is.
    fn refuse_unread(&self, _: &Request<()>) -> impl Future<Output = Option<Reply>> + Send {
        std::future::ready(None)
    }

    /// Returns the answer to a body over the limit.
    fn too_large(&self) -> Reply;

    /// Returns the answer to a body that ended in an error of the connection.
    fn broken(&self) -> Reply;

    /// Returns the answer to a request that is all there.
    fn respond(&self, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}
