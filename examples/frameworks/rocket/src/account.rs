//! What Keywright adds: the second factor of a sign-in, its enrolment, a step-up and a confirmed deletion.

use keywright::confirm::{AccountAction, Confirmed};
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Purpose};
use rocket::http::{Cookie, CookieJar, Status};
use rocket::serde::json::{Json, Value, json};
use rocket::{State, get, post};
use shop::{Code, Credentials, DEVICE, HALF_SESSION, Password, SESSION};

use crate::host::{App, Failure, SecondFactor, Session, client, cookie};

const SIGN_IN: Purpose = Purpose::new("sign-in");

struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

#[post("/sign-up", format = "json", data = "<typed>")]
pub(crate) async fn sign_up(app: &State<App>, typed: Json<Credentials>) -> Result<Status, Failure> {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(Status::Created) } else { Err(Refused::conflict("name_taken").into()) }
}

#[post("/sign-in", format = "json", data = "<typed>")]
pub(crate) async fn sign_in(
    app: &State<App>,
    jar: &CookieJar<'_>,
    typed: Json<Credentials>,
) -> Result<Status, Failure> {
    let found = app.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    if jar.get(DEVICE).is_none() {
        jar.add(cookie(DEVICE, shop::token()));
    }
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        jar.add(cookie(HALF_SESSION, app.shop.start_half_session(&user.id)));
        return Ok(Status::Accepted);
    }
    jar.add(cookie(SESSION, app.shop.start_session(&user.id)));
    Ok(Status::NoContent)
}

#[post("/sign-in/code", format = "json", data = "<typed>")]
pub(crate) async fn sign_in_code(app: &State<App>, jar: &CookieJar<'_>, typed: Json<Code>) -> Result<Status, Failure> {
    let half = jar.get(HALF_SESSION).map_or("", Cookie::value);
    let found = app.shop.user_of_half_session(half);
    let account = AccountId::new(&found.ok_or_else(|| Refused::unauthorized("not_signed_in"))?.id)?;
    let (two_factor, client) = (app.keywright.two_factor(), client(app, &account, jar));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(half);
    jar.add(cookie(HALF_SESSION, String::new()));
    jar.add(cookie(SESSION, app.shop.start_session(proof.account().as_str())));
    Ok(Status::NoContent)
}

#[get("/me")]
pub(crate) fn me(session: Session) -> Value {
    json!({"name": session.user.name})
}

#[post("/two-factor", format = "json", data = "<typed>")]
pub(crate) async fn begin_enrolment(
    app: &State<App>,
    session: Session,
    typed: Json<Password>,
) -> Result<Value, Failure> {
    let Session { user, caller, .. } = session;
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let two_factor = app.keywright.two_factor();
    let pending = two_factor.begin(caller.account(), caller.session(), "phone").await.or_refuse()?;
    Ok(json!({"uri": pending.uri("Shop", &user.name)?.expose()}))
}

#[post("/two-factor/code", format = "json", data = "<typed>")]
pub(crate) async fn confirm_enrolment(app: &State<App>, session: Session, typed: Json<Code>) -> Result<Value, Failure> {
    let (account, id, client) = (session.caller.account(), session.caller.session(), session.caller.client());
    let (_, codes) = app.keywright.two_factor().confirm(account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(&session.user.id, &session.token);
    Ok(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()}))
}

#[post("/api-keys")]
pub(crate) async fn make_api_key(app: &State<App>, session: Session, code: SecondFactor<'_>) -> Result<Value, Failure> {
    let proof: StepUpFor<MakeApiKey> = step_up(&app.keywright.two_factor(), &session.caller, code.0).await?;
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?}))
}

#[post("/deletion")]
pub(crate) async fn begin_deletion(app: &State<App>, session: Session) -> Result<Value, Failure> {
    let (account, id) = (session.caller.account(), session.caller.session());
    let code = app.keywright.confirmations().begin_code(account, &DeleteUser, id).await?;
    Ok(json!({"type_this": code.expose()}))
}

#[post("/deletion/code", format = "json", data = "<typed>")]
pub(crate) async fn confirm_deletion(app: &State<App>, session: Session, typed: Json<Code>) -> Result<Value, Failure> {
    let (account, id) = (session.caller.account(), session.caller.session());
    let confirmations = app.keywright.confirmations();
    delete(app, confirmations.confirm_code(account, DeleteUser, id, &typed.code).await.or_refuse()?).await
}

/// Deletes a user. Without a proof, nobody can call it.
async fn delete(app: &App, proof: Confirmed<DeleteUser>) -> Result<Value, Failure> {
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(json!({"deleted": true}))
}
