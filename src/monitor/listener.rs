//! The socket of `[monitor]`: few connections, short heads, deadlines for all of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::fs::FileTypeExt as _;
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Page, answer, index, judge};
use crate::config::monitor::Listen;
use crate::engine::status::Status;
use crate::http::{MAX_HEAD, head_is_complete};
use crate::system::threads;

/// The most connections served at once; more are closed unread.
pub const MAX_CONNECTIONS: usize = 8;
/// The time for a head.
pub const HEAD_TIME: Duration = Duration::from_secs(2);
/// The time in which an answer must be taken.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Of a body, what is dropped, and how long that may take: closing with unread bytes
/// would lose our answer.
const MAX_BODY: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(1);
/// One status serves all who ask within this time.
const FRESH: Duration = Duration::from_millis(500);
/// Rest after an error (no file descriptors left).
const PAUSE: Duration = Duration::from_millis(100);
const STACK: usize = 128 * 1024;

/// Asks the daemon; `None` when it does not answer.
pub type AskStatus = Box<dyn Fn() -> Option<Status> + Send + Sync>;

struct Shared {
    hosts: Vec<String>,
    ask: AskStatus,
    last: Mutex<Option<(Instant, Arc<Status>)>>,
    connections: AtomicUsize,
}

trait Stream: Read + Write + Send {
    /// How long the next read or write may take.
    fn limit(&self, left: Duration) -> io::Result<()>;
    fn finish(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($kind:ty) => {
        impl Stream for $kind {
            fn limit(&self, left: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(left))?;
                self.set_write_timeout(Some(left))
            }

            fn finish(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

stream!(TcpStream);
#[cfg(unix)]
stream!(UnixStream);

type Accept = Box<dyn Fn() -> io::Result<Box<dyn Stream>> + Send>;

/// Listens until the end of the program.
pub fn open(listen: &Listen, hosts: &[String], ask: AskStatus) -> io::Result<()> {
    let accept: Accept = match listen {
        Listen::Tcp(address) => {
            let socket = TcpListener::bind(address)?;
            Box::new(move || Ok(Box::new(socket.accept()?.0)))
        }
        #[cfg(unix)]
        Listen::Unix(path) => {
            // One that nobody listens at is left from an earlier run.
            let is_socket = std::fs::symlink_metadata(path).is_ok_and(|at| at.file_type().is_socket());
            let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
            if is_socket && UnixStream::connect(path).is_err_and(refused) {
                std::fs::remove_file(path)?;
            }
            let socket = UnixListener::bind(path)?;
            Box::new(move || Ok(Box::new(socket.accept()?.0)))
        }
        #[cfg(not(unix))]
        Listen::Unix(_) => return Err(ErrorKind::Unsupported.into()),
    };
    let shared =
        Shared { hosts: hosts.to_vec(), ask, last: Mutex::default(), connections: AtomicUsize::new(0) };
    let shared = Arc::new(shared);
    let work = move || loop {
        match accept() {
            Ok(stream) => serve(stream, &shared),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => thread::sleep(PAUSE),
        }
    };
    threads::start("monitor", STACK, work)
}

fn serve(mut stream: Box<dyn Stream>, shared: &Arc<Shared>) {
    if shared.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let ours = Arc::clone(shared);
    let work = move || {
        // Nothing is left to do about a connection that breaks.
        let _ = converse(&mut *stream, &ours);
        ours.connections.fetch_sub(1, Ordering::Relaxed);
    };
    if threads::start("monitored", STACK, work).is_err() {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(stream: &mut dyn Stream, shared: &Shared) -> io::Result<()> {
    let head = read_head(stream)?;
    let (answer, head_only) = match judge(&head, &shared.hosts) {
        Ok(asked) if asked.page == Page::Index => (index(), asked.head_only),
        Ok(asked) => (answer(asked.page, shared.status().as_deref()), asked.head_only),
        Err(refused) => (refused, false),
    };
    let bytes = answer.bytes(head_only);
    let until = Instant::now().checked_add(ANSWER_TIME);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        stream.limit(left(until)?)?;
        match stream.write(rest)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            count => rest = rest.get(count..).unwrap_or_default(),
        }
    }
    stream.finish()?;
    let until = Instant::now().checked_add(BODY_TIME);
    let (mut buffer, mut taken) = (vec![0; 2048], 0_usize);
    while taken < MAX_BODY {
        stream.limit(left(until)?)?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => taken = taken.saturating_add(count),
        }
    }
    Ok(())
}

fn read_head(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let until = Instant::now().checked_add(HEAD_TIME);
    let (mut head, mut buffer) = (Vec::new(), vec![0; 2048]);
    while !head_is_complete(&head) && head.len() <= MAX_HEAD {
        stream.limit(left(until)?)?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => head.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
    Ok(head)
}

fn left(until: Option<Instant>) -> io::Result<Duration> {
    let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Shared {
    /// What is known now, or was a moment ago.
    fn status(&self) -> Option<Arc<Status>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, status)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH) {
            return Some(Arc::clone(status));
        }
        let status = Arc::new((self.ask)()?);
        *last = Some((Instant::now(), Arc::clone(&status)));
        Some(status)
    }
}
