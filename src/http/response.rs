//! Responses of gateways: where their bodies end (RFC 9112, sections 6 and 7).
//!
//! A response is read anew from all that has come whenever more has, so nothing is
//! remembered in between; a limit on the number of reads bounds the work. Leniencies,
//! each because real gateways need it: a head or a body of known length that breaks
//! off, no empty line behind the last chunk. Nothing is allocated by an announced
//! size.

use super::head::{Head, HttpError, MAX_HEAD, all_digits, head_is_complete, split_line};

/// The most interim answers (1xx) before the real one.
const MAX_INTERIM: usize = 4;

/// The longest line that gives a chunk's size, extensions included.
const MAX_CHUNK_LINE: usize = 256;

/// A whole response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Its status line and fields.
    pub head: Head,
    /// The status, 200 to 999.
    pub status: u16,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// Collects a response as its bytes arrive.
pub struct ResponseReader {
    max_body: Option<usize>,
    bytes: Vec<u8>,
}

impl ResponseReader {
    /// A reader for one response with a body of at most `max_body` bytes; `None`:
    /// its head is enough, the body stays unread.
    #[must_use]
    pub fn new(max_body: Option<usize>) -> Self {
        Self { max_body, bytes: Vec::new() }
    }

    /// Takes more bytes; `Some` as soon as the response is complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        self.bytes.extend_from_slice(bytes);
        read(&self.bytes, self.max_body, false)
    }

    /// The peer has closed: what came is all there will be. Several gateways
    /// announce more than they send; whether the document is whole is for its own
    /// parser to say.
    pub fn finish(self) -> Result<Response, HttpError> {
        read(&self.bytes, self.max_body, true)?.ok_or(HttpError::Truncated)
    }
}

fn read(bytes: &[u8], max_body: Option<usize>, closed: bool) -> Result<Option<Response>, HttpError> {
    let mut rest = bytes;
    for _ in 0..=MAX_INTERIM {
        if rest.is_empty() || !(closed || head_is_complete(rest)) {
            return if rest.len() > MAX_HEAD { Err(HttpError::HeadTooLong) } else { Ok(None) };
        }
        let (head, after) = Head::parse(rest)?;
        let status = head.status().ok_or(HttpError::NotHttp)?;
        rest = after;
        if status >= 200 {
            let body = match max_body {
                Some(most) => body(&head, status, rest, most, closed)?,
                None => Some(Vec::new()),
            };
            return Ok(body.map(|body| Response { head, status, body }));
        }
    }
    Err(HttpError::NotHttp)
}

/// The body, once it is complete (RFC 9112, section 6.3).
fn body(
    head: &Head,
    status: u16,
    rest: &[u8],
    most: usize,
    closed: bool,
) -> Result<Option<Vec<u8>>, HttpError> {
    let mut lengths = head.all("Content-Length");
    let length = lengths.next();
    let mut codings = head.all("Transfer-Encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let length: usize = match (codings.next(), length) {
        _ if status == 204 || status == 304 => 0,
        _ if lengths.any(|other| Some(other) != length) => return Err(HttpError::Length),
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() => {
            return chunks(rest, most);
        }
        (None, Some(digits)) if all_digits(digits) => digits.parse().map_err(|_| HttpError::Length)?,
        (None, None) if rest.len() > most => return Err(HttpError::BodyTooLong),
        (None, None) => return Ok(closed.then(|| rest.to_vec())),
        _ => return Err(HttpError::Length),
    };
    if length > most {
        return Err(HttpError::BodyTooLong);
    }
    Ok(rest.get(..length).or(closed.then_some(rest)).map(<[u8]>::to_vec))
}

/// Chunked coding (RFC 9112, section 7.1). Trailers are left where they are, and
/// gateways need not even send the line that ends them.
fn chunks(mut rest: &[u8], most: usize) -> Result<Option<Vec<u8>>, HttpError> {
    let mut body = Vec::new();
    while let Some((line, after)) = split_line(rest) {
        let size = chunk_size(line)?;
        if size == 0 {
            return Ok(Some(body));
        }
        if size > most.saturating_sub(body.len()) {
            return Err(HttpError::BodyTooLong);
        }
        let Some((chunk, after)) = after.split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = match after {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(HttpError::Chunk),
        };
    }
    if rest.len() > MAX_CHUNK_LINE { Err(HttpError::Chunk) } else { Ok(None) }
}

fn chunk_size(line: &[u8]) -> Result<usize, HttpError> {
    let line = std::str::from_utf8(line).map_err(|_| HttpError::Chunk)?;
    let digits = line.split(';').next().unwrap_or_default().trim_end();
    // Eight digits reach 4 GB: more is an attack on somebody's arithmetic.
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain || line.len() > MAX_CHUNK_LINE {
        return Err(HttpError::Chunk);
    }
    usize::from_str_radix(digits, 16).map_err(|_| HttpError::Chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Response, HttpError> {
        let mut reader = ResponseReader::new(Some(100));
        match reader.push(bytes)? {
            Some(response) => Ok(response),
            None => reader.finish(),
        }
    }

    fn body(bytes: &[u8]) -> Result<String, HttpError> {
        read_all(bytes).map(|response| String::from_utf8(response.body).unwrap())
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
        let mut reader = ResponseReader::new(Some(100));
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
        let whole = read_all(message).unwrap();
        for cut in 0..message.len() {
            let (a, b) = message.split_at(cut);
            let mut reader = ResponseReader::new(Some(100));
            let early = reader.push(a).unwrap();
            let response = early.or_else(|| reader.push(b).unwrap());
            assert_eq!(response.as_ref(), Some(&whole), "cut at {cut}");
        }
    }

    #[test]
    fn a_reader_of_heads_does_not_wait_for_a_body() {
        for fields in ["", "Content-Length: 99999\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut reader = ResponseReader::new(None);
            assert_eq!(reader.push(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), Ok(None));
            let response = reader.push(format!("{fields}\r\nbody").as_bytes()).unwrap().unwrap();
            assert_eq!((response.status, response.body.len()), (200, 0));
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_refused_at_its_limit() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
        assert_eq!(read_all(long.as_bytes()).unwrap_err(), HttpError::HeadTooLong);
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert!(read_all((interim.repeat(MAX_INTERIM) + last).as_bytes()).is_ok());
        let more = interim.repeat(MAX_INTERIM + 1) + last;
        assert_eq!(read_all(more.as_bytes()).unwrap_err(), HttpError::NotHttp);
    }
}
