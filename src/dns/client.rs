//! One message to a name server and its answer, over TCP or UDP: RFC 1035,
//! section 4.2.
//!
//! Over TCP, exchanges with one server share a connection (RFC 7766, section 6.2.1).
//! An exchange has one absolute deadline. Over TCP the first message is the
//! answer. Over UDP anybody can send one, so what is not proven to be the answer
//! is passed over until the time is up. The same bytes may arrive twice; for our
//! questions and updates that is harmless, as long as nothing newer has been sent: from
//! then on, nothing is sent again.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Exchange, Sent, Verified};
use super::message::MAX_MESSAGE;
use super::resolv;
use super::server::{Host, Server, Transport};
use crate::system::clock::unix_time;
use crate::system::closer::{Closer, deliver_now_or_never};
use crate::system::race::{self, Failed};
use crate::system::resolve;

/// The time for one exchange, all ways and addresses together.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Of it, for one attempt over TCP; leaves room for UDP.
const TCP_TIME: Duration = Duration::from_secs(12);
/// And of that, for the connection; who is there is there sooner.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long to wait after each datagram.
const UDP_WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The first of these waits, where there are other addresses.
const FIRST_OF_SEVERAL: Duration = Duration::from_millis(500);
/// Datagrams read in one exchange; more is an attack, and ends it.
const MAX_DATAGRAMS: u32 = 4096;
/// Longer messages go over TCP: they would be cut in pieces on the way.
const MAX_REQUEST: usize = 1232;
/// Addresses of one server that are tried.
const MAX_ADDRESSES: usize = 4;
/// What tells the system's resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// No such file is longer.
const MAX_RESOLV_CONF: u64 = 64 * 1024;

/// Addresses of name servers that lately did not answer.
static FAILED: Failed = Failed::new();

/// Why there is no answer.
#[derive(Debug)]
pub enum DnsError {
    /// The system names no resolver.
    NoResolver,
    /// The server's name leads to no address.
    NoAddress(String),
    /// Nothing of it was sent, as nothing may be any more.
    Stopped(io::Error),
    /// Nobody could be reached there.
    Unreachable(SocketAddr, io::Error),
    /// The message left, and nothing came in time.
    Silent(SocketAddr),
    /// The message left, and the connection ended before the answer was whole.
    Closed(SocketAddr),
    /// What came over TCP was no answer to the message.
    NotAnAnswer(SocketAddr),
    /// The answer over UDP was cut short, and TCP leads nowhere.
    CutShort(SocketAddr),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResolver => {
                write!(
                    f,
                    "the zone's server is not known: {RESOLV_CONF} names no resolver; set server and zone"
                )
            }
            Self::NoAddress(host) => write!(f, "the name server {host} has no address that could be found"),
            Self::Stopped(why) => why.fmt(f),
            Self::Unreachable(address, error) => {
                write!(f, "the name server {address} cannot be reached: {error}")
            }
            Self::Silent(address) => write!(f, "the name server {address} did not answer in time"),
            Self::Closed(address) => {
                write!(f, "the name server {address} ended the connection without an answer")
            }
            Self::NotAnAnswer(address) => write!(f, "what the name server {address} sent is no answer"),
            Self::CutShort(address) => {
                write!(f, "the name server {address} cut its answer short, and cannot be reached over TCP")
            }
        }
    }
}

impl std::error::Error for DnsError {}

impl DnsError {
    /// Whether the message may have arrived all the same.
    #[must_use]
    pub fn maybe_done(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Closed(_) | Self::NotAnAnswer(_) | Self::CutShort(_))
    }
}

/// The resolvers of this system.
#[must_use]
pub fn system_resolvers() -> Vec<SocketAddr> {
    let mut text = String::new();
    let read = File::open(RESOLV_CONF).and_then(|file| file.take(MAX_RESOLV_CONF).read_to_string(&mut text));
    if read.is_ok() { resolv::resolvers(&text) } else { Vec::new() }
}

