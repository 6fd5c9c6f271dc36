//! The shop on axum: its routes, and what Keywright adds to them.

mod host;

use std::{error::Error, sync::Arc};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::CookieJar;
use keywright::confirm::AccountAction;
use keywright::sqlite::SqliteStore;
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor, StepUpLayer};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, HALF_SESSION, Password, SESSION, Shop, cookie};

use crate::host::{App, HalfSession, Session};

const SIGN_IN: Purpose = Purpose::new("sign-in");

/// Demanded by the layer of the route, and taken by its handler.
struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

type Answer = Result<Json<Value>, Refused>;
type SignedIn = Result<(StatusCode, CookieJar), Refused>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let layer_app = app.clone();
    let caller = move |parts: &Parts| Session::of(&layer_app, &parts.headers).ok().map(|session| session.caller());
    let step_up = StepUpLayer::<MakeApiKey, _>::new(app.keywright.two_factor(), caller);
    let router = Router::new()
        .route("/sign-up", post(sign_up))
        .route("/sign-in", post(sign_in))
        .route("/sign-in/code", post(sign_in_code))
        .route("/me", get(async |session: Session| Json(json!({"name": session.user.name}))))
        .route("/two-factor", post(begin_enrolment))
        .route("/two-factor/code", post(confirm_enrolment))
        .route("/api-keys", post(make_api_key).layer(step_up))
        .route("/deletion", post(begin_deletion))
        .route("/deletion/code", post(confirm_deletion))
        .with_state(app);
    let listener = tokio::net::TcpListener::from_std(shop::listener()?)?;
    Ok(axum::serve(listener, router).await?)
}

async fn sign_up(State(app): State<App>, Json(typed): Json<Credentials>) -> Result<StatusCode, Refused> {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(StatusCode::CREATED) } else { Err(Refused::conflict("name_taken")) }
}

async fn sign_in(State(app): State<App>, headers: HeaderMap, Json(typed): Json<Credentials>) -> SignedIn {
    let user = app.shop.check_password(&typed.name, &typed.password).ok_or(Refused::unauthorized("wrong_password"))?;
    let jar = host::with_device(&app, &headers)?;
    let session = app.shop.start_session(&user.id); // before `enrolled`: an enrolment in between ends it
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        app.shop.end_session(&session);
        return Ok((StatusCode::ACCEPTED, jar.add(cookie(HALF_SESSION, &app.shop.start_half_session(&user.id)))));
    }
    Ok((StatusCode::NO_CONTENT, jar.add(cookie(SESSION, &session))))
}

async fn sign_in_code(HalfSession(half): HalfSession, jar: CookieJar, Json(typed): Json<Code>) -> SignedIn {
    let Session { app, token, account, client, .. } = half;
    let proof = app.keywright.two_factor().verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&token);
    let session = cookie(SESSION, &app.shop.start_session(proof.account().as_str()));
    Ok((StatusCode::NO_CONTENT, jar.add(session).add(cookie(HALF_SESSION, ""))))
}

async fn begin_enrolment(Session { app, user, account, id, .. }: Session, Json(typed): Json<Password>) -> Answer {
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

async fn confirm_enrolment(session: Session, Json(typed): Json<Code>) -> Answer {
    let Session { app, token, account, id, client, .. } = session;
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

async fn make_api_key(State(app): State<App>, proof: StepUpFor<MakeApiKey>) -> Answer {
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

async fn begin_deletion(Session { app, account, id, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

async fn confirm_deletion(Session { app, account, id, .. }: Session, Json(typed): Json<Code>) -> Answer {
    let proof = app.keywright.confirmations().confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    // Behind the `?` there is a proof, and it says who is deleted.
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
