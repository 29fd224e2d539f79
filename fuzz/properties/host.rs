//! Properties of what the host tells: its addresses.

use std::net::IpAddr;
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Finding, Prefix, Scope, scope};
use ddns_update_daemon::sources::interface::{Routes, choose};
use ddns_update_daemon::system::{DefaultRoute, InterfaceAddress, Route};

const NAMES: [&str; 3] = ["eth0", "ppp0", "wg0"];

/// Addresses of every scope.
const POOL: [&str; 16] = [
    "198.41.0.4",
    "9.9.9.9",
    "192.168.1.7",
    "100.64.0.7",
    "169.254.3.3",
    "127.0.0.1",
    "0.0.0.0",
    "2600:1::1",
    "2600:1::2",
    "2600:2::1",
    "fd00::1",
    "fe80::1",
    "2002:1::1",
    "::1",
    "2001:db8::1",
    "ff02::1",
];

/// What is chosen may be published now and still tomorrow; the order of the
/// list, and polling again, change nothing.
pub(super) fn interface(data: &[u8]) {
    let [which, old_v4, old_v6, script @ ..] = data else { return };
    let entries: Vec<InterfaceAddress> = script.chunks_exact(6).map(entry).collect();
    let name = |index: u8| NAMES[usize::from(index % 3)];
    let named = (which % 8 < 4).then(|| name(*which >> 3));
    let routes = Routes { ipv4: route(*which % 8, *which >> 3), ipv6: route(*which % 8, *which >> 5) };
    let mut previous = Addresses::default();
    if let IpAddr::V4(address) = pool(*old_v4) {
        previous.ipv4 = Some(address);
    }
    if let IpAddr::V6(address) = pool(*old_v6) {
        previous.ipv6 = Some(address);
    }
    let observation = choose(&entries, named, &routes, &previous);
    check(&entries, named, routes.ipv4, true, observation.ipv4.known().map(IpAddr::V4));
    check(&entries, named, routes.ipv6, false, observation.ipv6.known().map(IpAddr::V6));
    if let Finding::Known(prefix) = observation.ipv6_prefix {
        let address = observation.ipv6.known().expect("a prefix comes with an address");
        assert_eq!(Prefix::new(address, prefix.length()), Some(prefix));
        assert!(prefix.length() < 128, "a single address tells no network");
    }

    let mut reversed = entries.clone();
    reversed.reverse();
    let of_reversed = choose(&reversed, named, &routes, &previous);
    assert_eq!(of_reversed.ipv6.known(), observation.ipv6.known());
    assert_eq!(of_reversed.ipv4.known().is_some(), observation.ipv4.known().is_some());

    // What is published stays while nothing is known.
    previous.ipv4 = observation.ipv4.known().or(previous.ipv4);
    previous.ipv6 = observation.ipv6.known().or(previous.ipv6);
    assert_eq!(choose(&entries, named, &routes, &previous), observation, "the choice wavers");
}

fn pool(index: u8) -> IpAddr {
    POOL[usize::from(index % 16)].parse().expect("an address")
}

fn entry(bytes: &[u8]) -> InterfaceAddress {
    let time = |byte: u8| (byte % 4 != 3).then(|| Duration::from_secs(u64::from(byte % 4) * 1000));
    let flag = |bit: u8| bytes[3] >> bit & 1 == 1;
    let name = NAMES[usize::from(bytes[0] % 3)];
    InterfaceAddress {
        interface: name.to_owned(),
        index: u32::from(bytes[0] % 3),
        address: pool(bytes[1]),
        prefix_length: bytes[2],
        temporary: flag(0),
        tentative: flag(1),
        duplicate: flag(1) && flag(7),
        deprecated: flag(2),
        valid: time(bytes[4]),
        preferred: time(bytes[5]),
        made: Duration::from_secs(u64::from(bytes[4] >> 2)),
        renewed: Duration::from_secs(u64::from(bytes[5] >> 2)),
        up: !flag(3),
        loopback: flag(4),
        multicast: flag(5),
        point_to_point: flag(6),
    }
}

/// Whether an entry may be published at all, by the words of the specification.
fn publishable(entry: &InterfaceAddress) -> bool {
    let usable = !matches!(scope(entry.address), Scope::Unusable(_)) && entry.valid != Some(Duration::ZERO);
    let lasting =
        !entry.temporary && !entry.tentative && !entry.deprecated && entry.preferred != Some(Duration::ZERO);
    usable && (entry.address.is_ipv4() || lasting)
}

/// What is chosen is of the right place, may be published, and is global where
/// something is; without a route nothing is known.
fn check(
    entries: &[InterfaceAddress],
    named: Option<&str>,
    route: DefaultRoute,
    is_v4: bool,
    chosen: Option<IpAddr>,
) {
    let is_there = |entry: &InterfaceAddress| match (named, route) {
        (Some(name), _) => entry.interface == name,
        (None, DefaultRoute::Known(route)) => entry.index == route.interface,
        (None, DefaultRoute::None) => false,
        (None, DefaultRoute::NotTold) => entry.up && !entry.loopback,
    };
    let there = entries.iter().filter(|entry| is_there(entry) && entry.address.is_ipv4() == is_v4);
    let best: Vec<IpAddr> = there.filter(|entry| publishable(entry)).map(|entry| entry.address).collect();
    let Some(chosen) = chosen else {
        // Only where the interface is known and up is that a reason.
        let up = entries.iter().any(|entry| Some(entry.interface.as_str()) == named && entry.up);
        assert!(best.is_empty() || (named.is_some() && !up));
        return;
    };
    assert!(best.contains(&chosen));
    let global = |address: &IpAddr| scope(*address) == Scope::Global;
    assert!(global(&chosen) || !best.iter().any(global), "a global address comes first");
}

fn route(kind: u8, interface: u8) -> DefaultRoute {
    let interface = u32::from(interface % 3);
    match kind {
        5 | 6 => DefaultRoute::Known(Route { gateway: None, interface, source: None, by_route: false }),
        7 => DefaultRoute::NotTold,
        _ => DefaultRoute::None,
    }
}
