//! A client of LibrePass, used by the command line program and by an end-to-end test.
//!
//! [`Server`] speaks HTTP and knows no password. [`Session`] is a log-in together with the keys
//! that are derived from the password. It reads and writes a vault, and changes the password or the
//! address by encrypting every cipher again, on all cores. No key is ever written to a file: a
//! [`SavedLogin`] holds only the server's token.
//!
//! The protocol trusts the server. Whoever runs or impersonates it and knows a user's public key
//! can make any client, including this one, send what reveals the vault key
//! (`keywright_librepass`, *What a hostile server gets*). The checks of the server's key stop only
//! the naive form of this attack. So use `https` beyond this machine, and only servers whose
//! operator you trust.
//!
//! Comments cite the protocol by section, as in "protocol § 4": `docs/protocols/librepass.md`.
//!
//! The library never prints, never prompts, and takes no password from a command line argument. It
//! touches no files except certificates and saved log-ins.
//!
//! ```no_run
//! use librepass_client::{ArgonParameters, Server};
//!
//! # fn main() -> Result<(), librepass_client::ClientError> {
//! let server = Server::open("https://pass.example", None)?;
//! server.register("user@example.com", "correct horse", None, ArgonParameters::default())?;
//! // … the link in the mail is opened …
//! let session = server.log_in("user@example.com", "correct horse")?;
//! session.write_note("title", "text")?;
//! session.change_password("battery staple", None, |done, total| println!("{done} of {total}"))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod cipher;
mod error;
mod http;
mod saved;
mod server;
mod session;
mod timings;

pub use cipher::{Cipher, Kind};
pub use error::ClientError;
pub use keywright_librepass::ArgonParameters;
pub use saved::SavedLogin;
pub use server::Server;
pub use session::Session;
pub use timings::Timings;
