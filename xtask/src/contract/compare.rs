//! Comparing what we serve with what published packages call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What the published types lack, and public documentation has (§ 15 of the page on Rocket.Chat).
const UNTYPED: [&str; 2] = ["loginCode.redeem", "e2e.fetchMyKeys"];
/// Members that clients send and the published types lack (same section).
const UNTYPED_MEMBERS: [(&str, &str); 3] =
    [("login", "resume"), ("login", "totp"), ("users.removeOtherTokens", "userId")];
/// The parts of the Passwords app that this repository serves. The rest is the host's.
const OWN_PARTS: [&str; 3] = ["session/", "account/", "keychain/"];

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

/// What the published types have: path, method, members.
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
pub(super) fn compare(own: &[Endpoint], published: &Published) -> Vec<String> {
    own.iter().flat_map(|endpoint| faults(endpoint, own, published)).collect()
}

fn faults(endpoint: &Endpoint, own: &[Endpoint], published: &Published) -> Vec<String> {
    let path = endpoint.path.as_str();
    let Some(methods) = published.endpoints.get(path) else {
        if UNTYPED.contains(&path) {
            return Vec::new();
        }
        // A name that we serve already is not the new name of another.
        let free = published.endpoints.keys().filter(|name| own.iter().all(|one| one.path != **name));
        return vec![renamed(path, free, &published.version)];
    };
    let mut faults = Vec::new();
    let called: BTreeSet<String> = methods.keys().cloned().collect();
    if called != endpoint.methods {
        faults.push(format!("`{path}` is called by {called:?}, and served by {:?}", endpoint.methods));
    }
    // The parameters of other methods are queries.
    let sent = methods.get("POST").cloned().unwrap_or_default();
    for member in sent.difference(&endpoint.members) {
        faults.push(format!("`{path}` is sent the member `{member}`, and does not take it"));
    }
    for member in endpoint.members.difference(&sent) {
        if !UNTYPED_MEMBERS.contains(&(path, member)) {
            faults.push(format!("`{path}` takes the member `{member}`, and is never sent it"));
        }
    }
    faults
}

/// Returns every path of ours that the client does not call, and every one of our parts that it
/// calls and we do not serve.
pub(super) fn compare_paths(own: &[String], called: &[String]) -> Vec<String> {
    let gone = own.iter().filter(|path| !called.contains(path));
    let gone = gone.map(|path| renamed(path, called.iter().filter(|name| !own.contains(name)), "passwords-client"));
    let is_ours = |path: &&String| OWN_PARTS.iter().any(|part| path.starts_with(part));
    let missing = called.iter().filter(is_ours).filter(|path| !own.contains(path));
    gone.chain(missing.map(|path| format!("`{path}` is called, and not served"))).collect()
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

    #[test]
    fn the_rename_of_8_8_is_found_with_both_names() {
        let newest = published(json!({
            "/v1/users.enableTotp": {"POST": []},
            "/v1/users.validateTotp": {"POST": ["code"]},
            "/v1/users.disableTotp": {"POST": ["code"]},
        }));
        assert_eq!(compare(&own(), &newest), Vec::<String>::new());
        let before: Vec<Endpoint> = own().iter().map(Endpoint::by_its_name_of_before).collect();
        let fault = "`users.totp.enable` is gone from 8.8.1: it is `users.enableTotp` now";
        assert_eq!(compare(&before, &newest), [fault]);
    }

    #[test]
    fn other_methods_and_members_are_found() {
        let newest = published(json!({
            "/v1/users.enableTotp": {"POST": ["password"], "GET": ["fields"]},
            "/v1/users.validateTotp": {"POST": []},
        }));
        assert_eq!(
            compare(&own(), &newest),
            [
                "`users.enableTotp` is called by {\"GET\", \"POST\"}, and served by {\"POST\"}",
                "`users.enableTotp` is sent the member `password`, and does not take it",
                "`users.validateTotp` takes the member `code`, and is never sent it",
            ]
        );
    }

    #[test]
    fn a_path_that_is_gone_or_new_is_found() {
        let texts = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let called = texts(&["session/open", "keychain/get", "password/list", "tag/list"]);
        assert!(compare_paths(&texts(&["session/open", "keychain/get"]), &called).is_empty());
        assert_eq!(
            compare_paths(&texts(&["session/open", "keychain/fetch/get"]), &called),
            [
                "`keychain/fetch/get` is gone from passwords-client: it is `keychain/get` now",
                "`keychain/get` is called, and not served",
            ]
        );
        assert_eq!(
            compare_paths(&texts(&["session/open", "keychain/get", "coffee"]), &called),
            ["`coffee` is gone from passwords-client, and no name is similar"]
        );
    }
}
