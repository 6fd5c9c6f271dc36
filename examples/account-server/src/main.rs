//! The reference server: Keywright's protocols on an embedded SQLite file. Read it to learn how a
//! server embeds Keywright.
//!
//! It is not a product. Its log-in is just enough for real clients to reach the account endpoints,
//! and for owners to reach the pages at its root.
//! Names, e-mail addresses and password hashes are in the same store, sealed like everything else.
//!
//! - [`options`], [`network_options`]: the command line. [`start`]: puts the parts together.
//!   [`keyring`]: where the keys come from. [`listener`]: listening. [`demo`]: the account of a first start. [`failure`]: why it did
//!   not start.
//! - [`accounts`]: who has an account. `directory` looks accounts up, and `rocketchat` does so for
//!   that protocol. `seed` creates accounts, from what `file` has read or for the demo. `slots`
//!   declares what is stored about them.
//! - [`hosts`]: the host traits of the protocols of Nextcloud Passwords, Rocket.Chat and LibrePass,
//!   one file each. `server` is what they share.
//! - [`limits`]: how many requests are accepted: `per_user` (Nextcloud Passwords), `fixed_window`
//!   (Rocket.Chat), `token_bucket` (LibrePass) and `slow_work` (hashes of passwords).
//! - [`http`]: `routes` maps paths to services, `unlock` is the page behind the `links` of mails,
//!   `serve` and `tls` listen, and `peer` identifies the client. `gate` and `connections` bound
//!   connections, `bodies` bounds bodies, `origin` judges proxies, and `entry` applies them.
//! - [`signin`]: the log-in to the pages on which owners manage the security of their accounts.
//! - [`mail`], [`notices`]: messages to owners. [`security_log`]: messages to operators.
//! - [`housekeeping`], [`store_watch`], [`store_lock`]: background work. [`running`]: tasks that
//!   must run to their end. [`readiness`]: whether the server can work. [`operator`]: an operator's
//!   commands. [`metrics`]: numbers for Prometheus. [`output`]: what is printed, [`logging`]: what is logged, and [`log_writer`]: how.
#![forbid(unsafe_code)]

mod accounts;
mod demo;
mod failure;
mod hosts;
mod housekeeping;
mod http;
mod keyring;
mod limits;
mod listener;
mod log_writer;
mod logging;
mod mail;
mod metrics;
mod network_options;
mod notices;
mod operator;
mod options;
mod output;
mod readiness;
mod running;
mod security_log;
mod signin;
mod start;
mod store_lock;
mod store_watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use crate::failure::Failure;

/// What still runs on other threads when the server has ended has this long.
const THREADS_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = options::Options::parse();
    let (log, _written) = log_writer::stderr();
    let dropped = log.error_counter();
    logging::set_up(log, options.log_level, options.log_format);
    let outcome = match Runtime::new() {
        Ok(runtime) => {
            let outcome = runtime.block_on(async {
                drop(tokio::spawn(log_writer::report_dropped(dropped)));
                match &options.command {
                    Some(command) => operator::run(&options, command).await,
                    None => start::run(&options).await,
                }
            });
            runtime.shutdown_timeout(THREADS_WITHIN);
            outcome
        }
        Err(error) => Err(Failure::Runtime(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::FAILURE
        }
    }
}
