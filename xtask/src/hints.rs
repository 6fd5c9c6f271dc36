//! The compiler's words for a feature of `keywright` that is off: whoever names a module or calls a
//! method of it must be told which feature is missing. A package with nothing but such uses, and
//! `keywright` without features, must fail to build with one such message for each of them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use syn::{Attribute, Item, UseTree, Visibility};

use crate::error::Error;
use crate::{process, tools};

/// A use of something whose feature is off.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    feature: String,
    /// What is used, for the report.
    what: String,
    /// The line of the program.
    line: String,
}

/// # Errors
/// [`Error::Check`] with a line for each use that the compiler accepts, or refuses without the name
/// of the feature.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let source = root.join("crates").join("keywright").join("src");
    let read = |name: &str| fs::read_to_string(source.join(name)).map_err(Error::io(format!("reading {name}")));
    let (modules, methods) = (modules(&read("lib.rs")?)?, methods(&read("missing.rs")?));
    if modules.is_empty() || methods.is_empty() {
        return Err(Error::Check("`keywright` has no modules or methods behind features any more".to_owned()));
    }
    // Apart, because nothing is said about methods while an import is not found.
    let programs = [("modules", modules), ("methods", methods)];
    let package = write(root, &programs)?;
    let mut command = tools::cargo(&package);
    command.args(["check", "--bins", "--keep-going", "--quiet", "--message-format", "json"]);
    let (status, output) = process::both(tools::sharing_builds(root, &mut command))?;
    if status.success() {
        return Err(Error::Check("a program without any feature uses all of them, and is accepted".to_owned()));
    }
    let mut silent = Vec::new();
    for (name, uses) in &programs {
        silent.extend(unnamed(&output, name, uses));
    }
    if silent.is_empty() {
        let count: usize = programs.iter().map(|(_, uses)| uses.len()).sum();
        println!("{count} uses of what is behind a feature are refused with its name");
        return Ok(());
    }
    if !output.contains("compiler-message") {
        // Something else is wrong, and this is what.
        eprintln!("{output}");
    }
    Err(Error::Check(silent.join("\n")))
}

/// Returns a use for each public module of the entry point that has a feature of its own.
fn modules(lib: &str) -> Result<Vec<Use>, Error> {
    let file = syn::parse_file(lib).map_err(|error| Error::Check(format!("lib.rs of `keywright`: {error}")))?;
    let mut uses = Vec::new();
    for item in &file.items {
        let (attributes, visibility, name) = match item {
            Item::Mod(module) => (&module.attrs, &module.vis, Some(module.ident.to_string())),
            Item::Use(import) => (
                &import.attrs,
                &import.vis,
                match &import.tree {
                    UseTree::Rename(rename) => Some(rename.rename.to_string()),
                    _ => None,
                },
            ),
            _ => continue,
        };
        let feature = attributes.iter().find_map(feature_of);
        if let (Some(feature), Some(name), Visibility::Public(_)) = (feature, name, visibility) {
            let line = format!("pub use keywright::{name} as {name}_;");
            uses.push(Use { feature, what: format!("keywright::{name}"), line });
        }
    }
    Ok(uses)
}

/// Returns the feature of `#[cfg(feature = "…")]`.
fn feature_of(attribute: &Attribute) -> Option<String> {
    if !attribute.path().is_ident("cfg") {
        return None;
    }
    let mut found = None;
    attribute
        .parse_nested_meta(|meta| {
            if meta.path.is_ident("feature") {
                found = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            }
            Ok(())
        })
        .ok()
        .and(found)
}

/// Returns a call of each method that `missing.rs` declares.
fn methods(missing: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    // What comes before the first declaration is the macro itself.
    for declaration in missing.split("\nmissing!(\"").skip(1) {
        let (feature, rest) = declaration.split_once('"').unwrap_or((declaration, ""));
        for part in rest.split("crate::").skip(1) {
            let Some((path, methods)) = part.split_once('{') else { continue };
            let on = path.trim().rsplit("::").next().unwrap_or_default();
            let methods = methods.split_once('}').map_or(methods, |(methods, _)| methods);
            for method in methods.split(')') {
                let Some((name, arguments)) = method.split_once('(') else { continue };
                let (name, units) = (name.trim(), vec!["()"; arguments.split_whitespace().count()].join(", "));
                let nth = uses.len();
                uses.push(Use {
                    feature: feature.to_owned(),
                    what: format!("{on}::{name}"),
                    line: format!("pub fn use_{nth}(on: &keywright::{on}) {{ on.{name}({units}); }}"),
                });
            }
        }
    }
    uses
}

