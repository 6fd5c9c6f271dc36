//! The shop on actix-web.

mod account;
mod host;

use std::error::Error;

use actix_web::web::Data;
use actix_web::{App as Server, HttpServer};
use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use shop::Shop;

use crate::host::App;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = Data::new(App { shop: Shop::new(), keywright });
    let server = HttpServer::new(move || {
        Server::new()
            .app_data(app.clone())
            .service(account::sign_up)
            .service(account::sign_in)
            .service(account::sign_in_code)
            .service(account::me)
            .service(account::begin_enrolment)
            .service(account::confirm_enrolment)
            .service(account::make_api_key)
            .service(account::begin_deletion)
            .service(account::confirm_deletion)
    });
    let server = server.bind(shop::listen_address())?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    Ok(server.run().await?)
}
