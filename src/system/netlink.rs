//! Messages of rtnetlink, rtnetlink(7): dumps of interfaces and addresses, the
//! route to a destination, and notices of changes.
//!
//! Bytes in, values out; the socket lives in `linux.rs`. Numbers are
//! in the byte order of the host that runs the kernel: netlink never leaves it.
//! Every length is checked, so nothing here panics on any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::Route;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFLA_IFNAME: u16 = 3;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;

/// Of routes: to another host, and neither refused nor our own.
const RTN_UNICAST: u8 = 1;

/// Of IPv6: made by privacy extensions. Of IPv4: a second address of its subnet.
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
/// Of IPv6: router advertisements made it.
const IFA_F_MANAGETEMPADDR: u32 = 0x100;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_POINTOPOINT: u32 = 0x10;
const IFF_MULTICAST: u32 = 0x1000;

/// Of routes: a cached copy.
const RTM_F_CLONED: u32 = 0x200;

/// The header before every message.
const HEADER: usize = 16;

/// The upper bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// The longest interface name, in bytes (IFNAMSIZ); alternative names may be
/// longer, but not these.
const MAX_NAME: usize = 16;

/// The multicast groups of changes: links, addresses, routes and rules of both families.
pub const CHANGES: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x4_0000;

/// What to ask the kernel for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dump {
    /// Every interface.
    Links,
    /// Every address of both families.
    Addresses,
}

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags, as the kernel gives them")]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it can carry multicast.
    pub multicast: bool,
    /// Whether it is a line to one other host.
    pub point_to_point: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Address {
    /// The number of its interface.
    pub index: u32,
    /// The address; of a point-to-point line, this host's end.
    pub address: IpAddr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// Of IPv6: made by privacy extensions.
    pub temporary: bool,
    /// Not yet checked for being in use elsewhere, or found to be.
    pub tentative: bool,
    /// In use elsewhere.
    pub duplicate: bool,
    /// No longer to be used for anything new.
    pub deprecated: bool,
    /// How long it stays; `None`: for ever.
    pub valid: Option<Duration>,
    /// How long it may be used for something new; `None`: for ever.
    pub preferred: Option<Duration>,
    /// When it was given to the interface, since the start of the system.
    pub made: Duration,
    /// When its lifetimes were set last, likewise.
    pub renewed: Duration,
}

/// One message of the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// An interface.
    Link(Link),
    /// An address.
    Address(Address),
    /// The route to a destination.
    Route(Route),
    /// The dump is complete.
    Done,
    /// The dump changed under way: ask again.
    Interrupted,
    /// The kernel refused, with an error number.
    Error(i32),
    /// Something that we do not need, or that does not follow the grammar.
    Other,
}

