//! Requests: the endpoint, the login, the code and the parameters. All input is bounded, and none
//! of it is logged.

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request};
use keywright_core::SecretString;
use keywright_store::StepError;
use keywright_wire::{Peer, Route, Routes, is_json};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::host::{Endpoint, Named};
use crate::method::Factor;
use crate::policy::{BASE_PATH, RocketChatPolicy};

const USER_ID: &str = "x-user-id";
const TOKEN: &str = "x-auth-token";
const CODE: &str = "x-2fa-code";
const METHOD: &str = "x-2fa-method";
/// Longer ids and tokens cannot be valid logins, and are refused before anything is hashed.
const MAX_LOGIN_BYTES: usize = 1024;
/// The longest code is a password's digest. Anything longer cannot be a code, and is refused before
/// anything is hashed.
const MAX_CODE_BYTES: usize = 256;

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

/// The routes below [`BASE_PATH`], in the order of [`Endpoint::ALL`]. `HEAD` never acts, so no
/// endpoint lists it.
pub(crate) const ROUTES: Routes<Endpoint, RocketChatPolicy> = Routes::new(
    BASE_PATH,
    &[
        route(Endpoint::ResetE2eKey, "users.resetE2EKey", |_| POST),
        route(Endpoint::ResetTotp, "users.resetTOTP", |_| POST),
        route(Endpoint::TotpEnable, "users.totp.enable", |_| POST),
        route(Endpoint::TotpValidate, "users.totp.validate", |_| POST),
        route(Endpoint::TotpDisable, "users.totp.disable", |_| POST),
        route(Endpoint::TotpRegenerateCodes, "users.totp.regenerateCodes", |_| POST),
        route(Endpoint::TotpCodesRemaining, "users.totp.codesRemaining", |_| GET),
        route(Endpoint::EnableEmail, "users.2fa.enableEmail", |_| POST),
        route(Endpoint::DisableEmail, "users.2fa.disableEmail", |_| POST),
        Route { needs_login: false, ..route(Endpoint::SendEmailCode, "users.2fa.sendEmailCode", |_| POST) },
    ],
);

/// Returns a row that needs a login. All endpoints accept bodies of one size.
const fn route(
    endpoint: Endpoint,
    path: &'static str,
    methods: fn(&RocketChatPolicy) -> &'static [Method],
) -> Route<Endpoint, RocketChatPolicy> {
    Route { endpoint, path, methods, max_body: |policy| policy.max_body, needs_login: true }
}

impl Endpoint {
    /// Returns the path below [`BASE_PATH`].
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

/// The input of an endpoint, with its shape checked.
pub(crate) struct Input<'r> {
    pub(crate) peer: Peer<'r>,
    /// The code, for an endpoint that needs a login; empty for the others.
    pub(crate) sent: SentCode,
    content: Content,
}

/// The contents of a request's body.
enum Content {
    /// An empty object, or nothing.
    Nothing,
    /// `userId`, `username`, `user`.
    Target(Target),
    /// `code`
    Code(SecretString),
    /// `emailOrUsername`
    EmailOrUsername(String),
}

impl<'r> Input<'r> {
    pub(crate) fn read<B: AsRef<[u8]>>(
        route: &Route<Endpoint, RocketChatPolicy>,
        request: &'r Request<B>,
        policy: &RocketChatPolicy,
    ) -> Result<Self, ApiError> {
        let sent =
            if route.needs_login { sent_code(request.headers())? } else { SentCode { code: None, method: None } };
        if !route.takes(request.body().as_ref().len(), policy) {
            return Err(ApiError::too_large());
        }
        let params = body(request)?;
        let content = match route.endpoint {
            Endpoint::ResetE2eKey | Endpoint::ResetTotp => Content::Target(params.target()?),
            Endpoint::TotpValidate | Endpoint::TotpDisable | Endpoint::TotpRegenerateCodes => {
                Content::Code(SecretString::new(params.only("code")?.into()))
            }
            Endpoint::SendEmailCode => Content::EmailOrUsername(params.only("emailOrUsername")?.into()),
            Endpoint::TotpEnable | Endpoint::TotpCodesRemaining | Endpoint::EnableEmail | Endpoint::DisableEmail => {
                params.strings(&[])?;
                Content::Nothing
            }
        };
        Ok(Self { peer: Peer::of(request), sent, content })
    }

