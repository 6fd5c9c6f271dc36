//! Rocket.Chat by the published Python package `rocketchat_API`, from a password to a reset; and
//! what its enrolment shows, by the authenticators `oathtool` and `pyotp` and the reader `zbarimg`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::drivers::drive;
use super::scene::Scene;
use super::server::Server;
use super::venv::Venv;
use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// Name and login password. User id and address are derived from the name.
const ACCOUNTS: [(&str, &str); 2] = [("pia", "pia: Grüße aus Köln"), ("kai", "kai: Grüße aus Köln")];

/// # Errors
/// An error if something cannot be built, installed or started, or if a step of the driver fails.
pub(crate) fn run(root: &Path, runs: &Path, program: &Path, counts: &mut Counts) -> Result<(), Error> {
    tools::require_authenticators()?;
    let venv = Venv::install(root, runs, "rocketchat-python")?;
    let authenticator = build_authenticator(root, runs)?;
    let scene = Scene::new(runs, &accounts_file(), &initial_state())?;
    let course = account(program, &venv, &authenticator, &scene, counts);
    let course = course.and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("the Python package"))
}

fn account(program: &Path, venv: &Venv, authenticator: &Path, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let outbox = scene.path("outbox.txt").display().to_string();
    let server = Server::start(program, scene, &["--outbox", &outbox, "--rate-limits", "off"])?;
    let mut driver = venv.python("driver.py");
    // The package's HTTP library has a name of its own for what it trusts.
    driver.env("REQUESTS_CA_BUNDLE", scene.certificate()).env("AUTHENTICATOR", authenticator);
    drive(driver, ("driver.py", "account"), &server, scene, counts)?;
    server.stop_counted(counts)
}

/// Builds the program that draws the QR code and judges the codes of other authenticators.
fn build_authenticator(root: &Path, runs: &Path) -> Result<PathBuf, Error> {
    let mut command = tools::cargo(root);
    command.args(["build", "--package", "keywright-twofactor", "--features", "qr", "--example", "authenticator"]);
    process::stream(&mut command, &mut Counts::default())?;
    let target = runs.parent().unwrap_or(runs);
    Ok(target.join("debug").join("examples").join("authenticator"))
}

fn user_id(name: &str) -> String {
    format!("{name}K7tWc4Nn2XbQ9y")
}

fn accounts_file() -> String {
    let table = |(name, password): (&str, &str)| {
        format!(
            "[[account]]\nname = \"{name}\"\nlogin_password = \"{password}\"\n[account.rocketchat]\nuser_id = \"{}\"\n\
             verified_emails = [\"{name}@example.org\"]\n\n",
            user_id(name)
        )
    };
    ACCOUNTS.into_iter().map(table).collect()
}

/// The driver's initial state: the accounts by name, and the secrets so far.
fn initial_state() -> serde_json::Value {
    let account = |(name, password): (&str, &str)| {
        let email = format!("{name}@example.org");
        (name.to_owned(), json!({"user_id": user_id(name), "email": email, "login_password": password}))
    };
    let accounts: serde_json::Map<_, _> = ACCOUNTS.into_iter().map(account).collect();
    json!({"accounts": accounts, "secrets": ACCOUNTS.map(|(_, password)| password)})
}
