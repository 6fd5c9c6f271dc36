//! Checks the wide range of `rusqlite`. `cargo add keywright` must resolve beside the crates that
//! server authors already use, because one program can link only one `libsqlite3-sys`. And with
//! both ends of the range, every test of the backend must build and pass.

use std::fs;
use std::path::Path;

use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

/// The dependencies of a program that Keywright is added to, as lines of a manifest.
const BESIDE: [(&str, &str); 13] = [
    ("sqlx 0.8", r#"sqlx = { version = "0.8", features = ["sqlite", "runtime-tokio"] }"#),
    ("sqlx 0.8, PostgreSQL only", r#"sqlx = { version = "0.8", features = ["postgres", "runtime-tokio"] }"#),
    ("sqlx 0.9", r#"sqlx = { version = "0.9", features = ["sqlite", "runtime-tokio"] }"#),
    ("sqlx 0.9, PostgreSQL only", r#"sqlx = { version = "0.9", features = ["postgres", "runtime-tokio"] }"#),
    ("sea-orm", r#"sea-orm = { version = "1", features = ["sqlx-sqlite", "runtime-tokio-rustls"] }"#),
    ("sea-orm 2", r#"sea-orm = { version = ">=2.0.0-rc, <3", features = ["sqlx-sqlite", "runtime-tokio-rustls"] }"#),
    ("diesel", r#"diesel = { version = "2", features = ["sqlite"] }"#),
    ("tower-sessions-sqlx-store", r#"tower-sessions-sqlx-store = { version = "0.15", features = ["sqlite"] }"#),
    ("diesel, with PostgreSQL", r#"diesel = { version = "2", features = ["postgres"] }"#),
    ("sea-orm 2, with PostgreSQL", r#"sea-orm = { version = ">=2.0.0-rc, <3", features = ["sqlx-postgres"] }"#),
    ("tower-sessions", r#"tower-sessions = "0.15""#),
    ("axum-login", "axum = \"0.8\"\naxum-login = \"0.18\""),
    ("rusqlite, the newest", r#"rusqlite = "*""#),
];

/// The ends of the range. Every test of the backend is built and run with both. The version in the
/// lock file is between them.
const ENDS: [&str; 2] = ["0.32.0", "0.43.0"];

/// # Errors
/// [`Error::Check`] with the dependencies beside which nothing resolves, or [`Error::Step`] if an
/// end of the range fails.
pub(crate) fn check(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let folder = root.join("target").join("resolve");
    let mut broken = Vec::new();
    for (name, line) in BESIDE {
        let package = manifest(root, &folder, line)?;
        let mut command = tools::cargo(&package);
        match process::read(command.args(["generate-lockfile", "--quiet"])) {
            Ok(_) => println!("resolves beside {name}"),
            Err(error) => broken.push(format!("beside {name}: {error}")),
        }
    }
    if !broken.is_empty() {
        return Err(Error::Check(broken.join("\n")));
    }
    both_ends(root, counts)
}

/// Writes a package with Keywright and one other dependency.
fn manifest(root: &Path, folder: &Path, line: &str) -> Result<std::path::PathBuf, Error> {
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(Error::io("writing a package to resolve"));
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(Error::io("making a package to resolve"))?;
    let keywright = root.join("crates").join("keywright");
    write(
        &folder.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"beside\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n[workspace]\n\
             [dependencies]\nkeywright = {{ path = {keywright:?} }}\n{line}\n"
        ),
    )?;
    write(&source.join("lib.rs"), "")?;
    // Versions that an earlier dependency locked must not interfere.
    let _ = fs::remove_file(folder.join("Cargo.lock"));
    Ok(folder.to_owned())
}

/// Builds and runs the backend's tests with the oldest and the newest `rusqlite` of the range, in a
/// copy of the workspace with its own lock file, so that nothing outside `target/` changes. Crates
/// that do not depend on `rusqlite` are built once.
fn both_ends(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let copy = root.join("target").join("ends");
    for part in ["Cargo.toml", "Cargo.lock", "clippy.toml", "README.md", "crates", "benches", "examples", "xtask"] {
        let to = copy.join(part);
        if to.is_dir() {
            fs::remove_dir_all(&to).map_err(Error::io("clearing an earlier copy of the workspace"))?;
        }
        copy_all(&root.join(part), &to).map_err(Error::io("copying the workspace"))?;
    }
    for end in ENDS {
        println!("with rusqlite {end}");
        process::read(tools::cargo(&copy).args(["update", "--quiet", "--package", "rusqlite", "--precise", end]))?;
        let mut command = tools::cargo(&copy);
        command.args(["test", "--package", "keywright-sqlite", "--no-fail-fast"]);
        process::stream(command.env("CARGO_TARGET_DIR", copy.join("target")), counts)?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != "node_modules" && entry.file_name() != "target" {
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the minor version of `0.N` or `0.N.M`.
    fn minor(version: &str) -> u32 {
        version.split('.').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn the_ends_are_those_of_the_range() {
        let manifest = tools::repository_root().join("crates").join("keywright-sqlite").join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let line = manifest.lines().find(|line| line.starts_with("rusqlite = ")).unwrap();
        let range = line.split('"').nth(1).unwrap();
        let (from, to) = range.split_once(", ").unwrap();
        let [oldest, newest] = ENDS.map(minor);
        assert_eq!(minor(from.strip_prefix(">=").unwrap()), oldest);
        assert_eq!(minor(to.strip_prefix('<').unwrap()), newest + 1);
    }
}
