//! The steps of `cargo xtask test`, in order. Nothing runs after a failure.

use std::path::Path;

use crate::client::Client;
use crate::count::Counts;
use crate::error::Error;
use crate::report::Report;
use crate::{audit, client, contract, hints, layout, msrv, process, readme, references, resolve, supply, tools};

/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn run(root: &Path) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = every_step(root, &mut report);
    report.finish();
    outcome
}

/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn check_contract(root: &Path) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("tools", |_| tools::require_node())
        .and_then(|()| report.step("contract", |counts| contract::check(root, counts)));
    report.finish();
    outcome
}

/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn run_client(root: &Path, server: Option<&Path>, only: Option<Client>) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("tools", |_| tools::require_node())
        .and_then(|()| report.step("real client", |counts| client::run(root, server, only, counts)));
    report.finish();
    outcome
}

/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn run_browser(root: &Path, server: Option<&Path>) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("tools", |_| {
            tools::require_node()?;
            tools::require_faketime()?;
            tools::require_chromium().map(drop)
        })
        .and_then(|()| report.step("browser", |counts| client::run_browser(root, server, counts)));
    report.finish();
    outcome
}

/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn run_generated(root: &Path, requests: u32, paths: Option<&str>) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("tools", |_| tools::require_python())
        .and_then(|()| report.step("schema", |counts| client::run_generated(root, requests, paths, counts)));
    report.finish();
    outcome
}

