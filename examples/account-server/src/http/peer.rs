//! The origin of a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::Extensions;

/// Returns the address that a request came from, as the listener or a trusted proxy
/// recorded it, or `None` if none did.
pub(crate) fn socket_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}
