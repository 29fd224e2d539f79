//! Which datagrams of a search are read, and which answers go on: bounds that
//! no flood can use to hide the gateway.
//!
//! Pure: time comes in as the time since the search began.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::message::{Answer, Verdict};
use crate::address;
use crate::address::Scope;
use crate::http::lan_url::LanUrl;

/// The most datagrams read in one second, of the gateway and of all others
/// together, each; a talkative network sends a dozen.
pub const MAX_PER_SECOND: u32 = 64;

/// The most places that one search finds.
pub const MAX_LOCATIONS: usize = 8;

/// How many of them are for the gateway alone, when it is known.
pub const RESERVED: usize = 4;

/// The most places of one host that is not the known gateway. Routers name one,
/// or one for each version of the standard; so one talker leaves room for others.
pub const MAX_PER_HOST: usize = 2;

/// Whose answers are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Senders {
    /// The gateway, if it is known.
    pub gateway: Option<Ipv4Addr>,
    /// Whether to listen to nobody else.
    pub only_gateway: bool,
    /// The networks we are attached to, as an address and its prefix length.
    /// Without any, every private address is taken for a neighbour.
    pub subnets: Vec<(Ipv4Addr, u8)>,
}

impl Senders {
    /// Whether an answer of `sender` may be read at all.
    #[must_use]
    pub fn allow(&self, sender: IpAddr) -> bool {
        let IpAddr::V4(sender) = sender else {
            return false;
        };
        if self.gateway == Some(sender) {
            return true;
        }
        let global = address::scope(sender.into()) == Scope::Global;
        let neighbour = if self.subnets.is_empty() {
            matches!(address::scope(sender.into()), Scope::Local(_))
        } else {
            self.subnets.iter().any(|(address, length)| same_network(sender, *address, *length))
        };
        neighbour && !global && !self.only_gateway
    }

    fn is_gateway(&self, sender: IpAddr) -> bool {
        self.gateway.map(IpAddr::V4) == Some(sender)
    }
}

fn same_network(a: Ipv4Addr, b: Ipv4Addr, length: u8) -> bool {
    (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(length)
}

/// The state of one search.
#[derive(Clone, Debug)]
pub struct AnswerFilter {
    senders: Senders,
    second: u64,
    from_gateway: u32,
    from_others: u32,
    found: Vec<LanUrl>,
}

impl AnswerFilter {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(senders: Senders) -> Self {
        Self { senders, second: 0, from_gateway: 0, from_others: 0, found: Vec::new() }
    }

    /// Whether a datagram that came from `sender`, `elapsed` after the start,
    /// is to be read.
    pub fn allow(&mut self, sender: IpAddr, elapsed: Duration) -> bool {
        if !self.senders.allow(sender) {
            return false;
        }
        if elapsed.as_secs() != self.second {
            (self.second, self.from_gateway, self.from_others) = (elapsed.as_secs(), 0, 0);
        }
        let count =
            if self.senders.is_gateway(sender) { &mut self.from_gateway } else { &mut self.from_others };
        *count = count.saturating_add(1);
        *count <= MAX_PER_SECOND
    }

    /// Whether this answer tells of a new place that is worth a poll.
    pub fn pass(&mut self, answer: &Answer) -> bool {
        let host = answer.location.host();
        let hopeless = answer.verdict() == Verdict::NotAGateway;
        if hopeless || self.found.contains(&answer.location) || !self.has_room(host) {
            return false;
        }
        self.found.push(answer.location.clone());
        true
    }

    fn has_room(&self, host: IpAddr) -> bool {
        let gateways = self.found.iter().filter(|place| self.senders.is_gateway(place.host())).count();
        let others = self.found.len().saturating_sub(gateways);
        if self.senders.is_gateway(host) {
            return self.found.len() < MAX_LOCATIONS;
        }
        let reserved = if self.senders.gateway.is_some() { RESERVED } else { 0 };
        let of_host = self.found.iter().filter(|place| place.host() == host).count();
        of_host < MAX_PER_HOST
            && others < MAX_LOCATIONS.saturating_sub(reserved)
            && self.found.len() < MAX_LOCATIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn senders() -> Senders {
        Senders {
            gateway: Some(Ipv4Addr::new(192, 168, 1, 1)),
            only_gateway: false,
            subnets: vec![(Ipv4Addr::new(192, 168, 1, 7), 24), (Ipv4Addr::new(8, 8, 8, 1), 24)],
        }
    }

    fn answer(host: IpAddr, path: usize) -> Answer {
        Answer {
            st: "upnp:rootdevice".to_owned(),
            usn: None,
            location: LanUrl::new(host, 5000, &format!("/{path}")).unwrap(),
            server: None,
        }
    }

    #[test]
    fn only_the_gateway_and_neighbours_are_heard() {
        let known = senders();
        for (sender, heard) in [
            ("192.168.1.1", true),
            ("192.168.1.200", true),
            ("192.168.2.1", false),
            ("8.8.8.8", false),
            ("127.0.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(known.allow(ip(sender)), heard, "{sender}");
        }
        let strict = Senders { only_gateway: true, ..known };
        assert!(strict.allow(ROUTER));
        assert!(!strict.allow(ip("192.168.1.200")));
        let unknown = Senders::default();
        assert!(unknown.allow(ip("10.9.8.7")));
        assert!(!unknown.allow(ip("8.8.8.8")));
        // A gateway that the user or the kernel names may be anywhere.
        let far = Senders { gateway: Some(Ipv4Addr::new(8, 8, 8, 8)), ..Senders::default() };
        assert!(far.allow(ip("8.8.8.8")));
    }

    #[test]
    fn a_flood_of_neighbours_hides_neither_the_gateway_nor_the_next_second() {
        let mut filter = AnswerFilter::new(senders());
        let read = (0..5000).filter(|_| filter.allow(ip("192.168.1.66"), Duration::ZERO)).count();
        assert_eq!(read, 64);
        assert!(filter.allow(ROUTER, Duration::ZERO));
        assert!(filter.allow(ip("192.168.1.77"), Duration::from_secs(1)));
    }

    #[test]
    fn places_are_kept_free_for_the_gateway() {
        let mut filter = AnswerFilter::new(senders());
        let passed = (1..=254)
            .flat_map(|last| (0..9).map(move |path| (last, path)))
            .filter(|(last, _)| *last != 1)
            .filter(|(last, path)| filter.pass(&answer(IpAddr::from([192, 168, 1, *last]), *path)))
            .count();
        assert_eq!(passed, MAX_LOCATIONS - RESERVED);
        let passed = (0..100).filter(|path| filter.pass(&answer(ROUTER, *path))).count();
        assert_eq!(passed, RESERVED);
    }

    #[test]
    fn one_host_cannot_take_every_place() {
        let mut filter = AnswerFilter::new(Senders::default());
        let passed = (0..100).filter(|path| filter.pass(&answer(ip("10.0.0.9"), *path))).count();
        assert_eq!(passed, MAX_PER_HOST);
        assert!(filter.pass(&answer(ip("10.0.0.1"), 0)));
    }

    #[test]
    fn a_place_passes_once_and_other_devices_never() {
        let mut filter = AnswerFilter::new(senders());
        assert!(filter.pass(&answer(ROUTER, 0)));
        assert!(!filter.pass(&answer(ROUTER, 0)));
        let printer = Answer { st: "urn:schemas-upnp-org:device:Printer:1".to_owned(), ..answer(ROUTER, 1) };
        assert!(!filter.pass(&printer));
    }
}
