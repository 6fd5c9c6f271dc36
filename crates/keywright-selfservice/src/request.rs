//! The routes as one table, and what an endpoint reads.

use http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};
use keywright_core::SecretString;
use keywright_wire::{Route, Routes};
use serde_json::Value;

use crate::policy::MAX_BODY;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Declares the endpoints with their paths and methods.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident: $path:literal, $login:literal, [$($method:ident),+];)+) => {
        /// An endpoint of the pages or of the JSON API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Endpoint {
            $($(#[$doc])* $name,)+
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        const ROWS: &[Route<Endpoint, ()>] = &[$(
            Route {
                endpoint: Endpoint::$name,
                path: $path,
                methods: |()| &[$(Method::$method),+],
                max_body: |()| MAX_BODY,
                needs_login: $login,
            },
        )+];
    };
}

endpoints! {
    /// The overview.
    Overview: "", true, [GET, HEAD];
    /// All recent activity.
    Activity: "activity", true, [GET, HEAD];
    /// Begins the enrolment of an authenticator, also in place of another.
    Enrol: "authenticators/add", true, [GET, HEAD, POST];
    /// Checks the first code of an authenticator.
    EnrolConfirm: "authenticators/confirm", true, [POST];
    /// Removes an authenticator or another factor.
    Remove: "authenticators/{id}/remove", true, [GET, HEAD, POST];
    /// Renames an authenticator or another factor.
    Rename: "authenticators/{id}/rename", true, [GET, HEAD, POST];
    /// Makes recovery codes.
    Recovery: "recovery-codes", true, [GET, HEAD, POST];
    /// Makes the recovery codes live that were shown.
    RecoveryKeep: "recovery-codes/keep", true, [POST];
    /// Returns the recovery codes of the form as a file.
    RecoveryFile: "recovery-codes/file", true, [POST];
    /// Forgets or renames a remembered browser.
    Browser: "browsers/{id}", true, [GET, HEAD, POST];
    /// Forgets all remembered browsers.
    BrowsersForget: "browsers", true, [POST];
    /// Ends all other sessions.
    SessionsEnd: "sessions/end", true, [GET, HEAD, POST];
    /// Cancels a pending change of address.
    AddressCancel: "address/cancel", true, [POST];
    /// Begins the confirmation of an action of the host.
    Confirm: "confirm/{action}", true, [GET, HEAD, POST];
    /// Confirms an action of the host.
    ConfirmGrant: "confirm/{action}/grant", true, [POST];
    /// Ends the session.
    SignOut: "sign-out", true, [POST];
    /// The page behind a mailed link, whose button admits a client.
    Admit: "admit", false, [GET, HEAD, POST];
    /// The stylesheet.
    Style: "assets/style.css", false, [GET, HEAD];
    /// The script, without which everything works.
    Script: "assets/script.js", false, [GET, HEAD];
    /// JSON: the session's form token.
    ApiSession: "security/v1/session", true, [GET];
    /// JSON: what the account has enrolled.
    ApiOverview: "security/v1/overview", true, [GET];
    /// JSON: recent activity.
    ApiActivity: "security/v1/activity", true, [GET];
    /// JSON: begins the enrolment of an authenticator.
    ApiEnrol: "security/v1/authenticators", true, [POST];
    /// JSON: checks the first code of an authenticator.
    ApiEnrolConfirm: "security/v1/authenticators/confirm", true, [POST];
    /// JSON: removes an authenticator or another factor.
    ApiRemove: "security/v1/authenticators/{id}/remove", true, [POST];
    /// JSON: renames an authenticator or another factor.
    ApiRename: "security/v1/authenticators/{id}/rename", true, [POST];
    /// JSON: mails the code that a change of factors requires.
    ApiMailedCode: "security/v1/mailed-code", true, [POST];
    /// JSON: makes recovery codes.
    ApiRecovery: "security/v1/recovery-codes", true, [POST];
    /// JSON: makes the recovery codes live that were returned.
    ApiRecoveryKeep: "security/v1/recovery-codes/keep", true, [POST];
    /// JSON: the remembered browsers.
    ApiBrowsers: "security/v1/browsers", true, [GET];
    /// JSON: renames a remembered browser.
    ApiBrowserRename: "security/v1/browsers/{id}/rename", true, [POST];
    /// JSON: forgets a remembered browser.
    ApiBrowserForget: "security/v1/browsers/{id}/forget", true, [POST];
    /// JSON: forgets all remembered browsers.
    ApiBrowsersForget: "security/v1/browsers/forget", true, [POST];
    /// JSON: ends all other sessions.
    ApiSessionsEnd: "security/v1/sessions/end", true, [POST];
    /// JSON: cancels a pending change of address.
    ApiAddressCancel: "security/v1/address/cancel", true, [POST];
    /// JSON: begins the confirmation of an action of the host.
    ApiConfirm: "security/v1/confirm/{action}", true, [POST];
    /// JSON: confirms an action of the host.
    ApiConfirmGrant: "security/v1/confirm/{action}/grant", true, [POST];
}

pub(crate) const ROUTES: Routes<Endpoint, ()> = Routes::new("/", ROWS);

impl Endpoint {
    /// Returns the path below the base, with a varying segment in braces. It is the form in which
    /// axum writes routes.
    #[must_use]
    pub fn path(self) -> &'static str {
        ROUTES.path(self)
    }

    /// Returns the methods that act.
    #[must_use]
    pub fn methods(self) -> &'static [Method] {
        ROWS.iter().find(|route| route.endpoint == self).map_or(&[], |route| (route.methods)(&()))
    }

    /// Whether the endpoint is part of the JSON API.
    #[must_use]
    pub fn is_api(self) -> bool {
        self.path().starts_with("security/v1/")
    }
}

/// The fields of a form or of a JSON object. Every value is kept as a secret, because some are.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, SecretString)>);

impl Form {
    /// Reads a form. Of repeated fields the first one counts.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let fields = form_urlencoded::parse(body);
        Self(fields.map(|(name, value)| (name.into_owned(), SecretString::new(value.into_owned()))).collect())
    }

    /// Reads the text members of a JSON object; `None` if the body is anything else. An empty body
    /// is an empty object.
    pub(crate) fn parse_json(body: &[u8]) -> Option<Self> {
        if body.is_empty() {
            return Some(Self::default());
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return None };
        let text = |(name, value)| match value {
            Value::String(text) => Some((name, SecretString::new(text))),
            _ => None,
        };
        members.into_iter().map(text).collect::<Option<_>>().map(Self)
    }

    /// Returns a field, or an empty text.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.expose())
    }
}

/// Returns a parameter of the query, or an empty text.
pub(crate) fn query(head: &Parts, name: &str) -> String {
    let query = head.uri.query().unwrap_or_default();
    let found = form_urlencoded::parse(query.as_bytes()).find(|(field, _)| field == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Whether the body is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Whether a browser states that the request comes from another site (`docs/decisions.md` 222).
///
/// `Sec-Fetch-Site` decides where there is one. Otherwise `Origin` must be that of the request's
/// host, except for `null`: browsers send that for a form of a page with `no-referrer`. A request
/// with neither is not from another site as far as anybody can tell; the form's token decides.
///
/// The pages check this themselves. It is public for the host's log-in form.
#[must_use]
pub fn is_cross_site(head: &Parts) -> bool {
    if let Some(site) = head.headers.get(SEC_FETCH_SITE) {
        return site != "same-origin";
    }
    let Some(origin) = head.headers.get(ORIGIN) else { return false };
    if origin == "null" {
        return false;
    }
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
    authority.is_empty() || !authority.eq_ignore_ascii_case(host)
}
