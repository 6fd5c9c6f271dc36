//! The files of a server over TLS, its mail, and everything that must never appear in the clear.

use std::fs;
use std::path::PathBuf;

use keywright::librepass::UserKeys;
use keywright_testing::Secrets;
use librepass_client::{ArgonParameters, ClientError, Server as Pass, Session};
use rustls::pki_types::CertificateDer;

use crate::client::{Answer, text};
use crate::program::{Folder, Server, new_folder};
use crate::tls::over_tls;

const FILES: [&str; 14] = [
    "--store",
    "sqlite:db",
    "--keyring",
    "keys",
    "--accounts",
    "accounts.toml",
    "--tls-cert",
    "tls.crt",
    "--tls-key",
    "tls.key",
    "--outbox",
    "outbox.txt",
    "--max-body",
    "67108864",
];

/// A folder, a certificate, and the secrets so far.
pub(crate) struct Scene {
    folder: Folder,
    certificate: CertificateDer<'static>,
    secrets: Secrets,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::of(new_folder())
    }

    /// A scene in an empty folder.
    pub(crate) fn of(folder: Folder) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        folder.write("tls.crt", &made.cert.pem());
        folder.write("tls.key", &made.signing_key.serialize_pem());
        folder.write("accounts.toml", "");
        Self { folder, certificate: made.cert.der().clone(), secrets: Secrets::new() }
    }

    /// Starts a server on these files, without request limits unless `options` have them.
    pub(crate) fn start(&self, options: &[&str]) -> Server {
        let limits = if options.contains(&"--rate-limits") { &[][..] } else { &["--rate-limits", "off"] };
        self.folder.start(&[&FILES, limits, options].concat())
    }

    /// Runs an operator's command on the same store. Returns what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        self.folder.run(&[&["--store", "sqlite:db", "--keyring", "keys"], command].concat())
    }

    /// The same for a command that fails. Returns what it printed, and its error output.
    pub(crate) fn fail(&self, command: &[&str]) -> (String, String) {
        self.folder.fail(&[&["--store", "sqlite:db", "--keyring", "keys"], command].concat())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub(crate) fn client(&self, server: &Server) -> Pass {
        Pass::open(&server.url, Some(&self.folder.path("tls.crt"))).unwrap()
    }

    pub(crate) fn send(&self, server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        over_tls(server, &self.certificate, &text(method, path, headers, body))
    }

    /// Registers, and opens the link in the mail if there is one.
    pub(crate) fn register(&self, server: &Server, email: &str, password: &str) {
        self.is_secret(password);
        let before = self.mails().len();
        self.client(server).register(email, password, None, quick()).unwrap();
        if self.mails().len() > before {
            let link = self.link("verifyEmail");
            assert_eq!(self.send(server, "GET", &link, "", "").status, 302);
        }
    }

    /// Logs in, and remembers the token among the secrets.
    pub(crate) fn log_in(&self, server: &Server, email: &str, password: &str) -> Result<Session, ClientError> {
        let session = self.client(server).log_in(email, password)?;
        self.is_secret(session.login().token().expose());
        Ok(session)
    }

    /// The mails so far: recipient, subject, text.
    pub(crate) fn mails(&self) -> Vec<(String, String, String)> {
        let outbox = self.folder.read("outbox.txt");
        let mails = outbox.split("To: ").skip(1).map(|mail| {
            let (to, rest) = mail.split_once("\nSubject: ").unwrap();
            let (subject, text) = rest.split_once("\n\n").unwrap();
            (to.to_owned(), subject.to_owned(), text.to_owned())
        });
        mails.collect()
    }

    /// The path and query of the newest link of a kind: a line of its own, in the newest mail that has one. Its code is
    /// a secret from then on.
    pub(crate) fn link(&self, endpoint: &str) -> String {
        let mails = self.mails();
        let mut lines = mails.iter().flat_map(|(_, _, text)| text.lines());
        let link = lines.rfind(|line| line.contains(&format!("/{endpoint}?user="))).unwrap();
        assert!(link.starts_with("https://127.0.0.1:") && !link.contains(' '), "{link}");
        self.is_secret(link.split_once("code=").unwrap().1);
        link.get(link.find("/api/").unwrap()..).unwrap().to_owned()
    }

    pub(crate) fn is_secret(&self, secret: &str) {
        assert!(secret.len() >= 8, "too short to be looked for");
        self.secrets.plant(secret);
    }

    /// The keys derived from a password, as bytes and as they are sent. A public key is a secret
    /// too, because it tests guesses.
    pub(crate) fn are_secret_keys(&self, email: &str, password: &str, parameters: ArgonParameters) {
        let keys = UserKeys::derive(email, password, parameters).unwrap();
        for key in [keys.private_key().expose(), keys.public_key().expose()] {
            self.secrets.plant(key);
            self.is_secret(&hex::encode(key));
        }
    }

    /// Searches for every secret, in log and database.
    pub(crate) fn holds_no_secret(&self) {
        for name in ["log.txt", "db", "db-wal"] {
            let Ok(bytes) = fs::read(self.folder.path(name)) else {
                assert_eq!(name, "db-wal", "a clean stop leaves no write-ahead log, but {name} must be there");
                continue;
            };
            self.secrets.are_absent_from(name, &bytes);
            assert!(name != "log.txt" || !bytes.contains(&b'?'), "no query is logged");
        }
    }
}

/// The cheapest derivation that the protocol knows: the tests are not about Argon2.
pub(crate) fn quick() -> ArgonParameters {
    ArgonParameters::new(1, 20_480, 1).unwrap()
}

/// The protocol's code of a refusal.
#[track_caller]
pub(crate) fn refusal<T>(outcome: Result<T, ClientError>) -> String {
    match outcome {
        Err(ClientError::Refused { code, .. }) => code,
        Err(other) => panic!("no refusal: {other:?}"),
        Ok(_) => panic!("it was done"),
    }
}

#[test]
#[should_panic(expected = "db holds secret 0")]
fn what_is_there_is_found() {
    let scene = Scene::new();
    scene.start(&[]).stop();
    scene.is_secret("SQLite format 3");
    scene.holds_no_secret();
}
