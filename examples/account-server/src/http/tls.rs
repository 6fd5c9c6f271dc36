//! TLS on `ring`, with a certificate from files or one made for this run.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// A certificate made for this run.
pub(crate) struct SelfSigned {
    pub(crate) config: RustlsConfig,
    /// SHA-256 of the certificate as 32 pairs of hex digits, for a client to compare.
    pub(crate) fingerprint: String,
}

/// # Errors
/// A [`TlsError`] if the certificate or its key cannot be used.
pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<RustlsConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| TlsError::Key)?;
    config(chain, key)
}

/// Makes a certificate for this machine's own names and the address that the server listens on.
///
/// # Errors
/// A [`TlsError`] if the certificate or its key cannot be used.
pub(crate) fn self_signed(listening: IpAddr) -> Result<SelfSigned, TlsError> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let address = listening.to_string();
    if !listening.is_unspecified() && !names.contains(&address) {
        names.push(address);
    }
    let made = rcgen::generate_simple_self_signed(names).map_err(|_| TlsError::SelfSigned)?;
    let certificate = made.cert.der().clone();
    let fingerprint = Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|_| TlsError::SelfSigned)?;
    Ok(SelfSigned { config: config(vec![certificate], key)?, fingerprint: fingerprint.join(":") })
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<RustlsConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the file of `--tls-cert` cannot be read as certificates in PEM")]
    Certificate,
    #[error("the file of `--tls-key` cannot be read as a private key in PEM")]
    Key,
    #[error("a certificate could not be made")]
    SelfSigned,
    #[error("certificate and key cannot be used")]
    Config(#[from] rustls::Error),
}
