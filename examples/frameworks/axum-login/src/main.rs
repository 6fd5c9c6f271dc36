//! Sign-in and step-up of the shop on axum, with axum-login and tower-sessions.

mod host;

use std::{error::Error, sync::Arc};

use axum::extract::State;
use axum::http::header::{COOKIE, HeaderName, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_login::{AuthManagerLayerBuilder, AuthSession};
use keywright::sqlite::SqliteStore;
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor, StepUpLayer};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, Password, Shop};
use tower_sessions::{MemoryStore, SessionManagerLayer, cookie::SameSite};

use crate::host::{App, Member, Session};

const SIGN_IN: Purpose = Purpose::new("sign-in");
/// What the session holds while the password was right and nothing else is known: the user, and until when.
const HALF: &str = "half";

/// Demanded by the layer of the route, and taken by its handler.
struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

type Auth = AuthSession<App>;
type Answer = Result<Json<Value>, Refused>;
type SignedIn = Result<(StatusCode, [(HeaderName, String); 1]), Refused>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = App { shop: Arc::new(Shop::new()), keywright };
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Lax);
    let caller = |parts: &Parts| Session::of(parts).map(|session| session.caller());
    let step_up = StepUpLayer::<MakeApiKey, _>::new(app.keywright.two_factor(), caller);
    let router = Router::new()
        .route("/sign-up", post(sign_up))
        .route("/sign-in", post(sign_in))
        .route("/sign-in/code", post(sign_in_code))
        .route("/me", get(async |session: Session| Json(json!({"name": session.user.name}))))
        .route("/two-factor", post(begin_enrolment))
        .route("/two-factor/code", post(confirm_enrolment))
        .route("/api-keys", post(make_api_key).layer(step_up))
        .layer(AuthManagerLayerBuilder::new(app.clone(), sessions).build())
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

async fn sign_in(mut auth: Auth, headers: HeaderMap, Json(typed): Json<Credentials>) -> SignedIn {
    let found = auth.backend.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    let device = auth.backend.keywright.device_cookie(headers.get_all(COOKIE))?;
    let device = [(SET_COOKIE, device.to_set_cookie())];
    // `logout` ends the old session, but what is stored next would get its id again: somebody may have planted that.
    auth.logout().await.map_err(Refused::unavailable)?;
    auth.session.cycle_id().await.map_err(Refused::unavailable)?;
    let two_factor = auth.backend.keywright.two_factor();
    if two_factor.enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        let half = (&user.id, host::now()?.saturating_add(shop::HALF.as_secs()));
        auth.session.insert(HALF, half).await.map_err(Refused::unavailable)?;
        return Ok((StatusCode::ACCEPTED, device));
    }
    // With the stamp that the user had when the password was checked: an enrolment in between has changed it.
    auth.login(&Member(user)).await.map_err(Refused::unavailable)?;
    Ok((StatusCode::NO_CONTENT, device))
}

async fn sign_in_code(mut auth: Auth, headers: HeaderMap, Json(typed): Json<Code>) -> Result<StatusCode, Refused> {
    let half: Option<(String, u64)> = auth.session.get(HALF).await.map_err(Refused::unavailable)?;
    let now = host::now()?;
    let half = half.filter(|(_, until)| now < *until).ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
    let account = AccountId::new(half.0)?;
    let (two_factor, client) = (auth.backend.keywright.two_factor(), host::client(&auth.backend, &account, &headers)?);
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    let member = auth.authenticate(proof).await.map_err(Refused::unavailable)?;
    auth.session.remove_value(HALF).await.map_err(Refused::unavailable)?;
    auth.login(&member.ok_or_else(|| Refused::unauthorized("not_signed_in"))?).await.map_err(Refused::unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin_enrolment(Session { app, user, account, id, .. }: Session, Json(typed): Json<Password>) -> Answer {
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

async fn confirm_enrolment(mut auth: Auth, session: Session, Json(typed): Json<Code>) -> Answer {
    let Session { app, account, id, client, .. } = session;
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), "");
    // This session goes on: it takes the new stamp.
    let user = app.shop.user(account.as_str()).ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
    auth.login(&Member(user)).await.map_err(Refused::unavailable)?;
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

async fn make_api_key(State(app): State<App>, proof: StepUpFor<MakeApiKey>) -> Answer {
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}
