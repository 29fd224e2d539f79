//! Which datagrams of a search are read, and which answers go on: bounds that
//! no flood can use to hide the gateway.
//!
//! Pure: time comes in as the time since the search began.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::message::{Answer, Delivery, Verdict};
use crate::address;
use crate::address::Scope;
use crate::http::lan_url::LanUrl;

/// The most datagrams read in one second, of the gateway and of all others
/// together, each; a talkative network sends a dozen.
pub const MAX_PER_SECOND: u32 = 64;

/// The most places that the multicast search has under examination at a time.
pub const MAX_LOCATIONS: usize = 8;

/// The most places that one search tries in each way, those that failed included.
pub const MAX_TRIES: usize = 48;

/// How many of them are for the gateway alone, when it is known; and how many more
/// there are for answers to the unicast search.
pub const RESERVED: usize = 4;

/// The most places of one host that is not the known gateway. Routers name one,
/// or one for each version of the standard; so one talker leaves room for others.
pub const MAX_PER_HOST: usize = 2;

/// Whose answers are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Senders {
    /// The gateways that are known.
    pub gateways: Vec<Ipv4Addr>,
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
        if self.gateways.contains(&sender) {
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
        self.gateways.iter().any(|gateway| IpAddr::V4(*gateway) == sender)
    }
}

