//! Requests: the endpoint, the login, the code, and what is called. All input is bounded, and none
//! of it is logged.

use std::fmt;

use http::header::HeaderValue;
use http::{HeaderMap, Method, Request};
use keywright_core::SecretString;
use keywright_wire::{Peer, Route, Routes};

use crate::error::ApiError;
use crate::host::Endpoint;
use crate::method::Factor;
use crate::params::{self, LoginForm, Params, Target};
use crate::policy::{BASE_PATH, INFO_PATH, RocketChatPolicy};
use crate::user::EndToEndKeys;

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
const GET_POST: &[Method] = &[Method::GET, Method::POST];

/// The routes below [`BASE_PATH`], in the order of [`Endpoint::ALL`], and then the names of earlier
/// versions of this crate, which no release of upstream had (protocol § 15). `HEAD` never acts, so
/// no endpoint lists it.
pub(crate) const ROUTES: Routes<Endpoint, RocketChatPolicy> = Routes::new(
    BASE_PATH,
    &[
        route(Endpoint::ResetE2eKey, "users.resetE2EKey", |_| POST),
        route(Endpoint::ResetTotp, "users.resetTOTP", |_| POST),
        route(Endpoint::TotpEnable, "users.enableTotp", |_| POST),
        route(Endpoint::TotpValidate, "users.validateTotp", |_| POST),
        route(Endpoint::TotpDisable, "users.disableTotp", |_| POST),
        route(Endpoint::TotpRegenerateCodes, "users.regenerateTotpCodes", |_| POST),
        route(Endpoint::TotpCodesRemaining, "users.totpCodesRemaining", |_| GET),
        route(Endpoint::EnableEmail, "users.2fa.enableEmail", |_| POST),
        route(Endpoint::DisableEmail, "users.2fa.disableEmail", |_| POST),
        open(Endpoint::SendEmailCode, "users.2fa.sendEmailCode", |_| POST),
        open(Endpoint::Login, "login", |_| POST),
        route(Endpoint::Logout, "logout", |_| GET_POST),
        route(Endpoint::Me, "me", |_| GET),
        route(Endpoint::LogoutOtherClients, "users.logoutOtherClients", |_| POST),
        route(Endpoint::RemoveOtherTokens, "users.removeOtherTokens", |_| POST),
        route(Endpoint::LogoutUser, "users.logout", |_| POST),
        open(Endpoint::SendChallengeCode, "twoFactorChallenges.sendEmailCode", |_| POST),
        open(Endpoint::VerifyChallenge, "twoFactorChallenges.verifyChallenge", |_| POST),
        open(Endpoint::RedeemLoginCode, "loginCode.redeem", |_| POST),
        route(Endpoint::SetKeys, "e2e.setUserPublicAndPrivateKeys", |_| POST),
        route(Endpoint::FetchKeys, "e2e.fetchMyKeys", |_| GET),
        open(Endpoint::Info, "info", |_| GET),
        route(Endpoint::TotpEnable, "users.totp.enable", |_| POST),
        route(Endpoint::TotpValidate, "users.totp.validate", |_| POST),
        route(Endpoint::TotpDisable, "users.totp.disable", |_| POST),
        route(Endpoint::TotpRegenerateCodes, "users.totp.regenerateCodes", |_| POST),
        route(Endpoint::TotpCodesRemaining, "users.totp.codesRemaining", |_| GET),
    ],
);

/// Returns the route of a path: below [`BASE_PATH`], or [`INFO_PATH`].
pub(crate) fn find(path: &str) -> Option<&'static Route<Endpoint, RocketChatPolicy>> {
    if path == INFO_PATH {
        return ROUTES.rows().iter().find(|row| row.endpoint == Endpoint::Info);
    }
    ROUTES.find(path).map(|(route, _)| route)
}

/// Returns a row that needs no login.
const fn open(
    endpoint: Endpoint,
    path: &'static str,
    methods: fn(&RocketChatPolicy) -> &'static [Method],
) -> Route<Endpoint, RocketChatPolicy> {
    Route { needs_login: false, ..route(endpoint, path, methods) }
}

/// Returns a row that needs a login. All endpoints accept bodies of one size.
const fn route(
    endpoint: Endpoint,
    path: &'static str,
    methods: fn(&RocketChatPolicy) -> &'static [Method],
) -> Route<Endpoint, RocketChatPolicy> {
    Route { endpoint, path, methods, max_body: |policy| policy.max_body, needs_login: true }
}

