//! Requests to providers over HTTP and HTTPS.
//!
//! One exchange has one absolute deadline, from the name's look-up to the last
//! byte, and caps for head and body. A status is an answer, whatever it says.
//! Redirects are ours to decide (`redirect.rs`). Left out: cookies, compression,
//! HTTP/2.
//!
//! `tls.rs` and `crypto_provider.rs` are the only files that know rustls;
//! a build without TLS has `no_tls.rs` in their place. A name (not an address) in a
//! URL takes one short-lived thread.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::{AutoHeaderValue, IpFamily};
use ureq::http::{self, HeaderMap};
use ureq::{Agent, AsSendBody, Body, Error, RequestExt as _};

use super::long_replies::{LongReplies, LongReply};
use super::message::{Failure, Reply, Request, SHORT_REPLY};
use super::proxy::Proxies;
use super::stream::CONNECT_TIMEOUT;
pub use super::tls::WebError;
use super::trust::Tls;
use super::url::HttpUrl;
use super::{connect, error, fields, redirect, resolver, tls, tunnel};
use crate::address::Family;
use crate::quote::{Secrets, percent_decoded};
use crate::system::clock::unix_time;
use crate::system::closer::Closer;
use crate::system::race::Failed;

/// The time for one exchange: some providers change their name servers before they
/// answer.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// The longest head of an answer; policies and cookies fill some kilobytes. It is no long
/// reply, so as many as there are jobs may be under way.
const MAX_HEAD: usize = 16 * 1024;
/// Fields of it; ureq itself takes some more.
const MAX_FIELDS: usize = 100;
/// Must hold a head with room for more, or reading would seem to stall.
const INPUT: usize = MAX_HEAD + 4 * 1024;
/// Must hold the head of a request; servers take 8 KiB.
const OUTPUT: usize = 16 * 1024;
/// Says who asks, as the terms of use of many services want it.
const USER_AGENT: &str =
    concat!("ddns-update-daemon/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")");
/// A connection that was idle for longer may be dead without a word.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// The way to servers; cheap to clone, to be made once.
#[derive(Clone)]
pub struct HttpClient {
    trust: tls::Trust,
    proxies: Arc<Proxies>,
    failed: Arc<Failed>,
    long_replies: LongReplies,
    closer: Closer,
    secrets: Arc<Secrets>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

#[allow(clippy::must_use_candidate, reason = "without TLS, there is no error that `?` could pass on")]
impl HttpClient {
    /// Prepares TLS as the configuration says; servers are reached directly.
    pub fn new(tls: &Tls) -> Result<Self, WebError> {
        Self::with_proxies(tls, Proxies::default())
    }

    /// The same through proxies.
    pub fn with_proxies(tls: &Tls, proxies: Proxies) -> Result<Self, WebError> {
        Ok(Self {
            trust: tls::Trust::new(tls)?,
            proxies: Arc::new(proxies),
            failed: Arc::default(),
            long_replies: LongReplies::default(),
            closer: Closer::default(),
            secrets: Arc::default(),
        })
    }

    /// The same, with connections that `closer` can end.
    #[must_use]
    pub fn ended_by(&self, closer: Closer) -> Self {
        Self { closer, ..self.clone() }
    }

    /// The same; of what servers say, nothing of `secrets` is to be shown.
    #[must_use]
    pub fn hiding(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self }
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
            cut_will_do: false,
            family: Some(family),
        };
        self.connection(Some(family)).send(&request, timeout)
    }

    /// A connection for one job, of this family only, if one is given: it is used
    /// again by its later requests and closed when it is dropped.
    #[must_use]
    pub fn connection(&self, family: Option<Family>) -> Connection {
        let made = Arc::new(AtomicUsize::new(0));
        let proxies = &self.proxies;
        let closer = Arc::new(Mutex::new(self.closer.clone()));
        let connect = connect::Connect {
            trust: self.trust.clone(),
            proxies: Arc::clone(proxies),
            failed: Arc::clone(&self.failed),
            made: Arc::clone(&made),
            closer: Arc::clone(&closer),
        };
        let agent = Agent::with_parts(settings(family), connect, resolver::Names(Arc::clone(proxies)));
        Connection {
            agent,
            proxies: Arc::clone(proxies),
            made,
            closer,
            long_replies: self.long_replies.clone(),
            long_reply: RefCell::new(None),
            secrets: Arc::clone(&self.secrets),
        }
    }

    /// [`Connection::send`] with a connection of its own.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        self.connection(request.family).send(request, timeout)
    }
}

