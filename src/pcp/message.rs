//! PCP MAP and ANNOUNCE messages: RFC 6887, sections 7, 8, 11 and 14.1.
//!
//! PCP has no question for the external address; only a mapping tells it. So a
//! mapping is asked for and taken back at once. Bytes in, values out; the
//! socket lives in `pcp_client.rs`. ANNOUNCE asks whether PCP
//! is spoken. Left out: options, PEER, IPv6.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::natpmp::message::MAX_DATAGRAM;

/// For how long, in seconds. Should its removal be lost, the mapping ends by
/// itself soon; many gateways grant no less than two minutes.
pub const LIFETIME: u32 = 120;

/// Ties an answer to its request, and a mapping to who made it.
pub type Nonce = [u8; 12];

/// A request: header and MAP opcode.
const REQUEST_LENGTH: usize = 60;

/// The header, which is all of ANNOUNCE.
const HEADER_LENGTH: usize = 24;

const VERSION: u8 = 2;
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
const UDP: u8 = 17;

/// Set in the opcode of every answer.
const ANSWER_BIT: u8 = 0x80;

/// A mapping of a UDP port of this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mapping {
    /// This host's address, as the gateway must see it.
    pub client: Ipv4Addr,
    /// This host's port.
    pub port: u16,
    /// Random, and the same in the removal.
    pub nonce: Nonce,
}

impl Mapping {
    /// Asks for the mapping.
    #[must_use]
    pub fn request(&self) -> [u8; REQUEST_LENGTH] {
        // No wish for an external address: IPv4's zero (section 11.1).
        self.bytes(LIFETIME, Ipv4Addr::UNSPECIFIED.to_ipv6_mapped())
    }

    /// Takes it back (section 15).
    #[must_use]
    pub fn removal(&self) -> [u8; REQUEST_LENGTH] {
        self.bytes(0, Ipv6Addr::UNSPECIFIED)
    }

    fn bytes(&self, lifetime: u32, suggested: Ipv6Addr) -> [u8; REQUEST_LENGTH] {
        let parts: [&[u8]; 8] = [
            &[VERSION, MAP, 0, 0],
            &lifetime.to_be_bytes(),
            &self.client.to_ipv6_mapped().octets(),
            &self.nonce,
            &[UDP, 0, 0, 0],
            &self.port.to_be_bytes(),
            &[0, 0],
            &suggested.octets(),
        ];
        let mut bytes = [0; REQUEST_LENGTH];
        for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        bytes
    }

    /// Reads a datagram from the gateway as the answer to a request for this
    /// mapping, or to its removal.
    pub fn read(&self, datagram: &[u8]) -> Result<Granted, PcpError> {
        let length = PcpError::Length(datagram.len());
        let &[version, opcode, _, result, ref rest @ ..] = datagram else { return Err(length) };
        if datagram.len() > MAX_DATAGRAM {
            return Err(length);
        }
        if opcode & ANSWER_BIT == 0 {
            return Err(PcpError::Request);
        }
        if version != VERSION {
            return Err(PcpError::Version(version));
        }
        if opcode != MAP | ANSWER_BIT {
            return Err(PcpError::Foreign);
        }
        let (lifetime, rest) = rest.split_first_chunk::<4>().ok_or(length)?;
        let (_epoch, rest) = rest.split_first_chunk::<16>().ok_or(length)?;
        // A refusal may end here; what else is there must be ours.
        if result != 0 && rest.is_empty() {
            return Err(PcpError::Refused(Refusal(result)));
        }
        let (nonce, rest) = rest.split_first_chunk::<12>().ok_or(length)?;
        let (protocol, rest) = rest.split_first_chunk::<4>().ok_or(length)?;
        let (port, rest) = rest.split_first_chunk::<2>().ok_or(length)?;
        let (_external_port, rest) = rest.split_first_chunk::<2>().ok_or(length)?;
        let external = rest.first_chunk::<16>().ok_or(length)?;
        if *nonce != self.nonce || protocol.first() != Some(&UDP) || *port != self.port.to_be_bytes() {
            return Err(PcpError::Foreign);
        }
        if result != 0 {
            return Err(PcpError::Refused(Refusal(result)));
        }
        Ok(Granted { lifetime: u32::from_be_bytes(*lifetime), external: Ipv6Addr::from(*external) })
    }
}

