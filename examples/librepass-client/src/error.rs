//! Errors, grouped by what a user does next.

use std::io;

use keywright_core::{ClockError, EntropyError};
use keywright_librepass::{DeriveError, EnvelopeError, HostileServer};
use keywright_rekey::client::ReencryptionError;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address is not a URL, or is a plain `http` URL that others on the network could
    /// read.
    #[error("the server's address must be an https URL, or an http one of this machine")]
    Address,
    /// The certificates cannot be read.
    #[error("the certificates cannot be read")]
    Certificates(#[source] io::Error),
    /// The server at this address does not identify itself as a LibrePass server.
    #[error("no LibrePass server answers at this address")]
    NoLibrePass,
    /// There was no answer. Nothing was changed, unless the call was a change; see
    /// [`Unknown`](Self::Unknown).
    #[error("the server did not answer")]
    Transport(#[source] Box<ureq::Error>),
    /// The server refused, and nothing was changed.
    #[error("the server refused: {code}{}", said(message.as_deref(), *retry_after))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The protocol's code, `LP-…`.
        code: String,
        /// The server's message, if it sent one.
        message: Option<String>,
        /// The seconds to wait, if the server stated them.
        retry_after: Option<u64>,
    },
    /// A change was sent, and no answer shows whether it was made.
    #[error("whether the change was made is not known: try the new password or address first, then the old one")]
    Unknown(#[source] Box<Self>),
    /// An answer does not have the form that the protocol requires.
    #[error("the server's answer cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server requests something that no honest server requests. Nothing was sent.
    #[error("this server is not to be trusted")]
    Hostile(#[from] HostileServer),
    /// The keys could not be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A cipher does not open, or could not be encrypted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A cipher could not be encrypted again, so nothing was sent.
    #[error("the vault could not be encrypted anew; nothing was changed")]
    Reencryption(#[from] ReencryptionError<EnvelopeError>),
    /// The operating system's random generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The file of a saved log-in cannot be used.
    #[error("the saved log-in cannot be used: log in again")]
    Saved(#[source] io::Error),
}

/// Formats the server's message and the wait, for people.
fn said(message: Option<&str>, retry_after: Option<u64>) -> String {
    let message = message.map(|text| format!(" ({text})"));
    let wait = retry_after.map(|seconds| format!("; try again in {seconds} s"));
    [message, wait].into_iter().flatten().collect()
}

impl ClientError {
    /// Returns the protocol's code, if the server refused.
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

    /// Maps an error after a change was sent. Only a clear refusal shows that nothing was changed.
    pub(crate) fn of_change(self) -> Self {
        match self {
            Self::Refused { status, .. } if status < 500 => self,
            other => Self::Unknown(Box::new(other)),
        }
    }
}
