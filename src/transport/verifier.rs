//! Checks the certificates of servers: by the roots of the configuration, then by
//! those of the system where the configuration allows it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::system_roots;

#[derive(Debug)]
pub(super) struct Verifier {
    known: Arc<WebPkiServerVerifier>,
    /// What the system's roots are used with, if they are.
    system: Option<Arc<CryptoProvider>>,
}

impl Verifier {
    /// With these roots, and those of the system if `system_roots`.
    pub(super) fn new(
        roots: RootCertStore,
        system_roots: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::client::VerifierBuilderError> {
        let known =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()?;
        Ok(Self { known, system: system_roots.then(|| Arc::clone(provider)) })
    }

    fn by_system_roots(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let provider = Arc::clone(self.system.as_ref()?);
        WebPkiServerVerifier::builder_with_provider(Arc::new(system_roots::read()), provider).build().ok()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |by: &WebPkiServerVerifier| by.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verify(&self.known) {
            Err(unknown @ Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                self.by_system_roots().map_or(Err(unknown), |by| verify(&by))
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_verify_schemes()
    }
}
