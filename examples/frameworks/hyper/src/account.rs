//! What Keywright adds: the second factor of a sign-in, its enrolment, a step-up and a confirmed deletion.

use hyper::{HeaderMap, Request, StatusCode};
use keywright::confirm::{AccountAction, Confirmed};
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor};
use keywright::{AccountId, ActionName, Purpose};
use serde_json::json;
use shop::{Code, Credentials, DEVICE, HALF_SESSION, Password, SESSION};

use crate::host::{Answer, App, Body, Session, client, cookie, cookies, json};

const SIGN_IN: Purpose = Purpose::new("sign-in");

pub(crate) struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

struct DeleteUser;
impl AccountAction for DeleteUser {
    const NAME: &'static str = "user.delete";
}

pub(crate) async fn sign_up(app: &App, body: &Body) -> Answer {
    let typed: Credentials = body.parse()?;
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { cookies(StatusCode::CREATED, &[]) } else { Err(Refused::conflict("name_taken")) }
}

pub(crate) async fn sign_in(app: &App, headers: &HeaderMap, body: &Body) -> Answer {
    let typed: Credentials = body.parse()?;
    let found = app.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    let device = (DEVICE, cookie(headers, DEVICE).unwrap_or_else(shop::token));
    if app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        return cookies(StatusCode::ACCEPTED, &[device, (HALF_SESSION, app.shop.start_half_session(&user.id))]);
    }
    cookies(StatusCode::NO_CONTENT, &[device, (SESSION, app.shop.start_session(&user.id))])
}

pub(crate) async fn sign_in_code(app: &App, headers: &HeaderMap, body: &Body) -> Answer {
    let half = cookie(headers, HALF_SESSION).unwrap_or_default();
    let found = app.shop.user_of_half_session(&half);
    let account = AccountId::new(&found.ok_or_else(|| Refused::unauthorized("not_signed_in"))?.id)?;
    let typed: Code = body.parse()?;
    let (two_factor, client) = (app.keywright.two_factor(), client(app, &account, headers));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&half);
    let session = app.shop.start_session(proof.account().as_str());
    cookies(StatusCode::NO_CONTENT, &[(SESSION, session), (HALF_SESSION, String::new())])
}

pub(crate) async fn begin_enrolment(app: &App, session: Session, body: &Body) -> Answer {
    let Session { user, caller, .. } = session;
    let typed: Password = body.parse()?;
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let two_factor = app.keywright.two_factor();
    let pending = two_factor.begin(caller.account(), caller.session(), "phone").await.or_refuse()?;
    json(&json!({"uri": pending.uri("Shop", &user.name)?.expose()}))
}

pub(crate) async fn confirm_enrolment(app: &App, session: Session, body: &Body) -> Answer {
    let Session { user, token, caller } = session;
    let typed: Code = body.parse()?;
    let (account, session, client) = (caller.account(), caller.session(), caller.client());
    let (_, codes) = app.keywright.two_factor().confirm(account, session, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(&user.id, &token);
    json(&json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()}))
}

/// The handler behind the layer, which has put the proof into the request.
pub(crate) fn make_api_key<B>(app: &App, request: Request<B>) -> Answer {
    let mut parts = request.into_parts().0;
    let proof = StepUpFor::<MakeApiKey>::take(&mut parts.extensions)?;
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    json(&json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?}))
}

pub(crate) async fn begin_deletion(app: &App, Session { caller, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(caller.account(), &DeleteUser, caller.session()).await?;
    json(&json!({"type_this": code.expose()}))
}

pub(crate) async fn confirm_deletion(app: &App, Session { caller, .. }: Session, body: &Body) -> Answer {
    let typed: Code = body.parse()?;
    let (account, session) = (caller.account(), caller.session());
    let confirmations = app.keywright.confirmations();
    delete(app, confirmations.confirm_code(account, DeleteUser, session, &typed.code).await.or_refuse()?).await
}

/// Deletes a user. Without a proof, nobody can call it.
async fn delete(app: &App, proof: Confirmed<DeleteUser>) -> Answer {
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    json(&json!({"deleted": true}))
}
