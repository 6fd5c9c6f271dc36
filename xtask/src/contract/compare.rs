//! Comparing what we serve with what published packages call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a protocol's page documents, and the published package lacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Documented {
    /// Paths that the package does not have.
    paths: &'static [&'static str],
    /// Paths that the package names, and never calls.
    uncalled: &'static [&'static str],
    /// Members that other clients send: path and member.
    members: &'static [(&'static str, &'static str)],
    /// The beginnings of the paths that we have to serve; the rest of the package is not ours.
    own_parts: &'static [&'static str],
}

/// Section 15 of the page on Rocket.Chat.
pub(super) const ROCKETCHAT: Documented = Documented {
    paths: &["loginCode.redeem", "e2e.fetchMyKeys"],
    uncalled: &[],
    members: &[("login", "resume"), ("login", "totp"), ("users.removeOtherTokens", "userId")],
    own_parts: &[],
};

/// Sections 5 and 7.2 of the page on Nextcloud Passwords. The folders, passwords and shares are the
/// host's.
pub(super) const NEXTCLOUD: Documented = Documented {
    paths: &[],
    uncalled: &["keychain/get"],
    members: &[("account/reset", "password")],
    own_parts: &["session/", "account/", "keychain/", "token/", "settings/"],
};

/// An endpoint that we serve.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    path: String,
    methods: BTreeSet<String>,
    members: BTreeSet<String>,
    aliases: Vec<String>,
}

impl Endpoint {
    /// Reads what the example `routes` prints.
    pub(super) fn list(routes: Option<&Value>) -> Option<Vec<Self>> {
        let set = |value: &Value| Some(value.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let read = |value: &Value| {
            Some(Self {
                path: value.get("path")?.as_str()?.to_owned(),
                methods: set(value.get("methods")?)?,
                members: set(value.get("members")?)?,
                aliases: set(value.get("aliases")?).map(|aliases: BTreeSet<String>| aliases.into_iter().collect())?,
            })
        };
        routes?.as_array()?.iter().map(read).collect()
    }

    /// Returns the endpoint as if it had only its earlier name, if it has one.
    pub(super) fn by_its_name_of_before(&self) -> Self {
        let path = self.aliases.first().unwrap_or(&self.path).clone();
        Self { path, aliases: Vec::new(), ..self.clone() }
    }
}

/// What a published package calls: path, method, members.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) version: String,
    endpoints: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Published {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let version = value.get("version")?.as_str()?.to_owned();
        let members = |value: &Value| {
            Some(value.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>())
        };
        let methods = |value: &Value| {
            let methods = value.as_object()?.iter();
            methods.map(|(method, value)| Some((method.clone(), members(value)?))).collect::<Option<BTreeMap<_, _>>>()
        };
        let endpoints = value.get("endpoints")?.as_object()?.iter().map(|(path, value)| {
            let path = path.strip_prefix("/v1/").or_else(|| path.strip_prefix('/')).unwrap_or(path);
            Some((path.to_owned(), methods(value)?))
        });
        Some(Self { version, endpoints: endpoints.collect::<Option<_>>()? })
    }
}

/// Returns every difference.
pub(super) fn compare(own: &[Endpoint], published: &Published, documented: &Documented) -> Vec<String> {
    let served = own.iter().flat_map(|endpoint| faults(endpoint, own, published, documented));
    let is_ours = |path: &&String| documented.own_parts.iter().any(|part| path.starts_with(part));
    let missing = published.endpoints.keys().filter(is_ours).filter(|path| own.iter().all(|one| one.path != **path));
    served.chain(missing.map(|path| format!("`{path}` is called, and not served"))).collect()
}

