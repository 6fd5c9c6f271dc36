//! What Keywright adds: the second factor of a sign-in, its enrolment, a step-up and a confirmed deletion.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, get, post};
use keywright::confirm::{AccountAction, Confirmed};
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, DEVICE, HALF_SESSION, Password, SESSION};

use crate::host::{App, Failure, Session, client, cookie};

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
type Response = Result<HttpResponse, Failure>;

#[post("/sign-up")]
pub(crate) async fn sign_up(app: Data<App>, typed: Json<Credentials>) -> Response {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(HttpResponse::Created().finish()) } else { Err(Refused::conflict("name_taken").into()) }
}

#[post("/sign-in")]
pub(crate) async fn sign_in(app: Data<App>, request: HttpRequest, typed: Json<Credentials>) -> Response {
    let found = app.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    let half = app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor();
    let mut response = if half { HttpResponse::Accepted() } else { HttpResponse::NoContent() };
    if request.cookie(DEVICE).is_none() {
        response.cookie(cookie(DEVICE, shop::token()));
    }
    Ok(match half {
        true => response.cookie(cookie(HALF_SESSION, app.shop.start_half_session(&user.id))).finish(),
        false => response.cookie(cookie(SESSION, app.shop.start_session(&user.id))).finish(),
    })
}

#[post("/sign-in/code")]
pub(crate) async fn sign_in_code(app: Data<App>, request: HttpRequest, typed: Json<Code>) -> Response {
    let half = request.cookie(HALF_SESSION).map_or_else(String::new, |half| half.value().to_owned());
    let found = app.shop.user_of_half_session(&half);
    let account = AccountId::new(&found.ok_or_else(|| Refused::unauthorized("not_signed_in"))?.id)?;
    let (two_factor, client) = (app.keywright.two_factor(), client(&app, &account, &request));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&half);
    let session = cookie(SESSION, app.shop.start_session(proof.account().as_str()));
    Ok(HttpResponse::NoContent().cookie(session).cookie(cookie(HALF_SESSION, String::new())).finish())
}

#[get("/me")]
pub(crate) async fn me(session: Session) -> Json<Value> {
    Json(json!({"name": session.user.name}))
}

#[post("/two-factor")]
pub(crate) async fn begin_enrolment(app: Data<App>, session: Session, typed: Json<Password>) -> Answer {
    let Session { user, caller, .. } = session;
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let two_factor = app.keywright.two_factor();
    let pending = two_factor.begin(caller.account(), caller.session(), "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

#[post("/two-factor/code")]
pub(crate) async fn confirm_enrolment(app: Data<App>, session: Session, typed: Json<Code>) -> Answer {
    let Session { user, token, caller } = session;
    let (account, session, client) = (caller.account(), caller.session(), caller.client());
    let (_, codes) = app.keywright.two_factor().confirm(account, session, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(&user.id, &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

#[post("/api-keys")]
pub(crate) async fn make_api_key(app: Data<App>, session: Session, request: HttpRequest) -> Answer {
    let code = request.headers().get("x-second-factor").map(|code| code.to_str().unwrap_or_default());
    let proof: StepUpFor<MakeApiKey> = step_up(&app.keywright.two_factor(), &session.caller, code).await?;
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

#[post("/deletion")]
pub(crate) async fn begin_deletion(app: Data<App>, Session { caller, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(caller.account(), &DeleteUser, caller.session()).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

#[post("/deletion/code")]
pub(crate) async fn confirm_deletion(app: Data<App>, Session { caller, .. }: Session, typed: Json<Code>) -> Answer {
    let (account, session) = (caller.account(), caller.session());
    let confirmations = app.keywright.confirmations();
    delete(&app, confirmations.confirm_code(account, DeleteUser, session, &typed.code).await.or_refuse()?).await
}

/// Deletes a user. Without a proof, nobody can call it.
async fn delete(app: &App, proof: Confirmed<DeleteUser>) -> Answer {
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
