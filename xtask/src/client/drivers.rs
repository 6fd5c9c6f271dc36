//! The drivers of one client, which are installed from a lock file, bundled, and run phase by
//! phase.
//!
//! They are copied into `target/`, the packages of their lock file are installed beside them, and
//! everything is bundled, because the sources of some clients do not load in Node as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::Scene;
use super::server::Server;
use crate::count::Counts;
use crate::error::Error;
use crate::process;

pub(crate) const DRIVERS: &str = "examples/account-server/tests/clients";

/// A folder with installed and bundled drivers.
#[derive(Debug)]
pub(crate) struct Drivers {
    directory: PathBuf,
}

impl Drivers {
    /// Copies, installs and bundles the drivers of one client below `runs`. Installed packages are
    /// kept as long as the lock file stays the same.
    pub(crate) fn install(root: &Path, runs: &Path, client: &str) -> Result<Self, Error> {
        let source = root.join(DRIVERS).join(client);
        let shown = format!("{DRIVERS}/{client}");
        let directory = runs.join(client);
        fs::create_dir_all(&directory).map_err(Error::io(format!("{}", directory.display())))?;
        // Files that the clients share are one folder up, in both places.
        for (from, to) in [(root.join(DRIVERS), runs), (source.clone(), &directory)] {
            copy_files(&from, to).map_err(Error::io(shown.as_str()))?;
        }
        install_packages(&directory, &shown)?;
        npm(&directory, &["run", "--silent", "bundle"])?;
        Ok(Self { directory })
    }

    /// Returns a command that runs Node with a bundled script. Nothing in the environment may
    /// switch off the verification of certificates.
    pub(crate) fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.current_dir(&self.directory).arg("--enable-source-maps").arg(Path::new("out").join(script));
        command.env_remove("NODE_TLS_REJECT_UNAUTHORIZED").env_remove("NODE_OPTIONS");
        command
    }

    /// Runs one phase of a driver against the server, with `environment` as further variables.
    pub(crate) fn drive(
        &self,
        (driver, phase): (&str, &str),
        server: &Server,
        scene: &Scene,
        environment: &[(&str, &str)],
        counts: &mut Counts,
    ) -> Result<(), Error> {
        let mut command = self.node(driver);
        command.env("NODE_EXTRA_CA_CERTS", scene.certificate()).envs(environment.iter().copied());
        drive(command, (driver, phase), server, scene, counts)
    }
}

/// Runs one phase of a driver, whatever it is written in, against the server.
pub(crate) fn drive(
    mut command: Command,
    (driver, phase): (&str, &str),
    server: &Server,
    scene: &Scene,
    counts: &mut Counts,
) -> Result<(), Error> {
    println!("# {driver}, phase {phase}");
    // Some clients expect the slash at the end.
    command.arg(phase).env("BASE_URL", format!("{}/", server.address())).env("STATE", scene.state());
    // What programs on OpenSSL trust, Python among them.
    command.env("SSL_CERT_FILE", scene.certificate()).env_remove("SSL_CERT_DIR");
    let before = *counts;
    process::stream(&mut command, counts)?;
    if *counts == before {
        return Err(Error::Check(format!("{driver}: phase {phase} ran no step")));
    }
    Ok(())
}

/// Installs the packages of a copied lock file. They are kept as long as it stays the same.
pub(super) fn install_packages(directory: &Path, shown: &str) -> Result<(), Error> {
    let lock = fs::read_to_string(directory.join("package-lock.json")).map_err(Error::io("package-lock.json"))?;
    if names_a_host(&lock) {
        return Err(Error::Check(format!("{shown}/package-lock.json names a host: make it anew in that folder")));
    }
    let installed = directory.join("node_modules").join("installed-lock.json");
    if fs::read_to_string(&installed).ok().as_ref() != Some(&lock) {
        npm(directory, &["ci", "--no-progress"])?;
        fs::write(&installed, &lock).map_err(Error::io("node_modules"))?;
    }
    Ok(())
}

/// Copies the files of a folder, without subfolders.
pub(crate) fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn npm(directory: &Path, arguments: &[&str]) -> Result<(), Error> {
    process::stream(Command::new("npm").current_dir(directory).args(arguments), &mut Counts::default())
}

/// Whether a package is pinned to the host that it was once fetched from. Addresses for donations
/// do not count.
fn names_a_host(lock: &str) -> bool {
    lock.contains("\"resolved\"") || lock.contains("git+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_names_a_host_is_seen() {
        assert!(names_a_host("\"resolved\": \"https://registry.example/a-1.0.0.tgz\","));
        assert!(names_a_host("\"version\": \"git+ssh://git@host.example/a.git#1\""));
        assert!(!names_a_host("\"funding\": {\"url\": \"https://example.org/give\"}, \"integrity\": \"sha512-git/+\""));
    }
}
