//! Listening on an address of the command line.

use std::net::{SocketAddr, TcpListener};

use crate::failure::Failure;

/// How many connections may wait to be accepted. The system may allow fewer.
const BACKLOG: i32 = 4_096;

/// Listens, and returns the address with its port.
///
/// # Errors
/// A [`Failure`] that names the address.
pub(crate) fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The standard library lets 128 clients wait. A thousand may come at once, and one that finds no
        // room tries again only after seconds.
        socket2::SockRef::from(&listener).listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|source| Failure::Listen { address: address.to_owned(), source })
}
