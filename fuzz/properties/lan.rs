//! Properties of what arrives in datagrams: SSDP, NAT-PMP, PCP, netlink.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ddns_update_daemon::address::{Finding, Scope, scope};
use ddns_update_daemon::http::lan_url::{LanUrl, MAX_URL};
use ddns_update_daemon::natpmp::message::{ExternalAddress, MAX_DATAGRAM, ResultCode, restarted};
use ddns_update_daemon::pcp::message::{Mapping, PcpError, announce, read_announce};
use ddns_update_daemon::ssdp::filter::{
    AnswerFilter, MAX_LOCATIONS, MAX_PER_HOST, MAX_PER_SECOND, RESERVED, Senders,
};
use ddns_update_daemon::ssdp::message::{Answer, Delivery, MAX_TEXT, Notify, NotifyKind, Verdict};
use ddns_update_daemon::system::Route;
use ddns_update_daemon::system::netlink::{Address, Link, Message, parse};

const SENDERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)), IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))];

/// An answer leads to its sender and to nobody else, says what stands in the
/// datagram once, and is written and read again unchanged.
pub(super) fn ssdp_answer(data: &[u8]) {
    for sender in SENDERS {
        let Ok(answer) = Answer::parse(data, sender) else { continue };
        assert_eq!(answer.location.host(), sender);
        assert!(answer.location.to_string().len() <= MAX_URL);
        assert_eq!(values(data, "ST"), [answer.st.as_str()]);
        assert_eq!(values(data, "LOCATION").len(), 1);
        check_text(&answer.st);
        let written =
            format!("HTTP/1.1 200 OK\r\nLOCATION: {}\r\nST: {}\r\n\r\n", named(&answer.location), answer.st);
        assert_eq!(Answer::parse(written.as_bytes(), sender), Ok(answer));
    }
}

/// The same of a notification, whose location may be missing.
pub(super) fn ssdp_notify(data: &[u8]) {
    for sender in SENDERS {
        let Ok(notify) = Notify::parse(data, sender) else { continue };
        assert!(Answer::parse(data, sender).is_err(), "one datagram is one thing");
        assert!(notify.location.iter().all(|location| location.host() == sender));
        assert!(notify.kind != NotifyKind::Alive || notify.location.is_some());
        assert_eq!(values(data, "NT"), [notify.nt.as_str()]);
        check_text(&notify.nt);
        let kind = match notify.kind {
            NotifyKind::Alive => "alive",
            NotifyKind::Byebye => "byebye",
            NotifyKind::Update => "update",
        };
        let location = notify.location.as_ref().map(|url| format!("LOCATION: {}\r\n", named(url)));
        let boot_id = notify.boot_id.map(|id| format!("BOOTID.UPNP.ORG: {id}\r\n"));
        let start = format!("NOTIFY * HTTP/1.1\r\nNTS: ssdp:{kind}\r\nNT: {}\r\n", notify.nt);
        let written = [start, location.unwrap_or_default(), boot_id.unwrap_or_default()].concat();
        assert_eq!(Notify::parse(written.as_bytes(), sender), Ok(notify));
    }
}

/// A URL under the name that its host gave itself, if it did.
fn named(url: &LanUrl) -> String {
    format!("http://{}{}", url.authority(), url.path())
}

fn check_text(text: &str) {
    assert!((1..=MAX_TEXT).contains(&text.len()));
    assert!(!text.contains(['\r', '\n', '\0']));
}