fn faults(endpoint: &Endpoint, own: &[Endpoint], published: &Published, documented: &Documented) -> Vec<String> {
    let path = endpoint.path.as_str();
    let Some(methods) = published.endpoints.get(path) else {
        if documented.paths.contains(&path) {
            return Vec::new();
        }
        // A name that we serve already is not the new name of another.
        let free = published.endpoints.keys().filter(|name| own.iter().all(|one| one.path != **name));
        return vec![renamed(path, free, &published.version)];
    };
    if methods.is_empty() && documented.uncalled.contains(&path) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let called: BTreeSet<String> = methods.keys().cloned().collect();
    if called != endpoint.methods {
        faults.push(format!("`{path}` is called by {called:?}, and served by {:?}", endpoint.methods));
    }
    // The parameters of other methods are queries.
    let sent = methods.get("POST").cloned().unwrap_or_default();
    let is_documented = |member: &&String| documented.members.contains(&(path, member.as_str()));
    let new: Vec<&String> = sent.difference(&endpoint.members).collect();
    let gone: Vec<&String> = endpoint.members.difference(&sent).filter(|member| !is_documented(member)).collect();
    if let ([new], [gone]) = (&*new, &*gone) {
        // One for one, whatever the two are called.
        faults.push(format!("the member `{gone}` of `{path}` is gone from {}: it is `{new}` now", published.version));
        return faults;
    }
    faults.extend(new.iter().map(|member| format!("`{path}` is sent the member `{member}`, and does not take it")));
    faults.extend(gone.iter().map(|member| format!("`{path}` takes the member `{member}`, and is never sent it")));
    faults
}

/// Returns what to say of a name that is gone, with the most similar one among those that are not
/// served.
fn renamed<'n>(old: &str, names: impl Iterator<Item = &'n String>, of: &str) -> String {
    let similarity = |name: &&String| {
        let (one, other) = (words(old), words(name));
        let (common, all) = (one.intersection(&other).count(), one.union(&other).count());
        common.saturating_mul(1_000).checked_div(all).unwrap_or_default()
    };
    match names.max_by_key(similarity).filter(|name| similarity(name) >= 500) {
        Some(new) => format!("`{old}` is gone from {of}: it is `{new}` now"),
        None => format!("`{old}` is gone from {of}, and no name is similar"),
    }
}

