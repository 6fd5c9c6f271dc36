//! Requests: the endpoint, the login and the session. All input is bounded, and none of it is
//! logged.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method};
use keywright_core::SecretString;
use keywright_wire::{Route, Routes};
use zeroize::Zeroizing;

use crate::host::Endpoint;
use crate::policy::{BASE_PATH, NextcloudPolicy, ResetStyle};
use crate::session::Presented;

/// The header and the cookie that carry the session id.
pub(crate) const SESSION_HEADER: &str = "x-api-session";
pub(crate) const SESSION_COOKIE: &str = "nc_passwords";
/// Longer user names and passwords cannot be valid logins, and are refused before anything is
/// hashed.
const MAX_LOGIN_BYTES: usize = 1024;

/// The credentials of the `Authorization` header.
pub(crate) enum Credentials {
    /// HTTP Basic: a login name, and an app token or the login password.
    Basic { name: String, secret: SecretString },
    /// A Bearer token.
    Bearer(SecretString),
}

/// `GET` alone, where it acts: it ends a session, or has something sent.
const GET: &[Method] = &[Method::GET];
/// `GET`, and `HEAD` in the same way, where neither does more than refresh the session.
const READ: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];

/// The routes below [`BASE_PATH`], in the order of [`Endpoint::ALL`].
pub(crate) const ROUTES: Routes<Endpoint, NextcloudPolicy> = Routes::new(
    BASE_PATH,
    &[
        route(Endpoint::SessionRequest, "session/request", |_| READ),
        route(Endpoint::SessionOpen, "session/open", |_| POST),
        route(Endpoint::SessionKeepalive, "session/keepalive", |_| READ),
        route(Endpoint::SessionClose, "session/close", |_| GET),
        route(Endpoint::ChallengeGet, "account/challenge/get", |_| READ),
        route(Endpoint::ChallengeSet, "account/challenge/set", |_| POST),
        route(Endpoint::AccountReset, "account/reset", |policy| match policy.reset {
            ResetStyle::Code => &[Method::GET, Method::POST],
            ResetStyle::Wait => POST,
        }),
        route(Endpoint::KeychainGet, "keychain/get", |_| READ),
        route(Endpoint::KeychainSet, "keychain/set", |_| POST),
        route(Endpoint::TokenRequest, "token/{provider}/request", |_| GET),
        route(Endpoint::SettingsGet, "settings/get", |_| POST),
        route(Endpoint::SettingsList, "settings/list", |_| &[Method::GET, Method::HEAD, Method::POST]),
        route(Endpoint::SettingsSet, "settings/set", |_| POST),
        route(Endpoint::SettingsReset, "settings/reset", |_| POST),
    ],
);

/// Returns a row of the table. All endpoints need a login, and accept bodies of one size.
const fn route(
    endpoint: Endpoint,
    path: &'static str,
    methods: fn(&NextcloudPolicy) -> &'static [Method],
) -> Route<Endpoint, NextcloudPolicy> {
    Route { endpoint, path, methods, max_body: |policy| policy.max_body, needs_login: true }
}

impl Endpoint {
    /// Returns the path below `…/api/1.0/`. A segment in braces stands for any one segment.
    #[must_use]
    pub fn path(self) -> &'static str {
        ROUTES.path(self)
    }

    /// Returns the methods that are answered, `HEAD` included.
    #[must_use]
    pub fn methods(self, policy: &NextcloudPolicy) -> &'static [Method] {
        ROUTES.rows().iter().find(|row| row.endpoint == self).map_or(&[], |row| (row.methods)(policy))
    }

    /// Returns the members that a request's body may have, for a check against what clients send:
    /// those that the endpoint reads under any policy. Others are ignored. The settings endpoints
    /// also take members, or lists, of settings' names.
    #[must_use]
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::SessionOpen => &[member::CHALLENGE, member::TOKEN],
            Self::ChallengeSet => &[member::DATA, member::OLD_SECRET, member::SECRET],
            Self::AccountReset => &[member::CODE, member::PASSWORD],
            Self::KeychainSet => &[member::ID, member::DATA],
            Self::SettingsList => &[member::SCOPES],
            Self::SessionRequest
            | Self::SessionKeepalive
            | Self::SessionClose
            | Self::ChallengeGet
            | Self::KeychainGet
            | Self::TokenRequest
            | Self::SettingsGet
            | Self::SettingsSet
            | Self::SettingsReset => &[],
        }
    }
}

