//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::sync::Arc;

use cookie::{Cookie, SameSite};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Response, StatusCode};
use keywright::tower::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shop::{DEVICE, SESSION, Shop, User};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 8 * 1024;

pub(crate) type Answer = Result<Response<Full<Bytes>>, Refused>;

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

impl Session {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Option<Self> {
        let token = cookie(headers, SESSION)?;
        let user = app.shop.user_of_session(&token)?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, headers);
        let caller = Caller::new(account, SessionId::new(&token), client);
        Some(Self { user, token, caller })
    }

    pub(crate) fn required(app: &App, headers: &HeaderMap) -> Result<Self, Refused> {
        Self::of(app, headers).ok_or_else(|| Refused::unauthorized("not_signed_in"))
    }
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, headers: &HeaderMap) -> Client {
    app.keywright.client(account, cookie(headers, DEVICE).unwrap_or_default().as_bytes())
}

pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.into_iter().find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// A body that was read to its end, so that the connection goes on even if the request is refused.
pub(crate) struct Body {
    is_json: bool,
    bytes: Bytes,
}

impl Body {
    pub(crate) async fn collect(headers: &HeaderMap, body: Incoming) -> Result<Self, Refused> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.split(';').next());
        let is_json = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Refused::bad_request("bad_body"))?;
        Ok(Self { is_json, bytes: body.to_bytes() })
    }

    /// Parses what says it is JSON: a form on a page of another site could send the same as plain text.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        let parsed = self.is_json.then(|| serde_json::from_slice(&self.bytes).ok()).flatten();
        parsed.ok_or_else(|| Refused::bad_request("bad_body"))
    }
}

pub(crate) fn json(body: &Value) -> Answer {
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An empty answer that sets cookies.
pub(crate) fn cookies(status: StatusCode, cookies: &[(&'static str, String)]) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    for (name, value) in cookies {
        let cookie = Cookie::build((*name, value)).path("/").http_only(true).secure(true).same_site(SameSite::Lax);
        let mut cookie = cookie.build();
        cookie.set_max_age(shop::max_age(name, value));
        let line = cookie.to_string().try_into().map_err(|_| Refused::bad_request("bad_cookie"))?;
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}
