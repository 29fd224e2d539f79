//! HTTP/1.1 messages as gateways send them: heads (RFC 9112, sections 2 to 5)
//! here, bodies in `body.rs`, all under limits.
//!
//! Bytes in, values out; SSDP datagrams and event callbacks share the head.
//! Leniencies, each because real gateways need it: a bare LF ends a line, blanks
//! around a colon, no empty line behind the last chunk, a head or body that breaks
//! off. Nothing here panics or allocates by an announced size.

mod body;
pub mod lan_url;

use std::{fmt, mem};

use self::body::{Body, End, Framing, framing};

/// The longest head of a gateway: the largest real one seen has 600 bytes.
pub const MAX_HEAD: usize = 8 * 1024;

/// The most header fields in a head of a gateway.
pub const MAX_FIELDS: usize = 64;

/// The most interim answers (1xx) before the real one.
const MAX_INTERIM: u8 = 4;

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
        let mut lines = Lines { rest: bytes, taken: 0 };
        let start = text(lines.next()?.ok_or(HttpError::NotHttp)?)?;
        if start.is_empty() {
            return Err(HttpError::NotHttp);
        }
        let mut fields = Vec::new();
        while let Some(line) = lines.next()? {
            if line.is_empty() {
                break;
            }
            if fields.len() >= MAX_FIELDS {
                return Err(HttpError::HeadTooLong);
            }
            // A line without a colon (or folded) carries nothing we need.
            if let Some((name, value)) = text(line)?.split_once(':') {
                fields.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Ok((Self { start, fields }, lines.rest))
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

struct Lines<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its end; `None` at the end of the input.
    fn next(&mut self) -> Result<Option<&'a [u8]>, HttpError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (line, rest) = split_line(self.rest).unwrap_or((self.rest, &[]));
        self.taken = self.taken.saturating_add(self.rest.len().saturating_sub(rest.len()));
        if self.taken > MAX_HEAD {
            return Err(HttpError::HeadTooLong);
        }
        self.rest = rest;
        Ok(Some(line))
    }
}

/// A line without its LF or CRLF, and what follows; `None` without an LF.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
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

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A whole response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Its status line and fields.
    pub head: Head,
    /// The status, 100 to 999.
    pub status: u16,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// What a reader takes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    max_body: usize,
    /// No body follows, whatever the head says.
    head_only: bool,
}

impl Rules {
    /// A body of at most `max_body` bytes. Several gateways announce more than they
    /// send; whether the document is whole is for its own parser to say.
    #[must_use]
    pub fn gateway(max_body: usize) -> Self {
        Self { max_body, head_only: false }
    }

    /// For an answer of which the head is enough: the body stays unread.
    #[must_use]
    pub fn gateway_head() -> Self {
        Self { max_body: 0, head_only: true }
    }
}

/// Collects a response as its bytes arrive.
///
/// ```text
/// Head --(empty line)--> Length | Chunks | ToEnd --(complete, or closed)--> Response
///   ^------ 1xx --------------|
/// ```
pub struct ResponseReader {
    rules: Rules,
    /// What came and is not part of a head or body yet.
    rest: Vec<u8>,
    interim: u8,
    state: State,
}

enum State {
    Head,
    Body { response: Response, framing: Framing },
    Complete,
}

