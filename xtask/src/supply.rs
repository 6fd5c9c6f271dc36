//! What comes in through dependencies: licences, duplicate versions, sources and known
//! vulnerabilities, checked by `cargo-deny`.

use std::path::Path;
use std::process::Command;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// The words of `cargo-deny` when it has no database of advisories: the only failure of that check
/// that is not one of the dependencies.
const NO_DATABASE: &str = "failed to fetch advisory database";

/// # Errors
/// An error if `cargo-deny` cannot be installed, or finds something.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let mut command = tools::installed_subcommand(root, "deny")?;
    command.args(["check", "--show-stats", "bans", "licenses", "sources"]);
    process::stream(&mut command, &mut Counts::default())?;
    advisories(root)
}

/// Checks for known vulnerabilities where the database can be fetched, or was fetched before.
/// Without a network the result is "not checked", which is printed, and is no failure.
fn advisories(root: &Path) -> Result<(), Error> {
    let mut command = tools::installed_subcommand(root, "deny")?;
    command.args(["check", "advisories"]);
    let (status, text) = process::both(&mut command)?;
    if status.success() {
        println!("advisories: no known vulnerability");
        return Ok(());
    }
    if text.contains(NO_DATABASE) {
        println!("advisories: NOT CHECKED, because their database could not be fetched from here");
        return Ok(());
    }
    eprintln!("{text}");
    Err(Error::Command { command: process::shown(&command), outcome: format!("failed: {status}") })
}

/// The features that add to one other crate only, or stand beside the others. Their pairs with the rest show nothing new.
const SMALL: &str = "axum,default,json,metrics,qr,sqlite,testing,web";

/// Checks that the features of the entry point work alone, and those that bring in a crate of the
/// workspace also in pairs.
///
/// # Errors
/// An error if `cargo-hack` cannot be installed, or a combination does not build.
pub(crate) fn features(root: &Path) -> Result<(), Error> {
    let hack = |arguments: &[&str]| {
        let mut hack: Command = tools::installed_subcommand(root, "hack")?;
        hack.args(["check", "--package", "keywright", "--quiet"]).args(arguments);
        process::stream(&mut hack, &mut Counts::default())
    };
    hack(&["--feature-powerset", "--depth", "2", "--exclude-features", SMALL])?;
    hack(&["--each-feature", "--include-features", SMALL])
}
