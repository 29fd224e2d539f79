//! The addresses of a host, from the system's resolver.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::system::threads;

/// The C library's resolver works in less; the thread does nothing else.
const STACK: usize = 256 * 1024;

/// Why there is no address.
#[derive(Debug)]
pub enum ResolveError {
    /// The resolver knows none, or none could be asked.
    NotFound,
    /// It did not answer in time.
    Late,
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no address of that name could be found"),
            Self::Late => f.write_str("the resolver did not answer in time"),
            Self::Thread(error) => write!(f, "no thread could be started: {error}"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Looks up `host`: at least one address, each with `port`. The system's resolver
/// takes no deadline, so a thread waits for it; when it is late, nobody listens.
pub fn look_up(host: &str, port: u16, wait: Duration) -> Result<Vec<SocketAddr>, ResolveError> {
    let (sender, found) = channel();
    let host = host.to_owned();
    let work = move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let _ = sender.send(found.unwrap_or_default());
    };
    threads::start("resolve", STACK, work).map_err(ResolveError::Thread)?;
    match found.recv_timeout(wait) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(ResolveError::NotFound),
        Err(RecvTimeoutError::Timeout) => Err(ResolveError::Late),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_own_name() {
        let found = look_up("192.0.2.1", 53, Duration::from_secs(20)).unwrap();
        assert_eq!(found, ["192.0.2.1:53".parse().unwrap()]);
    }

    #[test]
    fn what_is_no_name_is_not_found() {
        let found = look_up("a name\0", 53, Duration::from_secs(20));
        assert!(matches!(found, Err(ResolveError::NotFound)));
    }

    #[test]
    fn without_time_nothing_is_waited_for() {
        // The thread may be faster all the same.
        let found = look_up("192.0.2.1", 53, Duration::ZERO);
        assert!(matches!(found, Ok(_) | Err(ResolveError::Late)));
    }
}
