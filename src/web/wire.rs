//! How bytes get to a provider: name resolution and TLS, for ureq to use.
//!
//! ureq's own TLS takes either the built-in roots or given certificates; we
//! want both in one store. Its own resolver starts a thread with a full stack
//! and panics if it cannot; and nobody tells whether a request has left.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use crate::address::Family;

/// The C library's resolver works in less; the thread does nothing else.
const RESOLVER_STACK: usize = 256 * 1024;
/// How many addresses of a name are tried; as many as ureq can hold.
const MAX_ADDRESSES: usize = 16;

/// Looks names up, within the time that the request has left.
#[derive(Debug)]
pub(super) struct Names {
    /// The only family to use addresses of.
    pub(super) family: Option<Family>,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = bare_host(uri).ok_or(Error::HostNotFound)?;
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
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

/// Puts TLS on TCP where the URL says so, and notes when a request leaves.
pub(super) struct Wires {
    pub(super) tls: Arc<ClientConfig>,
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
        let tcp: Box<dyn Transport> = Box::new(tcp);
        let sent = Arc::clone(&self.sent);
        if !details.needs_tls() {
            return Ok(Some(Wire { sent, inner: Inner::Plain(tcp) }));
        }
        let name = bare_host(details.uri).and_then(|host| ServerName::try_from(host.to_owned()).ok());
        let name = name.ok_or(Error::Tls("not a host name"))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        let mut socket = TransportAdapter::new(tcp, Arc::clone(&details.current_time));
        socket.set_timeout(time_left(details));
        connection.complete_io(&mut socket)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned::new(connection, socket);
        Ok(Some(Wire { sent, inner: Inner::Tls(Box::new(Tls { buffers, stream })) }))
    }
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
    inner: Inner,
}

enum Inner {
    Plain(Box<dyn Transport>),
    Tls(Box<Tls>),
}

struct Tls {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match &mut self.inner {
            Inner::Plain(tcp) => tcp.buffers(),
            Inner::Tls(tls) => &mut tls.buffers,
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.sent.store(true, Ordering::Relaxed);
        match &mut self.inner {
            Inner::Plain(tcp) => tcp.transmit_output(amount, timeout),
            Inner::Tls(tls) => {
                tls.stream.sock.set_timeout(timeout);
                let output = tls.buffers.output().get(..amount).unwrap_or_default();
                Ok(tls.stream.write_all(output)?)
            }
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        match &mut self.inner {
            Inner::Plain(tcp) => tcp.await_input(timeout),
            Inner::Tls(tls) => {
                tls.stream.sock.set_timeout(timeout);
                let amount = tls.stream.read(tls.buffers.input_append_buf())?;
                tls.buffers.input_appended(amount);
                Ok(amount > 0)
            }
        }
    }

    fn is_open(&mut self) -> bool {
        match &mut self.inner {
            Inner::Plain(tcp) => tcp.is_open(),
            Inner::Tls(tls) => tls.stream.sock.get_mut().is_open(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }
}
