//! TLS, with a certificate from files and with one made at the start.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Answer, get, text};
use crate::program::{Server, new_folder};

/// Sends a request over TLS, trusting one certificate, and reads the answer.
pub(crate) fn over_tls(server: &Server, certificate: &CertificateDer<'static>, request: &str) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server.address()).unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    Answer::read(&mut stream)
}

#[test]
fn with_a_certificate_from_files() {
    let folder = new_folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("tls.crt", &made.cert.pem());
    folder.write("tls.key", &made.signing_key.serialize_pem());
    let server = folder.start(&["--store", "memory:", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let health = over_tls(&server, made.cert.der(), &text("GET", "/health", "", ""));
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    server.stop();

    folder.write("empty", "");
    for (certificate, key, said) in
        [("empty", "tls.key", "--tls-cert"), ("tls.crt", "absent", "--tls-key"), ("tls.crt", "tls.crt", "--tls-key")]
    {
        let complaint = folder.refuse(&["--store", "memory:", "--tls-cert", certificate, "--tls-key", key]);
        assert!(complaint.contains(said), "{complaint}");
    }
}

#[test]
fn with_a_certificate_of_its_own() {
    let folder = new_folder();
    let server = folder.start(&["--store", "memory:", "--tls-self-signed"]);
    let line = server.printed.lines().next().unwrap();
    let fingerprint = line.strip_prefix("certificate SHA-256: ").unwrap();
    assert_eq!(fingerprint.split(':').count(), 32);
    let curl = ["--insecure", "--silent", "--show-error", &format!("{}/health", server.url)].map(str::to_owned);
    let run = Command::new("curl").args(curl).output().unwrap_or_else(|_| panic!("curl is missing: install it"));
    assert_eq!(String::from_utf8(run.stdout).unwrap(), "ok\n");
    server.stop();
}

#[test]
fn plain_http_on_a_tls_port_is_no_answer_and_no_harm() {
    let folder = new_folder();
    let server = folder.start(&["--store", "memory:", "--tls-self-signed"]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(text("GET", "/health", "", "").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _cut = std::io::Read::read_to_end(&mut stream, &mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    server.stop();

    let plain = folder.start(&["--store", "memory:"]);
    assert_eq!(get(&plain, "/health").status, 200);
    plain.stop();
}
