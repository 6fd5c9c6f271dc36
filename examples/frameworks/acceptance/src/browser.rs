//! A browser: it keeps cookies, and sends JSON.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};

/// A browser on a device.
#[derive(Clone)]
pub struct Browser {
    agent: Agent,
    url: String,
    cookies: BTreeMap<String, String>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body if it is JSON, and otherwise null.
    pub body: Value,
    /// The value of `Retry-After`.
    pub retry_after: Option<u64>,
    /// The value of `Cache-Control`.
    pub cache_control: Option<String>,
    /// The lines of `Set-Cookie`.
    pub set_cookies: Vec<String>,
    /// All headers.
    pub headers: HeaderMap,
}

impl Answer {
    /// Returns a text of the body.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.body.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Checks that the request was refused with this status and error, as no cache may keep.
    pub fn is_refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.text("error")), (status, error), "{self:?}");
        assert_eq!(self.cache_control.as_deref(), Some("no-store"), "{self:?}");
    }
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        // A server that refuses a request without reading its body closes the connection, perhaps during the next
        // request. A real browser repeats that one; here, each request has a connection of its own.
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).max_idle_connections(0);
        let agent = config.build().new_agent();
        Self { agent, url: url.to_owned(), cookies: BTreeMap::new() }
    }

    /// Sets a cookie that no answer has set.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Returns the value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Sends a request and keeps the cookies of its answer.
    pub fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        if !body.is_empty() && headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (retry_after, cache_control) = (header("retry-after"), header("cache-control"));
        let lines = response.headers().get_all("set-cookie").iter();
        let set_cookies: Vec<String> = lines.map(|line| line.to_str().unwrap().to_owned()).collect();
        for line in &set_cookies {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            assert!(is_kept(name, line), "a browser drops {line}");
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let headers = response.headers().clone();
        let (status, text) = (response.status().as_u16(), response.body_mut().read_to_string().unwrap());
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer {
            status,
            body,
            retry_after: retry_after.map(|value| value.parse().unwrap()),
            cache_control,
            set_cookies,
            headers,
        }
    }

    /// Sends JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], &body.to_string())
    }

    /// Sends a code.
    pub fn post_code(&mut self, path: &str, code: &str) -> Answer {
        self.post(path, &json!({"code": code}))
    }

    /// Makes an API key, with a code in the header or without one.
    pub fn make_api_key(&mut self, code: Option<&str>) -> Answer {
        let header = code.map(|code| ("x-second-factor", code));
        self.send(Method::POST, "/api-keys", header.as_slice(), "")
    }

    /// Whether somebody is signed in.
    pub fn is_signed_in(&mut self) -> bool {
        self.signed_in_as().is_some()
    }

    /// Returns the name of the user who is signed in.
    pub fn signed_in_as(&mut self) -> Option<String> {
        let answer = self.send(Method::GET, "/me", &[], "");
        match answer.status {
            200 => Some(answer.text("name").to_owned()),
            401 => None,
            _ => panic!("{answer:?}"),
        }
    }

    /// Lets this many copies of the browser send something at once, each over a connection of its own, and returns
    /// the copies with their answers.
    #[must_use]
    pub fn race(&self, times: usize, request: impl Fn(&mut Self) -> Answer + Sync) -> Vec<(Self, Answer)> {
        let start = std::sync::Barrier::new(times);
        thread::scope(|scope| {
            let racers: Vec<_> = (0..times)
                .map(|_| {
                    let mut browser = Self { cookies: self.cookies.clone(), ..Self::new(&self.url) };
                    let (start, request) = (&start, &request);
                    scope.spawn(move || {
                        start.wait();
                        let answer = request(&mut browser);
                        (browser, answer)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        })
    }
}

/// Whether a browser keeps a cookie of this name. From loopback it also keeps a `Secure` one that came without TLS.
fn is_kept(name: &str, line: &str) -> bool {
    let attributes: Vec<String> = line.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase()).collect();
    let has = |attribute: &str| attributes.iter().any(|part| part == attribute);
    let domain = attributes.iter().any(|part| part.starts_with("domain"));
    !name.starts_with("__Host-") || (has("secure") && has("path=/") && !domain)
}
