//! A client that sends what the published one sends, and an answer that is checked whenever there is one.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use keywright_rocketchat::{BASE_PATH, RocketChat};
use serde_json::{Value, json};

use super::TestHost;

/// One login.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: RocketChat<TestHost>,
    pub(crate) id: String,
    pub(crate) token: String,
    /// Where it calls from, if the host is to know.
    pub(crate) address: Option<&'static str>,
}

/// A request in the making.
pub(crate) struct Sending {
    app: RocketChat<TestHost>,
    request: http::request::Builder,
    body: Vec<u8>,
}

impl Client {
    /// A request with the login, and without a body.
    pub(crate) fn request(&self, method: &str, path: &str) -> Sending {
        let request = Request::builder()
            .method(method)
            .uri(format!("{BASE_PATH}{path}"))
            .header("X-User-Id", &self.id)
            .header("X-Auth-Token", &self.token);
        let request = self.address.iter().fold(request, |request, address| request.header("x-forwarded-for", *address));
        Sending { app: self.app.clone(), request, body: Vec::new() }
    }

    /// The same login from another place.
    pub(crate) fn at(&self, address: &'static str) -> Self {
        Self { address: Some(address), ..self.clone() }
    }

    pub(crate) fn post(&self, path: &str) -> Sending {
        self.request("POST", path)
    }

    /// `users.resetE2EKey` of one's own keys.
    pub(crate) fn reset(&self) -> Sending {
        self.post("users.resetE2EKey").json(&json!({}))
    }

    /// The same of another's.
    pub(crate) fn reset_of(&self, id: &str) -> Sending {
        self.post("users.resetE2EKey").json(&json!({"userId": id}))
    }

    /// Whether the token is alive.
    pub(crate) async fn is_in(&self) -> bool {
        let answer = self.request("GET", "users.totpCodesRemaining").send().await;
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        answer.status == 200
    }
}

/// A request without a login.
pub(crate) fn anonymous(app: &RocketChat<TestHost>, method: &str, path: &str) -> Sending {
    let request = Request::builder().method(method).uri(format!("{BASE_PATH}{path}"));
    Sending { app: app.clone(), request, body: Vec::new() }
}

impl Sending {
    /// The request comes from here.
    pub(crate) fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub(crate) fn code(self, code: &str) -> Self {
        self.header("x-2fa-code", code)
    }

    pub(crate) fn method(self, method: &str) -> Self {
        self.header("x-2fa-method", method)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub(crate) fn build(self) -> Request<Bytes> {
        self.request.body(self.body.into()).unwrap()
    }

    pub(crate) async fn send(self) -> Answer {
        let app = self.app.clone();
        Answer::check(app.handle(self.build()).await)
    }
}

/// An answer, its headers checked.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// What holds for every answer there is.
    pub(crate) fn check(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let answer = Self { status: parts.status.as_u16(), headers: parts.headers, body };
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
        if answer.status != 204 {
            let body = answer.json();
            // A log-in and a log-out have another member for it.
            let success = body["success"].as_bool().unwrap_or(body["status"] == "success");
            assert_eq!(success, answer.status == 200, "{answer:?}");
        }
        if matches!(answer.status, 429 | 503) {
            assert!(answer.seconds("retry-after") >= 1 && answer.header("x-ratelimit-reset").is_some(), "{answer:?}");
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn seconds(&self, name: &str) -> u64 {
        self.header(name).unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: Value) -> &Self {
        assert_eq!((self.status, self.json()), (status, body), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(&self) -> &Self {
        self.is(200, json!({"success": true}))
    }

    /// A log-in that is refused, whatever the reason.
    #[track_caller]
    pub(crate) fn is_unauthorized(&self) -> &Self {
        let body = json!({"success": false, "status": "error", "error": "Unauthorized", "message": "Unauthorized"});
        self.is(401, body)
    }

    /// An error with status 400.
    #[track_caller]
    pub(crate) fn fails(&self, error_type: &str) -> &Self {
        assert_eq!((self.status, self.json()["errorType"].as_str()), (400, Some(error_type)), "{self:?}");
        self
    }

    /// A wait of so many seconds.
    #[track_caller]
    pub(crate) fn waits(&self, seconds: u64) -> &Self {
        assert_eq!((self.status, self.seconds("retry-after")), (429, seconds), "{self:?}");
        let error = format!(
            "Error, too many requests. Please slow down. You must wait {seconds} seconds before trying this endpoint \
             again. [error-too-many-requests]"
        );
        self.is(429, json!({"success": false, "error": error}))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.status, String::from_utf8_lossy(&self.body), self.headers)
    }
}
