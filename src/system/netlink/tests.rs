//! Messages of the kernel, whole and damaged.

use super::*;

fn read(datagram: &[u8], sequence: u32) -> Vec<Message> {
    parse(datagram, sequence).collect()
}

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
    message(RTM_NEWLINK, 0, 5, &[&fixed, &attribute_bytes(9, b"x"), &attribute_bytes(IFLA_IFNAME, b"eth0\0")])
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
    assert_eq!(read(&link_message(), 5), [Message::Link(expected)]);
    assert_eq!(read(&link_message(), 6), []);
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
    assert_eq!(read(&bytes, 5), [Message::Address(expected)]);
}

#[test]
fn what_a_router_advertises_for_ever_is_limited() {
    for (flags, valid) in [(IFA_F_MANAGETEMPADDR, Some(Duration::from_secs(4_294_967_295))), (0x80, None)] {
        let flags = attribute_bytes(IFA_FLAGS, &u32::to_ne_bytes(flags));
        let own = attribute_bytes(IFA_ADDRESS, &[0x20; 16]);
        let bytes = address_message(AF_INET6, &[own, cache(u32::MAX, u32::MAX), flags]);
        let [Message::Address(address)] = read(&bytes, 5)[..] else { panic!("no address") };
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
    let [Message::Address(address)] = read(&bytes, 5)[..] else { panic!("no address") };
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
    match read(bytes, 5).remove(0) {
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
    let messages = read(&bytes, 5);
    assert_eq!(messages[1..], [Message::Interrupted, Message::Done]);
    let refusal = message(NLMSG_ERROR, 0, 5, &[&(-1_i32).to_ne_bytes()]);
    assert_eq!(read(&refusal, 5), [Message::Error(-1)]);
}

/// The kernel writes how the dump itself ended into the last message: here -EMSGSIZE.
#[test]
fn a_dump_that_failed_under_way_is_not_whole() {
    #[cfg(target_endian = "little")]
    let failed = [20, 0, 0, 0, 3, 0, 2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0xa6, 0xff, 0xff, 0xff];
    #[cfg(target_endian = "big")]
    let failed = [0, 0, 0, 20, 0, 3, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xa6];
    assert_eq!(read(&failed, 5), [Message::Error(-90)]);
    assert_eq!(read(&message(NLMSG_DONE, 2, 5, &[&[0; 4]]), 5), [Message::Done]);
    assert_eq!(read(&message(NLMSG_DONE, 2, 5, &[]), 5), [Message::Done]);
}

#[test]
fn unknown_or_damaged_messages_carry_nothing() {
    assert_eq!(read(&address_message(AF_INET, &[]), 5), [Message::Other]);
    let wrong = attribute_bytes(IFA_ADDRESS, &[1, 2, 3]);
    assert_eq!(read(&address_message(AF_INET, &[wrong]), 5), [Message::Other]);
    let other = attribute_bytes(IFA_ADDRESS, &[1, 2, 3, 4]);
    assert_eq!(read(&address_message(17, &[other]), 5), [Message::Other]);
    assert_eq!(read(&message(99, 0, 5, &[]), 5), [Message::Other]);
}

#[test]
fn no_cut_and_no_changed_byte_panics() {
    let mut whole = link_message();
    whole.extend(address_message(AF_INET, &[attribute_bytes(IFA_LOCAL, &[1, 2, 3, 4]), cache(1, 2)]));
    for end in 0..whole.len() {
        assert!(read(&whole[..end], 5).len() <= 2);
    }
    for at in 0..whole.len() {
        for value in [0, 1, 3, 4, 127, 255] {
            let mut changed = whole.clone();
            changed[at] = value;
            assert!(read(&changed, 5).len() <= 4);
        }
    }
}
