//! Requests to providers over HTTP and HTTPS.
//!
//! One exchange has one absolute deadline, from the name's look-up to the last
//! byte, and caps for head and body. A status is an answer, whatever it says. A
//! redirect never leads to another host or away from TLS. Left out: cookies,
//! compression, HTTP/2.
//!
//! `tls.rs` and `crypto_provider.rs` are the only files that know rustls;
//! a build without TLS has `no_tls.rs` in their place. A name (not an address) in a
//! URL takes one short-lived thread.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ureq::config::{AutoHeaderValue, IpFamily};
use ureq::http::{self, HeaderMap};
use ureq::{Agent, AsSendBody, Body, Error, RequestExt as _};

pub use super::tls::WebError;
use super::url::Place;
use super::{connect, error, fields, resolver, tls, tunnel};
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
/// Says who asks, as the terms of use of many services want it.
const USER_AGENT: &str =
    concat!("ddns-update-daemon/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")");
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
        let made = Arc::new(AtomicUsize::new(0));
        let proxies = &self.proxies;
        let connect = connect::Connect {
            trust: self.trust.clone(),
            proxies: Arc::clone(proxies),
            made: Arc::clone(&made),
        };
        let agent = Agent::with_parts(settings(family), connect, resolver::Names(Arc::clone(proxies)));
        Session { agent, proxies: Arc::clone(proxies), made }
    }

    /// [`Session::send`] with a connection of its own.
    pub fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        self.session(request.family).send(request, timeout)
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

/// The connection of one job.
pub struct Session {
    agent: Agent,
    proxies: Arc<config::Proxies>,
    /// How many connections were made.
    made: Arc<AtomicUsize>,
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
            let failure = |error: &Error| Failure {
                why: format!("{}{}: {}", host(&url), self.via_proxy(&url), error::explain(error, timeout)),
                maybe_done: error::maybe_done(error),
            };
            let response = self.exchange_again(request, &url, until).map_err(|error| failure(&error))?;
            if response.status() == 407 && !self.via_proxy(&url).is_empty() {
                let error = Error::ConnectProxyFailed(tunnel::OTHER_CREDENTIALS.to_owned());
                return Err(Failure { maybe_done: false, ..failure(&error) });
            }
            match follow(request, &url, &response).filter(|_| redirects.next().is_some()) {
                Some(next) => url = next,
                None => return reply(response, request.max_reply).map_err(|error| failure(&error)),
            }
        }
    }

    /// For errors: through which proxy, if any.
    fn via_proxy(&self, url: &str) -> String {
        let proxy = Place::of(url).and_then(|place| place.proxy(&self.proxies));
        proxy.map(|proxy| format!(" through the proxy {}", proxy.place())).unwrap_or_default()
    }

    /// The server may have closed the connection that is used again: reading may then
    /// be repeated (RFC 9112, section 9.5), once, over a new one.
    fn exchange_again(&self, request: &Request, url: &str, until: Instant) -> Result<Response, Error> {
        let made = self.made.load(Ordering::Relaxed);
        let answer = self.exchange(request, url, until);
        let used_again = made == self.made.load(Ordering::Relaxed);
        let reads = matches!(request.method, "GET" | "HEAD");
        match answer {
            Err(error) if used_again && reads && error::is_cut_off(&error) => {
                self.exchange(request, url, until)
            }
            answer => answer,
        }
    }

    fn exchange(&self, request: &Request, url: &str, until: Instant) -> Result<Response, Error> {
        let place = Place::of(url).ok_or_else(|| Error::BadUri(String::new()))?;
        let mut head = http::Request::builder().method(request.method).uri(place.plain());
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        let given = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if let Some(user) = place.user.filter(|_| !given("Authorization")) {
            // RFC 7617 wants the colon, even of nothing.
            let colon = if user.contains(':') { "" } else { ":" };
            head = head.header("Authorization", tunnel::basic(&format!("{user}{colon}")));
        }
        let proxy = place.proxy(&self.proxies).filter(|_| !place.https);
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
        request.with_agent(&self.agent).configure().timeout_global(Some(left)).run()
    }
}

type Response = http::Response<Body>;

/// Where to ask instead, if the answer is a redirect that we follow.
fn follow(request: &Request, url: &str, response: &Response) -> Option<String> {
    let again = matches!(request.method, "GET" | "HEAD");
    if !again || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    fields::redirect(url, field(response.headers(), "location")?)
}

fn reply(mut response: Response, max_reply: usize) -> Result<Reply, Error> {
    let status = response.status().as_u16();
    let retry_after = field(response.headers(), "retry-after")
        .and_then(|text| fields::retry_after(text, now(response.headers())));
    let limit = if response.status().is_success() { max_reply } else { max_reply.min(SHORT_REPLY) };
    let mut body = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    response.body_mut().as_reader().take(limit).read_to_end(&mut body)?;
    let body = String::from_utf8(body)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Reply { status, retry_after, body })
}

/// The value of a field that occurs once.
fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
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
