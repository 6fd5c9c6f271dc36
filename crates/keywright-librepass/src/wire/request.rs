//! Requests: the endpoint, the token, the parameters and the body. All input is bounded, and none
//! of it is logged.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, Method, Request};
use keywright_wire::{Peer, Route, Routes};
use serde::Deserialize;

use crate::account::unlock::LINK_PATH;
use crate::policy::{CONFIRM_PATH, INFO_PATH, LibrePassPolicy, MAX_BODY, MailedLinks};
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::token::Token;
use crate::protocol::user::UserId;
use crate::wire::host::Endpoint;

const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
/// The oldest spelling, used by Firefox.
const X_MOZ: HeaderName = HeaderName::from_static("x-moz");

/// The name that a client gives itself (protocol § 4).
const X_CLIENT: HeaderName = HeaderName::from_static("x-client");
/// The longest name of a client that is shown to anybody.
const MAX_CLIENT_NAME: usize = 32;

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const PATCH: &[Method] = &[Method::PATCH];
const GET_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const ONE: &[Method] = &[Method::GET, Method::HEAD, Method::PATCH, Method::DELETE];
const GET_DELETE: &[Method] = &[Method::GET, Method::HEAD, Method::DELETE];
const GET_PUT: &[Method] = &[Method::GET, Method::HEAD, Method::PUT];

/// The method that a `HEAD` is answered as.
static READ: Method = Method::GET;

/// A row of the table.
pub(crate) type Row = Route<Endpoint, LibrePassPolicy>;

/// The routes, in the order of [`Endpoint::ALL`]. `HEAD` is listed with every `GET`, and changes
/// nothing, not even what a token knows of its vault.
/// Bodies that carry a whole vault have a limit of their own (`docs/decisions.md` 40).
pub(crate) const ROUTES: Routes<Endpoint, LibrePassPolicy> = Routes::new(
    "",
    &[
        open(Endpoint::PreLogin, "/api/auth/preLogin", |_| GET),
        open(Endpoint::Register, "/api/auth/register", |_| POST),
        open(Endpoint::VerifyEmail, "/api/auth/verifyEmail", mailed_link),
        open(Endpoint::OAuth, "/api/auth/oauth", |_| POST),
        open(Endpoint::ResendVerificationEmail, "/api/auth/resendVerificationEmail", |_| GET),
        open(Endpoint::PasswordHint, "/api/auth/passwordHint", |_| GET),
        open(Endpoint::AdmitClient, LINK_PATH, |_| GET_POST),
        open(Endpoint::ConfirmLogin, CONFIRM_PATH, |_| GET_POST),
        vault(with_token(Endpoint::CipherSync, "/api/cipher/sync", |_| GET_POST)),
        with_token(Endpoint::Ciphers, "/api/cipher", |_| GET_PUT),
        with_token(Endpoint::Cipher, "/api/cipher/{id}", |_| ONE),
        with_token(Endpoint::Collections, "/api/collection", |_| GET_PUT),
        with_token(Endpoint::Collection, "/api/collection/{id}", |_| GET_DELETE),
        vault(with_token(Endpoint::ChangeEmail, "/api/user/email", |_| PATCH)),
        open(Endpoint::VerifyNewEmail, "/api/user/verifyNewEmail", mailed_link),
        vault(with_token(Endpoint::ChangePassword, "/api/user/password", |_| PATCH)),
        with_token(Endpoint::SetupTwoFactor, "/api/user/setup/2fa", |_| POST),
        with_token(Endpoint::Delete, "/api/user/delete", |_| &[Method::DELETE]),
        open(Endpoint::Info, INFO_PATH, |_| GET),
    ],
);

/// Returns a row without a login.
const fn open(endpoint: Endpoint, path: &'static str, methods: fn(&LibrePassPolicy) -> &'static [Method]) -> Row {
    Route { endpoint, path, methods, max_body: |_| MAX_BODY, needs_login: false }
}

/// Returns a row that needs a token in `Authorization`.
const fn with_token(endpoint: Endpoint, path: &'static str, methods: fn(&LibrePassPolicy) -> &'static [Method]) -> Row {
    Route { needs_login: true, ..open(endpoint, path, methods) }
}

/// Returns the row with the body limit for a whole vault.
const fn vault(row: Row) -> Row {
    Route { max_body: |policy| policy.max_vault_body, ..row }
}

/// Returns the method by which a mailed link acts: the GET, or the POST of a page's button.
const fn mailed_link(policy: &LibrePassPolicy) -> &'static [Method] {
    match policy.mailed_links {
        MailedLinks::Act => GET,
        MailedLinks::Confirm => GET_POST,
    }
}

impl Endpoint {
    /// Returns the path, with a placeholder for the part that varies.
    #[must_use]
    pub fn path(self) -> &'static str {
        ROUTES.path(self)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// Whether an endpoint is a mailed link that acts when it is opened.
pub(crate) const fn is_mailed_link(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::VerifyEmail | Endpoint::VerifyNewEmail)
}

