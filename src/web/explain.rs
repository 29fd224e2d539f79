//! What went wrong with an exchange, in words for the log.
//!
//! No part of a URL but its host appears here, and no text that a server wrote.

use std::io;
use std::time::Duration;

use ureq::Error;

use super::tls;
use crate::parts;

/// A half sentence that follows the host's name.
pub(super) fn explain(error: &Error, timeout: Duration) -> String {
    if let Some(why) = tls::explain(error) {
        return why;
    }
    match error {
        Error::Timeout(_) => format!("no complete answer within {} s", timeout.as_secs_f64()),
        Error::HostNotFound => {
            "its address could not be found; check the name and this machine's DNS".to_owned()
        }
        Error::Io(error) => explain_io(error),
        Error::Tls(_) => "TLS needs a host name that can stand in a certificate".to_owned(),
        // The configuration has no such URL; a server may send us to one.
        Error::TlsRequired => parts::left_out("tls").unwrap_or_else(|| "it needs TLS".to_owned()),
        // Our own words, see tunnel.rs.
        Error::ConnectProxyFailed(why) => format!("the proxy {why}"),
        Error::LargeResponseHeader(..) => "the head of its answer is too long".to_owned(),
        Error::BadUri(_) | Error::Http(_) => "the URL or a header is not valid".to_owned(),
        Error::Protocol(_) => "its answer is not proper HTTP".to_owned(),
        _ => "the exchange failed".to_owned(),
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
