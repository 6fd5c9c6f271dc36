//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header::COOKIE};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use keywright::web::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use shop::{HALF_SESSION, SESSION, Shop, User};

pub(crate) struct App {
    pub(crate) shop: Shop,
    pub(crate) keywright: Keywright,
}

/// Who is signed in.
pub(crate) struct Session {
    pub(crate) app: Data<App>,
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) account: AccountId,
    pub(crate) id: SessionId,
    pub(crate) client: Client,
}

impl Session {
    fn new(request: &HttpRequest, name: &str, user: fn(&Shop, &str) -> Option<User>) -> Result<Self, Failure> {
        let not_signed_in = || Refused::unauthorized("not_signed_in");
        let app = request.app_data::<Data<App>>().ok_or_else(not_signed_in)?.clone();
        let token = request.cookie(name).ok_or_else(not_signed_in)?.value().to_owned();
        let user = user(&app.shop, &token).ok_or_else(not_signed_in)?;
        let account = AccountId::new(&user.id)?;
        // Once a device had a right code, the wrong ones of strangers do not delay it.
        let device = app.keywright.device_cookie(request.headers().get_all(COOKIE))?;
        let client = app.keywright.client(&account, device.as_bytes());
        Ok(Self { app, id: SessionId::new(&token), user, token, account, client })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.account.clone(), self.id, self.client)
    }
}

impl FromRequest for Session {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::new(request, SESSION, Shop::user_of_session))
    }
}

/// Whose password was right, while nothing else is known.
pub(crate) struct HalfSession(pub(crate) Session);

impl FromRequest for HalfSession {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Session::new(request, HALF_SESSION, Shop::user_of_half_session).map(Self))
    }
}

/// A cookie that ends with the browser. An empty value ends it at once.
pub(crate) fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    let cookie = Cookie::build(name, value).path("/").http_only(true).secure(true).same_site(SameSite::Lax);
    let mut cookie = cookie.finish();
    if cookie.value().is_empty() {
        cookie.make_removal();
    }
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
