//! The shop on plain hyper, with tower's layer in front of the route that demands a step-up.

mod account;
mod host;

use std::{convert::Infallible, error::Error, sync::Arc};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use keywright::tower::{Refused, StepUpLayer};
use serde_json::json;
use shop::Shop;
use tower::{Layer, ServiceExt};

use crate::account::MakeApiKey;
use crate::host::{Answer, App, Body, Session, cookies};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let listener = tokio::net::TcpListener::bind(shop::listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (connection, app) = (TokioIo::new(listener.accept().await?.0), app.clone());
        let service = service_fn(move |request| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(route(&app, request).await.unwrap_or_else(Refused::into_response)) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(connection, service));
    }
}

async fn route(app: &App, request: Request<Incoming>) -> Answer {
    let route = format!("{} {}", request.method(), request.uri().path());
    let (head, body) = request.into_parts();
    let body = &Body::collect(&head.headers, body).await?;
    let session = || Session::required(app, &head.headers);
    match &*route {
        "POST /sign-up" => account::sign_up(app, body).await,
        "POST /sign-in" => account::sign_in(app, &head.headers, body).await,
        "POST /sign-in/code" => account::sign_in_code(app, &head.headers, body).await,
        "GET /me" => host::json(&json!({"name": session()?.user.name})),
        "POST /two-factor" => account::begin_enrolment(app, session()?, body).await,
        "POST /two-factor/code" => account::confirm_enrolment(app, session()?, body).await,
        "POST /api-keys" => api_keys(app, Request::from_parts(head, ())).await,
        "POST /deletion" => account::begin_deletion(app, session()?).await,
        "POST /deletion/code" => account::confirm_deletion(app, session()?, body).await,
        _ => cookies(hyper::StatusCode::NOT_FOUND, &[]),
    }
}

/// The route behind the layer.
async fn api_keys(app: &App, request: Request<()>) -> Answer {
    let (two_factor, caller_app, inner_app) = (app.keywright.two_factor(), app.clone(), app.clone());
    let caller = move |parts: &Parts| Session::of(&caller_app, &parts.headers).map(|session| session.caller);
    let make = move |request: Request<()>| {
        let answer = account::make_api_key(&inner_app, request).unwrap_or_else(Refused::into_response);
        async move { Ok::<Response<Full<Bytes>>, Infallible>(answer) }
    };
    let service = StepUpLayer::<MakeApiKey, _>::new(two_factor, caller).layer(tower::service_fn(make));
    let Ok(response) = service.oneshot(request).await;
    Ok(response)
}
