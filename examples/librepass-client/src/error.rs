//! What can go wrong, grouped by what a user does next.

use std::io;

use keywright_core::{ClockError, EntropyError};
use keywright_librepass::{DeriveError, EnvelopeError, HostileServer};
use keywright_rekey::client::ReencryptionError;

/// A call that did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of the server is none, or a plain `http` one that others on the way could read.
    #[error("the server's address must be an https URL, or an http one of this machine")]
    Address,
    /// The certificates cannot be read.
    #[error("the certificates cannot be read")]
    Certificates(#[source] io::Error),
    /// What answers there does not call itself a LibrePass server.
    #[error("no LibrePass server answers at this address")]
    NoLibrePass,
    /// No answer. Nothing was changed, unless the call was a change: then see [`Unknown`](Self::Unknown).
    #[error("the server did not answer")]
    Transport(#[source] Box<ureq::Error>),
    /// The server refused; nothing was changed.
    #[error("the server refused: {code}{}", said(message.as_deref(), *retry_after))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The protocol's code, `LP-…`.
        code: String,
        /// What the server says besides.
        message: Option<String>,
        /// Seconds to wait, if the server says so.
        retry_after: Option<u64>,
    },
    /// A change was sent, and no answer says whether it was made.
    #[error("whether the change was made is not known: try the new password or address first, then the old one")]
    Unknown(#[source] Box<Self>),
    /// An answer is not what the protocol has.
    #[error("the server's answer cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server asks for what no honest one asks for. Nothing was sent.
    #[error("this server is not to be trusted")]
    Hostile(#[from] HostileServer),
    /// No keys could be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A cipher does not open, or could not be encrypted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A cipher could not be encrypted anew, so nothing was sent.
    #[error("the vault could not be encrypted anew; nothing was changed")]
    Reencryption(#[from] ReencryptionError<EnvelopeError>),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The file of a log-in cannot be used.
    #[error("the saved log-in cannot be used: log in again")]
    Saved(#[source] io::Error),
}

/// What a server says besides its code, for people.
fn said(message: Option<&str>, retry_after: Option<u64>) -> String {
    let message = message.map(|text| format!(" ({text})"));
    let wait = retry_after.map(|seconds| format!("; try again in {seconds} s"));
    [message, wait].into_iter().flatten().collect()
}

impl ClientError {
    /// The protocol's code, if the server refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(crate) fn answer(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Answer(error.into())
    }

    /// For what follows the sending of a change: only a clear refusal says that nothing was changed.
    pub(crate) fn of_change(self) -> Self {
        match self {
            Self::Refused { status, .. } if status < 500 => self,
            other => Self::Unknown(Box::new(other)),
        }
    }
}
