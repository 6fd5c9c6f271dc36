//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header::COOKIE, request::Parts};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use keywright::tower::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
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
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Result<Self, Refused> {
        let jar = CookieJar::from_headers(headers);
        let token = jar.get(SESSION).map_or("", Cookie::value);
        Self::new(app, headers, app.shop.user_of_session(token), token)
    }

    fn new(app: &App, headers: &HeaderMap, user: Option<User>, token: &str) -> Result<Self, Refused> {
        let user = user.ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
        let account = AccountId::new(&user.id)?;
        // Once a device had a right code, the wrong ones of strangers do not delay it.
        let device = app.keywright.device_cookie(headers.get_all(COOKIE))?;
        let client = app.keywright.client(&account, device.as_bytes());
        Ok(Self { app: app.clone(), user, token: token.to_owned(), account, id: SessionId::new(token), client })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.account.clone(), self.id, self.client)
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        Self::of(app, &parts.headers)
    }
}

/// Whose password was right, while nothing else is known.
pub(crate) struct HalfSession(pub(crate) Session);

impl FromRequestParts<App> for HalfSession {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let jar = CookieJar::from_headers(&parts.headers);
        let token = jar.get(HALF_SESSION).map_or("", Cookie::value);
        Session::new(app, &parts.headers, app.shop.user_of_half_session(token), token).map(Self)
    }
}

/// Sends a device the cookie by which it is known, or a new one.
pub(crate) fn with_device(app: &App, headers: &HeaderMap) -> Result<CookieJar, Refused> {
    let device = app.keywright.device_cookie(headers.get_all(COOKIE))?;
    let device = Cookie::parse(device.to_set_cookie()).map_err(Refused::unavailable)?;
    Ok(CookieJar::from_headers(headers).add(device))
}
