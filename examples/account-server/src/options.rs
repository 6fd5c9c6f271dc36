//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::Uri;
use clap::{Parser, Subcommand, ValueEnum, value_parser};
use keywright::librepass::VAULT_LIMIT;
use keywright::nextcloud::ResetStyle;

use crate::logging::{LogFormat, LogLevel};
use crate::network_options::NetworkOptions;

/// Keywright's reference server: account protocols of real clients, on an embedded SQLite file, or on a
/// PostgreSQL database.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// A command to run instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The address to listen on. Port 0 picks a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Where the data is kept: `sqlite:PATH`, `memory:`, or a PostgreSQL database that several servers
    /// may share, `postgres://user@host/database`. Give a password in `PGPASSWORD` or `~/.pgpass`.
    #[arg(long, global = true, value_name = "STORE", default_value = "sqlite:account-server.sqlite")]
    pub(crate) store: StoreChoice,

    /// How many connections to a PostgreSQL database are opened at most.
    #[arg(long, global = true, value_name = "N", default_value_t = 16, value_parser = value_parser!(u16).range(1..=1_000))]
    pub(crate) store_connections: u16,

    /// There is a pooler in transaction mode before the PostgreSQL database, such as PgBouncer.
    #[arg(long, global = true)]
    pub(crate) store_pooler: bool,

    /// A TOML file with accounts to create, once. Without it, a demo account is created on the
    /// first start.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) accounts: Option<PathBuf>,

    /// The keyring file. It is created if it is absent and the store is empty. Default:
    /// `keyring.toml` in the folder that `CONFIGURATION_DIRECTORY` names, else beside the SQLite
    /// file, ending in `.keyring.toml`; with `memory:` no file is written. The variable
    /// `KEYWRIGHT_KEYRING` can hold the keyring's text instead. Servers that
    /// share a PostgreSQL database need the same keyring, so there it must be named.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,

    /// Reads the keyring from this file descriptor instead.
    #[arg(long, global = true, value_name = "N", conflicts_with = "keyring")]
    pub(crate) keyring_fd: Option<u32>,

    /// How much is logged to standard error.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,

    /// The form of the log's lines.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// Appends mail to a text file.
    #[arg(long, value_name = "FILE", conflicts_with = "smtp")]
    pub(crate) outbox: Option<PathBuf>,

    /// Sends mail: `smtps://user:password@host`, or `smtp://host?tls=required`.
    #[arg(long, value_name = "URL")]
    pub(crate) smtp: Option<String>,

    /// Serves TLS with a certificate that is made at the start.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_self_signed: bool,

    /// Serves TLS with this certificate chain, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Request limits, per user or per address as the protocol defines them. The guess ledger is
    /// always on.
    #[arg(long, value_name = "on|off", default_value = "on", hide_possible_values = true)]
    pub(crate) rate_limits: Switch,

    /// The largest request body in bytes, where a protocol accepts large ones. Elsewhere it is 1
    /// MiB. At least 1 KiB is accepted.
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024)]
    pub(crate) max_body: usize,

    /// Whether LibrePass users verify their address before they log in, and a new one before it takes effect.
    #[arg(long, value_name = "on|off", default_value = "on", hide_possible_values = true)]
    pub(crate) librepass_verify_email: Switch,

    /// The most ciphers that a LibrePass vault may have.
    #[arg(long, value_name = "N", default_value_t = VAULT_LIMIT, value_parser = value_parser!(u64).range(1..=100_000))]
    pub(crate) vault_limit: u64,

    /// How an account is reset: by typing a code that is shown, or by the login password and a
    /// wait.
    #[arg(long, value_name = "code|wait", default_value = "code", hide_possible_values = true)]
    pub(crate) reset_style: Style,

    /// The address of this server in mails. Default: the address that it listens on.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<PublicUrl>,

    #[command(flatten)]
    pub(crate) network: NetworkOptions,
}

impl Options {
    /// Whether requests arrive over TLS.
    pub(crate) const fn has_tls(&self) -> bool {
        self.tls_self_signed || self.tls_cert.is_some()
    }
}

