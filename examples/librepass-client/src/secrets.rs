//! Reads passwords and codes from a file, from the environment, or from the terminal without
//! showing them.

use std::path::Path;
use std::{env, fs, io};

use console::Term;
use keywright_core::SecretString;

/// Reads the current password.
///
/// # Errors
/// An error if the file or the terminal cannot be read.
pub(crate) fn password(file: Option<&Path>) -> io::Result<SecretString> {
    given(file, "LIBREPASS_PASSWORD")?.map_or_else(|| ask("password"), Ok)
}

/// Reads a password that is being chosen. On the terminal it is typed twice.
///
/// # Errors
/// As [`password`], and an error if the two entries differ.
pub(crate) fn new_password(file: Option<&Path>, variable: &str) -> io::Result<SecretString> {
    if let Some(given) = given(file, variable)? {
        return Ok(given);
    }
    let (first, second) = (ask("new password")?, ask("once more")?);
    if first.expose() == second.expose() { Ok(first) } else { Err(io::Error::other("the two passwords differ")) }
}

/// Reads a code of the authenticator app, or the recovery code.
///
/// # Errors
/// An error if the terminal cannot be read.
pub(crate) fn code() -> io::Result<SecretString> {
    given(None, "LIBREPASS_CODE")?.map_or_else(|| ask("code"), Ok)
}

fn given(file: Option<&Path>, variable: &str) -> io::Result<Option<SecretString>> {
    let Some(path) = file else { return Ok(env::var(variable).ok().map(SecretString::new)) };
    let text = SecretString::new(fs::read_to_string(path)?);
    Ok(Some(SecretString::new(text.expose().lines().next().unwrap_or_default().to_owned())))
}

/// Prompts on standard error, so that standard output can be a file.
fn ask(what: &str) -> io::Result<SecretString> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(io::Error::other("there is no terminal to ask on: name a file, or set the environment variable"));
    }
    terminal.write_str(&format!("{what}: "))?;
    terminal.read_secure_line().map(SecretString::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_file_and_nothing_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, " two  words \nmore\n").unwrap();
        assert_eq!(password(Some(&path)).unwrap().expose(), " two  words ");
        assert!(password(Some(&folder.path().join("absent"))).is_err());
    }
}
