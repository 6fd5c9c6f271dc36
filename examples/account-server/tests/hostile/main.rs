//! The server in a hostile network: silent and slow clients, floods, proxies, mail servers that
//! misbehave. Real sockets and the real program.
//!
//! The sizes are small. `HOSTILE=full` sets those that the server is built for; run that with
//! `--release`.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]
#![expect(clippy::print_stdout, reason = "what was measured")]

mod attack;
mod scene;

mod bodies;
mod connections;
#[cfg(target_os = "linux")]
mod disk;
mod floods;
mod mail;
mod origins;
mod signals;
