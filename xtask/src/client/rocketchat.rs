//! Rocket.Chat: `@rocket.chat/api-client` with its two-factor handler, and a mail server that codes
//! are read from.

use std::path::Path;

use serde_json::{Value, json};

use super::drivers::Drivers;
use super::scene::Scene;
use super::server::Server;
use crate::count::Counts;
use crate::error::Error;

const KEYS_OF_OTHERS: &[&str] = &["edit-other-user-e2ee"];

/// An account to seed. Its user id, tokens and address are derived from its name.
struct Account {
    name: &'static str,
    permissions: &'static [&'static str],
    email_2fa: bool,
    login_password: Option<&'static str>,
    /// The shared secret in base32, and its plain form. As Rocket.Chat makes them, it is base32 of
    /// ASCII letters.
    totp: Option<(&'static str, &'static str)>,
    recovery_codes: &'static [&'static str],
}

const PLAIN: Account =
    Account { name: "", permissions: &[], email_2fa: false, login_password: None, totp: None, recovery_codes: &[] };

/// One account for each scene, because a time-based code works once in thirty seconds, and no
/// driver waits for the next.
const ACCOUNTS: [Account; 11] = [
    Account {
        name: "ada",
        permissions: KEYS_OF_OTHERS,
        totp: Some(("GVKVEWKYGQ2WU4KSJ4ZDKZZTOVFTK23CIFAWKZ3JOVCTQTCDIFXA", "5URYX45jqRO25g3uK5kbAAegiuE8LCAn")),
        ..PLAIN
    },
    Account {
        name: "ivy",
        totp: Some(("NV2U6NSSOZ3EEZSPJBNDCRT2MZXEW4DDNVTWM3LRKNLXG5CTOFVQ", "muO6RvvBfOHZ1FzfnKpcmgfmqSWstSqk")),
        ..PLAIN
    },
    Account {
        name: "rex",
        permissions: KEYS_OF_OTHERS,
        totp: Some(("JZUDKYTSKRXTEMLPJNYGIYK2KBHHI4TJKNIHMTKVIM3GUN2POJFA", "Nh5brTo21oKpdaZPNtriSPvMUC6j7OrJ")),
        recovery_codes: &[
            "wmwNorTZ", "dttr5ynC", "9ZfP26gs", "87PJm7nu", "Mn4v3EGc", "cp2C3nsd", "AMAWK8S8", "FHEzG8MA", "fSAm7Yb2",
            "DExkMTz8", "yLFRjMBo", "r82K5SRs",
        ],
        ..PLAIN
    },
    Account {
        name: "gus",
        totp: Some(("GFBGW232G5KDG2CTNFMEYQTXN5UDMTLEJBWUE3DMGFTGQWJUONQQ", "1Bkkz7T3hSiXLBwoh6MdHmBll1fhY4sa")),
        recovery_codes: &[
            "LTyZw86g", "aF2prd6t", "fjPq2DKL", "iz824FsF", "jTpi7hzR", "vLY5wmAj", "SzfTTJ2w", "uZ7hbNGu", "ELYPSFj5",
            "QA7sxR3t", "9aHeBLur", "2AoRQdB3",
        ],
        ..PLAIN
    },
    Account { name: "mia", email_2fa: true, ..PLAIN },
    Account { name: "max", email_2fa: true, ..PLAIN },
    Account { name: "pat", login_password: Some("pat: Grüße aus Köln"), ..PLAIN },
    Account { name: "una", permissions: KEYS_OF_OTHERS, login_password: Some("una: Grüße aus Köln"), ..PLAIN },
    Account { name: "nan", login_password: Some("nan: Grüße aus Köln"), ..PLAIN },
    Account { name: "eve", login_password: Some("eve: Grüße aus Köln"), ..PLAIN },
    Account { name: "tom", ..PLAIN },
];

impl Account {
    /// Has the length of Rocket.Chat's ids, which are random.
    fn user_id(&self) -> String {
        format!("{}{}", self.name, "K7tWc4Nn2XbQ9y")
    }

    /// The tokens of two logins.
    fn tokens(&self) -> [String; 2] {
        let name = self.name;
        [
            format!("{name}-zV5rJ1sLdT8wQxE3mGkY6uHbC0pNfA4iRo7ZtX2"),
            format!("{name}-Bq9nD2vKjS7fWcX4yMhL5tGzR8eUpJ1aHo3CrV6"),
        ]
    }

    fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }

    fn table(&self) -> String {
        let (name, email) = (self.name, self.email());
        let mut text = format!("[[account]]\nname = \"{name}\"\nemail = \"{email}\"\n");
        if let Some(password) = self.login_password {
            text.push_str(&format!("login_password = \"{password}\"\n"));
        }
        // The strings contain neither quotes nor backslashes, so Rust's quoting is also TOML's.
        text.push_str(&format!(
            "[account.rocketchat]\nuser_id = \"{}\"\nauth_tokens = {:?}\npermissions = {:?}\nverified_emails = [\"{email}\"]\n\
             email_2fa = {}\n",
            self.user_id(),
            self.tokens(),
            self.permissions,
            self.email_2fa
        ));
        if let Some((base32, _)) = self.totp {
            text.push_str(&format!("totp_secret = \"{base32}\"\n"));
        }
        if !self.recovery_codes.is_empty() {
            text.push_str(&format!("recovery_codes = {:?}\n", self.recovery_codes));
        }
        text.push('\n');
        text
    }

    fn state(&self) -> Value {
        json!({
            "name": self.name,
            "user_id": self.user_id(),
            "tokens": self.tokens(),
            "email": self.email(),
            "login_password": self.login_password,
            "totp_secret": self.totp.map(|(base32, _)| base32),
            "recovery_codes": self.recovery_codes,
        })
    }

    /// The values that must never appear in the clear, including both forms of the shared secret.
    fn secrets(&self) -> impl Iterator<Item = String> {
        let totp = self.totp.into_iter().flat_map(|(base32, plain)| [base32, plain]);
        let fixed = totp.chain(self.login_password).chain(self.recovery_codes.iter().copied()).map(str::to_owned);
        fixed.chain(self.tokens())
    }
}

/// # Errors
/// An error if something cannot be installed or started, or if a step of a driver fails.
pub(crate) fn run(root: &Path, runs: &Path, program: &Path, counts: &mut Counts) -> Result<(), Error> {
    let drivers = Drivers::install(root, runs, "rocketchat")?;
    let scene = Scene::new(runs, &ACCOUNTS.iter().map(Account::table).collect::<String>(), &initial_state())?;
    let course = phases(program, &drivers, &scene, counts).and_then(|()| scene.check_for_secrets(counts));
    course.inspect_err(|_| scene.show_log("two-factor"))
}

/// Only the last phase has request limits, because ten calls a minute are too few for the others.
fn phases(program: &Path, drivers: &Drivers, scene: &Scene, counts: &mut Counts) -> Result<(), Error> {
    let mail = Server::launch(drivers.node("mail.cjs"), &scene.path("mail.log"), "smtp://")?;
    let addresses = mail.address().split_once(' ');
    let (smtp, mailbox) = addresses.ok_or_else(|| Error::Check("the mail server named one URL only".to_owned()))?;
    for (limits, phases) in
        [("off", ["codes", "guesses", "enrolment"].as_slice()), ("off", &["restarted"]), ("on", &["limited"])]
    {
        let server = Server::start(program, scene, &["--smtp", smtp, "--rate-limits", limits])?;
        for phase in phases {
            drivers.drive(("driver.cjs", phase), &server, scene, &[("MAILBOX", mailbox)], counts)?;
        }
        server.stop_counted(counts)?;
    }
    mail.stop()
}

/// The driver's initial state: the accounts by name, and the secrets so far.
fn initial_state() -> Value {
    let accounts = ACCOUNTS.iter().map(|account| (account.name.to_owned(), account.state()));
    let accounts: serde_json::Map<_, _> = accounts.collect();
    let secrets: Vec<_> = ACCOUNTS.iter().flat_map(Account::secrets).collect();
    json!({"accounts": accounts, "secrets": secrets})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_as_the_protocol_has_them() {
        for account in ACCOUNTS {
            assert_eq!(account.user_id().len(), 17);
            assert!(account.tokens().iter().all(|token| token.len() == 43), "{:?}", account.tokens());
            assert!(matches!(account.recovery_codes.len(), 0 | 12));
        }
    }

    #[test]
    fn a_table_holds_what_is_there_and_nothing_else() {
        let [ada, .., tom] = ACCOUNTS;
        assert!(ada.table().contains("permissions = [\"edit-other-user-e2ee\"]\n"), "{}", ada.table());
        assert!(ada.table().contains("totp_secret = \"GVKV"), "{}", ada.table());
        let absent = ["totp_secret", "recovery_codes", "login_password"];
        assert!(absent.iter().all(|key| !tom.table().contains(key)), "{}", tom.table());
    }

    #[test]
    fn the_secrets_are_known_in_both_forms() {
        let secrets: Vec<_> = ACCOUNTS[0].secrets().collect();
        assert!(secrets.iter().any(|secret| secret == "5URYX45jqRO25g3uK5kbAAegiuE8LCAn"));
        assert_eq!(secrets.len(), 4);
    }
}
