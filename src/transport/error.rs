//! What went wrong with an exchange, and the words for it in the log.
//!
//! No part of a URL but its host appears here, and no text that a server wrote.

use std::io;
use std::time::Duration;

use super::tls;
use super::tls::TlsError;
use crate::decimal::Decimal;
use crate::http::HttpError;
use crate::system::resolve::ResolveError;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Error {
    /// The URL or a header field cannot stand in a request.
    Url,
    /// The name has no address.
    NotFound,
    /// It has none of the family that is asked for.
    NoSuchFamily,
    /// The time was over.
    Timeout,
    /// The connection failed.
    Io(io::Error),
    /// The answer is not one.
    Http(HttpError),
    /// The proxy refused; our own words.
    Proxy(String),
    /// TLS failed.
    Tls(TlsError),
    /// The host cannot be that of a certificate.
    #[cfg(feature = "tls")]
    NoTlsName,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotFound => Self::NotFound,
            ResolveError::Late => Self::Timeout,
            ResolveError::Thread(error) => Self::Io(error),
        }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// A half sentence that follows the host's name.
pub(super) fn explain(error: &Error, timeout: Duration) -> String {
    let what = match error {
        Error::Timeout => return format!("no complete answer within {} s", Decimal::seconds(timeout)),
        Error::Io(error) => return tls::explain_io(error).unwrap_or_else(|| explain_io(error)),
        Error::Tls(error) => return tls::explain(error),
        Error::Proxy(why) => return format!("the proxy {why}"),
        Error::NotFound => "its address could not be found; check the name and this machine's DNS",
        Error::NoSuchFamily => "it has no address of the family that it is asked over",
        #[cfg(feature = "tls")]
        Error::NoTlsName => "TLS needs a host name that can stand in a certificate",
        Error::Url => "the URL or a header is not valid",
        Error::Http(HttpError::HeadTooLong) => "the head of its answer is too long",
        Error::Http(HttpError::Truncated) => "it closed the connection before its answer was complete",
        Error::Http(_) => "its answer is not proper HTTP",
    };
    what.to_owned()
}

fn explain_io(error: &io::Error) -> String {
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
