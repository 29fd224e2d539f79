//! Devices that answer SSDP searches, truthfully or not.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::wait_for;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);

/// The target that our gateways answer to.
const TARGET: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";

/// Searches closer together than this count as one poll: a poll repeats them, and
/// rather one too few than one too many.
const ONE_POLL: Duration = Duration::from_millis(900);

/// One datagram of an answer.
#[derive(Clone)]
pub(crate) struct Answer {
    /// The address it comes from.
    pub(crate) from: Ipv4Addr,
    /// Sent so long after the one before.
    pub(crate) pause: Duration,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The answer of a gateway with its description at `location`.
    pub(crate) fn gateway(from: Ipv4Addr, location: &str) -> Self {
        let bytes = format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: {location}\r\n\
             SERVER: Test UPnP/1.1 stand-in/1.0\r\nST: {TARGET}\r\n\
             USN: uuid:00000000-0000-4000-8000-00000000fa17::{TARGET}\r\n\r\n"
        );
        Self { from, pause: Duration::ZERO, bytes: bytes.into_bytes() }
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

#[derive(Default)]
struct State {
    to_unicast: Vec<Answer>,
    to_multicast: Vec<Answer>,
    searches: Vec<Instant>,
    sent: usize,
}

/// All the devices of a network, at one host.
pub(crate) struct Responder {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Responder {
    /// Hears searches that are sent to `host` or to the group.
    pub(crate) fn start(host: Ipv4Addr) -> Self {
        // Bound to the group, a socket gets nothing else.
        // There is one on a machine: another run of these tests may have it for minutes.
        let multicast = wait_for(Duration::from_secs(300), || UdpSocket::bind((GROUP, 1900)).ok()).unwrap();
        multicast.join_multicast_v4(&GROUP, &host).unwrap();
        Self::hear(vec![(unicast(host), false), (multicast, true)])
    }

    /// Hears only searches that are sent to `host`, so several can run side by side.
    pub(crate) fn at(host: Ipv4Addr) -> Self {
        Self::hear(vec![(unicast(host), false)])
    }

    fn hear(sockets: Vec<(UdpSocket, bool)>) -> Self {
        let (state, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let hear_at = |(socket, is_group): (UdpSocket, bool)| {
            let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            thread::spawn(move || read(&socket, is_group, &state, &stop))
        };
        let readers = sockets.into_iter().map(hear_at).collect();
        Self { state, stop, readers }
    }

    /// What searches get from now on; the records start anew.
    pub(crate) fn say(&self, to_unicast: Vec<Answer>, to_multicast: Vec<Answer>) {
        *self.state.lock().unwrap() = State { to_unicast, to_multicast, ..State::default() };
    }

    /// How many datagrams were sent since [`Self::say`].
    pub(crate) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }

    /// How many polls searched since [`Self::say`].
    pub(crate) fn polls(&self) -> usize {
        let searches = self.state.lock().unwrap().searches.clone();
        let later = searches.windows(2).filter(|pair| pair[1] - pair[0] > ONE_POLL).count();
        later + usize::from(!searches.is_empty())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
    }
}

fn unicast(host: Ipv4Addr) -> UdpSocket {
    UdpSocket::bind((host, 1900)).unwrap()
}

fn read(socket: &UdpSocket, is_group: bool, state: &Arc<Mutex<State>>, stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::SeqCst) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let search = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !search.starts_with("M-SEARCH") || !search.contains(TARGET) {
            continue;
        }
        let answers = {
            let mut state = state.lock().unwrap();
            state.searches.push(Instant::now());
            if is_group { state.to_multicast.clone() } else { state.to_unicast.clone() }
        };
        let state = Arc::clone(state);
        thread::spawn(move || {
            for answer in answers {
                thread::sleep(answer.pause);
                if send(&answer, peer).is_ok() {
                    state.lock().unwrap().sent += 1;
                }
            }
        });
    }
}

fn send(answer: &Answer, peer: SocketAddr) -> io::Result<usize> {
    UdpSocket::bind((answer.from, 0))?.send_to(&answer.bytes, peer)
}
