//! How bytes get to a provider: names are looked up, connections made and, where
//! the URL or a proxy says so, secured.
//!
//! All of it, and what is sent and read later, ends by a deadline.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{tls, tunnel};
use crate::address::Family;
use crate::config::Proxy;
use crate::http::{Response, ResponseReader, Rules};
use crate::system::resolve::look_up;
use crate::transport::error::Error;
use crate::transport::url::Place;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 16;
/// Bytes taken in one read.
const READ_SIZE: usize = 4 * 1024;

/// A connection, plain or secured.
pub(super) trait Stream: Read + Write + Send {
    /// From now on, nothing takes longer.
    fn set_deadline(&mut self, until: Instant);

    /// Whether the peer has neither closed nor said anything unasked.
    fn is_open(&mut self) -> bool;
}

/// Connects to `place`, through `proxy` if there is one, by addresses of `family`
/// alone if one is given.
pub(super) fn connect(
    place: &Place<'_>,
    proxy: Option<&Proxy>,
    family: Option<Family>,
    trust: &tls::Trust,
    until: Instant,
) -> Result<Box<dyn Stream>, Error> {
    // Names that a proxy is to reach are the proxy's to look up.
    let (host, port) = proxy.map_or((place.host(), place.port), |proxy| (proxy.host.as_str(), proxy.port));
    let mut stream: Box<dyn Stream> = Box::new(Tcp::connect(&find(host, port, family, until)?, until)?);
    if let Some(proxy) = proxy {
        if proxy.tls {
            stream = trust.secure(stream, &proxy.host)?;
        }
        if place.https {
            tunnel::open(&mut *stream, &place.authority(), tunnel::authorization(proxy).as_deref())?;
        }
    }
    if place.https { trust.secure(stream, place.host()) } else { Ok(stream) }
}

/// The addresses of a host; never none.
fn find(host: &str, port: u16, family: Option<Family>, until: Instant) -> Result<Vec<SocketAddr>, Error> {
    let mut found = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => look_up(host, port, left(until)?)?,
    };
    if let Some(family) = family {
        found.retain(|address| address.is_ipv4() == (family == Family::V4));
    }
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() { Err(Error::NoSuchFamily) } else { Ok(found) }
}

/// Sends a request and reads the answer; also tells whether the connection may be
/// used again.
pub(super) fn converse(
    stream: &mut dyn Stream,
    bytes: &[u8],
    rules: Rules,
) -> Result<(Response, bool), Error> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut reader = ResponseReader::new(rules);
    let mut buffer = [0; READ_SIZE];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return Ok((reader.finish()?, false)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(response) = reader.push(buffer.get(..count).unwrap_or_default())? {
            let stays = reader.is_at_end() && response.head.keeps_connection();
            return Ok((response, stays));
        }
    }
}

/// The time until `until`; an error if there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A plain connection.
struct Tcp {
    stream: TcpStream,
    until: Instant,
}

impl Tcp {
    /// Connects to the first of `addresses` that answers. One that is silent leaves
    /// time for the others.
    fn connect(addresses: &[SocketAddr], until: Instant) -> Result<Self, Error> {
        let mut failed = Error::NotFound;
        for (address, others) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let share = left(until)?.checked_div(u32::try_from(others).unwrap_or(1)).unwrap_or_default();
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    // The last message of a handshake and the request are two.
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, until });
                }
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }
}

/// What a socket says when its time is over depends on the system.
fn late(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Tcp {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(bytes).map_err(late)
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Tcp {
    fn set_deadline(&mut self, until: Instant) {
        self.until = until;
    }

    fn is_open(&mut self) -> bool {
        let silent = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            peeked
        };
        silent(&self.stream).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
