//! TLS: whom we trust, who we are, and what went wrong.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) use rustls::Error as TlsError;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
};
use ureq::Error;

use super::crypto_provider;
use super::stream::Stream;
use super::trust::{ClientCertificate, Tls};
use super::verifier::Verifier;

/// TLS sessions that are remembered: rustls keeps eight of a server at most, and as many
/// servers as that many fit. Each holds a ticket and the server's certificates.
const MAX_SESSIONS: usize = 4 * 8;

/// For how long sessions are resumed. The certificate of a resumed one is not looked at: it
/// may have expired or been replaced meanwhile.
const SESSIONS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

/// The most bytes of a handshake, and then before each part of the answer: certificates fill
/// 3 to 12 KiB, tickets some hundred bytes each, a record of an answer 16 KiB.
const MAX_SILENT: usize = 32 * 1024;

/// Why the `[tls]` section cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WebError {
    /// The CA file holds no certificate in PEM form.
    NoCertificate,
    /// A certificate of the CA file is damaged, counted from 1.
    BadCertificate(usize),
    /// The client certificate holds no certificate in PEM form, or a damaged one.
    BadClientCertificate,
    /// The key is none, damaged, or that of another certificate.
    BadClientKey,
    /// Neither built-in roots nor a CA file.
    NoRoots,
    /// TLS cannot be set up at all, for this reason.
    Tls(String),
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => {
                f.write_str("ca_file holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
            }
            Self::BadCertificate(number) => write!(f, "certificate {number} of ca_file is damaged"),
            Self::BadClientCertificate => f.write_str(
                "client_cert holds no certificate in PEM form (-----BEGIN CERTIFICATE-----), or a damaged one",
            ),
            Self::BadClientKey => {
                f.write_str("client_key is no private key in PEM form, or not that of client_cert's first certificate")
            }
            Self::NoRoots => f.write_str("builtin_roots = false needs a ca_file"),
            Self::Tls(why) => write!(f, "TLS cannot be set up: {why}"),
        }
    }
}

impl std::error::Error for WebError {}

/// How TLS servers are checked, and what they may ask of us.
#[derive(Clone)]
pub(super) struct Trust(Arc<Mutex<Sessions>>);

/// The sessions of a day.
struct Sessions {
    since: Instant,
    config: Arc<ClientConfig>,
}

impl Sessions {
    fn new(mut config: ClientConfig, since: Instant) -> Self {
        config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
        Self { since, config: Arc::new(config) }
    }

    /// What to connect with.
    fn config(&mut self, now: Instant) -> Arc<ClientConfig> {
        if now.saturating_duration_since(self.since) >= SESSIONS_LAST {
            *self = Self::new(ClientConfig::clone(&self.config), now);
        }
        Arc::clone(&self.config)
    }
}

