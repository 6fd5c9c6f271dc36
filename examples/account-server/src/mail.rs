//! Mail is appended to a text file, sent by SMTP, or not sent at all.
//!
//! Failed deliveries are logged. Most of them delay or undo nothing. Where a protocol requires that
//! a notice is sent first, the caller waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;
use keywright::SystemEntropy;
use keywright::core::random_bytes;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::options::PublicUrl;
use crate::running::Running;

/// How long a whole delivery may take. Due work is claimed for no longer, and a caller may be
/// waiting.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
/// How long a mail server may take for one step of the dialogue.
const SMTP_TIMEOUT: Duration = Duration::from_secs(15);

/// One message.
pub(crate) struct Message {
    /// The address, which was checked when it was seeded: it has no control characters and no
    /// blanks.
    pub(crate) to: String,
    /// The subject, which is one line.
    pub(crate) subject: &'static str,
    pub(crate) text: String,
}

/// Where mail is sent.
pub(crate) enum Mailer {
    /// Mail is off.
    Off,
    /// Mail is appended to a file.
    Outbox(PathBuf),
    /// Mail is sent to a mail server.
    Smtp(Box<Smtp>),
}

/// A mail server, and the sender of its mails.
#[derive(Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    running: Running,
}

impl Mailer {
    /// Appends mail to a file, which is created now if it does not exist.
    ///
    /// # Errors
    /// An error if the file cannot be written.
    pub(crate) fn outbox(path: PathBuf) -> io::Result<Self> {
        open(&path)?;
        Ok(Self::Outbox(path))
    }

    /// Sends mail by SMTP. Without a sender of its own, it comes from an address at the host of
    /// `public_url`. Deliveries that no caller waits for are counted in `running`.
    ///
    /// # Errors
    /// A [`SmtpError`] if the mail server cannot be used. It does not quote the URL, which may
    /// contain a password.
    pub(crate) fn smtp(relay: Relay<'_>, public_url: &PublicUrl, running: &Running) -> Result<Self, SmtpError> {
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(relay.url).map_err(|_| SmtpError::Url)?;
        let security = Security::of(relay.url).ok_or(SmtpError::Url)?;
        if !security.encrypted && !security.loopback && !relay.insecure {
            return Err(SmtpError::Clear);
        }
        if let Some(authority) = &relay.authority {
            // A file without a certificate is no error to the parser.
            let first = CertificateDer::pem_slice_iter(authority).next();
            first.and_then(Result::ok).ok_or(SmtpError::Authority)?;
            let authority = Certificate::from_pem(authority).map_err(|_| SmtpError::Authority)?;
            let parameters = TlsParameters::builder(security.host).add_root_certificate(authority);
            let parameters = parameters.build_rustls().map_err(|_| SmtpError::Authority)?;
            transport = match (security.wrapped, security.encrypted) {
                (true, _) => transport.tls(Tls::Wrapper(parameters)),
                (false, true) => transport.tls(Tls::Required(parameters)),
                (false, false) => return Err(SmtpError::Authority),
            };
        }
        let sender = format!("Account server <no-reply@{}>", public_url.host());
        let default = || sender.parse().or_else(|_| "Account server <no-reply@localhost>".parse());
        let from = relay.from.map_or_else(default, Ok).map_err(|_| SmtpError::Url)?;
        let transport = transport.timeout(Some(SMTP_TIMEOUT)).build();
        Ok(Self::Smtp(Box::new(Smtp { transport, from, running: running.clone() })))
    }

    /// Hands over a message. A file has it when this returns; a mail server receives it while the
    /// caller continues.
    pub(crate) async fn send(&self, message: Message) {
        if let Self::Smtp(smtp) = self {
            let mailer = Self::Smtp(smtp.clone());
            drop(smtp.running.spawn(async move { mailer.deliver(message).await }));
        } else {
            // `deliver` logs a failure.
            let _delivered = self.deliver(message).await;
        }
    }

    /// Returns the counter of deliveries that no caller waits for, if mail is sent to a mail
    /// server, which may take long.
    pub(crate) const fn remote(&self) -> Option<&Running> {
        match self {
            Self::Smtp(smtp) => Some(&smtp.running),
            Self::Off | Self::Outbox(_) => None,
        }
    }

    /// Delivers a message: when this returns, the file has it or the mail server has accepted it.
    /// It returns within 20 s, whatever the mail server does.
    ///
    /// # Errors
    /// [`NotDelivered`], which has been logged.
    pub(crate) async fn deliver(&self, message: Message) -> Result<(), NotDelivered> {
        timeout(DELIVERED_WITHIN, self.attempt(message)).await.unwrap_or_else(|_| {
            tracing::error!(kind = "timeout", "a mail was not sent in time");
            Err(NotDelivered)
        })
    }

