//! What Keywright adds: the second factor of a sign-in, its enrolment, and a step-up.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::CookieJar;
use axum_login::AuthSession;
use keywright::tower::{OrRefuse, Refused, StepUpAction, StepUpFor};
use keywright::{AccountId, ActionName, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, DEVICE, Password};

use crate::host::{App, Member, Session, client, device_cookie, now};

const SIGN_IN: Purpose = Purpose::new("sign-in");
/// What the session holds while the password was right and nothing else is known: the user, and until when.
const HALF: &str = "half";

pub(crate) struct MakeApiKey;
impl StepUpAction for MakeApiKey {
    const ACTION: ActionName = ActionName::new("api-key.make");
}

type Answer = Result<Json<Value>, Refused>;
type Auth = AuthSession<App>;

pub(crate) async fn sign_up(State(app): State<App>, Json(typed): Json<Credentials>) -> Result<StatusCode, Refused> {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(StatusCode::CREATED) } else { Err(Refused::conflict("name_taken")) }
}

pub(crate) async fn sign_in(
    mut auth: Auth,
    mut jar: CookieJar,
    Json(typed): Json<Credentials>,
) -> Result<(StatusCode, CookieJar), Refused> {
    let found = auth.backend.shop.check_password(&typed.name, &typed.password);
    let user = found.ok_or_else(|| Refused::unauthorized("wrong_password"))?;
    if jar.get(DEVICE).is_none() {
        jar = jar.add(device_cookie());
    }
    // `logout` ends the old session, but what is stored next would get its id again: somebody may have planted that.
    auth.logout().await.map_err(Refused::unavailable)?;
    auth.session.cycle_id().await.map_err(Refused::unavailable)?;
    let two_factor = auth.backend.keywright.two_factor();
    if two_factor.enrolled(&AccountId::new(&user.id)?).await?.requires_second_factor() {
        let half = (&user.id, now()?.saturating_add(shop::HALF.as_secs()));
        auth.session.insert(HALF, half).await.map_err(Refused::unavailable)?;
        return Ok((StatusCode::ACCEPTED, jar));
    }
    auth.login(&Member(user)).await.map_err(Refused::unavailable)?;
    Ok((StatusCode::NO_CONTENT, jar))
}

pub(crate) async fn sign_in_code(
    mut auth: Auth,
    jar: CookieJar,
    Json(typed): Json<Code>,
) -> Result<StatusCode, Refused> {
    let half: Option<(String, u64)> = auth.session.get(HALF).await.map_err(Refused::unavailable)?;
    let now = now()?;
    let half = half.filter(|(_, until)| now < *until).ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
    let account = AccountId::new(half.0)?;
    let (two_factor, client) = (auth.backend.keywright.two_factor(), client(&auth.backend, &account, &jar));
    let proof = two_factor.verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    let member = auth.authenticate(proof).await.map_err(Refused::unavailable)?;
    auth.session.remove_value(HALF).await.map_err(Refused::unavailable)?;
    auth.login(&member.ok_or_else(|| Refused::unauthorized("not_signed_in"))?).await.map_err(Refused::unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn begin_enrolment(
    State(app): State<App>,
    Session { user, caller }: Session,
    Json(typed): Json<Password>,
) -> Answer {
    let checked = app.shop.check_password(&user.name, &typed.password);
    checked.ok_or_else(|| Refused::forbidden("wrong_password"))?;
    let two_factor = app.keywright.two_factor();
    let pending = two_factor.begin(caller.account(), caller.session(), "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

pub(crate) async fn confirm_enrolment(
    mut auth: Auth,
    State(app): State<App>,
    Session { user, caller }: Session,
    Json(typed): Json<Code>,
) -> Answer {
    let (account, session, client) = (caller.account(), caller.session(), caller.client());
    let (_, codes) = app.keywright.two_factor().confirm(account, session, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(&user.id, "");
    // This session goes on: it takes the new stamp.
    let user = app.shop.user(&user.id).ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
    auth.login(&Member(user)).await.map_err(Refused::unavailable)?;
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

pub(crate) async fn make_api_key(State(app): State<App>, proof: StepUpFor<MakeApiKey>) -> Answer {
    let key = app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}
