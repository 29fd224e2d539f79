//! Requests to providers over HTTP and HTTPS.
//!
//! One exchange has one absolute deadline, from the name's look-up to the last
//! byte, and caps for head and body. A status is an answer, whatever it says. A
//! redirect never leads to another host or away from TLS. Left out: cookies,
//! compression, HTTP/2.
//!
//! This folder is the only place that knows ureq, and `tls.rs` in it the only
//! one that knows rustls; a build without TLS has `no_tls.rs` in its place. ureq
//! starts no thread here; a name (not an address) in a URL takes one
//! short-lived thread.

mod explain;
pub mod fields;
#[cfg_attr(not(feature = "tls"), path = "web/no_tls.rs")]
mod tls;
mod tunnel;
mod wire;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ureq::config::AutoHeaderValue;
use ureq::http::{self, HeaderMap};
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, AsSendBody, Body, Error};

pub use self::tls::WebError;
use crate::address::Family;
use crate::config;
use crate::updaters::{Failure, Reply, Request, SHORT_REPLY};

/// The time for one exchange (`updaters.md`, rule 5: a slow name server behind
/// a provider took 12 s).
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest head of an answer; policies and cookies fill some kilobytes.
const MAX_HEAD: usize = 16 * 1024;
/// Must hold a head with room for more, or reading would seem to stall.
const INPUT: usize = MAX_HEAD + 4 * 1024;
/// Must hold the head of a request; servers take 8 KiB.
const OUTPUT: usize = 16 * 1024;
/// A body is taken in steps of this size, so that small ones stay small.
const CHUNK: u64 = 16 * 1024;
/// Redirects that are followed: a slash, TLS, a new path.
const MAX_REDIRECTS: usize = 3;
/// Says who asks, as the terms of use of many services want it.
const USER_AGENT: &str =
    concat!("ddns-update-daemon/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")");

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

    /// Connections for one job, of this family only, if one is given: they are used
    /// again by its later requests and closed when it is dropped.
    #[must_use]
    pub fn session(&self, family: Option<Family>) -> Session {
        let sent = Arc::new(AtomicBool::new(false));
        let fresh = Arc::new(AtomicBool::new(false));
        let proxies = Arc::clone(&self.proxies);
        let wires = wire::Wires {
            trust: self.trust.clone(),
            proxies: Arc::clone(&proxies),
            sent: Arc::clone(&sent),
            fresh: Arc::clone(&fresh),
        };
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(MAX_HEAD)
            .input_buffer_size(INPUT)
            .output_buffer_size(OUTPUT)
            .max_idle_connections(1)
            .build();
        Session {
            agent: Agent::with_parts(
                settings,
                TcpConnector::default().chain(wires),
                wire::Names { proxies: Arc::clone(&proxies), family },
            ),
            proxies,
            sent,
            fresh,
        }
    }

    /// [`Session::send`] with connections of its own.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        self.session(request.family).send(request, timeout)
    }
}

/// The connections of one job.
pub struct Session {
    agent: Agent,
    proxies: Arc<config::Proxies>,
    /// Whether a byte of the latest request has left.
    sent: Arc<AtomicBool>,
    /// Whether the latest request got a new connection.
    fresh: Arc<AtomicBool>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Sends `request` and reads the answer, all within `timeout`.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        let began = Instant::now();
        let mut url = request.url.clone();
        let mut redirects = 0..MAX_REDIRECTS;
        loop {
            let failure = |error: &Error| Failure {
                why: format!("{}{}: {}", host(&url), self.detour(&url), explain::explain(error, timeout)),
                maybe_done: self.sent.load(Ordering::Relaxed),
            };
            let left = || timeout.saturating_sub(began.elapsed());
            let mut response = self.exchange(request, &url, left());
            if response.as_ref().is_err_and(|error| self.went_stale(request, error)) {
                response = self.exchange(request, &url, left());
            }
            let response = response.map_err(|error| failure(&error))?;
            if response.status() == 407 && !self.detour(&url).is_empty() {
                let error = Error::ConnectProxyFailed(tunnel::OTHER_CREDENTIALS.to_owned());
                return Err(Failure { maybe_done: false, ..failure(&error) });
            }
            let next = follow(request, &url, &response).filter(|_| redirects.next().is_some());
            match next {
                Some(next) => url = next,
                None => return reply(response, request.max_reply).map_err(|error| failure(&error)),
            }
        }
    }

    /// For errors: through which proxy, if any.
    fn detour(&self, url: &str) -> String {
        let proxy = url.parse().ok().and_then(|uri| wire::proxy_for(&self.proxies, &uri));
        proxy.map(|proxy| format!(" through the proxy {}", proxy.place())).unwrap_or_default()
    }

    /// Whether the server had closed the connection that we used again. Reading
    /// may then be repeated (RFC 9112, section 9.5), once: the next connection
    /// is a new one.
    fn went_stale(&self, request: &Request, error: &Error) -> bool {
        let read_only = matches!(request.method, "GET" | "HEAD");
        let closed = matches!(error, Error::Io(error) if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        ));
        read_only && closed && !self.fresh.load(Ordering::Relaxed)
    }

    fn exchange(
        &self,
        request: &Request,
        url: &str,
        timeout: Duration,
    ) -> Result<http::Response<Body>, Error> {
        self.sent.store(false, Ordering::Relaxed);
        self.fresh.store(false, Ordering::Relaxed);
        let mut builder = http::Request::builder().method(request.method).uri(url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        // Servers want a length of these, even of nothing.
        let needs_length = matches!(request.method, "POST" | "PUT" | "PATCH");
        match request.body.as_deref().or(needs_length.then_some("")) {
            Some(body) => self.run(builder.body(body)?, timeout),
            None => self.run(builder.body(())?, timeout),
        }
    }

    fn run(
        &self,
        request: http::Request<impl AsSendBody>,
        timeout: Duration,
    ) -> Result<http::Response<Body>, Error> {
        let request = self.agent.configure_request(request).timeout_global(Some(timeout)).build();
        self.agent.run(request)
    }
}

/// Where to ask instead, if the answer is a redirect that we follow.
fn follow<T>(request: &Request, url: &str, response: &http::Response<T>) -> Option<String> {
    let again = matches!(request.method, "GET" | "HEAD");
    if !again || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    fields::redirect(url, field(response.headers(), "location")?)
}

fn reply(mut response: http::Response<Body>, max_reply: usize) -> Result<Reply, Error> {
    let status = response.status().as_u16();
    let retry_after = field(response.headers(), "retry-after")
        .and_then(|text| fields::retry_after(text, now(response.headers())));
    let limit = if response.status().is_success() { max_reply } else { max_reply.min(SHORT_REPLY) };
    let mut body = Vec::new();
    let mut reader = response.body_mut().as_reader();
    loop {
        let room = limit.saturating_sub(body.len());
        let step = u64::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        if reader.by_ref().take(step).read_to_end(&mut body).map_err(unwrapped)? == 0 {
            break;
        }
    }
    let body = String::from_utf8(body)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Reply { status, retry_after, body })
}

/// ureq wraps its own errors to get them through `Read`, and unwraps them here.
fn unwrapped(error: io::Error) -> Error {
    Error::from(error)
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The server's own clock if it tells, since a router's may stand in 1970.
fn now(headers: &HeaderMap) -> u64 {
    field(headers, "date")
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
