//! This host's own addresses, for hosts without NAT and for IPv6.
//!
//! [`choose`] decides, purely; [`Interface`] asks the kernel. No packet leaves
//! the host for it. Never chosen are addresses that last no longer than a day by
//! design (privacy extensions) or mean nothing elsewhere.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::address;
use crate::address::{Addresses, Family, Finding, Observation, Prefix, Scope};
use crate::system;
use crate::system::{DefaultRoute, InterfaceAddress, Route};

/// What the kernel says of the way to the internet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Routes {
    /// Over IPv4.
    pub ipv4: DefaultRoute,
    /// Over IPv6.
    pub ipv6: DefaultRoute,
}

impl Routes {
    fn of(&self, family: Family) -> DefaultRoute {
        match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        }
    }
}

/// Watches the addresses of an interface.
#[derive(Clone, Debug)]
pub struct Interface {
    name: Option<String>,
    previous: Addresses,
}

impl Interface {
    /// The interface `name`, or those of the default routes. `previous` is what
    /// was published last, as far as known: among equally good addresses it
    /// stays.
    #[must_use]
    pub fn new(name: Option<String>, previous: Addresses) -> Self {
        Self { name, previous }
    }

    /// Polls once.
    pub fn poll(&mut self) -> Observation {
        let addresses = match system::addresses() {
            Ok(addresses) => addresses,
            Err(error) => return Observation::unknown(&format!("the kernel tells no addresses: {error}")),
        };
        let (ipv4, ipv6) = system::known_default_routes();
        let ipv6 = match ipv6 {
            DefaultRoute::None if self.name.is_none() => route_of_a_source(&addresses, system::leads_out),
            told => told,
        };
        let routes = Routes { ipv4, ipv6 };
        let observation = choose(&addresses, self.name.as_deref(), &routes, &self.previous);
        self.previous.ipv4 = observation.ipv4.known().or(self.previous.ipv4);
        self.previous.ipv6 = observation.ipv6.known().or(self.previous.ipv6);
        observation
    }
}

/// Where every default route is for one source prefix (`default from P via G`, as
/// on OpenWrt), the kernel names none before it knows the source: the first
/// address that one of them is for.
#[must_use]
pub fn route_of_a_source(
    addresses: &[InterfaceAddress],
    leads_out: impl Fn(Ipv6Addr) -> bool,
) -> DefaultRoute {
    let usable = addresses.iter().filter(|entry| entry.up && objection(entry).is_none());
    let mut sources = usable.filter_map(|entry| Some((entry, v6(entry.address)?)));
    let found = sources.find(|(entry, address)| class(entry.address) == GLOBAL && leads_out(*address));
    found.map_or(DefaultRoute::None, |(entry, _)| {
        let (interface, source) = (entry.index, Some(entry.address));
        DefaultRoute::Known(Route { gateway: None, interface, source, by_route: false })
    })
}

/// The addresses to publish of those that the host has: of the interface `name`,
/// else of those that the routes lead out by. Without a route nothing is known:
/// another interface's address would be wrong as soon as the line is up again.
///
/// An address in global unicast space comes before a local one. Then the
/// kernel's evidence decides: that router advertisements still renew the prefix,
/// and the source that the route names. Among equals the previous choice stays as
/// long as it may be used; otherwise the one that may be used longest wins.
/// Lifetimes count down and are renewed all the time, so that without the
/// previous choice it would waver.
#[must_use]
pub fn choose(
    addresses: &[InterfaceAddress],
    name: Option<&str>,
    routes: &Routes,
    previous: &Addresses,
) -> Observation {
    let place = |family| Place { name, route: routes.of(family), family };
    let ipv4 = match find(addresses, place(Family::V4), previous.ipv4, v4) {
        Finding::Known((address, _)) => Finding::Known(address),
        Finding::Absent(why) => Finding::Absent(why),
        Finding::Unknown(why) => Finding::Unknown(why),
    };
    let (ipv6, ipv6_prefix) = match find(addresses, place(Family::V6), previous.ipv6, v6) {
        Finding::Known((address, entry)) => (Finding::Known(address), prefix(address, entry, addresses)),
        Finding::Absent(why) => (Finding::Absent(why.clone()), Finding::Absent(why)),
        Finding::Unknown(why) => (Finding::Unknown(why.clone()), Finding::Unknown(why)),
    };
    Observation { ipv4, ipv6, ipv6_prefix, lan: None, offers_ipv6: None }
}