/// A second reader, as simple as can be: the values of every line of this name.
fn values(datagram: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(datagram);
    let head = text.split('\n').skip(1).map(|line| line.strip_suffix('\r').unwrap_or(line));
    head.take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// Under every sequence of answers the bounds of a search hold, and no flood of
/// others takes a place or a datagram from the gateway.
pub(super) fn ssdp_sieve(data: &[u8]) {
    let [setting, script @ ..] = data else { return };
    let gateway = Ipv4Addr::new(192, 168, 1, 1);
    let senders = Senders {
        gateways: (setting & 1 != 0).then_some(gateway).into_iter().collect(),
        only_gateway: setting & 2 != 0,
        subnets: if setting & 4 != 0 { vec![(Ipv4Addr::new(192, 168, 1, 7), 24)] } else { Vec::new() },
    };
    let mut filter = AnswerFilter::new(senders.clone());
    let mut elapsed = Duration::ZERO;
    let mut read: BTreeMap<(u64, bool), u32> = BTreeMap::new();
    let mut found: Vec<(IpAddr, String)> = Vec::new();
    for event in script.chunks_exact(3) {
        let (host, place, step) = (event[0], event[1], event[2]);
        elapsed += Duration::from_millis(u64::from(step & 0xf) * 20);
        let sender = IpAddr::V4(Ipv4Addr::from([192, 168, 1 + (host >> 7), host & 0x1f]));
        let is_gateway = senders.gateways.iter().any(|gateway| IpAddr::V4(*gateway) == sender);
        // A flood of one sender, so that short inputs reach the limit.
        for _ in 0..=(step >> 4) * 5 {
            let admitted = filter.allow(sender, elapsed);
            let count = read.entry((elapsed.as_secs(), is_gateway)).or_default();
            assert!(admitted || !is_gateway || *count == MAX_PER_SECOND, "the gateway is always heard");
            *count += u32::from(admitted);
            assert!(*count <= MAX_PER_SECOND);
            assert!(!admitted || is_gateway || !senders.only_gateway);
            assert!(!admitted || is_gateway || senders.subnets.is_empty() || host >> 7 == 0);
        }
        let st = ["upnp:rootdevice", "urn:schemas-upnp-org:device:Printer:1"][usize::from(place >> 7)];
        let text =
            format!("HTTP/1.1 200 OK\r\nST: {st}\r\nLOCATION: http://{sender}:5000/{}\r\n\r\n", place & 0x7f);
        let answer = Answer::parse(text.as_bytes(), sender).expect("a good answer");
        let entry = (sender, answer.location.to_string());
        let fresh = answer.verdict() != Verdict::NotAGateway && !found.contains(&entry);
        let passed = filter.pass(&answer, Delivery::Multicast);
        assert!(fresh || !passed);
        if is_gateway && fresh {
            let of_gateway = found.iter().filter(|(host, _)| *host == sender).count();
            assert!(passed || of_gateway >= RESERVED, "its places are its own");
        }
        if passed {
            found.push(entry);
        }
        assert!(found.len() <= MAX_LOCATIONS);
        assert!(is_gateway || found.iter().filter(|(host, _)| *host == sender).count() <= MAX_PER_HOST);
    }
}

/// An answer is written and read again unchanged, and tells an address only as a
/// success, word for word, and only one that a host could have.
pub(super) fn natpmp(data: &[u8]) {
    if let Ok(answer) = ExternalAddress::parse(data) {
        assert!(data.len() <= MAX_DATAGRAM && data.starts_with(&[0, 128]));
        assert_eq!(ExternalAddress::parse(&answer.to_bytes()), Ok(answer));
        if let Finding::Known(address) = answer.finding() {
            assert_eq!(answer.result, ResultCode::Success);
            assert_eq!(data.get(8..12), Some(&address.octets()[..]));
            assert!(!matches!(scope(address.into()), Scope::Unusable(_)), "{address}");
        }
    }
    let number =
        |at: usize| data.get(at..at + 4).map_or(7, |bytes| u32::from_be_bytes(bytes.try_into().expect("4")));
    let (last, elapsed, new) = (number(0), number(4), number(8));
    let on_time = u64::from(new) >= u64::from(last) + u64::from(elapsed);
    assert!(!(on_time && restarted(last, Duration::from_secs(elapsed.into()), new)));
    assert!(last < 4 || restarted(last, Duration::from_secs(elapsed.into()), 0));
}

/// A grant is an answer, word for word, to just this mapping: no other nonce, port
/// or protocol gets one. What a gateway makes of our own request is read as that.
/// The input: what it makes of it (result, lifetime, address), then a datagram.
pub(super) fn pcp(data: &[u8]) {
    let Some(([result, lifetime, external @ ..], datagram)) = data.split_first_chunk::<6>() else { return };
    let mapping = Mapping { client: Ipv4Addr::new(192, 168, 1, 7), port: 0x3930, nonce: *b"nonce-of-us!" };
    match mapping.read(datagram) {
        Ok(granted) => {
            assert!((60..=MAX_DATAGRAM).contains(&datagram.len()));
            assert_eq!((&datagram[..2], datagram[3]), (&[2, 0x81][..], 0));
            assert_eq!(datagram[4..8], granted.lifetime.to_be_bytes());
            assert_eq!((&datagram[24..36], datagram[36]), (&mapping.nonce[..], 17));
            assert_eq!(datagram[40..42], mapping.port.to_be_bytes());
            assert_eq!(datagram[44..60], granted.external.octets());
            if let Some(address) = granted.ipv4() {
                assert!(!address.is_unspecified());
                assert_eq!(datagram[54..60], [&[255, 255][..], &address.octets()].concat());
            }
            for place in [0, 1, 3, 24, 35, 36, 40, 41] {
                let mut other = datagram.to_vec();
                other[place] ^= 1;
                assert!(mapping.read(&other).is_err(), "{place}");
            }
            assert!(Mapping { port: 9, ..mapping }.read(datagram).is_err());
            assert!(Mapping { nonce: [7; 12], ..mapping }.read(datagram).is_err());
        }
        Err(error) => {
            if let PcpError::Refused(refusal) = error {
                assert!(datagram.starts_with(&[2, 0x81]) && datagram[3] == refusal.0 && refusal.0 != 0);
            }
            let why = error.to_string();
            assert!(!why.is_empty() && why.len() < 200);
        }
    }
    if read_announce(datagram).is_ok() {
        assert!((24..=MAX_DATAGRAM).contains(&datagram.len()) && datagram.starts_with(&[2, 0x80]));
        assert!(datagram[3] == 0 && mapping.read(datagram).is_err(), "one is not the other");
    }
    assert_eq!(read_announce(&announce(mapping.client)), Err(PcpError::Request));
    let mut answer = mapping.request().to_vec();
    assert_eq!(mapping.read(&answer), Err(PcpError::Request), "an echo of it is no answer");
    answer[1] |= 0x80;
    answer[3] = *result;
    answer[4..8].copy_from_slice(&u32::from(*lifetime).to_be_bytes());
    answer[56..].copy_from_slice(external);
    match mapping.read(&answer) {
        Ok(granted) => {
            let address = Ipv4Addr::from(*external);
            assert_eq!((*result, granted.lifetime), (0, u32::from(*lifetime)));
            assert_eq!(granted.ipv4(), Some(address).filter(|address| !address.is_unspecified()));
        }
        Err(PcpError::Refused(refusal)) => assert!(refusal.0 == *result && *result != 0),
        Err(other) => panic!("{other}"),
    }
}

const SEQUENCE: u32 = 5;

fn read(data: &[u8]) -> Vec<Message> {
    parse(data, SEQUENCE).collect()
}

/// No more messages than headers fit into the bytes; a cut loses messages but
/// changes none; what is read is written and read again unchanged.
pub(super) fn netlink(data: &[u8]) {
    let messages = read(data);
    assert!(messages.len() <= data.len() / 16 * 2);
    let half = read(&data[..data.len() / 2]);
    assert_eq!(messages[..half.len()], half);
    for message in messages {
        match &message {
            Message::Link(link) => {
                assert!(link.name.chars().count() < 16 && !link.name.contains('\0'));
                // A name that is no UTF-8 has grown by its replacement.
                if link.name.len() < 16 {
                    assert_eq!(read(&write_link(link)), [message]);
                }
            }
            Message::Address(address) => {
                assert!(address.prefix_length <= if address.address.is_ipv4() { 32 } else { 128 });
                assert!(address.address.is_ipv6() || !address.temporary);
                assert_eq!(read(&write_address(address)), [message]);
            }
            Message::Route(route) => {
                assert!(!route.by_route || route.source.is_some());
                assert_eq!(read(&write_route(route)), [message]);
            }
            Message::Done | Message::Interrupted | Message::Error(_) | Message::Other => {}
        }
    }
}

fn write(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).expect("short");
    let numbers =
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 2], &SEQUENCE.to_ne_bytes(), &[0; 4], body];
    numbers.concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("short");
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn write_link(link: &Link) -> Vec<u8> {
    let flags = u32::from(link.up)
        | u32::from(link.loopback) << 3
        | u32::from(link.point_to_point) << 4
        | u32::from(link.multicast) << 12;
    let name = attribute(3, &[link.name.as_bytes(), &[0]].concat());
    write(16, &[&[0; 4][..], &link.index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4], &name].concat())
}

