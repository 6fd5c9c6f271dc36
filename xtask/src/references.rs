//! Checks references from the code to the documents, and that the crates below the protocols name
//! no protocol.
//!
//! A comment names a document by its path from the root, followed by a section or a number:
//! `docs/security.md` § 6, `docs/decisions.md` 27b. In a protocol's crate, "protocol § 4.3" is a
//! section of that protocol's page.
//!
//! A page of the guide or of the documents names the test that shows a promise by its file and its
//! name, as in `crates/keywright/tests/whole/year.rs::every_table_keeps_to_its_ceiling_for_a_year`.
//! The test must exist.
//!
//! One page of the guide has an example of each call of the front door; a new call must be there.
//!
//! Pages, examples and the examples in comments show the client of a request by its credential, so
//! that a server that is written after them has known clients. Where nothing is known of a client,
//! the file is listed here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The folders with code.
const FOLDERS: [&str; 5] = ["crates", "examples", "benches", "fuzz", "xtask"];

/// The page that "protocol § …" means, by the folder of the file.
const PAGES: [(&str, &str); 4] = [
    ("crates/keywright-nextcloud/", "docs/protocols/nextcloud-passwords.md"),
    ("crates/keywright-rocketchat/", "docs/protocols/rocket-chat.md"),
    ("crates/keywright-librepass/", "docs/protocols/librepass.md"),
    ("examples/librepass-client/", "docs/protocols/librepass.md"),
];

/// The crates below the protocols. Neither their code nor their comments may name a protocol.
const GROUND: [&str; 5] = [
    "crates/keywright-core/",
    "crates/keywright-store/",
    "crates/keywright-store-conformance/",
    "crates/keywright-sqlite/",
    "crates/keywright-wire/",
];

/// The names of the protocols, in lower case.
const PROTOCOLS: [&str; 4] = ["nextcloud", "rocketchat", "rocket.chat", "librepass"];

/// The page with an example of each call.
const CALLS: &str = "crates/keywright/guide/calls.md";

/// The types whose public methods are on that page, and the files with these methods.
const CALLED: [(&str, &[&str]); 4] = [
    (
        "Keywright",
        &["crates/keywright/src/keywright.rs", "crates/keywright/src/activity.rs", "crates/keywright/src/builder.rs"],
    ),
    ("Operator", &["crates/keywright/src/operator.rs"]),
    ("Keys", &["crates/keywright/src/keys.rs"]),
    (
        "TwoFactor",
        &[
            "crates/keywright-twofactor/src/attested/service.rs",
            "crates/keywright-twofactor/src/import/export.rs",
            "crates/keywright-twofactor/src/remembered/service.rs",
            "crates/keywright-twofactor/src/service.rs",
            "crates/keywright-twofactor/src/service/enrolment.rs",
        ],
    ),
];

/// A client of which nothing is known.
const ANONYMOUS: &str = "Client::unknown()";

/// The examples in which nothing is known of a client, and why is said there.
const ANONYMOUS_FILES: [&str; 1] = ["examples/account-server/src/signin/password.rs"];

/// # Errors
/// [`Error::Check`] with one line for each reference that does not resolve, and for each protocol
/// that a crate below names, and each example that knows nothing of its client.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let mut complaints = Vec::new();
    for file in files(root)? {
        let text = fs::read_to_string(&file).map_err(Error::io(file.display().to_string()))?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        if GROUND.iter().any(|ground| name.starts_with(ground)) {
            complaints.extend(protocols(&text).iter().map(|(line, found)| format!("{name}:{line}: names {found}")));
        }
        // This file contains examples of wrong references.
        if name != "xtask/src/references.rs" {
            let page = PAGES.iter().find(|(folder, _)| name.starts_with(folder)).map(|(_, page)| *page);
            complaints.extend(unresolved(root, page, &text).into_iter().map(|found| format!("{name}: {found}")));
            complaints.extend(anonymous(&name, &text));
        }
    }
    for page in pages(root)? {
        let text = fs::read_to_string(&page).map_err(Error::io(page.display().to_string()))?;
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        complaints.extend(absent_tests(root, &text).into_iter().map(|found| format!("{name}: {found}")));
        complaints.extend(anonymous(&name, &text));
    }
    let page = fs::read_to_string(root.join(CALLS)).map_err(Error::io(CALLS))?;
    for (called, files) in CALLED {
        for file in files {
            let text = fs::read_to_string(root.join(file)).map_err(Error::io(*file))?;
            complaints.extend(uncalled(called, &text, &page).iter().map(|name| format!("{CALLS}: has no `{name}`")));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Check(complaints.join("\n"))) }
}