impl Endpoint {
    /// Returns the path below [`BASE_PATH`], by the name of the newest release.
    #[must_use]
    pub fn path(self) -> &'static str {
        ROUTES.path(self)
    }

    /// Returns the names of earlier versions of this crate, below [`BASE_PATH`]. They are served
    /// for one release.
    pub fn aliases(self) -> impl Iterator<Item = &'static str> {
        ROUTES.rows().iter().skip(Self::ALL.len()).filter(move |row| row.endpoint == self).map(|row| row.path)
    }

    /// Returns the methods that act.
    #[must_use]
    pub fn methods(self) -> &'static [Method] {
        match self {
            Self::Logout => GET_POST,
            _ if self.is_read() => GET,
            _ => POST,
        }
    }

    /// Whether the endpoint only reads. Such an endpoint answers `HEAD` as it answers `GET`,
    /// without the body.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::TotpCodesRemaining | Self::Me | Self::FetchKeys | Self::Info)
    }

    /// Returns the members that a request's body may have, for a check against published types.
    #[must_use]
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::ResetE2eKey | Self::ResetTotp => &["userId", "username", "user"],
            Self::TotpValidate | Self::TotpDisable | Self::TotpRegenerateCodes | Self::RedeemLoginCode => &["code"],
            Self::SendEmailCode => &["emailOrUsername"],
            Self::Login => &["user", "username", "email", "password", "code", "resume", "totp"],
            Self::LogoutUser | Self::RemoveOtherTokens => &["userId"],
            Self::SendChallengeCode => &["challengeId"],
            Self::VerifyChallenge => &["challengeId", "code"],
            Self::SetKeys => &["public_key", "private_key", "force"],
            Self::TotpEnable
            | Self::TotpCodesRemaining
            | Self::EnableEmail
            | Self::DisableEmail
            | Self::Logout
            | Self::Me
            | Self::LogoutOtherClients
            | Self::FetchKeys
            | Self::Info => &[],
        }
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
    pub(crate) sent: SentCode,
    pub(crate) call: Call,
}

/// What is called, with its parameters.
pub(crate) enum Call {
    /// By anybody.
    Open(OpenCall),
    /// By a caller who is logged in.
    LoggedIn(CallerCall),
}

/// A call that needs no login.
pub(crate) enum OpenCall {
    SendEmailCode { email_or_username: String },
    Login(LoginForm),
    SendChallengeCode { id: String },
    VerifyChallenge { id: String, code: SecretString },
    RedeemLoginCode(SecretString),
    Info,
}

/// A call that needs a login.
pub(crate) enum CallerCall {
    ResetE2eKey(Target),
    ResetTotp(Target),
    TotpEnable,
    TotpValidate(SecretString),
    TotpDisable(SecretString),
    TotpRegenerateCodes(SecretString),
    TotpCodesRemaining,
    EnableEmail,
    DisableEmail,
    Logout,
    Me,
    LogoutOtherClients,
    /// The user that mobile apps name, which is the caller.
    RemoveOtherTokens(Option<String>),
    LogoutUser(Option<String>),
    SetKeys {
        keys: EndToEndKeys,
        replace: bool,
    },
    FetchKeys,
}

impl<'r> Input<'r> {
    pub(crate) fn read<B: AsRef<[u8]>>(
        route: &Route<Endpoint, RocketChatPolicy>,
        request: &'r Request<B>,
        policy: &RocketChatPolicy,
    ) -> Result<Self, ApiError> {
        let sent = if route.needs_login || route.endpoint == Endpoint::Login {
            sent_code(request.headers())?
        } else {
            SentCode { code: None, method: None }
        };
        if !route.takes(request.body().as_ref().len(), policy) {
            return Err(ApiError::too_large());
        }
        Ok(Self { peer: Peer::of(request), sent, call: Call::read(route.endpoint, &params::body(request)?)? })
    }
}

