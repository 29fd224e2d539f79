//! A multicast group and the thread that reads what is sent to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::thread;

use super::{PAUSE, STACK};
use crate::platform;

/// A group, listened to as long as the program runs.
pub(super) struct Group {
    group: SocketAddrV4,
    socket: Arc<UdpSocket>,
}

impl Group {
    /// Calls `hear` for every datagram of at most `longest` bytes.
    pub(super) fn open(
        group: SocketAddrV4,
        longest: usize,
        hear: impl FnMut(IpAddr, &[u8]) + Send + 'static,
    ) -> io::Result<Self> {
        let socket = Arc::new(platform::multicast_socket(group)?);
        let reading = Arc::clone(&socket);
        let thread = thread::Builder::new().name("announcements".to_owned()).stack_size(STACK);
        thread.spawn(move || read(&reading, longest, hear))?;
        Ok(Self { group, socket })
    }

    /// Joins it on the interface with this address. That fails where it has been
    /// joined already.
    pub(super) fn join(&self, local: Ipv4Addr) {
        let _ = self.socket.join_multicast_v4(self.group.ip(), &local);
    }
}

fn read(socket: &UdpSocket, longest: usize, mut hear: impl FnMut(IpAddr, &[u8])) {
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
