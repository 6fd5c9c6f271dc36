//! Mail is appended to a text file, sent by SMTP, or not sent at all.
//!
//! Failed deliveries are logged. Most of them delay or undo nothing. Where a protocol requires that
//! a notice is sent first, the caller waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::options::PublicUrl;
use crate::running::Running;

/// How long a whole delivery may take. Due work is claimed for no longer, and a caller may be
/// waiting.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// How long a mail server may take for one step of the dialogue.
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);

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

    /// Sends mail by SMTP, from an address at the host of `public_url`. Deliveries that no caller
    /// waits for are counted in `running`.
    ///
    /// # Errors
    /// A [`SmtpUrlError`] if the URL cannot be used. It does not quote the URL, which may contain a
    /// password.
    pub(crate) fn smtp(url: &str, public_url: &PublicUrl, running: &Running) -> Result<Self, SmtpUrlError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| SmtpUrlError)?;
        let sender = format!("Account server <no-reply@{}>", public_url.host());
        let from = sender.parse().or_else(|_| "Account server <no-reply@localhost>".parse());
        let transport = transport.timeout(Some(SMTP_TIMEOUT)).build();
        let from = from.map_err(|_| SmtpUrlError)?;
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
    /// It returns within half a minute, whatever the mail server does.
    ///
    /// # Errors
    /// [`NotDelivered`], which has been logged.
    pub(crate) async fn deliver(&self, message: Message) -> Result<(), NotDelivered> {
        timeout(DELIVERED_WITHIN, self.attempt(message)).await.unwrap_or_else(|_| {
            tracing::error!("a mail was not sent in time");
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
            tracing::error!(code, timeout = error.is_timeout(), "a mail was not sent");
            return Err(NotDelivered);
        }
        Ok(())
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

/// The URL of a mail server cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`--smtp` is no SMTP URL; expected `smtps://user:password@host` or `smtp://host?tls=required`")]
pub(crate) struct SmtpUrlError;

/// Parses the recipient of a message, which is one bare address.
pub(crate) fn recipient(text: &str) -> Option<Mailbox> {
    text.parse().ok().map(|address| Mailbox::new(None, address))
}

fn compose(from: Mailbox, message: Message) -> Option<lettre::Message> {
    let to = recipient(&message.to)?;
    let builder = lettre::Message::builder().from(from).to(to).subject(message.subject);
    builder.header(ContentType::TEXT_PLAIN).body(message.text).ok()
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
        let mailer = Mailer::smtp(&url, &"https://example.org".parse().unwrap(), &Running::default()).unwrap();
        let begun = tokio::time::Instant::now();
        assert!(mailer.deliver(message("Grüße")).await.is_err());
        assert!(begun.elapsed() <= DELIVERED_WITHIN.saturating_add(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn smtp_urls() {
        let (public, running): (PublicUrl, _) = ("https://example.org".parse().unwrap(), Running::default());
        let Ok(Mailer::Smtp(smtp)) = Mailer::smtp("smtps://u:p@mail.example.org", &public, &running) else {
            panic!("a good URL")
        };
        assert_eq!(smtp.from.email.to_string(), "no-reply@example.org");
        let error = Mailer::smtp("https://u:sesame@mail.example.org", &public, &running).map(|_| ()).unwrap_err();
        assert!(!error.to_string().contains("sesame"));
        let mail = compose(smtp.from, message("Grüße")).unwrap();
        assert!(String::from_utf8(mail.formatted()).unwrap().contains("To: alice@example.org"));
    }
}
