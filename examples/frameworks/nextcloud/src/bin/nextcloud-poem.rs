//! The protocol in the routes of poem, by its adapter for tower.

use std::error::Error;

use keywright::tower::PrefixLayer;
use poem::endpoint::TowerCompatExt;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{EndpointExt, Request, Route, Server};
use shop_nextcloud::{PASSWORDS, open};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let passwords = open().await?;
    let routes = Route::new()
        // `nest` removes the prefix, and the layer puts it back.
        .nest(PASSWORDS, PrefixLayer::new(PASSWORDS).layer(passwords.clone()).compat())
        .nest_no_strip("/apps/passwords", passwords.clone().compat())
        .nest("/cloud", passwords.compat())
        .before(address);
    let acceptor = TcpListener::bind(shop::listen_address()).into_acceptor().await?;
    for address in acceptor.local_addr().iter().filter_map(|address| address.as_socket_addr()) {
        println!("listening on http://{address}");
    }
    Ok(Server::new_with_acceptor(acceptor).run(routes).await?)
}

/// Puts the client's address where the host looks for it.
async fn address(mut request: Request) -> poem::Result<Request> {
    if let Some(address) = request.remote_addr().as_socket_addr().copied() {
        request.extensions_mut().insert(address);
    }
    Ok(request)
}
