//! A hang-up, and an end in the middle of requests.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::scene::{connect, folder, request, start};

use keywright_testing::process::{Folder, Server};

fn certificate(folder: &Folder) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("tls.crt", &made.cert.pem());
    folder.write("tls.key", &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// Whether a client that trusts only this certificate is answered.
fn accepts(server: &Server, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, connect(server));
    stream.write_all(request("GET", "/health", "", "").as_bytes()).is_ok()
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_hang_up_reads_the_certificate_again_and_keeps_the_old_one_if_it_is_bad() {
    let folder = folder();
    let first = certificate(&folder);
    let server = start(&folder, &["--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    assert!(accepts(&server, &first));
    let second = certificate(&folder);
    server.signal("HUP");
    until("the new certificate", || accepts(&server, &second));
    assert!(!accepts(&server, &first));
    folder.write("tls.crt", "nothing");
    server.signal("HUP");
    until("the log", || server.log().contains("the certificate was not read again; the old one is used"));
    assert!(accepts(&server, &second));
    server.stop();
}

#[test]
fn a_hang_up_without_a_certificate_changes_nothing() {
    let folder = folder();
    let server = start(&folder, &[]);
    server.signal("HUP");
    until("the log", || server.log().contains("there is no certificate file to read again"));
    server.stop();
}

#[test]
fn an_end_comes_within_ten_seconds_and_says_what_it_cut_off() {
    let folder = folder();
    let server = start(&folder, &[]);
    let head = request("POST", "/api/auth/register", "content-type: application/json\r\n", "xx");
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(head.trim_end_matches('x').replace("length: 2", "length: 9").as_bytes()).unwrap();
            stream
        })
        .collect();
    let _silent = connect(&server);
    until("the requests", || crate::scene::timed(&server, &request("GET", "/health", "", "")).0 == 200);
    let begun = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let log = folder.read("log.txt");
    assert!(log.contains("connections were cut off in the middle of a request cut_off=3"), "{log}");
    drop(stuck);
}
