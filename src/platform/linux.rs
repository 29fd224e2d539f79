//! Linux: routes from /proc, addresses from the kernel over netlink.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recvfrom, sendto, socket_with};

use super::{DefaultRoute, InterfaceAddress, routes};
use crate::netlink::message::{self, Address, Dump, Link, Message};

/// How much of a routing table is read: a router with the whole internet in
/// its table still lists its default routes of IPv4 first.
const MAX_TABLE: u64 = 1024 * 1024;

/// How long one dump may take; the kernel answers within microseconds.
const TIME: Duration = Duration::from_secs(1);

/// The most messages read in one dump.
const MAX_MESSAGES: usize = 4096;

/// The kernel writes dumps in pieces of at most this size.
const BUFFER: usize = 32 * 1024;

/// How often a dump that changed under way is asked for again.
const TRIES: u32 = 3;

pub(super) fn default_route() -> Option<DefaultRoute> {
    routes::ipv4_default(&read("/proc/net/route")?)
}

pub(super) fn default_interface_v6() -> Option<String> {
    routes::ipv6_default_interface(&read("/proc/net/ipv6_route")?)
}

fn read(path: &str) -> Option<String> {
    // Room for an ordinary table: one read takes it, and one sees its end.
    let mut text = String::with_capacity(4096);
    File::open(path).ok()?.take(MAX_TABLE).read_to_string(&mut text).ok()?;
    Some(text)
}

pub(super) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let socket = open()?;
    let links: HashMap<u32, Link> = dump(&socket, Dump::Links)?
        .into_iter()
        .filter_map(|message| match message {
            Message::Link(link) => Some((link.index, link)),
            _ => None,
        })
        .collect();
    let addresses = dump(&socket, Dump::Addresses)?;
    Ok(addresses
        .into_iter()
        .filter_map(|message| match message {
            // An interface that appeared in between is there at the next look.
            Message::Address(address) => Some(join(links.get(&address.index)?, &address)),
            _ => None,
        })
        .collect())
}

fn join(link: &Link, address: &Address) -> InterfaceAddress {
    InterfaceAddress {
        interface: link.name.clone(),
        index: link.index,
        address: address.address,
        prefix_length: address.prefix_length,
        temporary: address.temporary,
        tentative: address.tentative,
        deprecated: address.deprecated,
        valid: address.valid,
        preferred: address.preferred,
        up: link.up,
        loopback: link.loopback,
        multicast: link.multicast,
    }
}

fn open() -> io::Result<OwnedFd> {
    // No protocol: NETLINK_ROUTE is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(TIME))?;
    Ok(socket)
}

/// A whole dump; asked for again when it changed under way.
fn dump(socket: &OwnedFd, what: Dump) -> io::Result<Vec<Message>> {
    let mut messages = Vec::new();
    for attempt in 1..=TRIES {
        // Each dump of this socket has a number of its own.
        let sequence = attempt.saturating_add(if what == Dump::Links { 0 } else { TRIES });
        messages = dump_once(socket, what, sequence)?;
        if !messages.contains(&Message::Interrupted) {
            break;
        }
    }
    Ok(messages)
}

fn dump_once(socket: &OwnedFd, what: Dump, sequence: u32) -> io::Result<Vec<Message>> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, &message::request(what, sequence), SendFlags::empty(), &kernel)?;
    let started = Instant::now();
    let mut buffer = vec![0; BUFFER];
    let mut messages = Vec::new();
    while started.elapsed() < TIME && messages.len() < MAX_MESSAGES {
        let (_, length, sender) = recvfrom(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        // Other processes may write to this socket too.
        if sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok()) != Some(kernel) {
            continue;
        }
        for message in message::parse(buffer.get(..length).unwrap_or_default(), sequence) {
            match message {
                Message::Done => return Ok(messages),
                Message::Error(number) => return Err(refused(number)),
                other => messages.push(other),
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Netlink counts errors downwards from 0.
fn refused(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number.saturating_neg())
}
