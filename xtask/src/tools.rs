//! The programs that the tasks call, and the advice when one is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::count::Counts;
use crate::error::Error;
use crate::process;

/// The oldest Node that has `fetch`, `Request` and `Headers` without a flag.
const NODE_AT_LEAST: u64 = 18;

/// Returns the root folder of the workspace, whichever folder the task was started in.
pub(crate) fn repository_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Returns a command for the Cargo that started us, or else the one on the path, at the root of the
/// workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Lets a command for a workspace of its own build into the folder of the main one. What both depend on, with one version,
/// the same features and the same profile, is then built once.
pub(crate) fn sharing_builds<'c>(root: &Path, command: &'c mut Command) -> &'c mut Command {
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", root.join("target"));
    }
    command
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

pub(crate) fn has_subcommand(root: &Path, name: &str) -> bool {
    runs(cargo(root).args([name, "--version"]))
}

/// # Errors
/// [`Error::MissingTool`] with the given advice.
pub(crate) fn require_subcommand(root: &Path, name: &str, advice: &str) -> Result<(), Error> {
    if has_subcommand(root, name) {
        Ok(())
    } else {
        Err(Error::MissingTool(format!("`cargo {name}` is missing: {advice}")))
    }
}

/// Tools of Cargo that are installed from the registry when they are missing, each with the version
/// that its settings in this repository are written for.
const INSTALLED: [(&str, &str); 5] = [
    ("check-external-types", "=0.5.0"),
    ("deny", "^0.20"),
    ("hack", "^0.6"),
    ("machete", "^0.9"),
    ("semver-checks", "^0.45"),
];

/// Returns a command for one of Cargo's tools: the one on the path, or else one that is built below
/// `target/tools`, once.
///
/// # Errors
/// [`Error::MissingTool`] if it can be neither found nor installed.
pub(crate) fn installed_subcommand(root: &Path, name: &str) -> Result<Command, Error> {
    let own = root.join("target").join("tools");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(own.join("bin")).chain(env::split_paths(&path)))
        .map_err(|_| Error::MissingTool("a folder on the PATH has a separator in its name".to_owned()))?;
    let tool = || {
        let mut command = cargo(root);
        // With this variable of `cargo run`, cargo-machete takes its own name for a folder to check.
        command.env("PATH", &path).env_remove("CARGO_PKG_NAME").arg(name);
        command
    };
    if !runs(tool().arg("--help")) {
        install(root, &own, name)?;
    }
    Ok(tool())
}

fn install(root: &Path, own: &Path, name: &str) -> Result<(), Error> {
    let package = format!("cargo-{name}");
    let version = INSTALLED.iter().find(|(tool, _)| *tool == name).map_or("*", |(_, version)| version);
    println!("`{package}` is missing: building it below target/tools, once");
    let mut command = cargo(root);
    // Not a release build: that takes several times as long as all that these programs have to do here.
    command.args(["install", "--quiet", "--debug", "--locked", "--version", version, &package, "--root"]).arg(own);
    process::stream(&mut command, &mut Counts::default()).map_err(|error| {
        Error::MissingTool(format!(
            "{error}. Install it with `cargo install {package} --locked`, and put it on the PATH"
        ))
    })
}

/// Requires Node and npm, for the published clients. If they are missing, installs them where that
/// is easy: on Debian as root, as on a fresh CI machine.
///
/// # Errors
/// [`Error::MissingTool`] with what is missing or too old, and what to install.
pub(crate) fn require_node() -> Result<(), Error> {
    let missing = match missing_for_node() {
        None => return Ok(()),
        Some(missing) => missing,
    };
    install_on_debian(&missing, &["nodejs", "npm"]);
    match missing_for_node() {
        None => Ok(()),
        Some(missing) => Err(Error::MissingTool(format!(
            "{missing}. The real-client run drives a published npm package: install Node {NODE_AT_LEAST} or newer with \
             npm (Debian: `apt-get install nodejs npm`) and put both on the PATH"
        ))),
    }
}

/// Requires Python with virtual environments, in the same way, for the clients that are Python
/// packages.
///
/// # Errors
/// [`Error::MissingTool`] with what to install.
pub(crate) fn require_python() -> Result<(), Error> {
    let is_there =
        || runs(Command::new("python3").args(["-c", "import ensurepip, sys; assert sys.version_info >= (3, 10)"]));
    let missing = "Python 3.10 or newer with venv is missing";
    if !is_there() {
        install_on_debian(missing, &["python3", "python3-venv"]);
    }
    let advice = "The real-client run drives a published Python package: install it (Debian: `apt-get install \
                  python3 python3-venv`) and put `python3` on the PATH";
    if is_there() { Ok(()) } else { Err(Error::MissingTool(format!("{missing}. {advice}"))) }
}

/// Requires what a crate needs that is built on the system's OpenSSL, in the same way.
///
/// # Errors
/// [`Error::MissingTool`] with what to install.
pub(crate) fn require_openssl() -> Result<(), Error> {
    let is_there = || runs(Command::new("pkg-config").args(["--exists", "openssl"]));
    let missing = "the files to build with OpenSSL are missing";
    if !is_there() {
        install_on_debian(missing, &["libssl-dev", "pkg-config"]);
    }
    let advice = "The real-client run builds a published crate of 2020: install them (Debian: `apt-get install \
                  libssl-dev pkg-config`)";
    if is_there() { Ok(()) } else { Err(Error::MissingTool(format!("{missing}. {advice}"))) }
}