/// The members of bodies, by their names on the wire.
pub(crate) mod member {
    pub(crate) const CHALLENGE: &str = "challenge";
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const SECRET: &str = "secret";
    pub(crate) const DATA: &str = "data";
    pub(crate) const OLD_SECRET: &str = "oldSecret";
    pub(crate) const CODE: &str = "code";
    pub(crate) const PASSWORD: &str = "password";
    pub(crate) const ID: &str = "id";
    pub(crate) const SCOPES: &str = "scopes";
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// Reads the login: exactly one header, in one of the two schemes. Anything else counts as no
/// login.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() && rest.len() <= MAX_LOGIN_BYTES {
        return Some(Credentials::Bearer(SecretString::new(rest.into())));
    }
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > MAX_LOGIN_BYTES * 3 {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(rest).ok()?);
    let (name, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    if name.is_empty() || name.len() > MAX_LOGIN_BYTES || secret.len() > MAX_LOGIN_BYTES {
        return None;
    }
    Some(Credentials::Basic { name: name.into(), secret: SecretString::new(secret.into()) })
}

/// Reads the session id. The cookie has precedence over the header (protocol § 2.1); neither is
/// ever an error.
pub(crate) fn session(headers: &HeaderMap) -> Option<Presented> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    match pairs.find(|(name, id)| *name == SESSION_COOKIE && !id.is_empty()) {
        Some((_, id)) => Presented::parse(id),
        None => Presented::parse(headers.get(SESSION_HEADER)?.to_str().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn basic(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap());
        headers
    }

    #[test]
    fn basic_splits_at_the_first_colon_and_reads_utf8() {
        let Some(Credentials::Basic { name, secret }) = credentials(&basic("älice:pass:wörd")) else {
            panic!("no login");
        };
        assert_eq!((name.as_str(), secret.expose()), ("älice", "pass:wörd"));
        assert!(credentials(&basic("no-colon")).is_none());
        assert!(credentials(&basic(":secret")).is_none());
    }

    #[test]
    fn two_authorization_headers_are_no_login() {
        let mut headers = basic("a:b");
        headers.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        assert!(credentials(&headers).is_none());
    }

    #[test]
    fn the_cookie_has_precedence() {
        let id = |byte: u8| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([byte; 64]);
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, id(1).parse().unwrap());
        assert_eq!(session(&headers).unwrap().text(), id(1));
        headers.insert(COOKIE, format!("a=b; {SESSION_COOKIE}={}", id(2)).parse().unwrap());
        assert_eq!(session(&headers).unwrap().text(), id(2));
        headers.insert(COOKIE, format!("{SESSION_COOKIE}=").parse().unwrap());
        assert_eq!(session(&headers).unwrap().text(), id(1), "an empty one is none");
        headers.insert(SESSION_HEADER, "".parse().unwrap());
        assert!(session(&headers).is_none());
    }

    #[test]
    fn paths_are_exact() {
        let endpoint = |path: &str| ROUTES.find(path).map(|(route, _)| route.endpoint);
        assert_eq!(endpoint("/index.php/apps/passwords/api/1.0/session/open"), Some(Endpoint::SessionOpen));
        for path in
            ["/session/open", "/index.php/apps/passwords/api/1.0/session/open/", "/index.php/apps/passwords/api/1.0/"]
        {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_one_route() {
        assert!(ROUTES.rows().iter().map(|row| row.endpoint).eq(Endpoint::ALL));
        for endpoint in Endpoint::ALL {
            let path = format!("{BASE_PATH}{}", endpoint.path().replace("{provider}", "totp"));
            assert_eq!(ROUTES.find(&path).map(|(route, _)| route.endpoint), Some(endpoint));
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_an_answer(value in "[\\x20-\\x7e]{0,200}") {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            headers.insert(COOKIE, value.parse().unwrap());
            let _ = credentials(&headers);
            let _ = session(&headers);
        }
    }
}
