//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use keywright::tower::Refused;
use keywright::{AccountId, Client, Keywright, SessionId};
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
    pub(crate) account: AccountId,
    pub(crate) id: SessionId,
    pub(crate) client: Client,
}

impl Session {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Option<Self> {
        let jar = CookieJar::from_headers(headers);
        let token = jar.get(SESSION)?.value();
        let user = app.shop.user_of_session(token)?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, &jar);
        Some(Self { user, token: token.to_owned(), account, id: SessionId::new(token), client })
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        Self::of(app, &parts.headers).ok_or_else(|| Refused::unauthorized("not_signed_in"))
    }
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, jar: &CookieJar) -> Client {
    app.keywright.client(account, jar.get(DEVICE).map_or("", Cookie::value).as_bytes())
}

pub(crate) fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    let (max_age, cookie) = (shop::max_age(name, &value), Cookie::build((name, value)).path("/"));
    let mut cookie = cookie.http_only(true).secure(true).same_site(SameSite::Lax).build();
    cookie.set_max_age(max_age);
    cookie
}
