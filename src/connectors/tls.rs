//! TLS by `sslmode`, as PostgreSQL's own clients understand it: `prefer` and `require` encrypt,
//! `verify-ca` also asks who signed the server's certificate, `verify-full` also for whom.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::server::ParsedCertificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject as _;

use crate::error::Error;
use crate::error::Result;
use crate::source::ServerAddress;
use crate::source::SslMode;

pub(super) fn config(address: &ServerAddress) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let signed = |accept_any_name| -> Result<Trust> {
        let (roots, trusted) = roots(address.sslrootcert.as_deref())?;
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| Error::invalid(format!("`sslrootcert`: {error}")))?;
        Ok(Trust::Signed {
            chain,
            trusted,
            accept_any_name,
        })
    };
    let trust = match address.sslmode {
        SslMode::VerifyFull => signed(false)?,
        SslMode::VerifyCa => signed(true)?,
        // Whoever names certificates to trust means them.
        SslMode::Require if address.sslrootcert.is_some() => signed(true)?,
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Trust::Any,
    };
    let verifier = Arc::new(Verifier {
        provider: provider.clone(),
        trust,
    });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// The certificates of a file, also as they are, or the system's.
fn roots(file: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok((roots, Vec::new()));
    };
    let wrong =
        |error: String| Error::invalid(format!("cannot use `sslrootcert` {}: {error}", path.display()));
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut trusted = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate.clone())
            .map_err(|error| wrong(error.to_string()))?;
        trusted.push(certificate);
    }
    match trusted.is_empty() {
        true => Err(wrong("it holds no certificate in PEM form".to_owned())),
        false => Ok((roots, trusted)),
    }
}

/// Asks a server's certificate as much as `sslmode` says.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    /// Encryption without a question.
    Any,
    /// A certificate that somebody trusted has signed, or that is trusted itself: a server's own,
    /// signed by nobody else, is what many have.
    Signed {
        chain: Arc<WebPkiServerVerifier>,
        trusted: Vec<CertificateDer<'static>>,
        /// It may be of another host.
        accept_any_name: bool,
    },
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Trust::Signed {
            chain,
            trusted,
            accept_any_name,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = match trusted.contains(certificate) {
            true => verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
                .map(|()| ServerCertVerified::assertion()),
            false => chain.verify_server_cert(certificate, others, name, ocsp, now),
        };
        // The name is looked at last: when it alone is wrong, the rest is right.
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if *accept_any_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
