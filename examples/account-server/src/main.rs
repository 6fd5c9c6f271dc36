//! The reference server: Keywright's protocols on an embedded SQLite file. Read it to see how a server embeds Keywright.
//!
//! It is no product: it has only as much login as real clients need to reach the account endpoints. Names, e-mail
//! addresses and password hashes lie in the same store, sealed like everything else.
//!
//! - [`options`]: the command line. [`start`]: how the parts are put together. [`demo`]: the account of a first start.
//! - [`accounts`]: who there is. `directory` looks accounts up, `rocketchat` does so for that wire, `seed` makes them, from
//!   what `file` has read or for the demo; `slots` is what is stored of them.
//! - [`hosts`]: what the protocols of Nextcloud Passwords, of Rocket.Chat and of LibrePass ask of the server around them, a
//!   file each; `server` is what they share.
//! - [`limits`]: how many requests are taken: `per_user` (Nextcloud Passwords), `fixed_window` (Rocket.Chat) and
//!   `token_bucket` (LibrePass).
//! - [`http`]: `routes` is what is served where, `unlock` the page behind the `links` of mails, `serve` and `tls` how it is
//!   listened for, `peer` who asks.
//! - [`mail`], [`notices`]: what owners are told. [`security_log`]: what operators are told.
//! - [`housekeeping`], [`store_watch`], [`store_lock`]: what runs beside requests. [`running`]: what must come to its end.
//!   [`operator`]: what an operator does beside the server. [`output`]: what is printed.
#![forbid(unsafe_code)]

mod accounts;
mod demo;
mod hosts;
mod housekeeping;
mod http;
mod limits;
mod mail;
mod notices;
mod operator;
mod options;
mod output;
mod running;
mod security_log;
mod start;
mod store_lock;
mod store_watch;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> ExitCode {
    let options = options::Options::parse();
    log_to_stderr();
    let outcome = match &options.command {
        Some(command) => operator::run(&options, command).await,
        None => start::run(&options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Our own crates at `info`, others only when they warn: what they log of requests is not ours to vouch for.
fn log_to_stderr() {
    let ours = ["account_server", "keywright"].map(|target| (target, LevelFilter::INFO));
    let filter = Targets::new().with_default(LevelFilter::WARN).with_targets(ours);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(format).with(filter).init();
}
