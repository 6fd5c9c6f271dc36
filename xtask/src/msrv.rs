//! Checks `rust-version`: no crate of ours may declare an older Rust than it needs to build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use crate::error::Error;
use crate::{process, tools};

/// A `rust-version` of one to three numbers. Absent numbers are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RustVersion([u64; 3]);

impl FromStr for RustVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|number| number.parse().map_err(|_| ()));
        let version = [
            numbers.next().ok_or(())??,
            numbers.next().transpose()?.unwrap_or(0),
            numbers.next().transpose()?.unwrap_or(0),
        ];
        if numbers.next().is_some() { Err(()) } else { Ok(Self(version)) }
    }
}

/// The part of the output of `cargo metadata` about one package.
struct Package<'a> {
    name: &'a str,
    rust_version: Option<&'a str>,
}

/// # Errors
/// [`Error::Check`] with one line for each crate and dependency that contradict each other.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let text = process::read(tools::cargo(root).args(["metadata", "--format-version", "1", "--all-features"]))?;
    let metadata = serde_json::from_str(&text).map_err(|_| unreadable())?;
    let (checked, broken) = broken_promises(&metadata).ok_or_else(unreadable)?;
    if broken.is_empty() {
        println!("{checked} packages state a rust-version that all their dependencies keep to");
        Ok(())
    } else {
        Err(Error::Check(broken.into_iter().collect::<Vec<_>>().join("\n")))
    }
}

fn unreadable() -> Error {
    Error::Check("`cargo metadata` printed something unexpected".to_owned())
}

/// Returns the number of workspace members, and a sentence for each contradiction, or `None` if the
/// output has an unexpected form.
fn broken_promises(metadata: &Value) -> Option<(usize, BTreeSet<String>)> {
    let mut packages = BTreeMap::new();
    for package in metadata.get("packages")?.as_array()? {
        let id = package.get("id")?.as_str()?;
        let rust_version = package.get("rust_version").and_then(Value::as_str);
        packages.insert(id, Package { name: package.get("name")?.as_str()?, rust_version });
    }
    let mut dependencies = BTreeMap::new();
    for node in metadata.get("resolve")?.get("nodes")?.as_array()? {
        dependencies.insert(node.get("id")?.as_str()?, needed_to_build(node)?);
    }

    let members = metadata.get("workspace_members")?.as_array()?;
    let mut broken = BTreeSet::new();
    for member in members {
        let member = member.as_str()?;
        let Package { name, rust_version } = packages.get(member)?;
        let Some(promise) = rust_version.and_then(|version| version.parse::<RustVersion>().ok()) else {
            broken.insert(format!("{name} states no rust-version"));
            continue;
        };
        for id in reachable(member, &dependencies) {
            let needed = packages.get(id)?;
            let Some(needs) = needed.rust_version.and_then(|version| version.parse::<RustVersion>().ok()) else {
                continue;
            };
            if needs > promise {
                broken.insert(format!(
                    "{name} promises Rust {}, but its dependency {} needs {}",
                    rust_version.unwrap_or_default(),
                    needed.name,
                    needed.rust_version.unwrap_or_default(),
                ));
            }
        }
    }
    Some((members.len(), broken))
}

/// Normal and build dependencies, on every platform. Dev-dependencies do not affect users of the
/// crate.
fn needed_to_build(node: &Value) -> Option<Vec<&str>> {
    let mut ids = Vec::new();
    for dependency in node.get("deps")?.as_array()? {
        let kinds = dependency.get("dep_kinds")?.as_array()?;
        if kinds.iter().any(|kind| kind.get("kind").and_then(Value::as_str) != Some("dev")) {
            ids.push(dependency.get("pkg")?.as_str()?);
        }
    }
    Some(ids)
}

fn reachable<'a>(from: &'a str, dependencies: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(dependencies.get(id).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(text: &str) -> RustVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.100") > version("1.89"));
        assert_eq!(version("1.89"), version("1.89.0"));
        assert!(version("1.89.1") > version("1.89"));
        assert!(version("2") > version("1.99.9"));
        for bad in ["", "1.", "one", "1.2.3.4", "1.89-beta"] {
            assert!(bad.parse::<RustVersion>().is_err(), "{bad}");
        }
    }

    fn workspace(own: Value, direct: &str, transitive: &str, kind: Value) -> Value {
        let dep = |id: &str, kind: &Value| json!({"pkg": id, "dep_kinds": [{"kind": kind, "target": null}]});
        json!({
            "workspace_members": ["ours"],
            "packages": [
                {"id": "ours", "name": "keywright", "rust_version": own},
                {"id": "a", "name": "direct", "rust_version": direct},
                {"id": "b", "name": "transitive", "rust_version": transitive},
                {"id": "c", "name": "silent", "rust_version": null},
            ],
            "resolve": {"nodes": [
                {"id": "ours", "deps": [dep("a", &kind), dep("c", &Value::Null)]},
                {"id": "a", "deps": [dep("b", &Value::Null)]},
                {"id": "b", "deps": [dep("a", &json!("dev"))]},
                {"id": "c", "deps": []},
            ]},
        })
    }

    fn broken(metadata: &Value) -> Vec<String> {
        broken_promises(metadata).unwrap().1.into_iter().collect()
    }

    #[test]
    fn a_true_promise_holds() {
        assert!(broken(&workspace(json!("1.89"), "1.89", "1.60.0", Value::Null)).is_empty());
    }

    #[test]
    fn a_transitive_dependency_breaks_a_promise_and_both_are_named() {
        let found = broken(&workspace(json!("1.89"), "1.80", "1.90", Value::Null));
        assert_eq!(found, ["keywright promises Rust 1.89, but its dependency transitive needs 1.90"]);
        assert_eq!(broken(&workspace(json!("1.89"), "1.80", "1.90", json!("build"))).len(), 1);
    }

    #[test]
    fn dev_dependencies_do_not_count() {
        assert!(broken(&workspace(json!("1.89"), "1.95", "1.95", json!("dev"))).is_empty());
    }

    #[test]
    fn a_member_without_a_promise_is_named() {
        assert_eq!(broken(&workspace(Value::Null, "1.80", "1.80", Value::Null)), ["keywright states no rust-version"]);
    }

    #[test]
    fn another_shape_is_an_error_and_no_panic() {
        assert!(broken_promises(&json!({"packages": []})).is_none());
        assert!(broken_promises(&json!({"packages": [{}]})).is_none());
    }
}