/// Whether a `GET` of an endpoint acts: it opens a link, or has a mail sent.
pub(crate) const fn acts_by_get(endpoint: Endpoint) -> bool {
    is_mailed_link(endpoint) || matches!(endpoint, Endpoint::PasswordHint | Endpoint::ResendVerificationEmail)
}

/// Whether people open an endpoint in their browser.
pub(crate) const fn is_for_browsers(endpoint: Endpoint) -> bool {
    is_mailed_link(endpoint) || matches!(endpoint, Endpoint::AdmitClient | Endpoint::ConfirmLogin)
}

/// Whether a browser fetches this ahead of a click that may never come.
pub(crate) fn is_prefetch(headers: &HeaderMap) -> bool {
    let names = [PURPOSE, SEC_PURPOSE, X_MOZ];
    let mut values = names.iter().flat_map(|name| headers.get_all(name));
    values.any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        ["prefetch", "preview", "prerender"]
            .iter()
            .any(|word| value.windows(word.len()).any(|part| part == word.as_bytes()))
    })
}

/// Reads the token, with or without `Bearer ` (protocol § 4). There must be exactly one header;
/// anything else counts as none.
pub(crate) fn token(headers: &HeaderMap) -> Option<Token> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    let bare = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        _ => text,
    };
    Token::parse(bare)
}

/// The input of an endpoint. Each endpoint checks shapes in its own order, so nothing is parsed
/// ahead.
#[derive(Clone, Copy)]
pub(crate) struct Input<'r> {
    pub(crate) endpoint: Endpoint,
    /// The method; `GET` for a `HEAD`.
    pub(crate) method: &'r Method,
    /// Whether only the headers of the answer are requested. Nothing may be recorded then.
    pub(crate) is_head: bool,
    /// The `{id}` of the path, as it was sent.
    pub(crate) id: Option<&'r str>,
    query: Option<&'r str>,
    pub(crate) headers: &'r HeaderMap,
    peer: Peer<'r>,
    /// The body, within the endpoint's limit.
    pub(crate) body: &'r [u8],
}

impl<'r> Input<'r> {
    pub(crate) fn new<B: AsRef<[u8]>>(endpoint: Endpoint, id: Option<&'r str>, request: &'r Request<B>) -> Self {
        Self { body: request.body().as_ref(), ..Self::unread(endpoint, id, request) }
    }

    /// Returns the input of a request whose body is not read yet.
    pub(crate) fn unread<B>(endpoint: Endpoint, id: Option<&'r str>, request: &'r Request<B>) -> Self {
        let is_head = request.method() == Method::HEAD;
        Self {
            endpoint,
            method: if is_head { &READ } else { request.method() },
            is_head,
            id,
            query: request.uri().query(),
            headers: request.headers(),
            peer: Peer::of(request),
            body: &[],
        }
    }

