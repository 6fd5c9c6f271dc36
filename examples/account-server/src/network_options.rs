//! The options for a network that cannot be trusted: proxies, browsers on other sites, limits, mail
//! servers.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use clap::{Args, ValueEnum, value_parser};
use ipnet::IpNet;
use keywright::librepass::MailedLinks;
use keywright::twofactor::{Once, RequiredFactors};
use lettre::message::Mailbox;

use crate::http::connections::CLOSING;

/// Descriptors that are kept for files and for mail servers.
const OTHER_DESCRIPTORS: usize = 64;
/// Without an option, at most this many connections, whatever the system allows.
const CONNECTIONS: usize = 4_096;

/// Options for networks.
#[derive(Debug, Args)]
pub(crate) struct NetworkOptions {
    /// Accepts plain HTTP from other machines, and sends mail in the clear to them. Without it, such
    /// requests are refused, and such a mail server is not accepted.
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Serves metrics for Prometheus at `/metrics` of this address, in plain HTTP and without a log-in.
    /// Port 0 picks a free port. Without it, nothing is measured.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_listen: Option<String>,

    /// Believes `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` if they come from this network
    /// (`10.1.2.3` or `10.1.0.0/16`). Repeatable.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,

    /// Lets pages of this origin call the server from browsers (`https://example.org`). Repeatable.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors_origin: Vec<Origin>,

    /// The most connections. Default: what the limit on open files allows, but at most 4,096.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(8..=1_000_000))]
    pub(crate) max_connections: Option<u32>,

    /// The most connections of one network, which is an IPv4 address or an IPv6 /64, except of
    /// trusted proxies. Default: a quarter of all.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections_per_network: Option<u32>,

    /// Closes a connection on which no whole request head has come for this long.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = value_parser!(u64).range(1..=3_600))]
    idle_timeout: u64,

    /// Answers 408 to a request body that takes longer than this and a second for each 64 KiB.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(1..=3_600))]
    body_timeout: u64,

    /// The sender of mails: an address, or `Name <address>`. Default: `no-reply@` at the host of
    /// `--public-url`.
    #[arg(long, value_name = "SENDER")]
    pub(crate) mail_from: Option<Mailbox>,

    /// Trusts this certificate authority for the mail server, in PEM, beside those of the web.
    #[arg(long, value_name = "FILE", requires = "smtp")]
    pub(crate) smtp_ca: Option<PathBuf>,

    /// What opening a mailed link of LibrePass does: `act`, or `confirm` by a button.
    #[arg(long, value_name = "act|confirm", default_value = "act", hide_possible_values = true)]
    pub(crate) mailed_links: Links,

    /// Whether a time-based code is accepted once in all, or once for each purpose.
    #[arg(long, value_name = "account|purpose", default_value = "account", hide_possible_values = true)]
    pub(crate) totp_once: OnceFor,

    /// Whose second factors a protocol requires: its own and the library's, or all of the account,
    /// whichever protocol enrolled them.
    #[arg(long, global = true, value_name = "own|all", default_value = "own", hide_possible_values = true)]
    pub(crate) second_factors: FactorsOf,
}

impl NetworkOptions {
    /// Returns how long a connection may be without a whole request head.
    pub(crate) const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    /// Returns how long a body may take beyond the time at the slowest rate.
    pub(crate) const fn body_grace(&self) -> Duration {
        Duration::from_secs(self.body_timeout)
    }

    /// Returns the ceilings on connections, in total and per network, where the process may have this
    /// many files open.
    pub(crate) fn connections(&self, descriptors: u64) -> (usize, usize) {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let possible = descriptors.saturating_sub(CLOSING.saturating_add(OTHER_DESCRIPTORS)).max(8);
        let count = |option: Option<u32>| option.and_then(|count| usize::try_from(count).ok());
        let total = count(self.max_connections).unwrap_or(CONNECTIONS).min(possible);
        let per_network = count(self.max_connections_per_network).unwrap_or(total / 4).clamp(1, total);
        (total, per_network)
    }
}

/// Reads a network, or an address as a network of one.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let parsed = text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()));
    parsed.ok_or("expected an address or a network in CIDR notation")
}

/// The origin of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) HeaderValue);

impl FromStr for Origin {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected `https://HOST` or `https://HOST:PORT`, without a path";
        let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        // What a browser sends is compared as it is, so only its notation is accepted.
        let exact = ["http", "https"].into_iter().any(|scheme| text == format!("{scheme}://{authority}"));
        if !exact || authority.is_empty() || authority.contains('@') || text != text.to_ascii_lowercase() {
            return Err(EXPECTED);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| EXPECTED)
    }
}

/// What opening a mailed link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Links {
    Act,
    Confirm,
}

impl From<Links> for MailedLinks {
    fn from(links: Links) -> Self {
        match links {
            Links::Act => Self::Act,
            Links::Confirm => Self::Confirm,
        }
    }
}

/// The scope within which a time-based code is accepted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnceFor {
    Account,
    Purpose,
}

impl From<OnceFor> for Once {
    fn from(once: OnceFor) -> Self {
        match once {
            OnceFor::Account => Self::Account,
            OnceFor::Purpose => Self::Purpose,
        }
    }
}

/// Whose second factors a protocol requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FactorsOf {
    Own,
    All,
}

impl From<FactorsOf> for RequiredFactors {
    fn from(factors: FactorsOf) -> Self {
        match factors {
            FactorsOf::Own => Self::Own,
            FactorsOf::All => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::Options;

    fn parse(line: &str) -> Result<NetworkOptions, clap::Error> {
        let words = std::iter::once("account-server").chain(line.split_whitespace());
        Options::try_parse_from(words).map(|options| options.network)
    }

    #[test]
    fn what_is_accepted() {
        let defaults = parse("").unwrap();
        assert!(!defaults.insecure && defaults.trusted_proxy.is_empty() && defaults.cors_origin.is_empty());
        assert_eq!((defaults.idle().as_secs(), defaults.body_grace().as_secs()), (20, 30));
        assert_eq!((defaults.mailed_links, defaults.totp_once), (Links::Act, OnceFor::Account));
        let networks = parse("--trusted-proxy 10.0.0.0/8 --trusted-proxy ::1").unwrap().trusted_proxy;
        assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
        assert_eq!(parse("--cors-origin https://a.example:8443").unwrap().cors_origin.len(), 1);
        let sender = Options::try_parse_from(["account-server", "--mail-from", "Accounts <a@example.org>"]).unwrap();
        assert_eq!(sender.network.mail_from.unwrap().email.to_string(), "a@example.org");
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            "--trusted-proxy example.org",
            "--trusted-proxy 10.0.0.0/33",
            "--cors-origin *",
            "--cors-origin null",
            "--cors-origin example.org",
            "--cors-origin https://example.org/",
            "--cors-origin https://Example.org",
            "--cors-origin https://u@example.org",
            "--mail-from nobody",
            "--smtp-ca a",
            "--mailed-links maybe",
            "--totp-once never",
            "--idle-timeout 0",
            "--body-timeout 0",
            "--max-connections 0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(parse("").unwrap().connections(1_024), (896, 224));
        assert_eq!(parse("").unwrap().connections(1_000_000), (4_096, 1_024));
        assert_eq!(parse("").unwrap().connections(64), (8, 2));
        let few = parse("--max-connections 100 --max-connections-per-network 200").unwrap();
        assert_eq!(few.connections(1_024), (100, 100));
    }
}
