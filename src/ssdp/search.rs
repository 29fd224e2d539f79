//! Searches for gateways from every interface at once.
//!
//! Each interface has a socket bound to its address (on Linux, multicast then
//! leaves there) and a short-lived thread. The search that goes to the gateway alone
//! has a socket of its own: whoever hears a multicast search learns its port, and
//! could fill it with answers in the gateway's name. The sockets stay unconnected:
//! answers come from the devices, from any port. IPv4 only.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::message;
use super::message::{Answer, Delivery, Verdict};
use crate::address;
use crate::address::Scope;
use crate::http::lan_url::LanUrl;
use crate::ssdp::filter::{AnswerFilter, Senders};
use crate::system;
use crate::system::InterfaceAddress;
use crate::system::threads;

/// The most interfaces searched from; routers have a dozen.
pub const MAX_INTERFACES: usize = 16;

/// What UDA 1.1 asks for. Less fails behind some bridges, more leaves the site.
const TTL: u32 = 2;

/// How soon a thread notices that nobody waits for its answers any more.
const SLICE: Duration = Duration::from_millis(100);

/// Rest after an error, so that a failing socket does not keep the CPU busy.
const PAUSE: Duration = Duration::from_millis(10);

/// The most answers that wait for room.
const MAX_WAITING: usize = 64;

/// The most hosts remembered that answered and are not believed.
const MAX_STRANGERS: usize = 4;

/// A thread needs little: its buffers are on the heap.
const STACK: usize = 128 * 1024;

/// Whom to search for, and from where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Search {
    /// Whose answers are wanted. A known gateway is also asked directly.
    pub senders: Senders,
    /// The addresses of the interfaces to search from; without any, the system
    /// chooses one.
    pub interfaces: Vec<Ipv4Addr>,
}

impl Search {
    /// A search from every interface that can reach a LAN: up, able to
    /// multicast, with a private address, or with the one that this host would use
    /// `towards` its gateway. That one is the first, whatever else there is (forty
    /// bridges of containers). Towards the internet nothing is sent.
    #[must_use]
    pub fn new(
        gateways: &[IpAddr],
        only_gateway: bool,
        addresses: &[InterfaceAddress],
        towards: Option<IpAddr>,
    ) -> Self {
        let gateways = gateways.iter().filter_map(|gateway| match gateway {
            IpAddr::V4(gateway) => Some(*gateway),
            IpAddr::V6(_) => None,
        });
        let gateways = gateways.collect();
        let mut search =
            Self { senders: Senders { gateways, only_gateway, subnets: Vec::new() }, interfaces: Vec::new() };
        let mut seen = Vec::new();
        let (first, others): (Vec<_>, Vec<_>) = addresses
            .iter()
            .filter(|entry| entry.up && !entry.loopback && entry.multicast)
            .partition(|entry| Some(entry.address) == towards);
        for entry in first.into_iter().chain(others) {
            let IpAddr::V4(address) = entry.address else { continue };
            let is_local = matches!(address::scope(entry.address), Scope::Local(_));
            if !is_local && Some(entry.address) != towards {
                continue;
            }
            // Where the system does not tell the interface, the network is
            // not known either.
            if entry.index == 0 {
                search.interfaces.push(address);
                continue;
            }
            search.senders.subnets.push((address, entry.prefix_length));
            if !seen.contains(&entry.index) && seen.len() < MAX_INTERFACES {
                seen.push(entry.index);
                search.interfaces.push(address);
            }
        }
        search
    }
}

/// What a search finds, as it comes. Dropping it ends the search.
pub struct Answers {
    receiver: Receiver<Heard>,
    filter: AnswerFilter,
    waiting: Vec<(Answer, Delivery)>,
    avoided: Vec<LanUrl>,
    strangers: Vec<IpAddr>,
    /// The threads check whether this is still there.
    _open: Arc<()>,
}

enum Heard {
    Answer(Answer, Delivery),
    /// Somebody calls himself a gateway who is not believed.
    Stranger(IpAddr),
}

