//! Everything that CI does, runnable by hand. `cargo xtask test` is the one test command of
//! Keywright.
//!
//! It never changes a file outside `target/`, and sends requests only to the package registries
//! that Cargo and npm are configured for.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on its standard streams")]

mod audit;
mod client;
mod contract;
mod count;
mod error;
mod hints;
mod layout;
mod msrv;
mod process;
mod readme;
mod references;
mod report;
mod resolve;
mod semver;
mod suite;
mod supply;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::count::Counts;
use crate::error::Error;

/// Builds, checks and tests Keywright.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Formatting, lints, docs, every test and the real-client run: everything that must pass
    /// before a change is merged.
    Test,
    /// Only the real-client run: the published clients against a freshly started account-server.
    Client {
        /// Drive this server program instead of building account-server.
        #[arg(long, value_name = "PATH")]
        server: Option<PathBuf>,
        /// Drive one client only.
        #[arg(long, value_name = "CLIENT", value_enum)]
        only: Option<Client>,
    },
    /// Only the pages for owners, in a browser. Leaves screenshots in `target/screenshots`.
    Browser {
        /// Use this server program instead of building account-server.
        #[arg(long, value_name = "PATH")]
        server: Option<PathBuf>,
    },
    /// Only the contract check: what the protocols serve against what the newest published packages
    /// call. A rename fails with the old and the new name.
    Contract,
    /// Only the generated requests: Schemathesis against a running account-server, from the
    /// OpenAPI document.
    Schema {
        /// The number of requests for each operation.
        #[arg(long, value_name = "N", default_value_t = client::schemathesis::REQUESTS)]
        requests: u32,
        /// Only the paths that match this regular expression.
        #[arg(long, value_name = "REGEX")]
        paths: Option<String>,
    },
    /// The full proofs, for which `test` has small counts: the model's whole state spaces, and many
    /// random histories.
    Proof {
        /// The number of random histories that each store is checked on.
        #[arg(long, default_value_t = 2_000)]
        histories: u32,
    },
    /// Races and faults on real servers and a real PostgreSQL, by more seeds than `test` has.
    Soak {
        /// The number of seeds. Each takes about half a minute.
        #[arg(long, default_value_t = 20)]
        seeds: u32,
    },
    /// The criterion benches.
    Bench {
        /// Arguments for the benches, for example a name to filter by.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The reference server under load, on SQLite and on PostgreSQL: requests a second, and their 99th percentile.
    Load,
    /// Only the layout: no cycle of files, imports that name the defining module, references that
    /// resolve.
    Layout,
    /// Checks the dependencies with cargo-deny: licences, duplicate versions, sources, and known
    /// vulnerabilities where their database can be fetched.
    Deny,
    /// Compares the public API with that of the last release, by its tag, with cargo-semver-checks.
    Semver,
    /// What a release checks beyond `test`: unused dependencies, types of other crates in the
    /// public API, and that every crate can be packaged.
    Audit,
}

fn main() -> ExitCode {
    let root = tools::repository_root();
    let outcome = match Arguments::parse().task {
        Task::Test => suite::run(&root),
        Task::Client { server, only } => suite::run_client(&root, server.as_deref(), only),
        Task::Browser { server } => suite::run_browser(&root, server.as_deref()),
        Task::Contract => suite::check_contract(&root),
        Task::Schema { requests, paths } => suite::run_generated(&root, requests, paths.as_deref()),
        Task::Proof { histories } => suite::prove(&root, histories),
        Task::Soak { seeds } => suite::soak(&root, seeds),
        Task::Bench { arguments } => bench(&root, &arguments),
        Task::Load => load(&root),
        Task::Layout => layout::check(&root).and_then(|()| references::check(&root)),
        Task::Deny => supply::check(&root),
        Task::Semver => semver::check(&root),
        Task::Audit => suite::audit(&root),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(root: &std::path::Path, arguments: &[String]) -> Result<(), Error> {
    // The cost of metrics is measured apart, so that the others are measured without them.
    for which in [&[][..], &["--features", "metrics", "--bench", "telemetry"]] {
        let mut command = tools::cargo(root);
        command.args(["bench", "--package", "keywright-benches"]).args(which).arg("--").args(arguments);
        process::stream(&mut command, &mut Counts::default())?;
    }
    Ok(())
}

fn load(root: &std::path::Path) -> Result<(), Error> {
    tools::require_postgres()?;
    let mut build = tools::cargo(root);
    build.args(["build", "--release", "--package", "account-server"]);
    process::stream(&mut build, &mut Counts::default())?;
    let program = client::target_directory(root)?.join("release").join("account-server");
    let mut command = tools::cargo(root);
    command.args(["run", "--release", "--package", "keywright-benches", "--bin", "server_load", "--"]);
    process::stream(command.arg(program), &mut Counts::default())
}
