//! The files that a server is started on, and the search for secrets that must not be left in them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::count::Counts;
use crate::error::Error;

/// A folder under `target/` that is removed at the end, and the files in it.
#[derive(Debug)]
pub(crate) struct Scene {
    directory: TempDir,
}

impl Scene {
    /// Creates the folder. `accounts` is an accounts file. `state` is the drivers' initial state;
    /// no string in its `secrets` may appear in the clear.
    pub(crate) fn new(parent: &Path, accounts: &str, state: &Value) -> Result<Self, Error> {
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(parent);
        let scene = Self { directory: directory.map_err(Error::io("a folder for the run"))? };
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .map_err(|error| Error::Check(format!("cannot make a certificate: {error}")))?;
        scene.write("tls.crt", &certified.cert.pem())?;
        scene.write("tls.key", &certified.signing_key.serialize_pem())?;
        scene.write("accounts.toml", accounts)?;
        scene.write("state.json", &state.to_string())?;
        Ok(scene)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(true);
        // The server refuses a file of passwords that others can read.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let write = |mut file: fs::File| file.write_all(text.as_bytes());
        options.open(self.path(name)).and_then(write).map_err(Error::io(name))
    }

    /// Returns the path of a file of this scene, whether or not it exists.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the options of account-server for these files. The run adds those for mail.
    pub(crate) fn server_options(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        let pairs = [
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--store", format!("sqlite:{}", path("accounts.sqlite"))),
            ("--accounts", path("accounts.toml")),
            ("--keyring", path("keyring.toml")),
            ("--tls-cert", path("tls.crt")),
            ("--tls-key", path("tls.key")),
        ];
        pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("tls.crt")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state.json")
    }

    /// Returns the path of the log, which holds everything that the server printed, over all
    /// restarts.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("server.log")
    }

    pub(crate) fn show_log(&self, title: &str) {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        println!("# {title}: the last lines that the server printed");
        for line in lines.iter().skip(lines.len().saturating_sub(40)) {
            println!("# {line}");
        }
    }

    /// Checks that no secret that was used is in the log or in the store in the clear.
    ///
    /// # Errors
    /// [`Error::Check`] with the name of the file. It does not repeat the secret.
    pub(crate) fn check_for_secrets(&self, counts: &mut Counts) -> Result<(), Error> {
        let secrets = self.secrets()?;
        let files = [("server.log", true), ("accounts.sqlite", true), ("accounts.sqlite-wal", false)];
        for (name, required) in files {
            let bytes = match fs::read(self.path(name)) {
                Ok(bytes) => bytes,
                Err(_) if !required => continue, // a clean stop leaves no write-ahead log
                Err(source) => return Err(Error::io(name)(source)),
            };
            if let Some(found) = secrets.iter().position(|secret| holds(&bytes, secret.as_bytes())) {
                println!("not ok - {name} holds none of the secrets used");
                counts.add(Counts { passed: 0, failed: 1 });
                return Err(Error::Check(format!("{name} holds secret {found} of state.json in clear")));
            }
            println!("ok - {name} holds none of the secrets used");
            counts.pass();
        }
        Ok(())
    }

    fn secrets(&self) -> Result<Vec<String>, Error> {
        let text = fs::read_to_string(self.state()).map_err(Error::io("state.json"))?;
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        let secrets = state.get("secrets").and_then(Value::as_array);
        let secrets = secrets.ok_or_else(|| Error::Check("state.json names no secrets".to_owned()))?;
        Ok(secrets.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    !secret.is_empty() && bytes.windows(secret.len()).any(|window| window == secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scene() -> Scene {
        let state = json!({"secrets": ["alice-app-Qm3vT9xKd2"]});
        Scene::new(&std::env::temp_dir(), "[[account]]\nname = \"alice\"\n", &state).unwrap()
    }

    #[test]
    fn a_scene_has_what_a_server_needs() {
        let scene = scene();
        let accounts = fs::read_to_string(scene.path("accounts.toml")).unwrap();
        assert!(accounts.starts_with("[[account]]"), "{accounts}");
        assert!(fs::read_to_string(scene.certificate()).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(scene.server_options().iter().any(|option| option.starts_with("sqlite:")));
    }

    #[test]
    fn a_secret_in_the_log_is_found_and_not_repeated() {
        let scene = scene();
        scene.write("server.log", "nothing to see").unwrap();
        scene.write("accounts.sqlite", "nor here").unwrap();
        let mut counts = Counts::default();
        scene.check_for_secrets(&mut counts).unwrap();
        assert_eq!(counts, Counts { passed: 2, failed: 0 });

        scene.write("server.log", "login with alice-app-Qm3vT9xKd2 failed").unwrap();
        let error = scene.check_for_secrets(&mut counts).unwrap_err().to_string();
        assert!(error.starts_with("server.log holds secret"), "{error}");
        assert!(!error.contains("Qm3v"), "{error}");
        assert_eq!(counts, Counts { passed: 2, failed: 1 });
    }

    #[test]
    fn a_file_that_is_not_there_is_not_searched_in_silence() {
        let error = scene().check_for_secrets(&mut Counts::default()).unwrap_err();
        assert!(error.to_string().starts_with("server.log: "), "{error}");
    }

    #[test]
    fn an_empty_secret_is_nowhere() {
        assert!(!holds(b"text", b""));
        assert!(holds(b"text", b"ex"));
        assert!(!holds(b"t", b"text"));
    }
}