impl Answers {
    /// The next new location and the search that it answers; `None` at `until` or
    /// when the search has ended.
    pub fn next(&mut self, until: Instant) -> Option<(LanUrl, Delivery)> {
        loop {
            self.waiting.retain(|(answer, way)| !self.filter.is_useless(answer, *way));
            let mut waiting = self.waiting.iter();
            let ripe = waiting.position(|(answer, way)| {
                let later = *way == Delivery::Multicast && self.avoided.contains(&answer.location);
                !later && self.filter.pass(answer, *way)
            });
            if let Some(ripe) = ripe {
                let (answer, way) = self.waiting.remove(ripe);
                return Some((answer.location, way));
            }
            let wait = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(wait) {
                Ok(Heard::Answer(answer, way)) => self.keep((answer, way)),
                Ok(Heard::Stranger(host)) => {
                    if self.strangers.len() < MAX_STRANGERS && !self.strangers.contains(&host) {
                        self.strangers.push(host);
                    }
                }
                // Nobody else speaks, so it is their turn.
                Err(_) if self.filter.is_idle() && !self.avoided.is_empty() => self.avoided.clear(),
                Err(_) => return None,
            }
        }
    }

    fn keep(&mut self, answer: (Answer, Delivery)) {
        if self.waiting.len() < MAX_WAITING && !self.waiting.contains(&answer) {
            self.waiting.push(answer);
        }
    }

    /// Says that nothing of use is there, which makes room for others.
    pub fn failed(&mut self, location: &LanUrl) {
        self.filter.failed(location);
    }

    /// These come last, where anyone could have told of them: they failed in an
    /// earlier search.
    pub fn avoid(&mut self, locations: &[LanUrl]) {
        self.avoided = locations.to_vec();
    }

    /// Who else in this network answered as a gateway, and is not believed.
    #[must_use]
    pub fn strangers(&self) -> &[IpAddr] {
        &self.strangers
    }
}

/// Begins a search that ends at the deadline.
#[must_use]
pub fn start(search: Search, deadline: Instant) -> Answers {
    let (sender, receiver) = channel();
    let open = Arc::new(());
    for interface in interfaces(&search) {
        for way in [Delivery::Unicast, Delivery::Multicast] {
            for destination in interface.destinations(way) {
                let worker = Worker {
                    address: interface.address,
                    way,
                    destination,
                    filter: AnswerFilter::new(search.senders.clone()),
                    deadline,
                    sender: sender.clone(),
                    open: Arc::downgrade(&open),
                };
                // Where a thread or socket cannot be had, the others search.
                let work = move || worker.run();
                let _ = threads::start("ssdp", STACK, work);
            }
        }
    }
    Answers {
        receiver,
        filter: AnswerFilter::new(search.senders),
        waiting: Vec::new(),
        avoided: Vec::new(),
        strangers: Vec::new(),
        _open: open,
    }
}

/// A place to search from.
#[derive(Clone, Debug, Eq, PartialEq)]
struct SearchInterface {
    address: Ipv4Addr,
    unicast: Vec<SocketAddrV4>,
    multicast: bool,
}

impl SearchInterface {
    fn destinations(&self, way: Delivery) -> Vec<SocketAddrV4> {
        match way {
            Delivery::Unicast => self.unicast.clone(),
            Delivery::Multicast => self.multicast.then_some(message::GROUP).into_iter().collect(),
        }
    }
}

fn interfaces(search: &Search) -> Vec<SearchInterface> {
    let gateways = search.senders.gateways.iter().map(|gateway| {
        let towards = match system::source_towards(IpAddr::V4(*gateway)) {
            Some(IpAddr::V4(source)) => Some(source),
            _ => None,
        };
        (SocketAddrV4::new(*gateway, message::PORT), towards)
    });
    plan(&search.interfaces, &gateways.collect::<Vec<_>>())
}

