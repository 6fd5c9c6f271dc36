//! What people and scripts read on the terminal. Everything else goes to the log.

use std::error::Error;
use std::io::{self, Write};

/// Prints lines to standard output and flushes, because a script may wait for them on a pipe.
///
/// # Errors
/// An error if standard output is closed.
pub(crate) fn say(lines: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")?;
    out.flush()
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