/// What ureq is to do, and what it is to leave to us.
fn settings(family: Option<Family>) -> ureq::config::Config {
    Agent::config_builder()
        // Of the Agent, since a request with another family would not use its connections.
        .ip_family(match family {
            None => IpFamily::Any,
            Some(Family::V4) => IpFamily::Ipv4Only,
            Some(Family::V6) => IpFamily::Ipv6Only,
        })
        // Or the environment's would count, whatever our configuration says.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .user_agent(USER_AGENT)
        .accept_encoding(AutoHeaderValue::None)
        .max_response_header_size(MAX_HEAD)
        .input_buffer_size(INPUT)
        .output_buffer_size(OUTPUT)
        .max_idle_connections(1)
        .max_idle_age(MAX_IDLE)
        .build()
}

/// The connection of one job at a time.
pub struct Connection {
    agent: Agent,
    proxies: Arc<Proxies>,
    /// How many connections were made.
    made: Arc<AtomicUsize>,
    /// Of the job that it serves.
    closer: Arc<Mutex<Closer>>,
    long_replies: LongReplies,
    /// Kept until the next request, for whoever still holds the last reply.
    long_reply: RefCell<Option<LongReply>>,
    /// Must not be shown of what the server says.
    secrets: Arc<Secrets>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Lets it serve another job, which `closer` can end; an error where it already did.
    pub fn lend(&self, closer: &Closer) -> io::Result<()> {
        self.long_reply.take();
        let mut current = self.closer.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = current.give_up();
        *current = closer.clone();
        stream.map_or(Ok(()), |stream| closer.admit(&stream))
    }

