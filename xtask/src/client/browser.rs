//! The pages for owners in a real browser: Debian's Chromium, driven by `playwright-core`, with
//! accessibility checked by `axe-core`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::drivers::{copy_files, install_packages};
use super::scene::Scene;
use super::server::Server;
use crate::count::Counts;
use crate::error::Error;
use crate::process;

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
    let server = Server::start(program, &scene, &["--rate-limits", "off"])?;
    let mut command = Command::new("node");
    command.current_dir(&directory).arg("main.mjs").args([server.address(), PASSWORD]);
    command.arg(browser).arg(target.join("screenshots"));
    let course = process::stream(&mut command, counts);
    course.inspect_err(|_| scene.show_log("browser"))?;
    server.stop_counted(counts)
}
