//! The shop on poem: its routes, and what Keywright adds to them.

mod host;

use std::{error::Error, sync::Arc};

use keywright::confirm::AccountAction;
use keywright::sqlite::SqliteStore;
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use poem::web::{Data, Json, cookie::CookieJar};
use poem::{EndpointExt, Request, Route, get, handler, http::StatusCode, post};
use serde_json::{Value, json};
use shop::{Code, Credentials, HALF_SESSION, Password, SESSION, Shop};

use crate::host::{App, Failure, HalfSession, Session, set_cookie};

const SIGN_IN: Purpose = Purpose::new("sign-in");

struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

type Answer = Result<Json<Value>, Failure>;
type Status = Result<StatusCode, Failure>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let routes = Route::new()
        .at("/sign-up", post(sign_up))
        .at("/sign-in", post(sign_in))
        .at("/sign-in/code", post(sign_in_code))
        .at("/me", get(host::me))
        .at("/two-factor", post(begin_enrolment))
        .at("/two-factor/code", post(confirm_enrolment))
        .at("/api-keys", post(make_api_key))
        .at("/deletion", post(begin_deletion))
        .at("/deletion/code", post(confirm_deletion))
        .data(App { shop: Arc::new(Shop::new()), keywright });
    Ok(host::serve(routes).await?)
}

#[handler]
async fn sign_up(Data(app): Data<&App>, Json(typed): Json<Credentials>) -> Status {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(StatusCode::CREATED) } else { Err(Refused::conflict("name_taken").into()) }
}

#[handler]
async fn sign_in(Data(app): Data<&App>, request: &Request, Json(typed): Json<Credentials>) -> Status {
    let user = app.shop.check_password(&typed.name, &typed.password).ok_or(Refused::unauthorized("wrong_password"))?;
    host::keep_device(app, request)?;
    let session = app.shop.start_session(&user.id); // before `enrolled`: an enrolment in between ends it
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        app.shop.end_session(&session);
        set_cookie(request.cookie(), HALF_SESSION, &app.shop.start_half_session(&user.id));
        return Ok(StatusCode::ACCEPTED);
    }
    set_cookie(request.cookie(), SESSION, &session);
    Ok(StatusCode::NO_CONTENT)
}

#[handler]
async fn sign_in_code(HalfSession(half): HalfSession, jar: &CookieJar, Json(typed): Json<Code>) -> Status {
    let Session { app, token, account, client, .. } = half;
    let proof = app.keywright.two_factor().verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&token);
    set_cookie(jar, HALF_SESSION, "");
    set_cookie(jar, SESSION, &app.shop.start_session(proof.account().as_str()));
    Ok(StatusCode::NO_CONTENT)
}

#[handler]
async fn begin_enrolment(Session { app, user, account, id, .. }: Session, Json(typed): Json<Password>) -> Answer {
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

#[handler]
async fn confirm_enrolment(session: Session, Json(typed): Json<Code>) -> Answer {
    let Session { app, token, account, id, client, .. } = session;
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

#[handler]
async fn make_api_key(session: Session, request: &Request) -> Answer {
    let (two_factor, code) = (session.app.keywright.two_factor(), request.header("x-second-factor"));
    let proof: StepUpFor<MakeApiKey> = step_up(&two_factor, &session.caller(), code).await?;
    let key = session.app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

#[handler]
async fn begin_deletion(Session { app, account, id, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

#[handler]
async fn confirm_deletion(Session { app, account, id, .. }: Session, Json(typed): Json<Code>) -> Answer {
    let proof = app.keywright.confirmations().confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    // Behind the `?` there is a proof, and it says who is deleted.
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