fn every_step(root: &Path, report: &mut Report) -> Result<(), Error> {
    report.step("tools", |_| {
        tools::require_subcommand(root, "fmt", "install it with `rustup component add rustfmt`")?;
        tools::require_subcommand(root, "clippy", "install it with `rustup component add clippy`")?;
        tools::require_node()?;
        tools::require_chromium()?;
        tools::require_faketime()?;
        tools::require_python()?;
        tools::require_openssl()?;
        tools::require_authenticators()?;
        tools::require_postgres()
    })?;
    report.step("format", |_| cargo(root, &["fmt", "--all", "--check"]))?;
    report.step("layout", |_| layout::check(root))?;
    report.step("references", |_| references::check(root))?;
    report.step("clippy", |_| {
        cargo(root, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
    })?;
    report.step("features", |_| features(root))?;
    report.step("docs", |_| {
        let mut command = tools::cargo(root);
        command.args(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
        process::stream(&mut command, &mut Counts::default())
    })?;
    report.step("tests", |counts| tests(root, counts))?;
    report.step("doctests", |counts| {
        process::stream(tools::cargo(root).args(["test", "--workspace", "--doc", "--all-features"]), counts)
    })?;
    report.step("passkeys", |counts| passkeys(root, counts))?;
    report.step("frameworks", |counts| frameworks(root, counts))?;
    report.step("model", |_| cargo(root, &["run", "--quiet", "--release", "--package", "keywright-model"]))?;
    report.step("dependencies", |_| supply::check(root))?;
    report.step("fuzz build", |_| fuzz_build(root))?;
    report.step("beside others", |counts| resolve::check(root, counts))?;
    report.step("rust-version", |_| msrv::check(root))?;
    report.step("README", |_| readme::check(root).and_then(|()| readme::run_example(root)))?;
    report.step("contract", |counts| contract::check(root, counts))?;
    report.step("schema", |counts| client::run_generated(root, client::schemathesis::REQUESTS, None, counts))?;
    report.step("real client", |counts| client::run(root, None, None, counts))?;
    report.step("browser", |counts| client::run_browser(root, None, counts))
}

/// Checks what a user builds, separately: the reference server, and `keywright` with its features
/// alone and in pairs. A build of the whole workspace enables every feature that any member
/// requests, and so hides a missing one. Also that the compiler names a feature that is off.
fn features(root: &Path) -> Result<(), Error> {
    cargo(root, &["check", "--package", "account-server"])?;
    cargo(root, &["check", "--package", "keywright-postgres", "--no-default-features"])?;
    supply::features(root)?;
    hints::check(root)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), Error> {
    process::stream(tools::cargo(root).args(arguments), &mut Counts::default())
}

fn tests(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let mut command = tools::cargo(root);
    if tools::has_subcommand(root, "nextest") {
        println!("runner: cargo nextest");
        command.args(["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"]);
    } else {
        println!("runner: cargo test (cargo nextest is not installed)");
        // Doctests are a separate step, so that none is counted twice.
        command.args(["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    }
    process::stream(&mut command, counts)
}

/// Runs the tests of the passkey example, which is a workspace of its own.
fn passkeys(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let mut command = tools::cargo(root);
    command.args(["test", "--manifest-path", "examples/passkey/Cargo.toml"]);
    process::stream(tools::sharing_builds(root, &mut command), counts)
}

/// Builds and tests the example in five frameworks, which is a workspace of its own: its tests start
/// each program.
fn frameworks(root: &Path, counts: &mut Counts) -> Result<(), Error> {
    let [flag, path] = ["--manifest-path", "examples/frameworks/Cargo.toml"];
    let cargo = |arguments: &[&str]| {
        let mut command = tools::cargo(root);
        tools::sharing_builds(root, command.args(arguments));
        command
    };
    process::stream(&mut cargo(&["fmt", flag, path, "--all", "--check"]), &mut Counts::default())?;
    let clippy = ["clippy", flag, path, "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::stream(&mut cargo(&clippy), &mut Counts::default())?;
    process::stream(&mut cargo(&["test", flag, path, "--workspace", "--no-fail-fast"]), counts)
}

/// Checks that every fuzz target builds. Fuzzing itself needs a nightly toolchain, and is run by
/// hand.
fn fuzz_build(root: &Path) -> Result<(), Error> {
    let mut command = tools::cargo(root);
    command.args(["check", "--manifest-path", "fuzz/Cargo.toml"]);
    process::stream(tools::sharing_builds(root, &mut command), &mut Counts::default())
}

/// What a release checks beyond `test`, because it takes too long or needs more than a release of
/// Rust: unused dependencies, types of other crates in the public API, and the packages themselves.
///
/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn audit(root: &Path) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("unused dependencies", |_| audit::unused_dependencies(root))
        .and_then(|()| report.step("foreign types", |_| audit::foreign_types(root)))
        .and_then(|()| report.step("packages", |_| audit::packages(root)))
        .and_then(|()| report.step("dependencies", |_| supply::check(root)));
    report.finish();
    outcome
}

/// Runs the full proofs, for which `test` has small counts: the model's whole state spaces, and
/// many random histories.
///
/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn prove(root: &Path, histories: u32) -> Result<(), Error> {
    let mut report = Report::new();
    let outcome = report
        .step("model", |_| cargo(root, &["run", "--release", "--package", "keywright-model", "--", "--full"]))
        .and_then(|()| {
            report.step("histories", |counts| {
                for package in ["keywright-store-conformance", "keywright-sqlite", "keywright-postgres"] {
                    let mut command = tools::cargo(root);
                    command.args(["test", "--release", "--package", package, "histor", "--", "--nocapture"]);
                    process::stream(command.env("KEYWRIGHT_HISTORIES", histories.to_string()), counts)?;
                }
                Ok(())
            })
        });
    report.finish();
    outcome
}

/// Runs races and faults on real servers, by this many seeds.
///
/// # Errors
/// [`Error::Step`] with the first step that failed.
pub(crate) fn soak(root: &Path, seeds: u32) -> Result<(), Error> {
    let mut report = Report::new();
    let tools = report.step("tools", |_| {
        tools::require_faketime()?;
        tools::require_postgres()
    });
    let outcome = tools.and_then(|()| {
        report.step("soak", |counts| {
            let mut command = tools::cargo(root);
            command.args(["test", "--package", "account-server", "--test", "soak", "--", "--nocapture"]);
            process::stream(command.env("KEYWRIGHT_SOAK_SEEDS", seeds.to_string()), counts)
        })
    });
    report.finish();
    outcome
}
