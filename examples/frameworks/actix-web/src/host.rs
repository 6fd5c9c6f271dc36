//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use keywright::web::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
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

impl FromRequest for Session {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = request.app_data::<Data<App>>().and_then(|app| Self::of(app, request));
        ready(session.ok_or_else(|| Refused::unauthorized("not_signed_in").into()))
    }
}

impl Session {
    fn of(app: &App, request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(SESSION)?;
        let user = app.shop.user_of_session(cookie.value())?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, request);
        let caller = Caller::new(account, SessionId::new(cookie.value()), client);
        Some(Self { user, token: cookie.value().to_owned(), caller })
    }
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, request: &HttpRequest) -> Client {
    let device = request.cookie(DEVICE);
    app.keywright.client(account, device.as_ref().map_or("", Cookie::value).as_bytes())
}

pub(crate) fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    let (max_age, cookie) = (shop::max_age(name, &value), Cookie::build(name, value).path("/"));
    let mut cookie = cookie.http_only(true).secure(true).same_site(SameSite::Lax).finish();
    cookie.set_max_age(max_age);
    cookie
}

/// Why a handler refuses, as an error of actix-web.
#[derive(Debug)]
pub(crate) struct Failure(Refused);

impl<E: Into<Refused>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for header in self.0.headers() {
            response.insert_header(header);
        }
        response.body(self.0.to_json())
    }
}
