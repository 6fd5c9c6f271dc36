//! A client that carries its session as the real one does, and an answer that is checked whenever there is one.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use keywright_nextcloud::{BASE_PATH, Nextcloud};
use serde_json::{Value, json};

use super::TestHost;

/// How a client logs in.
#[derive(Clone)]
pub(crate) enum Auth {
    Basic(String, String),
    Bearer(String),
    None,
}

impl Auth {
    fn header(&self) -> Option<String> {
        match self {
            Self::Basic(name, secret) => Some(format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))),
            Self::Bearer(token) => Some(format!("Bearer {token}")),
            Self::None => None,
        }
    }
}

/// One client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: Nextcloud<TestHost>,
    pub(crate) auth: Auth,
    /// What it sends as `X-API-SESSION`.
    pub(crate) session: Option<String>,
    /// Where it sends from, as the host's framework notes it.
    pub(crate) address: Option<IpAddr>,
}

impl Client {
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{BASE_PATH}{path}"));
        if let Some(auth) = self.auth.header() {
            request = request.header("authorization", auth);
        }
        if let Some(session) = &self.session {
            request = request.header("x-api-session", session);
        }
        match self.address {
            Some(address) => request.extension(address),
            None => request,
        }
    }

    /// The same client at an address.
    pub(crate) fn at(mut self, address: &str) -> Self {
        self.address = Some(address.parse().unwrap());
        self
    }

    /// Sends a request as it is and takes the id of its answer.
    pub(crate) async fn send<B: AsRef<[u8]>>(&mut self, request: Request<B>) -> Answer {
        let head = request.method() == Method::HEAD;
        let answer = Answer::check(self.app.handle(request).await, head);
        if let Some(id) = answer.id() {
            self.session = Some(id);
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Bytes::new()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.post_bytes(path, body.to_string().into_bytes()).await
    }

    pub(crate) async fn post_bytes(&mut self, path: &str, body: Vec<u8>) -> Answer {
        let request = self.request("POST", path).header("content-type", "application/json").body(body).unwrap();
        self.send(request).await
    }

    pub(crate) async fn open(&mut self, proof: &str) -> Answer {
        self.post("session/open", json!({"challenge": proof})).await
    }

    pub(crate) async fn set(&mut self, secret: &str, old: Option<&str>) -> Answer {
        let body = json!({"secret": secret, "data": super::salts(1), "oldSecret": old});
        self.post("account/challenge/set", body).await
    }

    /// Requests a reset code.
    pub(crate) async fn reset_code(&mut self) -> String {
        let answer = self.post("account/reset", json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["code"].as_str().unwrap().into()
    }

    pub(crate) async fn reset_with(&mut self, code: &str) -> Answer {
        self.post("account/reset", json!({"code": code})).await
    }

    pub(crate) async fn reset_by_password(&mut self, password: &str) -> Answer {
        self.post("account/reset", json!({"password": password})).await
    }

    pub(crate) async fn put_keychain(&mut self, text: &str) -> Answer {
        self.post("keychain/set", json!({"id": "CSEv1r1", "data": text})).await
    }

    /// Whether its session is authorized, for an account with a challenge.
    pub(crate) async fn is_authorized(&mut self) -> bool {
        let answer = self.get("account/challenge/get").await;
        assert!(matches!(answer.status, 200 | 412), "{answer:?}");
        answer.status == 200
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
    pub(crate) fn check(response: Response<Bytes>, head: bool) -> Self {
        let (parts, body) = response.into_parts();
        let answer = Self { status: parts.status.as_u16(), headers: parts.headers, body };
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
        assert!(answer.headers.get("pragma").is_none() && answer.headers.get("date").is_none(), "{answer:?}");
        if answer.status != 204 && !head {
            assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "{answer:?}");
        }
        if let Some(Value::Object(body)) = serde_json::from_slice(&answer.body).ok()
            && let (Some(Value::String(id)), Some(Value::String(message))) = (body.get("id"), body.get("message"))
        {
            assert_eq!(*id, error_id(message), "{answer:?}");
        }
        let cookie = answer.id().map(|id| format!("nc_passwords={id}; Path=/; Secure; HttpOnly; SameSite=Strict"));
        assert_eq!(answer.header("set-cookie"), cookie.as_deref(), "{answer:?}");
        for name in ["x-api-session", "set-cookie"] {
            assert!(answer.headers.get(name).is_none_or(http::HeaderValue::is_sensitive), "{name} can be logged");
            assert!(answer.headers.get_all(name).iter().count() <= 1, "{name} twice");
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> Option<String> {
        self.header("x-api-session").map(String::from)
    }

    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|seconds| seconds.parse().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The status and the error's id; `""` for a body that is no error's.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        (self.status, body["id"].as_str().map_or_else(|| body["id"].to_string().replace("null", ""), String::from))
    }

    /// An exact answer that carries a session.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: Value) -> &Self {
        assert_eq!((self.status, self.json()), (status, body), "{self:?}");
        assert!(self.id().is_some(), "{self:?}");
        self
    }

    /// An exact error that carries a session.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, id: &str) -> &Self {
        let body = self.json();
        let members: Vec<&String> = body.as_object().map(|body| body.keys().collect()).unwrap_or_default();
        assert_eq!(members, ["id", "message", "status"], "{self:?}");
        assert_eq!(body["status"], "error");
        assert_eq!(self.error(), (status, id.into()), "{self:?}");
        assert!(self.id().is_some(), "{self:?}");
        self
    }

    /// A guess that was not checked: 429, so that no application forgets its login.
    #[track_caller]
    pub(crate) fn is_refused(&self, seconds: u64) -> &Self {
        self.waits(429, "64a6cf1f", seconds)
    }

    /// The same with `Retry-After`.
    #[track_caller]
    pub(crate) fn waits(&self, status: u16, id: &str, seconds: u64) -> &Self {
        self.fails(status, id);
        assert_eq!(self.retry_after(), Some(seconds), "{self:?}");
        self
    }
}

/// CRC-32/BZIP2 of the message, least significant byte first (protocol § 1.1), bit by bit.
fn error_id(message: &str) -> String {
    let mut crc = u32::MAX;
    for byte in message.bytes() {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
        }
    }
    format!("{:08x}", (!crc).swap_bytes())
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.status, String::from_utf8_lossy(&self.body), self.headers)
    }
}
