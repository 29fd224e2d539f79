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
use crate::system::InterfaceAddress;

/// The interfaces to poll.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which<'a> {
    /// The one of this name.
    Named(&'a str),
    /// Those of the default routes, which may differ; `None`: no default route
    /// is known, so any that is up.
    Default {
        /// The IPv4 default route's.
        ipv4: Option<&'a str>,
        /// The IPv6 default route's.
        ipv6: Option<&'a str>,
    },
}

impl<'a> Which<'a> {
    fn name(self, family: Family) -> Option<&'a str> {
        match (self, family) {
            (Self::Named(name), _) => Some(name),
            (Self::Default { ipv4, .. }, Family::V4) => ipv4,
            (Self::Default { ipv6, .. }, Family::V6) => ipv6,
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
        let ipv4 = system::default_route().map(|route| route.interface);
        let ipv6 = system::default_interface_v6();
        let which = match &self.name {
            Some(name) => Which::Named(name),
            None => Which::Default { ipv4: ipv4.as_deref(), ipv6: ipv6.as_deref() },
        };
        let observation = choose(&addresses, which, &self.previous);
        self.previous.ipv4 = observation.ipv4.known().or(self.previous.ipv4);
        self.previous.ipv6 = observation.ipv6.known().or(self.previous.ipv6);
        observation
    }
}

/// The addresses to publish of those that the host has.
///
/// An address in global unicast space comes before a local one. Among several
/// IPv6 addresses the previous choice stays as long as it may be used;
/// otherwise the one that may be used longest wins. Lifetimes count down and
/// are renewed all the time, so that without the first rule the choice would
/// waver.
#[must_use]
pub fn choose(addresses: &[InterfaceAddress], which: Which<'_>, previous: &Addresses) -> Observation {
    let ipv4 = match find(addresses, which, Family::V4, previous.ipv4, v4) {
        Finding::Known((address, _)) => Finding::Known(address),
        Finding::Absent(why) => Finding::Absent(why),
        Finding::Unknown(why) => Finding::Unknown(why),
    };
    let (ipv6, ipv6_prefix) = match find(addresses, which, Family::V6, previous.ipv6, v6) {
        Finding::Known((address, length)) => (Finding::Known(address), prefix(address, length)),
        Finding::Absent(why) => (Finding::Absent(why.clone()), Finding::Absent(why)),
        Finding::Unknown(why) => (Finding::Unknown(why.clone()), Finding::Unknown(why)),
    };
    Observation { ipv4, ipv6, ipv6_prefix }
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

/// The network that the address says it is in. DHCPv6 gives single addresses;
/// the networks they come from have 64 bits.
fn prefix(address: Ipv6Addr, length: u8) -> Finding<Prefix> {
    const NETWORK: u8 = 64;
    match Prefix::new(address, if length < 128 { length } else { NETWORK }) {
        Some(prefix) => Finding::Known(prefix),
        None => Finding::Unknown(format!("the kernel gave a prefix length of {length}")),
    }
}

/// The best address of a family, with its prefix length.
fn find<A: Copy + Ord>(
    addresses: &[InterfaceAddress],
    which: Which<'_>,
    family: Family,
    previous: Option<A>,
    of_family: fn(IpAddr) -> Option<A>,
) -> Finding<(A, u8)> {
    let on_interface = match entries(addresses, which.name(family)) {
        Ok(entries) => entries,
        Err(why) => return Finding::Unknown(why),
    };
    let entries: Vec<_> =
        on_interface.into_iter().filter_map(|entry| Some((entry, of_family(entry.address)?))).collect();
    let best = entries
        .iter()
        .filter(|(entry, _)| objection(entry).is_none())
        // Of equal IPv4 addresses the first is the interface's primary one;
        // IPv6 addresses come in no order.
        .min_by_key(|(entry, address)| {
            let tie = entry.address.is_ipv6().then_some(*address);
            let lasts = preferred(entry);
            let stays = Some(*address) == previous && !lasts.is_zero();
            (Reverse(class(entry.address)), !stays, Reverse(lasts), tie)
        });
    match best {
        Some((entry, address)) => Finding::Known((*address, entry.prefix_length)),
        None => none_left(entries.into_iter().map(|(entry, _)| entry), which.name(family), family),
    }
}

/// What there is on the interface, or why that cannot be told.
fn entries<'a>(
    addresses: &'a [InterfaceAddress],
    name: Option<&str>,
) -> Result<Vec<&'a InterfaceAddress>, String> {
    let Some(name) = name else {
        return Ok(addresses.iter().filter(|entry| entry.up && !entry.loopback).collect());
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
    if entry.tentative {
        Some(TENTATIVE)
    } else if entry.temporary {
        Some("temporary (privacy extensions)")
    } else {
        expiring.then_some("deprecated")
    }
}

/// The kernel is about to decide whether this address can be used.
const TENTATIVE: &str = "not yet checked for being in use elsewhere";

