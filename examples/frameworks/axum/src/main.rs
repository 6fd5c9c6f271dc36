//! The shop on axum.

mod account;
mod host;

use std::{error::Error, sync::Arc};

use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use keywright::tower::{Caller, StepUpLayer};
use serde_json::json;
use shop::Shop;

use crate::host::{App, Session};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let (two_factor, layer_app) = (app.keywright.two_factor(), app.clone());
    let step_up = StepUpLayer::<account::MakeApiKey, _>::new(two_factor, move |parts: &Parts| {
        let Session { account, id, client, .. } = Session::of(&layer_app, &parts.headers)?;
        Some(Caller::new(account, id, client))
    });
    let router = Router::new()
        .route("/sign-up", post(account::sign_up))
        .route("/sign-in", post(account::sign_in))
        .route("/sign-in/code", post(account::sign_in_code))
        .route("/me", get(async |session: Session| Json(json!({"name": session.user.name}))))
        .route("/two-factor", post(account::begin_enrolment))
        .route("/two-factor/code", post(account::confirm_enrolment))
        .route("/api-keys", post(account::make_api_key).layer(step_up))
        .route("/deletion", post(account::begin_deletion))
        .route("/deletion/code", post(account::confirm_deletion))
        .with_state(app);
    let listener = tokio::net::TcpListener::bind(shop::listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
