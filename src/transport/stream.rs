//! Bytes to and from a server until a deadline, over TCP or TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::system::closer::{Closer, deliver_now_or_never};
use crate::system::race::{self, Failed};

/// For looking the name up and for connecting, each, of the time for an exchange.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection, plain or secured.
pub(super) trait Stream: Read + Write + Send + Sync {
    /// From now on, nothing takes longer.
    fn set_deadline(&mut self, until: Instant);

    /// Whether the peer has neither closed nor said anything unasked.
    fn is_open(&mut self) -> bool;
}

impl fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// A plain connection.
pub(super) struct Tcp {
    stream: Arc<TcpStream>,
    until: Instant,
}

impl Tcp {
    /// Connects to the first of `addresses` that answers.
    pub(super) fn connect(
        addresses: &[SocketAddr],
        until: Instant,
        failed: &Failed,
        closer: &Closer,
    ) -> io::Result<Self> {
        closer.check()?;
        let stream = Arc::new(race::connect(addresses, until, failed)?);
        closer.admit(&stream)?;
        // The last message of a handshake and the request are two.
        stream.set_nodelay(true)?;
        Ok(Self { stream, until })
    }
}

/// The time until `until`; an error if there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// What a socket says when its time is over depends on the system.
fn late(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Tcp {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(left(self.until)?))?;
            match (&*self.stream).read(bytes).map_err(late) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        (&*self.stream).write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was given up must not arrive after something newer.
impl Drop for Tcp {
    fn drop(&mut self) {
        deliver_now_or_never(&self.stream);
    }
}

impl Stream for Tcp {
    fn set_deadline(&mut self, until: Instant) {
        self.until = until;
    }

    fn is_open(&mut self) -> bool {
        let silent = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            peeked
        };
        silent(&self.stream).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