    /// Sends `request` and reads the answer, all within `timeout`.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        let now = Instant::now();
        let until = now.checked_add(timeout).unwrap_or(now);
        self.long_reply.take();
        let mut request = request.clone();
        let mut redirects = 0..MAX_REDIRECTS;
        loop {
            let failure = |error: &Error| Failure {
                why: format!(
                    "{}{}: {}",
                    host(&request.url),
                    self.via_proxy(&request.url),
                    error::explain(error, timeout)
                ),
                maybe_done: error::maybe_done(error),
            };
            let response = self.exchange_again(&request, until).map_err(|error| failure(&error))?;
            let status = response.status().as_u16();
            if status == 407 && !self.via_proxy(&request.url).is_empty() {
                let error = Error::ConnectProxyFailed(tunnel::OTHER_CREDENTIALS.to_owned());
                return Err(Failure { maybe_done: false, ..failure(&error) });
            }
            let location = field(response.headers(), "location");
            let refused = match location
                .and_then(|location| redirect::follow(&request, status, &location, &self.secrets))
            {
                Some(Ok(next)) if redirects.next().is_some() => {
                    request = next;
                    continue;
                }
                Some(Ok(_)) => Some(format!("another place, after {MAX_REDIRECTS} redirects")),
                Some(Err(why)) => Some(why),
                None => None,
            };
            let body = self.body(response, &request, until);
            return match body {
                Ok(reply) => Ok(Reply { redirect: refused, secrets: Arc::clone(&self.secrets), ..reply }),
                Err(error) => Err(failure(&error)),
            };
        }
    }

    /// For errors: through which proxy, if any.
    fn via_proxy(&self, url: &str) -> String {
        let proxy = HttpUrl::parse(url).and_then(|server| server.proxy(&self.proxies));
        proxy.map(|proxy| format!(" through the proxy {}", proxy.place())).unwrap_or_default()
    }

    /// The server may have closed the connection that is used again: reading may then
    /// be repeated (RFC 9112, section 9.5), once, over a new one.
    fn exchange_again(&self, request: &Request, until: Instant) -> Result<Response, Error> {
        let made = self.made.load(Ordering::Relaxed);
        let answer = self.exchange(request, until);
        let used_again = made == self.made.load(Ordering::Relaxed);
        // RFC 9110, section 9.2.1.
        let reads = matches!(request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
        match answer {
            Err(error) if used_again && reads && error::is_cut_off(&error) => {
                match self.exchange(request, until) {
                    // The first may have arrived.
                    Err(second) if !error::maybe_done(&second) => Err(error),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    fn exchange(&self, request: &Request, until: Instant) -> Result<Response, Error> {
        let server = HttpUrl::parse(&request.url).ok_or_else(|| Error::BadUri(String::new()))?;
        let mut head = http::Request::builder().method(request.method).uri(server.to_send());
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        let given = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if let Some(user) = server.user.filter(|_| !given("Authorization")) {
            let user = percent_decoded(user);
            // RFC 7617 wants the colon, even of nothing.
            let colon = if user.contains(':') { "" } else { ":" };
            head = head.header("Authorization", tunnel::basic(&format!("{user}{colon}")));
        }
        let proxy = server.proxy(&self.proxies).filter(|_| !server.https);
        if let Some(value) = proxy.and_then(tunnel::authorization) {
            head = head.header("Proxy-Authorization", value);
        }
        // Servers want a length of these, even of nothing.
        let needs_length = matches!(request.method, "POST" | "PUT" | "PATCH");
        let left = until.saturating_duration_since(Instant::now());
        match request.body.as_deref().or(needs_length.then_some("")) {
            Some(body) => self.run(head.body(body)?, left),
            None => self.run(head.body(())?, left),
        }
    }

    fn run<B: AsSendBody>(&self, request: http::Request<B>, left: Duration) -> Result<Response, Error> {
        let request = request.with_agent(&self.agent).configure().timeout_global(Some(left));
        let request = request.timeout_resolve(Some(CONNECT_TIMEOUT)).timeout_connect(Some(CONNECT_TIMEOUT));
        let response = request.run()?;
        let fields = response.headers().len();
        if fields > MAX_FIELDS { Err(Error::LargeResponseHeader(fields, MAX_FIELDS)) } else { Ok(response) }
    }

    /// Reads the body, as much as is wanted of it.
    fn body(&self, mut response: Response, request: &Request, until: Instant) -> Result<Reply, Error> {
        let headers = response.headers();
        let retry_after = field(headers, "retry-after");
        let retry_after = retry_after.and_then(|text| fields::retry_after(&text, now(headers)));
        let tells_length =
            headers.contains_key("content-length") || headers.contains_key("transfer-encoding");
        let status = response.status();
        let limit = if status.is_success() { request.max_reply } else { request.max_reply.min(SHORT_REPLY) };
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader();
        let mut read = read_on(&mut reader, &mut body, limit.min(SHORT_REPLY));
        if read.is_ok() && body.len() == SHORT_REPLY && limit > SHORT_REPLY {
            let permit = self.long_replies.begin(until).ok_or(io::Error::from(io::ErrorKind::TimedOut))?;
            self.long_reply.replace(Some(permit));
            // Or it would grow by doubling.
            body.reserve_exact(limit.saturating_sub(SHORT_REPLY));
            read = read_on(&mut reader, &mut body, limit.saturating_sub(SHORT_REPLY));
        }
        match read {
            // Old servers end TLS without a word. What they said before counts when its
            // first line is whole.
            Err(error)
                if error.kind() == io::ErrorKind::BrokenPipe && !tells_length && body.contains(&b'\n') => {}
            Err(error) if request.cut_will_do && status.is_success() && error::is_closed(&error) => {}
            read => read?,
        }
        Ok(Reply { status: status.as_u16(), retry_after, body: text(body), ..Reply::default() })
    }
}

fn read_on(reader: &mut impl Read, body: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    reader.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(body).map(drop)
}

/// `body` with `?` for each byte that is none of a text: in its place, so that a long one
/// does not take three times as much.
fn text(mut body: Vec<u8>) -> String {
    let mut at = 0_usize;
    while let Err(error) = std::str::from_utf8(body.get(at..).unwrap_or_default()) {
        at = at.saturating_add(error.valid_up_to());
        if let Some(byte) = body.get_mut(at) {
            *byte = b'?';
        }
        at = at.saturating_add(1);
    }
    String::from_utf8(body).unwrap_or_default()
}

type Response = http::Response<Body>;

/// The value of a field that occurs once.
fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The server's own clock if it tells, since a router's may stand in 1970.
fn now(headers: &HeaderMap) -> u64 {
    field(headers, "date").and_then(|text| fields::date(&text)).unwrap_or_else(unix_time)
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