impl ResponseReader {
    /// A reader for one response.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, rest: Vec::new(), interim: 0, state: State::Head }
    }

    /// Takes more bytes; `Some` as soon as the response is complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        self.rest.extend_from_slice(bytes);
        while matches!(self.state, State::Head) {
            if !head_is_complete(&self.rest) {
                let too_long = self.rest.len() > MAX_HEAD;
                return if too_long { Err(HttpError::HeadTooLong) } else { Ok(None) };
            }
            self.take_head()?;
        }
        self.take_body(false)
    }

    /// The peer has closed: what came is all there will be.
    pub fn finish(mut self) -> Result<Response, HttpError> {
        if matches!(self.state, State::Head) {
            if self.rest.is_empty() {
                return Err(HttpError::Truncated);
            }
            self.take_head()?;
        }
        self.take_body(true)?.ok_or(HttpError::Truncated)
    }

    fn take_head(&mut self) -> Result<(), HttpError> {
        let (head, rest) = Head::parse(&self.rest)?;
        let status = head.status().ok_or(HttpError::NotHttp)?;
        let framing = if self.rules.head_only { Framing::Length(0) } else { framing(&head, status)? };
        self.rest = rest.to_vec();
        if (100..200).contains(&status) {
            self.interim = self.interim.saturating_add(1);
            return if self.interim > MAX_INTERIM { Err(HttpError::NotHttp) } else { Ok(()) };
        }
        if matches!(framing, Framing::Length(length) if length > self.rules.max_body) {
            return Err(HttpError::BodyTooLong);
        }
        self.state = State::Body { response: Response { head, status, body: Vec::new() }, framing };
        Ok(())
    }

    fn take_body(&mut self, closed: bool) -> Result<Option<Response>, HttpError> {
        let State::Body { response, framing } = &mut self.state else {
            return Ok(None);
        };
        let arrived = mem::take(&mut self.rest);
        let mut body = Body { bytes: &mut response.body, most: self.rules.max_body };
        let (end, rest) = body.take(framing, &arrived)?;
        self.rest = rest.to_vec();
        let may_end = closed && !matches!(framing, Framing::Chunks(_));
        if end == End::Later && !may_end {
            return Ok(None);
        }
        match mem::replace(&mut self.state, State::Complete) {
            State::Body { response, .. } => Ok(Some(response)),
            State::Head | State::Complete => Ok(None),
        }
    }
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

    fn read(bytes: &[u8]) -> Result<Response, HttpError> {
        let mut reader = ResponseReader::new(Rules::gateway(100));
        match reader.push(bytes)? {
            Some(response) => Ok(response),
            None => reader.finish(),
        }
    }

    fn body(bytes: &[u8]) -> Result<String, HttpError> {
        read(bytes).map(|response| String::from_utf8(response.body).unwrap())
    }

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
        assert_eq!(read(long.as_bytes()).unwrap_err(), HttpError::HeadTooLong);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(Head::parse(many.as_bytes()).unwrap_err(), HttpError::HeadTooLong);
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n").unwrap_err(), HttpError::NotHttp);
        assert_eq!(Head::parse(b"").unwrap_err(), HttpError::NotHttp);
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2 \r\n\r\nabc").unwrap(), "ab");
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab").unwrap(),
            "ab"
        );
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nto the end").unwrap(), "to the end");
        assert_eq!(body(b"HTTP/1.1 204 No\r\n\r\n").unwrap(), "");
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n01\nd\n0\r\n\r\n")
                .unwrap(),
            "abcd"
        );
        assert_eq!(
            body(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").unwrap(),
            "a"
        );
    }

    #[test]
    fn a_short_body_counts_only_once_the_peer_has_closed() {
        let mut reader = ResponseReader::new(Rules::gateway(100));
        assert_eq!(reader.push(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), Ok(None));
        assert_eq!(reader.finish().unwrap().body, b"ab");
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
            Err(HttpError::Truncated)
        );
        assert_eq!(body(b""), Err(HttpError::Truncated));
    }

    #[test]
    fn bad_lengths_are_refused() {
        for field in [
            "Content-Length: -1",
            "Content-Length: +1",
            "Content-Length: 1 1",
            "Content-Length:",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            let message = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\nabc");
            assert_eq!(body(message.as_bytes()), Err(HttpError::Length), "{field}");
        }
    }

    #[test]
    fn bad_chunks_are_refused() {
        for chunks in ["-1\r\n", "0x1\r\na\r\n", "fffffffff\r\n", "1\r\nabc", "\r\n", " 1\r\n", "g\r\n"] {
            let message = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(body(message.as_bytes()), Err(HttpError::Chunk), "{chunks:?}");
        }
    }

    #[test]
    fn long_bodies_are_refused_before_they_are_kept() {
        for message in [
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101)),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n".to_owned(),
        ] {
            assert_eq!(body(message.as_bytes()), Err(HttpError::BodyTooLong), "{message}");
        }
    }

    #[test]
    fn every_split_of_a_message_reads_the_same() {
        let message: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let whole = read(message).unwrap();
        for cut in 0..message.len() {
            let (a, b) = message.split_at(cut);
            let mut reader = ResponseReader::new(Rules::gateway(100));
            let early = reader.push(a).unwrap();
            let response = early.or_else(|| reader.push(b).unwrap());
            assert_eq!(response.as_ref(), Some(&whole), "cut at {cut}");
        }
    }

    #[test]
    fn a_reader_of_heads_does_not_wait_for_a_body() {
        for fields in ["", "Content-Length: 99999\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut reader = ResponseReader::new(Rules::gateway_head());
            assert_eq!(reader.push(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), Ok(None));
            let response = reader.push(format!("{fields}\r\nbody").as_bytes()).unwrap().unwrap();
            assert_eq!((response.status, response.body.len()), (200, 0));
        }
    }
}
