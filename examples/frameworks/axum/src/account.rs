//! What Keywright adds: the second factor of a sign-in, its enrolment, a step-up and a confirmed deletion.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::cookie::{Cookie, CookieJar};
use keywright::confirm::{AccountAction, Confirmed};
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor};
use keywright::{AccountId, ActionName, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, DEVICE, HALF_SESSION, Password, SESSION};

use crate::host::{App, Session, client, cookie};

const SIGN_IN: Purpose = Purpose::new("sign-in");

pub(crate) struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

type Answer = Result<Json<Value>, Refused>;
type SignedIn = Result<(StatusCode, CookieJar), Refused>;

pub(crate) async fn sign_up(State(app): State<App>, Json(typed): Json<Credentials>) -> Result<StatusCode, Refused> {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(StatusCode::CREATED) } else { Err(Refused::conflict("name_taken")) }
}

pub(crate) async fn sign_in(State(app): State<App>, mut jar: CookieJar, Json(typed): Json<Credentials>) -> SignedIn {
    let found = app.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    if jar.get(DEVICE).is_none() {
        jar = jar.add(cookie(DEVICE, shop::token()));
    }
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        return Ok((StatusCode::ACCEPTED, jar.add(cookie(HALF_SESSION, app.shop.start_half_session(&user.id)))));
    }
    Ok((StatusCode::NO_CONTENT, jar.add(cookie(SESSION, app.shop.start_session(&user.id)))))
}

pub(crate) async fn sign_in_code(State(app): State<App>, jar: CookieJar, Json(typed): Json<Code>) -> SignedIn {
    let half = jar.get(HALF_SESSION).map_or("", Cookie::value).to_owned();
    let found = app.shop.user_of_half_session(&half);
    let account = AccountId::new(&found.ok_or_else(|| Refused::unauthorized("not_signed_in"))?.id)?;
    let (two_factor, client) = (app.keywright.two_factor(), client(&app, &account, &jar));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&half);
    let session = app.shop.start_session(proof.account().as_str());
    let jar = jar.add(cookie(SESSION, session)).add(cookie(HALF_SESSION, String::new()));
    Ok((StatusCode::NO_CONTENT, jar))
}

pub(crate) async fn begin_enrolment(
    State(app): State<App>,
    Session { user, account, id, .. }: Session,
    Json(typed): Json<Password>,
) -> Answer {
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

pub(crate) async fn confirm_enrolment(
    State(app): State<App>,
    Session { account, id, client, token, .. }: Session,
    Json(typed): Json<Code>,
) -> Answer {
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

pub(crate) async fn make_api_key(State(app): State<App>, proof: StepUpFor<MakeApiKey>) -> Answer {
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

pub(crate) async fn begin_deletion(State(app): State<App>, Session { account, id, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

pub(crate) async fn confirm_deletion(
    State(app): State<App>,
    Session { account, id, .. }: Session,
    Json(typed): Json<Code>,
) -> Answer {
    let confirmations = app.keywright.confirmations();
    let proof = confirmations.confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    delete(&app, proof).await
}

/// Deletes a user. Without a proof, nobody can call it.
async fn delete(app: &App, proof: Confirmed<DeleteUser>) -> Answer {
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
