//! A client that sends what the published one sends, and an answer that is checked whenever there is one.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use keywright_librepass::LibrePass;
use serde_json::{Value, json};

use super::{TestHost, WEB};

/// One login, or none.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: LibrePass<TestHost>,
    pub(crate) token: Option<String>,
}

/// A request in the making.
pub(crate) struct Sending {
    app: LibrePass<TestHost>,
    request: http::request::Builder,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { app: self.app.clone(), token: Some(token.into()) }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Sending {
        let mut request =
            Request::builder().method(method).uri(path).header("X-Client", "Java/1.5.0").header("X-API", "1");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Sending { app: self.app.clone(), request, body: Vec::new() }
    }

    pub(crate) fn get(&self, path: &str) -> Sending {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Sending {
        self.request("POST", path)
    }

    pub(crate) fn log_in(&self, email: &str, shared: &str) -> Sending {
        self.post("/api/auth/oauth?grantType=login").json(&json!({"email": email, "sharedKey": shared}))
    }

    /// Proves the second factor of a token. No `Authorization` is sent with it.
    pub(crate) async fn prove(&self, token: &str, code: &str) -> Answer {
        let client = Self { app: self.app.clone(), token: None };
        client.post("/api/auth/oauth?grantType=2fa").json(&json!({"apiKey": token, "code": code})).send().await
    }

    /// Whether the token is taken where one is needed.
    pub(crate) async fn is_in(&self) -> bool {
        // The body is checked after the token, so it need not be valid.
        let answer = self.request("PATCH", "/api/user/password").send().await;
        answer.status != 401
    }
}

impl Sending {
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw(body.to_string()).header("content-type", "application/json; charset=utf-8")
    }

    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
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
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{answer:?}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
        if answer.header("content-type") == Some("text/html; charset=utf-8") {
            assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
            return answer;
        }
        // Only the answer to HEAD names the length of the body that it does not have.
        if answer.header("content-length").is_some() {
            assert!(answer.body.is_empty(), "{answer:?}");
            return answer;
        }
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        if answer.status >= 400 {
            let body = answer.json();
            assert!(body["error"].as_str().unwrap().starts_with("LP-"), "{answer:?}");
            assert_eq!(body["status"], answer.status, "{answer:?}");
            assert!(body.as_object().unwrap().keys().all(|name| ["error", "status", "message"].contains(&&**name)));
            assert!(!matches!(answer.status, 403 | 415), "{answer:?}");
        }
        let is_unreadable = (answer.status, &*answer.body) == (503, br#"{"error":"LP-Database-Error","status":503}"#);
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 429 || is_unreadable, "{answer:?}");
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: Value) -> &Self {
        assert_eq!((self.status, self.json()), (status, body), "{self:?}");
        self
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// 200 with `{}`.
    #[track_caller]
    pub(crate) fn is_empty(&self) -> &Self {
        self.is(200, json!({}))
    }

    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.json()["error"].as_str()), (status, Some(code)), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, message: &str) -> &Self {
        assert_eq!(self.json()["message"], message, "{self:?}");
        self
    }

    /// Redirects to the page that confirms that an address is verified.
    #[track_caller]
    pub(crate) fn redirects(&self) -> &Self {
        let page = format!("{WEB}/verification/email");
        assert_eq!((self.status, self.header("location")), (302, Some(&*page)), "{self:?}");
        self
    }

    /// A wait of so many seconds.
    #[track_caller]
    pub(crate) fn waits(&self, seconds: u64) -> &Self {
        assert_eq!(self.header("retry-after"), Some(&*seconds.to_string()), "{self:?}");
        self.fails(429, "LP-RateLimit")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.status, String::from_utf8_lossy(&self.body), self.headers)
    }
}
