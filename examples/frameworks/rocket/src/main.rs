//! The shop on Rocket.

mod account;
mod host;

use std::error::Error;

use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use rocket::config::LogLevel;
use rocket::fairing::AdHoc;
use rocket::{Config, catchers, routes};
use shop::Shop;

use crate::host::App;

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let (address, port) = (shop::listen_address().ip(), shop::listen_address().port());
    let routes = routes![
        account::sign_up,
        account::sign_in,
        account::sign_in_code,
        account::me,
        account::begin_enrolment,
        account::confirm_enrolment,
        account::make_api_key,
        account::begin_deletion,
        account::confirm_deletion,
    ];
    let listening = AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async { println!("listening on http://{}:{}", rocket.config().address, rocket.config().port) })
    });
    rocket::custom(Config { address, port, log_level: LogLevel::Off, ..Config::release_default() })
        .manage(App { shop: Shop::new(), keywright })
        .mount("/", routes)
        .register("/", catchers![host::not_signed_in])
        .attach(listening)
        .launch()
        .await?;
    Ok(())
}
