//! The modules of a crate, what each file defines, and what it uses from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::parse::Parser;
use syn::visit::{self, Visit};

use crate::error::Error;

/// A crate as its files define it, without code that is only for tests.
pub(crate) struct Crate {
    modules: BTreeMap<Vec<String>, Module>,
}

/// An import that does not name the module which defines the item.
pub(crate) struct Indirect {
    pub(crate) file: PathBuf,
    /// The path as it is written.
    pub(crate) path: String,
    /// The module that defines the item, which the import should name.
    pub(crate) defined_in: String,
}

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The items that are re-exported here with `use`, by name, with the path that each stands for.
    re_exports: BTreeMap<String, Vec<String>>,
    /// The names of the items that are defined here, including modules.
    definitions: BTreeSet<String>,
    /// The paths into this crate, as they are written.
    paths: BTreeSet<Vec<String>>,
}

impl Crate {
    /// Reads a crate from its root file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Check`] for a file that does not parse.
    pub(crate) fn read(root_file: &Path) -> Result<Self, Error> {
        let mut parsed = Self { modules: BTreeMap::new() };
        let folder = root_file.parent().unwrap_or(Path::new("")).to_owned();
        parsed.read_file(Vec::new(), root_file, &folder)?;
        Ok(parsed)
    }

    /// `folder` is where the files of this module's children are.
    fn read_file(&mut self, module: Vec<String>, file: &Path, folder: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(file).map_err(Error::io(file.display().to_string()))?;
        let parsed = syn::parse_file(&text).map_err(|error| Error::Check(format!("{}: {error}", file.display())))?;
        self.read_items(module, file, folder, &parsed.items)
    }

    fn read_items(&mut self, path: Vec<String>, file: &Path, folder: &Path, items: &[syn::Item]) -> Result<(), Error> {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut children = Vec::new();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                syn::Item::Mod(child) => {
                    module.definitions.insert(child.ident.to_string());
                    children.push(child);
                }
                syn::Item::Use(item) => {
                    let mut leaves = Vec::new();
                    flatten(&item.tree, &mut Vec::new(), &mut leaves);
                    if matches!(item.vis, syn::Visibility::Inherited) {
                        module.paths.extend(leaves.into_iter().map(|(path, _)| path));
                    } else {
                        module.re_exports.extend(leaves.into_iter().map(|(path, name)| (name, path)));
                    }
                }
                other => {
                    module.definitions.extend(defined(other));
                    let mut paths = Paths(&mut module.paths);
                    paths.visit_item(other);
                }
            }
        }
        self.modules.insert(path.clone(), module);
        for child in children {
            let name = child.ident.to_string();
            let below = [path.as_slice(), std::slice::from_ref(&name)].concat();
            match &child.content {
                Some((_, items)) => self.read_items(below, file, &folder.join(&name), items)?,
                None => {
                    let flat = folder.join(format!("{name}.rs"));
                    let nested = folder.join(&name).join("mod.rs");
                    let file = if flat.is_file() { flat } else { nested };
                    self.read_file(below, &file, &folder.join(&name))?;
                }
            }
        }
        Ok(())
    }

    /// Returns which file uses an item from which other file. Re-exports do not count, because they
    /// are for other files.
    pub(crate) fn edges(&self) -> BTreeSet<(PathBuf, PathBuf)> {
        let modules = self.modules.iter();
        let used = modules.flat_map(|(at, module)| {
            let targets = module.paths.iter().filter_map(|path| {
                let (target, name) = self.resolve(at, path)?;
                name.and_then(|name| self.definer(&target, name)).or(Some(target))
            });
            targets.filter_map(|target| Some((module.file.clone(), self.modules.get(&target)?.file.clone())))
        });
        used.filter(|(from, to)| from != to).collect()
    }

    /// Returns the imports that name a re-export. A crate's root file may import from anywhere,
    /// because it exists to re-export.
    pub(crate) fn indirect(&self) -> Vec<Indirect> {
        let mut found = Vec::new();
        for (at, module) in self.modules.iter().filter(|(at, _)| !at.is_empty()) {
            for path in &module.paths {
                let Some((target, Some(name))) = self.resolve(at, path) else { continue };
                if let Some(definer) = self.definer(&target, name) {
                    let defined_in = ["crate"].into_iter().chain(definer.iter().map(String::as_str));
                    let defined_in = defined_in.collect::<Vec<_>>().join("::");
                    found.push(Indirect { file: module.file.clone(), path: path.join("::"), defined_in });
                }
            }
        }
        found
    }

    /// Returns the module that defines what another one re-exports, or `None` if that is the module
    /// itself or one outside the crate.
    fn definer(&self, module: &[String], name: &str) -> Option<Vec<String>> {
        let mut at = module.to_vec();
        let mut name = name.to_owned();
        // There are at most as many steps as modules, because a re-export of itself does not
        // compile.
        for _ in 0..self.modules.len() {
            let here = self.modules.get(&at)?;
            if here.definitions.contains(&name) {
                break;
            }
            let (target, next) = self.resolve(&at, here.re_exports.get(&name)?)?;
            let Some(next) = next else { return Some(target) };
            name = next.to_owned();
            at = target;
        }
        (at != module).then_some(at)
    }

    /// Returns the module that a path leads to, and the first name after it, or `None` if it leads
    /// out of the crate.
    fn resolve<'a>(&self, at: &[String], path: &'a [String]) -> Option<(Vec<String>, Option<&'a str>)> {
        let mut module = at.to_vec();
        let mut rest = path.iter();
        match path.first()?.as_str() {
            "crate" => {
                module.clear();
                rest.next();
            }
            "self" => {
                rest.next();
            }
            "super" => {
                while rest.as_slice().first().is_some_and(|name| name == "super") {
                    rest.next();
                    module.pop();
                }
            }
            // A path that starts with a child of the module.
            child => {
                let below = [at, &[child.to_owned()]].concat();
                self.modules.get(&below)?;
            }
        }
        let mut name = rest.next();
        while let Some(next) = name {
            module.push(next.clone());
            if !self.modules.contains_key(&module) {
                module.pop();
                break;
            }
            name = rest.next();
        }
        self.modules.contains_key(&module).then_some((module, name.map(String::as_str)))
    }
}

/// Collects the paths into the crate that are written in full, including those in macros.
struct Paths<'a>(&'a mut BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        self.0.extend(leaves.into_iter().map(|(path, _)| path));
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let arguments = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        if let Ok(arguments) = arguments.parse2(called.tokens.clone()) {
            for argument in &arguments {
                // What was parsed here does not outlive this call.
                Paths(self.0).visit_expr(argument);
            }
        }
    }
}

/// Collects the leaves of a `use`: the whole path, and the name by which it is known here. A glob
/// ends with its module.
fn flatten(tree: &syn::UseTree, before: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    let leaf = |name: &str| [before.as_slice(), &[name.to_owned()]].concat();
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        syn::UseTree::Name(name) if name.ident == "self" => {
            leaves.push((before.clone(), before.last().cloned().unwrap_or_default()));
        }
        syn::UseTree::Name(name) => leaves.push((leaf(&name.ident.to_string()), name.ident.to_string())),
        syn::UseTree::Rename(rename) => leaves.push((leaf(&rename.ident.to_string()), rename.rename.to_string())),
        syn::UseTree::Glob(_) => leaves.push((before.clone(), String::new())),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, leaves);
            }
        }
    }
}

fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an item is only for tests: `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || (condition.starts_with("all") && condition.contains("test"))
            })
    })
}
