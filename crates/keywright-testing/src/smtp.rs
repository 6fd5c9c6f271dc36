//! A mail server (RFC 5321) that behaves, or misbehaves, as a test requires.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What the mail server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// It takes every mail, and has no extensions.
    Accept,
    /// It takes every mail, also from and to addresses beyond ASCII (RFC 6531).
    AcceptUtf8,
    /// It refuses every recipient for good.
    RefuseForGood,
    /// It refuses every recipient for now.
    RefuseForNow,
    /// It accepts connections, and says nothing.
    Hang,
    /// It hangs once it has the mail.
    HangWithMail,
    /// It disconnects once it has the mail.
    Drop,
}

/// A mail server on a free port. It ends with the test.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    mails: Receiver<String>,
}

impl MailServer {
    /// Starts a mail server without TLS.
    #[must_use]
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_over(behaviour, |stream| stream)
    }

    /// Starts a mail server on what `over` makes of a connection: TLS, for example.
    #[must_use]
    pub fn start_over<S: Read + Write>(
        behaviour: Behaviour,
        over: impl Fn(TcpStream) -> S + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = channel();
        let behaviour = Arc::new(Mutex::new(behaviour));
        let behaves = Arc::clone(&behaviour);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, behaves, over) = (sender.clone(), Arc::clone(&behaves), over.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let behaviour = *behaves.lock().unwrap_or_else(PoisonError::into_inner);
                    if behaviour == Behaviour::Hang {
                        return hang(&stream);
                    }
                    let kept = stream.try_clone().unwrap();
                    // A client that breaks off ends its own connection only.
                    let _broken = converse(BufReader::new(over(stream)), behaviour, &sender, &kept);
                });
            }
        });
        Self { address, behaviour, mails }
    }

    /// Returns its address: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets what it does on connections from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Returns the next mail that it has received, accepted or not: the lines of the envelope, and the
    /// message.
    #[must_use]
    pub fn next(&self, within: Duration) -> Option<String> {
        self.mails.recv_timeout(within).ok()
    }
}

/// Waits until the client has disconnected.
fn hang(mut stream: &TcpStream) {
    let _gone = std::io::copy(&mut stream, &mut std::io::sink());
}

fn converse<S: Read + Write>(
    mut stream: BufReader<S>,
    behaviour: Behaviour,
    mails: &Sender<String>,
    connection: &TcpStream,
) -> std::io::Result<()> {
    let mut envelope = String::new();
    answer(&mut stream, "220 test")?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        if matches!(command.as_str(), "MAIL" | "RCPT") {
            envelope.push_str(&line.replace("\r\n", "\n"));
        }
        let text = match (command.as_str(), behaviour) {
            ("EHLO", Behaviour::AcceptUtf8) => "250-test\r\n250-8BITMIME\r\n250 SMTPUTF8",
            ("RCPT", Behaviour::RefuseForGood) => "550 nobody here",
            ("RCPT", Behaviour::RefuseForNow) => "450 not now",
            ("QUIT", _) => return answer(&mut stream, "221 bye"),
            ("DATA", _) => {
                answer(&mut stream, "354 go on")?;
                let mail = std::mem::take(&mut envelope);
                if mails.send(message(&mut stream, mail)?).is_err() || behaviour == Behaviour::Drop {
                    return Ok(());
                }
                if behaviour == Behaviour::HangWithMail {
                    hang(connection);
                    return Ok(());
                }
                "250 taken"
            }
            _ => "250 fine",
        };
        answer(&mut stream, text)?;
    }
}

fn message(stream: &mut impl BufRead, mut mail: String) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line == ".\r\n" {
            return Ok(mail);
        }
        mail.push_str(&line.replace("\r\n", "\n"));
    }
}

fn answer(stream: &mut BufReader<impl Read + Write>, text: &str) -> std::io::Result<()> {
    let stream = stream.get_mut();
    write!(stream, "{text}\r\n")?;
    stream.flush()
}