/// Asks whether PCP is spoken (section 14.1).
#[must_use]
pub fn announce(client: Ipv4Addr) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    let parts: [&[u8]; 3] = [&[VERSION, ANNOUNCE, 0, 0], &[0; 4], &client.to_ipv6_mapped().octets()];
    for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *byte;
    }
    bytes
}

/// Reads a datagram from the gateway as the answer to [`announce`].
pub fn read_announce(datagram: &[u8]) -> Result<(), PcpError> {
    match *datagram {
        _ if datagram.len() > MAX_DATAGRAM => Err(PcpError::Length(datagram.len())),
        [_, opcode, _, _, ..] if opcode & ANSWER_BIT == 0 => Err(PcpError::Request),
        [version, _, _, _, ..] if version != VERSION => Err(PcpError::Version(version)),
        _ if datagram.len() < HEADER_LENGTH => Err(PcpError::Length(datagram.len())),
        [_, opcode, _, 0, ..] if opcode == ANNOUNCE | ANSWER_BIT => Ok(()),
        [_, opcode, _, result, ..] if opcode == ANNOUNCE | ANSWER_BIT => {
            Err(PcpError::Refused(Refusal(result)))
        }
        _ => Err(PcpError::Foreign),
    }
}

/// What the gateway did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Granted {
    /// Seconds until the mapping ends; 0 confirms a removal.
    pub lifetime: u32,
    /// The external address; IPv4 in its mapped form.
    pub external: Ipv6Addr,
}

impl Granted {
    /// The external IPv4 address, if it is one.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.external.to_ipv4_mapped().filter(|address| !address.is_unspecified())
    }
}

/// The result of a request that was not granted (RFC 6887, section 7.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal(pub u8);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "it does not support PCP version 2",
            2 => "not authorized; the router's settings do not let this host open a port",
            3 | 6 => "it finds our request malformed",
            4 => "it supports no port mappings",
            5 => "it wants an option that we do not know",
            7 => "it has no connection to the internet at present",
            8 => "it has no room for another port mapping",
            9 => "it maps no UDP ports",
            10 => "this host has too many port mappings already",
            11 => "it cannot give an external address",
            12 => {
                "our address is not the one it sees: there is a NAT, such as a container's bridge, \
                 between this host and it"
            }
            13 => "it refused for no reason that applies",
            number => return write!(f, "unknown result {number}"),
        })
    }
}

/// Why a datagram is not the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PcpError {
    /// Too short or too long, in bytes.
    Length(usize),
    /// A request, not an answer.
    Request,
    /// The gateway speaks another version; 0 is NAT-PMP.
    Version(u8),
    /// An answer to something else, or to somebody else.
    Foreign,
    /// The gateway says no.
    Refused(Refusal),
}

