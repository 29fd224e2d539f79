//! This host in the LAN: what its kernel has by router advertisements, through the
//! daemon's own choice among addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Observation, Prefix};
use ddns_update_daemon::sources::interface::{Routes, choose};
use ddns_update_daemon::system::{DefaultRoute, InterfaceAddress, Route};

use crate::network::{lan, local, v6};

/// How long the router's prefixes are preferred and valid after its last word.
const PREFERRED: Duration = Duration::from_secs(3600);
const VALID: Duration = Duration::from_secs(7200);
/// Between two advertisements, after the first three.
const ADVERTISED: u64 = 600;

/// How many the kernel keeps.
const MOST: usize = 5;

/// A prefix that the router advertises, or did.
struct Network {
    lan: Prefix,
    made: Duration,
    since: Duration,
    /// When it was advertised last, and whether that took it back.
    ended: Option<(Duration, bool)>,
}

#[derive(Default)]
pub(crate) struct Host {
    networks: Vec<Network>,
}

impl Host {
    /// The router advertises the LAN of this prefix from now on, or none; it takes the
    /// one from before back, or has forgotten it.
    pub(crate) fn hears(&mut self, delegated: Option<Prefix>, takes_back: bool, now: Duration) {
        let lan = delegated.map(lan);
        self.networks.retain(|network| network.ended.is_none_or(|(at, _)| now < at + VALID));
        for network in self.networks.iter_mut().filter(|network| Some(network.lan) != lan) {
            network.ended.get_or_insert((now, takes_back));
        }
        let Some(lan) = lan else { return };
        match self.networks.iter_mut().find(|network| network.lan == lan) {
            Some(Network { ended: None, .. }) => {}
            Some(network) => (network.since, network.ended) = (now, None),
            None => self.networks.push(Network { lan, made: now, since: now, ended: None }),
        }
        let surplus = self.networks.len().saturating_sub(MOST);
        self.networks.drain(..surplus);
    }

    /// Its address, where the router advertises a prefix.
    pub(crate) fn lan(&self) -> Option<Prefix> {
        self.networks.iter().find(|network| network.ended.is_none()).map(|network| network.lan)
    }

    /// What the daemon makes of its addresses; `held`: what was published.
    pub(crate) fn poll(&self, held: &mut Addresses, now: Duration) -> Observation {
        let mut addresses = vec![
            entry(Ipv4Addr::new(192, 168, 1, 9).into(), 24),
            entry(v6("fe80::211:32ff:fe00:9").into(), 64),
            entry(v6("fd00:5::211:32ff:fe00:9").into(), 64),
        ];
        for network in
            self.networks.iter().filter(|network| network.ended.is_none_or(|(at, _)| now < at + VALID))
        {
            let renewed = network.renewed(now);
            let age = now - renewed;
            let taken_back = network.ended.is_some_and(|(_, taken_back)| taken_back);
            let preferred = if taken_back { Duration::ZERO } else { PREFERRED.saturating_sub(age) };
            let made = InterfaceAddress {
                made: network.made,
                renewed,
                deprecated: preferred.is_zero(),
                preferred: Some(preferred),
                valid: Some(VALID.saturating_sub(age)),
                ..entry(local(network.lan).into(), 64)
            };
            let private = network.lan.host(v6("::11f:22e8:7a0c:91"));
            addresses.push(InterfaceAddress { temporary: true, address: private.into(), ..made.clone() });
            addresses.push(made);
        }
        let known = |source: Option<IpAddr>| {
            DefaultRoute::Known(Route { gateway: None, interface: 2, source, by_route: false })
        };
        let private = self.lan().map(|lan| lan.host(v6("::11f:22e8:7a0c:91")).into());
        let ipv6 = private.map_or(DefaultRoute::None, |source| known(Some(source)));
        let observation = choose(&addresses, None, &Routes { ipv4: known(None), ipv6 }, held);
        held.ipv4 = observation.ipv4.known().or(held.ipv4);
        held.ipv6 = observation.ipv6.known().or(held.ipv6);
        observation
    }
}

impl Network {
    /// When its lifetimes were set last: routers begin with three advertisements in a row.
    fn renewed(&self, now: Duration) -> Duration {
        let now = self.ended.map_or(now, |(at, _)| at);
        let after = match (now - self.since).as_secs() {
            0 => 0,
            1 | 2 => 1,
            seconds => 3 + (seconds - 3) / ADVERTISED * ADVERTISED,
        };
        self.since + Duration::from_secs(after)
    }
}

fn entry(address: IpAddr, prefix_length: u8) -> InterfaceAddress {
    InterfaceAddress {
        interface: "eth0".to_owned(),
        index: 2,
        address,
        prefix_length,
        temporary: false,
        tentative: false,
        duplicate: false,
        deprecated: false,
        valid: None,
        preferred: None,
        made: Duration::ZERO,
        renewed: Duration::ZERO,
        up: true,
        loopback: false,
        multicast: true,
        point_to_point: false,
    }
}

/// The address of a host with this suffix is asked for in configurations.
pub(crate) fn suffix() -> Ipv6Addr {
    v6("::211:32ff:fe12:3456")
}
