//! A request to a gateway, as a value: what to send, and how much of the answer to
//! take (RFC 9112, section 3).

use std::fmt;
use std::io;

use super::HttpError;
use super::lan_url::LanUrl;

/// The version of HTTP that a request claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// What we ask with first.
    Http11,
    /// For gateways that stumble over 1.1.
    Http10,
}

/// One request. Nothing in it may come from outside but what is known to have no
/// line break: a [`LanUrl`], and texts that were checked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// GET, POST, SUBSCRIBE or UNSUBSCRIBE.
    pub method: &'static str,
    /// Whom to ask for what.
    pub url: LanUrl,
    /// Header fields besides Host, Content-Length and Connection.
    pub fields: Vec<(&'static str, String)>,
    /// The body, maybe empty.
    pub body: String,
    /// The longest body of an answer, in bytes; `None`: its head is enough, and
    /// whatever follows stays unread.
    pub max_body: Option<usize>,
}

impl Request {
    /// The whole request, to be sent in one write: some stacks read once, and
    /// miss a body that comes in a second segment.
    #[must_use]
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let version = if version == Version::Http11 { "HTTP/1.1" } else { "HTTP/1.0" };
        let (path, host) = (self.url.path(), self.url.authority());
        let mut text = format!("{} {path} {version}\r\nHost: {host}\r\n", self.method);
        for (name, value) in &self.fields {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !self.body.is_empty() {
            text.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        text.extend(["Connection: close\r\n\r\n", &self.body]);
        text.into_bytes()
    }
}

/// Why there was no answer to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExchangeError {
    /// No connection.
    Connect(io::ErrorKind),
    /// The connection failed before the answer was complete.
    Broken(io::ErrorKind),
    /// The time was up.
    Timeout,
    /// The answer came in more pieces than anyone needs.
    Pieces,
    /// What came is no answer.
    Http(HttpError),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "cannot connect: {kind}"),
            Self::Broken(kind) => write!(f, "it broke the connection: {kind}"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Pieces => f.write_str("its answer comes in too many pieces"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExchangeError {}