impl fmt::Display for PcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "an answer of {length} bytes"),
            Self::Request => f.write_str("a request in place of an answer"),
            Self::Version(0) => f.write_str("it speaks NAT-PMP only; write \"natpmp\" in place of \"pcp\""),
            Self::Version(version) => write!(f, "it speaks version {version} of PCP, we speak {VERSION}"),
            Self::Foreign => f.write_str("an answer to another request"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for PcpError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: Mapping = Mapping { client: Ipv4Addr::new(192, 168, 1, 7), port: 9, nonce: [7; 12] };

    /// What a gateway makes of a request.
    fn answer(request: &[u8], result: u8, external: [u8; 4]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        bytes[1] |= 0x80;
        bytes[3] = result;
        bytes[8..24].fill(0);
        bytes[42..44].copy_from_slice(&[0x12, 0x34]);
        bytes[44..60].copy_from_slice(&Ipv4Addr::from(external).to_ipv6_mapped().octets());
        bytes
    }

    #[test]
    fn a_request_has_every_field_in_its_place() {
        let bytes = MAPPING.request();
        assert_eq!(bytes[..8], [2, 1, 0, 0, 0, 0, 0, 120]);
        assert_eq!(bytes[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 168, 1, 7]);
        assert_eq!(bytes[24..44], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 17, 0, 0, 0, 0, 9, 0, 0]);
        assert_eq!(bytes[44..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0]);
        let removal = MAPPING.removal();
        assert_eq!(removal[4..8], [0; 4]);
        assert_eq!(removal[8..42], bytes[8..42]);
        assert_eq!(removal[42..], [0; 18]);
    }

    #[test]
    fn an_announcement_is_asked_for_and_read() {
        let bytes = announce(Ipv4Addr::new(192, 168, 1, 7));
        assert_eq!(bytes[..8], [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 168, 1, 7]);
        let mut answer = [0_u8; 24];
        answer[..4].copy_from_slice(&[2, 0x80, 0, 0]);
        assert_eq!(read_announce(&answer), Ok(()));
        for length in 0..24 {
            assert_eq!(read_announce(&answer[..length]), Err(PcpError::Length(length)));
        }
        assert_eq!(read_announce(&[0; 2000]), Err(PcpError::Length(2000)));
        assert_eq!(read_announce(&bytes), Err(PcpError::Request));
        // A gateway that speaks NAT-PMP alone (RFC 6886, section 3.5).
        assert_eq!(read_announce(&[0, 0x80, 0, 1, 0, 0, 0, 9]), Err(PcpError::Version(0)));
        answer[3] = 4;
        assert_eq!(read_announce(&answer), Err(PcpError::Refused(Refusal(4))));
        answer[1] = 0x81;
        assert_eq!(read_announce(&answer), Err(PcpError::Foreign));
    }

    #[test]
    fn a_grant_tells_the_address() {
        let granted = MAPPING.read(&answer(&MAPPING.request(), 0, [11, 22, 33, 44])).unwrap();
        assert_eq!((granted.lifetime, granted.ipv4()), (120, Some([11, 22, 33, 44].into())));
        let removed = MAPPING.read(&answer(&MAPPING.removal(), 0, [0; 4])).unwrap();
        assert_eq!((removed.lifetime, removed.ipv4()), (0, None));
        let mut six = answer(&MAPPING.request(), 0, [0; 4]);
        six[44] = 0x20;
        assert_eq!(MAPPING.read(&six).unwrap().ipv4(), None);
    }

    #[test]
    fn every_prefix_of_a_grant_is_too_short() {
        let good = answer(&MAPPING.request(), 0, [11, 22, 33, 44]);
        for end in 0..good.len() {
            assert_eq!(MAPPING.read(&good[..end]), Err(PcpError::Length(end)));
        }
        let long = [good.as_slice(), &[0; MAX_DATAGRAM]].concat();
        assert_eq!(MAPPING.read(&long), Err(PcpError::Length(long.len())));
        let options = [good.as_slice(), &[3, 0, 0, 0]].concat();
        assert!(MAPPING.read(&options).is_ok(), "options may follow");
    }

    #[test]
    fn answers_to_others_are_not_ours() {
        let good = answer(&MAPPING.request(), 0, [11, 22, 33, 44]);
        for (place, error) in [
            (0, PcpError::Version(3)),
            (1, PcpError::Foreign),
            (24, PcpError::Foreign),
            (35, PcpError::Foreign),
            (36, PcpError::Foreign),
            (41, PcpError::Foreign),
        ] {
            let mut other = good.clone();
            other[place] ^= 1;
            assert_eq!(MAPPING.read(&other), Err(error), "{place}");
        }
        assert_eq!(MAPPING.read(&MAPPING.request()), Err(PcpError::Request));
        let mut refusal = answer(&MAPPING.request(), 2, [0; 4]);
        refusal[30] ^= 1;
        assert_eq!(MAPPING.read(&refusal), Err(PcpError::Foreign), "a refusal bears the nonce too");
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (number, words) in [
            (1, "version 2"),
            (2, "settings"),
            (7, "no connection"),
            (11, "cannot give"),
            (12, "container"),
            (99, "unknown result 99"),
        ] {
            let error = MAPPING.read(&answer(&MAPPING.request(), number, [0; 4])).unwrap_err();
            assert_eq!(error, PcpError::Refused(Refusal(number)));
            assert!(error.to_string().contains(words), "{error}");
        }
        let bare = &answer(&MAPPING.request(), 8, [0; 4])[..24];
        assert_eq!(MAPPING.read(bare), Err(PcpError::Refused(Refusal(8))));
    }

    #[test]
    fn a_gateway_that_speaks_natpmp_only_is_recognised() {
        let error = MAPPING.read(&[0, 0x81, 0, 1, 0, 0, 0, 9]).unwrap_err();
        assert_eq!(error, PcpError::Version(0));
        assert!(error.to_string().contains("natpmp"));
        assert_eq!(MAPPING.read(&[1, 0x81, 0, 1]), Err(PcpError::Version(1)));
    }
}