/// Sends the message and returns what came back until the deadline; from the
/// first of the server's addresses where something did.
/// `kept`: the connection that the exchange before left, and this one leaves.
/// `closer`: whether it may still be sent, or sent again.
pub fn exchange(
    exchange: &Exchange,
    resolvers: &[SocketAddr],
    kept: &mut Option<Connection>,
    closer: &Closer,
    deadline: Instant,
) -> Result<Verified, DnsError> {
    closer.check().map_err(DnsError::Stopped)?;
    let mut addresses = match &exchange.server {
        Some(server) => addresses(server, deadline)?,
        None => resolvers.to_vec(),
    };
    addresses = FAILED.order(&addresses);
    addresses.truncate(MAX_ADDRESSES);
    let sent = &exchange.sent;
    let small = sent.bytes.len() <= MAX_REQUEST;
    match exchange.transport {
        Transport::Udp if small => match over_udp(sent, addresses, closer, deadline)? {
            (address, judged) if is_truncated(&judged) => {
                let whole = over_tcp(sent, vec![address], kept, closer, deadline);
                whole.map_err(|error| if error.maybe_done() { error } else { DnsError::CutShort(address) })
            }
            (_, judged) => Ok(judged),
        },
        Transport::Tcp | Transport::Udp => over_tcp(sent, addresses, kept, closer, deadline),
        Transport::Auto => match over_tcp(sent, addresses.clone(), kept, closer, deadline) {
            Err(unreachable @ DnsError::Unreachable(..)) if small => {
                match over_udp(sent, addresses, closer, deadline) {
                    Ok((address, judged)) if is_truncated(&judged) => Err(DnsError::CutShort(address)),
                    Ok((_, judged)) => Ok(judged),
                    Err(silent @ DnsError::Silent(_)) => Err(silent),
                    Err(_) => Err(unreachable),
                }
            }
            ended => ended,
        },
    }
}

fn addresses(server: &Server, deadline: Instant) -> Result<Vec<SocketAddr>, DnsError> {
    match &server.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, server.port)]),
        Host::Name(name) => {
            resolve::look_up(name, server.port, left(deadline)).map_err(|_| DnsError::NoAddress(name.clone()))
        }
    }
}

fn is_truncated(judged: &Verified) -> bool {
    match judged {
        Verified::Answer { message, .. } => message.flags.is_truncated(),
        Verified::Unproven { truncated, .. } => *truncated,
        Verified::NotAnAnswer => false,
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn sooner(deadline: Instant, time: Duration) -> Instant {
    Instant::now().checked_add(time).map_or(deadline, |end| end.min(deadline))
}

// -- TCP --------------------------------------------------------------------

/// A connection, and whom it leads to.
pub type Connection = (SocketAddr, Arc<TcpStream>);

/// Whoever answers first; where that one then fails, the others.
fn over_tcp(
    sent: &Sent,
    mut addresses: Vec<SocketAddr>,
    kept: &mut Option<Connection>,
    closer: &Closer,
    deadline: Instant,
) -> Result<Verified, DnsError> {
    let mut failure = DnsError::NoResolver;
    if let Some(connection) = kept.take_if(|(address, _)| addresses.contains(address)) {
        closer.admit(&connection.1).map_err(DnsError::Stopped)?;
        // Servers close what was idle for a moment. What comes twice is harmless.
        match converse(sent, &connection, sooner(deadline, TCP_TIME)) {
            Ok(verified) => {
                *kept = Some(connection);
                return Ok(verified);
            }
            Err(error) => failure = error,
        }
    }
    while let Some(first) = addresses.first().copied() {
        let until = sooner(deadline, TCP_TIME);
        let connected = race::connect(&addresses, sooner(until, CONNECT_TIME), &FAILED)
            .and_then(|stream| Ok((stream.peer_addr()?, Arc::new(stream))));
        let connection = match connected {
            Ok(connected) => connected,
            Err(_) if failure.maybe_done() => break,
            Err(error) => return Err(DnsError::Unreachable(first, error)),
        };
        match closer.admit(&connection.1) {
            Ok(()) => {}
            Err(_) if failure.maybe_done() => break,
            Err(why) => return Err(DnsError::Stopped(why)),
        }
        failure = match converse(sent, &connection, until) {
            Ok(verified) => {
                *kept = Some(connection);
                return Ok(verified);
            }
            Err(error) => error,
        };
        let (address, _) = connection;
        FAILED.note(address, false);
        addresses.retain(|other| *other != address);
        if Instant::now() >= deadline {
            break;
        }
    }
    Err(failure)
}

/// The answer, or why there is none though the message has left.
fn converse(sent: &Sent, (address, stream): &Connection, deadline: Instant) -> Result<Verified, DnsError> {
    let failure = match send_and_receive(stream, &sent.bytes, deadline) {
        Ok(answer) => match sent.judge(&answer, unix_time()) {
            Verified::NotAnAnswer => DnsError::NotAnAnswer(*address),
            verified => return Ok(verified),
        },
        Err(error) if is_pause(&error) => DnsError::Silent(*address),
        Err(_) => DnsError::Closed(*address),
    };
    // Or the system would go on sending it.
    deliver_now_or_never(stream);
    Err(failure)
}

/// Both messages bear their length in front.
fn send_and_receive(mut stream: &TcpStream, message: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(some_time(deadline)?))?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())?;
    let mut length = [0; 2];
    read_until(stream, &mut length, deadline)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    read_until(stream, &mut answer, deadline)?;
    Ok(answer)
}

