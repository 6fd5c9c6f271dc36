//! A small HTTP/1.1 client over any stream. It sends whatever a test gives it, valid or not.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::program::Server;

pub(crate) const BASE: &str = "/index.php/apps/passwords/api/1.0/";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Reads an answer to the end of the stream.
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        // A server that refuses a body closes without reading it: what came before the reset is the answer.
        let _cut = stream.read_to_end(&mut bytes);
        Self::parse(&String::from_utf8(bytes).unwrap())
    }

    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The error body of the Nextcloud protocol.
    pub(crate) fn is_refusal(&self, status: u16, id: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.contains(&format!("\"id\":\"{id}\"")), "{self:?}");
    }
}

/// Sends bytes, and reads the answer.
pub(crate) fn raw(server: &Server, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // The server may have answered and closed before all is written.
    let _cut = stream.write_all(bytes);
    Answer::read(&mut stream)
}

/// A request's text, with the lines that every one has.
pub(crate) fn text(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}{length}\r\n{body}")
}

pub(crate) fn get(server: &Server, path: &str) -> Answer {
    raw(server, text("GET", path, "", "").as_bytes())
}

/// A Nextcloud client with a login, and the session of its last answer.
pub(crate) struct Client<'s> {
    server: &'s Server,
    login: String,
    session: Option<String>,
}

impl<'s> Client<'s> {
    pub(crate) fn new(server: &'s Server, name: &str, password: &str) -> Self {
        Self { server, login: STANDARD.encode(format!("{name}:{password}")), session: None }
    }

    pub(crate) fn headers(&self) -> String {
        let session = self.session.as_ref().map(|id| format!("x-api-session: {id}\r\n")).unwrap_or_default();
        format!("authorization: Basic {}\r\n{session}", self.login)
    }

    pub(crate) fn get(&mut self, endpoint: &str) -> Answer {
        self.call("GET", endpoint, "")
    }

    pub(crate) fn post(&mut self, endpoint: &str, body: &str) -> Answer {
        self.call("POST", endpoint, body)
    }

    pub(crate) fn call(&mut self, method: &str, endpoint: &str, body: &str) -> Answer {
        let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let headers = format!("{}{json}", self.headers());
        let answer = raw(self.server, text(method, &format!("{BASE}{endpoint}"), &headers, body).as_bytes());
        if let Some(session) = answer.header("x-api-session") {
            self.session = Some(session.to_owned());
        }
        answer
    }

    /// Sets the first challenge: fixed salts, and a secret of one digit over and over.
    pub(crate) fn set_challenge(&mut self, digit: &str) -> Answer {
        let salts = [256, 64, 16].map(|bytes| format!("\"{}\"", "5a".repeat(bytes))).join(",");
        let secret = digit.repeat(64);
        self.post("account/challenge/set", &format!("{{\"secret\":\"{secret}\",\"data\":[{salts}]}}"))
    }

    /// Opens a session with such a secret.
    pub(crate) fn open(&mut self, digit: &str) -> Answer {
        self.post("session/open", &format!("{{\"challenge\":\"{}\"}}", digit.repeat(64)))
    }
}
