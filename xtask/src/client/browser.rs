//! The pages for owners in a real browser: Debian's Chromium, driven by `playwright-core`, with
//! accessibility checked by `axe-core`. The server's clock follows a file, so that what expires
//! does so when the script says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::drivers::{copy_files, install_packages};
use super::scene::Scene;
use super::server::Server;
use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

const SCRIPTS: &str = "examples/account-server/tests/browser";
const PASSWORD: &str = "demo: Grüße aus Köln";

/// Runs every step of the script. Screenshots are left in `target/screenshots`.
///
/// # Errors
/// An error if something cannot be installed or started, or if a step fails.
pub(super) fn run(
    root: &Path,
    target: &Path,
    program: &Path,
    browser: &Path,
    counts: &mut Counts,
) -> Result<(), Error> {
    let runs = target.join("clients");
    let directory = runs.join("browser");
    fs::create_dir_all(&directory).map_err(Error::io(format!("{}", directory.display())))?;
    copy_files(&root.join(SCRIPTS), &directory).map_err(Error::io(SCRIPTS))?;
    install_packages(&directory, SCRIPTS)?;
    let account = format!(
        "[[account]]\nname = \"demo\"\nlogin_password = \"{PASSWORD}\"\n[account.rocketchat]\nuser_id = \"demoId\"\n"
    );
    let scene = Scene::new(&runs, &account, &json!({ "secrets": [PASSWORD] }))?;
    let clock = scene.path("clock");
    fs::write(&clock, "+0s").map_err(Error::io("clock"))?;
    let mut server = Command::new(program);
    server.args(scene.server_options()).args(["--rate-limits", "off"]);
    server.env("LD_PRELOAD", tools::faketime_library()?);
    server.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    // Only the time of day is shifted; what is measured is right.
    server.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let server = Server::launch(server, &scene.log(), "https://")?;
    let mut command = Command::new("node");
    command.current_dir(&directory).arg("main.mjs").args([server.address(), PASSWORD]);
    command.arg(browser).arg(target.join("screenshots")).arg(&clock);
    let course = process::stream(&mut command, counts);
    course.inspect_err(|_| scene.show_log("browser"))?;
    server.stop_counted(counts)
}
