//! Reaching a TLS server through a proxy: CONNECT (RFC 9110, section 9.3.6).
//!
//! Ours, since ureq's own has no deadline (a proxy that trickles its answer holds
//! it for minutes) and refuses answers with more than 20 header fields and any
//! status of success but 200.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::Error;

use super::proxy::Proxy;
use super::stream::Stream;
use crate::http::Head;

/// The longest answer of a proxy; some send a page of HTML with it, which is not read.
const MAX_HEAD: usize = 8 * 1024;

/// What a status of 407 means.
pub(super) const OTHER_CREDENTIALS: &str = "wants other credentials (status 407); check proxy";

/// Asks the proxy behind `stream` for a connection to `place`.
pub(super) fn open(stream: &mut dyn Stream, place: &str, authorization: Option<&str>) -> Result<(), Error> {
    let authorization =
        authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let status = Head::parse(&head(stream)?).ok().and_then(|(head, _)| head.status());
    match status {
        None => Err(refused("does not speak HTTP")),
        Some(200..=299) => Ok(()),
        Some(407) => Err(refused(OTHER_CREDENTIALS)),
        Some(status) => Err(refused(&format!("refused the connection (status {status})"))),
    }
}

/// The head of the answer and not a byte more: what follows belongs to TLS.
fn head(stream: &mut dyn Stream) -> Result<Vec<u8>, Error> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while head.len() < MAX_HEAD && !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(refused("closed the connection"));
        }
        head.extend(byte);
    }
    Ok(head)
}

fn refused(why: &str) -> Error {
    Error::ConnectProxyFailed(why.to_owned())
}

/// The value of `Proxy-Authorization`, if the proxy wants to know who we are.
pub(super) fn authorization(proxy: &Proxy) -> Option<String> {
    proxy.credentials.as_ref().map(|credentials| basic(credentials.reveal()))
}

/// The value of `Authorization`, also towards a proxy, for `user:password` (RFC 7617).
pub(super) fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}
