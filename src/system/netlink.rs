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
/// Bytes that follow no grammar end the list.
#[must_use]
pub fn parse(datagram: &[u8], sequence: u32) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = datagram;
    while let Some((message, after)) = split(rest) {
        if message.sequence == sequence {
            if message.flags & NLM_F_DUMP_INTR != 0 {
                messages.push(Message::Interrupted);
            }
            messages.push(message.read());
        }
        rest = after;
    }
    messages
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
            NLMSG_DONE => Message::Done,
            NLMSG_ERROR => {
                Message::Error(self.body.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number)))
            }
            RTM_NEWLINK => link(self.body).map_or(Message::Other, Message::Link),
            RTM_NEWADDR => address(self.body).map_or(Message::Other, Message::Address),
            RTM_NEWROUTE => route(self.body).map_or(Message::Other, Message::Route),
            _ => Message::Other,
        }
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
mod tests {
    use super::*;

    fn attribute_bytes(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(value.len().saturating_add(4)).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, flags: u16, sequence: u32, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(body.len().saturating_add(HEADER)).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn link_message() -> Vec<u8> {
        let flags = (IFF_UP | IFF_MULTICAST).to_ne_bytes();
        let fixed = [&[0; 4][..], &7_u32.to_ne_bytes(), &flags, &[0; 4]].concat();
        message(
            RTM_NEWLINK,
            0,
            5,
            &[&fixed, &attribute_bytes(9, b"x"), &attribute_bytes(IFLA_IFNAME, b"eth0\0")],
        )
    }

    fn address_message(family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [&[family, 64, 0x80, 0][..], &7_u32.to_ne_bytes()].concat();
        message(RTM_NEWADDR, 0, 5, &[&fixed, &attributes.concat()])
    }

    fn cache(preferred: u32, valid: u32) -> Vec<u8> {
        let value = [preferred, valid, 1234, 6000].map(u32::to_ne_bytes).concat();
        attribute_bytes(IFA_CACHEINFO, &value)
    }

    #[test]
    fn requests_ask_for_everything() {
        let bytes = request(Dump::Addresses, 5);
        assert_eq!(bytes.len(), 20);
        let (raw, rest) = split(&bytes).unwrap();
        assert_eq!((raw.kind, raw.flags, raw.sequence), (RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 5));
        assert_eq!((raw.body, rest), (&[0; 4][..], &[][..]));
        assert_eq!(split(&request(Dump::Links, 5)).unwrap().0.kind, RTM_GETLINK);
    }

    #[test]
    fn a_link_is_read() {
        let expected = Link {
            index: 7,
            name: "eth0".to_owned(),
            up: true,
            loopback: false,
            multicast: true,
            point_to_point: false,
        };
        assert_eq!(parse(&link_message(), 5), [Message::Link(expected)]);
        assert_eq!(parse(&link_message(), 6), []);
    }

    #[test]
    fn an_address_is_read_with_its_flags_and_lifetimes() {
        let ip: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let flags = IFA_F_TEMPORARY | IFA_F_DADFAILED | IFA_F_DEPRECATED | 0x800;
        let bytes = address_message(
            AF_INET6,
            &[
                attribute_bytes(IFA_ADDRESS, &ip.octets()),
                cache(0, 300),
                attribute_bytes(IFA_FLAGS, &flags.to_ne_bytes()),
            ],
        );
        let expected = Address {
            index: 7,
            address: ip.into(),
            prefix_length: 64,
            temporary: true,
            tentative: true,
            duplicate: true,
            deprecated: true,
            valid: Some(Duration::from_secs(300)),
            preferred: Some(Duration::ZERO),
            made: Duration::from_millis(12_340),
            renewed: Duration::from_secs(60),
        };
        assert_eq!(parse(&bytes, 5), [Message::Address(expected)]);
    }

    #[test]
    fn what_a_router_advertises_for_ever_is_limited() {
        for (flags, valid) in [(IFA_F_MANAGETEMPADDR, Some(Duration::from_secs(4_294_967_295))), (0x80, None)]
        {
            let flags = attribute_bytes(IFA_FLAGS, &u32::to_ne_bytes(flags));
            let own = attribute_bytes(IFA_ADDRESS, &[0x20; 16]);
            let bytes = address_message(AF_INET6, &[own, cache(u32::MAX, u32::MAX), flags]);
            let [Message::Address(address)] = parse(&bytes, 5)[..] else { panic!("no address") };
            assert_eq!((address.valid, address.preferred), (valid, None));
        }
    }

    #[test]
    fn of_a_point_to_point_line_our_end_is_taken() {
        let bytes = address_message(
            AF_INET,
            &[
                attribute_bytes(IFA_ADDRESS, &[10, 0, 0, 1]),
                attribute_bytes(IFA_LOCAL, &[203, 0, 113, 5]),
                cache(u32::MAX, u32::MAX),
                attribute_bytes(IFA_FLAGS, &IFA_F_TEMPORARY.to_ne_bytes()),
            ],
        );
        let [Message::Address(address)] = parse(&bytes, 5)[..] else { panic!("no address") };
        assert_eq!(address.address, IpAddr::from([203, 0, 113, 5]));
        // The bit means "secondary" there.
        assert!(!address.temporary);
        assert_eq!((address.valid, address.preferred, address.prefix_length), (None, None, 32));
    }

    fn route_message(family: u8, kind: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [family, 0, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0];
        message(RTM_NEWROUTE, 0, 5, &[&fixed, &attributes.concat()])
    }

    fn route_of(bytes: &[u8]) -> Option<Route> {
        match parse(bytes, 5).remove(0) {
            Message::Route(route) => Some(route),
            _ => None,
        }
    }

    #[test]
    fn a_route_names_gateway_interface_and_source() {
        let interface = attribute_bytes(RTA_OIF, &7_u32.to_ne_bytes());
        let gateway = attribute_bytes(RTA_GATEWAY, &[192, 168, 1, 1]);
        let source = attribute_bytes(RTA_PREFSRC, &[192, 168, 1, 5]);
        let route = route_message(AF_INET, RTN_UNICAST, &[interface.clone(), source.clone(), gateway]);
        let expected = Route {
            gateway: Some([192, 168, 1, 1].into()),
            interface: 7,
            source: Some([192, 168, 1, 5].into()),
            by_route: true,
        };
        assert_eq!(route_of(&route), Some(expected));
        let line = route_message(AF_INET, RTN_UNICAST, &[interface.clone(), source.clone()]);
        assert_eq!(route_of(&line).unwrap().gateway, None);
        // An unreachable one, and one that names no interface.
        assert_eq!(route_of(&route_message(AF_INET, 7, &[interface, source.clone()])), None);
        assert_eq!(route_of(&route_message(AF_INET, RTN_UNICAST, &[source])), None);
    }

    #[test]
    fn the_source_that_an_ipv6_route_names_counts_more_than_the_kernels_choice() {
        let interface = attribute_bytes(RTA_OIF, &7_u32.to_ne_bytes());
        let source = |text: &str| attribute_bytes(RTA_PREFSRC, &text.parse::<Ipv6Addr>().unwrap().octets());
        let chosen = route_of(&route_message(AF_INET6, RTN_UNICAST, &[interface.clone(), source("2a00::1")]));
        let chosen = chosen.unwrap();
        assert_eq!((chosen.source, chosen.by_route), (Some("2a00::1".parse().unwrap()), false));
        let both = [interface, source("2a00::1"), source("2a00::2")];
        let named = route_of(&route_message(AF_INET6, RTN_UNICAST, &both)).unwrap();
        assert_eq!((named.source, named.by_route), (Some("2a00::2".parse().unwrap()), true));
    }

    #[test]
    fn a_route_is_asked_for_by_its_destination() {
        let bytes = route_request([198, 41, 0, 4].into(), 5);
        let (raw, rest) = split(&bytes).unwrap();
        assert_eq!((raw.kind, raw.flags, raw.sequence), (RTM_GETROUTE, NLM_F_REQUEST, 5));
        assert_eq!((raw.body.first_chunk(), rest), (Some(&[AF_INET, 32]), &[][..]));
        assert_eq!(attribute(&raw.body[12..], RTA_DST), Some(&[198, 41, 0, 4][..]));
        let bytes = route_request("2001:503:ba3e::2:30".parse().unwrap(), 5);
        assert_eq!(split(&bytes).unwrap().0.body.len(), 12 + 20);
    }

    #[test]
    fn changes_are_told_apart_from_noise() {
        let route = |flags: u32| [&[2, 0, 0, 0, 0, 0, 0, 0][..], &flags.to_ne_bytes()].concat();
        let bridge = [7, 0, 0, 0];
        for (kind, body, told) in [
            (RTM_NEWADDR, vec![0; 8], true),
            (RTM_DELADDR, vec![0; 8], true),
            (RTM_DELLINK, vec![0; 16], true),
            (RTM_NEWRULE, vec![0; 12], true),
            (RTM_DELRULE, vec![0; 12], true),
            (RTM_NEWLINK, bridge.to_vec(), false),
            (RTM_NEWROUTE, route(0), true),
            (RTM_DELROUTE, route(0), true),
            (RTM_NEWROUTE, route(RTM_F_CLONED), false),
            (RTM_NEWROUTE, vec![2], false),
            (RTM_NEWLINK, vec![], false),
            (28, vec![0; 16], false),
        ] {
            let bytes = message(kind, 0, 0, &[&body]);
            assert_eq!(tells_a_change(&bytes), told, "{kind}");
            let behind = [message(28, 0, 0, &[&[0; 4]]), bytes].concat();
            assert_eq!(tells_a_change(&behind), told, "{kind}");
        }
        assert!(!tells_a_change(&[]) && !tells_a_change(&[1, 2, 3]));
    }

    #[test]
    fn a_dump_ends_or_fails() {
        let mut bytes = link_message();
        bytes.extend(message(NLMSG_DONE, NLM_F_DUMP_INTR, 5, &[&[0; 4]]));
        let messages = parse(&bytes, 5);
        assert_eq!(messages[1..], [Message::Interrupted, Message::Done]);
        let refusal = message(NLMSG_ERROR, 0, 5, &[&(-1_i32).to_ne_bytes()]);
        assert_eq!(parse(&refusal, 5), [Message::Error(-1)]);
    }

    #[test]
    fn unknown_or_damaged_messages_carry_nothing() {
        assert_eq!(parse(&address_message(AF_INET, &[]), 5), [Message::Other]);
        let wrong = attribute_bytes(IFA_ADDRESS, &[1, 2, 3]);
        assert_eq!(parse(&address_message(AF_INET, &[wrong]), 5), [Message::Other]);
        let other = attribute_bytes(IFA_ADDRESS, &[1, 2, 3, 4]);
        assert_eq!(parse(&address_message(17, &[other]), 5), [Message::Other]);
        assert_eq!(parse(&message(99, 0, 5, &[]), 5), [Message::Other]);
    }

    #[test]
    fn no_cut_and_no_changed_byte_panics() {
        let mut whole = link_message();
        whole.extend(address_message(AF_INET, &[attribute_bytes(IFA_LOCAL, &[1, 2, 3, 4]), cache(1, 2)]));
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], 5).len() <= 2);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 127, 255] {
                let mut changed = whole.clone();
                changed[at] = value;
                assert!(parse(&changed, 5).len() <= 4);
            }
        }
    }
}