/// Returns the public methods of a type that a page neither calls nor names.
fn uncalled(called: &str, text: &str, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            is_inside = rest.split_whitespace().next() == Some(called) && !rest.contains(" for ");
        }
        let Some(method) = line.trim_start().strip_prefix("pub ").filter(|_| is_inside) else { continue };
        let method = method.trim_start_matches("const ").trim_start_matches("async ");
        let Some(name) = method.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next()) else { continue };
        // A constructor is shown by whatever is called on its result.
        if name != "new" && !page.contains(&format!(".{name}(")) && !page.contains(&format!("`{name}`")) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Returns the lines of an example, a page or a documentation comment in which nothing is known of
/// the client.
fn anonymous(name: &str, text: &str) -> Vec<String> {
    if ANONYMOUS_FILES.contains(&name) {
        return Vec::new();
    }
    let is_shown = |line: &str| {
        let line = line.trim_start();
        name.ends_with(".md")
            || line.starts_with("///")
            || line.starts_with("//!")
            || (name.starts_with("examples/") && !name.contains("/tests/"))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains(ANONYMOUS) && is_shown(line));
    lines.map(|(at, _)| format!("{name}:{}: shows {ANONYMOUS}", at.saturating_add(1))).collect()
}

/// Returns the pages that may name tests: those at the root, the documents, and the guides and
/// READMEs of the crates.
fn pages(root: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut folders = vec![root.to_owned(), root.join("docs"), root.join("docs/protocols")];
    for entry in fs::read_dir(root.join("crates")).map_err(Error::io("crates/"))? {
        let folder = entry.map_err(Error::io("crates/"))?.path();
        folders.extend([folder.join("guide"), folder]);
    }
    let mut found = BTreeSet::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).map_err(Error::io(folder.display().to_string()))? {
            let path = entry.map_err(Error::io(folder.display().to_string()))?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// Returns the tests that a page names in backticks and that do not exist.
fn absent_tests(root: &Path, page: &str) -> Vec<String> {
    let named = page.split('`').filter_map(|text| {
        let (file, test) = text.split_once(".rs::")?;
        let is_name = !test.is_empty() && test.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_name && file.contains('/')).then(|| (format!("{file}.rs"), test))
    });
    named
        .filter_map(|(file, test)| match fs::read_to_string(root.join(&file)) {
            Ok(text) if text.contains(&format!("fn {test}(")) => None,
            Ok(_) => Some(format!("`{file}` has no test `{test}`")),
            Err(_) => Some(format!("`{file}` does not exist")),
        })
        .collect()
}

/// Returns the sources and manifests below the folders with code.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::io(folder.display().to_string()))? {
            let path = entry.map_err(Error::io(folder.display().to_string()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !["target", "node_modules", "corpus", "artifacts"].contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// Returns the lines that name a protocol.
fn protocols(text: &str) -> Vec<(usize, &'static str)> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| {
        let line = line.to_lowercase();
        PROTOCOLS.into_iter().filter(move |name| line.contains(name)).map(move |name| (at.saturating_add(1), name))
    });
    found.collect()
}

/// Returns the references in a file's comments that do not resolve.
fn unresolved(root: &Path, page: Option<&str>, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for comment in comments(text) {
        let words: Vec<&str> = comment.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let after = words.get(at.saturating_add(1)..).unwrap_or_default();
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            if bare.eq_ignore_ascii_case("protocol") && after.first().is_some_and(|next| next.starts_with('§')) {
                match page {
                    Some(page) => wrong.extend(sections(root, page, after)),
                    None => wrong.push(format!("`{word} {}`: of which protocol?", after.join(" "))),
                }
            } else if bare.to_lowercase().contains("dossier") {
                wrong.push(format!("`{word}`: the protocols' pages are docs/protocols/"));
            } else if let Some(document) = document(word) {
                if !root.join(document).is_file() {
                    wrong.push(format!("`{document}` does not exist"));
                } else if document == "docs/decisions.md" || after.first().is_some_and(|next| next.starts_with('§')) {
                    wrong.extend(sections(root, document, after));
                }
            }
        }
    }
    wrong
}

/// Returns the path of a document in a word, without the punctuation around it.
fn document(word: &str) -> Option<&str> {
    let start = word.find(|c: char| c.is_alphanumeric() || c == '.')?;
    let end = word.find(".md")?.checked_add(3)?;
    word.get(start..end).filter(|name| !name.contains("://") && !name.contains('('))
}

/// Checks the numbers after a document's name: "§ 6", "§§ 8, 12", "14, 24". Returns those without a
/// heading.
fn sections(root: &Path, document: &str, after: &[&str]) -> Vec<String> {
    let Ok(text) = fs::read_to_string(root.join(document)) else { return vec![format!("`{document}` does not exist")] };
    let headings: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.'))
        .collect();
    let mut wrong = Vec::new();
    for word in after {
        let word = word.trim_start_matches('§');
        if word.is_empty() || word == "and" || word == "to" {
            continue;
        }
        let number = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        // "27a" may be a part of 27. "1–2" is a range, of which the first number is checked.
        let number = number.split('–').next().unwrap_or(number);
        if !headings.contains(number) {
            wrong.push(format!("`{document}` has no heading {number}"));
        }
        if !word.ends_with(',') && word.len() != number.len() {
            break;
        }
        // After "§ 11, 2" come numbers of a list within that section. Only "§§" introduces several
        // sections.
        if document != "docs/decisions.md" && !after.first().is_some_and(|first| first.starts_with("§§")) {
            break;
        }
    }
    wrong
}

