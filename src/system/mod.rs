//! What this host knows about its own network: default routes and addresses.
//!
//! The only place with one file for each operating system. Nothing here asks
//! anybody outside: routes and addresses come from the kernel, and connecting a
//! UDP socket only makes it choose a route. Joining a multicast group sends what
//! the system sends for it (IGMP).

pub mod clock;
pub mod closer;
#[cfg(target_os = "linux")]
mod linux;
pub mod multicast;
pub mod netlink;
#[cfg(not(target_os = "linux"))]
mod other;
pub mod race;
pub mod resolve;
pub mod threads;
pub mod watch;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::LocalKey;
use std::time::Duration;

use crate::address::Family;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;

/// Addresses in the internet, as far as routing goes (a.root-servers.net):
/// nothing is ever sent there.
const INTERNET_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4));
const INTERNET_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30));

/// Discard: a port that nobody takes for something else.
const DISCARD: u16 = 9;

/// What the kernel says of the way to the internet, over one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DefaultRoute {
    /// It would go here.
    Known(Route),
    /// It has no way there: the line is down, or there never was one.
    None,
    /// This system does not tell.
    NotTold,
}

/// A way to the internet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// The gateway; a line to one other host (PPPoE, LTE, WireGuard) has none.
    pub gateway: Option<IpAddr>,
    /// The number of the interface.
    pub interface: u32,
    /// The address of this host that the kernel would use.
    pub source: Option<IpAddr>,
    /// Whether the route names that address. Else it is the kernel's choice, which
    /// changes with each new IPv6 address.
    pub by_route: bool,
}

impl DefaultRoute {
    /// The gateway, where there is one.
    #[must_use]
    pub fn gateway(&self) -> Option<IpAddr> {
        match self {
            Self::Known(route) => route.gateway,
            Self::None | Self::NotTold => None,
        }
    }
}

/// An address of this host, and the interface that bears it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags, as the kernel gives them")]
pub struct InterfaceAddress {
    /// The interface's name; empty where the system does not tell it.
    pub interface: String,
    /// The interface's number; 0 where the system does not tell it.
    pub index: u32,
    pub address: IpAddr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// Made by privacy extensions: it changes every day.
    pub temporary: bool,
    /// Not yet checked for being in use elsewhere, or found to be.
    pub tentative: bool,
    /// In use elsewhere.
    pub duplicate: bool,
    /// No longer to be used for anything new.
    pub deprecated: bool,
    /// How long it stays; `None`: for ever.
    pub valid: Option<Duration>,
    /// How long it may be used for something new; `None`: for ever.
    pub preferred: Option<Duration>,
    /// When it was given to the interface, since the start of the system.
    pub made: Duration,
    /// When its lifetimes were set last, likewise: router advertisements renew
    /// them.
    pub renewed: Duration,
    /// Whether the interface is switched on.
    pub up: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it can carry multicast.
    pub multicast: bool,
    /// Whether it is a line to one other host.
    pub point_to_point: bool,
}

/// How the kernel would reach the internet over `family`, policy rules and
/// metrics considered.
#[must_use]
pub fn default_route(family: Family) -> DefaultRoute {
    let destination = match family {
        Family::V4 => INTERNET_V4,
        Family::V6 => INTERNET_V6,
    };
    let [route] = system::routes_to([destination]);
    route
}

/// The same over IPv4, from memory: where a gateway is asked, its silence tells the rest.
#[must_use]
pub fn known_default_route() -> DefaultRoute {
    thread_local! {
        static KNOWN: Memory<DefaultRoute> = const { RefCell::new(None) };
    }
    remembered(&KNOWN, || Ok(default_route(Family::V4))).unwrap_or(DefaultRoute::NotTold)
}

/// How the kernel would reach the internet over IPv4 and over IPv6. Never from memory: of
/// several routers it takes one that its neighbours' states say is there, and tells nobody
/// when it goes over to another.
#[must_use]
pub fn default_routes() -> (DefaultRoute, DefaultRoute) {
    system::routes_to([INTERNET_V4, INTERNET_V6]).into()
}

