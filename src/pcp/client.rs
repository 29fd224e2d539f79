//! Learns the external address by a mapping that lives for a moment: RFC 6887,
//! sections 8.1.1, 11 and 15.
//!
//! Whatever may have made a mapping is followed by its removal, also when no
//! answer came; a removal that is lost as well leaves a mapping of
//! [`pcp::LIFETIME`](crate::pcp::message::LIFETIME) seconds. The port that is mapped is
//! that of our own socket, which hears nobody but the gateway. Discard (9) would
//! be the port made for this, but miniupnpd, told to allow none below 1024 as it
//! usually is, tries every external port for it and answers nobody for seconds.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::natpmp::message::{MAX_DATAGRAM, PORT};
use crate::pcp::message;
use crate::pcp::message::{Granted, Mapping, Nonce, PcpError};

/// How long to wait after each request. The RFC begins with three seconds, as
/// gateways may be slow with it; a poll has less in all.
const ASK_WAITS: [Duration; 2] = [Duration::from_millis(1200), Duration::from_millis(1500)];

/// How long to wait after each removal.
const REMOVE_WAITS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(350), Duration::from_millis(500)];

/// What the removal may take; it is kept back from the deadline.
const REMOVE_TIME: Duration = Duration::from_millis(1100);

/// The most datagrams read in an exchange that needs two.
const MAX_DATAGRAMS: u8 = 64;

/// Why there is no address.
#[derive(Debug)]
pub enum PcpFailure {
    /// Nothing came in time.
    Silent,
    /// The gateway said that nobody listens there.
    Closed,
    /// What came was no grant.
    Answer(PcpError),
    /// It granted a mapping without an external IPv4 address.
    NoAddress,
    /// The network, or the system's source of randomness, refused.
    System(io::Error),
}

impl fmt::Display for PcpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer to PCP; the gateway may not speak it"),
            Self::Closed => f.write_str("the gateway does not speak PCP"),
            Self::Answer(error) => write!(f, "PCP: {error}"),
            Self::NoAddress => f.write_str("PCP: the gateway has no external IPv4 address at present"),
            Self::System(error) => write!(f, "PCP: {error}"),
        }
    }
}

impl std::error::Error for PcpFailure {}

impl From<io::Error> for PcpFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Windows reports a closed port as a reset.
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::System(error),
        }
    }
}

/// The external address, and what became of the mapping that told it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Told {
    pub address: Ipv4Addr,
    /// Whether the gateway confirmed the removal.
    pub removed: bool,
}

/// Asks `gateway`, until the deadline.
pub fn external_address(gateway: Ipv4Addr, deadline: Instant) -> Result<Told, PcpFailure> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((gateway, PORT))?;
    Exchange { socket: &socket, deadline, budget: MAX_DATAGRAMS }.map()
}

/// Asks whether `gateway` speaks PCP, which maps nothing; refused is answered, too.
pub fn announce(gateway: Ipv4Addr, deadline: Instant) -> Result<(), PcpFailure> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((gateway, PORT))?;
    let SocketAddr::V4(own) = socket.local_addr()? else { return Err(PcpFailure::Closed) };
    let request = message::announce(*own.ip());
    let nothing = Granted { lifetime: 0, external: Ipv6Addr::UNSPECIFIED };
    let read = |datagram: &[u8]| message::read_announce(datagram).map(|()| Some(nothing));
    let mut exchange = Exchange { socket: &socket, deadline, budget: MAX_DATAGRAMS };
    exchange.converse(&request, &REMOVE_WAITS, deadline, read).map(drop)
}

struct Exchange<'a> {
    socket: &'a UdpSocket,
    deadline: Instant,
    budget: u8,
}

impl Exchange<'_> {
    fn map(&mut self) -> Result<Told, PcpFailure> {
        let SocketAddr::V4(own) = self.socket.local_addr()? else { return Err(PcpFailure::Closed) };
        let mapping = Mapping { client: *own.ip(), port: own.port(), nonce: nonce()? };
        let until = self.deadline.checked_sub(REMOVE_TIME).unwrap_or(self.deadline);
        let granted = self.converse(&mapping.request(), &ASK_WAITS, until, |datagram| {
            // One without a lifetime is none; the gateway may yet do better.
            mapping.read(datagram).map(|granted| (granted.lifetime > 0).then_some(granted))
        });
        let removed = match &granted {
            // It made none.
            Err(PcpFailure::Answer(PcpError::Refused(_) | PcpError::Version(_)) | PcpFailure::Closed) => true,
            Ok(_) | Err(_) => self.remove(&mapping),
        };
        let address = granted?.ipv4().ok_or(PcpFailure::NoAddress)?;
        Ok(Told { address, removed })
    }

    /// Whether the gateway confirms that the mapping is gone.
    fn remove(&mut self, mapping: &Mapping) -> bool {
        // Of the flood that may have come before, nothing is held against it.
        self.budget = MAX_DATAGRAMS;
        let confirmed = self.converse(&mapping.removal(), &REMOVE_WAITS, self.deadline, |datagram| {
            // A late answer to the request bears a lifetime.
            mapping.read(datagram).map(|granted| (granted.lifetime == 0).then_some(granted))
        });
        confirmed.is_ok()
    }

    /// Sends a request until an answer is accepted; once in any case.
    fn converse(
        &mut self,
        request: &[u8],
        waits: &[Duration],
        deadline: Instant,
        accept: impl Fn(&[u8]) -> Result<Option<Granted>, PcpError>,
    ) -> Result<Granted, PcpFailure> {
        let mut failure = PcpFailure::Silent;
        for wait in waits {
            self.socket.send(request)?;
            let until = Instant::now().checked_add(*wait).map_or(deadline, |until| until.min(deadline));
            match self.receive(until, &accept) {
                Err(PcpFailure::Silent) => {}
                // What is no answer may be a stray one; ours may still come.
                Err(PcpFailure::Answer(error)) if !is_final(error) => failure = PcpFailure::Answer(error),
                ended => return ended,
            }
            if Instant::now() >= deadline || self.budget == 0 {
                break;
            }
        }
        Err(failure)
    }

    /// The first answer until then; of other datagrams, the last is reported.
    fn receive(
        &mut self,
        until: Instant,
        accept: &impl Fn(&[u8]) -> Result<Option<Granted>, PcpError>,
    ) -> Result<Granted, PcpFailure> {
        let mut failure = PcpFailure::Silent;
        let mut buffer = [0; MAX_DATAGRAM.saturating_add(1)];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.budget == 0 {
                return Err(failure);
            }
            self.socket.set_read_timeout(Some(left))?;
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if is_pause(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            self.budget = self.budget.saturating_sub(1);
            match accept(buffer.get(..length).unwrap_or_default()) {
                Ok(Some(granted)) => return Ok(granted),
                Ok(None) => {}
                Err(error) if is_final(error) => return Err(PcpFailure::Answer(error)),
                Err(error) => failure = PcpFailure::Answer(error),
            }
        }
    }
}

/// Whether asking again would bring nothing else.
fn is_final(error: PcpError) -> bool {
    matches!(error, PcpError::Refused(_) | PcpError::Version(_))
}

fn nonce() -> Result<Nonce, PcpFailure> {
    let mut nonce = Nonce::default();
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| PcpFailure::System(io::Error::other("the system gives no random numbers")))?;
    Ok(nonce)
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
