//! What people and scripts read on the terminal. Everything else goes to the log.

use std::error::Error;
use std::io::{self, Write};

use keywright::UnixSeconds;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prints lines to standard output and flushes, because a script may wait for them on a pipe.
///
/// # Errors
/// An error if standard output is closed.
pub(crate) fn say(lines: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")?;
    out.flush()
}

/// Returns a moment as RFC 3339 has it, or as seconds if it is beyond the year 9999.
pub(crate) fn moment(at: UnixSeconds) -> String {
    let date = i64::try_from(at.get()).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| at.to_string())
}

/// Prints an error with its causes. None of our errors quotes the contents of a file or a request.
pub(crate) fn complain(error: &dyn Error) {
    let mut text = format!("account-server: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Standard error is closed, so the failure cannot be reported.
    let _told = writeln!(io::stderr(), "{text}");
}
