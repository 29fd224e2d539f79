//! NAT-PMP messages: RFC 6886, section 3.2.
//!
//! Bytes in, values out; the socket lives in `client.rs`. Only the external
//! address is asked for, which leaves no state in the gateway. Of PCP
//! (RFC 6887), which shares the port, answers are recognised and not read.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::address;
use crate::address::Finding;

/// The gateway's port for requests.
pub const PORT: u16 = 5351;

/// Asks for the external address: version 0, opcode 0.
pub const REQUEST: [u8; 2] = [VERSION, 0];

/// The longest datagram of this protocol and of PCP (RFC 6887, section 7), in
/// bytes.
pub const MAX_DATAGRAM: usize = 1100;

const VERSION: u8 = 0;

/// The version of PCP, RFC 6887.
const PCP: u8 = 2;

/// The answer to opcode 0.
const OPCODE: u8 = 128;

/// Set in the opcode of every answer, of PCP too.
const ANSWER_BIT: u8 = 0x80;

/// Where gateways announce that something has changed (RFC 6886, section 3.2.1;
/// RFC 6887, section 14).
pub const ANNOUNCEMENTS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 5350);

/// Whether a datagram at [`ANNOUNCEMENTS`] is an announcement: of an external
/// address, or PCP's ANNOUNCE. What it says is not taken from it.
#[must_use]
pub fn is_announcement(datagram: &[u8]) -> bool {
    let pcp = MessageError::Version { version: PCP, opcode: 0, result: 0 };
    match ExternalAddress::parse(datagram) {
        Ok(answer) => answer.result == ResultCode::Success,
        Err(error) => error == pcp,
    }
}

/// A gateway's answer about its external address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExternalAddress {
    /// Whether it gave one.
    pub result: ResultCode,
    /// Seconds since its tables were last empty.
    pub epoch: u32,
    /// The address; unspecified in a refusal.
    pub address: Ipv4Addr,
}

/// Result codes (RFC 6886, section 3.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultCode {
    /// 0.
    Success,
    /// 1.
    UnsupportedVersion,
    /// 2.
    NotAuthorized,
    /// 3: the gateway has no address itself.
    NetworkFailure,
    /// 4.
    OutOfResources,
    /// 5.
    UnsupportedOpcode,
    /// Any other.
    Unknown(u16),
}

impl ResultCode {
    fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Success,
            1 => Self::UnsupportedVersion,
            2 => Self::NotAuthorized,
            3 => Self::NetworkFailure,
            4 => Self::OutOfResources,
            5 => Self::UnsupportedOpcode,
            other => Self::Unknown(other),
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Success => 0,
            Self::UnsupportedVersion => 1,
            Self::NotAuthorized => 2,
            Self::NetworkFailure => 3,
            Self::OutOfResources => 4,
            Self::UnsupportedOpcode => 5,
            Self::Unknown(other) => other,
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::UnsupportedVersion => f.write_str("unsupported version"),
            Self::NotAuthorized => f.write_str("not authorized; NAT-PMP may be switched off in its settings"),
            Self::NetworkFailure => f.write_str("the gateway has no public IPv4 address at present"),
            Self::OutOfResources => f.write_str("out of resources"),
            Self::UnsupportedOpcode => f.write_str("unsupported opcode"),
            Self::Unknown(number) => write!(f, "unknown result {number}"),
        }
    }
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageError {
    /// Too short or too long, in bytes.
    Length(usize),
    /// A request, not an answer.
    Request,
    /// An answer of another protocol version; 2 is PCP.
    Version {
        version: u8,
        /// Without the bit that marks an answer.
        opcode: u8,
        /// Its result; of PCP, 1 says that our version is not supported.
        result: u8,
    },
    /// An answer to something else.
    Opcode {
        /// With the bit that marks an answer.
        opcode: u8,
        result: ResultCode,
        /// Seconds since the gateway's tables were last empty.
        epoch: u32,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "an answer of {length} bytes"),
            Self::Request => f.write_str("a request in place of an answer"),
            Self::Version { version: 2, .. } => {
                f.write_str("it speaks PCP only, which cannot tell the address")
            }
            Self::Version { version, .. } => write!(f, "an answer of version {version}"),
            Self::Opcode { opcode, result, .. } => write!(f, "an answer with opcode {opcode} ({result})"),
        }
    }
}

impl std::error::Error for MessageError {}

impl ExternalAddress {
    /// Reads a datagram from the gateway. A refusal may lack the address.
    pub fn parse(datagram: &[u8]) -> Result<Self, MessageError> {
        let length = MessageError::Length(datagram.len());
        let &[version, opcode, r0, r1, ref rest @ ..] = datagram else {
            return Err(length);
        };
        if datagram.len() > MAX_DATAGRAM {
            return Err(length);
        }
        if opcode & ANSWER_BIT == 0 {
            return Err(MessageError::Request);
        }
        if version != VERSION {
            return Err(MessageError::Version { version, opcode: opcode & !ANSWER_BIT, result: r1 });
        }
        let (epoch, rest) = rest.split_first_chunk().ok_or(length)?;
        let result = ResultCode::from_number(u16::from_be_bytes([r0, r1]));
        let epoch = u32::from_be_bytes(*epoch);
        if opcode != OPCODE {
            return Err(MessageError::Opcode { opcode, result, epoch });
        }
        let address = match (rest.first_chunk::<4>(), result) {
            (Some(octets), ResultCode::Success) => Ipv4Addr::from(*octets),
            (None, ResultCode::Success) => return Err(length),
            _ => Ipv4Addr::UNSPECIFIED,
        };
        Ok(Self { result, epoch, address })
    }

