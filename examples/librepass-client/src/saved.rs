//! A log-in that outlives the process, in a file that only its owner can read. It holds the token,
//! and no key.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use keywright_core::SecretString;
use keywright_librepass::ArgonParameters;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::ClientError;

/// A saved log-in.
#[derive(Debug)]
#[non_exhaustive]
pub struct SavedLogin {
    /// The server's address.
    pub server: String,
    /// A PEM file to trust instead of the public authorities.
    pub certificates: Option<PathBuf>,
    /// The e-mail address as it was typed, which is the salt of the keys.
    pub email: String,
    /// The user's id.
    pub user: String,
    /// The parameters of the derivation. A change of them ends this log-in.
    pub(crate) parameters: ArgonParameters,
    /// The server's token.
    pub(crate) token: SecretString,
}

#[derive(Deserialize)]
struct Read {
    server: String,
    certificates: Option<PathBuf>,
    email: String,
    user: String,
    #[serde(flatten)]
    parameters: ArgonParameters,
    token: String,
}

#[derive(Serialize)]
struct Written<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<&'a Path>,
    email: &'a str,
    user: &'a str,
    #[serde(flatten)]
    parameters: ArgonParameters,
    token: &'a str,
}

impl SavedLogin {
    /// Returns the server's token. To the server, whoever has it is the user.
    #[must_use]
    pub const fn token(&self) -> &SecretString {
        &self.token
    }

    /// Reads a saved log-in from a file.
    ///
    /// # Errors
    /// [`ClientError::Saved`] if the file cannot be read or is invalid.
    pub fn read(path: &Path) -> Result<Self, ClientError> {
        let text = Zeroizing::new(fs::read(path).map_err(ClientError::Saved)?);
        // The parser's own message quotes the file.
        let file: Read = serde_json::from_slice(&text)
            .map_err(|_| ClientError::Saved(io::Error::other("the file was not written by this program")))?;
        let Read { server, certificates, email, user, parameters, token } = file;
        Ok(Self { server, certificates, email, user, parameters, token: SecretString::new(token) })
    }

    /// Writes a file that nobody else can read, and replaces an existing one.
    ///
    /// # Errors
    /// [`ClientError::Saved`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ClientError> {
        let file = Written {
            server: &self.server,
            certificates: self.certificates.as_deref(),
            email: &self.email,
            user: &self.user,
            parameters: self.parameters,
            token: self.token.expose(),
        };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&file).map_err(ClientError::answer)?);
        replace(path, &text).map_err(ClientError::Saved)
    }
}

/// Creates a new file, because an existing one would keep its mode.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_others_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        fs::write(&path, "{\"token\": 5}").unwrap();
        let error = SavedLogin::read(&path).unwrap_err();
        assert!(matches!(error, ClientError::Saved(_)));
        let login = SavedLogin {
            server: "https://pass.example".to_owned(),
            certificates: None,
            email: "User@example.com".to_owned(),
            user: "id".to_owned(),
            parameters: ArgonParameters::default(),
            token: SecretString::new("lp_planted".to_owned()),
        };
        assert!(!format!("{login:?}").contains("planted"));
        login.write(&path).unwrap();
        let read = SavedLogin::read(&path).unwrap();
        assert_eq!((read.email.as_str(), read.token.expose()), ("User@example.com", "lp_planted"));
        assert_eq!(read.parameters, ArgonParameters::default());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