impl Trust {
    /// As the configuration says.
    pub(super) fn new(tls: &Tls) -> Result<Self, WebError> {
        let provider = Arc::new(crypto_provider::provider());
        let system_roots = tls.system_roots && tls.builtin_roots;
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Verifier { roots: roots(tls)?, system_roots, algorithms };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| WebError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let (certificates, key) = identity(client)?;
                builder.with_client_auth_cert(certificates, key).map_err(|_| WebError::BadClientKey)?
            }
        };
        Ok(Self(Arc::new(Mutex::new(Sessions::new(config, Instant::now())))))
    }

    /// Speaks TLS over `stream` to `host`.
    pub(super) fn secure(&self, stream: Box<dyn Stream>, host: &str) -> Result<Box<dyn Stream>, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls("not a host name"))?;
        let config = self.0.lock().unwrap_or_else(PoisonError::into_inner).config(Instant::now());
        let mut connection =
            ClientConnection::new(config, name).map_err(|error| Error::Other(Box::new(error)))?;
        let mut stream = Below { stream, left: MAX_SILENT };
        connection.complete_io(&mut stream)?;
        stream.left = MAX_SILENT;
        Ok(Box::new(Secured(StreamOwned::new(connection, stream))))
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(client: &ClientCertificate) -> Result<Identity, WebError> {
    let certificates = CertificateDer::pem_slice_iter(client.certificate.as_bytes());
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|_| WebError::BadClientCertificate)?;
    if certificates.is_empty() {
        return Err(WebError::BadClientCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(client.key.reveal().as_bytes());
    Ok((certificates, key.map_err(|_| WebError::BadClientKey)?))
}

/// One store for Mozilla's roots and the user's.
fn roots(tls: &Tls) -> Result<RootCertStore, WebError> {
    let mut roots = RootCertStore::empty();
    if tls.builtin_roots {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = &tls.extra_roots {
        let before = roots.len();
        for (certificate, number) in CertificateDer::pem_slice_iter(pem.as_bytes()).zip(1..) {
            let certificate = certificate.map_err(|_| WebError::BadCertificate(number))?;
            roots.add(certificate).map_err(|_| WebError::BadCertificate(number))?;
        }
        if roots.len() == before {
            return Err(WebError::NoCertificate);
        }
    }
    if roots.is_empty() { Err(WebError::NoRoots) } else { Ok(roots) }
}

/// What TLS is spoken over. rustls keeps certificates and tickets as long as a session, and
/// bounds them at 64 KiB each.
struct Below {
    stream: Box<dyn Stream>,
    /// How much may come until a part of the answer does.
    left: usize,
}

impl Read for Below {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("more than 32 KiB came without a part of an answer"));
        }
        let end = bytes.len().min(self.left);
        let read = self.stream.read(bytes.get_mut(..end).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection over TLS.
struct Secured(StreamOwned<ClientConnection, Below>);

impl Read for Secured {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(bytes)?;
        self.0.sock.left = MAX_SILENT;
        Ok(read)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Secured {
    fn set_deadline(&mut self, until: Instant) {
        self.0.sock.stream.set_deadline(until);
    }

    fn is_open(&mut self) -> bool {
        self.0.sock.stream.is_open()
    }
}

/// What went wrong with TLS, if it was that.
pub(super) fn explain_io(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref().map(explain)
}

/// What went wrong, in words for the log.
pub(super) fn explain(error: &TlsError) -> String {
    let what = match error {
        TlsError::InvalidCertificate(error) => return explain_certificate(error),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a client certificate; set client_cert and client_key in [tls]"
        }
        TlsError::AlertReceived(alert) => return format!("it refused our TLS connection ({alert:?})"),
        TlsError::PeerIncompatible(_) => "it offers neither TLS 1.2 nor 1.3 with a cipher that we know",
        TlsError::InvalidMessage(_) => "it does not speak TLS on this port",
        TlsError::NoCertificatesPresented => "it shows no certificate",
        _ => "the TLS connection failed",
    };
    what.to_owned()
}

fn explain_certificate(error: &CertificateError) -> String {
    let what = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not yet valid: check this machine's clock"
        }
        CertificateError::UnknownIssuer => {
            "its certificate comes from an unknown issuer; for a CA of your own set ca_file in [tls]"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Revoked => "its certificate has been revoked",
        CertificateError::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of a CA; it needs one of its own, with CA:FALSE"
        }
        CertificateError::BadSignature => {
            "its certificate is not signed by the CA that it names; is ca_file that CA's latest?"
        }
        _ => "its certificate is not valid",
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(extra_roots: Option<&str>, builtin_roots: bool) -> Result<(), WebError> {
        let extra_roots = extra_roots.map(str::to_owned);
        Trust::new(&Tls { extra_roots, builtin_roots, ..Tls::default() }).map(drop)
    }

    #[test]
    fn sessions_are_forgotten_after_a_day() {
        let began = Instant::now();
        let Trust(sessions) = Trust::new(&Tls::default()).unwrap();
        let mut sessions = Arc::into_inner(sessions).unwrap().into_inner().unwrap();
        let first = sessions.config(began);
        let at = |hours: u64| began + Duration::from_secs(hours * 3600 + 60);
        assert!(Arc::ptr_eq(&first, &sessions.config(at(23))));
        let second = sessions.config(at(24));
        assert!(!Arc::ptr_eq(&first, &second), "their store goes with the last connection");
        assert!(Arc::ptr_eq(&second, &sessions.config(at(47))));
        assert!(!Arc::ptr_eq(&second, &sessions.config(at(49))));
    }

    #[test]
    fn the_tls_section_is_checked() {
        assert_eq!(trust(None, true), Ok(()));
        assert_eq!(trust(None, false), Err(WebError::NoRoots));
        assert_eq!(trust(Some("not a certificate"), true), Err(WebError::NoCertificate));
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(trust(Some(damaged), true), Err(WebError::BadCertificate(1)));
    }
}