impl Call {
    fn read(endpoint: Endpoint, params: &Params) -> Result<Self, ApiError> {
        let code = || params.only("code").map(|code| SecretString::new(code.into()));
        let user_id = || params.user_id().map(|id| id.map(str::to_owned));
        let nothing = |call| params.strings(&[]).map(|()| call);
        Ok(Self::LoggedIn(match endpoint {
            Endpoint::ResetE2eKey => CallerCall::ResetE2eKey(params.target()?),
            Endpoint::ResetTotp => CallerCall::ResetTotp(params.target()?),
            Endpoint::TotpEnable => nothing(CallerCall::TotpEnable)?,
            Endpoint::TotpValidate => CallerCall::TotpValidate(code()?),
            Endpoint::TotpDisable => CallerCall::TotpDisable(code()?),
            Endpoint::TotpRegenerateCodes => CallerCall::TotpRegenerateCodes(code()?),
            Endpoint::TotpCodesRemaining => nothing(CallerCall::TotpCodesRemaining)?,
            Endpoint::EnableEmail => nothing(CallerCall::EnableEmail)?,
            Endpoint::DisableEmail => nothing(CallerCall::DisableEmail)?,
            Endpoint::Logout => nothing(CallerCall::Logout)?,
            Endpoint::Me => nothing(CallerCall::Me)?,
            Endpoint::LogoutOtherClients => nothing(CallerCall::LogoutOtherClients)?,
            Endpoint::RemoveOtherTokens => CallerCall::RemoveOtherTokens(user_id()?),
            Endpoint::LogoutUser => CallerCall::LogoutUser(user_id()?),
            Endpoint::SetKeys => {
                let (keys, replace) = params.keys()?;
                CallerCall::SetKeys { keys, replace }
            }
            Endpoint::FetchKeys => nothing(CallerCall::FetchKeys)?,
            Endpoint::SendEmailCode => {
                let email_or_username = params.only("emailOrUsername")?.into();
                return Ok(Self::Open(OpenCall::SendEmailCode { email_or_username }));
            }
            Endpoint::Login => return Ok(Self::Open(OpenCall::Login(params.login()?))),
            Endpoint::SendChallengeCode => {
                return Ok(Self::Open(OpenCall::SendChallengeCode { id: params.challenge_id()?.into() }));
            }
            Endpoint::VerifyChallenge => {
                let (id, code) = params.challenge()?;
                let code = SecretString::new(code.into());
                return Ok(Self::Open(OpenCall::VerifyChallenge { id: id.into(), code }));
            }
            Endpoint::RedeemLoginCode => return Ok(Self::Open(OpenCall::RedeemLoginCode(code()?))),
            Endpoint::Info => return params.strings(&[]).map(|()| Self::Open(OpenCall::Info)),
        }))
    }
}

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

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_exact() {
        let endpoint = |path: &str| find(path).map(|route| route.endpoint);
        assert_eq!(endpoint("/api/v1/users.resetE2EKey"), Some(Endpoint::ResetE2eKey));
        assert_eq!(endpoint("/api/info"), Some(Endpoint::Info));
        assert_eq!(endpoint("/api/v1/info"), Some(Endpoint::Info));
        for path in [
            "/api/v1/users.resete2ekey",
            "/users.resetE2EKey",
            "/api/v1/users.resetE2EKey/",
            "/api/v1/",
            "/api/info/",
            "/api//v1/me",
            "//api/v1/me",
            "/api/v1//me",
            "/api/me",
        ] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_one_route() {
        assert!(ROUTES.rows().iter().map(|row| row.endpoint).take(Endpoint::ALL.len()).eq(Endpoint::ALL));
        let policy = RocketChatPolicy::default();
        for row in ROUTES.rows() {
            assert_eq!((row.methods)(&policy), row.endpoint.methods(), "{}", row.path);
        }
        let aliases: Vec<&str> = Endpoint::ALL.into_iter().flat_map(Endpoint::aliases).collect();
        assert_eq!(aliases.len(), ROUTES.rows().len() - Endpoint::ALL.len());
        assert_eq!(Endpoint::TotpEnable.aliases().collect::<Vec<_>>(), ["users.totp.enable"]);
        for endpoint in Endpoint::ALL {
            let path = format!("{BASE_PATH}{}", endpoint.path());
            assert_eq!(find(&path).map(|route| route.endpoint), Some(endpoint));
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
            for endpoint in Endpoint::ALL {
                let _ = params::body(&request).and_then(|params| Call::read(endpoint, &params)).is_ok();
            }
        }
    }
}