fn write_route(route: &Route) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let is_v6 = [route.gateway, route.source].into_iter().flatten().any(|address| address.is_ipv6());
    let mut attributes = attribute(4, &route.interface.to_ne_bytes());
    attributes.extend(route.gateway.map(|gateway| attribute(5, &octets(gateway))).unwrap_or_default());
    let source = route.source.map(|source| attribute(7, &octets(source))).unwrap_or_default();
    // Named by the route, an IPv6 source stands behind the kernel's own choice.
    attributes.extend(if is_v6 && route.by_route { source.repeat(2) } else { source });
    write(24, &[&[if is_v6 { 10 } else { 2 }, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &attributes].concat())
}

fn write_address(address: &Address) -> Vec<u8> {
    let (family, bytes) = match address.address {
        IpAddr::V4(address) => (2, address.octets().to_vec()),
        IpAddr::V6(address) => (10, address.octets().to_vec()),
    };
    let flags = u32::from(address.temporary)
        | u32::from(address.deprecated) << 5
        | u32::from(address.tentative) << 6
        | u32::from(address.duplicate) << 3;
    let seconds = |time: Option<Duration>| {
        time.map_or(u32::MAX, |time| u32::try_from(time.as_secs()).expect("as read")).to_ne_bytes()
    };
    let stamp = |time: Duration| u32::try_from(time.as_millis() / 10).expect("as read").to_ne_bytes();
    let times = [seconds(address.preferred), seconds(address.valid)];
    let cache = [times.concat(), [stamp(address.made), stamp(address.renewed)].concat()].concat();
    let attributes =
        [attribute(2, &bytes), attribute(8, &flags.to_ne_bytes()), attribute(6, &cache)].concat();
    let fixed = [family, address.prefix_length, 0, 0];
    write(20, &[&fixed[..], &address.index.to_ne_bytes(), &attributes].concat())
}