/// Returns the comments of a file. Each run of comment lines is one text, so that a reference may
/// span two lines.
fn comments(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut in_comment = false;
    for line in text.lines() {
        let comment = match line.split_once("//") {
            Some((before, comment)) if !before.ends_with(':') => Some((before.trim().is_empty(), comment)),
            _ => line.trim_start().strip_prefix('#').map(|comment| (true, comment)),
        };
        let Some((alone, comment)) = comment else {
            in_comment = false;
            continue;
        };
        let comment = comment.trim_start_matches(['/', '!']);
        match found.last_mut() {
            Some(last) if in_comment && alone => {
                last.push(' ');
                last.push_str(comment);
            }
            _ => found.push(comment.to_owned()),
        }
        in_comment = true;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(page: Option<&str>, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("docs")).unwrap();
        fs::write(folder.path().join("docs/security.md"), "# Title\n## 6. Guesses\n### 6.1 More\n## 12. Clocks\n")
            .unwrap();
        fs::write(folder.path().join("docs/decisions.md"), "### 14. One\n### 27a. Two\n").unwrap();
        unresolved(folder.path(), page, text)
    }

    #[test]
    fn what_resolves_is_no_complaint() {
        let text = "/// Waits (`docs/security.md` § 6, `docs/decisions.md` 14, 27a).\n// See `docs/decisions.md`\n// 14; and (`docs/security.md` §§ 6.1, 12). Protocol § 6 too. Protocol § 12, 3.\nlet x = 1; // RFC 6238 § 5.2\n";
        assert_eq!(wrong(Some("docs/security.md"), text), Vec::<String>::new());
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let one = |text: &str| wrong(None, text).join("; ");
        assert_eq!(one("// `docs/security.md` § 7."), "`docs/security.md` has no heading 7");
        assert_eq!(one("// `docs/security.md` §§ 6, 13."), "`docs/security.md` has no heading 13");
        assert_eq!(one("// `docs/decisions.md`\n// 14, 15"), "`docs/decisions.md` has no heading 15");
        assert_eq!(one("// `security.md` § 6"), "`security.md` does not exist");
        assert!(one("// (protocol § 6)").contains("of which protocol?"));
        assert!(one("/// The dossier says").contains("docs/protocols/"));
    }

    #[test]
    fn a_page_names_tests_that_exist() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/tests")).unwrap();
        fs::write(folder.path().join("a/tests/b.rs"), "async fn one_wins() {}\n").unwrap();
        let absent = |page: &str| absent_tests(folder.path(), page).join("; ");
        assert_eq!(absent("shown by `a/tests/b.rs::one_wins`, in `b.rs::other` and `Type::method`"), "");
        assert_eq!(absent("`a/tests/b.rs::one`"), "`a/tests/b.rs` has no test `one`");
        assert_eq!(absent("`a/tests/c.rs::one_wins`"), "`a/tests/c.rs` does not exist");
    }

    #[test]
    fn every_call_is_on_the_page() {
        let text = "impl Keys {\n    pub fn new() {}\n    pub async fn rotate(&self) {}\n    pub(crate) fn own(&self) {}\n\
                    \x20   pub const fn ids<T>(&self) {}\n}\nimpl Other {\n    pub fn other(&self) {}\n}\n\
                    impl fmt::Debug for Keys {\n    pub fn fmt() {}\n}\n";
        assert_eq!(uncalled("Keys", text, "keys.rotate()"), ["ids"]);
        assert!(uncalled("Keys", text, "keys.rotate() and `ids`").is_empty());
    }

    #[test]
    fn an_example_knows_its_client() {
        let of = |name: &str, text: &str| anonymous(name, text).len();
        let shown = format!("/// let client = {ANONYMOUS};\n//! # let client = {ANONYMOUS};\n");
        assert_eq!(of("crates/a/src/lib.rs", &shown), 2);
        assert_eq!(of("crates/a/src/lib.rs", &format!("let client = {ANONYMOUS};\n")), 0);
        for page in ["README.md", "crates/a/guide/b.md", "examples/a/src/main.rs"] {
            assert_eq!(of(page, &format!("let client = {ANONYMOUS};\n")), 1, "{page}");
        }
        assert_eq!(of(ANONYMOUS_FILES[0], ANONYMOUS), 0);
        assert_eq!(of("examples/a/tests/b.rs", ANONYMOUS), 0);
    }

    #[test]
    fn a_ground_floor_names_no_protocol() {
        assert_eq!(protocols("fn a() {}\n// as Rocket.Chat has it\n"), [(2, "rocket.chat")]);
        assert!(protocols("fn any_protocol() {}").is_empty());
    }
}
