//! What Keywright adds: the second factor of a sign-in, its enrolment, a step-up and a confirmed deletion.

use keywright::confirm::{AccountAction, Confirmed};
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Purpose};
use poem::http::StatusCode;
use poem::web::cookie::CookieJar;
use poem::web::{Data, Json};
use poem::{Request, handler};
use serde_json::{Value, json};
use shop::{Code, Credentials, DEVICE, HALF_SESSION, Password, SESSION};

use crate::host::{App, Failure, Session, client, set_cookie};

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

#[handler]
pub(crate) async fn sign_up(Data(app): Data<&App>, Json(typed): Json<Credentials>) -> Status {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(StatusCode::CREATED) } else { Err(Refused::conflict("name_taken").into()) }
}

#[handler]
pub(crate) async fn sign_in(Data(app): Data<&App>, jar: &CookieJar, Json(typed): Json<Credentials>) -> Status {
    let found = app.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    if jar.get(DEVICE).is_none() {
        set_cookie(jar, DEVICE, shop::token());
    }
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        set_cookie(jar, HALF_SESSION, app.shop.start_half_session(&user.id));
        return Ok(StatusCode::ACCEPTED);
    }
    set_cookie(jar, SESSION, app.shop.start_session(&user.id));
    Ok(StatusCode::NO_CONTENT)
}

#[handler]
pub(crate) async fn sign_in_code(Data(app): Data<&App>, jar: &CookieJar, Json(typed): Json<Code>) -> Status {
    let half = jar.get(HALF_SESSION).map_or_else(String::new, |half| half.value_str().to_owned());
    let found = app.shop.user_of_half_session(&half);
    let account = AccountId::new(&found.ok_or_else(|| Refused::unauthorized("not_signed_in"))?.id)?;
    let (two_factor, client) = (app.keywright.two_factor(), client(app, &account, jar));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&half);
    set_cookie(jar, HALF_SESSION, String::new());
    set_cookie(jar, SESSION, app.shop.start_session(proof.account().as_str()));
    Ok(StatusCode::NO_CONTENT)
}

#[handler]
pub(crate) async fn begin_enrolment(Data(app): Data<&App>, session: Session, Json(typed): Json<Password>) -> Answer {
    let Session { user, caller, .. } = session;
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let two_factor = app.keywright.two_factor();
    let pending = two_factor.begin(caller.account(), caller.session(), "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

#[handler]
pub(crate) async fn confirm_enrolment(Data(app): Data<&App>, session: Session, Json(typed): Json<Code>) -> Answer {
    let Session { user, token, caller } = session;
    let (account, session, client) = (caller.account(), caller.session(), caller.client());
    let (_, codes) = app.keywright.two_factor().confirm(account, session, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(&user.id, &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

#[handler]
pub(crate) async fn make_api_key(Data(app): Data<&App>, session: Session, request: &Request) -> Answer {
    let code = request.header("x-second-factor");
    let proof: StepUpFor<MakeApiKey> = step_up(&app.keywright.two_factor(), &session.caller, code).await?;
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

#[handler]
pub(crate) async fn begin_deletion(Data(app): Data<&App>, Session { caller, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(caller.account(), &DeleteUser, caller.session()).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

#[handler]
pub(crate) async fn confirm_deletion(
    Data(app): Data<&App>,
    Session { caller, .. }: Session,
    Json(typed): Json<Code>,
) -> Answer {
    let (account, session) = (caller.account(), caller.session());
    let confirmations = app.keywright.confirmations();
    delete(app, confirmations.confirm_code(account, DeleteUser, session, &typed.code).await.or_refuse()?).await
}

/// Deletes a user. Without a proof, nobody can call it.
async fn delete(app: &App, proof: Confirmed<DeleteUser>) -> Answer {
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