    pub(crate) const fn peer(&self) -> Peer<'r> {
        self.peer
    }

    /// Returns the client's name for itself in a form that may appear in a mail, such as
    /// `Java/1.5.0`. It contains nothing that a reader could mistake for this server's text or for
    /// an address.
    pub(crate) fn client_name(&self) -> Option<&'r str> {
        let name = self.headers.get(X_CLIENT)?.to_str().ok().filter(|name| name.len() <= MAX_CLIENT_NAME)?;
        let (word, version) = name.split_once('/')?;
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()) && is_version).then_some(name)
    }

    /// Returns a field of a form in the body, or `None` if it is not there.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Returns a parameter of the query, which must be present once.
    pub(crate) fn parameter(&self, name: &str) -> Result<String, ApiError> {
        let mut found = form_urlencoded::parse(self.query.unwrap_or("").as_bytes()).filter(|(key, _)| key == name);
        let (_, value) = found.next().ok_or(ApiError::MISSING_PARAMETER)?;
        if found.next().is_some() { Err(ApiError::VALIDATION) } else { Ok(value.into_owned()) }
    }

    /// Returns the parameter `email`, or `None` if it is empty. Clients that do not encode a `+`
    /// send what decodes to a space, which no address has (protocol § 4).
    pub(crate) fn email(&self) -> Result<Option<Address>, ApiError> {
        let text = self.parameter("email")?.replace(' ', "+");
        if text.is_empty() {
            return Ok(None);
        }
        Address::parse(&text).map(Some).ok_or(ApiError::VALIDATION)
    }

    /// Returns the parameter `user`.
    pub(crate) fn user(&self) -> Result<UserId, ApiError> {
        UserId::parse(&self.parameter("user")?).map_err(|_| ApiError::ARGUMENT_TYPE)
    }

    /// Parses the body as one JSON value of a type. A member that is missing, null, mistyped or
    /// present twice is refused, one that is unknown is ignored. The media type is never checked:
    /// there is no cookie, so a form that another site sends can do nothing that its author could
    /// not do without a browser.
    pub(crate) fn json<T: Deserialize<'r>>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| ApiError::unreadable(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn paths_are_exact() {
        let endpoint = |path| ROUTES.find(path).map(|(route, id)| (route.endpoint, id));
        for named in Endpoint::ALL.into_iter().filter(|named| !matches!(named, Endpoint::Cipher | Endpoint::Collection))
        {
            assert_eq!(endpoint(named.path()), Some((named, None)));
        }
        assert_eq!(endpoint("/api/cipher/x"), Some((Endpoint::Cipher, Some("x"))));
        for path in ["", "/", "/api/", "/api/cipher/", "/api/cipher/{id}", "/api/cipher/a/b", "/api/auth/prelogin"] {
            assert_eq!(
                endpoint(path).map(|(_, id)| id),
                (path == "/api/cipher/{id}").then_some(None).flatten(),
                "{path}"
            );
        }
        for path in ["/auth/preLogin", "/api/auth/preLogin/", "/api/user", "/actuator/info/", "/api/actuator/info"] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_one_route() {
        assert!(ROUTES.rows().iter().map(|row| row.endpoint).eq(Endpoint::ALL));
        assert_eq!(Endpoint::Cipher.path(), "/api/cipher/{id}");
    }

    #[test]
    fn a_token_comes_with_or_without_its_scheme_and_once() {
        let text = format!("lp_{}", "0a".repeat(32));
        for value in [text.clone(), format!("Bearer {text}"), format!("bearer  {text} ")] {
            assert!(token(&with(AUTHORIZATION, &value)).is_some(), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "Basic eA==", &text[1..], &format!("Token {text}"), &format!("{text} x")]
        {
            assert!(token(&with(AUTHORIZATION, value)).is_none(), "{value}");
        }
        let mut twice = with(AUTHORIZATION, &text);
        twice.append(AUTHORIZATION, text.parse().unwrap());
        assert!(token(&twice).is_none());
    }

    #[test]
    fn what_browsers_fetch_ahead_is_known_by_its_headers() {
        for (name, value) in [
            (PURPOSE, "prefetch"),
            (PURPOSE, "Preview"),
            (SEC_PURPOSE, "prefetch;prerender"),
            (SEC_PURPOSE, "prefetch;anonymous-client-ip"),
            (X_MOZ, "prefetch"),
        ] {
            assert!(is_prefetch(&with(name, value)), "{value}");
        }
        assert!(!is_prefetch(&HeaderMap::new()));
        assert!(!is_prefetch(&with(PURPOSE, "navigate")));
    }

    #[test]
    fn a_clients_name_is_a_word_and_a_version() {
        for (name, shown) in [
            ("Java/1.5.0", true),
            ("Java", false),
            ("/1", false),
            ("Java/", false),
            ("evil.example/1", false),
            ("Java/1 http://evil.example", false),
            ("Javajavajavajavajavajavajava/1.5.0", false),
        ] {
            let request = Request::get("/x").header(X_CLIENT, name).body("").unwrap();
            let input = Input::new(Endpoint::Register, None, &request);
            assert_eq!(input.client_name(), shown.then_some(name));
        }
    }

    #[test]
    fn a_plus_that_was_not_encoded_is_one() {
        for uri in ["/x?email=a+b@c.example", "/x?email=a%2Bb%40c.example", "/x?email=a%20b@C.example"] {
            let request = Request::get(uri).body("").unwrap();
            let email = Input::new(Endpoint::PreLogin, None, &request).email().unwrap().unwrap();
            assert_eq!(email.as_str(), "a+b@c.example");
        }
        let ask = |uri: &str| {
            let request = Request::get(uri).body("").unwrap();
            Input::new(Endpoint::PreLogin, None, &request).email()
        };
        assert_eq!(ask("/x").unwrap_err(), ApiError::MISSING_PARAMETER);
        assert!(ask("/x?email=").unwrap().is_none() && ask("/x?email").unwrap().is_none());
        assert_eq!(ask("/x?email=a").unwrap_err(), ApiError::VALIDATION);
        assert_eq!(ask("/x?email=a@b&email=a@b").unwrap_err(), ApiError::VALIDATION);
    }

    proptest! {
        #[test]
        fn any_header_query_and_body_give_an_answer(
            value in "[\\x20-\\x7e]{0,120}",
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            #[derive(Debug, Deserialize)]
            struct Sample {
                #[expect(dead_code, reason = "only read")]
                email: String,
            }
            let mut headers = HeaderMap::new();
            for name in [AUTHORIZATION, PURPOSE, SEC_PURPOSE, X_MOZ] {
                headers.insert(name, value.parse().unwrap());
            }
            let _ = (token(&headers), is_prefetch(&headers));
            let mut request = Request::new(bytes);
            *request.headers_mut() = headers;
            let input = Input::new(Endpoint::OAuth, None, &request);
            if let Err(error) = input.json::<Sample>() {
                prop_assert_eq!(error.code, "LP-Invalid-Body");
            }
        }
    }
}