/// An operator's command. The server may keep running meanwhile.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Acts on one account.
    Accounts {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Checks everything that is stored, and reports damage. Changes nothing, except that a damaged
    /// vault is added to its owner's log. Ends with an error if anything is damaged.
    Check {
        /// Instead of checking, accepts the damaged vault of this account as it is. Use it once you
        /// know what happened.
        #[arg(long, value_name = "ACCOUNT")]
        accept: Option<String>,

        /// Drops the vault's ciphers that do not open. Without it, a vault with such ciphers is not
        /// accepted.
        #[arg(long, requires = "accept")]
        drop_unreadable: bool,
    },
    /// Prints the newest events of an account's security log, the newest first.
    Events {
        /// As for `accounts unlock`.
        account: String,

        /// How many events are printed.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Copies the store to a new file, from one moment. The keyring is not in it.
    Backup {
        /// Where the copy is made. There must be no file yet.
        path: PathBuf,
    },
    /// Restores a backup to where `--store` leads. There must be no store yet. Sets the keyring's
    /// fence to now, so that sessions and codes from before are void.
    Restore {
        /// The file that `backup` made.
        backup: PathBuf,
    },
    /// Lists or changes the keys of the keyring file.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Drops expired records and old events, as the server does every hour.
    Sweep,
}

/// An operator's command for the keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum KeysCommand {
    /// Creates a keyring file and an empty store that belong together, without starting a server.
    New,
    /// Prints the ids of the keys, the newest first, and the store they belong to.
    List,
    /// Adds a fresh key to the keyring file. Running servers learn of it.
    Rotate,
    /// Seals everything again that is sealed under an older key.
    Reseal,
    /// Removes the older keys from the keyring file, if nothing is sealed under them any more.
    Retire,
}

/// An operator's command for accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Lists all accounts: id, name, and when they were created.
    List,
    /// Prints what is known about an account, without any secret.
    Show {
        /// As for `unlock`.
        account: String,
    },
    /// Creates an account with fresh passwords, which are printed once.
    Create {
        /// The login name.
        name: String,

        /// The owner's address.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Removes all second factors of an account. First make sure that it is the owner who asks.
    #[command(visible_alias = "disable-2fa")]
    ResetTwoFactor {
        /// As for `unlock`.
        account: String,
    },
    /// Ends all sessions, tokens and app passwords of an account.
    EndSessions {
        /// As for `unlock`.
        account: String,
    },
    /// Writes the second factors of all accounts to a new file with mode 0600, one line of JSON each.
    /// The file holds their secrets **in clear**.
    Export {
        /// The file, which must not exist.
        file: PathBuf,

        /// Confirms that the secrets are written in clear.
        #[arg(long)]
        secrets_in_clear: bool,
    },
    /// Takes over second factors from a file that `export` has written, for accounts without any.
    /// Can be stopped and run again.
    Import {
        /// The file.
        file: PathBuf,

        /// Checks every line and writes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Makes a login code of Rocket.Chat and prints it: who sends it to `loginCode.redeem` within a
    /// minute is logged in, once, without any factor. First make sure that it is the owner who asks.
    LoginCode {
        /// As for `unlock`.
        account: String,
    },
    /// Makes a two-factor challenge of Rocket.Chat and prints its id: who sends it to
    /// `twoFactorChallenges.verifyChallenge` with a right code within five minutes gets a login code.
    Challenge {
        /// As for `unlock`.
        account: String,
    },
    /// Erases an account. Only its security log is kept, for as long as events are.
    Erase {
        /// As for `unlock`.
        account: String,

        /// Confirms it.
        #[arg(long)]
        yes: bool,
    },
    /// Lifts all waits and limits on guesses at the secrets of an account. First make sure that it
    /// is the owner who asks.
    Unlock {
        /// A name or a verified address in the accounts file, the address of a LibrePass user, or
        /// an account's id from the log.
        account: String,
    },
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// The two documented resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    Code,
    Wait,
}

impl From<Style> for ResetStyle {
    fn from(style: Style) -> Self {
        match style {
            Style::Code => Self::Code,
            Style::Wait => Self::Wait,
        }
    }
}

/// Where the data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    Sqlite(PathBuf),
    Memory,
    Postgres(DatabaseUrl),
}

/// The address of a PostgreSQL database, which may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl FromStr for StoreChoice {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", "" | ":memory:")) => Err("`sqlite:` takes a path; a store in memory is `memory:`"),
            // What other programs take as a URL would be a path here, with a new store at its end.
            Some(("sqlite", path)) if path.starts_with("//") => {
                Err("`sqlite:` takes a path, not a URL: `sqlite:/var/lib/…`")
            }
            Some(("sqlite", path)) if path.contains(['?', '#', '%']) => {
                Err("`sqlite:` takes a path without `?`, `#` and `%`: options of a URL are not known")
            }
            Some(("sqlite", path)) if path.starts_with("file:") => Err("`sqlite:` takes a path, without `file:`"),
            Some(("sqlite", path)) if path.ends_with('/') => Err("`sqlite:` takes the path of a file, not of a folder"),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some(("sqlite3" | "file", _)) | None => Err("a store in a file is `sqlite:PATH`"),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(DatabaseUrl(text.to_owned())))
            }
            _ => Err("expected `sqlite:PATH`, `memory:` or `postgres://…`"),
        }
    }
}