/// Where an address of a family is looked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: Option<&'a str>,
    route: DefaultRoute,
    family: Family,
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// The network of the LAN, as the address says it. DHCPv6 gives single addresses,
/// whose network another address may tell; that of a line to one other host is
/// the provider's.
fn prefix(address: Ipv6Addr, entry: &InterfaceAddress, all: &[InterfaceAddress]) -> Finding<Prefix> {
    const SINGLE: u8 = 128;
    if entry.point_to_point {
        return Finding::Unknown(format!(
            "the network of {address} is the line's, not the LAN's; let the LAN's interface be asked \
             (\"interface:NAME\")"
        ));
    }
    let lengths = all.iter().filter(|other| other.index == entry.index && other.prefix_length < SINGLE);
    let mut networks = lengths
        .filter_map(|other| Prefix::new(v6(other.address)?, other.prefix_length))
        .filter(|network| Prefix::new(address, network.length()) == Some(*network));
    let own = Prefix::new(address, entry.prefix_length).filter(|own| own.length() < SINGLE);
    own.or_else(|| networks.next()).map_or_else(
        || Finding::Unknown(format!("{address} is a single address (DHCPv6), which tells no network")),
        Finding::Known,
    )
}

/// The best address of a family, with its entry.
fn find<'a, A: Copy + Ord>(
    addresses: &'a [InterfaceAddress],
    place: Place<'_>,
    previous: Option<A>,
    of_family: fn(IpAddr) -> Option<A>,
) -> Finding<(A, &'a InterfaceAddress)> {
    let in_place = match entries(addresses, place) {
        Ok(entries) => entries,
        Err(_) if has_no_ipv6(addresses, place) && previous.is_none() => {
            return Finding::Absent("this host has no IPv6 address beyond its own network".to_owned());
        }
        Err(why) => return Finding::Unknown(why),
    };
    let entries: Vec<_> =
        in_place.into_iter().filter_map(|entry| Some((entry, of_family(entry.address)?))).collect();
    let usable: Vec<_> = entries.iter().filter(|(entry, _)| objection(entry).is_none()).collect();
    let named = match place.route {
        DefaultRoute::Known(route) if route.by_route => route.source,
        _ => None,
    };
    let siblings: Vec<&InterfaceAddress> = entries.iter().map(|(entry, _)| *entry).collect();
    // Of equal IPv4 addresses the first is the interface's primary one; IPv6
    // addresses come in no order.
    let best = usable.into_iter().min_by_key(|(entry, address)| {
        let tie = entry.address.is_ipv6().then_some(*address);
        let lasts = preferred(entry);
        let stays = Some(*address) == previous && !lasts.is_zero();
        let is_named = Some(entry.address) == named;
        let is_late = is_late(entry, &siblings);
        (
            Reverse(class(entry.address)),
            is_stale(entry, &siblings),
            !is_named,
            is_late,
            !stays,
            Reverse(lasts),
            tie,
        )
    });
    match best {
        Some((address, value)) => Finding::Known((*value, address)),
        None => none_left(siblings.into_iter(), place),
    }
}

/// The longest time between two router advertisements (RFC 4861, section 6.2.1).
const LONGEST_SILENCE: Duration = Duration::from_secs(1800);

/// Routers send several advertisements at their start, the first at once.
const BURST: Duration = Duration::from_secs(2);

/// Routers that are asked at the same time answer within this (RFC 4861, section 6.2.6).
const TOGETHER: Duration = Duration::from_secs(10);

/// Whether an IPv6 address stands out its time, though it may still be used: the
/// router has deprecated its prefix, or came back without it (flash renumbering,
/// RFC 8978) and renews another one.
fn is_stale(entry: &InterfaceAddress, all: &[&InterfaceAddress]) -> bool {
    let deprecated = |other: &InterfaceAddress| {
        !other.temporary && (other.deprecated || other.preferred == Some(Duration::ZERO))
    };
    let outlived = |other: &InterfaceAddress| {
        let began_after = other.made > entry.renewed && other.renewed >= other.made.saturating_add(BURST);
        began_after || other.renewed > entry.renewed.saturating_add(LONGEST_SILENCE)
    };
    let is_here = |other: &&InterfaceAddress| network(other.address) == network(entry.address);
    let has_ended = all.iter().filter(|other| is_here(other)).any(|other| deprecated(other));
    entry.address.is_ipv6() && (has_ended || rivals(entry, all).any(outlived))
}