/// `users.enableTotp` → `enable`, `totp`, `users`.
fn words(name: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    for character in name.chars() {
        if !character.is_alphanumeric() || character.is_uppercase() {
            words.insert(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
    }
    words.insert(word);
    words.remove("");
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own() -> Vec<Endpoint> {
        let enable =
            json!({"path": "users.enableTotp", "methods": ["POST"], "members": [], "aliases": ["users.totp.enable"]});
        let validate = json!({"path": "users.validateTotp", "methods": ["POST"], "members": ["code"], "aliases": []});
        let redeem = json!({"path": "loginCode.redeem", "methods": ["POST"], "members": ["code"], "aliases": []});
        Endpoint::list(Some(&json!([enable, validate, redeem]))).unwrap()
    }

    fn published(endpoints: Value) -> Published {
        Published::of(&json!({"version": "8.8.1", "endpoints": endpoints})).unwrap()
    }

    fn texts(faults: &[&str]) -> Vec<String> {
        faults.iter().map(|fault| (*fault).to_owned()).collect()
    }

    #[test]
    fn the_rename_of_8_8_is_found_with_both_names() {
        let newest = published(json!({
            "/v1/users.enableTotp": {"POST": []},
            "/v1/users.validateTotp": {"POST": ["code"]},
            "/v1/users.disableTotp": {"POST": ["code"]},
        }));
        assert_eq!(compare(&own(), &newest, &ROCKETCHAT), Vec::<String>::new());
        let before: Vec<Endpoint> = own().iter().map(Endpoint::by_its_name_of_before).collect();
        let fault = "`users.totp.enable` is gone from 8.8.1: it is `users.enableTotp` now";
        assert_eq!(compare(&before, &newest, &ROCKETCHAT), [fault]);
    }

    #[test]
    fn other_methods_and_members_are_found() {
        let newest = published(json!({
            "/v1/users.enableTotp": {"POST": ["password"], "GET": ["fields"]},
            "/v1/users.validateTotp": {"POST": []},
        }));
        assert_eq!(
            compare(&own(), &newest, &ROCKETCHAT),
            [
                "`users.enableTotp` is called by {\"GET\", \"POST\"}, and served by {\"POST\"}",
                "`users.enableTotp` is sent the member `password`, and does not take it",
                "`users.validateTotp` takes the member `code`, and is never sent it",
            ]
        );
    }

    /// What we serve of the Passwords app, and what its client calls.
    fn passwords() -> (Value, Value) {
        let endpoint = |path: &str, methods: &[&str], members: &[&str]| json!({"path": path, "methods": methods, "members": members, "aliases": []});
        let own = json!([
            endpoint("session/open", &["POST"], &["challenge", "token"]),
            endpoint("keychain/get", &["GET"], &[]),
            endpoint("account/reset", &["GET", "POST"], &["code", "password"]),
            endpoint("token/{provider}/request", &["GET"], &[]),
        ]);
        let called = json!({
            "session/open": {"POST": ["challenge", "token"]},
            // Listed, and never called.
            "keychain/get": {},
            "account/reset": {"GET": [], "POST": ["code"]},
            "token/{provider}/request": {"GET": []},
            "password/list": {"GET": [], "POST": ["details"]},
        });
        (own, called)
    }

    /// Returns the faults after changes of what the client calls.
    fn passwords_with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<String> {
        let (own, mut called) = passwords();
        change(called.as_object_mut().unwrap());
        let called = Published::of(&json!({"version": "1.0.0", "endpoints": called})).unwrap();
        compare(&Endpoint::list(Some(&own)).unwrap(), &called, &NEXTCLOUD)
    }

    #[test]
    fn the_passwords_app_as_it_is_has_no_fault() {
        assert_eq!(passwords_with(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_path_that_the_passwords_app_renames_is_found_with_both_names() {
        let faults = passwords_with(|called| {
            let methods = called.remove("keychain/get").unwrap();
            called.insert("keychain/fetch/get".to_owned(), methods);
        });
        let gone = "`keychain/get` is gone from 1.0.0: it is `keychain/fetch/get` now";
        assert_eq!(faults, texts(&[gone, "`keychain/fetch/get` is called, and not served"]));
        let faults = passwords_with(|called| drop(called.remove("account/reset")));
        assert_eq!(faults, texts(&["`account/reset` is gone from 1.0.0, and no name is similar"]));
        let faults = passwords_with(|called| drop(called.insert("settings/get".to_owned(), json!({"POST": []}))));
        assert_eq!(faults, texts(&["`settings/get` is called, and not served"]));
    }

    #[test]
    fn a_member_that_the_passwords_app_renames_is_found_with_both_names() {
        let faults = passwords_with(|called| {
            drop(called.insert("session/open".to_owned(), json!({"POST": ["challenge", "secondFactor"]})));
        });
        assert_eq!(
            faults,
            texts(&["the member `token` of `session/open` is gone from 1.0.0: it is `secondFactor` now"])
        );
        let faults = passwords_with(|called| {
            drop(called.insert("session/open".to_owned(), json!({"POST": ["challenge", "token", "device"]})));
        });
        assert_eq!(faults, texts(&["`session/open` is sent the member `device`, and does not take it"]));
    }

    #[test]
    fn a_method_that_the_passwords_app_changes_is_found() {
        let faults = passwords_with(|called| {
            drop(called.insert("token/{provider}/request".to_owned(), json!({"POST": []})));
        });
        let fault = r#"`token/{provider}/request` is called by {"POST"}, and served by {"GET"}"#;
        assert_eq!(faults, texts(&[fault]));
        // One that is not called any more is found too, unless the page documents it.
        let faults = passwords_with(|called| drop(called.insert("session/open".to_owned(), json!({}))));
        let fault = r#"`session/open` is called by {}, and served by {"POST"}"#;
        assert_eq!(faults.first().map(String::as_str), Some(fault));
    }
}
