//! Checks the layout of the code: no cycle of files in any crate, no folder that uses one above it,
//! and every import names the module that defines the item.

mod modules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::layout::modules::Crate;

/// The folders whose subfolders are crates. `benches` and `xtask` are crates themselves.
const FOLDERS: [&str; 2] = ["crates", "examples"];
const SINGLE: [&str; 2] = ["benches", "xtask"];

/// The crates whose folders are layers, from the top: a file uses none of a layer above its own.
const LAYERED: [(&str, &[&str]); 1] = [("crates/keywright-librepass/src", &["wire", "account", "protocol"])];

/// # Errors
/// [`Error::Check`] with one line for each cycle of files, each use of a layer above and each import
/// through a re-export.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let mut complaints = Vec::new();
    for root_file in root_files(root)? {
        let parsed = Crate::read(&root_file)?;
        let name = |file: &Path| file.strip_prefix(root).unwrap_or(file).display().to_string();
        complaints.extend(
            parsed.indirect().iter().map(|import| {
                format!("{}: `{}` is defined in `{}`", name(&import.file), import.path, import.defined_in)
            }),
        );
        let edges = parsed.edges();
        for (_, layers) in LAYERED.iter().filter(|(sources, _)| root_file.parent() == Some(&root.join(sources))) {
            let upwards = edges.iter().filter(|(from, to)| is_upwards(layers, &root_file, from, to));
            complaints.extend(upwards.map(|(from, to)| format!("{} is below {}", name(from), name(to))));
        }
        for circle in circles(&edges) {
            let within = edges.iter().filter(|(from, to)| circle.contains(from) && circle.contains(to));
            let within: Vec<String> = within.map(|(from, to)| format!("\n  {} -> {}", name(from), name(to))).collect();
            complaints.push(format!("a circle of {} files:{}", circle.len(), within.concat()));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Check(complaints.join("\n"))) }
}

/// Whether a file uses one of a layer above its own. A file outside the layers' folders has none.
fn is_upwards(layers: &[&str], root_file: &Path, from: &Path, to: &Path) -> bool {
    let sources = root_file.parent().unwrap_or(Path::new(""));
    let layer = |file: &Path| layers.iter().position(|layer| file.starts_with(sources.join(layer)));
    matches!((layer(from), layer(to)), (Some(from), Some(to)) if to < from)
}

/// Returns the `lib.rs` and `main.rs` of every crate, and its binaries.
fn root_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut crates: Vec<PathBuf> = SINGLE.iter().map(|name| root.join(name)).collect();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).map_err(Error::io(folder))? {
            crates.push(entry.map_err(Error::io(folder))?.path());
        }
    }
    let mut files = Vec::new();
    for folder in crates {
        let sources = folder.join("src");
        files.extend(["lib.rs", "main.rs"].map(|name| sources.join(name)).into_iter().filter(|file| file.is_file()));
        if let Ok(binaries) = fs::read_dir(sources.join("bin")) {
            let binaries = binaries.filter_map(|entry| Some(entry.ok()?.path()));
            files.extend(binaries.filter(|file| file.extension().is_some_and(|extension| extension == "rs")));
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the groups of files that reach each other, each sorted.
fn circles(edges: &BTreeSet<(PathBuf, PathBuf)>) -> BTreeSet<Vec<PathBuf>> {
    let reachable = |from: &PathBuf| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.clone()];
        while let Some(file) = next.pop() {
            for (_, to) in edges.iter().filter(|(source, _)| *source == file) {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let files: BTreeSet<&PathBuf> = edges.iter().map(|(from, _)| from).collect();
    let reached: Vec<(&PathBuf, BTreeSet<PathBuf>)> = files.iter().map(|file| (*file, reachable(file))).collect();
    let in_circle = reached.iter().filter(|(file, reaches)| reaches.contains(*file));
    in_circle
        .map(|(file, reaches)| {
            let back = reached.iter().filter(|(other, back)| reaches.contains(*other) && back.contains(*file));
            back.map(|(other, _)| (*other).clone()).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> BTreeSet<(PathBuf, PathBuf)> {
        pairs.iter().map(|(from, to)| (PathBuf::from(from), PathBuf::from(to))).collect()
    }

    #[test]
    fn a_tree_has_no_circle() {
        assert!(circles(&edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])).is_empty());
    }

    #[test]
    fn circles_are_found_apart_from_each_other() {
        let found =
            circles(&edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("x", "a")]));
        let names = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(found, [names(&["a", "b", "c"]), names(&["d", "e"])].into());
    }

    #[test]
    fn a_layer_uses_those_below_it() {
        let upwards = |from: &str, to: &str| {
            let file = |name: &str| Path::new("src").join(name);
            is_upwards(&["wire", "account", "protocol"], &file("lib.rs"), &file(from), &file(to))
        };
        assert!(upwards("account/a.rs", "wire/b.rs"));
        assert!(upwards("protocol/a.rs", "wire/deep/b.rs"));
        assert!(!upwards("wire/b.rs", "protocol/a.rs"));
        assert!(!upwards("account/a.rs", "account/b.rs"));
        assert!(!upwards("protocol/a.rs", "policy.rs"));
    }

    /// The real check, on the files of a crate that is written here.
    #[test]
    fn a_circle_and_an_indirect_import_are_found_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("lib.rs", "mod up;\nmod down;\nmod other;\npub use other::Other;\npub use up::{Up, inner::Deep};\n");
        write("other.rs", "pub struct Other;\n");
        write("up.rs", "pub mod inner;\nuse crate::down::Down;\npub struct Up(Down);\n");
        write(
            "up/inner.rs",
            "use super::super::Other;\npub struct Deep;\nfn f() { println!(\"{}\", crate::down::N) }\n",
        );
        write("down.rs", "pub struct Down;\npub const N: u8 = 1;\n#[cfg(test)]\nmod tests { use crate::up::Up; }\n");
        let parsed = Crate::read(&folder.path().join("lib.rs")).unwrap();
        let short = |file: &Path| file.strip_prefix(folder.path()).unwrap().display().to_string();
        let indirect: Vec<(String, String)> =
            parsed.indirect().iter().map(|import| (short(&import.file), import.path.clone())).collect();
        assert_eq!(indirect, [("up/inner.rs".to_owned(), "super::super::Other".to_owned())]);
        assert!(parsed.edges().contains(&(folder.path().join("up/inner.rs"), folder.path().join("down.rs"))));
        let found = circles(&parsed.edges());
        assert!(found.is_empty(), "tests do not count: {found:?}");
        write("down.rs", "pub struct Down;\npub const N: u8 = crate::up::inner::M;\n");
        let found = circles(&Crate::read(&folder.path().join("lib.rs")).unwrap().edges());
        let circle = ["down.rs", "up/inner.rs"].map(|name| folder.path().join(name)).to_vec();
        assert_eq!(found, [circle].into());
    }
}