/// Whether an IPv6 address came to one whose prefix is still renewed since.
fn is_late(entry: &InterfaceAddress, all: &[&InterfaceAddress]) -> bool {
    let was_there = |other: &InterfaceAddress| {
        other.made.saturating_add(TOGETHER) <= entry.made && other.renewed > entry.made
    };
    rivals(entry, all).any(was_there)
}

/// The addresses of other prefixes that are as good, where router advertisements (or
/// DHCPv6) have to renew both.
fn rivals<'a>(
    entry: &'a InterfaceAddress,
    all: &'a [&InterfaceAddress],
) -> impl Iterator<Item = &'a InterfaceAddress> {
    let is_rival = |other: &&InterfaceAddress| {
        let alive = objection(other).is_none() && class(other.address) == class(entry.address);
        let limited = entry.valid.is_some() && other.valid.is_some();
        alive && limited && entry.address.is_ipv6() && network(other.address) != network(entry.address)
    };
    all.iter().copied().filter(is_rival)
}

fn network(address: IpAddr) -> Option<Prefix> {
    Prefix::new(v6(address)?, NETWORK)
}

/// The bits of a network with automatic addresses (RFC 4862).
const NETWORK: u8 = 64;

/// Whether no interface has an IPv6 address that others could use, as on a line without
/// IPv6. Where one was published, the line may be down for a moment.
fn has_no_ipv6(addresses: &[InterfaceAddress], place: Place<'_>) -> bool {
    let is_global = |entry: &InterfaceAddress| entry.address.is_ipv6() && class(entry.address) == GLOBAL;
    place.family == Family::V6 && place.name.is_none() && !addresses.iter().any(is_global)
}

/// What there is in that place, or why that cannot be told.
fn entries<'a>(
    addresses: &'a [InterfaceAddress],
    place: Place<'_>,
) -> Result<Vec<&'a InterfaceAddress>, String> {
    let Some(name) = place.name else {
        return match place.route {
            // A line may borrow an address of another interface.
            DefaultRoute::Known(route) => {
                let is_its = |entry: &&InterfaceAddress| {
                    entry.index == route.interface || Some(entry.address) == route.source
                };
                Ok(addresses.iter().filter(is_its).collect())
            }
            DefaultRoute::None => Err(format!(
                "this host has no {} route to the internet; \"interface:NAME\" needs none",
                place.family
            )),
            DefaultRoute::NotTold => {
                Ok(addresses.iter().filter(|entry| entry.up && !entry.loopback).collect())
            }
        };
    };
    let found: Vec<_> = addresses.iter().filter(|entry| entry.interface == name).collect();
    if !addresses.is_empty() && addresses.iter().all(|entry| entry.interface.is_empty()) {
        return Err("this system does not tell interfaces apart; use \"interface\" without a name".to_owned());
    }
    if found.is_empty() {
        return Err(format!("there is no interface {name:?} with an address"));
    }
    if !found.iter().any(|entry| entry.up) {
        return Err(format!("the interface {name:?} is down"));
    }
    Ok(found)
}

/// Why an address cannot be published at present.
fn objection(entry: &InterfaceAddress) -> Option<&'static str> {
    if let Scope::Unusable(why) = address::scope(entry.address) {
        return Some(why);
    }
    if entry.valid == Some(Duration::ZERO) {
        return Some("expired");
    }
    if entry.address.is_ipv4() {
        return None;
    }
    let expiring = entry.deprecated || entry.preferred == Some(Duration::ZERO);
    if entry.duplicate {
        Some("in use elsewhere")
    } else if entry.tentative {
        Some(TENTATIVE)
    } else if entry.temporary {
        Some("temporary (privacy extensions)")
    } else {
        expiring.then_some("deprecated")
    }
}

