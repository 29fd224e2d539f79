//! Heads of HTTP/1.1 messages (RFC 9112, sections 2 to 5), under limits. SSDP
//! datagrams and event callbacks have one, too.
//!
//! Leniencies, each because real gateways need it: a bare LF ends a line, blanks
//! around a colon, no empty line at the end.

use std::fmt;

/// The longest head of a gateway: the largest real one seen has 600 bytes.
pub const MAX_HEAD: usize = 8 * 1024;

/// The most header fields in a head of a gateway.
pub const MAX_FIELDS: usize = 64;

/// A start line and header fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// The request or status line.
    pub start: String,
    /// Names as sent, values trimmed.
    fields: Vec<(String, String)>,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpError {
    /// The head is longer or has more fields than the caller allows.
    HeadTooLong,
    /// Not a status line, or a control byte in the head.
    NotHttp,
    /// Content-Length is no plain number, or given twice with different values,
    /// or beside a chunked body.
    Length,
    /// The chunks do not follow the grammar.
    Chunk,
    /// The body is longer than the caller allows.
    BodyTooLong,
    /// The peer closed before the message was complete.
    Truncated,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeadTooLong => "its HTTP header is too long",
            Self::NotHttp => "it does not speak HTTP",
            Self::Length => "its Content-Length makes no sense",
            Self::Chunk => "its chunked answer is damaged",
            Self::BodyTooLong => "its answer is too long",
            Self::Truncated => "its answer ended early",
        })
    }
}

impl std::error::Error for HttpError {}

impl Head {
    /// Reads a head of at most [`MAX_HEAD`] bytes and [`MAX_FIELDS`] fields and
    /// returns it with what follows. A datagram or connection may end without the
    /// empty line that should close the head.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), HttpError> {
        let (mut rest, mut lines) = (bytes, Vec::new());
        while !rest.is_empty() && lines.len() <= MAX_FIELDS.saturating_add(1) {
            let (line, after) = split_line(rest).unwrap_or((rest, &[]));
            rest = after;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let taken = bytes.len().saturating_sub(rest.len());
        if taken > MAX_HEAD || lines.len() > MAX_FIELDS.saturating_add(1) {
            return Err(HttpError::HeadTooLong);
        }
        let mut lines = lines.into_iter().map(text);
        let start = lines.next().ok_or(HttpError::NotHttp)??;
        let mut fields = Vec::new();
        for line in lines {
            // A line without a colon (or folded) carries nothing we need.
            if let Some((name, value)) = line?.split_once(':') {
                fields.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Ok((Self { start, fields }, rest))
    }

    /// The status of a response, when this is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let (version, rest) = self.start.split_once(' ')?;
        let version = version.as_bytes().first_chunk::<7>()?;
        let digits = rest.trim_start().split(' ').next()?;
        let plain = version == b"HTTP/1." && digits.len() == 3 && all_digits(digits);
        digits.parse().ok().filter(|status| plain && *status >= 100)
    }

    /// The value of `name` (any case) when it occurs exactly once, so that
    /// nobody wonders which of two wins.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A line without its LF or CRLF, and what follows; `None` without an LF.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// Header text; bytes beyond ASCII become U+FFFD, control bytes are refused.
fn text(line: &[u8]) -> Result<String, HttpError> {
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(HttpError::NotHttp);
    }
    Ok(String::from_utf8_lossy(line).into_owned())
}

pub(super) fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an empty line stands somewhere in the bytes.
#[must_use]
pub fn head_is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((line, after)) = split_line(rest) {
        if line.is_empty() {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_leniently() {
        let (head, rest) =
            Head::parse(b"HTTP/1.1 200 OK\nST:a\r\nCACHE-CONTROL : x\r\nno colon\r\nEXT:\r\n\r\nbody")
                .unwrap();
        assert_eq!(head.status(), Some(200));
        assert_eq!(head.one("st"), Some("a"));
        assert_eq!(head.one("Cache-Control"), Some("x"));
        assert_eq!(head.one("EXT"), Some(""));
        assert_eq!(rest, b"body");
        assert_eq!(Head::parse(b"NOTIFY * HTTP/1.1\r\nNT: x").unwrap().0.one("NT"), Some("x"));
    }

    #[test]
    fn a_field_given_twice_has_no_value() {
        let (head, _) = Head::parse(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\n\r\n").unwrap();
        assert_eq!(head.one("a"), None);
        assert_eq!(head.all("a").count(), 2);
    }

    #[test]
    fn a_status_is_three_digits_behind_a_version() {
        for (line, status) in [
            ("HTTP/1.0 200 OK", Some(200)),
            ("HTTP/1.1 500", Some(500)),
            ("HTTP/1.1  404 x", Some(404)),
            ("HTTP/2 200", None),
            ("HTTP/1.1 2000", None),
            ("HTTP/1.1 099", None),
            ("HTTP/1.1 +20", None),
            ("NOTIFY * HTTP/1.1", None),
            ("é", None),
        ] {
            assert_eq!(Head::parse(line.as_bytes()).unwrap().0.status(), status, "{line}");
        }
    }

    #[test]
    fn heads_have_limits() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        assert_eq!(Head::parse(long.as_bytes()).unwrap_err(), HttpError::HeadTooLong);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(Head::parse(many.as_bytes()).unwrap_err(), HttpError::HeadTooLong);
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n").unwrap_err(), HttpError::NotHttp);
        assert_eq!(Head::parse(b"").unwrap_err(), HttpError::NotHttp);
    }
}
