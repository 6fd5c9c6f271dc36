//! Compares the public API with that of the last release.

use std::path::Path;
use std::process::Command;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// Compares every crate that is published with the newest tag `v…` that this commit descends from.
/// Before the first release there is nothing to compare with, and this says so.
///
/// # Errors
/// An error if the tags cannot be read, or if the API changed in a way that the versions do not allow.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let tags = process::read(Command::new("git").current_dir(root).args([
        "tag",
        "--list",
        "v*",
        "--merged",
        "HEAD",
        "--sort",
        "-v:refname",
    ]))?;
    let Some(tag) = newest(&tags) else {
        println!("there is no tag `v…` yet, so there is no release to compare with");
        return Ok(());
    };
    let mut command = tools::installed_subcommand(root, "semver-checks")?;
    command.args(["--workspace", "--all-features", "--baseline-rev", tag]);
    process::stream(&mut command, &mut Counts::default())
}

/// Returns the first tag that names a version and no pre-release.
fn newest(tags: &str) -> Option<&str> {
    tags.lines().map(str::trim).find(|tag| {
        let parts = tag.strip_prefix('v').map(|version| version.split('.').collect::<Vec<_>>());
        parts.is_some_and(|parts| parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_counts() {
        assert_eq!(newest(""), None);
        assert_eq!(newest("v1.0.0-rc.1\nv0.10.0\nv0.9.0\n"), Some("v0.10.0"));
        assert_eq!(newest("very-old\nv1\n"), None);
    }
}
