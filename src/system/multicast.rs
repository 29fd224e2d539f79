//! A multicast group and the thread that reads what is sent to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::system;
use crate::system::MulticastSource;

/// Rest after an error of the socket: it has told more than we read, or memory is
/// short.
const PAUSE: Duration = Duration::from_millis(100);

const STACK: usize = 64 * 1024;

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
    pub fn open(group: SocketAddrV4, longest: usize, hear: Hear) -> io::Result<Self> {
        let socket = Arc::new(system::multicast_socket(group)?);
        let reading = Arc::clone(&socket);
        thread::Builder::new()
            .name("announcements".to_owned())
            .stack_size(STACK)
            .spawn(move || read(&reading, longest, hear))?;
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

fn read(socket: &UdpSocket, longest: usize, mut hear: Hear) {
    // One byte more shows what is too long.
    let mut buffer = vec![0; longest.saturating_add(1)];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, sender)) if length <= longest => {
                hear(sender.ip(), buffer.get(..length).unwrap_or_default());
            }
            Ok(_) => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
