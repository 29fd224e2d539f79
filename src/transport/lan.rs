//! Carries requests to a gateway: HTTP over TCP, one connection each.
//!
//! Every exchange has one absolute deadline over connecting, writing and all
//! reads, so that a peer gains nothing by being slow, and a cap on bytes. No
//! redirects, no connection kept.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::request::{ExchangeError, Request, Version};
use crate::http::{HttpError, MAX_HEAD, Response, ResponseReader};

/// The longest wait for a connection; in a LAN it takes milliseconds.
const MAX_CONNECT: Duration = Duration::from_secs(2);

/// Bytes taken in one read: a description of the usual size.
const READ_SIZE: usize = 8 * 1024;

/// The most reads for one answer. The longest description takes 45 at one
/// network packet each; byte by byte it would cost more to parse than it is worth.
const MAX_READS: usize = 1024;

/// What the gateway answered with when it knows no HTTP/1.1.
const VERSION_NOT_SUPPORTED: u16 = 505;

/// Sends requests, each until `deadline` at the latest and with at most
/// `per_exchange`.
pub fn asker(
    deadline: Instant,
    per_exchange: Duration,
) -> impl FnMut(&Request) -> Result<Response, ExchangeError> {
    move |request| {
        let until = Instant::now().checked_add(per_exchange).map_or(deadline, |until| until.min(deadline));
        exchange(request, until)
    }
}

/// Sends a request and reads its answer, until `deadline` at the latest. A
/// gateway that stumbles over HTTP/1.1 is asked once more with 1.0.
pub fn exchange(request: &Request, deadline: Instant) -> Result<Response, ExchangeError> {
    let first = attempt(request, Version::Http11, deadline);
    let stumbled = match &first {
        Ok(response) => response.status == VERSION_NOT_SUPPORTED,
        Err(error) => may_be_the_version(*error),
    };
    if stumbled { attempt(request, Version::Http10, deadline) } else { first }
}

/// Not a limit, not the time: something that the other version may cure.
fn may_be_the_version(error: ExchangeError) -> bool {
    match error {
        ExchangeError::Http(error) => !matches!(error, HttpError::HeadTooLong | HttpError::BodyTooLong),
        ExchangeError::Broken(_) => true,
        ExchangeError::Connect(_) | ExchangeError::Timeout | ExchangeError::Pieces => false,
    }
}

fn attempt(request: &Request, version: Version, deadline: Instant) -> Result<Response, ExchangeError> {
    let wait = remaining(deadline)?.min(MAX_CONNECT);
    let mut stream = TcpStream::connect_timeout(&request.url.socket(), wait).map_err(connect_error)?;
    // Fits into the socket's buffer by far, so this write never waits.
    stream.write_all(&request.bytes(version)).map_err(broken)?;
    read(&mut stream, request, deadline)
}

fn read(stream: &mut TcpStream, request: &Request, deadline: Instant) -> Result<Response, ExchangeError> {
    let mut reader = ResponseReader::new(request.max_body);
    // Chunk sizes add to the body, interim answers to the head.
    let mut allowance = request.max_body.unwrap_or(0).saturating_add(MAX_HEAD).saturating_mul(2);
    let mut buffer = [0; READ_SIZE];
    for _ in 0..MAX_READS {
        stream.set_read_timeout(Some(remaining(deadline)?)).map_err(broken)?;
        let count = match stream.read(&mut buffer) {
            Ok(0) => return reader.finish().map_err(ExchangeError::Http),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // Some stacks reset the connection instead of closing it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return reader.finish().map_err(|_| broken(error));
            }
            Err(error) => return Err(broken(error)),
        };
        allowance = allowance.checked_sub(count).ok_or(ExchangeError::Http(HttpError::BodyTooLong))?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if let Some(response) = reader.push(bytes).map_err(ExchangeError::Http)? {
            return Ok(response);
        }
    }
    Err(ExchangeError::Pieces)
}

fn remaining(deadline: Instant) -> Result<Duration, ExchangeError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ExchangeError::Timeout) } else { Ok(left) }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn connect_error(error: io::Error) -> ExchangeError {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => ExchangeError::Timeout,
        kind => ExchangeError::Connect(kind),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn broken(error: io::Error) -> ExchangeError {
    match error.kind() {
        // What a socket says when its read timeout is over, by system.
        ErrorKind::TimedOut | ErrorKind::WouldBlock => ExchangeError::Timeout,
        kind => ExchangeError::Broken(kind),
    }
}
