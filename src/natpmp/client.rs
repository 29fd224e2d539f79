//! Asks a gateway for its external address over UDP: RFC 6886, section 3.1.
//!
//! The socket is connected, so the kernel drops what others send and reports a
//! closed port at once.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::message;
use super::message::{ExternalAddress, MessageError};

/// How long to wait after each send. The RFC goes on to 64 s; we ask again at
/// the next poll.
const WAITS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// As often in a row as its clock has not gone on, it stands still: what comes late could not
/// be told from an answer. Less is a datagram that came twice, or a gateway that has restarted.
const MAX_STALE: u8 = 3;

/// The most datagrams read in an exchange that needs one.
const MAX_DATAGRAMS: u8 = 64;

/// Why there is no answer.
#[derive(Debug)]
pub enum NatPmpError {
    /// Nothing came in time.
    Silent,
    /// The gateway said that nobody listens there.
    Closed,
    /// What came was no answer.
    Message(MessageError),
    /// The network refused.
    Network(io::Error),
}

impl fmt::Display for NatPmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer to NAT-PMP; the gateway may not speak it"),
            Self::Closed => f.write_str("the gateway does not speak NAT-PMP"),
            Self::Message(error) => write!(f, "NAT-PMP: {error}"),
            Self::Network(error) => write!(f, "NAT-PMP: {error}"),
        }
    }
}

impl std::error::Error for NatPmpError {}

impl From<io::Error> for NatPmpError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Windows reports a closed port as a reset.
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Network(error),
        }
    }
}

/// Asks `gateway`, up to four times, until the deadline. A refusal by the
/// gateway is an answer too: see [`ExternalAddress::finding`].
pub fn external_address(gateway: IpAddr, deadline: Instant) -> Result<ExternalAddress, NatPmpError> {
    ask(&open(gateway)?, deadline).map(|(answer, _)| answer)
}

/// A gateway that is asked again and again, over one socket as long as that does.
#[derive(Debug, Default)]
pub struct Kept {
    socket: Option<UdpSocket>,
    /// When it answered last, and its clock then.
    told: Option<(Instant, u32)>,
    /// How often in a row its clock had not gone on.
    stale: u8,
    /// How long it took the last time.
    took: Duration,
}

impl Kept {
    /// As [`external_address`]; always the same `gateway`.
    pub fn external_address(
        &mut self,
        gateway: IpAddr,
        deadline: Instant,
    ) -> Result<ExternalAddress, NatPmpError> {
        let began = Instant::now();
        let answer = self.ask_again(WAITS[0]).map_or_else(|| self.ask_anew(gateway, deadline), Ok);
        self.took = began.elapsed();
        answer
    }

    fn ask_anew(&mut self, gateway: IpAddr, deadline: Instant) -> Result<ExternalAddress, NatPmpError> {
        let socket = open(gateway)?;
        let (answer, is_only) = ask(&socket, deadline)?;
        self.told = Some((Instant::now(), answer.epoch));
        self.socket = Some(socket).filter(|_| is_only && self.stale < MAX_STALE);
        Ok(answer)
    }

    /// What it answers within this time over the socket that is kept; `None`: it is to be
    /// asked by [`Self::external_address`], as is one that took longer the last time.
    pub fn answers_within(&mut self, wait: Duration) -> Option<ExternalAddress> {
        if self.took > wait { None } else { self.ask_again(wait) }
    }

    /// Once, over the socket that is kept. Without an answer in time it is kept no more:
    /// what comes late is not for the next question.
    fn ask_again(&mut self, wait: Duration) -> Option<ExternalAddress> {
        let socket = self.socket.take()?;
        let answer = ask_once(&socket, wait)?;
        if !self.is_new(answer.epoch) {
            self.stale = self.stale.saturating_add(1);
            return None;
        }
        self.stale = 0;
        self.socket = Some(socket);
        self.told = Some((Instant::now(), answer.epoch));
        Some(answer)
    }

    /// Whether its clock has gone on as ours (RFC 6886, section 3.6).
    fn is_new(&self, epoch: u32) -> bool {
        self.told.is_some_and(|(at, before)| {
            let passed = at.elapsed().as_secs().saturating_mul(7).checked_div(8).unwrap_or_default();
            u64::from(epoch).saturating_add(2) >= u64::from(before).saturating_add(passed)
        })
    }
}

fn ask_once(socket: &UdpSocket, wait: Duration) -> Option<ExternalAddress> {
    let mut buffer = [0; message::MAX_DATAGRAM.saturating_add(1)];
    socket.set_read_timeout(Some(wait)).ok()?;
    socket.send(&message::REQUEST).ok()?;
    let length = socket.recv(&mut buffer).ok()?;
    ExternalAddress::parse(buffer.get(..length).unwrap_or_default()).ok()
}

fn open(gateway: IpAddr) -> io::Result<UdpSocket> {
    let any = match gateway {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((gateway, message::PORT))?;
    Ok(socket)
}

/// The answer, and whether no other can come.
fn ask(socket: &UdpSocket, deadline: Instant) -> Result<(ExternalAddress, bool), NatPmpError> {
    let mut budget = MAX_DATAGRAMS;
    let mut failure = NatPmpError::Silent;
    for wait in WAITS {
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        socket.send(&message::REQUEST)?;
        let until = now.checked_add(wait).map_or(deadline, |until| until.min(deadline));
        match receive(socket, until, &mut budget) {
            Ok(answer) => {
                let is_only = wait == WAITS[0] && budget == MAX_DATAGRAMS.saturating_sub(1);
                return Ok((answer, is_only));
            }
            Err(NatPmpError::Silent) => {}
            // What is no answer may be a stray one; ours may still come. But a
            // gateway that names another version will not change its mind.
            Err(NatPmpError::Message(error)) if !matches!(error, MessageError::Version { .. }) => {
                failure = NatPmpError::Message(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

/// The first answer until then; of other datagrams, the last is reported.
fn receive(socket: &UdpSocket, until: Instant, budget: &mut u8) -> Result<ExternalAddress, NatPmpError> {
    let mut failure = NatPmpError::Silent;
    let mut buffer = [0; message::MAX_DATAGRAM.saturating_add(1)];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || *budget == 0 {
            return Err(failure);
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        *budget = budget.saturating_sub(1);
        match ExternalAddress::parse(buffer.get(..length).unwrap_or_default()) {
            Ok(answer) => return Ok(answer),
            Err(error @ MessageError::Version { .. }) => return Err(NatPmpError::Message(error)),
            Err(error) => failure = NatPmpError::Message(error),
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