fn read_until(mut stream: &TcpStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(some_time(deadline)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => buffer = buffer.get_mut(length..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn some_time(deadline: Instant) -> io::Result<Duration> {
    Some(left(deadline)).filter(|left| !left.is_zero()).ok_or_else(|| ErrorKind::TimedOut.into())
}

// -- UDP --------------------------------------------------------------------

/// Asks all addresses in turns, and again after longer waits.
fn over_udp(
    sent: &Sent,
    addresses: Vec<SocketAddr>,
    closer: &Closer,
    deadline: Instant,
) -> Result<(SocketAddr, Verified), DnsError> {
    let mut failure = DnsError::NoResolver;
    let mut doubtful = None;
    let mut budget = MAX_DATAGRAMS;
    let mut asked: Vec<(SocketAddr, UdpSocket)> = Vec::new();
    for address in addresses {
        match open(address) {
            Ok(socket) => asked.push((address, socket)),
            Err(error) => failure = DnsError::Unreachable(address, error),
        }
    }
    let first_wait = (asked.len() > 1).then_some(FIRST_OF_SEVERAL);
    for wait in first_wait.into_iter().chain(UDP_WAITS) {
        for (address, socket) in mem::take(&mut asked) {
            let until = sooner(deadline, wait);
            let left = match closer.check() {
                Ok(()) => socket.send(&sent.bytes).map(drop),
                // What was sent may still be answered.
                Err(_) if failure.maybe_done() => Ok(()),
                Err(why) => return Err(DnsError::Stopped(why)),
            };
            let tried = left.and_then(|()| receive(&socket, sent, until, &mut budget, &mut doubtful));
            match tried {
                Ok(Some(judged)) => {
                    FAILED.note(address, true);
                    for (silent, _) in &asked {
                        FAILED.note(*silent, false);
                    }
                    return Ok((address, judged));
                }
                Ok(None) => {
                    failure = DnsError::Silent(address);
                    asked.push((address, socket));
                }
                Err(_) if failure.maybe_done() => {}
                Err(error) => failure = DnsError::Unreachable(address, error),
            }
        }
        if asked.is_empty() || Instant::now() >= deadline || budget == 0 {
            break;
        }
    }
    let address = asked.first().map(|(address, _)| *address);
    doubtful.zip(address).map(|(judged, address)| (address, judged)).ok_or(failure)
}

/// A new port, which a forger must guess besides the id.
fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// The answer, if it comes until then. Something that has our id without proof
/// is kept for the case that nothing better comes, unless it asks for TCP:
/// following that is harmless.
fn receive(
    socket: &UdpSocket,
    sent: &Sent,
    until: Instant,
    budget: &mut u32,
    doubtful: &mut Option<Verified>,
) -> io::Result<Option<Verified>> {
    let mut buffer = vec![0; MAX_MESSAGE];
    while *budget > 0 {
        let Ok(time) = some_time(until) else { break };
        socket.set_read_timeout(Some(time))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(error),
        };
        *budget = budget.saturating_sub(1);
        match sent.judge(buffer.get(..length).unwrap_or_default(), unix_time()) {
            Verified::NotAnAnswer => {}
            judged if matches!(judged, Verified::Answer { .. }) || is_truncated(&judged) => {
                return Ok(Some(judged));
            }
            judged => *doubtful = Some(judged),
        }
    }
    Ok(None)
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