/// The kernel is about to decide whether this address can be used.
const TENTATIVE: &str = "not yet checked for being in use elsewhere";

const GLOBAL: u8 = 2;

/// The higher, the better.
fn class(address: IpAddr) -> u8 {
    match (address::scope(address), address) {
        (Scope::Global, _) => GLOBAL,
        (_, IpAddr::V6(address)) if address.is_unique_local() => 0,
        _ => 1,
    }
}

fn preferred(entry: &InterfaceAddress) -> Duration {
    if entry.deprecated { Duration::ZERO } else { entry.preferred.unwrap_or(Duration::MAX) }
}

/// There is definitely no address, unless one is about to be there.
fn none_left<'a, A>(refused: impl Iterator<Item = &'a InterfaceAddress>, place: Place<'_>) -> Finding<A> {
    let family = place.family;
    let mut reasons: Vec<&str> = refused.filter_map(objection).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let place = place.name.map_or_else(|| "this host".to_owned(), |name| format!("the interface {name:?}"));
    if reasons.is_empty() {
        return Finding::Absent(format!("{place} has no {family} address"));
    }
    let why = format!("{place} has no usable {family} address: {}", reasons.join(", "));
    if reasons.contains(&TENTATIVE) { Finding::Unknown(why) } else { Finding::Absent(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTOLD: Routes = Routes { ipv4: DefaultRoute::NotTold, ipv6: DefaultRoute::NotTold };
    const DOWN: Routes = Routes { ipv4: DefaultRoute::None, ipv6: DefaultRoute::None };

    /// A route by this interface; the source is one that it names, if any.
    fn by(interface: u32, named: Option<&str>) -> DefaultRoute {
        let source = named.map(|address| address.parse().unwrap());
        DefaultRoute::Known(Route { gateway: None, interface, source, by_route: named.is_some() })
    }

    fn at(interface: &str, address: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: interface.to_owned(),
            index: if interface == "eth0" { 2 } else { 3 },
            address: address.parse().unwrap(),
            prefix_length: if address.contains(':') { 64 } else { 24 },
            temporary: false,
            tentative: false,
            duplicate: false,
            deprecated: false,
            valid: None,
            preferred: None,
            made: Duration::ZERO,
            renewed: Duration::ZERO,
            up: true,
            loopback: interface == "lo",
            multicast: true,
            point_to_point: false,
        }
    }

    fn eth(address: &str) -> InterfaceAddress {
        at("eth0", address)
    }

    fn lasting(address: &str, preferred: u64) -> InterfaceAddress {
        let preferred = Some(Duration::from_secs(preferred));
        InterfaceAddress { preferred, valid: Some(Duration::from_secs(9000)), ..eth(address) }
    }

    fn poll(addresses: &[InterfaceAddress]) -> Observation {
        choose(addresses, Some("eth0"), &DOWN, &Addresses::default())
    }

    fn ipv4(text: &str) -> Finding<Ipv4Addr> {
        Finding::Known(text.parse().unwrap())
    }

    fn ipv6(text: &str) -> Finding<Ipv6Addr> {
        Finding::Known(text.parse().unwrap())
    }

    #[test]
    fn a_global_ipv4_address_comes_before_a_private_one() {
        let addresses = [eth("169.254.1.1"), eth("192.168.1.2"), eth("1.1.1.1"), eth("1.0.0.1")];
        assert_eq!(poll(&addresses).ipv4, ipv4("1.1.1.1"));
        assert_eq!(poll(&addresses[..2]).ipv4, ipv4("192.168.1.2"));
        let why = "the interface \"eth0\" has no usable IPv4 address: link-local (RFC 3927)";
        assert_eq!(poll(&addresses[..1]).ipv4, Finding::Absent(why.to_owned()));
        let previous = Addresses { ipv4: Some([1, 0, 0, 1].into()), ..Addresses::default() };
        assert_eq!(choose(&addresses, Some("eth0"), &DOWN, &previous).ipv4, ipv4("1.0.0.1"));
    }

    #[test]
    fn only_lasting_ipv6_addresses_are_chosen() {
        let mut refused = vec![eth("fe80::1"), eth("2002:102:304::1")];
        refused.push(InterfaceAddress { temporary: true, ..eth("2a00::1") });
        refused.push(InterfaceAddress { deprecated: true, ..eth("2a00::2") });
        refused.push(InterfaceAddress { valid: Some(Duration::ZERO), ..eth("2a00::3") });
        refused.push(lasting("2a00::4", 0));
        assert!(matches!(poll(&refused).ipv6, Finding::Absent(_)));
        assert!(matches!(poll(&refused).ipv6_prefix, Finding::Absent(_)));
        refused.push(InterfaceAddress { tentative: true, duplicate: true, ..eth("2a00::7") });
        let Finding::Absent(why) = poll(&refused).ipv6 else { panic!("it can never be used") };
        assert!(why.contains("in use elsewhere") && !why.contains("not yet"), "{why}");
        let mut hopeful = refused.clone();
        hopeful.push(InterfaceAddress { tentative: true, ..eth("2a00::5") });
        assert!(matches!(poll(&hopeful).ipv6, Finding::Unknown(_)));
        refused.push(eth("fd00::1"));
        assert_eq!(poll(&refused).ipv6, ipv6("fd00::1"));
        refused.push(eth("2a00::6"));
        assert_eq!(poll(&refused).ipv6, ipv6("2a00::6"));
    }

    #[test]
    fn the_ipv6_address_that_lasts_longest_wins_and_then_stays() {
        let addresses = [lasting("2a00::1", 100), lasting("2a00::2", 200)];
        assert_eq!(poll(&addresses).ipv6, ipv6("2a00::2"));
        assert_eq!(poll(&[lasting("2a00::1", 100), eth("2a00::9")]).ipv6, ipv6("2a00::9"));
        let previous = Addresses { ipv6: "2a00::1".parse().ok(), ..Addresses::default() };
        let again = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
        assert_eq!(again(&addresses), ipv6("2a00::1"));
        assert_eq!(again(&[lasting("2a00::1", 0), lasting("2a00::2", 200)]), ipv6("2a00::2"));
        assert_eq!(again(&[lasting("2a00::2", 200)]), ipv6("2a00::2"));
        let local = Addresses { ipv6: "fd00::1".parse().ok(), ..Addresses::default() };
        let addresses = [eth("fd00::1"), lasting("2a00::1", 1)];
        assert_eq!(choose(&addresses, Some("eth0"), &DOWN, &local).ipv6, ipv6("2a00::1"));
    }

    #[test]
    fn the_prefix_is_the_one_of_the_address() {
        let prefix = |length| {
            let entry = InterfaceAddress { prefix_length: length, ..eth("2a00:1:2:3::5") };
            poll(&[entry]).ipv6_prefix.known().unwrap().to_string()
        };
        assert_eq!(prefix(64), "2a00:1:2:3::/64");
        assert_eq!(prefix(56), "2a00:1:2::/56");
    }

    #[test]
    fn a_single_address_and_a_line_tell_no_network_of_the_lan() {
        let lease = InterfaceAddress { prefix_length: 128, ..eth("2a00:1:2:3::5") };
        let why = "2a00:1:2:3::5 is a single address (DHCPv6), which tells no network".to_owned();
        assert_eq!(poll(std::slice::from_ref(&lease)).ipv6_prefix, Finding::Unknown(why));
        let beside = InterfaceAddress { temporary: true, ..eth("2a00:1:2:3::77") };
        let prefix = poll(&[lease, beside]).ipv6_prefix.known().unwrap().to_string();
        assert_eq!(prefix, "2a00:1:2:3::/64");
        let line = InterfaceAddress { point_to_point: true, ..eth("2a00:1:2:3::5") };
        assert!(matches!(poll(&[line]).ipv6_prefix, Finding::Unknown(_)));
    }

    #[test]
    fn each_family_may_have_its_own_default_interface() {
        let addresses = [eth("1.1.1.1"), eth("2a00::1"), at("tun0", "1.0.0.1"), at("tun0", "2a00::2")];
        let routes = Routes { ipv4: by(2, None), ipv6: by(3, None) };
        let observation = choose(&addresses, None, &routes, &Addresses::default());
        assert_eq!((observation.ipv4, observation.ipv6), (ipv4("1.1.1.1"), ipv6("2a00::2")));
    }

    /// A second line and a tunnel stay up while the first reconnects.
    #[test]
    fn a_host_without_any_global_address_has_no_ipv6() {
        let ipv6 = |addresses: &[_], previous: Option<&str>| {
            let ipv6 = previous.map(|text| text.parse().unwrap());
            choose(addresses, None, &DOWN, &Addresses { ipv6, ..Addresses::default() }).ipv6
        };
        let local = [at("eth0", "192.168.1.2"), at("eth0", "fe80::2"), at("eth0", "fd00::2")];
        assert!(matches!(ipv6(&local, None), Finding::Absent(_)));
        assert!(matches!(ipv6(&local, Some("2a00::1")), Finding::Unknown(_)), "the line may be down");
        let [first, second, _] = local;
        let all = [first, second, at("eth1", "2a00::2")];
        assert!(matches!(ipv6(&all, None), Finding::Unknown(_)), "it has one, and no route");
    }

    #[test]
    fn without_a_route_nothing_is_known_and_no_other_interface_steps_in() {
        let addresses = [at("wwan0", "11.99.88.77"), at("wg0", "2a00::5")];
        let observation = choose(&addresses, None, &DOWN, &Addresses::default());
        let why = |family| {
            format!("this host has no {family} route to the internet; \"interface:NAME\" needs none")
        };
        assert_eq!(observation.ipv4, Finding::Unknown(why("IPv4")));
        assert_eq!(observation.ipv6, Finding::Unknown(why("IPv6")));
    }

    #[test]
    fn where_routes_are_not_told_any_interface_that_is_up_will_do() {
        let down = InterfaceAddress { up: false, ..at("eth1", "1.1.1.1") };
        let addresses = [at("lo", "1.0.0.9"), down, at("eth2", "1.0.0.1")];
        let observation = choose(&addresses, None, &UNTOLD, &Addresses::default());
        assert_eq!(observation.ipv4, ipv4("1.0.0.1"));
        assert_eq!(observation.ipv6, Finding::Absent("this host has no IPv6 address".to_owned()));
    }

    #[test]
    fn the_source_that_the_route_names_wins_on_whatever_interface_it_is() {
        let addresses = [eth("1.1.1.1"), eth("1.0.0.1"), eth("2a00::1"), at("lo", "2a00::2")];
        let routes = Routes { ipv4: by(2, Some("1.0.0.1")), ipv6: by(2, Some("2a00::2")) };
        let previous = Addresses {
            ipv4: Some([1, 1, 1, 1].into()),
            ipv6: "2a00::1".parse().ok(),
            ..Addresses::default()
        };
        let observation = choose(&addresses, None, &routes, &previous);
        assert_eq!((observation.ipv4, observation.ipv6), (ipv4("1.0.0.1"), ipv6("2a00::2")));
        // What the kernel would choose by itself changes with each new address.
        let chosen = match by(2, Some("2a00::2")) {
            DefaultRoute::Known(route) => DefaultRoute::Known(Route { by_route: false, ..route }),
            told => told,
        };
        let routes = Routes { ipv6: chosen, ..routes };
        assert_eq!(choose(&addresses, None, &routes, &previous).ipv6, ipv6("2a00::1"));
    }

    #[test]
    fn a_route_for_one_source_alone_is_found_by_asking_with_it() {
        let mut addresses = [at("wg0", "2a00:9::5"), at("br0", "fd00::1"), eth("2a00:1::44")];
        addresses[1].index = 4;
        let for_wan = |source: Ipv6Addr| source.segments()[1] == 1 || source.is_unique_local();
        let route = route_of_a_source(&addresses, for_wan);
        let DefaultRoute::Known(route) = route else { panic!("{route:?}") };
        assert_eq!((route.interface, route.source), (2, Some("2a00:1::44".parse().unwrap())));
        assert_eq!(route_of_a_source(&addresses, |_| false), DefaultRoute::None);
    }

    fn renewed(address: &str, made: u64, renewed: u64) -> InterfaceAddress {
        let (made, renewed) = (Duration::from_secs(made), Duration::from_secs(renewed));
        InterfaceAddress { made, renewed, ..lasting(address, 3000) }
    }

    /// The router lost power and came back with another prefix (RFC 8978).
    #[test]
    fn the_prefix_that_is_still_renewed_wins() {
        let previous = Addresses { ipv6: "2a00:a::1".parse().ok(), ..Addresses::default() };
        let choice = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
        let old = || renewed("2a00:a::1", 100, 500);
        for (what, other, expected) in [
            ("it has just come", renewed("2a00:b::1", 600, 600), "2a00:a::1"),
            ("it was renewed since, the old one was not", renewed("2a00:b::1", 600, 604), "2a00:b::1"),
            ("both were renewed by turns", renewed("2a00:b::1", 450, 604), "2a00:a::1"),
            ("the old one is silent for too long", renewed("2a00:b::1", 450, 2301), "2a00:b::1"),
            (
                "nobody renews what has no limit",
                InterfaceAddress { valid: None, ..renewed("2a00:b::1", 600, 604) },
                "2a00:a::1",
            ),
            ("it cannot be published", renewed("fd00::1", 600, 604), "2a00:a::1"),
        ] {
            assert_eq!(choice(&[old(), other]), ipv6(expected), "{what}");
        }
        assert_eq!(choice(&[old()]), ipv6("2a00:a::1"), "there is no better one");
    }

    /// Whoever advertises a prefix of his own, and for ever, comes after the router.
    #[test]
    fn a_prefix_that_came_later_moves_nothing_while_the_first_is_renewed() {
        let other = InterfaceAddress { preferred: None, ..renewed("2a00:b::1", 700, 1000) };
        for (what, first, expected) in [
            ("renewed since", renewed("2a00:a::1", 100, 900), "2a00:a::1"),
            ("not renewed since", renewed("2a00:a::1", 100, 600), "2a00:b::1"),
            ("asked at the same time: the choice stays", renewed("2a00:a::1", 695, 900), "2a00:b::1"),
            (
                "deprecated",
                InterfaceAddress { deprecated: true, ..renewed("2a00:a::1", 100, 900) },
                "2a00:b::1",
            ),
        ] {
            let addresses = [first, other.clone()];
            // Moved there while the first was gone, or nothing was published yet.
            for previous in ["2a00:b::1", "2a00:c::1"] {
                let previous = Addresses { ipv6: previous.parse().ok(), ..Addresses::default() };
                let choice = choose(&addresses, Some("eth0"), &DOWN, &previous).ipv6;
                assert_eq!(choice, ipv6(expected), "{what}");
            }
        }
    }

    #[test]
    fn an_address_whose_sibling_was_deprecated_comes_last() {
        let previous = Addresses { ipv6: "2a00:a::1".parse().ok(), ..Addresses::default() };
        let choice = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
        let sibling = InterfaceAddress { deprecated: true, ..lasting("2a00:a::2", 0) };
        let addresses = [eth("2a00:a::1"), sibling.clone(), lasting("2a00:b::1", 3000)];
        assert_eq!(choice(&addresses), ipv6("2a00:b::1"));
        assert_eq!(choice(&addresses[..2]), ipv6("2a00:a::1"), "there is no better one");
        // Privacy addresses are deprecated every day.
        let daily = InterfaceAddress { temporary: true, ..sibling };
        assert_eq!(choice(&[eth("2a00:a::1"), daily, lasting("2a00:b::1", 3000)]), ipv6("2a00:a::1"));
    }

    #[test]
    fn an_interface_that_is_not_there_tells_nothing() {
        let missing = choose(&[eth("1.1.1.1")], Some("ppp0"), &DOWN, &Addresses::default());
        let why = "there is no interface \"ppp0\" with an address".to_owned();
        assert_eq!((missing.ipv4, missing.ipv6), (Finding::Unknown(why.clone()), Finding::Unknown(why)));
        let down = InterfaceAddress { up: false, ..eth("1.1.1.1") };
        assert!(matches!(poll(&[down]).ipv4, Finding::Unknown(_)));
        let nameless = InterfaceAddress { interface: String::new(), ..eth("1.1.1.1") };
        assert!(matches!(poll(std::slice::from_ref(&nameless)).ipv4, Finding::Unknown(_)));
        assert_eq!(choose(&[nameless], None, &UNTOLD, &Addresses::default()).ipv4, ipv4("1.1.1.1"));
    }
}
