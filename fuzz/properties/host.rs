//! Properties of what the host tells: routing tables, its addresses, names.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Finding, Observation, Prefix, Scope, scope};
use ddns_update_daemon::sources::interface::{Which, choose};
use ddns_update_daemon::system::InterfaceAddress;
use ddns_update_daemon::system::routes::{ipv4_default, ipv6_default_interface};

/// A default route is the best of those that the lines tell one by one; lines
/// that tell none change nothing.
pub(super) fn routes(data: &[u8]) {
    let table = String::from_utf8_lossy(data);
    let found = ipv4_default(&format!("header\n{table}"));
    let best = table.lines().filter_map(reference_v4).min_by_key(|(metric, ..)| *metric);
    assert_eq!(
        found.as_ref().map(|route| (route.gateway, route.interface.as_str())),
        best.map(|(_, gateway, name)| (gateway, name))
    );
    assert!(found.iter().all(|route| route.gateway.is_none_or(|gateway| !gateway.is_unspecified())));
    let found = ipv6_default_interface(&table);
    let best = table.lines().filter_map(reference_v6).min_by_key(|(metric, _)| *metric);
    assert_eq!(found.as_deref(), best.map(|(_, name)| name));
    assert_ne!(found.as_deref(), Some("lo"));
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// In use, and not a refusal.
fn leads(flags: u32) -> bool {
    flags & 0x201 == 1
}

fn reference_v4(line: &str) -> Option<(u32, Option<IpAddr>, &str)> {
    let column: Vec<&str> = line.split_ascii_whitespace().collect();
    if column.len() < 8 || hex(column[1])? != 0 || hex(column[7])? != 0 || !leads(hex(column[3])?) {
        return None;
    }
    let gateway = Ipv4Addr::from(hex(column[2])?.to_ne_bytes());
    let via = hex(column[3])? & 2 != 0 && gateway != Ipv4Addr::UNSPECIFIED;
    Some((column[6].parse().ok()?, via.then_some(gateway.into()), column[0]))
}

fn reference_v6(line: &str) -> Option<(u32, &str)> {
    let column: Vec<&str> = line.split_ascii_whitespace().collect();
    let everything = column.len() == 10 && column[0].trim_matches('0').is_empty();
    if !everything || column[1] != "00" || column[3] != "00" || column[9] == "lo" || !leads(hex(column[8])?) {
        return None;
    }
    Some((hex(column[5])?, column[9]))
}

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
    let which = match which % 8 {
        0..4 => Which::Named(name(*which >> 3)),
        4..7 => Which::Default { ipv4: Some(name(*which >> 3)), ipv6: Some(name(*which >> 5)) },
        _ => Which::Default { ipv4: None, ipv6: None },
    };
    let mut previous = Addresses::default();
    if let IpAddr::V4(address) = pool(*old_v4) {
        previous.ipv4 = Some(address);
    }
    if let IpAddr::V6(address) = pool(*old_v6) {
        previous.ipv6 = Some(address);
    }
    let observation = choose(&entries, which, &previous);
    check_v4(&entries, which, &observation, previous);
    check_v6(&entries, which, &observation, previous);

    let mut reversed = entries.clone();
    reversed.reverse();
    let of_reversed = choose(&reversed, which, &previous);
    assert_eq!(of_reversed.ipv6.known(), observation.ipv6.known());
    assert_eq!(of_reversed.ipv4.known().is_some(), observation.ipv4.known().is_some());

    previous.ipv4 = observation.ipv4.known();
    previous.ipv6 = observation.ipv6.known();
    assert_eq!(choose(&entries, which, &previous), observation, "the choice wavers");
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
        deprecated: flag(2),
        valid: time(bytes[4]),
        preferred: time(bytes[5]),
        up: !flag(3),
        loopback: flag(4),
        multicast: flag(5),
    }
}

/// Whether an entry may be published at all, by the words of the specification.
fn publishable(entry: &InterfaceAddress) -> bool {
    let usable = !matches!(scope(entry.address), Scope::Unusable(_)) && entry.valid != Some(Duration::ZERO);
    let lasting =
        !entry.temporary && !entry.tentative && !entry.deprecated && entry.preferred != Some(Duration::ZERO);
    usable && (entry.address.is_ipv4() || lasting)
}

fn candidates<'a>(
    entries: &'a [InterfaceAddress],
    name: Option<&'a str>,
    is_v4: bool,
) -> impl Iterator<Item = &'a InterfaceAddress> {
    let here = move |entry: &&InterfaceAddress| match name {
        Some(name) => entry.interface == name,
        None => entry.up && !entry.loopback,
    };
    entries.iter().filter(here).filter(move |entry| entry.address.is_ipv4() == is_v4 && publishable(entry))
}

fn check_v4(entries: &[InterfaceAddress], which: Which<'_>, observation: &Observation, previous: Addresses) {
    let name = match which {
        Which::Named(name) => Some(name),
        Which::Default { ipv4, .. } => ipv4,
    };
    check(entries, name, true, observation.ipv4.known().map(IpAddr::V4), previous.ipv4.map(IpAddr::V4));
}

fn check_v6(entries: &[InterfaceAddress], which: Which<'_>, observation: &Observation, previous: Addresses) {
    let name = match which {
        Which::Named(name) => Some(name),
        Which::Default { ipv6, .. } => ipv6,
    };
    check(entries, name, false, observation.ipv6.known().map(IpAddr::V6), previous.ipv6.map(IpAddr::V6));
    if let Finding::Known(prefix) = observation.ipv6_prefix {
        let address = observation.ipv6.known().expect("a prefix comes with an address");
        assert_eq!(Prefix::new(address, prefix.length()), Some(prefix));
    }
}

fn check(
    entries: &[InterfaceAddress],
    name: Option<&str>,
    is_v4: bool,
    chosen: Option<IpAddr>,
    previous: Option<IpAddr>,
) {
    let mut best: Vec<IpAddr> = candidates(entries, name, is_v4).map(|entry| entry.address).collect();
    let Some(chosen) = chosen else {
        // Only where the interface is known and up is that a reason.
        let up = entries.iter().any(|entry| Some(entry.interface.as_str()) == name && entry.up);
        assert!(best.is_empty() || (name.is_some() && !up));
        return;
    };
    assert!(best.contains(&chosen));
    let global = |address: &IpAddr| scope(*address) == Scope::Global;
    if best.iter().any(global) {
        best.retain(global);
        assert!(global(&chosen), "a global address comes first");
    }
    // What has no time limit stays for sure; the rest of the order is the code's.
    let stays = candidates(entries, name, is_v4).any(|entry| {
        Some(entry.address) == previous && !entry.deprecated && entry.preferred != Some(Duration::ZERO)
    });
    if let Some(previous) = previous.filter(|previous| stays && global(previous)) {
        assert_eq!(chosen, previous, "the choice is not sticky");
    }
}