    /// Delivers the same text to several addresses of one person, within the time that one delivery
    /// takes.
    ///
    /// # Errors
    /// [`NotDelivered`] if no address received it. If some did, the others are logged and dropped,
    /// because a retry would send it again to those that did.
    pub(crate) async fn deliver_to_any(
        &self,
        addresses: &[String],
        subject: &'static str,
        text: &str,
    ) -> Result<(), NotDelivered> {
        let message = |to: &String| Message { to: to.clone(), subject, text: text.to_owned() };
        let mut missed = 0_usize;
        if let Self::Smtp(smtp) = self {
            let deliver = |to| {
                let (mailer, message) = (Self::Smtp(smtp.clone()), message(to));
                smtp.running.spawn(async move { mailer.deliver(message).await })
            };
            let deliveries: Vec<_> = addresses.iter().map(deliver).collect();
            for delivery in deliveries {
                missed = missed.saturating_add(usize::from(!matches!(delivery.await, Ok(Ok(())))));
            }
        } else {
            for to in addresses {
                missed = missed.saturating_add(usize::from(self.deliver(message(to)).await.is_err()));
            }
        }
        match addresses.len() {
            0 => Ok(()),
            all if missed == all => Err(NotDelivered),
            all if missed > 0 => {
                tracing::warn!(missed, all, "a mail has reached some addresses of its recipient, but not all");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn attempt(&self, message: Message) -> Result<(), NotDelivered> {
        match self {
            Self::Off => Ok(()),
            Self::Outbox(path) => {
                let path = path.clone();
                match spawn_blocking(move || append(&path, &message)).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(error)) => tracing::error!(%error, "a mail was not written to the outbox"),
                    Err(_) => tracing::error!("a mail was not written to the outbox"),
                }
                Err(NotDelivered)
            }
            Self::Smtp(smtp) => smtp.deliver(message).await,
        }
    }
}

impl Smtp {
    async fn deliver(&self, message: Message) -> Result<(), NotDelivered> {
        let Some(message) = compose(self.from.clone(), message) else {
            tracing::error!("a mail could not be composed: is the account's address one?");
            return Err(NotDelivered);
        };
        // The mail server's own message may quote the recipient, so only its status is logged.
        if let Err(error) = self.transport.send(message).await {
            let code = error.status().map(|code| code.to_string());
            tracing::error!(kind = kind(&error), code, "a mail was not sent");
            return Err(NotDelivered);
        }
        Ok(())
    }
}

/// A mail server, as the options name it.
pub(crate) struct Relay<'o> {
    pub(crate) url: &'o str,
    /// A certificate authority in PEM, beside those of the web.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) from: Option<Mailbox>,
    /// Whether mail may go in the clear to another machine.
    pub(crate) insecure: bool,
}

/// How a mail server is reached.
struct Security {
    host: String,
    /// Nobody on the way can read the mail, or there is no mail.
    encrypted: bool,
    /// TLS from the first byte.
    wrapped: bool,
    loopback: bool,
}

impl Security {
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let host = uri.host()?.to_owned();
        let wrapped = uri.scheme_str() == Some("smtps");
        let encrypted = wrapped || uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "tls=required"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<std::net::IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback());
        Some(Self { host, encrypted, wrapped, loopback })
    }
}

/// Returns the kind of a failure, for the log.
fn kind(error: &smtp::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_tls() {
        "tls"
    } else if error.is_permanent() {
        "refused for good"
    } else if error.is_transient() {
        "refused for now"
    } else if error.is_client() {
        "the mail server lacks what the mail needs"
    } else if error.is_response() {
        "no valid answer"
    } else {
        "connection"
    }
}

/// Returns subject and text of a mail to an owner whose secret others guess at. `refused` names the
/// login that was refused.
pub(crate) fn shut_out(
    secret: &str,
    name: &str,
    server: &PublicUrl,
    wrong_guesses: u16,
    refused: Option<String>,
    link: &str,
) -> (&'static str, String) {
    let refused = refused.map(|refused| format!(" The last one was refused {refused}.")).unwrap_or_default();
    let text = format!(
        "Somebody is guessing at {secret} of the account {name} on\n{server}\nThere were {wrong_guesses} wrong guesses. \
         Until they end, logins that are not known yet are refused.{refused}\n\nIf you are refused, open this link and \
         let yourself in; it works for a day.\n\n{link}\n\nWhoever has this link can try the password or passphrase ten \
         times, and nothing else: tell it to nobody. Clients that have logged in before go on working, and if yours do, \
         you need not do anything."
    );
    ("Somebody is guessing at your account", text)
}

/// A message was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("a mail was not delivered")]
pub(crate) struct NotDelivered;

/// A mail server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SmtpError {
    #[error("`--smtp` is no SMTP URL; expected `smtps://user:password@host` or `smtp://host?tls=required`")]
    Url,
    #[error(
        "`--smtp` would send mail in the clear to another machine; use `smtps://…` or `smtp://…?tls=required`, or add \
         --insecure"
    )]
    Clear,
    #[error("`--smtp-ca` is no certificate authority in PEM, or `--smtp` uses no TLS")]
    Authority,
}

/// Parses the recipient of a message, which is one bare address.
pub(crate) fn recipient(text: &str) -> Option<Mailbox> {
    text.parse().ok().map(|address| Mailbox::new(None, address))
}

