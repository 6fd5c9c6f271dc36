//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::io::Cursor;

use keywright::web::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use rocket::http::{Cookie, CookieJar, SameSite, Status};
use rocket::outcome::IntoOutcome;
use rocket::request::{self, FromRequest, Request};
use rocket::response::{self, Responder, Response};
use shop::{DEVICE, SESSION, Shop, User};

pub(crate) struct App {
    pub(crate) shop: Shop,
    pub(crate) keywright: Keywright,
}

/// Who is signed in.
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) caller: Caller,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Session {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        let session = request.rocket().state::<App>().and_then(|app| Self::of(app, request.cookies()));
        session.or_error((Status::Unauthorized, ()))
    }
}

impl Session {
    fn of(app: &App, jar: &CookieJar<'_>) -> Option<Self> {
        let token = jar.get(SESSION)?.value();
        let user = app.shop.user_of_session(token)?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, jar);
        Some(Self { user, token: token.to_owned(), caller: Caller::new(account, SessionId::new(token), client) })
    }
}

/// What a request without a session is answered.
#[rocket::catch(401)]
pub(crate) fn not_signed_in() -> Failure {
    Refused::unauthorized("not_signed_in").into()
}

/// The code of a step-up, if the request has one.
pub(crate) struct SecondFactor<'r>(pub(crate) Option<&'r str>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SecondFactor<'r> {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        request::Outcome::Success(Self(request.headers().get_one("x-second-factor")))
    }
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, jar: &CookieJar<'_>) -> Client {
    app.keywright.client(account, jar.get(DEVICE).map_or("", Cookie::value).as_bytes())
}

pub(crate) fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    let (max_age, cookie) = (shop::max_age(name, &value), Cookie::build((name, value)).path("/"));
    let mut cookie = cookie.http_only(true).secure(true).same_site(SameSite::Lax).build();
    cookie.set_max_age(max_age);
    cookie
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
