//! What went wrong with an exchange: whether anything was sent, and the words for
//! the log.
//!
//! No part of a URL but its host appears here, and no text that a server wrote.

use std::error;
use std::fmt;
use std::io;
use std::time::Duration;

use ureq::Error;

use super::stream::CONNECT_TIMEOUT;
use super::tls::{self, TlsError};

/// Nothing of the request has left: no connection stood, TLS included, or it came too
/// late. Stands around every error of looking up and connecting, since ureq's own kinds
/// do not tell the phase.
#[derive(Debug)]
struct NotSent(Error);

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for NotSent {}

pub(super) fn not_sent(error: Error) -> Error {
    Error::Other(Box::new(NotSent(error)))
}

/// Whether a request that ended so may have been carried out.
pub(super) fn maybe_done(error: &Error) -> bool {
    match error {
        Error::Other(error) => !error.is::<NotSent>(),
        Error::Http(_) | Error::BadUri(_) => false,
        _ => true,
    }
}

/// Whether the server ended the connection before its answer.
pub(super) fn is_cut_off(error: &Error) -> bool {
    matches!(error, Error::Io(error) if is_closed(error))
}

/// Whether the server ended the connection.
pub(super) fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset)
}

/// A half sentence that follows the host's name.
pub(super) fn explain(error: &Error, timeout: Duration) -> String {
    let what = match error {
        Error::Other(other) => {
            return match (other.downcast_ref::<NotSent>(), other.downcast_ref::<TlsError>()) {
                (Some(NotSent(error)), _) if is_late(error) => {
                    format!("no connection within {} s", timeout.min(CONNECT_TIMEOUT).as_secs_f64())
                }
                (Some(NotSent(error)), _) => explain(error, timeout),
                (_, Some(error)) => tls::explain(error),
                _ => "the connection failed".to_owned(),
            };
        }
        error if is_late(error) => {
            return format!("no complete answer within {} s", timeout.as_secs_f64());
        }
        Error::Io(error) => return tls::explain_io(error).unwrap_or_else(|| explain_io(error)),
        Error::ConnectProxyFailed(why) => return format!("the proxy {why}"),
        Error::HostNotFound => "its address could not be found; check the name and this machine's DNS",
        Error::Tls(_) => "TLS needs a host name that can stand in a certificate",
        Error::Http(_) | Error::BadUri(_) => "the URL or a header is not valid",
        Error::LargeResponseHeader(..) => "the head of its answer is too long",
        _ => "its answer is not proper HTTP",
    };
    what.to_owned()
}

fn is_late(error: &Error) -> bool {
    match error {
        Error::Timeout(_) => true,
        Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
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
