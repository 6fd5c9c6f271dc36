//! Compares the README's table of crates with the crates that exist, and runs its example as a
//! reader would: in an empty project, with the dependencies that are printed beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::{process, tools};

/// # Errors
/// [`Error::Check`] if a crate in a table of the README does not exist, or one under `crates/` is
/// missing there.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let readme = fs::read_to_string(root.join("README.md")).map_err(Error::io("README.md"))?;
    let mut existing = BTreeSet::new();
    for entry in fs::read_dir(root.join("crates")).map_err(Error::io("crates/"))? {
        let entry = entry.map_err(Error::io("crates/"))?;
        if entry.path().join("Cargo.toml").is_file() {
            existing.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let complaints = compare(&named_in_tables(&readme), &existing);
    if complaints.is_empty() { Ok(()) } else { Err(Error::Check(complaints.join("\n"))) }
}

/// Runs the README's example in a project of its own below `target/`, with the crates of this
/// repository in the place of published ones.
///
/// # Errors
/// Fails if the README has no dependencies or no example, or the example does not build, run and
/// let its user in.
pub(crate) fn run_example(root: &Path) -> Result<(), Error> {
    let readme = fs::read_to_string(root.join("README.md")).map_err(Error::io("README.md"))?;
    let (Some(dependencies), Some(example)) = (block(&readme, "toml"), block(&readme, "rust")) else {
        return Err(Error::Check("README.md has no dependencies or no example".to_owned()));
    };
    let mut manifest = format!(
        "[package]\nname = \"pasted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{dependencies}\n[workspace]\n\n{}\n[patch.crates-io]\n",
        profile(root)?
    );
    for entry in fs::read_dir(root.join("crates")).map_err(Error::io("crates/"))? {
        let path = entry.map_err(Error::io("crates/"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        manifest.push_str(&format!("{name} = {{ path = '{}' }}\n", path.display()));
    }
    let project = root.join("target/readme");
    let write = |name: &str, text: &[u8]| fs::write(project.join(name), text).map_err(Error::io(name.to_owned()));
    fs::create_dir_all(project.join("src")).map_err(Error::io("target/readme"))?;
    write("Cargo.toml", manifest.as_bytes())?;
    write("Cargo.lock", &fs::read(root.join("Cargo.lock")).map_err(Error::io("Cargo.lock"))?)?;
    write("src/main.rs", example.as_bytes())?;
    let mut command = tools::cargo(&project);
    let printed = process::read(tools::sharing_builds(root, command.args(["run", "--quiet"])))?;
    let welcomed = printed.matches("welcome, ").count();
    if welcomed == 1 { Ok(()) } else { Err(Error::Check(format!("the example let {welcomed} of two requests in"))) }
}

/// Returns the development profile of the workspace, so that dependencies which it has built are used again.
fn profile(root: &Path) -> Result<String, Error> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(Error::io("Cargo.toml"))?;
    let from = manifest.find("[profile.dev]").unwrap_or(manifest.len());
    let (profile, _) = manifest.split_at(from).1.split_once("[profile.bench]").unwrap_or_default();
    Ok(profile.to_owned())
}

/// Returns the first block of code in a language.
fn block<'t>(page: &'t str, language: &str) -> Option<&'t str> {
    let (_, after) = page.split_once(&format!("```{language}\n"))?;
    after.split_once("```").map(|(code, _)| code)
}

/// Returns the names in backticks in the first cell of a table row: ``| `keywright-core` | … |``,
/// linked or not.
fn named_in_tables(readme: &str) -> BTreeSet<String> {
    let rows = readme.lines().filter_map(|line| line.trim().strip_prefix('|'));
    rows.filter_map(|row| row.split('|').next()?.split('`').nth(1))
        .filter(|name| *name == "keywright" || name.starts_with("keywright-"))
        .map(str::to_owned)
        .collect()
}

fn compare(named: &BTreeSet<String>, existing: &BTreeSet<String>) -> Vec<String> {
    let unknown = named.difference(existing).map(|name| format!("README.md names `{name}`, which does not exist"));
    let absent = existing.difference(named).map(|name| format!("README.md has no table row for `{name}`"));
    unknown.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_of_a_language_is_found() {
        let page = "a\n```toml\n[x]\n```\n```rust\nfn a() {}\n```\n```rust\nfn b() {}\n```\n";
        assert_eq!(block(page, "toml"), Some("[x]\n"));
        assert_eq!(block(page, "rust"), Some("fn a() {}\n"));
        assert_eq!(block(page, "sh"), None);
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_first_cells_of_tables_name_crates() {
        let readme = "Use `keywright-prose`.\n| crate | what |\n|---|---|\n| [`keywright-core`](crates/keywright-core) | over `keywright-x` |\n| `keywright` | all |\n| `tower` | no |\n";
        assert_eq!(named_in_tables(readme), set(&["keywright", "keywright-core"]));
    }

    #[test]
    fn differences_are_named_both_ways() {
        assert!(compare(&set(&["keywright"]), &set(&["keywright"])).is_empty());
        let complaints = compare(&set(&["keywright-old"]), &set(&["keywright-new"]));
        assert_eq!(
            complaints,
            ["README.md names `keywright-old`, which does not exist", "README.md has no table row for `keywright-new`",]
        );
    }
}
