//! Every other system, with what std has: the addresses that it would use
//! towards the internet. IPv6 addresses found so may be temporary ones.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::{DefaultRoute, INTERNET_V4, INTERNET_V6, InterfaceAddress, MulticastSource, source_towards};

/// Not told: gateways are found by multicast.
pub(super) fn routes_to<const N: usize>(_destinations: [IpAddr; N]) -> [DefaultRoute; N] {
    [DefaultRoute::NotTold; N]
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as on other systems")]
pub(super) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    Ok([INTERNET_V4, INTERNET_V6].into_iter().filter_map(source_towards).map(bare).collect())
}

/// Not told: interfaces are polled every interval.
#[derive(Debug)]
pub(super) enum Changes {}

impl Changes {
    pub(super) fn listen() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(unix)]
    pub(super) fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match *self {}
    }

    pub(super) fn take(&mut self) -> io::Result<bool> {
        match *self {}
    }
}

pub(super) fn limit_delivery(_stream: &TcpStream) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not shared: where another program has the port, there is no socket.
pub(super) fn multicast_socket(group: SocketAddrV4) -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, group.port()))
}

pub(super) fn join(socket: &UdpSocket, group: Ipv4Addr, way: MulticastSource) -> io::Result<()> {
    socket.join_multicast_v4(&group, &way.local)
}

/// Another sender may be of interest at the same interface: it stays joined.
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on other systems")]
pub(super) fn leave(_socket: &UdpSocket, _group: Ipv4Addr, _way: MulticastSource) -> io::Result<()> {
    Ok(())
}

/// By a connection to ourselves.
pub(super) fn unblock(listener: &TcpListener) {
    const TIME: Duration = Duration::from_secs(1);
    // If it fails, the address is gone, and the thread waits without cost.
    drop(listener.local_addr().and_then(|address| TcpStream::connect_timeout(&address, TIME)));
}

fn bare(address: IpAddr) -> InterfaceAddress {
    InterfaceAddress {
        interface: String::new(),
        index: 0,
        address,
        // Not told; 64 is what IPv6 networks have.
        prefix_length: if address.is_ipv4() { 32 } else { 64 },
        temporary: false,
        tentative: false,
        duplicate: false,
        deprecated: false,
        valid: None,
        preferred: None,
        made: Duration::ZERO,
        renewed: Duration::ZERO,
        up: true,
        loopback: address.is_loopback(),
        multicast: true,
        point_to_point: false,
    }
}
