//! What the server had before: its users, its sessions and its cookies. A session also has the names by
//! which Keywright knows it.

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use cookie::Cookie;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use hyper::{HeaderMap, Request, Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use keywright::tower::{Caller, Refused};
use keywright::{AccountId, Client, Keywright, SessionId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shop::{HALF_SESSION, SESSION, Shop, User};

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
    pub(crate) app: App,
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) account: AccountId,
    pub(crate) id: SessionId,
    pub(crate) client: Client,
}

impl Session {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Result<Self, Refused> {
        Self::new(app, headers, SESSION, Shop::user_of_session)
    }

    fn new(app: &App, headers: &HeaderMap, name: &str, user: fn(&Shop, &str) -> Option<User>) -> Result<Self, Refused> {
        let token = cookie(headers, name).unwrap_or_default();
        let user = user(&app.shop, &token).ok_or_else(|| Refused::unauthorized("not_signed_in"))?;
        let account = AccountId::new(&user.id)?;
        // Once a device had a right code, the wrong ones of strangers do not delay it.
        let device = app.keywright.device_cookie(headers.get_all(COOKIE))?;
        let client = app.keywright.client(&account, device.as_bytes());
        Ok(Self { app: app.clone(), id: SessionId::new(&token), user, token, account, client })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.account.clone(), self.id, self.client)
    }
}

/// Whose password was right, while nothing else is known.
pub(crate) struct HalfSession(pub(crate) Session);

impl HalfSession {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Result<Self, Refused> {
        Session::new(app, headers, HALF_SESSION, Shop::user_of_half_session).map(Self)
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.into_iter().find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// Parses what says it is JSON: a form on a page of another site could send the same as plain text.
pub(crate) fn parse<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Refused> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.split(';').next());
    let is_json = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let parsed = is_json.then(|| serde_json::from_slice(request.body()).ok()).flatten();
    parsed.ok_or_else(|| Refused::bad_request("bad_body"))
}

pub(crate) fn json(body: &Value) -> Answer {
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    response.body(Full::from(body.to_string())).map_err(Refused::unavailable)
}

/// An empty answer that sets cookies.
pub(crate) fn cookies(status: StatusCode, cookies: &[String]) -> Answer {
    let response = Response::builder().status(status);
    let response = cookies.iter().fold(response, |response, cookie| response.header(SET_COOKIE, cookie));
    response.body(Full::default()).map_err(Refused::unavailable)
}

/// Answers whatever it is asked.
pub(crate) async fn serve<F>(app: App, route: fn(App, Request<Bytes>) -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(shop::listener()?)?;
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            // The client is gone, or no file is free. Others end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (connection, app) = (TokioIo::new(connection), app.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (app, (head, body)) = (app.clone(), request.into_parts());
            let answer = async move {
                // Read to its end, so that the connection goes on even if the request is refused.
                let body = Limited::new(body, MAX_BODY).collect().await;
                let body = body.map_err(|_| Refused::bad_request("bad_body"))?.to_bytes();
                route(app, Request::from_parts(head, body)).await
            };
            async { Ok::<_, Infallible>(answer.await.unwrap_or_else(Refused::into_response)) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(connection, service));
    }
}
