//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::sync::Arc;

use keywright::web::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use poem::web::Json;
use poem::web::cookie::{Cookie, CookieJar, SameSite};
use poem::{Error, FromRequest, Request, RequestBody, Response, handler};
use serde_json::{Value, json};
use shop::{DEVICE, SESSION, Shop, User};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) shop: Arc<Shop>,
    pub(crate) keywright: Keywright,
}

/// Who is signed in.
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) caller: Caller,
}

impl<'a> FromRequest<'a> for Session {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let session = request.data::<App>().and_then(|app| Self::of(app, request.cookie()));
        session.ok_or_else(|| Failure::from(Refused::unauthorized("not_signed_in")).into())
    }
}

impl Session {
    fn of(app: &App, jar: &CookieJar) -> Option<Self> {
        let cookie = jar.get(SESSION)?;
        let user = app.shop.user_of_session(cookie.value_str())?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, jar);
        let caller = Caller::new(account, SessionId::new(cookie.value_str()), client);
        Some(Self { user, token: cookie.value_str().to_owned(), caller })
    }
}

#[handler]
pub(crate) fn me(session: Session) -> Json<Value> {
    Json(json!({"name": session.user.name}))
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, jar: &CookieJar) -> Client {
    let device = jar.get(DEVICE);
    app.keywright.client(account, device.as_ref().map_or("", Cookie::value_str).as_bytes())
}

pub(crate) fn set_cookie(jar: &CookieJar, name: &str, value: String) {
    let max_age = shop::max_age(name, &value);
    let mut cookie = Cookie::new_with_str(name, value);
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Lax);
    if let Some(max_age) = max_age {
        cookie.set_max_age(max_age.unsigned_abs());
    }
    jar.add(cookie);
}

/// Why a handler refuses, as an error of poem.
pub(crate) struct Failure(Refused);

impl<E: Into<Refused>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Failure> for Error {
    fn from(Failure(refused): Failure) -> Self {
        let response =
            refused.headers().fold(Response::builder(), |builder, (name, value)| builder.header(name, value));
        Self::from_response(response.status(refused.status()).body(refused.to_json()))
    }
}
