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
        let (ipv4, ipv6) = system::default_routes();
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
    let has_ended = || all.iter().filter(|other| is_here(other)).any(|other| deprecated(other));
    // Of IPv4 there may be many, and each would be held against all others.
    entry.address.is_ipv6() && (has_ended() || rivals(entry, all).any(outlived))
}

/// Whether an IPv6 address came to one whose prefix is still renewed since.
fn is_late(entry: &InterfaceAddress, all: &[&InterfaceAddress]) -> bool {
    let was_there = |other: &InterfaceAddress| {
        other.made.saturating_add(TOGETHER) <= entry.made && other.renewed > entry.made
    };
    entry.address.is_ipv6() && rivals(entry, all).any(was_there)
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
        alive && limited && network(other.address) != network(entry.address)
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
mod tests;
