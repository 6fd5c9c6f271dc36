//! The parameters of a request: the members of its JSON object, in the form that each endpoint
//! takes.

use http::Request;
use http::header::CONTENT_TYPE;
use keywright_core::SecretString;
use keywright_wire::{is_json, parse_json};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::host::Named;
use crate::user::{EndToEndKeys, SentPassword};

/// The longest key of an end-to-end key pair, in bytes. The keys of present clients, RSA of 2,048
/// bits as JSON, have less than a tenth of it.
const MAX_KEY_BYTES: usize = 65_536;

/// Reads a request's body: a JSON object. An empty body counts as the empty object, which is what
/// the published client sends for a call without parameters. Forms are refused: a request about
/// another user's account must never be read as one about the caller's own.
pub(crate) fn body<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Params, ApiError> {
    let body = request.body().as_ref();
    if body.is_empty() {
        return Ok(Params(Map::new()));
    }
    let mut kinds = request.headers().get_all(CONTENT_TYPE).iter();
    if !kinds.next().is_some_and(is_json) || kinds.next().is_some() {
        return Err(ApiError::invalid_params("must NOT have additional properties"));
    }
    // An object that names a member twice is none.
    match parse_json(body) {
        Some(Value::Object(members)) => Ok(Params(members)),
        Some(_) => Err(ApiError::invalid_params("must be object")),
        None => Err(ApiError::invalid_params("must be valid JSON")),
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
        self.required(name)
    }

    /// Returns a member that must be there, of an object whose members are strings.
    fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(name))
    }

    /// Returns the id and the code of a challenge. What is missing has an error of its own
    /// (protocol § 15).
    pub(crate) fn challenge(&self) -> Result<(&str, &str), ApiError> {
        self.strings(&["challengeId", "code"])?;
        Ok((self.parameter("challengeId")?, self.parameter("code")?))
    }

    /// Returns the id of a challenge.
    pub(crate) fn challenge_id(&self) -> Result<&str, ApiError> {
        self.strings(&["challengeId"])?;
        self.parameter("challengeId")
    }

    fn parameter(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(ApiError::parameter_required)
    }

    /// Returns the member `userId`, of an object that may have it and nothing else.
    pub(crate) fn user_id(&self) -> Result<Option<&str>, ApiError> {
        self.strings(&["userId"])?;
        Ok(self.text("userId"))
    }

    /// Returns an end-to-end key pair, and whether it may replace another.
    pub(crate) fn keys(&self) -> Result<(EndToEndKeys, bool), ApiError> {
        const TEXTS: [&str; 2] = ["public_key", "private_key"];
        let Self(members) = self;
        let force = members.get("force");
        if members.keys().any(|name| name != "force" && !TEXTS.contains(&name.as_str())) {
            return Err(ApiError::invalid_params("must NOT have additional properties"));
        }
        if force.is_some_and(|force| !force.is_boolean()) {
            return Err(ApiError::invalid_params("must be boolean"));
        }
        if TEXTS.iter().any(|name| members.get(*name).is_some_and(|value| !value.is_string())) {
            return Err(ApiError::invalid_params("must be string"));
        }
        let (public, private) = (self.required("public_key")?, self.required("private_key")?);
        if public.len().max(private.len()) > MAX_KEY_BYTES {
            return Err(ApiError::invalid_params("must NOT have more than 65536 characters"));
        }
        let keys = EndToEndKeys::new(public, SecretString::new(private.into()));
        Ok((keys, force.and_then(Value::as_bool).unwrap_or(false)))
    }

    /// Returns the contents of a log-in.
    pub(crate) fn login(&self) -> Result<LoginForm, ApiError> {
        let Self(members) = self;
        if let Some(totp) = members.get("totp") {
            // The form of the mobile app: the log-in itself is inside.
            let (Some(Value::Object(login)), true) = (totp.get("login"), members.len() == 1) else {
                return Err(LoginForm::mistyped());
            };
            let mut login = login.clone();
            let code = totp.get("code");
            if login.contains_key("totp") || (code.is_some() && login.contains_key("code")) {
                return Err(LoginForm::mistyped());
            }
            login.extend(code.map(|code| ("code".to_owned(), code.clone())));
            return Self(login).login();
        }
        LoginForm::read(members)
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

/// What a log-in consists of (protocol § 15).
pub(crate) enum LoginForm {
    /// A login that is continued.
    Resume(SecretString),
    /// A name and a password.
    Password { name: LoginName, password: LoginPassword, code: Option<SecretString> },
}

impl LoginForm {
    fn mistyped() -> ApiError {
        ApiError::invalid_params("must match exactly one schema in oneOf")
    }

    fn read(members: &Map<String, Value>) -> Result<Self, ApiError> {
        const NAMES: [&str; 3] = ["user", "username", "email"];
        let known =
            |name: &String| NAMES.contains(&name.as_str()) || ["password", "code", "resume"].contains(&name.as_str());
        if !members.keys().all(known) {
            return Err(ApiError::invalid_params("must NOT have additional properties"));
        }
        if let Some(token) = members.get("resume") {
            let (Some(token), true) = (token.as_str(), members.len() == 1) else { return Err(Self::mistyped()) };
            return Ok(Self::Resume(SecretString::new(token.into())));
        }
        let mut names = NAMES.iter().filter_map(|kind| members.get(*kind).map(|name| (*kind, name)));
        let (Some((kind, name)), None) = (names.next(), names.next()) else { return Err(Self::mistyped()) };
        let name = LoginName::read(kind, name).ok_or_else(Self::mistyped)?;
        let password = members.get("password").ok_or_else(|| ApiError::missing("password"))?;
        let password = LoginPassword::read(password).ok_or_else(Self::mistyped)?;
        let code = match members.get("code") {
            None => None,
            Some(Value::String(code)) => Some(SecretString::new(code.clone())).filter(|code| !code.expose().is_empty()),
            Some(_) => return Err(Self::mistyped()),
        };
        Ok(Self::Password { name, password, code })
    }
}

/// Who logs in.
pub(crate) enum LoginName {
    Username(String),
    Email(String),
    /// A name or an address: the protocol takes what has an at sign as an address, but a username
    /// may have one too.
    Either(String),
}

impl LoginName {
    fn read(kind: &str, name: &Value) -> Option<Self> {
        match (kind, name) {
            ("username", Value::String(name)) => Some(Self::Username(name.clone())),
            ("email", Value::String(name)) => Some(Self::Email(name.clone())),
            ("user", Value::String(name)) => Some(Self::Either(name.clone())),
            ("user", Value::Object(inner)) => {
                let mut inner = inner.iter();
                match (inner.next(), inner.next()) {
                    (Some((kind, name)), None) if ["username", "email"].contains(&kind.as_str()) => {
                        Self::read(kind, name)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub(crate) fn named(&self) -> Named<'_> {
        match self {
            Self::Username(name) => Named::Username(name),
            Self::Email(name) => Named::Email(name),
            Self::Either(name) => Named::EmailOrUsername(name),
        }
    }

    #[cfg(test)]
    fn text(&self) -> &str {
        match self {
            Self::Username(name) | Self::Email(name) | Self::Either(name) => name,
        }
    }
}

/// A password as it was sent.
pub(crate) enum LoginPassword {
    Plain(SecretString),
    /// 64 lower-case hex digits.
    Digest(SecretString),
}

impl LoginPassword {
    /// Reads a string, `{digest, algorithm}` or `{hashed}`: the published types and the published
    /// clients name the digest differently.
    fn read(value: &Value) -> Option<Self> {
        let members = match value {
            Value::String(text) => return Some(Self::Plain(SecretString::new(text.clone()))),
            Value::Object(members) => members,
            _ => return None,
        };
        let algorithm = members.get("algorithm").map_or(Some("sha-256"), Value::as_str)?;
        let (digest, hashed) = (members.get("digest"), members.get("hashed"));
        let digest = match (digest, hashed) {
            (Some(digest), None) | (None, Some(digest)) => digest.as_str()?,
            _ => return None,
        };
        let expected = if members.contains_key("algorithm") { 2 } else { 1 };
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && algorithm == "sha-256" && members.len() == expected)
            .then(|| Self::Digest(SecretString::new(digest.to_ascii_lowercase())))
    }

    pub(crate) const fn sent(&self) -> SentPassword<'_> {
        match self {
            Self::Plain(password) => SentPassword::Plain(password),
            Self::Digest(digest) => SentPassword::Digest(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn login(text: &str) -> Option<(&'static str, String, bool, Option<String>)> {
        match json(text).and_then(|params| params.login()).ok()? {
            LoginForm::Resume(token) => Some(("resume", token.expose().into(), false, None)),
            LoginForm::Password { name, password, code } => {
                let kind = match &name {
                    LoginName::Username(_) => "username",
                    LoginName::Email(_) => "email",
                    LoginName::Either(_) => "either",
                };
                let code = code.map(|code| code.expose().to_owned());
                Some((kind, name.text().into(), matches!(password, LoginPassword::Digest(_)), code))
            }
        }
    }

    #[test]
    fn all_forms_of_a_login_are_taken_and_no_mixture() {
        let digest = "Aa".repeat(32);
        let found = |kind, digest, code: Option<&str>| Some((kind, "a".to_owned(), digest, code.map(str::to_owned)));
        for (text, expected) in [
            (r#"{"user":"a","password":"p"}"#.to_owned(), found("either", false, None)),
            (r#"{"username":"a","password":"p","code":"123456"}"#.into(), found("username", false, Some("123456"))),
            (r#"{"email":"a","password":"p","code":""}"#.into(), found("email", false, None)),
            (r#"{"user":{"username":"a"},"password":"p"}"#.into(), found("username", false, None)),
            (
                format!(r#"{{"user":{{"email":"a"}},"password":{{"digest":"{digest}","algorithm":"sha-256"}}}}"#),
                found("email", true, None),
            ),
            (format!(r#"{{"user":"a","password":{{"hashed":"{digest}"}}}}"#), found("either", true, None)),
            (
                r#"{"totp":{"login":{"user":{"username":"a"},"password":"p"},"code":"1"}}"#.into(),
                found("username", false, Some("1")),
            ),
            (r#"{"resume":"a"}"#.into(), found("resume", false, None)),
        ] {
            assert_eq!(login(&text), expected, "{text}");
        }
        for text in [
            "{}",
            r#"{"user":"a"}"#,
            r#"{"password":"p"}"#,
            r#"{"user":"a","username":"a","password":"p"}"#,
            r#"{"user":"a","password":"p","ldap":true}"#,
            r#"{"user":1,"password":"p"}"#,
            r#"{"user":{"username":"a","email":"a"},"password":"p"}"#,
            r#"{"user":{"user":"a"},"password":"p"}"#,
            r#"{"username":{"username":"a"},"password":"p"}"#,
            r#"{"user":"a","password":1}"#,
            r#"{"user":"a","password":{}}"#,
            r#"{"user":"a","password":{"digest":"00"}}"#,
            r#"{"user":"a","password":"p","code":1}"#,
            r#"{"resume":"a","user":"a"}"#,
            r#"{"resume":1}"#,
            r#"{"totp":{"login":{"user":"a","password":"p","code":"1"},"code":"2"}}"#,
            r#"{"totp":{"login":{"totp":{"login":{}}}}}"#,
            r#"{"totp":{"code":"1"}}"#,
            r#"{"totp":{"login":{"user":"a","password":"p"}},"user":"a"}"#,
        ] {
            assert_eq!(login(text), None, "{text}");
        }
        let digest = format!(r#"{{"user":"a","password":{{"digest":"{digest}","algorithm":"md5"}}}}"#);
        assert_eq!(login(&digest), None);
    }

    #[test]
    fn keys_are_two_texts_and_a_switch() {
        let keys = |text: &str| json(text).and_then(|params| params.keys()).ok().map(|(_, replace)| replace);
        assert_eq!(keys(r#"{"public_key":"a","private_key":"b"}"#), Some(false));
        assert_eq!(keys(r#"{"public_key":"a","private_key":"b","force":true}"#), Some(true));
        for text in [
            "{}",
            r#"{"public_key":"a"}"#,
            r#"{"public_key":"a","private_key":1}"#,
            r#"{"public_key":"a","private_key":"b","force":"true"}"#,
            r#"{"public_key":"a","private_key":"b","more":true}"#,
        ] {
            assert_eq!(keys(text), None, "{text}");
        }
        let long = |length| keys(&format!(r#"{{"public_key":"a","private_key":"{}"}}"#, "x".repeat(length)));
        assert_eq!((long(MAX_KEY_BYTES), long(MAX_KEY_BYTES + 1)), (Some(false), None));
    }
}
