//! Compares the README's table of crates with the crates that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::Error;

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