/// The bytes that ask by which route the kernel would reach a destination.
#[must_use]
pub fn route_request(destination: IpAddr, sequence: u32) -> Vec<u8> {
    let (family, octets) = match destination {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    };
    let bits: u8 = if destination.is_ipv4() { 32 } else { 128 };
    // struct rtmsg has 12 bytes, the attribute a header of 4.
    let (length, attribute): (u32, u16) = if destination.is_ipv4() { (36, 8) } else { (48, 20) };
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(RTM_GETROUTE.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(attribute.to_ne_bytes());
    bytes.extend(RTA_DST.to_ne_bytes());
    bytes.extend(octets);
    bytes
}

/// The bytes that ask for a dump.
#[must_use]
pub fn request(dump: Dump, sequence: u32) -> Vec<u8> {
    let kind = match dump {
        Dump::Links => RTM_GETLINK,
        Dump::Addresses => RTM_GETADDR,
    };
    // The family (0: all) and padding of struct rtgenmsg follow the header.
    let length: u32 = 20;
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// The messages in a datagram that answer the request with this `sequence`.
/// Bytes that follow no grammar end them.
pub fn parse(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Message> {
    let mut rest = datagram;
    let all = std::iter::from_fn(move || {
        let (message, after) = split(rest)?;
        rest = after;
        Some(message)
    });
    all.filter(move |message| message.sequence == sequence).flat_map(|message| {
        let interrupted = message.flags & NLM_F_DUMP_INTR != 0;
        [interrupted.then_some(Message::Interrupted), Some(message.read())].into_iter().flatten()
    })
}

/// Whether a datagram tells of a change of addresses, interfaces or routes. What
/// has changed the next poll shows.
#[must_use]
pub fn tells_a_change(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some((message, after)) = split(rest) {
        let told = match message.kind {
            // Of another family are the ports of bridges.
            RTM_NEWLINK | RTM_DELLINK => message.body.first() == Some(&0),
            RTM_NEWADDR | RTM_DELADDR | RTM_NEWRULE | RTM_DELRULE => true,
            // Cached routes come and go without meaning.
            RTM_NEWROUTE | RTM_DELROUTE => {
                u32_at(message.body, 8).is_some_and(|flags| flags & RTM_F_CLONED == 0)
            }
            _ => false,
        };
        if told {
            return true;
        }
        rest = after;
    }
    false
}

struct Raw<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The first message and what follows it.
fn split(bytes: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok().filter(|length| *length >= HEADER)?;
    let (message, _) = bytes.split_at_checked(length)?;
    let raw = Raw {
        kind: u16_at(message, 4)?,
        flags: u16_at(message, 6)?,
        sequence: u32_at(message, 8)?,
        body: message.get(HEADER..)?,
    };
    Some((raw, padded_rest(bytes, length)))
}

impl Raw<'_> {
    fn read(&self) -> Message {
        match self.kind {
            // A dump that fails under way is ended by this, too.
            NLMSG_DONE => self.number().filter(|number| *number < 0).map_or(Message::Done, Message::Error),
            NLMSG_ERROR => Message::Error(self.number().unwrap_or(0)),
            RTM_NEWLINK => link(self.body).map_or(Message::Other, Message::Link),
            RTM_NEWADDR => address(self.body).map_or(Message::Other, Message::Address),
            RTM_NEWROUTE => route(self.body).map_or(Message::Other, Message::Route),
            _ => Message::Other,
        }
    }

    /// How it ended: an error number below 0, or 0.
    fn number(&self) -> Option<i32> {
        self.body.first_chunk().map(|number| i32::from_ne_bytes(*number))
    }
}

/// Reads struct ifinfomsg and its attributes.
fn link(body: &[u8]) -> Option<Link> {
    let index = u32_at(body, 4)?;
    let flags = u32_at(body, 8)?;
    let name = attribute(body.get(16..)?, IFLA_IFNAME)?;
    let name = name.split(|byte| *byte == 0).next().filter(|name| name.len() < MAX_NAME)?;
    Some(Link {
        index,
        name: String::from_utf8_lossy(name).into_owned(),
        up: flags & IFF_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        multicast: flags & IFF_MULTICAST != 0,
        point_to_point: flags & IFF_POINTOPOINT != 0,
    })
}

/// Reads struct ifaddrmsg and its attributes.
fn address(body: &[u8]) -> Option<Address> {
    let &[family, prefix_length, old_flags, _scope, ref rest @ ..] = body else {
        return None;
    };
    let attributes = rest.get(4..)?;
    // On point-to-point lines IFA_ADDRESS is the other end.
    let bytes = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    let address = ip(family, bytes)?;
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    let flags = attribute(attributes, IFA_FLAGS).and_then(|bytes| u32_at(bytes, 0));
    let flags = flags.unwrap_or(u32::from(old_flags));
    let cache = attribute(attributes, IFA_CACHEINFO).unwrap_or_default();
    // A router that says "for ever" has to go on saying it.
    let longest = (flags & IFA_F_MANAGETEMPADDR != 0).then_some(Duration::from_secs(u32::MAX.into()));
    Some(Address {
        index: u32_at(rest, 0)?,
        address,
        prefix_length: prefix_length.min(most),
        temporary: address.is_ipv6() && flags & IFA_F_TEMPORARY != 0,
        tentative: flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC) != 0,
        duplicate: flags & IFA_F_DADFAILED != 0,
        deprecated: flags & IFA_F_DEPRECATED != 0,
        valid: lifetime(u32_at(cache, 4)).or(longest),
        preferred: lifetime(u32_at(cache, 0)),
        made: stamp(u32_at(cache, 8)),
        renewed: stamp(u32_at(cache, 12)),
    })
}

/// Reads struct rtmsg and its attributes.
fn route(body: &[u8]) -> Option<Route> {
    let (family, attributes) = (*body.first()?, body.get(12..)?);
    if *body.get(7)? != RTN_UNICAST {
        return None;
    }
    let sources = values(attributes, RTA_PREFSRC).filter_map(|bytes| ip(family, bytes));
    let sources: Vec<IpAddr> = sources.collect();
    Some(Route {
        gateway: values(attributes, RTA_GATEWAY).find_map(|bytes| ip(family, bytes)),
        interface: values(attributes, RTA_OIF).find_map(|bytes| u32_at(bytes, 0))?,
        source: sources.last().copied(),
        // The kernel tells which IPv6 address it would choose, and behind it the
        // one that the route names; of IPv4 it tells one, by the route.
        by_route: sources.len() > usize::from(family == AF_INET6),
    })
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Hundredths of a second.
fn stamp(hundredths: Option<u32>) -> Duration {
    Duration::from_millis(u64::from(hundredths.unwrap_or(0)).saturating_mul(10))
}

/// Seconds, or for ever.
fn lifetime(seconds: Option<u32>) -> Option<Duration> {
    seconds.filter(|seconds| *seconds != u32::MAX).map(|seconds| Duration::from_secs(seconds.into()))
}

/// The value of the first attribute of this kind.
fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    values(attributes, wanted).next()
}

/// The values of all attributes of this kind.
fn values(attributes: &[u8], wanted: u16) -> impl Iterator<Item = &[u8]> {
    let mut rest = attributes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        // A length below 4 would not even cover itself; `get` refuses it.
        let value = rest.get(4..length)?;
        rest = padded_rest(rest, length);
        Some((kind, value))
    })
    .filter_map(move |(kind, value)| (kind == wanted).then_some(value))
}

/// What follows `length` bytes and the padding to four.
fn padded_rest(bytes: &[u8], length: usize) -> &[u8] {
    length.checked_next_multiple_of(4).and_then(|next| bytes.get(next..)).unwrap_or_default()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests;
