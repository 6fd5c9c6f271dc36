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
    pub(crate) caller: Caller,
}

impl Session {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Option<Self> {
        let token = cookie(headers, SESSION)?;
        let user = app.shop.user_of_session(&token)?;
        let account = AccountId::new(&user.id).ok()?;
        let client = client(app, &account, headers);
        Some(Self { user, caller: Caller::new(account, SessionId::new(&token), client) })
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

pub(crate) async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refused> {
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Refused::bad_request("bad_body"))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Refused::bad_request("bad_body"))
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
        let line = cookie.to_string().try_into().map_err(|_| Refused::bad_request("bad_cookie"))?;
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}
