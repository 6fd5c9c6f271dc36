//! What people and scripts read on the terminal. Everything else goes to the log.

use std::error::Error;
use std::io::{self, Write};

/// Prints lines to standard output, at once: a script may wait for them on a pipe.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn say(lines: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")?;
    out.flush()
}

/// Prints an error with its causes. None of our errors quotes what a file or a request held.
pub(crate) fn complain(error: &dyn Error) {
    let mut text = format!("account-server: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Standard error is gone: nobody is left to tell.
    let _told = writeln!(io::stderr(), "{text}");
}