/// Writes the package, with a program for each list: a use is a line.
fn write(root: &Path, programs: &[(&str, Vec<Use>)]) -> Result<std::path::PathBuf, Error> {
    let folder = root.join("target").join("hints");
    let bins = folder.join("src").join("bin");
    fs::create_dir_all(&bins).map_err(Error::io("making a package without features"))?;
    let write =
        |path: &Path, text: &str| fs::write(path, text).map_err(Error::io("writing a package without features"));
    let keywright = root.join("crates").join("keywright");
    write(
        &folder.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"hints\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n[workspace]\n\
             [dependencies]\nkeywright = {{ path = {keywright:?}, default-features = false }}\n"
        ),
    )?;
    // The versions of the workspace, which are there already.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).map_err(Error::io("copying Cargo.lock"))?;
    for (name, uses) in programs {
        let mut text: String = uses.iter().map(|one| format!("{}\n", one.line)).collect();
        text.push_str("fn main() {}\n");
        write(&bins.join(name).with_extension("rs"), &text)?;
    }
    Ok(folder)
}

/// Returns a sentence for each use in a program about which the compiler's messages do not name the
/// feature.
fn unnamed(output: &str, program: &str, uses: &[Use]) -> Vec<String> {
    let messages: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let named = |at: usize, feature: &str| {
        let names = [format!("the `{feature}` feature"), format!("the feature `{feature}`")];
        messages.iter().any(|line| {
            let text = |pointer| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let spans = line.pointer("/message/spans").and_then(Value::as_array);
            let is_here = spans.is_some_and(|spans| spans.iter().any(|span| is_at(span, at)));
            let is_refused = text("/target/name") == program && text("/message/level") == "error" && is_here;
            is_refused && names.iter().any(|name| text("/message/rendered").contains(name))
        })
    };
    let silent = uses.iter().zip(1_usize..).filter(|(one, at)| !named(*at, &one.feature));
    silent.map(|(one, _)| format!("`{}` is used, and nothing names the feature `{}`", one.what, one.feature)).collect()
}

/// Whether a message is about this line, and not only points to it.
fn is_at(span: &Value, line: usize) -> bool {
    let number = span.get("line_start").and_then(Value::as_u64);
    span.get("is_primary").and_then(Value::as_bool) == Some(true) && number == u64::try_from(line).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn source(name: &str) -> String {
        let path = tools::repository_root().join("crates").join("keywright").join("src").join(name);
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn every_module_and_method_is_found() {
        let modules = modules(&source("lib.rs")).unwrap();
        let names: BTreeSet<&str> = modules.iter().map(|one| one.what.as_str()).collect();
        for name in ["challenge", "metrics", "selfservice", "sqlite", "testing", "tower", "twofactor", "web"] {
            assert!(names.contains(format!("keywright::{name}").as_str()), "{name} in {names:?}");
        }
        let text = source("missing.rs");
        let methods = methods(&text);
        let declared: BTreeSet<&str> =
            text.split("\nmissing!(\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
        assert_eq!(methods.iter().map(|one| one.feature.as_str()).collect::<BTreeSet<_>>(), declared);
        let line = "pub fn use_1(on: &keywright::Keywright) { on.confirmations(); }";
        assert_eq!(methods[1].line, line);
        assert!(methods.iter().any(|one| one.what == "Builder::two_factor_policy" && one.line.ends_with("(()); }")));
        assert!(methods.iter().any(|one| one.what == "Keywright::nextcloud" && one.line.ends_with("((), ()); }")));
    }

    #[test]
    fn a_message_counts_for_its_line_and_feature_only() {
        let uses = [("a", "one"), ("b", "two")].map(|(feature, what)| Use {
            feature: feature.to_owned(),
            what: what.to_owned(),
            line: String::new(),
        });
        let message = |line: u64, text: &str| {
            json!({
                "target": {"name": "modules"},
                "message": {
                    "level": "error", "rendered": text,
                    "spans": [{"is_primary": true, "line_start": line}, {"is_primary": false, "line_start": 2}],
                },
            })
            .to_string()
        };
        let both =
            [message(1, "gated behind the `a` feature"), "no JSON".to_owned(), message(2, "needs the feature `b`")];
        assert!(unnamed(&both.join("\n"), "modules", &uses).is_empty());
        assert_eq!(unnamed(&both.join("\n"), "methods", &uses).len(), 2);
        let other = [message(1, "gated behind the `b` feature"), message(1, "needs the feature `b`")].join("\n");
        assert_eq!(
            unnamed(&other, "modules", &uses),
            ["`one` is used, and nothing names the feature `a`", "`two` is used, and nothing names the feature `b`"]
        );
    }
}
