//! A multicast group: what is sent to it is a channel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::system;
use crate::system::MulticastSource;
use crate::system::watch::{Channel, PAUSE, TURN, Watch};

/// The most senders listened to: a laptop sees many networks, and the kernel
/// takes ten for a socket.
const MAX_JOINED: usize = 8;

/// Takes a datagram and its sender.
pub type Hear = Box<dyn FnMut(IpAddr, &[u8]) + Send>;

/// A group, listened to as long as the program runs.
pub struct Group {
    address: Ipv4Addr,
    socket: Arc<UdpSocket>,
    /// The oldest first.
    joined: Mutex<Vec<MulticastSource>>,
}

impl Group {
    /// Calls `hear` for every datagram of at most `longest` bytes.
    pub fn open(group: SocketAddrV4, longest: usize, watch: &Watch, hear: Hear) -> io::Result<Self> {
        let socket = Arc::new(system::multicast_socket(group)?);
        // One byte more shows what is too long.
        let buffer = vec![0; longest.saturating_add(1)];
        watch.add(Box::new(Datagrams { socket: Arc::clone(&socket), buffer, hear }))?;
        Ok(Self { address: *group.ip(), socket, joined: Mutex::default() })
    }

    /// Joins it for what this sender sends to this interface.
    pub fn join(&self, way: MulticastSource) {
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        // Joined again, in case the interface went and came; else that fails.
        let _ = system::join(&self.socket, self.address, way);
        joined.retain(|known| *known != way);
        joined.push(way);
        if joined.len() > MAX_JOINED {
            let _ = system::leave(&self.socket, self.address, joined.remove(0));
        }
    }
}

struct Datagrams {
    socket: Arc<UdpSocket>,
    buffer: Vec<u8>,
    hear: Hear,
}

impl Channel for Datagrams {
    #[cfg(unix)]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.socket)
    }

    fn take(&mut self) -> bool {
        for _ in 0..TURN {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, sender)) if length < self.buffer.len() => {
                    (self.hear)(sender.ip(), self.buffer.get(..length).unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    thread::sleep(PAUSE);
                    break;
                }
            }
        }
        true
    }
}