/// An `http` or `https` URL without a query, and without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    text: String,
    host: String,
}

impl PublicUrl {
    /// Whether the URL begins with `https:`.
    pub(crate) fn is_https(&self) -> bool {
        self.text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// Returns the name or address in the URL, without the port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected `http://HOST…` or `https://HOST…` without query or user";
        let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
        let authority = uri.authority().ok_or(EXPECTED)?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && !text.contains('#')
            && !authority.as_str().contains('@')
            && !authority.host().is_empty();
        if !plain {
            return Err(EXPECTED);
        }
        Ok(Self { text: text.trim_end_matches('/').to_owned(), host: authority.host().to_owned() })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
        let defaults = Options::parse_from(["account-server"]);
        assert_eq!(defaults.listen, "127.0.0.1:8080");
        assert_eq!(defaults.store, StoreChoice::Sqlite("account-server.sqlite".into()));
        assert_eq!((defaults.rate_limits, defaults.reset_style), (Switch::On, Style::Code));
        assert_eq!(defaults.max_body, 67_108_864);
        assert_eq!((defaults.librepass_verify_email, defaults.vault_limit), (Switch::On, 500));
    }

    #[test]
    fn what_excludes_or_needs_each_other() {
        for bad in [
            "--outbox a --smtp smtp://b",
            "--tls-self-signed --tls-cert a --tls-key b",
            "--tls-cert a",
            "--tls-key a",
            "--store sqlite:",
            "--store sqlite::memory:",
            "--store postgres:x",
            "--store-connections 0",
            "--store memory",
            "--store sqlite://db",
            "--store sqlite:///var/db",
            "--store sqlite:db?mode=rwc",
            "--store sqlite:file:db",
            "--store sqlite:folder/",
            "--store sqlite3:db",
            "--store file:db",
            "--store db.sqlite",
            "--store /var/db",
            "--keyring a --keyring-fd 3",
            "events",
            "backup",
            "keys",
            "--rate-limits maybe",
            "--reset-style mail",
            "--max-body 1MiB",
            "--librepass-verify-email maybe",
            "--vault-limit 0",
            "--vault-limit 100001",
            "--public-url example.org",
            "--public-url ftp://example.org",
            "--public-url https://example.org/?a=b",
            "--public-url https://user@example.org/",
            "accounts",
            "accounts unlock",
            "check --drop-unreadable",
            "--listen a serve",
        ] {
            let words = std::iter::once("account-server").chain(bad.split(' '));
            assert!(Options::try_parse_from(words).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_operators_commands_take_the_store_on_either_side() {
        for line in [
            "account-server --store sqlite:a --keyring b accounts unlock alice",
            "account-server accounts unlock alice --store sqlite:a --keyring b",
            "account-server check --accept alice --keyring b --store sqlite:a",
            "account-server check --keyring b --store sqlite:a",
        ] {
            let options = Options::parse_from(line.split(' '));
            assert_eq!(options.store, StoreChoice::Sqlite("a".into()), "{line}");
            assert_eq!(options.keyring, Some("b".into()), "{line}");
            assert!(options.command.is_some(), "{line}");
        }
    }

    #[test]
    fn the_address_of_a_database_is_not_printed() {
        let store: StoreChoice = "postgres://app:secret@db/accounts".parse().unwrap();
        assert_eq!(format!("{store:?}"), "Postgres(DatabaseUrl(…))");
        assert!(matches!(store, StoreChoice::Postgres(url) if url.as_str() == "postgres://app:secret@db/accounts"));
    }

    #[test]
    fn public_urls() {
        let url: PublicUrl = "https://example.org:8443/accounts/".parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.host()), ("https://example.org:8443/accounts", "example.org"));
        assert_eq!("http://[::1]:80".parse::<PublicUrl>().unwrap().host(), "[::1]");
        assert_eq!("http://[::1]".parse::<PublicUrl>().unwrap().host(), "[::1]");
        assert_eq!("https://example.org/a:1".parse::<PublicUrl>().unwrap().host(), "example.org");
    }
}