/// The higher, the better.
fn class(address: IpAddr) -> u8 {
    match (address::scope(address), address) {
        (Scope::Global, _) => 2,
        (_, IpAddr::V6(address)) if address.is_unique_local() => 0,
        _ => 1,
    }
}

fn preferred(entry: &InterfaceAddress) -> Duration {
    if entry.deprecated { Duration::ZERO } else { entry.preferred.unwrap_or(Duration::MAX) }
}

/// There is definitely no address, unless one is about to be there.
fn none_left<'a, A>(
    refused: impl Iterator<Item = &'a InterfaceAddress>,
    name: Option<&str>,
    family: Family,
) -> Finding<A> {
    let mut reasons: Vec<&str> = refused.filter_map(objection).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let place = name.map_or_else(|| "this host".to_owned(), |name| format!("the interface {name:?}"));
    if reasons.is_empty() {
        return Finding::Absent(format!("{place} has no {family} address"));
    }
    let why = format!("{place} has no usable {family} address: {}", reasons.join(", "));
    if reasons.contains(&TENTATIVE) { Finding::Unknown(why) } else { Finding::Absent(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Which<'_> = Which::Default { ipv4: None, ipv6: None };

    fn at(interface: &str, address: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: interface.to_owned(),
            index: 2,
            address: address.parse().unwrap(),
            prefix_length: if address.contains(':') { 64 } else { 24 },
            temporary: false,
            tentative: false,
            deprecated: false,
            valid: None,
            preferred: None,
            up: true,
            loopback: interface == "lo",
            multicast: true,
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
        choose(addresses, Which::Named("eth0"), &Addresses::default())
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
        assert_eq!(choose(&addresses, Which::Named("eth0"), &previous).ipv4, ipv4("1.0.0.1"));
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
        let again = |addresses: &[_]| choose(addresses, Which::Named("eth0"), &previous).ipv6;
        assert_eq!(again(&addresses), ipv6("2a00::1"));
        assert_eq!(again(&[lasting("2a00::1", 0), lasting("2a00::2", 200)]), ipv6("2a00::2"));
        assert_eq!(again(&[lasting("2a00::2", 200)]), ipv6("2a00::2"));
        let local = Addresses { ipv6: "fd00::1".parse().ok(), ..Addresses::default() };
        let addresses = [eth("fd00::1"), lasting("2a00::1", 1)];
        assert_eq!(choose(&addresses, Which::Named("eth0"), &local).ipv6, ipv6("2a00::1"));
    }

    #[test]
    fn the_prefix_is_the_one_of_the_address() {
        let prefix = |length| {
            let entry = InterfaceAddress { prefix_length: length, ..eth("2a00:1:2:3::5") };
            poll(&[entry]).ipv6_prefix.known().unwrap().to_string()
        };
        assert_eq!(prefix(64), "2a00:1:2:3::/64");
        assert_eq!(prefix(56), "2a00:1:2::/56");
        assert_eq!(prefix(128), "2a00:1:2:3::/64");
    }

    #[test]
    fn each_family_may_have_its_own_default_interface() {
        let addresses = [eth("1.1.1.1"), eth("2a00::1"), at("tun0", "1.0.0.1"), at("tun0", "2a00::2")];
        let which = Which::Default { ipv4: Some("eth0"), ipv6: Some("tun0") };
        let observation = choose(&addresses, which, &Addresses::default());
        assert_eq!((observation.ipv4, observation.ipv6), (ipv4("1.1.1.1"), ipv6("2a00::2")));
    }

    #[test]
    fn without_a_default_route_any_interface_that_is_up_will_do() {
        let down = InterfaceAddress { up: false, ..at("eth1", "1.1.1.1") };
        let addresses = [at("lo", "1.0.0.9"), down, at("eth2", "1.0.0.1")];
        assert_eq!(choose(&addresses, ANY, &Addresses::default()).ipv4, ipv4("1.0.0.1"));
        let why = "this host has no IPv6 address".to_owned();
        assert_eq!(choose(&addresses, ANY, &Addresses::default()).ipv6, Finding::Absent(why));
    }

    #[test]
    fn an_interface_that_is_not_there_tells_nothing() {
        let missing = choose(&[eth("1.1.1.1")], Which::Named("ppp0"), &Addresses::default());
        let why = "there is no interface \"ppp0\" with an address".to_owned();
        assert_eq!((missing.ipv4, missing.ipv6), (Finding::Unknown(why.clone()), Finding::Unknown(why)));
        let down = InterfaceAddress { up: false, ..eth("1.1.1.1") };
        assert!(matches!(poll(&[down]).ipv4, Finding::Unknown(_)));
        let nameless = InterfaceAddress { interface: String::new(), ..eth("1.1.1.1") };
        assert!(matches!(poll(std::slice::from_ref(&nameless)).ipv4, Finding::Unknown(_)));
        assert_eq!(choose(&[nameless], ANY, &Addresses::default()).ipv4, ipv4("1.1.1.1"));
    }
}
