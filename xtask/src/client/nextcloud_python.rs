//! Nextcloud Passwords by the published Python package `nextcloud-async`, which sends forms and
//! paths without `index.php`.

use std::path::Path;

use super::drivers::drive;
use super::nextcloud::{accounts_file, initial_state, start};
use super::scene::Scene;
use super::venv::Venv;
use crate::count::Counts;
use crate::error::Error;

/// # Errors
/// An error if something cannot be installed or started, or if a step of the driver fails.
pub(crate) fn run(root: &Path, runs: &Path, program: &Path, counts: &mut Counts) -> Result<(), Error> {
    let venv = Venv::install(root, runs, "nextcloud-python")?;
    let scene = Scene::new(runs, &accounts_file(), &initial_state())?;
    let course = contact(program, &venv, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("the Python package"))
}

fn contact(program: &Path, venv: &Venv, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let server = start(program, scene, "code")?;
    drive(venv.python("driver.py"), ("driver.py", "contact"), &server, scene, counts)?;
    server.stop_counted(counts)
}
