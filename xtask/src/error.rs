//! What can stop a task, said in terms of what to do about it.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// A program ran and said no.
    #[error("`{command}` {outcome}")]
    Command { command: String, outcome: String },
    /// A program is missing or too old; the text says what to install.
    #[error("{0}")]
    MissingTool(String),
    /// A check of our own found something.
    #[error("{0}")]
    Check(String),
    /// A step of a suite failed; its own error was printed where it happened.
    #[error("step failed: {0}")]
    Step(&'static str),
}

impl Error {
    /// For `map_err`: names what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
