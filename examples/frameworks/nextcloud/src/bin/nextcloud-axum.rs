//! The protocol in the routes of axum: nested, not nested, and below a folder.

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use keywright::tower::PrefixLayer;
use shop_nextcloud::{PASSWORDS, open};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let passwords = open().await?;
    let router = Router::new()
        // `nest_service` removes the prefix, and the layer puts it back.
        .nest_service(PASSWORDS, PrefixLayer::new(PASSWORDS).layer(passwords.clone()))
        // A route leaves the path as it is. Some clients leave `index.php` out.
        .route_service("/apps/passwords/{*rest}", passwords.clone())
        // A server that is installed in a folder: what is left of the path is the protocol's.
        .nest_service("/cloud", passwords)
        .layer(map_request(address));
    let listener = tokio::net::TcpListener::bind(shop::listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// Puts the client's address where the host looks for it.
async fn address(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(address);
    request
}
