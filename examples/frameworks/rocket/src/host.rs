//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::{io::Cursor, sync::Arc};

use keywright::web::{Caller, DeviceCookie, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use rocket::http::{CookieJar, Status};
use rocket::request::{FromRequest, Outcome, Request};
use rocket::response::{self, Responder, Response};
use rocket::{Build, Config, Rocket, catchers, config::LogLevel, fairing::AdHoc, outcome::IntoOutcome};
use shop::{HALF_SESSION, SESSION, Shop, User};

pub(crate) type Answer<T = rocket::serde::json::Value> = Result<T, Failure>;

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) shop: Arc<Shop>,
    pub(crate) keywright: Keywright,
}

/// Who is signed in.
pub(crate) struct Session {
    pub(crate) app: App,
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) account: AccountId,
    pub(crate) id: SessionId,
    pub(crate) client: Client,
}

impl Session {
    fn new(request: &Request<'_>, name: &str, user: fn(&Shop, &str) -> Option<User>) -> Option<Self> {
        let (app, jar) = (request.rocket().state::<App>()?.clone(), request.cookies());
        let token = jar.get(name)?.value().to_owned();
        let user = user(&app.shop, &token)?;
        let account = AccountId::new(&user.id).ok()?;
        // Once a device had a right code, the wrong ones of strangers do not delay it.
        let client = app.keywright.client(&account, device(&app, jar).ok()?.as_bytes());
        Some(Self { app, id: SessionId::new(&token), user, token, account, client })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.account.clone(), self.id, self.client)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Session {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        Self::new(request, SESSION, Shop::user_of_session).or_error((Status::Unauthorized, ()))
    }
}

/// Whose password was right, while nothing else is known.
pub(crate) struct HalfSession(pub(crate) Session);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for HalfSession {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        Session::new(request, HALF_SESSION, Shop::user_of_half_session).map(Self).or_error((Status::Unauthorized, ()))
    }
}

/// What a request without a session is answered.
#[rocket::catch(401)]
fn not_signed_in() -> Failure {
    Refused::unauthorized("not_signed_in").into()
}

/// The code of a step-up, if the request has one.
pub(crate) struct SecondFactor<'r>(pub(crate) Option<&'r str>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SecondFactor<'r> {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        Outcome::Success(Self(request.headers().get_one("x-second-factor")))
    }
}

/// The cookie by which a device is known, or a new one.
pub(crate) fn device(app: &App, jar: &CookieJar<'_>) -> Answer<DeviceCookie> {
    Ok(app.keywright.device_cookie(jar.get(DeviceCookie::NAME).map(ToString::to_string))?)
}

pub(crate) fn server() -> Rocket<Build> {
    let (address, port) = (shop::listen_address().ip(), shop::listen_address().port());
    let listening = AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async { println!("listening on http://{}:{}", rocket.config().address, rocket.config().port) })
    });
    let config = Config { address, port, log_level: LogLevel::Off, ..Config::release_default() };
    rocket::custom(config).attach(listening).register("/", catchers![not_signed_in])
}

/// Why a handler refuses, as an answer of Rocket.
pub(crate) struct Failure(Refused);

impl<E: Into<Refused>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl<'r> Responder<'r, 'static> for Failure {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let (status, body) = (Status::new(self.0.status().as_u16()), self.0.to_json());
        let mut response = Response::build();
        for (name, value) in self.0.headers() {
            response.raw_header(name, value);
        }
        response.status(status).sized_body(body.len(), Cursor::new(body)).ok()
    }
}
