//! Sign-in and step-up of the shop on axum, with axum-login and tower-sessions.

mod account;
mod host;

use std::{error::Error, sync::Arc};

use axum::routing::{get, post};
use axum::{Json, Router};
use axum_login::AuthManagerLayerBuilder;
use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use keywright::tower::StepUpLayer;
use serde_json::json;
use shop::Shop;
use tower_sessions::{MemoryStore, SessionManagerLayer, cookie::SameSite};

use crate::account::MakeApiKey;
use crate::host::{App, Session};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Lax);
    let step_up = StepUpLayer::<MakeApiKey, _>::new(app.keywright.two_factor(), |parts: &_| {
        Session::of(parts).map(|session| session.caller)
    });
    let router = Router::new()
        .route("/sign-up", post(account::sign_up))
        .route("/sign-in", post(account::sign_in))
        .route("/sign-in/code", post(account::sign_in_code))
        .route("/me", get(async |session: Session| Json(json!({"name": session.user.name}))))
        .route("/two-factor", post(account::begin_enrolment))
        .route("/two-factor/code", post(account::confirm_enrolment))
        .route("/api-keys", post(account::make_api_key).layer(step_up))
        .layer(AuthManagerLayerBuilder::new(app.clone(), sessions).build())
        .with_state(app);
    let listener = tokio::net::TcpListener::bind(shop::listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