/// Requires two programs that are not ours, in the same way: a reader of QR codes and an
/// authenticator.
///
/// # Errors
/// [`Error::MissingTool`] with what to install.
pub(crate) fn require_authenticators() -> Result<(), Error> {
    let is_there = || ["zbarimg", "oathtool"].into_iter().all(|program| runs(Command::new(program).arg("--version")));
    let missing = "`zbarimg` or `oathtool` is missing";
    if !is_there() {
        install_on_debian(missing, &["zbar-tools", "oathtool"]);
    }
    let advice = "The real-client run compares enrolments with them: install them (Debian: `apt-get install \
                  zbar-tools oathtool`)";
    if is_there() { Ok(()) } else { Err(Error::MissingTool(format!("{missing}. {advice}"))) }
}

/// Requires a PostgreSQL server and PgBouncer, for the tests of `keywright-postgres`, which start
/// clusters of their own. If they are missing, installs them as [`require_node`] does.
///
/// # Errors
/// [`Error::MissingTool`] with what is missing, and what to install.
pub(crate) fn require_postgres() -> Result<(), Error> {
    let Some(missing) = missing_for_postgres() else { return Ok(()) };
    install_on_debian(&missing, &["postgresql", "pgbouncer"]);
    missing_for_postgres().map_or(Ok(()), |missing| Err(Error::MissingTool(missing)))
}

/// Looks where `keywright_testing::postgres` does, which this program does not link: it must build
/// when they do not.
fn missing_for_postgres() -> Option<String> {
    let named = env::var_os("KEYWRIGHT_POSTGRES_BIN").map(PathBuf::from);
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let places =
        named.clone().map_or_else(|| installed.map(|entry| entry.path().join("bin")).collect(), |bin| vec![bin]);
    if !places.iter().any(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file()) {
        return Some(match named {
            Some(bin) => format!("KEYWRIGHT_POSTGRES_BIN={} has no initdb and postgres", bin.display()),
            None => {
                "PostgreSQL is missing: install the server (Debian: `apt-get install postgresql pgbouncer`), or set \
                     KEYWRIGHT_POSTGRES_BIN to the folder with initdb and postgres"
                    .to_owned()
            }
        });
    }
    let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].iter().any(|path| Path::new(path).is_file());
    (!found).then(|| "PgBouncer is missing: install it (Debian: `apt-get install pgbouncer`)".to_owned())
}

/// Installs packages where that is easy: on Debian as root, as on a fresh CI machine.
/// Requires Chromium, in the same way, for the pages for owners. Returns its program.
///
/// # Errors
/// [`Error::MissingTool`] with what to install.
pub(crate) fn require_chromium() -> Result<PathBuf, Error> {
    let find = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(program_path);
    let missing = "Chromium is missing";
    if find().is_none() {
        install_on_debian(missing, &["chromium", "fonts-noto-core"]);
    }
    let advice = "The pages for owners are tested in it: install it (Debian: `apt-get install chromium`) and put it on \
                  the PATH";
    find().ok_or_else(|| Error::MissingTool(format!("{missing}. {advice}")))
}

/// Returns where a program is on the path.
fn program_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn install_on_debian(missing: &str, packages: &[&str]) {
    if !Path::new("/etc/debian_version").exists() || !is_root() {
        return;
    }
    println!("{missing}: trying `apt-get install -y {}`", packages.join(" "));
    let install = || runs(Command::new("apt-get").args(["install", "-y"]).args(packages));
    if !install() && runs(Command::new("apt-get").arg("update")) {
        install();
    }
}

/// Requires faketime, which shifts the clock of the reference server in its tests. If it is missing,
/// installs it where that is easy, as [`require_node`] does.
///
/// # Errors
/// [`Error::MissingTool`] with what to install.
pub(crate) fn require_faketime() -> Result<(), Error> {
    let is_there = || runs(Command::new("faketime").arg("--version"));
    let missing = "faketime is missing";
    if !is_there() {
        install_on_debian(missing, &["faketime"]);
    }
    let advice = "The tests of the reference server's clock need it: install it (Debian: `apt-get install faketime`) \
                  and put it on the PATH";
    if is_there() { Ok(()) } else { Err(Error::MissingTool(format!("{missing}. {advice}"))) }
}

/// Returns the library that shifts the clock of a program in which it is loaded. `faketime` itself
/// runs a program as its child, which would not get our signals.
///
/// # Errors
/// [`Error::Io`] or [`Error::Command`] if `faketime` does not run.
pub(crate) fn faketime_library() -> Result<String, Error> {
    let arguments = ["-m", "-f", "+0s", "sh", "-c", "echo \"$LD_PRELOAD\""];
    Ok(process::read(Command::new("faketime").args(arguments))?.trim().to_owned())
}

fn missing_for_node() -> Option<String> {
    let Ok(version) = process::read(Command::new("node").arg("--version")) else {
        return Some("Node is missing".to_owned());
    };
    let version = version.trim();
    if node_major(version).is_none_or(|major| major < NODE_AT_LEAST) {
        return Some(format!("Node is too old: {version}"));
    }
    (!runs(Command::new("npm").arg("--version"))).then(|| "npm is missing".to_owned())
}

fn is_root() -> bool {
    process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// `v20.19.2` → 20.
fn node_major(version: &str) -> Option<u64> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions() {
        assert_eq!(node_major("v20.19.2"), Some(20));
        assert_eq!(node_major("v8.0.0"), Some(8));
        assert_eq!(node_major("20"), None);
        assert_eq!(node_major(""), None);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(repository_root().join("xtask").join("Cargo.toml").is_file());
    }

    #[test]
    fn a_missing_subcommand_comes_with_its_advice() {
        let error = require_subcommand(&repository_root(), "keywright-no-such-command", "do this").unwrap_err();
        assert_eq!(error.to_string(), "`cargo keywright-no-such-command` is missing: do this");
    }
}