    /// Returns whose account the request acts on.
    pub(crate) fn target(&self) -> Result<&Target, StepError> {
        match &self.content {
            Content::Target(target) => Ok(target),
            _ => Err(ANOTHERS),
        }
    }

    /// Returns the member `code`.
    pub(crate) fn code(&self) -> Result<&SecretString, StepError> {
        match &self.content {
            Content::Code(code) => Ok(code),
            _ => Err(ANOTHERS),
        }
    }

    /// Returns the member `emailOrUsername`.
    pub(crate) fn email_or_username(&self) -> Result<&str, StepError> {
        match &self.content {
            Content::EmailOrUsername(name) => Ok(name),
            _ => Err(ANOTHERS),
        }
    }
}

const ANOTHERS: StepError = StepError::Misuse("an endpoint with another's input");

/// The login that a request claims to come from.
pub(crate) struct Credentials {
    pub(crate) user_id: String,
    pub(crate) token: SecretString,
}

/// Reads the login: each header once, printable, not empty. Anything else counts as no login.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let text = |name| {
        let text = single(headers, name).ok()??.to_str().ok()?;
        (!text.is_empty() && text.len() <= MAX_LOGIN_BYTES).then(|| text.to_owned())
    };
    Some(Credentials { user_id: text(USER_ID)?, token: SecretString::new(text(TOKEN)?) })
}

/// The code that came, and the method that the client prefers.
pub(crate) struct SentCode {
    /// The code; `None` if none came, or an empty one.
    pub(crate) code: Option<SecretString>,
    /// The method; unknown names count as none.
    pub(crate) method: Option<Factor>,
}

/// Reads code and method. Each may come once: a proxy that joins repeated headers would forward
/// another code than the one read here.
pub(crate) fn sent_code(headers: &HeaderMap) -> Result<SentCode, ApiError> {
    let repeated = |_| ApiError::invalid_params("must NOT have repeated headers");
    let code = single(headers, CODE).map_err(repeated)?.filter(|value| !value.is_empty());
    let method = single(headers, METHOD).map_err(repeated)?;
    Ok(SentCode {
        code: code.map(|value| SecretString::new(code_text(value))),
        method: method.and_then(|value| Factor::named(value.to_str().ok()?)),
    })
}

/// Returns a code as text. Anything that is not text, or is too long for any code, becomes a code
/// that is malformed for every factor.
fn code_text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if text.len() <= MAX_CODE_BYTES => text.to_owned(),
        _ => String::from("\u{fffd}"),
    }
}

struct Repeated;

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Repeated) } else { Ok(first) }
}

/// Reads a request's body: a JSON object. An empty body counts as the empty object, which is what
/// the published client sends for a call without parameters. Forms are refused: a request about
/// another user's account must never be read as one about the caller's own.
fn body<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Params, ApiError> {
    let body = request.body().as_ref();
    if body.is_empty() {
        return Ok(Params(Map::new()));
    }
    let json = matches!(single(request.headers(), CONTENT_TYPE.as_str()), Ok(Some(value)) if is_json(value));
    if !json {
        return Err(ApiError::invalid_params("must NOT have additional properties"));
    }
    // The parser's message quotes the input, so it is dropped.
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(Params(members)),
        Ok(_) => Err(ApiError::invalid_params("must be object")),
        Err(_) => Err(ApiError::invalid_params("must be valid JSON")),
    }
}

/// The members of a request's object.
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// Checks that all members are strings and have one of these names. Both complaints are made,
    /// as upstream's validator does.
    pub(crate) fn strings(&self, names: &[&str]) -> Result<(), ApiError> {
        let extra = self.0.keys().any(|name| !names.contains(&name.as_str()));
        let mistyped = self.0.iter().any(|(name, value)| names.contains(&name.as_str()) && !value.is_string());
        match (extra, mistyped) {
            (false, false) => Ok(()),
            (true, false) => Err(ApiError::invalid_params("must NOT have additional properties")),
            (false, true) => Err(ApiError::invalid_params("must be string")),
            (true, true) => Err(ApiError::invalid_params("must NOT have additional properties\nmust be string")),
        }
    }

    /// Returns the one member of an object that must have it and nothing else.
    pub(crate) fn only(&self, name: &str) -> Result<&str, ApiError> {
        self.strings(&[name])?;
        self.text(name).ok_or_else(|| ApiError::invalid_params(&format!("must have required property '{name}'")))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns whose account the request acts on (protocol § 1).
    pub(crate) fn target(&self) -> Result<Target, ApiError> {
        self.strings(&["userId", "username", "user"])?;
        if self.0.is_empty() {
            return Ok(Target::Own);
        }
        let given = |name| self.text(name).filter(|text| !text.trim().is_empty());
        let by_name = given("username").or_else(|| given("user"));
        Ok(match (given("userId"), by_name) {
            (Some(id), _) => Target::Id(id.into()),
            (None, Some(name)) => Target::Username(name.into()),
            (None, None) => Target::Blank,
        })
    }
}