    /// The bytes that [`ExternalAddress::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, OPCODE];
        bytes.extend(self.result.number().to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.address.octets());
        bytes
    }

    /// What it tells about the address. No refusal says that there is
    /// definitely none, and neither does an address that no host can have.
    #[must_use]
    pub fn finding(&self) -> Finding<Ipv4Addr> {
        match self.result {
            ResultCode::Success if self.address.is_unspecified() => {
                Finding::Unknown(format!("NAT-PMP: {}", ResultCode::NetworkFailure))
            }
            ResultCode::Success => address::usable("NAT-PMP", self.address),
            refusal => Finding::Unknown(format!("NAT-PMP: {refusal}")),
        }
    }
}

/// Whether a gateway whose epoch was `last` and is now, `elapsed` later, `new`
/// has lost its state in between (RFC 6886, section 3.6). Its clock may be an
/// eighth slower than ours.
#[must_use]
pub fn restarted(last: u32, elapsed: Duration, new: u32) -> bool {
    let slow = elapsed.as_secs().saturating_sub(elapsed.as_secs().div_ceil(8));
    u64::from(new) < u64::from(last).saturating_add(slow).saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [u8; 12] = [0, 128, 0, 0, 0, 0, 1, 2, 203, 0, 113, 5];

    #[test]
    fn an_answer_is_read_and_written() {
        let answer = ExternalAddress::parse(&GOOD).unwrap();
        let address = Ipv4Addr::new(203, 0, 113, 5);
        assert_eq!(answer, ExternalAddress { result: ResultCode::Success, epoch: 258, address });
        assert_eq!(answer.to_bytes(), GOOD);
        assert_eq!(answer.finding(), Finding::Known(address));
        for number in 0..8 {
            let result = ResultCode::from_number(number);
            let answer = ExternalAddress { result, epoch: 7, address: Ipv4Addr::UNSPECIFIED };
            assert_eq!(ExternalAddress::parse(&answer.to_bytes()), Ok(answer));
            assert!(matches!(answer.finding(), Finding::Unknown(_)));
        }
    }

    #[test]
    fn every_prefix_is_too_short() {
        for end in 0..GOOD.len() {
            assert_eq!(ExternalAddress::parse(&GOOD[..end]), Err(MessageError::Length(end)));
        }
        let long = [&GOOD[..], &[0; MAX_DATAGRAM]].concat();
        assert_eq!(ExternalAddress::parse(&long), Err(MessageError::Length(long.len())));
    }

    #[test]
    fn a_refusal_needs_no_address_and_has_none() {
        let short = ExternalAddress::parse(&[0, 128, 0, 2, 0, 0, 0, 9]).unwrap();
        assert_eq!((short.result, short.epoch), (ResultCode::NotAuthorized, 9));
        let long = ExternalAddress::parse(&[0, 128, 0, 3, 0, 0, 0, 9, 1, 1, 1, 1]).unwrap();
        assert_eq!(long.address, Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn other_messages_are_told_apart() {
        assert_eq!(ExternalAddress::parse(&[0, 0, 0, 0]), Err(MessageError::Request));
        let opcode = MessageError::Opcode { opcode: 129, result: ResultCode::Success, epoch: 1 };
        assert_eq!(ExternalAddress::parse(&[0, 129, 0, 0, 0, 0, 0, 1]), Err(opcode));
        let pcp = ExternalAddress::parse(&[2, 128, 0, 1, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(pcp, MessageError::Version { version: 2, opcode: 0, result: 1 });
        assert!(pcp.to_string().contains("PCP"));
    }

    #[test]
    fn announcements_are_addresses_and_those_of_pcp() {
        let pcp = |opcode, result| [&[2, opcode, 0, result][..], &[0; 20]].concat();
        assert!(is_announcement(&GOOD));
        assert!(is_announcement(&pcp(128, 0)));
        for other in
            [pcp(0, 0), pcp(129, 0), pcp(128, 3), vec![], REQUEST.to_vec(), vec![0, 129, 0, 0, 0, 0, 0, 1]]
        {
            assert!(!is_announcement(&other), "{other:?}");
        }
        assert!(!is_announcement(&[0, 128, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0]), "no address yet");
    }

    #[test]
    fn an_epoch_that_falls_behind_shows_a_restart() {
        let minute = Duration::from_secs(80);
        for (last, new, expected) in [
            (100, 180, false),
            (100, 168, false),
            (100, 167, true),
            (100, 0, true),
            (0, 70, false),
            (0, 67, true),
        ] {
            assert_eq!(restarted(last, minute, new), expected, "{last} {new}");
        }
        assert!(!restarted(0, Duration::ZERO, 0));
        assert!(restarted(u32::MAX, Duration::MAX, u32::MAX));
    }
}
