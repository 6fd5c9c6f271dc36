//! Nextcloud Passwords by the published crate `nextcloud-passwords-client`: from first contact to an
//! open session.

use std::path::Path;
use std::process::Command;

use super::drivers::{DRIVERS, drive};
use super::nextcloud::{accounts_file, initial_state, start};
use super::scene::Scene;
use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

const NAME: &str = "keywright-client-nextcloud-rust";

/// # Errors
/// An error if something cannot be built or started, or if a step of the driver fails.
pub(crate) fn run(root: &Path, runs: &Path, program: &Path, counts: &mut Counts) -> Result<(), Error> {
    tools::require_openssl()?;
    let manifest = root.join(DRIVERS).join("nextcloud-rust").join("Cargo.toml");
    let target = runs.join("nextcloud-rust");
    let mut build = tools::cargo(root);
    build.args(["build", "--locked", "--manifest-path"]).arg(manifest).env("CARGO_TARGET_DIR", &target);
    process::stream(&mut build, &mut Counts::default())?;
    let driver = target.join("debug").join(NAME);

    let scene = Scene::new(runs, &accounts_file(), &initial_state())?;
    let course = contact(program, &driver, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("the published crate"))
}

fn contact(program: &Path, driver: &Path, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let server = start(program, scene, "code")?;
    drive(Command::new(driver), (NAME, "contact"), &server, scene, counts)?;
    server.stop_counted(counts)
}