/// Whether two addresses share so many leading bits.
#[must_use]
pub fn same_network(a: Ipv4Addr, b: Ipv4Addr, length: u8) -> bool {
    (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(length)
}

/// The state of one search.
#[derive(Clone, Debug)]
pub struct AnswerFilter {
    senders: Senders,
    second: u64,
    from_gateway: u32,
    from_others: u32,
    places: Vec<Place>,
}

/// A place that was passed on.
#[derive(Clone, Debug)]
struct Place {
    location: LanUrl,
    way: Delivery,
    failed: bool,
}

impl AnswerFilter {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(senders: Senders) -> Self {
        Self { senders, second: 0, from_gateway: 0, from_others: 0, places: Vec::new() }
    }

    /// Whether a datagram that came from `sender`, `elapsed` after the start,
    /// is to be read.
    pub fn allow(&mut self, sender: IpAddr, elapsed: Duration) -> bool {
        self.senders.allow(sender) && self.is_in_time(sender, elapsed)
    }

    /// Whether a datagram of a neighbour that is not believed is to be read all the
    /// same, so that the user hears of him.
    pub fn allow_stranger(&mut self, sender: IpAddr, elapsed: Duration) -> bool {
        let all = Senders { only_gateway: false, ..self.senders.clone() };
        !self.senders.allow(sender) && all.allow(sender) && self.is_in_time(sender, elapsed)
    }

    fn is_in_time(&mut self, sender: IpAddr, elapsed: Duration) -> bool {
        if elapsed.as_secs() != self.second {
            (self.second, self.from_gateway, self.from_others) = (elapsed.as_secs(), 0, 0);
        }
        let count =
            if self.senders.is_gateway(sender) { &mut self.from_gateway } else { &mut self.from_others };
        *count = count.saturating_add(1);
        *count <= MAX_PER_SECOND
    }

    /// Whether this answer, whenever it comes, leads to no place worth a poll.
    #[must_use]
    pub fn is_useless(&self, answer: &Answer, way: Delivery) -> bool {
        let known = self.places.iter().any(|place| place.location == answer.location);
        let tries = self.places.iter().filter(|place| place.way == way).count();
        known || answer.verdict() == Verdict::NotAGateway || tries >= MAX_TRIES
    }

    /// Whether this answer to the search of that way tells of a new place, and there
    /// is room for it now.
    pub fn pass(&mut self, answer: &Answer, way: Delivery) -> bool {
        let passes = !self.is_useless(answer, way) && self.has_room(answer.location.host(), way);
        if passes {
            self.places.push(Place { location: answer.location.clone(), way, failed: false });
        }
        passes
    }

    /// Makes room: nothing of use is there.
    pub fn failed(&mut self, location: &LanUrl) {
        for place in self.places.iter_mut().filter(|place| place.location == *location) {
            place.failed = true;
        }
    }

    /// Whether no place is under examination.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.places.iter().all(|place| place.failed)
    }

    fn has_room(&self, host: IpAddr, way: Delivery) -> bool {
        let open = || self.places.iter().filter(|place| place.way == way && !place.failed);
        // Nobody else knows the port that the unicast search was sent from.
        if way == Delivery::Unicast {
            return open().count() < RESERVED;
        }
        if self.senders.is_gateway(host) {
            return open().count() < MAX_LOCATIONS;
        }
        let reserved = if self.senders.gateways.is_empty() { 0 } else { RESERVED };
        let others = open().filter(|place| !self.senders.is_gateway(place.location.host())).count();
        open().filter(|place| place.location.host() == host).count() < MAX_PER_HOST
            && others < MAX_LOCATIONS.saturating_sub(reserved)
            && open().count() < MAX_LOCATIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Delivery = Delivery::Multicast;

    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn senders() -> Senders {
        Senders {
            gateways: vec![Ipv4Addr::new(192, 168, 1, 1)],
            only_gateway: false,
            subnets: vec![(Ipv4Addr::new(192, 168, 1, 7), 24), (Ipv4Addr::new(8, 8, 8, 1), 24)],
        }
    }

    fn answer(host: IpAddr, path: usize) -> Answer {
        let location = LanUrl::parse(&format!("http://{host}:5000/{path}")).unwrap();
        Answer { st: "upnp:rootdevice".to_owned(), location }
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
        let far = Senders { gateways: vec![Ipv4Addr::new(8, 8, 8, 8)], ..Senders::default() };
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
            .filter(|(last, path)| filter.pass(&answer(IpAddr::from([192, 168, 1, *last]), *path), GROUP))
            .count();
        assert_eq!(passed, MAX_LOCATIONS - RESERVED);
        let passed = (0..100).filter(|path| filter.pass(&answer(ROUTER, *path), GROUP)).count();
        assert_eq!(passed, RESERVED);
    }

    #[test]
    fn one_host_cannot_take_every_place() {
        let mut filter = AnswerFilter::new(Senders::default());
        let passed = (0..100).filter(|path| filter.pass(&answer(ip("10.0.0.9"), *path), GROUP)).count();
        assert_eq!(passed, MAX_PER_HOST);
        assert!(filter.pass(&answer(ip("10.0.0.1"), 0), GROUP));
    }

    #[test]
    fn a_place_passes_once_and_other_devices_never() {
        let mut filter = AnswerFilter::new(senders());
        assert!(filter.pass(&answer(ROUTER, 0), GROUP));
        assert!(!filter.pass(&answer(ROUTER, 0), GROUP));
        let printer = Answer { st: "urn:schemas-upnp-org:device:Printer:1".to_owned(), ..answer(ROUTER, 1) };
        assert!(!filter.pass(&printer, GROUP));
    }

    #[test]
    fn a_flood_in_the_gateways_name_leaves_the_unicast_search_alone() {
        let mut filter = AnswerFilter::new(senders());
        let forged = (0..1000).filter(|path| filter.pass(&answer(ROUTER, *path), GROUP)).count();
        assert_eq!(forged, MAX_LOCATIONS);
        assert!(filter.pass(&answer(ROUTER, 5000), Delivery::Unicast));
        let more = (0..1000).filter(|path| filter.pass(&answer(ROUTER, 6000 + path), Delivery::Unicast));
        assert_eq!(more.count(), RESERVED - 1);
    }

    #[test]
    fn a_place_that_fails_makes_room_up_to_a_bound() {
        let mut filter = AnswerFilter::new(senders());
        assert!((0..MAX_LOCATIONS).all(|path| filter.pass(&answer(ROUTER, path), GROUP)));
        let next = answer(ROUTER, 99);
        assert!(!filter.pass(&next, GROUP) && !filter.is_useless(&next, GROUP) && !filter.is_idle());
        filter.failed(&answer(ROUTER, 3).location);
        assert!(filter.pass(&next, GROUP));
        assert!(filter.is_useless(&answer(ROUTER, 3), GROUP), "it is not tried twice");
        let mut filter = AnswerFilter::new(senders());
        for path in 0..1000 {
            filter.pass(&answer(ROUTER, path), GROUP);
            filter.failed(&answer(ROUTER, path).location);
        }
        assert!(filter.is_idle() && filter.places.len() == MAX_TRIES);
    }

    #[test]
    fn a_neighbour_who_is_not_believed_is_heard_of() {
        let mut filter = AnswerFilter::new(Senders { only_gateway: true, ..senders() });
        let mut heard = |sender| filter.allow_stranger(ip(sender), Duration::ZERO);
        assert!(heard("192.168.1.200"));
        assert!(!heard("192.168.1.1") && !heard("192.168.2.1") && !heard("8.8.8.8"));
        assert_eq!((0..100).filter(|_| heard("192.168.1.201")).count(), 63);
    }
}
