//! The settings that stock applications read before they open a session (protocol § 11).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::policy::{NextcloudPolicy, SESSION_LIFETIME};

/// How many settings one request may name.
pub(crate) const MAX_NAMES: usize = 1_000;

/// The names of the settings that this crate decides.
const APP_VERSION: &str = "server.app.version";
const LIFETIME: &str = "user.session.lifetime";
const CLIENT_ENCRYPTION: &str = "user.encryption.cse";
const SERVER_ENCRYPTION: &str = "user.encryption.sse";
const HASH: &str = "user.password.security.hash";

/// Settings by name. Names begin with `server.`, `user.` or `client.`; values are text, numbers,
/// booleans and lists.
///
/// ```
/// use keywright_nextcloud::Settings;
///
/// let settings = Settings::new().with_base_url("https://cloud.example/").with("user.sharing.editable", false);
/// assert_eq!(settings.get("server.baseUrl.webdav"), Some(&"https://cloud.example/remote.php/webdav".into()));
/// assert_eq!(settings.len(), 3);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, Value>,
}

// The values may be the user's own.
keywright_core::redacted_debug!(Settings);

impl Settings {
    /// Returns no settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// Sets `server.baseUrl`, where clients reach the server, and `server.baseUrl.webdav` below it.
    /// The address ends in a slash and may contain a sub-directory.
    #[must_use]
    pub fn with_base_url(self, url: &str) -> Self {
        self.with("server.baseUrl", url).with("server.baseUrl.webdav", format!("{url}remote.php/webdav"))
    }

    /// Returns a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Returns the names and values, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns how many settings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns what a client is shown: the host's settings over the defaults, and the values that
    /// this crate decides over both.
    pub(crate) fn shown(host: Self, policy: &NextcloudPolicy, has_challenge: bool) -> Self {
        let mut shown = Self::defaults();
        shown.values.extend(host.values);
        shown
            .with(APP_VERSION, policy.app_version())
            .with(LIFETIME, SESSION_LIFETIME)
            .with(CLIENT_ENCRYPTION, u8::from(has_challenge))
            .with(SERVER_ENCRYPTION, 0)
            // The digits of a password's SHA-1 that clients send to find leaked ones.
            .with(HASH, 40)
    }

    /// Returns the values of the protocol's page that the host decides, as a server has them that
    /// keeps no shares, sends no notices and has no theme of its own. Without the host nobody knows
    /// the server's address, so the settings that contain one have no default.
    fn defaults() -> Self {
        Self::new()
            .with("server.version", "32")
            .with("server.theme.color.primary", "#0082c9")
            .with("server.theme.color.text", "#ffffff")
            .with("server.theme.color.background", "#ffffff")
            .with("server.theme.label", "Passwords")
            .with("server.sharing.enabled", false)
            .with("server.sharing.resharing", false)
            .with("server.sharing.autocomplete", false)
            .with("server.sharing.types", Value::Array(Vec::new()))
            .with("user.password.security.duplicates", true)
            .with("user.password.security.age", 0)
            .with("user.password.generator.strength", 1)
            .with("user.password.generator.numbers", false)
            .with("user.password.generator.special", false)
            .with("user.sharing.editable", false)
            .with("user.sharing.resharing", false)
            .with("user.notification.security", false)
            .with("user.notification.shares", false)
            .with("user.notification.errors", false)
            .with("user.mail.security", false)
            .with("user.mail.shares", false)
    }

    /// Returns the object with these names, as answers have it: an unknown name is null.
    pub(crate) fn named<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Value {
        let value = |name: &str| self.get(name).cloned().unwrap_or(Value::Null);
        Value::Object(names.into_iter().map(|name| (name.to_owned(), value(name))).collect())
    }

    /// Returns the object with all settings of the given scopes, or of all scopes.
    pub(crate) fn of_scopes(&self, scopes: Option<&[&str]>) -> Value {
        let is_in = |name: &str, scope: &str| name.strip_prefix(scope).is_some_and(|rest| rest.starts_with('.'));
        let wanted = |name: &str| scopes.is_none_or(|scopes| scopes.iter().any(|scope| is_in(name, scope)));
        let values = self.values.iter().filter(|(name, _)| wanted(name));
        Value::Object(values.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl FromIterator<(String, Value)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(settings: I) -> Self {
        Self { values: settings.into_iter().collect() }
    }
}

/// Whether this crate decides the value of a setting, so that the host is not called for it.
pub(crate) fn is_decided(name: &str) -> bool {
    [APP_VERSION, LIFETIME, CLIENT_ENCRYPTION, SERVER_ENCRYPTION, HASH].contains(&name)
}

/// Whether a client may set a setting (protocol § 11).
pub(crate) fn is_settable(name: &str) -> bool {
    ["user.", "client."].iter().any(|scope| name.strip_prefix(scope).is_some_and(|rest| !rest.is_empty()))
}
