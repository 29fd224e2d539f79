//! Reaching a TLS server through a proxy: CONNECT (RFC 9110, section 9.3.6).

use crate::config::Proxy;
use crate::http::{HttpError, Rules};
use crate::transport::connect;
use crate::transport::connect::Stream;
use crate::transport::error::Error;

/// What a status of 407 means.
pub(super) const OTHER_CREDENTIALS: &str = "wants other credentials (status 407); check proxy";

/// Asks the proxy behind `stream` for a connection to `place`.
pub(super) fn open(stream: &mut dyn Stream, place: &str, authorization: Option<&str>) -> Result<(), Error> {
    let authorization =
        authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n");
    // What follows the head belongs to TLS, and a TLS server does not speak first.
    let rules = Rules::provider(0, 0).without_body();
    let status = match connect::converse(stream, request.as_bytes(), rules) {
        Ok((response, _)) => response.status,
        Err(Error::Http(HttpError::Truncated)) => return Err(refused("closed the connection")),
        Err(Error::Http(_)) => return Err(refused("does not speak HTTP")),
        Err(error) => return Err(error),
    };
    match status {
        200..=299 => Ok(()),
        407 => Err(refused(OTHER_CREDENTIALS)),
        status => Err(refused(&format!("refused the connection (status {status})"))),
    }
}

fn refused(why: &str) -> Error {
    Error::Proxy(why.to_owned())
}

/// The value of `Proxy-Authorization`, if the proxy wants to know who we are.
pub(super) fn authorization(proxy: &Proxy) -> Option<String> {
    proxy.credentials.as_ref().map(|credentials| basic(credentials.reveal()))
}

/// The value of `Authorization`, also towards a proxy, for `user:password` (RFC 7617).
pub(super) fn basic(credentials: &str) -> String {
    format!("Basic {}", base64(credentials.as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = usize::try_from((bits >> shift) & 63).ok().and_then(|place| LETTERS.get(place));
            text.push(if index > chunk.len() {
                '='
            } else {
                letter.map_or('=', |letter| char::from(*letter))
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, code) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }
}
