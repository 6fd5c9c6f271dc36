//! The drivers of one client that is a Python package: copied below `target/`, beside a virtual
//! environment with the versions that their `requirements.txt` pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::drivers::{DRIVERS, copy_files};
use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// A folder with drivers and the packages that they run on.
#[derive(Debug)]
pub(crate) struct Venv {
    directory: PathBuf,
}

impl Venv {
    /// Copies and installs the drivers of one client below `runs`. Installed packages are kept as
    /// long as `requirements.txt` stays the same.
    pub(crate) fn install(root: &Path, runs: &Path, client: &str) -> Result<Self, Error> {
        tools::require_python()?;
        let source = root.join(DRIVERS).join(client);
        let directory = runs.join(client);
        fs::create_dir_all(&directory).map_err(Error::io(format!("{}", directory.display())))?;
        copy_files(&source, &directory).map_err(Error::io(format!("{DRIVERS}/{client}")))?;
        let wanted = fs::read_to_string(source.join("requirements.txt")).map_err(Error::io("requirements.txt"))?;
        let venv = Self { directory };
        let installed = venv.directory.join("venv").join("installed.txt");
        if fs::read_to_string(&installed).ok().as_ref() != Some(&wanted) {
            let mut make = Command::new("python3");
            make.current_dir(&venv.directory).args(["-m", "venv", "--clear", "venv"]);
            process::stream(&mut make, &mut Counts::default())?;
            let mut install = venv.python("-m");
            install.args(["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]);
            process::stream(install.arg("requirements.txt"), &mut Counts::default())?;
            fs::write(&installed, &wanted).map_err(Error::io("venv"))?;
        }
        Ok(venv)
    }

    /// Returns a command that runs Python with a driver, on nothing but its own packages.
    pub(crate) fn python(&self, driver: &str) -> Command {
        let mut command = Command::new(self.directory.join("venv").join("bin").join("python"));
        command.current_dir(&self.directory).arg(driver);
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        command
    }
}
