//! HTTP: one blocking call, its answer, and refusals in the protocol's form.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use keywright_core::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use crate::error::ClientError;

/// The time limit for a whole call, which is the stock client's (protocol § 4).
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// The largest answer, in bytes. It has room for 100,000 ciphers of 400 bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// The method of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Post,
    Patch,
    Delete,
}

/// A server's address, and the HTTP client that reaches it.
#[derive(Clone)]
pub(crate) struct Http {
    agent: Agent,
    base: String,
}

impl Http {
    /// Creates a client. `certificates` is a PEM file to trust instead of the public authorities.
    pub(crate) fn new(base: &str, certificates: Option<&Path>) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        if !is_private(&base) {
            return Err(ClientError::Address);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The protocol redirects only browsers, and the token must not be sent anywhere else.
            .max_redirects(0)
            .timeout_global(Some(CALL_WITHIN));
        if let Some(path) = certificates {
            let roots = read_certificates(path).map_err(ClientError::Certificates)?;
            config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build());
        }
        Ok(Self { agent: config.build().into(), base })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a `GET` with parameters.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ClientError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let sent = request.query_pairs(query.iter().copied()).header(header::ACCEPT, "application/json").call();
        read(sent)
    }

    /// Sends a call with a body of JSON. It may contain keys, so it is wiped.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        token: Option<&SecretString>,
        body: &Zeroizing<Vec<u8>>,
    ) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = match verb {
            Verb::Post => self.agent.post(url),
            Verb::Patch => self.agent.patch(url),
            Verb::Delete => self.agent.delete(url).force_send_body(),
        };
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        read(request.content_type("application/json; charset=utf-8").send(body.as_slice()))
    }
}

/// Serialises the body of a call.
pub(crate) fn body(of: &impl serde::Serialize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    serde_json::to_vec(of).map(Zeroizing::new).map_err(ClientError::answer)
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    message: Option<String>,
}

fn read<T: DeserializeOwned>(sent: Result<Response<ureq::Body>, ureq::Error>) -> Result<T, ClientError> {
    let mut answer = sent.map_err(|error| ClientError::Transport(Box::new(error)))?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let text = Zeroizing::new(text.map_err(|error| ClientError::Transport(Box::new(error)))?);
    if status < 400 {
        return serde_json::from_slice(&text).map_err(ClientError::answer);
    }
    let refusal: Refusal = serde_json::from_slice(&text).map_err(ClientError::answer)?;
    // A terminal obeys control characters.
    let printable = |text: String| text.replace(char::is_control, " ");
    let (code, message) = (printable(refusal.error), refusal.message.map(printable));
    Err(ClientError::Refused { status, code, message, retry_after })
}

/// Whether nobody on the network can read along. Many bodies contain a proof of the password.
fn is_private(base: &str) -> bool {
    let Ok(uri) = base.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority().filter(|authority| !authority.as_str().contains('@')) else { return false };
    if uri.query().is_some() || base.contains('#') {
        return false;
    }
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    }
}

fn read_certificates(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let text = fs::read(path)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(io::Error::other)? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        Err(io::Error::other("there is no certificate in the file"))
    } else {
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_travel_in_clear() {
        for good in ["https://pass.example", "https://pass.example/below/", "http://localhost:8080", "http://127.0.0.1"]
        {
            assert!(Http::new(good, None).is_ok(), "{good}");
        }
        assert!(Http::new("http://[::1]:8080", None).is_ok() && Http::new("http://[::1]", None).is_ok());
        for bad in
            ["", "pass.example", "http://pass.example", "ftp://localhost", "http://localhost.example:80", "http://"]
        {
            assert!(matches!(Http::new(bad, None), Err(ClientError::Address)), "{bad}");
        }
        // The part that looks like this machine's name is a user name there.
        assert!(matches!(Http::new("http://localhost:1@pass.example", None), Err(ClientError::Address)));
    }

    #[test]
    fn certificates_come_from_a_file_with_at_least_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(matches!(Http::new("https://a", Some(&path)), Err(ClientError::Certificates(_))));
        fs::write(&path, "none").unwrap();
        assert!(matches!(Http::new("https://a", Some(&path)), Err(ClientError::Certificates(_))));
    }
}
