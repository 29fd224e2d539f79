//! What this host knows about its own network: default routes and addresses.
//!
//! The only place with one file for each operating system. Nothing here asks
//! anybody outside: routes and addresses come from the kernel, and connecting a
//! UDP socket only makes it choose a route. Joining a multicast group sends what
//! the system sends for it (IGMP).

pub mod clock;
#[cfg(target_os = "linux")]
mod linux;
pub mod multicast;
pub mod netlink;
#[cfg(not(target_os = "linux"))]
mod other;
pub mod race;
pub mod resolve;
pub mod routes;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::Duration;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;

/// The way to the internet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DefaultRoute {
    /// The gateway; a point-to-point line has none.
    pub gateway: Option<IpAddr>,
    /// The interface's name.
    pub interface: String,
}

/// An address of this host, and the interface that bears it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags, as the kernel gives them")]
pub struct InterfaceAddress {
    /// The interface's name; empty where the system does not tell it.
    pub interface: String,
    /// The interface's number; 0 where the system does not tell it.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// Made by privacy extensions: it changes every day.
    pub temporary: bool,
    /// Not yet, or not successfully, checked for being in use elsewhere.
    pub tentative: bool,
    /// No longer to be used for anything new.
    pub deprecated: bool,
    /// How long it stays; `None`: for ever.
    pub valid: Option<Duration>,
    /// How long it may be used for something new; `None`: for ever.
    pub preferred: Option<Duration>,
    /// Whether the interface is switched on.
    pub up: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it can carry multicast.
    pub multicast: bool,
}

/// The IPv4 default route, where the system tells it and has one.
#[must_use]
pub fn default_route() -> Option<DefaultRoute> {
    system::default_route()
}

/// The interface of the IPv6 default route, where the system tells it and has
/// one.
#[must_use]
pub fn default_interface_v6() -> Option<String> {
    system::default_interface_v6()
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
        system::Changes::listen().map(Self)
    }

    /// Waits for something to change. Several changes at once count as one, and
    /// an error means that some may have been missed.
    pub fn wait(&mut self) -> io::Result<()> {
        self.0.wait()
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

/// Ends the wait of another thread that accepts connections.
pub fn unblock(listener: &TcpListener) {
    system::unblock(listener);
}

/// The address that this host would use towards `destination`; `None` without
/// a route.
#[must_use]
pub fn source_towards(destination: IpAddr) -> Option<IpAddr> {
    // Discard: a port that nobody takes for something else.
    const PORT: u16 = 9;
    let any = match destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(destination, PORT)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_unspecified()).then_some(source)
}