/// `Auto-Submitted: auto-generated` (RFC 3834 § 5): no vacation notice is sent back.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Writes the domain in ASCII, so that only an address with a local part beyond it requires a mail
/// server with SMTPUTF8.
fn in_ascii(mailbox: Mailbox) -> Option<Mailbox> {
    let domain = idna::domain_to_ascii(mailbox.email.domain());
    // An address in brackets is no name.
    let Ok(domain) = domain else { return Some(mailbox) };
    let email = Address::new(mailbox.email.user(), domain).ok()?;
    Some(Mailbox::new(mailbox.name, email))
}

fn compose(from: Mailbox, message: Message) -> Option<lettre::Message> {
    let (from, to) = (in_ascii(from)?, in_ascii(recipient(&message.to)?)?);
    let id = hex::encode(random_bytes::<16>(&SystemEntropy).ok()?);
    let id = format!("<{id}@{}>", from.email.domain());
    // `Date` is added if it is absent.
    let builder = lettre::Message::builder().message_id(Some(id)).header(AutoSubmitted);
    let builder = builder.from(from).to(to).subject(message.subject);
    builder.singlepart(SinglePart::plain(message.text)).ok()
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // The mails will contain codes.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// One message is one append: `To:` and `Subject:`, an empty line, the text, an empty line.
fn append(path: &Path, message: &Message) -> io::Result<()> {
    let Message { to, subject, text } = message;
    open(path)?.write_all(format!("To: {to}\nSubject: {subject}\n\n{}\n\n", text.trim_end()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(url: &str) -> Relay<'_> {
        Relay { url, authority: None, from: None, insecure: false }
    }

    fn message(text: &str) -> Message {
        Message { to: "alice@example.org".to_owned(), subject: "Hello", text: text.to_owned() }
    }

    #[tokio::test]
    async fn the_outbox_keeps_every_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.txt");
        let mailer = Mailer::outbox(path.clone()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        mailer.send(message("Grüße,\nBob\n")).await;
        mailer.send(message("again")).await;
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "To: alice@example.org\nSubject: Hello\n\nGrüße,\nBob\n\n\
                        To: alice@example.org\nSubject: Hello\n\nagain\n\n";
        assert_eq!(text, expected);
        assert!(Mailer::outbox(folder.path().join("absent").join("outbox")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_mail_server_that_says_nothing_is_given_up() {
        // It accepts the connection, through its backlog, and does nothing more.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", silent.local_addr().unwrap());
        let mailer = Mailer::smtp(relay(&url), &"https://example.org".parse().unwrap(), &Running::default()).unwrap();
        let begun = tokio::time::Instant::now();
        assert!(mailer.deliver(message("Grüße")).await.is_err());
        assert!(begun.elapsed() <= DELIVERED_WITHIN.saturating_add(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn smtp_urls() {
        let (public, running): (PublicUrl, _) = ("https://example.org".parse().unwrap(), Running::default());
        let Ok(Mailer::Smtp(smtp)) = Mailer::smtp(relay("smtps://u:p@mail.example.org"), &public, &running) else {
            panic!("a good URL")
        };
        assert_eq!(smtp.from.email.to_string(), "no-reply@example.org");
        let error =
            Mailer::smtp(relay("https://u:sesame@mail.example.org"), &public, &running).map(|_| ()).unwrap_err();
        assert!(!error.to_string().contains("sesame"));
        for (url, insecure, accepted) in [
            ("smtp://mail.example.org", false, false),
            ("smtp://mail.example.org?tls=opportunistic", false, false),
            ("smtp://192.0.2.1:25", false, false),
            ("smtp://mail.example.org", true, true),
            ("smtp://mail.example.org?tls=required", false, true),
            ("smtp://localhost", false, true),
            ("smtp://127.0.0.2:25", false, true),
            ("smtp://[::1]:25", false, true),
        ] {
            let relay = Relay { insecure, ..relay(url) };
            assert_eq!(Mailer::smtp(relay, &public, &running).is_ok(), accepted, "{url} {insecure}");
        }
        let authority = Some(b"nothing".to_vec());
        let relay = Relay { authority, ..relay("smtps://mail.example.org") };
        assert!(matches!(Mailer::smtp(relay, &public, &running), Err(SmtpError::Authority)));
    }

    #[test]
    fn a_mail_has_the_headers_that_large_providers_require() {
        let from: Mailbox = "Accounts <accounts@bücher.example>".parse().unwrap();
        let mut to = message("Grüße");
        to.to = "käthe@köln.example".to_owned();
        let mail = compose(from.clone(), to).unwrap();
        assert_eq!(mail.envelope().to()[0].to_string(), "käthe@xn--kln-sna.example");
        assert_eq!(mail.envelope().from().unwrap().to_string(), "accounts@xn--bcher-kva.example");
        let text = String::from_utf8(compose(from, message("Grüße")).unwrap().formatted()).unwrap();
        for line in [
            "To: alice@example.org",
            "From: Accounts <accounts@xn--bcher-kva.example>",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
        assert!(id.len() == 56 && id.ends_with("@xn--bcher-kva.example>"), "{id}");
        assert!(text.contains("\nDate: "), "{text}");
    }
}