/// What a thread was told, and when, in changes.
type Memory<T> = RefCell<Option<(u32, T)>>;

/// What is in memory, as long as the kernel, which tells of changes ([`Changes`]), has told
/// of none since this thread asked it.
fn remembered<T: Clone>(
    memory: &'static LocalKey<Memory<T>>,
    ask: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let told = TOLD.load(Ordering::Relaxed);
    let known = memory.take().filter(|(at, _)| *at == told && told > 0);
    let (_, value) = known.map_or_else(|| Ok((told, ask()?)), io::Result::Ok)?;
    memory.set(Some((told, value.clone())));
    Ok(value)
}

/// How often the kernel has told of changes; 0: nobody listens.
static TOLD: AtomicU32 = AtomicU32::new(0);

/// The address of this host towards the internet, over IPv4: the LAN's with the
/// gateway in it is there. `None` where there is no route, or none is told.
#[must_use]
pub fn default_source() -> Option<IpAddr> {
    match default_route(Family::V4) {
        DefaultRoute::Known(route) if route.gateway.is_some() => route.source,
        DefaultRoute::Known(_) | DefaultRoute::None | DefaultRoute::NotTold => None,
    }
}

/// Whether the internet can be reached from this address of ours: a route may be
/// for one source alone (`default from P via G`), and is no default route then.
#[must_use]
pub fn leads_out(source: Ipv6Addr) -> bool {
    UdpSocket::bind((source, 0)).and_then(|socket| socket.connect((INTERNET_V6, DISCARD))).is_ok()
}

/// This host's addresses. Linux tells them all; elsewhere these are at most the
/// two that the system would use towards the internet, with nothing known
/// about their interfaces.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    system::addresses()
}

/// What the kernel tells unasked: changes of addresses, interfaces and routes.
#[derive(Debug)]
pub struct Changes(system::Changes);

impl Changes {
    /// Begins to listen. Only Linux tells.
    pub fn listen() -> io::Result<Self> {
        let changes = system::Changes::listen()?;
        TOLD.fetch_add(1, Ordering::Relaxed);
        Ok(Self(changes))
    }

    /// What becomes readable when something has changed.
    #[cfg(unix)]
    #[must_use]
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.fd()
    }

    /// Whether something has changed since; does not wait. An error means that some may
    /// have been missed.
    pub fn take(&mut self) -> io::Result<bool> {
        let taken = self.0.take();
        if !matches!(taken, Ok(false)) {
            TOLD.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

/// A socket for what is sent to a multicast group, shared with other programs
/// where the system allows it. See [`join`].
pub fn multicast_socket(group: SocketAddrV4) -> io::Result<UdpSocket> {
    system::multicast_socket(group)
}

/// Who sends to whom where: the address of our interface, and the sender that is
/// of interest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MulticastSource {
    /// Our address.
    pub local: Ipv4Addr,
    /// The sender.
    pub sender: Ipv4Addr,
}

/// Joins the group. On Linux the kernel drops what others than the sender send to
/// it; elsewhere all of it comes. Fails where it has been joined already.
pub fn join(socket: &UdpSocket, group: Ipv4Addr, way: MulticastSource) -> io::Result<()> {
    system::join(socket, group, way)
}

/// Undoes [`join`].
pub fn leave(socket: &UdpSocket, group: Ipv4Addr, way: MulticastSource) -> io::Result<()> {
    system::leave(socket, group, way)
}

/// Ends the wait for connections.
pub fn unblock(listener: &TcpListener) {
    system::unblock(listener);
}

/// The address that this host would use towards `destination`; `None` without
/// a route.
#[must_use]
pub fn source_towards(destination: IpAddr) -> Option<IpAddr> {
    let any = match destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(destination, DISCARD)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_unspecified()).then_some(source)
}
