//! Requests to providers over HTTP and HTTPS.
//!
//! One exchange has one absolute deadline, from the name's look-up to the last
//! byte, and caps for head and body. A status is an answer, whatever it says. A
//! redirect never leads to another host or away from TLS. Left out: cookies,
//! compression, HTTP/2.
//!
//! `tls.rs` and `cryptography.rs` in this folder are the only files that know rustls;
//! a build without TLS has `no_tls.rs` in their place. A name (not an address) in a
//! URL takes one short-lived thread.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::Error;
pub use super::tls::WebError;
use super::url::Place;
use super::{connect, error, fields, request_head, tls, tunnel};
use crate::address::Family;
use crate::config;
use crate::http::{Head, HttpError, Response, Rules};
use crate::updaters::{Failure, Reply, Request, SHORT_REPLY};

/// The time for one exchange (`updaters.md`, rule 5: a slow name server behind
/// a provider took 12 s).
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that was idle for longer may be dead without a word.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// Redirects that are followed: a slash, TLS, a new path.
const MAX_REDIRECTS: usize = 3;

/// The way to servers; cheap to clone, to be made once.
#[derive(Clone)]
pub struct Web {
    trust: tls::Trust,
    proxies: Arc<config::Proxies>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

#[allow(clippy::must_use_candidate, reason = "without TLS, there is no error that `?` could pass on")]
impl Web {
    /// Prepares TLS as the configuration says; servers are reached directly.
    pub fn new(tls: &config::Tls) -> Result<Self, WebError> {
        Self::with_proxies(tls, config::Proxies::default())
    }

    /// The same through proxies.
    pub fn with_proxies(tls: &config::Tls, proxies: config::Proxies) -> Result<Self, WebError> {
        Ok(Self { trust: tls::Trust::new(tls)?, proxies: Arc::new(proxies) })
    }

    /// Reads the page at `url` over a connection of this family, within
    /// `timeout`; of its body at most `limit` bytes.
    pub fn read(&self, url: &str, family: Family, limit: usize, timeout: Duration) -> Result<Reply, Failure> {
        let request = Request {
            method: "GET",
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            max_reply: limit,
            family: Some(family),
        };
        self.session(Some(family)).send(&request, timeout)
    }

    /// A connection for one job, of this family only, if one is given: it is used
    /// again by its later requests and closed when it is dropped.
    #[must_use]
    pub fn session(&self, family: Option<Family>) -> Session {
        Session { web: self.clone(), family, idle: RefCell::new(None) }
    }

    /// [`Session::send`] with a connection of its own.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        self.session(request.family).send(request, timeout)
    }
}

/// The connection of one job.
pub struct Session {
    web: Web,
    family: Option<Family>,
    idle: RefCell<Option<Idle>>,
}

/// A connection that the server has left open.
struct Idle {
    stream: Box<dyn connect::Stream>,
    /// The URL that it was made for.
    url: String,
    since: Instant,
}

/// Why an exchange has no answer.
struct Broken {
    error: Error,
    /// Whether a byte of the request has left.
    sent: bool,
    /// Whether the connection was used before.
    again: bool,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self { error, sent: false, again: false }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Sends `request` and reads the answer, all within `timeout`.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        let now = Instant::now();
        let until = now.checked_add(timeout).unwrap_or(now);
        let mut url = request.url.clone();
        let mut redirects = 0..MAX_REDIRECTS;
        loop {
            let failure = |error: &Error, maybe_done| Failure {
                why: format!("{}{}: {}", host(&url), self.detour(&url), error::explain(error, timeout)),
                maybe_done,
            };
            let mut answer = self.exchange(request, &url, until);
            if answer.as_ref().is_err_and(|broken| went_stale(request, broken)) {
                answer = self.exchange(request, &url, until);
            }
            let response = answer.map_err(|broken| failure(&broken.error, broken.sent))?;
            if response.status == 407 && !self.detour(&url).is_empty() {
                return Err(failure(&Error::Proxy(tunnel::OTHER_CREDENTIALS.to_owned()), false));
            }
            match follow(request, &url, &response).filter(|_| redirects.next().is_some()) {
                Some(next) => url = next,
                None => return Ok(reply(response)),
            }
        }
    }

    fn proxy(&self, place: &Place<'_>) -> Option<&config::Proxy> {
        self.web.proxies.choose(place.https, place.host(), place.port)
    }

    /// For errors: through which proxy, if any.
    fn detour(&self, url: &str) -> String {
        let proxy = Place::of(url).and_then(|place| self.proxy(&place));
        proxy.map(|proxy| format!(" through the proxy {}", proxy.place())).unwrap_or_default()
    }

    fn exchange(&self, request: &Request, url: &str, until: Instant) -> Result<Response, Broken> {
        let place = Place::of(url).ok_or(Error::Url)?;
        let proxy = self.proxy(&place);
        let bytes = request_head::bytes(request, &place, proxy.filter(|_| !place.https))?;
        let (mut stream, again) = match self.idle_to(&place) {
            Some(stream) => (stream, true),
            None => (connect::connect(&place, proxy, self.family, &self.web.trust, until)?, false),
        };
        stream.set_deadline(until);
        let answer = connect::converse(&mut *stream, &bytes, rules(request));
        let (response, stays) = answer.map_err(|error| Broken { error, sent: true, again })?;
        if stays {
            let idle = Idle { stream, url: url.to_owned(), since: Instant::now() };
            self.idle.replace(Some(idle));
        }
        Ok(response)
    }

    /// The connection at hand, if it leads to `place` and still stands.
    fn idle_to(&self, place: &Place<'_>) -> Option<Box<dyn connect::Stream>> {
        let mut idle = self.idle.take()?;
        let fits = Place::of(&idle.url).is_some_and(|other| other.is_beside(place));
        (fits && idle.since.elapsed() < MAX_IDLE && idle.stream.is_open()).then_some(idle.stream)
    }
}

/// How much of an answer is taken.
fn rules(request: &Request) -> Rules {
    let rules = Rules::provider(request.max_reply, request.max_reply.min(SHORT_REPLY));
    if request.method == "HEAD" { rules.without_body() } else { rules }
}

/// Whether the server had closed the connection that we used again. Reading
/// may then be repeated (RFC 9112, section 9.5), once: the next connection
/// is a new one.
fn went_stale(request: &Request, broken: &Broken) -> bool {
    let read_only = matches!(request.method, "GET" | "HEAD");
    let closed = match &broken.error {
        Error::Http(error) => *error == HttpError::Truncated,
        Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        ),
        _ => false,
    };
    read_only && closed && broken.again
}

/// Where to ask instead, if the answer is a redirect that we follow.
fn follow(request: &Request, url: &str, response: &Response) -> Option<String> {
    let again = matches!(request.method, "GET" | "HEAD");
    if !again || !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    fields::redirect(url, response.head.one("Location")?)
}

fn reply(response: Response) -> Reply {
    let Response { head, status, body } = response;
    let retry_after = head.one("Retry-After").and_then(|text| fields::retry_after(text, now(&head)));
    let body = String::from_utf8(body)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Reply { status, retry_after, body }
}

/// The server's own clock if it tells, since a router's may stand in 1970.
fn now(head: &Head) -> u64 {
    head.one("Date")
        .and_then(fields::date)
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// What of a URL may be shown.
fn host(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return "the request";
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_is_shown() {
        assert_eq!(host("https://me:pw@ddns.example:8443/token?x=y@z"), "ddns.example:8443");
        assert_eq!(host("https://ddns.example?token"), "ddns.example");
        assert_eq!(host("token"), "the request");
    }
}
