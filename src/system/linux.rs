//! Linux: routes and addresses from the kernel over netlink.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{Shutdown, bind, ipproto, recvfrom, sendto, shutdown, socket_with};

use super::{DefaultRoute, InterfaceAddress, Memory, MulticastSource, remembered};
use crate::system::netlink;
use crate::system::netlink::{Address, Dump, Link, Message};

/// How long one dump may take; the kernel answers within microseconds.
const TIME: Duration = Duration::from_secs(1);

/// The most messages read in one dump.
const MAX_MESSAGES: usize = 4096;

/// The kernel writes dumps in pieces of at most this size.
const BUFFER: usize = 32 * 1024;

/// Room for a message about a change or a route; a longer one counts as a change. It is small
/// because it is kept for as long as the program runs.
const CHANGE: usize = 2048;

/// How often a dump that changed under way is asked for again.
const TRIES: u32 = 3;

/// Questions of one datagram, each with its answer; the kernel has answered when they are
/// sent.
pub(super) fn routes_to<const N: usize>(destinations: [IpAddr; N]) -> [DefaultRoute; N] {
    let mut told = [DefaultRoute::NotTold; N];
    // What was answered before an error counts.
    let _ = with_socket(|socket| ask_routes(socket, &destinations, &mut told));
    told
}

fn ask_routes(socket: &OwnedFd, destinations: &[IpAddr], told: &mut [DefaultRoute]) -> io::Result<()> {
    let numbered = (1..).zip(destinations);
    let request: Vec<u8> = numbered.flat_map(|(number, to)| netlink::route_request(*to, number)).collect();
    sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    for (number, told) in (1..).zip(told) {
        let mut buffer = [0; CHANGE];
        let (_, length, _) = recvfrom(socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT)?;
        match netlink::parse(buffer.get(..length).unwrap_or_default(), number).next() {
            Some(Message::Route(route)) => *told = DefaultRoute::Known(route),
            // Unreachable, prohibited, or any other refusal to go there.
            Some(_) => *told = DefaultRoute::None,
            None => {}
        }
    }
    Ok(())
}

thread_local! {
    /// A thread that asks the kernel asks again: to open a socket costs as much as that.
    static KEPT: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
    /// The room for its answers, of which only what they take is ever touched.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static LINKS: Memory<Rc<BTreeMap<u32, Link>>> = const { RefCell::new(None) };
}

/// What has failed may leave an answer behind, so that its socket is not used again.
fn with_socket<T>(ask: impl FnOnce(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
    let kept = KEPT.with_borrow_mut(Option::take);
    let socket = kept.map_or_else(open, Ok)?;
    let answer = ask(&socket)?;
    KEPT.set(Some(socket));
    Ok(answer)
}

pub(super) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    ROOM.with_borrow_mut(|room| {
        if room.is_empty() {
            *room = vec![0; BUFFER];
        }
        with_socket(|socket| ask_addresses(socket, room))
    })
}

