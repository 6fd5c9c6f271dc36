//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::{io, sync::Arc};

use keywright::web::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use poem::web::Json;
use poem::web::cookie::{Cookie, CookieJar, SameSite};
use poem::{Endpoint, EndpointExt, Error, FromRequest, Request, RequestBody, Response, Server, handler};
use poem::{http::header::COOKIE, listener::TcpAcceptor, middleware::CookieJarManager};
use serde_json::{Value, json};
use shop::{HALF_SESSION, SESSION, Shop, User};

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
    fn new(request: &Request, name: &str, user: fn(&Shop, &str) -> Option<User>) -> Result<Self, Failure> {
        let not_signed_in = || Refused::unauthorized("not_signed_in");
        let app = request.data::<App>().ok_or_else(not_signed_in)?.clone();
        let token = request.cookie().get(name).ok_or_else(not_signed_in)?.value_str().to_owned();
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

impl<'a> FromRequest<'a> for Session {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::new(request, SESSION, Shop::user_of_session)?)
    }
}

/// Whose password was right, while nothing else is known.
pub(crate) struct HalfSession(pub(crate) Session);

impl<'a> FromRequest<'a> for HalfSession {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Session::new(request, HALF_SESSION, Shop::user_of_half_session).map(Self)?)
    }
}

#[handler]
pub(crate) fn me(session: Session) -> Json<Value> {
    Json(json!({"name": session.user.name}))
}

pub(crate) async fn serve(routes: impl Endpoint + 'static) -> io::Result<()> {
    let server = Server::new_with_acceptor(TcpAcceptor::from_std(shop::listener()?)?);
    server.run(routes.with(CookieJarManager::new())).await
}

/// Sends a device the cookie by which it is known, or a new one.
pub(crate) fn keep_device(app: &App, request: &Request) -> Result<(), Failure> {
    let device = app.keywright.device_cookie(request.headers().get_all(COOKIE))?;
    request.cookie().add(Cookie::parse(device.to_set_cookie()).map_err(Refused::unavailable)?);
    Ok(())
}

/// Sets a cookie that ends with the browser. An empty value ends it at once.
pub(crate) fn set_cookie(jar: &CookieJar, name: &str, value: &str) {
    let mut cookie = Cookie::new_with_str(name, value);
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Lax);
    if value.is_empty() {
        cookie.make_removal();
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
