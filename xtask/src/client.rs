//! The real-client run: published clients, unmodified, against a freshly started account-server over TLS and SQLite.
//!
//! The drivers are in `examples/account-server/tests/clients`, a folder for each client. Between the phases of a driver
//! the server is stopped and started again on the same files.

mod browser;
mod drivers;
mod nextcloud;
mod nextcloud_python;
mod nextcloud_rust;
mod rocketchat;
mod rocketchat_python;
mod scene;
pub(crate) mod schemathesis;
mod server;
mod venv;

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::Value;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// A client that the run can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// The npm package `passwords-client`.
    Nextcloud,
    /// The crate `nextcloud-passwords-client`.
    NextcloudRust,
    /// The Python package `nextcloud-async`.
    NextcloudPython,
    /// The npm package `@rocket.chat/api-client`.
    Rocketchat,
    /// The Python package `rocketchat_API`.
    RocketchatPython,
}

/// Drives one client, or all of them.
///
/// # Errors
/// An error if something cannot be built, installed or started, or if a step of a driver fails.
pub(crate) fn run(root: &Path, server: Option<&Path>, only: Option<Client>, counts: &mut Counts) -> Result<(), Error> {
    let (program, runs) = prepare(root, server)?;
    for client in Client::value_variants().iter().filter(|client| only.is_none_or(|only| only == **client)) {
        match client {
            Client::Nextcloud => nextcloud::run(root, &runs, &program, counts)?,
            Client::NextcloudRust => nextcloud_rust::run(root, &runs, &program, counts)?,
            Client::NextcloudPython => nextcloud_python::run(root, &runs, &program, counts)?,
            Client::Rocketchat => rocketchat::run(root, &runs, &program, counts)?,
            Client::RocketchatPython => rocketchat_python::run(root, &runs, &program, counts)?,
        }
    }
    Ok(())
}

/// Sends generated requests, `requests` for each operation whose path matches the regular
/// expression `paths`.
///
/// # Errors
/// An error if something cannot be built, installed or started, or if an answer is not one of the
/// document's.
pub(crate) fn run_generated(root: &Path, requests: u32, paths: Option<&str>, counts: &mut Counts) -> Result<(), Error> {
    let (program, runs) = prepare(root, None)?;
    schemathesis::run(root, &runs, &program, (requests, paths), counts)
}

/// Uses the pages for owners in a browser.
///
/// # Errors
/// An error if something cannot be built, installed or started, or if a step fails.
pub(crate) fn run_browser(root: &Path, server: Option<&Path>, counts: &mut Counts) -> Result<(), Error> {
    let (program, runs) = prepare(root, server)?;
    let target = runs.parent().unwrap_or(&runs);
    browser::run(root, target, &program, &tools::require_chromium()?, counts)
}

/// Returns the server's program, which is built unless it is given, and the folder for the runs.
fn prepare(root: &Path, server: Option<&Path>) -> Result<(PathBuf, PathBuf), Error> {
    let target = target_directory(root)?;
    let program = match server {
        Some(program) => program.to_owned(),
        None => build_server(root, &target)?,
    };
    let runs = target.join("clients");
    fs::create_dir_all(&runs).map_err(Error::io("a folder for the runs"))?;
    Ok((program, runs))
}

pub(crate) fn target_directory(root: &Path) -> Result<PathBuf, Error> {
    let text = process::read(tools::cargo(root).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).unwrap_or_default();
    let directory = metadata.get("target_directory").and_then(Value::as_str);
    directory.map(PathBuf::from).ok_or_else(|| Error::Check("`cargo metadata` names no target directory".to_owned()))
}

fn build_server(root: &Path, target: &Path) -> Result<PathBuf, Error> {
    process::stream(tools::cargo(root).args(["build", "--package", "account-server"]), &mut Counts::default())?;
    Ok(target.join("debug").join("account-server"))
}
