//! The shop on plain hyper: its routes, and what Keywright adds to them.

mod host;

use std::{error::Error, future, sync::Arc};

use hyper::{HeaderMap, Request, StatusCode, header::COOKIE};
use hyper::{body::Bytes, http::request::Parts};
use keywright::confirm::AccountAction;
use keywright::sqlite::SqliteStore;
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor, StepUpLayer};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use serde_json::json;
use shop::{Code, Credentials, HALF_SESSION, Password, SESSION, Shop, cookie};
use tower::{Layer, ServiceExt, service_fn};

use crate::host::{Answer, App, HalfSession, Session, cookies, json, parse};

const SIGN_IN: Purpose = Purpose::new("sign-in");

/// Demanded by the layer in front of the handler, which takes it.
struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    host::serve(App { shop: Arc::new(Shop::new()), keywright }, route).await
}

async fn route(app: App, request: Request<Bytes>) -> Answer {
    let session = || Session::of(&app, request.headers());
    match (request.method().as_str(), request.uri().path()) {
        ("POST", "/sign-up") => sign_up(app, parse(&request)?).await,
        ("POST", "/sign-in") => sign_in(app, request.headers(), parse(&request)?).await,
        ("POST", "/sign-in/code") => sign_in_code(HalfSession::of(&app, request.headers())?, parse(&request)?).await,
        ("GET", "/me") => json(&json!({"name": session()?.user.name})),
        ("POST", "/two-factor") => begin_enrolment(session()?, parse(&request)?).await,
        ("POST", "/two-factor/code") => confirm_enrolment(session()?, parse(&request)?).await,
        ("POST", "/api-keys") => api_keys(app, request).await,
        ("POST", "/deletion") => begin_deletion(session()?).await,
        ("POST", "/deletion/code") => confirm_deletion(session()?, parse(&request)?).await,
        _ => cookies(StatusCode::NOT_FOUND, &[]),
    }
}

async fn sign_up(app: App, typed: Credentials) -> Answer {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { cookies(StatusCode::CREATED, &[]) } else { Err(Refused::conflict("name_taken")) }
}

async fn sign_in(app: App, headers: &HeaderMap, typed: Credentials) -> Answer {
    let user = app.shop.check_password(&typed.name, &typed.password).ok_or(Refused::unauthorized("wrong_password"))?;
    let device = app.keywright.device_cookie(headers.get_all(COOKIE))?.to_set_cookie();
    let session = app.shop.start_session(&user.id); // before `enrolled`: an enrolment in between ends it
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        app.shop.end_session(&session);
        let half = cookie(HALF_SESSION, &app.shop.start_half_session(&user.id));
        return cookies(StatusCode::ACCEPTED, &[device, half.to_string()]);
    }
    cookies(StatusCode::NO_CONTENT, &[device, cookie(SESSION, &session).to_string()])
}

async fn sign_in_code(HalfSession(half): HalfSession, typed: Code) -> Answer {
    let Session { app, token, account, client, .. } = half;
    let proof = app.keywright.two_factor().verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&token);
    let session = cookie(SESSION, &app.shop.start_session(proof.account().as_str()));
    cookies(StatusCode::NO_CONTENT, &[session.to_string(), cookie(HALF_SESSION, "").to_string()])
}

async fn begin_enrolment(Session { app, user, account, id, .. }: Session, typed: Password) -> Answer {
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    json(&json!({"uri": pending.uri("Shop", &user.name)?.expose()}))
}

async fn confirm_enrolment(Session { app, token, account, id, client, .. }: Session, typed: Code) -> Answer {
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    json(&json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()}))
}

/// The route behind the layer, which demands the step-up.
async fn api_keys(app: App, request: Request<Bytes>) -> Answer {
    let (two_factor, caller_app) = (app.keywright.two_factor(), app.clone());
    let caller = move |parts: &Parts| Session::of(&caller_app, &parts.headers).ok().map(|session| session.caller());
    let make = service_fn(move |request: Request<Bytes>| future::ready(make_api_key(&app, request)));
    StepUpLayer::<MakeApiKey, _>::new(two_factor, caller).layer(make).oneshot(request).await
}

fn make_api_key(app: &App, mut request: Request<Bytes>) -> Answer {
    let proof = StepUpFor::<MakeApiKey>::take(request.extensions_mut())?;
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    json(&json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?}))
}

async fn begin_deletion(Session { app, account, id, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    json(&json!({"type_this": code.expose()}))
}

async fn confirm_deletion(Session { app, account, id, .. }: Session, typed: Code) -> Answer {
    let proof = app.keywright.confirmations().confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    // Behind the `?` there is a proof, and it says who is deleted.
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    json(&json!({"deleted": true}))
}
