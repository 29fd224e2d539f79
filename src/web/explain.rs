//! What went wrong with an exchange, in words for the log.
//!
//! No part of a URL but its host appears here, and no text that a server wrote.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};
use ureq::Error;

/// A half sentence that follows the host's name.
pub(super) fn explain(error: &Error, timeout: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("no complete answer within {} s", timeout.as_secs_f64()),
        Error::HostNotFound => {
            "its address could not be found; check the name and this machine's DNS".to_owned()
        }
        Error::Io(error) => explain_io(error),
        Error::Rustls(error) => explain_tls(error),
        Error::Tls(_) => "TLS needs a host name that can stand in a certificate".to_owned(),
        // Our own words, see tunnel.rs.
        Error::ConnectProxyFailed(why) => format!("the proxy {why}"),
        Error::LargeResponseHeader(..) => "the head of its answer is too long".to_owned(),
        Error::BadUri(_) | Error::Http(_) => "the URL or a header is not valid".to_owned(),
        Error::Protocol(_) => "its answer is not proper HTTP".to_owned(),
        _ => "the exchange failed".to_owned(),
    }
}

fn explain_io(error: &io::Error) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return explain_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "it broke the connection off".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "it closed the connection before its answer was complete".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            format!("not reachable from here ({})", error.kind())
        }
        io::ErrorKind::AddrNotAvailable => {
            "it, or this machine, has no address of the family that it is asked over".to_owned()
        }
        // The system's words, or std's; neither knows our URL.
        _ => format!("the connection failed ({error})"),
    }
}

fn explain_tls(error: &rustls::Error) -> String {
    let what = match error {
        rustls::Error::InvalidCertificate(error) => return explain_certificate(error),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a client certificate; set client_cert and client_key in [tls]"
        }
        rustls::Error::AlertReceived(alert) => return format!("it refused our TLS connection ({alert:?})"),
        rustls::Error::PeerIncompatible(_) => "it offers neither TLS 1.2 nor 1.3 with a cipher that we know",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port",
        rustls::Error::NoCertificatesPresented => "it shows no certificate",
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
