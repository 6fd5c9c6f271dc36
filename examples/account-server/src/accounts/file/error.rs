//! Why an accounts file cannot be used.

use std::io;

/// Why an accounts file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsFileError {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it holds passwords, but others can access it (mode {mode:04o}): set its mode to 0600 or 0640")]
    Mode { mode: u32 },
    #[error("line {line} is not TOML")]
    Syntax { line: usize },
    #[error("unknown in {place}: {keys}")]
    UnknownKeys { keys: String, place: String },
    #[error("`{key}` in line {line} is not {expected}")]
    Wrong { key: &'static str, line: usize, expected: &'static str },
    #[error("the account in line {line} has no `name`")]
    NoName { line: usize },
    #[error("the table `[account.rocketchat]` in line {line} has no `user_id`")]
    NoUserId { line: usize },
    #[error("{what} of `{name}` is there twice")]
    Twice { what: &'static str, name: String },
}
