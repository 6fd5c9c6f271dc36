//! `moving-in FORMAT FILE --store accounts.sqlite --keyring keyring.toml [--dry-run]`: moves the
//! second factors of users of another system into a store. It can be stopped and run again.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program for the command line")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use keywright::Keywright;
use keywright::sqlite::SqliteStore;
use keywright::twofactor::import::{Import, ImportOutcome};
use moving_in::Hashes;
use moving_in::formats::{allauth, better_auth, devise, django_otp, keycloak, lines};

#[derive(Debug, Parser)]
#[command(about = "Moves the second factors of users of another system into a store of Keywright.")]
struct Options {
    /// What the file is.
    format: Format,
    /// The file. It holds secrets: delete it afterwards.
    file: PathBuf,
    /// The SQLite store.
    #[arg(long)]
    store: PathBuf,
    /// The keyring file of the store.
    #[arg(long)]
    keyring: PathBuf,
    /// What is put before the users' ids to make account ids.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Checks every user and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines that Keywright has exported.
    Lines,
    /// django-otp: `dumpdata otp_totp otp_static`.
    DjangoOtp,
    /// django-allauth: `dumpdata mfa`.
    Allauth,
    /// devise-two-factor: rows as JSON, with decrypted secrets.
    Devise,
    /// better-auth: rows as JSON, decrypted.
    BetterAuth,
    /// Keycloak: the export of a realm with its users.
    Keycloak,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&options)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("moving-in: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(&options.file)?;
    let prefix = &options.prefix;
    let entries = match options.format {
        Format::Lines => lines::read(&text),
        Format::DjangoOtp => django_otp::read(&text, prefix)?,
        Format::Allauth => allauth::read(&text, prefix)?,
        Format::Devise => devise::read(&text, prefix)?,
        Format::BetterAuth => better_auth::read(&text, prefix)?,
        Format::Keycloak => keycloak::read(&text, prefix)?,
    };
    let mut unread = 0_u64;
    let users = entries.into_iter().filter_map(|entry| {
        entry
            .inspect_err(|fault| {
                eprintln!("{fault}");
                unread = unread.saturating_add(1);
            })
            .ok()
    });
    let store = SqliteStore::open(&options.store)?;
    let builder = Keywright::builder(store).keyring_file(&options.keyring).code_verifier(Arc::new(Hashes::at_once(2)));
    let keywright = builder.open().await?;
    let import = Import::new(keywright.two_factor()).dry_run(options.dry_run);
    let report = import
        .run(users, |account, outcome| {
            if let ImportOutcome::NotTaken(fault) = outcome {
                eprintln!("{account}: {fault}");
            }
        })
        .await?;
    println!("imported: {}{}", report.imported, if options.dry_run { " (nothing was written)" } else { "" });
    println!("  devices: {}, to be enrolled again: {}", report.devices, report.devices_below_policy);
    println!("  recovery codes: {}", report.recovery_codes);
    println!("imported before: {}, with factors of their own: {}", report.already_imported, report.with_factors);
    println!("not imported: {}, not readable: {unread}", report.not_taken);
    Ok(())
}