/// Whose account a request acts on. A caller who names itself names a user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// No member names a user.
    Own,
    /// Only blank members name a user.
    Blank,
    Id(String),
    Username(String),
}

impl Target {
    pub(crate) fn named(&self) -> Option<Named<'_>> {
        match self {
            Self::Id(id) => Some(Named::Id(id)),
            Self::Username(name) => Some(Named::Username(name)),
            Self::Own | Self::Blank => None,
        }
    }

    /// Returns one string for one target, to bind a code to.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Own => String::new(),
            Self::Blank => "?".into(),
            Self::Id(id) => format!("id={id}"),
            Self::Username(name) => format!("name={name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Result<Params, ApiError> {
        body(&Request::post("/").header(CONTENT_TYPE, "application/json; charset=utf-8").body(text).unwrap())
    }

    fn target(text: &str) -> Option<Target> {
        json(text).and_then(|params| params.target()).ok()
    }

    #[test]
    fn the_three_spellings_have_their_order_and_blank_ones_are_skipped() {
        for (text, expected) in [
            ("", Target::Own),
            ("{}", Target::Own),
            (r#"{"userId":"a","username":"b","user":"c"}"#, Target::Id("a".into())),
            (r#"{"userId":" ","username":"b","user":"c"}"#, Target::Username("b".into())),
            (r#"{"username":"","user":" c"}"#, Target::Username(" c".into())),
            (r#"{"userId":"","user":" "}"#, Target::Blank),
        ] {
            assert!(target(text) == Some(expected), "{text}");
        }
        for text in ["{", "[]", "null", "\"x\"", " ", r#"{"userId":null}"#, r#"{"userId":1}"#, r#"{"a":"b"}"#] {
            assert!(target(text).is_none(), "{text}");
        }
    }

    #[test]
    fn targets_are_bound_apart() {
        let all = [Target::Own, Target::Blank, Target::Id("a".into()), Target::Username("a".into())];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other.canonical() != one.canonical()));
        }
    }

    #[test]
    fn paths_are_exact() {
        let endpoint = |path: &str| ROUTES.find(path).map(|(route, _)| route.endpoint);
        assert_eq!(endpoint("/api/v1/users.resetE2EKey"), Some(Endpoint::ResetE2eKey));
        for path in ["/api/v1/users.resete2ekey", "/users.resetE2EKey", "/api/v1/users.resetE2EKey/", "/api/v1/"] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_one_route() {
        assert!(ROUTES.rows().iter().map(|row| row.endpoint).eq(Endpoint::ALL));
        for endpoint in Endpoint::ALL {
            let path = format!("{BASE_PATH}{}", endpoint.path());
            assert_eq!(ROUTES.find(&path).map(|(route, _)| route.endpoint), Some(endpoint));
        }
    }

    #[test]
    fn a_header_counts_once_and_an_empty_code_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(CODE, HeaderValue::from_static(""));
        headers.insert(METHOD, HeaderValue::from_static("sms"));
        let sent = sent_code(&headers).ok().unwrap();
        assert!(sent.code.is_none() && sent.method.is_none());
        headers.append(METHOD, HeaderValue::from_static("totp"));
        assert!(sent_code(&headers).is_err());
        headers.insert(USER_ID, HeaderValue::from_static("id"));
        headers.insert(TOKEN, HeaderValue::from_static("token"));
        assert!(credentials(&headers).is_some());
        headers.append(TOKEN, HeaderValue::from_static("token"));
        assert!(credentials(&headers).is_none());
    }

    proptest! {
        #[test]
        fn any_header_and_any_body_give_an_answer(
            header in proptest::collection::vec(0x20..=0xff_u8, 0..300),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&header) {
                for name in [USER_ID, TOKEN, CODE, METHOD] {
                    headers.insert(name, value.clone());
                }
            }
            let _ = credentials(&headers);
            prop_assert!(sent_code(&headers).is_ok());
            let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(bytes).unwrap();
            let _ = body(&request).map(|params| params.target().is_ok());
        }
    }
}
