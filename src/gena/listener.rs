//! Takes the events that a gateway sends: UPnP Device Architecture 1.1, section
//! 4.3.
//!
//! Bound to the one address that is used towards the gateway; whoever else
//! connects is hung up on unread. Of a request only the head is read, within
//! [`TIME`]; the body is left to nobody. Since an event is only a hint, more
//! connections of the gateway than we serve count as one too: so nobody hides a
//! change behind connections that say nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::gena::message::{Callback, Expected, NotifyCheck, check_notify};
use crate::http::{MAX_HEAD, head_is_complete};
use crate::system;
use crate::system::threads;
use crate::system::watch::{Channel, PAUSE, Watch};

/// The time for a head; a gateway sends it in one packet.
pub const TIME: Duration = Duration::from_secs(2);

/// The most connections served at once. A gateway makes one for an event.
pub const MAX_CONNECTIONS: usize = 4;

/// How much of a body is taken and dropped. Closing a connection with unread
/// bytes would reset it, and some gateways would miss our answer.
const MAX_BODY: usize = 16 * 1024;

/// How long that may take.
const BODY_TIME: Duration = Duration::from_secs(1);

/// A connection needs little: the buffers are on the heap.
const STACK: usize = 64 * 1024;

/// What to do when an event comes.
pub type OnEvent = Arc<dyn Fn() + Send + Sync>;

/// Listens until it is dropped.
pub struct Listener {
    shared: Arc<Shared>,
    socket: TcpListener,
}

struct Shared {
    gateway: IpAddr,
    callback: Callback,
    expected: Mutex<Expected>,
    closed: AtomicBool,
    connections: AtomicUsize,
    on_event: OnEvent,
}

impl Listener {
    /// Listens on `local`, at a path made of `random`, for events of `gateway`.
    pub fn open(
        local: IpAddr,
        gateway: IpAddr,
        random: [u8; 16],
        watch: &Watch,
        on_event: OnEvent,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(SocketAddr::new(local, 0))?;
        let shared = Arc::new(Shared {
            gateway,
            callback: Callback::new(socket.local_addr()?, random),
            expected: Mutex::default(),
            closed: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            on_event,
        });
        watch.add(Box::new(Accepting { socket: socket.try_clone()?, shared: Arc::clone(&shared) }))?;
        Ok(Self { shared, socket })
    }

    /// Where events are to be sent.
    #[must_use]
    pub fn callback(&self) -> &Callback {
        &self.shared.callback
    }

    /// Whether it listens on `local` for `gateway`.
    #[must_use]
    pub fn serves(&self, local: IpAddr, gateway: IpAddr) -> bool {
        self.shared.callback.socket.ip() == local && self.shared.gateway == gateway
    }

    /// Whose events count from now on.
    pub fn expect(&self, expected: Expected) {
        *self.shared.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        system::unblock(&self.socket);
    }
}

struct Accepting {
    socket: TcpListener,
    shared: Arc<Shared>,
}

impl Channel for Accepting {
    #[cfg(unix)]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.socket)
    }

    fn take(&mut self) -> bool {
        let accepted = self.socket.accept();
        if self.shared.closed.load(Ordering::Relaxed) {
            return false;
        }
        match accepted {
            Ok((stream, peer)) if peer.ip() == self.shared.gateway => serve(stream, &self.shared),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::WouldBlock) => {}
            Err(_) => thread::sleep(PAUSE),
        }
        true
    }
}

fn serve(mut stream: TcpStream, shared: &Arc<Shared>) {
    if shared.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        (shared.on_event)();
        return;
    }
    let ours = Arc::clone(shared);
    let work = move || {
        // Nothing is left to do about a connection that breaks.
        let _ = answer(&mut stream, &ours);
        ours.connections.fetch_sub(1, Ordering::Relaxed);
    };
    if threads::start("event", STACK, work).is_err() {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        (shared.on_event)();
    }
}

fn answer(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    // Some systems hand the listener's manner on.
    stream.set_nonblocking(false)?;
    let head = read_head(stream)?;
    let judgement = {
        let expected = shared.expected.lock().unwrap_or_else(PoisonError::into_inner);
        check_notify(&head, &shared.callback, &expected)
    };
    // Fits into the socket's buffer, so this write never waits.
    let written = stream.write_all(judgement.answer());
    if judgement == NotifyCheck::Event {
        (shared.on_event)();
    }
    written?;
    stream.shutdown(Shutdown::Write)?;
    drop_body(stream)
}

/// Everything up to the end of the head, and a little more as it comes.
fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let deadline = in_time(TIME);
    let mut head = Vec::new();
    let mut buffer = vec![0; 2048];
    while !head_is_complete(&head) {
        let count = read(stream, &mut buffer, deadline)?;
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 || head.len() > MAX_HEAD {
            break;
        }
    }
    Ok(head)
}

fn drop_body(stream: &mut TcpStream) -> io::Result<()> {
    let deadline = in_time(BODY_TIME);
    let mut buffer = vec![0; 2048];
    let mut taken: usize = 0;
    while taken <= MAX_BODY {
        match read(stream, &mut buffer, deadline)? {
            0 => return Ok(()),
            count => taken = taken.saturating_add(count),
        }
    }
    Ok(())
}

fn in_time(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

fn read(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(buffer)
}
