//! Errors that stop a task, grouped by what to do about them.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// A program ran and failed.
    #[error("`{command}` {outcome}")]
    Command { command: String, outcome: String },
    /// A program is missing or too old. The text names what to install.
    #[error("{0}")]
    MissingTool(String),
    /// One of our own checks found something.
    #[error("{0}")]
    Check(String),
    /// A step of a suite failed. Its own error was printed when it happened.
    #[error("step failed: {0}")]
    Step(&'static str),
}

impl Error {
    /// For `map_err`: adds what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
