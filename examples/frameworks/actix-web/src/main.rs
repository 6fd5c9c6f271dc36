//! The shop on actix-web: its routes, and what Keywright adds to them.

mod host;

use std::error::Error;

use actix_web::web::{Data, Json};
use actix_web::{App as Server, HttpRequest, HttpResponse, HttpServer, get, post};
use keywright::confirm::AccountAction;
use keywright::sqlite::SqliteStore;
use keywright::web::{OrRefuse, Refused, StepUpAction, StepUpFor, step_up};
use keywright::{AccountId, ActionName, Keywright, Purpose};
use serde_json::{Value, json};
use shop::{Code, Credentials, HALF_SESSION, Password, SESSION, Shop};

use crate::host::{App, Failure, HalfSession, Session, cookie};

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

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    let app = Data::new(App { shop: Shop::new(), keywright });
    let server = HttpServer::new(move || {
        Server::new()
            .app_data(app.clone())
            .service((sign_up, sign_in, sign_in_code, me, begin_enrolment, confirm_enrolment))
            .service((make_api_key, begin_deletion, confirm_deletion))
    });
    Ok(server.listen(shop::listener()?)?.run().await?)
}

#[post("/sign-up")]
async fn sign_up(app: Data<App>, typed: Json<Credentials>) -> Response {
    let name = app.shop.free_name(&typed).ok_or_else(|| Refused::conflict("name_taken"))?;
    let user = app.shop.new_user(name, &typed.password).ok_or_else(|| Refused::bad_request("bad_name"))?;
    app.keywright.ensure_account(&AccountId::new(user.id())?).await?;
    if app.shop.add(user) { Ok(HttpResponse::Created().finish()) } else { Err(Refused::conflict("name_taken").into()) }
}

#[post("/sign-in")]
async fn sign_in(app: Data<App>, request: HttpRequest, typed: Json<Credentials>) -> Response {
    let user = app.shop.check_password(&typed.name, &typed.password).ok_or(Refused::unauthorized("wrong_password"))?;
    let session = app.shop.start_session(&user.id); // before `enrolled`: an enrolment in between ends it
    let enrolled = app.keywright.two_factor().enrolled(&AccountId::new(&user.id)?).await?;
    let (mut response, cookie) = if enrolled.requires_second_factor() {
        app.shop.end_session(&session);
        (HttpResponse::Accepted(), cookie(HALF_SESSION, app.shop.start_half_session(&user.id)))
    } else {
        (HttpResponse::NoContent(), cookie(SESSION, session))
    };
    let device = app.keywright.device_cookie(request.headers().get_all("cookie"))?;
    Ok(response.append_header(("set-cookie", device.to_set_cookie())).cookie(cookie).finish())
}

#[post("/sign-in/code")]
async fn sign_in_code(HalfSession(half): HalfSession, typed: Json<Code>) -> Response {
    let Session { app, token, account, client, .. } = half;
    let proof = app.keywright.two_factor().verify(&account, &typed.code, &SIGN_IN, client).await.or_refuse()?;
    app.shop.end_half_session(&token);
    let session = cookie(SESSION, app.shop.start_session(proof.account().as_str()));
    Ok(HttpResponse::NoContent().cookie(session).cookie(cookie(HALF_SESSION, String::new())).finish())
}

#[get("/me")]
async fn me(session: Session) -> Json<Value> {
    Json(json!({"name": session.user.name}))
}

#[post("/two-factor")]
async fn begin_enrolment(Session { app, user, account, id, .. }: Session, typed: Json<Password>) -> Answer {
    app.shop.check_password(&user.name, &typed.password).ok_or(Refused::forbidden("wrong_password"))?;
    let pending = app.keywright.two_factor().begin(&account, id, "phone").await.or_refuse()?;
    Ok(Json(json!({"uri": pending.uri("Shop", &user.name)?.expose()})))
}

#[post("/two-factor/code")]
async fn confirm_enrolment(Session { app, token, account, id, client, .. }: Session, typed: Json<Code>) -> Answer {
    let (_, codes) = app.keywright.two_factor().confirm(&account, id, &typed.code, client).await.or_refuse()?;
    app.shop.end_other_sessions(account.as_str(), &token);
    Ok(Json(json!({"recovery_codes": codes.iter().flat_map(|codes| codes.iter()).collect::<Vec<_>>()})))
}

#[post("/api-keys")]
async fn make_api_key(session: Session, request: HttpRequest) -> Answer {
    let code = request.headers().get("x-second-factor").map(|code| code.to_str().unwrap_or_default());
    let proof: StepUpFor<MakeApiKey> = step_up(&session.app.keywright.two_factor(), &session.caller(), code).await?;
    let key = session.app.shop.make_api_key(proof.into_proof().account().as_str());
    Ok(Json(json!({"key": key.ok_or_else(|| Refused::forbidden("no_such_user"))?})))
}

#[post("/deletion")]
async fn begin_deletion(Session { app, account, id, .. }: Session) -> Answer {
    let code = app.keywright.confirmations().begin_code(&account, &DeleteUser, id).await?;
    Ok(Json(json!({"type_this": code.expose()})))
}

#[post("/deletion/code")]
async fn confirm_deletion(Session { app, account, id, .. }: Session, typed: Json<Code>) -> Answer {
    let proof = app.keywright.confirmations().confirm_code(&account, DeleteUser, id, &typed.code).await.or_refuse()?;
    // Behind the `?` there is a proof, and it says who is deleted.
    app.shop.delete_user(proof.account().as_str());
    app.keywright.erase_account(proof.account()).await?;
    Ok(Json(json!({"deleted": true})))
}
