//! The shop on poem.

mod account;
mod host;

use std::{error::Error, sync::Arc};

use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::middleware::CookieJarManager;
use poem::{EndpointExt, Route, Server, get, post};
use shop::Shop;

use crate::host::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let routes = Route::new()
        .at("/sign-up", post(account::sign_up))
        .at("/sign-in", post(account::sign_in))
        .at("/sign-in/code", post(account::sign_in_code))
        .at("/me", get(host::me))
        .at("/two-factor", post(account::begin_enrolment))
        .at("/two-factor/code", post(account::confirm_enrolment))
        .at("/api-keys", post(account::make_api_key))
        .at("/deletion", post(account::begin_deletion))
        .at("/deletion/code", post(account::confirm_deletion))
        .with(CookieJarManager::new())
        .data(app);
    let acceptor = TcpListener::bind(shop::listen_address()).into_acceptor().await?;
    for address in acceptor.local_addr().iter().filter_map(|address| address.as_socket_addr()) {
        println!("listening on http://{address}");
    }
    Ok(Server::new_with_acceptor(acceptor).run(routes).await?)
}
