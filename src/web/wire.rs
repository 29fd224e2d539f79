//! How bytes get to a provider: name resolution and TLS, for ureq to use.
//!
//! ureq's own TLS takes either the built-in roots or given certificates; we
//! want both in one store. Its own resolver starts a thread with a full stack
//! and panics if it cannot; nobody tells whether a request has left; and plain
//! HTTP does not get through its proxies as most of them want it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use super::{tls, tunnel};
use crate::address::Family;
use crate::config::{Proxies, Proxy};
use crate::secret::Secret;

/// The C library's resolver works in less; the thread does nothing else.
const RESOLVER_STACK: usize = 256 * 1024;
/// How many addresses of a name are tried; as many as ureq can hold.
const MAX_ADDRESSES: usize = 16;

/// Looks names up, within the time that the request has left.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) proxies: Arc<Proxies>,
    /// The only family to use addresses of.
    pub(super) family: Option<Family>,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        // Names that a proxy is to reach are the proxy's to look up.
        let (host, port) = match proxy_for(&self.proxies, uri) {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (bare_host(uri).ok_or(Error::HostNotFound)?, port(uri)),
        };
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => look_up(host.to_owned(), port, timeout)?,
        };
        let usable = |address: &SocketAddr| match self.family {
            None => true,
            Some(family) => address.is_ipv4() == (family == Family::V4),
        };
        let any = !found.is_empty();
        let found: Vec<SocketAddr> = found.into_iter().filter(usable).collect();
        if any && found.is_empty() {
            return Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
        }
        let mut addresses = self.empty();
        found.into_iter().take(MAX_ADDRESSES).for_each(|address| addresses.push(address));
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// The system's resolver takes no deadline, so a thread waits for it; when it
/// is late its answer is dropped.
fn look_up(host: String, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, Error> {
    let (sender, answer) = mpsc::sync_channel(1);
    thread::Builder::new().name("resolve".into()).stack_size(RESOLVER_STACK).spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        let _ = sender.send(found);
    })?;
    match answer.recv_timeout(*timeout.after) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => Err(Error::HostNotFound),
        Err(_) => Err(Error::Timeout(Timeout::Resolve)),
    }
}

/// Without the brackets of an IPv6 address.
fn bare_host(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if is_https(uri) { 443 } else { 80 })
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// The proxy that requests to `uri` go through.
pub(super) fn proxy_for<'a>(proxies: &'a Proxies, uri: &Uri) -> Option<&'a Proxy> {
    proxies.choose(is_https(uri), bare_host(uri)?, port(uri))
}

/// The host and port of `uri` as they stand in a request line.
fn authority(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
}

/// Puts TLS on TCP where the URL says so, and notes when a request leaves.
pub(super) struct Wires {
    pub(super) trust: tls::Trust,
    pub(super) proxies: Arc<Proxies>,
    pub(super) sent: Arc<AtomicBool>,
    /// Set when a connection is made, rather than used again.
    pub(super) fresh: Arc<AtomicBool>,
}

impl fmt::Debug for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wires")
    }
}

impl<In: Transport> Connector<In> for Wires {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, tcp: Option<In>) -> Result<Option<Wire>, Error> {
        let Some(tcp) = tcp else {
            return Ok(None);
        };
        self.fresh.store(true, Ordering::Relaxed);
        let mut way: Box<dyn Transport> = Box::new(tcp);
        let mut detour = None;
        if let Some(proxy) = proxy_for(&self.proxies, details.uri) {
            let authorization = proxy.credentials.as_ref().map(|c| tunnel::basic(c.reveal()));
            if proxy.tls {
                way = self.trust.secure(details, way, &proxy.host)?;
            }
            if details.needs_tls() {
                let mut stream = adapter(details, way);
                tunnel::open(&mut stream, &authority(details.uri), authorization.as_deref())?;
                way = stream.into_inner();
            } else {
                detour = Some(Detour {
                    authority: authority(details.uri),
                    authorization: authorization.map(Secret::new),
                });
            }
        }
        if details.needs_tls() {
            let host = bare_host(details.uri).ok_or(Error::HostNotFound)?;
            way = self.trust.secure(details, way, host)?;
        }
        Ok(Some(Wire { sent: Arc::clone(&self.sent), way, detour }))
    }
}

/// A stream that ends when the time for connecting does.
pub(super) fn adapter(details: &ConnectionDetails, way: Box<dyn Transport>) -> TransportAdapter {
    let mut adapter = TransportAdapter::new(way, Arc::clone(&details.current_time));
    adapter.set_timeout(time_left(details));
    adapter
}

/// The time for connecting began before TCP was there.
fn time_left(details: &ConnectionDetails) -> NextTimeout {
    let spent = match ((details.current_time)(), details.now) {
        (Instant::Exact(now), Instant::Exact(began)) => now.saturating_duration_since(began),
        _ => std::time::Duration::ZERO,
    };
    let after = match details.timeout.after {
        Duration::Exact(limit) => Duration::Exact(limit.saturating_sub(spent)),
        Duration::NotHappening => Duration::NotHappening,
    };
    NextTimeout { after, ..details.timeout }
}

/// A connection to a provider.
pub(super) struct Wire {
    sent: Arc<AtomicBool>,
    way: Box<dyn Transport>,
    detour: Option<Detour>,
}

/// What a proxy wants to know with every request in plain HTTP.
struct Detour {
    authority: String,
    authorization: Option<Secret>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Detour {
    /// Sends the beginning of a request as a proxy wants it.
    fn send(&self, tcp: &mut dyn Transport, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = tcp.buffers().output().get(..amount).unwrap_or_default();
        let authorization = self.authorization.as_ref().map(Secret::reveal);
        let whole = tunnel::with_whole_url(output, &self.authority, authorization);
        let mut rest = whole.as_slice();
        while !rest.is_empty() {
            let room = tcp.buffers().output();
            let step = room.len().min(rest.len());
            let (now, later) = rest.split_at_checked(step).unwrap_or((rest, &[]));
            let Some(place) = room.get_mut(..step).filter(|_| step > 0) else {
                return Err(Error::BodyStalled);
            };
            place.copy_from_slice(now);
            tcp.transmit_output(step, timeout)?;
            rest = later;
        }
        Ok(())
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.way.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let begins = !self.sent.swap(true, Ordering::Relaxed);
        match &self.detour {
            Some(detour) if begins => detour.send(&mut *self.way, amount, timeout),
            _ => self.way.transmit_output(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.way.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.way.is_open()
    }

    fn is_tls(&self) -> bool {
        self.way.is_tls()
    }
}
