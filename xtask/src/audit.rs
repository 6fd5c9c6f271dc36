//! What a release checks beyond `cargo xtask test`.

use std::path::Path;

use serde_json::Value;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// # Errors
/// An error with the dependencies that no code names.
pub(crate) fn unused_dependencies(root: &Path) -> Result<(), Error> {
    let mut machete = tools::installed_subcommand(root, "machete")?;
    machete.args(["crates", "examples", "benches", "xtask", "fuzz"]);
    process::stream(&mut machete, &mut Counts::default())
}

/// Packages every crate that is published, and builds each from its package, with those of the
/// others in place of the registry.
///
/// # Errors
/// An error if a crate cannot be packaged, or does not build from its package.
pub(crate) fn packages(root: &Path) -> Result<(), Error> {
    let mut command = tools::cargo(root);
    command.args(["package", "--allow-dirty"]);
    for name in published(root)? {
        command.args(["--package", &name]);
    }
    process::stream(&mut command, &mut Counts::default())
}

/// Compares the types of other crates in each public API with the list in its manifest, under
/// `package.metadata.cargo_check_external_types`.
///
/// # Errors
/// An error with each type that no list has.
pub(crate) fn foreign_types(root: &Path) -> Result<(), Error> {
    for name in published(root)? {
        let mut command = tools::installed_subcommand(root, "check-external-types")?;
        command.arg("--all-features").arg("--manifest-path");
        command.arg(root.join("crates").join(&name).join("Cargo.toml"));
        // The tool reads rustdoc's JSON, which is not stable yet. The results of a build with this
        // variable must not mix with those of an ordinary one.
        command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", root.join("target").join("audit"));
        process::stream(&mut command, &mut Counts::default())?;
    }
    Ok(())
}

/// The names of the workspace's packages that are meant for the registry.
fn published(root: &Path) -> Result<Vec<String>, Error> {
    let text = process::read(tools::cargo(root).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let names = serde_json::from_str(&text).ok().and_then(|metadata| published_in(&metadata));
    names.ok_or_else(|| Error::Check("`cargo metadata` printed something unexpected".to_owned()))
}

/// In the output of `cargo metadata`, `publish` is null for a package that may be published
/// anywhere, and an empty list for one that may not be published.
fn published_in(metadata: &Value) -> Option<Vec<String>> {
    let packages = metadata.get("packages")?.as_array()?.iter();
    packages
        .filter(|package| package.get("publish").is_none_or(Value::is_null))
        .map(|package| package.get("name")?.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unpublished_packages_are_left_out() {
        let metadata = json!({"packages": [{"name": "a", "publish": null}, {"name": "b", "publish": []}]});
        assert_eq!(published_in(&metadata), Some(vec!["a".to_owned()]));
        assert_eq!(published_in(&json!({})), None);
    }
}