/// A gateway is asked directly from the interface that leads to it, be it among
/// the others or not; if that is not known, from all.
fn plan(addresses: &[Ipv4Addr], gateways: &[(SocketAddrV4, Option<Ipv4Addr>)]) -> Vec<SearchInterface> {
    let place = |address, multicast| SearchInterface { address, unicast: Vec::new(), multicast };
    let mut interfaces: Vec<SearchInterface> =
        addresses.iter().take(MAX_INTERFACES).map(|&address| place(address, true)).collect();
    if interfaces.is_empty() {
        interfaces.push(place(Ipv4Addr::UNSPECIFIED, true));
    }
    for (gateway, towards) in gateways {
        let towards = towards.filter(|_| !addresses.is_empty());
        if let Some(address) = towards.filter(|t| !interfaces.iter().any(|i| i.address == *t)) {
            interfaces.push(place(address, false));
        }
        for interface in &mut interfaces {
            if towards.is_none_or(|towards| towards == interface.address) {
                interface.unicast.push(*gateway);
            }
        }
    }
    interfaces
}

/// Searches from one place in one way.
struct Worker {
    address: Ipv4Addr,
    way: Delivery,
    destination: SocketAddrV4,
    filter: AnswerFilter,
    deadline: Instant,
    sender: Sender<Heard>,
    open: Weak<()>,
}

impl Worker {
    fn run(mut self) {
        // An address that vanished meanwhile: the others search.
        drop(self.search());
    }

    fn search(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind((self.address, 0))?;
        socket.set_multicast_ttl_v4(TTL)?;
        let started = Instant::now();
        let mut steps = message::schedule().into_iter().peekable();
        let mut buffer = vec![0; message::MAX_DATAGRAM.saturating_add(1)];
        loop {
            while let Some(step) = steps.next_if(|step| step.after <= started.elapsed()) {
                self.send(&socket, step);
            }
            let now = Instant::now();
            if now >= self.deadline || self.open.strong_count() == 0 {
                return Ok(());
            }
            let left = self.deadline.saturating_duration_since(now).min(SLICE);
            let next = steps.peek().map_or(SLICE, |step| step.after.saturating_sub(started.elapsed()));
            self.receive(&socket, &mut buffer, started, left.min(next).max(Duration::from_millis(1)))?;
        }
    }

    /// One send may fail (a firewall, no route) while another succeeds.
    fn send(&self, socket: &UdpSocket, step: message::ScheduledSearch) {
        let request = message::search_request(step.target, self.destination);
        drop(socket.send_to(request.as_bytes(), self.destination));
    }

