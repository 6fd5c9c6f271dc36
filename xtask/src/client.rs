//! The real-client run: published clients, unmodified, against a freshly started account-server over TLS and SQLite.
//!
//! The drivers are in `examples/account-server/tests/clients/nextcloud`. They are copied into `target/`, the packages
//! that their lock file names are installed beside them, and the whole is bundled, since the client's sources leave out
//! file extensions and Node alone does not load them. Between the phases of a driver the server is stopped and started
//! again on the same files.

mod scene;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};
use scene::Scene;
use server::Server;

const DRIVERS: &str = "examples/account-server/tests/clients/nextcloud";

/// # Errors
/// Something could not be built, installed or started, or a step of a driver failed.
pub(crate) fn run(root: &Path, server: Option<&Path>, counts: &mut Counts) -> Result<(), Error> {
    let target = target_directory(root)?;
    let program = match server {
        Some(program) => program.to_owned(),
        None => build_server(root, &target)?,
    };
    let drivers = install_drivers(root, &target)?;
    let runs = target.join("clients");

    let scene = Scene::new(&runs)?;
    let course = typed_code(&program, &drivers, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("typed code"))?;

    let scene = Scene::new(&runs)?;
    let course = password_and_wait(&program, &drivers, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("password and wait"))
}

/// A whole life of an account: challenge, keychain, guesses, change, restart, reset by typed code.
fn typed_code(program: &Path, drivers: &Path, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let server = Server::start(program, scene, "code")?;
    drive(drivers, "driver.cjs", "first", &server, scene, counts)?;
    drive(drivers, "driver.cjs", "lockout", &server, scene, counts)?;
    stop(server, counts)?;

    let server = Server::start(program, scene, "code")?;
    drive(drivers, "driver.cjs", "restarted", &server, scene, counts)?;
    stop(server, counts)?;

    let server = Server::start(program, scene, "code")?;
    drive(drivers, "driver.cjs", "pending", &server, scene, counts)?;
    stop(server, counts)
}

/// The older reset, which really waits: up to ten seconds.
fn password_and_wait(program: &Path, drivers: &Path, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let server = Server::start(program, scene, "wait")?;
    drive(drivers, "wait.cjs", "wait", &server, scene, counts)?;
    stop(server, counts)
}

fn stop(server: Server, counts: &mut Counts) -> Result<(), Error> {
    server.stop()?;
    println!("ok - the server stops cleanly when told to");
    counts.pass();
    Ok(())
}

fn drive(
    drivers: &Path,
    driver: &str,
    phase: &str,
    server: &Server,
    scene: &Scene,
    counts: &mut Counts,
) -> Result<(), Error> {
    println!("# {driver}, phase {phase}");
    let mut command = Command::new("node");
    command.current_dir(drivers).arg("--enable-source-maps").arg(Path::new("out").join(driver)).arg(phase);
    // The certificate is verified as in real life; nothing in the environment may switch that off.
    command.env_remove("NODE_TLS_REJECT_UNAUTHORIZED").env_remove("NODE_OPTIONS");
    command.env("NODE_EXTRA_CA_CERTS", scene.certificate());
    command.env("BASE_URL", server.base_url()).env("STATE", scene.state());
    let before = *counts;
    process::stream(&mut command, counts)?;
    if *counts == before {
        return Err(Error::Check(format!("{driver}: phase {phase} ran no step")));
    }
    Ok(())
}

fn target_directory(root: &Path) -> Result<PathBuf, Error> {
    let text = process::read(tools::cargo(root).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).unwrap_or_default();
    let directory = metadata.get("target_directory").and_then(Value::as_str);
    directory.map(PathBuf::from).ok_or_else(|| Error::Check("`cargo metadata` names no target directory".to_owned()))
}

fn build_server(root: &Path, target: &Path) -> Result<PathBuf, Error> {
    process::stream(tools::cargo(root).args(["build", "--package", "account-server"]), &mut Counts::default())?;
    Ok(target.join("debug").join("account-server"))
}

/// Copies, installs and bundles. What is installed is kept for as long as the lock file stays the same.
fn install_drivers(root: &Path, target: &Path) -> Result<PathBuf, Error> {
    let source = root.join(DRIVERS);
    let work = target.join("clients").join("nextcloud");
    fs::create_dir_all(&work).map_err(Error::io(format!("{}", work.display())))?;
    for entry in fs::read_dir(&source).map_err(Error::io(DRIVERS))? {
        let entry = entry.map_err(Error::io(DRIVERS))?;
        if entry.path().is_file() {
            fs::copy(entry.path(), work.join(entry.file_name())).map_err(Error::io(DRIVERS))?;
        }
    }
    let lock = fs::read_to_string(source.join("package-lock.json")).map_err(Error::io("package-lock.json"))?;
    if lock.contains("://") {
        return Err(Error::Check(format!("{DRIVERS}/package-lock.json names a host: make it anew in that folder")));
    }
    let installed = work.join("node_modules").join("installed-lock.json");
    if fs::read_to_string(&installed).ok().as_ref() != Some(&lock) {
        let mut command = Command::new("npm");
        command.current_dir(&work).args(["ci", "--no-progress"]);
        process::stream(&mut command, &mut Counts::default())?;
        fs::write(&installed, &lock).map_err(Error::io("node_modules"))?;
    }
    let mut command = Command::new("npm");
    command.current_dir(&work).args(["run", "--silent", "bundle"]);
    process::stream(&mut command, &mut Counts::default())?;
    Ok(work)
}