fn ask_addresses(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Vec<InterfaceAddress>> {
    let links = remembered(&LINKS, || {
        let links = dump(socket, Dump::Links, buffer, |message| match message {
            Message::Link(link) => Some((link.index, link)),
            _ => None,
        });
        Ok(Rc::new(links?.into_iter().collect()))
    })?;
    dump(socket, Dump::Addresses, buffer, |message| match message {
        // An interface that appeared in between is there at the next poll.
        Message::Address(address) => Some(with_link(links.get(&address.index)?, &address)),
        _ => None,
    })
}

fn with_link(link: &Link, address: &Address) -> InterfaceAddress {
    InterfaceAddress {
        interface: link.name.clone(),
        index: link.index,
        address: address.address,
        prefix_length: address.prefix_length,
        temporary: address.temporary,
        tentative: address.tentative,
        duplicate: address.duplicate,
        deprecated: address.deprecated,
        valid: address.valid,
        preferred: address.preferred,
        made: address.made,
        renewed: address.renewed,
        up: link.up,
        loopback: link.loopback,
        multicast: link.multicast,
        point_to_point: link.point_to_point,
    }
}

fn open() -> io::Result<OwnedFd> {
    // No protocol: NETLINK_ROUTE is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(TIME))?;
    Ok(socket)
}

/// What a whole dump tells; asked for again when it changed under way. Most polls end here,
/// so its messages are turned into values one by one, and kept nowhere.
fn dump<T>(
    socket: &OwnedFd,
    what: Dump,
    buffer: &mut [u8],
    value: impl Fn(Message) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for attempt in 1..=TRIES {
        // Each dump of this socket has a number of its own.
        let sequence = attempt.saturating_add(if what == Dump::Links { 0 } else { TRIES });
        let mut interrupted = false;
        found.clear();
        dump_once(socket, what, sequence, buffer, |message| {
            interrupted |= message == Message::Interrupted;
            found.extend(value(message));
        })?;
        if !interrupted {
            break;
        }
    }
    Ok(found)
}

fn dump_once(
    socket: &OwnedFd,
    what: Dump,
    sequence: u32,
    buffer: &mut [u8],
    mut take: impl FnMut(Message),
) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, &netlink::request(what, sequence), SendFlags::empty(), &kernel)?;
    let started = Instant::now();
    let mut taken: usize = 0;
    while started.elapsed() < TIME && taken < MAX_MESSAGES {
        let (_, length, sender) = recvfrom(socket, &mut *buffer, RecvFlags::empty())?;
        // Other processes may write to this socket too.
        if sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok()) != Some(kernel) {
            continue;
        }
        for message in netlink::parse(buffer.get(..length).unwrap_or_default(), sequence) {
            match message {
                Message::Done => return Ok(()),
                Message::Error(number) => return Err(refused(number)),
                other => take(other),
            }
            taken = taken.saturating_add(1);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Netlink counts errors downwards from 0.
fn refused(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number.saturating_neg())
}

/// A netlink socket in the groups of what we want to know.
#[derive(Debug)]
pub(super) struct Changes(OwnedFd);

impl Changes {
    pub(super) fn listen() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, netlink::CHANGES))?;
        Ok(Self(socket))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn take(&mut self) -> io::Result<bool> {
        let mut found = false;
        let mut buffer = [0; CHANGE];
        // Several changes at once count as one.
        for _ in 0..MAX_MESSAGES {
            match recvfrom(&self.0, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, length, sender)) => {
                    let kernel = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
                    // Only the kernel has the number 0.
                    let from_kernel = kernel.is_some_and(|kernel| kernel.pid() == 0);
                    let datagram = buffer.get(..length).unwrap_or_default();
                    let cut = length >= CHANGE;
                    found |= from_kernel && (cut || netlink::tells_a_change(datagram));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}

/// Milliseconds in which the other side must acknowledge what is sent over a connection
/// that is given up, or it is not sent again.
const LAST_DELIVERY: u32 = 1000;

pub(super) fn limit_delivery(stream: &TcpStream) -> io::Result<()> {
    Ok(sockopt::set_tcp_user_timeout(stream, LAST_DELIVERY)?)
}

/// Bound to the group, so that what is sent to this host alone stays with the
/// program that serves this port here.
pub(super) fn multicast_socket(group: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket =
        socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(ipproto::UDP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &group)?;
    Ok(socket.into())
}

pub(super) fn join(socket: &UdpSocket, group: Ipv4Addr, way: MulticastSource) -> io::Result<()> {
    Ok(sockopt::set_ip_add_source_membership(socket, &group, &way.local, &way.sender)?)
}

pub(super) fn leave(socket: &UdpSocket, group: Ipv4Addr, way: MulticastSource) -> io::Result<()> {
    Ok(sockopt::set_ip_drop_source_membership(socket, &group, &way.local, &way.sender)?)
}

pub(super) fn unblock(listener: &TcpListener) {
    // It fails only on a socket that nobody waits for.
    let _ = shutdown(listener, Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_thread_that_asks_again_asks_over_the_same_socket() {
        let kept = || KEPT.with_borrow(|socket| socket.as_ref().map(AsRawFd::as_raw_fd));
        let here = "127.0.0.1".parse().unwrap();
        routes_to([here]);
        let first = kept();
        assert!(first.is_some());
        for _ in 0..3 {
            assert!(addresses().unwrap().iter().any(|address| address.address == here));
            routes_to([here]);
            assert_eq!(kept(), first);
        }
        assert!(with_socket(|_| Err::<(), _>(io::ErrorKind::TimedOut.into())).is_err());
        assert_eq!(kept(), None, "an answer may still come");
        assert!(addresses().is_ok());
    }
}
