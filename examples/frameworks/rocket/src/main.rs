//! The shop on Rocket: its routes, and what Keywright adds to them.

mod host;

use std::{error::Error, sync::Arc};

use keywright::confirm::AccountAction;
use keywright::sqlite::SqliteStore;
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use rocket::http::{Cookie, CookieJar, Status};
use rocket::serde::json::{Json, Value, json};
use rocket::{State, get, post, routes};
use shop::{Code, Credentials, HALF_SESSION, Password, SESSION, Shop, cookie};

use crate::host::{Answer, App, HalfSession, SecondFactor, Session};

const SIGN_IN: Purpose = Purpose::new("sign-in");

struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let server = host::server()
        .manage(App { shop: Arc::new(Shop::new()), keywright })
        .mount("/", routes![sign_up, sign_in, sign_in_code, me, begin_enrolment, confirm_enrolment])
        .mount("/", routes![make_api_key, begin_deletion, confirm_deletion]);
    server.launch().await?;
    Ok(())
}

#[post("/sign-up", format = "json", data = "<typed>")]
async fn sign_up(app: &State<App>, typed: Json<Credentials>) -> Answer<Status> {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(Status::Created) } else { Err(Refused::conflict("name_taken").into()) }
}

#[post("/sign-in", format = "json", data = "<typed>")]
async fn sign_in(app: &State<App>, jar: &CookieJar<'_>, typed: Json<Credentials>) -> Answer<Status> {
    let user = app.shop.check_password(&typed.name, &typed.password).ok_or(Refused::unauthorized("wrong_password"))?;
    jar.add(Cookie::parse(host::device(app, jar)?.to_set_cookie()).map_err(Refused::unavailable)?);
    let session = app.shop.start_session(&user.id); // before `enrolled`: an enrolment in between ends it
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        app.shop.end_session(&session);
        jar.add(cookie(HALF_SESSION, &app.shop.start_half_session(&user.id)));
        return Ok(Status::Accepted);
    }
    jar.add(cookie(SESSION, &session));
    Ok(Status::NoContent)
}

#[post("/sign-in/code", format = "json", data = "<typed>")]
async fn sign_in_code(half: HalfSession, jar: &CookieJar<'_>, typed: Json<Code>) -> Answer<Status> {
    let HalfSession(Session { app, token, account, client, .. }) = half;
    let proof = app.keywright.two_factor().verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&token);
    jar.add(cookie(HALF_SESSION, ""));
    jar.add(cookie(SESSION, &app.shop.start_session(proof.account().as_str())));
    Ok(Status::NoContent)
}

#[get("/me")]
fn me(session: Session) -> Value {
    json!({"name": session.user.name})
}

#[post("/two-factor", format = "json", data = "<typed>")]
async fn begin_enrolment(session: Session, typed: Json<Password>) -> Answer {
    let Session { app, user, account, id, .. } = session;
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(json!({"uri": pending.uri("Shop", &user.name)?.expose()}))
}

#[post("/two-factor/code", format = "json", data = "<typed>")]
async fn confirm_enrolment(session: Session, typed: Json<Code>) -> Answer {
    let Session { app, token, account, id, client, .. } = session;
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    Ok(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()}))
}

#[post("/api-keys")]
async fn make_api_key(session: Session, code: SecondFactor<'_>) -> Answer {
    let two_factor = session.app.keywright.two_factor();
    let proof: StepUpFor<MakeApiKey> = step_up(&two_factor, &session.caller(), code.0).await?;
    let key = session.app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?}))
}

#[post("/deletion")]
async fn begin_deletion(session: Session) -> Answer {
    let Session { app, account, id, .. } = session;
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    Ok(json!({"type_this": code.expose()}))
}

#[post("/deletion/code", format = "json", data = "<typed>")]
async fn confirm_deletion(session: Session, typed: Json<Code>) -> Answer {
    let Session { app, account, id, .. } = session;
    let proof = app.keywright.confirmations().confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    // Behind the `?` there is a proof, and it says who is deleted.
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(json!({"deleted": true}))
}
