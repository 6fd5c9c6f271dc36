//! A browser without script: it follows redirections, and fills in the forms of the last page.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use keywright_testing::tower::call;
use keywright_twofactor::TotpSecret;

use crate::host::{PASSWORD, Site};

pub(crate) struct Browser<'s> {
    pub(crate) site: &'s Site,
    pub(crate) session: Option<&'static str>,
    pub(crate) language: &'static str,
    /// The last page, as it was received.
    pub(crate) page: Page,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The path, after redirections.
    pub(crate) path: String,
}

impl Page {
    /// Returns the value of a hidden field or of an attribute that follows its name.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = self.body.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {self:?}"));
        let rest = &self.body[start + name.len() + 15..];
        let value = &rest[..rest.find('"').unwrap()];
        value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    #[track_caller]
    pub(crate) fn has(&self, text: &str) {
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
    }

    pub(crate) fn codes(&self) -> Vec<String> {
        self.hidden("codes").lines().map(str::to_owned).collect()
    }
}

impl<'s> Browser<'s> {
    pub(crate) fn new(site: &'s Site) -> Self {
        Self { site, session: Some("one"), language: "en", page: Page::default() }
    }

    pub(crate) fn of_session(site: &'s Site, session: &'static str) -> Self {
        Self { session: Some(session), ..Self::new(site) }
    }

    /// Sends a request as it is, without following a redirection.
    pub(crate) async fn send(&mut self, request: http::request::Builder, body: &str) -> &Page {
        let mut request = request.header("host", "example.org").header("accept-language", self.language);
        if let Some(session) = self.session {
            request = request.header("cookie", format!("session={session}"));
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let path = request.uri().path_and_query().unwrap().to_string();
        let answer = call(&mut self.site.service.clone(), request).await;
        let (head, body) = answer.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.page = Page { status: head.status, headers: head.headers, body, path };
        &self.page
    }

    pub(crate) async fn get(&mut self, path: &str) -> &Page {
        self.send(Request::get(path), "").await;
        self.follow().await
    }

    /// Submits a form of the last page with these fields and its token.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> &Page {
        let token = self.page.hidden("form_token");
        self.post_with(path, &token, fields).await
    }

    pub(crate) async fn post_with(&mut self, path: &str, token: &str, fields: &[(&str, &str)]) -> &Page {
        let fields = [("form_token", token)].into_iter().chain(fields.iter().copied());
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "null")
            .header("sec-fetch-site", "same-origin");
        self.send(request, &body).await;
        self.follow().await
    }

    async fn follow(&mut self) -> &Page {
        if self.page.status == StatusCode::SEE_OTHER {
            let path = self.page.headers["location"].to_str().unwrap().to_owned();
            if path != "/login" {
                self.send(Request::get(path), "").await;
            }
        }
        &self.page
    }

    /// Returns the code that an app shows for a key, so many seconds from now.
    pub(crate) fn code(&self, key: &str, ahead: u64) -> String {
        let secret = TotpSecret::from_base32(key).unwrap();
        let app = totp_rs::Builder::new().with_secret(secret.expose()).build().unwrap();
        use keywright_core::Clock as _;
        app.generate(self.site.clock.now().unwrap().get() + ahead).to_string()
    }

    /// Begins the first enrolment. Returns the key.
    pub(crate) async fn begin(&mut self, name: &str) -> String {
        self.get("/authenticators/add").await;
        self.post("/authenticators/add", &[("name", name), ("proof", PASSWORD)]).await;
        assert_eq!(self.page.status, 200, "{}", self.page.body);
        self.page.hidden("key")
    }

    /// Confirms what the last page shows.
    pub(crate) async fn confirm(&mut self, code: &str) -> &Page {
        let (key, name, expires) = (self.page.hidden("key"), self.page.hidden("name"), self.page.hidden("expires"));
        let fields = [("key", key.as_str()), ("name", name.as_str()), ("expires", &expires), ("code", code)];
        self.post("/authenticators/confirm", &fields).await
    }

    /// Enrols the first device. Returns the key and the recovery codes.
    pub(crate) async fn enrol(&mut self) -> (String, Vec<String>) {
        let key = self.begin("Phone").await;
        self.confirm(&self.code(&key, 0)).await;
        assert_eq!(self.page.status, 200, "{}", self.page.body);
        let codes = self.page.codes();
        self.site.clock.advance(30);
        (key, codes)
    }
}
