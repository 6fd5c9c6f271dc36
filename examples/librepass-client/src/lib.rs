//! A client of LibrePass: what the command line is made of, and what an end-to-end test drives.
//!
//! [`Server`] speaks HTTP and knows no password. [`Session`] is a log-in together with the keys that the password
//! gives; it reads and writes a vault, and changes password or address by encrypting every cipher anew, on all cores. No
//! key is ever written to a file: a [`SavedLogin`] holds the server's token alone.
//!
//! The protocol trusts the server: whoever runs it, or stands in its place, and knows a user's public key can make any
//! client, this one too, send what gives the vault key away (`keywright_librepass`, *What a hostile server gets*). What is
//! checked of the server's key stops the naive form alone. So `https` beyond this machine, and servers whose operator is
//! trusted.
//!
//! Comments cite the protocol by section, as in "protocol § 4": `docs/protocols/librepass.md`.
//!
//! It never prints, never asks, and takes no password from an argument. Apart from certificates and saved log-ins it
//! touches no file.
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