    /// Waits for one datagram and passes it on if it is worth it.
    fn receive(
        &mut self,
        socket: &UdpSocket,
        buffer: &mut [u8],
        started: Instant,
        wait: Duration,
    ) -> io::Result<()> {
        socket.set_read_timeout(Some(wait))?;
        let (length, sender) = match socket.recv_from(buffer) {
            Ok((length, sender)) => (length, sender.ip()),
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                    thread::sleep(PAUSE);
                }
                return Ok(());
            }
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let answer = || Answer::parse(datagram, sender).ok();
        let heard = if self.filter.allow(sender, started.elapsed()) {
            answer()
                .filter(|answer| !self.filter.is_useless(answer, self.way))
                .map(|a| Heard::Answer(a, self.way))
        } else if self.filter.allow_stranger(sender, started.elapsed()) {
            let is_gateway = |answer: &Answer| answer.verdict() == Verdict::Gateway;
            answer().filter(is_gateway).map(|_| Heard::Stranger(sender))
        } else {
            None
        };
        if let Some(heard) = heard {
            // Fails when nobody waits any more; the loop sees that itself.
            drop(self.sender.send(heard));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, last, 2)
    }

    fn entry(index: u32, address: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: format!("eth{index}"),
            index,
            address: address.parse().unwrap(),
            prefix_length: 24,
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

    #[test]
    fn a_search_leaves_by_private_interfaces_once_each() {
        let down = InterfaceAddress { up: false, ..entry(7, "10.7.0.1") };
        let tunnel = InterfaceAddress { multicast: false, ..entry(8, "10.8.0.1") };
        let lo = InterfaceAddress { loopback: true, ..entry(1, "127.0.0.1") };
        let addresses = [
            entry(2, "192.168.1.2"),
            entry(2, "192.168.7.2"),
            entry(2, "fe80::1"),
            entry(3, "10.0.0.2"),
            entry(4, "8.8.8.8"),
            entry(5, "169.254.1.1"),
            down,
            tunnel,
            lo,
        ];
        let search = Search::new(&[], false, &addresses, None);
        assert_eq!(search.interfaces, [Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(10, 0, 0, 2)]);
        assert_eq!(search.senders.subnets.len(), 3);
        let many: Vec<_> = (1..100).map(|n| entry(n, &format!("10.0.{n}.1"))).collect();
        assert_eq!(Search::new(&[], false, &many, None).interfaces.len(), MAX_INTERFACES);
    }

    #[test]
    fn where_networks_are_unknown_every_private_sender_is_heard() {
        let search = Search::new(&[], false, &[entry(0, "192.168.1.2")], None);
        assert_eq!(search.interfaces, [Ipv4Addr::new(192, 168, 1, 2)]);
        assert!(search.senders.allow(IpAddr::from([192, 168, 1, 1])));
    }

    #[test]
    fn the_interface_towards_the_gateway_is_the_first() {
        let mut addresses: Vec<_> = (1..41).map(|n| entry(n, &format!("172.{n}.0.1"))).collect();
        addresses.push(entry(50, "192.168.1.2"));
        let towards = "192.168.1.2".parse().ok();
        let search = Search::new(&[], false, &addresses, towards);
        assert_eq!(search.interfaces[0], Ipv4Addr::new(192, 168, 1, 2));
        assert_eq!(search.interfaces.len(), MAX_INTERFACES);
        // A LAN in public space.
        let addresses = [entry(2, "172.17.0.1"), entry(3, "11.22.33.5")];
        let search = Search::new(&[], false, &addresses, "11.22.33.5".parse().ok());
        assert_eq!(search.interfaces, [Ipv4Addr::new(11, 22, 33, 5), Ipv4Addr::new(172, 17, 0, 1)]);
    }

    #[test]
    fn the_gateway_is_asked_from_the_interface_that_leads_to_it() {
        let gateway = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 1), 1900);
        let unicast = |interfaces: &[SearchInterface]| {
            interfaces.iter().map(|interface| interface.unicast.len()).collect::<Vec<_>>()
        };
        assert_eq!(unicast(&plan(&[ip(1), ip(2)], &[(gateway, Some(ip(2)))])), [0, 1]);
        assert_eq!(unicast(&plan(&[ip(1), ip(2)], &[(gateway, None)])), [1, 1]);
        assert_eq!(unicast(&plan(&[ip(1), ip(2)], &[])), [0, 0]);
        let elsewhere = plan(&[ip(1)], &[(gateway, Some(ip(9)))]);
        assert_eq!(unicast(&elsewhere), [0, 1]);
        assert_eq!(elsewhere.last().map(|interface| interface.multicast), Some(false));
        let second = SocketAddrV4::new(Ipv4Addr::new(192, 168, 2, 1), 1900);
        let both = plan(&[ip(1), ip(2)], &[(gateway, Some(ip(1))), (second, Some(ip(2)))]);
        assert_eq!((&both[0].unicast[..], &both[1].unicast[..]), (&[gateway][..], &[second][..]));
    }

    #[test]
    fn without_interfaces_the_system_chooses() {
        let nowhere =
            SearchInterface { address: Ipv4Addr::UNSPECIFIED, unicast: Vec::new(), multicast: true };
        assert_eq!(plan(&[], &[]), [nowhere]);
        let gateway = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 1), 1900);
        assert_eq!(plan(&[], &[(gateway, Some(ip(1)))]).len(), 1);
    }
}
