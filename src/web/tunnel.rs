//! Reaching a server through a proxy: CONNECT for TLS (RFC 9110, section
//! 9.3.6), the whole URL in the request line for plain HTTP (RFC 9112, section
//! 3.2.2).

use std::io::{Read, Write};

use ureq::Error;

/// The longest head of a proxy's answer.
const MAX_HEAD: usize = 8 * 1024;

/// What a status of 407 means.
pub(super) const OTHER_CREDENTIALS: &str = "wants other credentials (status 407); check proxy";

/// Asks the proxy behind `stream` for a connection to `place`.
pub(super) fn open(
    stream: &mut (impl Read + Write),
    place: &str,
    authorization: Option<&str>,
) -> Result<(), Error> {
    let authorization =
        authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let head = read_head(stream)?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(refused(OTHER_CREDENTIALS)),
        Some(status) => Err(refused(&format!("refused the connection (status {status})"))),
        None => Err(refused("does not speak HTTP")),
    }
}

fn refused(why: &str) -> Error {
    Error::ConnectProxyFailed(why.to_owned())
}

/// Byte by byte: what follows belongs to TLS.
fn read_head(stream: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read(&mut byte)? == 0 {
            return Err(refused("closed the connection"));
        }
        head.extend(byte);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// `output`, the beginning of a request, with the whole URL in its first line.
pub(super) fn with_whole_url(output: &[u8], authority: &str, authorization: Option<&str>) -> Vec<u8> {
    let text = |bytes: &[u8]| bytes.to_vec();
    let mut parts = output.splitn(2, |byte| *byte == b' ');
    let (Some(method), Some(behind)) = (parts.next(), parts.next()) else { return text(output) };
    let end =
        behind.windows(2).position(|pair| pair == b"\r\n").map_or(behind.len(), |at| at.saturating_add(2));
    let (line, fields) = behind.split_at_checked(end).unwrap_or((behind, &[]));
    let mut whole = text(method);
    whole.extend(format!(" http://{authority}").bytes());
    whole.extend(line);
    if let Some(value) = authorization {
        whole.extend(format!("Proxy-Authorization: {value}\r\n").bytes());
    }
    whole.extend(fields);
    whole
}

/// The value of `Proxy-Authorization` for `user:password` (RFC 7617).
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

    #[test]
    fn the_request_line_gets_the_whole_url() {
        let whole = with_whole_url(b"GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n body", "x:80", Some("Basic eA=="));
        let expected =
            b"GET http://x:80/a?b HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\nhost: x\r\n\r\n body";
        assert_eq!(whole, expected);
        assert_eq!(with_whole_url(b"odd", "x", None), b"odd");
    }
}
