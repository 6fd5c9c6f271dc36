//! The contract check: what our protocols serve, against what the newest published packages call.
//! It fails on a rename, with the old name and the new one.
//!
//! Ours is printed by the example `routes` of `keywright`. Theirs is read by a small script: the
//! types of `@rocket.chat/rest-typings`, and the calls in the sources of `passwords-client`, both
//! parsed by TypeScript. Both packages are fetched in their newest release, without what they depend
//! on, and nothing of them runs.

mod compare;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use self::compare::{Endpoint, NEXTCLOUD, Published, ROCKETCHAT, compare};
use crate::count::Counts;
use crate::error::Error;
use crate::{process, tools};

const SCRIPT: &str = "examples/account-server/tests/contract";

/// # Errors
/// An error if a package cannot be fetched, or [`Error::Check`] with every difference.
pub(crate) fn check(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let runs = root.join("target").join("contract");
    fs::create_dir_all(&runs).map_err(Error::io("a folder for the packages"))?;
    let (ours, theirs) = (ours(root)?, theirs(root, &runs)?);
    let (own, published) = protocol("rocketchat", &ours, &theirs)?;
    passes(counts, &format!("Rocket.Chat's endpoints are those of the types {}", published.version), {
        compare(&own, &published, &ROCKETCHAT)
    })?;
    // The same check must find the rename of 8.8, turned back.
    let renamed: Vec<Endpoint> = own.iter().map(Endpoint::by_its_name_of_before).collect();
    let found = compare(&renamed, &published, &ROCKETCHAT);
    let old = "`users.totp.enable`";
    let finds = found.iter().any(|fault| fault.contains(old) && fault.contains("`users.enableTotp`"));
    let faults = if finds { Vec::new() } else { vec![format!("the rename of {old} is not found: {found:?}")] };
    passes(counts, "the rename of 8.8, turned back, is found", faults)?;
    let (own, published) = protocol("nextcloud", &ours, &theirs)?;
    passes(counts, &format!("Nextcloud's endpoints are those that passwords-client {} calls", published.version), {
        compare(&own, &published, &NEXTCLOUD)
    })
}

/// Returns what we serve of a protocol, and what its published package calls.
fn protocol(name: &str, ours: &Value, theirs: &Value) -> Result<(Vec<Endpoint>, Published), Error> {
    let own = Endpoint::list(ours.get(name));
    let published = theirs.get(name).and_then(Published::of);
    own.zip(published)
        .ok_or_else(|| Error::Check(format!("the routes or the published calls of `{name}` have an unknown form")))
}

fn passes(counts: &mut Counts, name: &str, faults: Vec<String>) -> Result<(), Error> {
    if faults.is_empty() {
        println!("ok - {name}");
        counts.pass();
        return Ok(());
    }
    println!("not ok - {name}");
    counts.add(Counts { passed: 0, failed: 1 });
    Err(Error::Check(faults.join("; ")))
}

fn ours(root: &Path) -> Result<Value, Error> {
    let mut command = tools::cargo(root);
    command.args(["run", "--quiet", "--package", "keywright", "--features", "nextcloud,rocketchat"]);
    parse(&process::read(command.args(["--example", "routes"]))?)
}

fn theirs(root: &Path, runs: &Path) -> Result<Value, Error> {
    for name in ["contract.mjs", "package.json", "package-lock.json", ".npmrc"] {
        fs::copy(root.join(SCRIPT).join(name), runs.join(name)).map_err(Error::io(name))?;
    }
    npm(runs, &["ci", "--no-progress"])?;
    let typings = unpack(runs, "@rocket.chat/rest-typings")?;
    let client = unpack(runs, "passwords-client")?;
    let mut command = Command::new("node");
    command.current_dir(runs).arg("contract.mjs").arg(typings).arg(client).env_remove("NODE_OPTIONS");
    parse(&process::read(&mut command)?)
}

fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|_| Error::Check("a program printed something that is not JSON".to_owned()))
}

/// Fetches and unpacks the newest release of a package, and returns its folder.
fn unpack(runs: &Path, package: &str) -> Result<PathBuf, Error> {
    let mut pack = Command::new("npm");
    pack.current_dir(runs).args(["pack", "--silent", &format!("{package}@latest")]);
    let archive = process::read(&mut pack)?;
    let archive = archive.trim();
    // The name has the version in it.
    let folder = runs.join(archive.trim_end_matches(".tgz"));
    fs::create_dir_all(&folder).map_err(Error::io("a folder for a package"))?;
    let mut tar = Command::new("tar");
    tar.current_dir(runs).args(["-xzf", archive, "-C"]).arg(&folder);
    process::stream(&mut tar, &mut Counts::default())?;
    Ok(folder.join("package"))
}

fn npm(directory: &Path, arguments: &[&str]) -> Result<(), Error> {
    process::stream(Command::new("npm").current_dir(directory).args(arguments), &mut Counts::default())
}
