//! The part of a request that is passed to the host's methods.

use http::{Extensions, HeaderMap, Request};

/// Where a request comes from, as far as the host's framework or proxy has recorded it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Peer<'a> {
    /// The request's headers. A trusted proxy may put the client's address here.
    pub headers: &'a HeaderMap,
    /// The request's extensions. Frameworks put the socket's address here.
    pub extensions: &'a Extensions,
}

impl<'a> Peer<'a> {
    /// Returns the peer of a request.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self { headers: request.headers(), extensions: request.extensions() }
    }
}

// Leaves out the headers' contents.
keywright_core::redacted_debug!(Peer<'_>);
