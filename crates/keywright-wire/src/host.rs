//! What every host is shown of a request.

use http::{Extensions, HeaderMap, Request};

/// Where a request comes from, as far as the host's framework or proxy has noted it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Peer<'a> {
    /// The request's headers: of a trusted proxy, the client's address may be here.
    pub headers: &'a HeaderMap,
    /// The request's extensions: frameworks put the socket's address here.
    pub extensions: &'a Extensions,
}

impl<'a> Peer<'a> {
    /// Returns the peer of a request.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self { headers: request.headers(), extensions: request.extensions() }
    }
}

// Without what the headers hold.
keywright_core::redacted_debug!(Peer<'_>);
