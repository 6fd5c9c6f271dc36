//! Nextcloud Passwords: `passwords-client`, and the older reset by plain HTTP.

use std::path::Path;

use serde_json::{Value, json};

use super::drivers::Drivers;
use super::scene::Scene;
use super::server::Server;
use crate::count::Counts;
use crate::error::Error;

/// Name, app passwords, login password. They contain a colon and letters beyond ASCII, which HTTP
/// Basic must carry.
const ACCOUNTS: [(&str, &[&str], &str); 3] = [
    ("alice", &["alice-app-Qm3vT9xKd2"], "alice: Grüße aus Köln"),
    ("bob", &["bob-app-Hc7yR4nWs8", "bob-app-stolen-Lz5p"], "bob: Grüße aus Köln"),
    ("carol", &["carol-app-Zk6tB1fJe9"], "carol: Grüße aus Köln"),
];

/// # Errors
/// An error if something cannot be installed or started, or if a step of a driver fails.
pub(crate) fn run(root: &Path, runs: &Path, program: &Path, counts: &mut Counts) -> Result<(), Error> {
    let drivers = Drivers::install(root, runs, "nextcloud")?;

    let scene = Scene::new(runs, &accounts_file(), &initial_state())?;
    let course = typed_code(program, &drivers, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("typed code"))?;

    let scene = Scene::new(runs, &accounts_file(), &initial_state())?;
    let course = password_and_wait(program, &drivers, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("password and wait"))
}

/// The whole life of an account: challenge, keychain, guesses, change, restart, reset by typed
/// code.
fn typed_code(program: &Path, drivers: &Drivers, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    for phases in [["first", "lockout"].as_slice(), &["restarted"], &["pending"]] {
        let server = start(program, scene, "code")?;
        for phase in phases {
            drivers.drive(("driver.cjs", phase), &server, scene, &[], counts)?;
        }
        server.stop_counted(counts)?;
    }
    Ok(())
}

/// The older reset, which really waits, for up to ten seconds.
fn password_and_wait(program: &Path, drivers: &Drivers, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let server = start(program, scene, "wait")?;
    drivers.drive(("wait.cjs", "wait"), &server, scene, &[], counts)?;
    server.stop_counted(counts)
}

pub(crate) fn start(program: &Path, scene: &Scene, reset_style: &str) -> Result<Server, Error> {
    let outbox = scene.path("outbox.txt").display().to_string();
    Server::start(program, scene, &["--outbox", &outbox, "--reset-style", reset_style])
}

pub(crate) fn accounts_file() -> String {
    let mut text = String::new();
    for (name, app_passwords, login_password) in ACCOUNTS {
        // The strings contain neither quotes nor backslashes, so Rust's quoting is also TOML's.
        text.push_str(&format!(
            "[[account]]\nname = \"{name}\"\nemail = \"{name}@example.org\"\nlogin_password = \"{login_password}\"\n\
             app_passwords = {app_passwords:?}\n\n"
        ));
    }
    text
}

/// The drivers' initial state: the accounts by name, and the secrets so far.
pub(crate) fn initial_state() -> Value {
    let mut accounts = serde_json::Map::new();
    let mut secrets = Vec::new();
    for (name, app_passwords, login_password) in ACCOUNTS {
        secrets.push(login_password);
        secrets.extend(app_passwords);
        let account = json!({
            "login_password": login_password,
            "app_password": app_passwords.first(),
            "stolen_password": app_passwords.get(1),
        });
        accounts.insert(name.to_owned(), account);
    }
    json!({"accounts": accounts, "secrets": secrets})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_file_has_every_app_password() {
        let accounts = accounts_file();
        assert!(accounts.contains("app_passwords = [\"bob-app-Hc7yR4nWs8\", \"bob-app-stolen-Lz5p\"]"), "{accounts}");
    }
}
