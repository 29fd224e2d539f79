//! A TCP connection to the first of several addresses that answers (RFC 8305,
//! section 5): one that is silent is not waited for.
//!
//! std connects to one address at a time, so every attempt takes a short-lived
//! thread. Who was silent or refused is remembered for a while and
//! comes last then.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::system::threads;

/// How long the next attempt waits for an answer to the one before (RFC 8305,
/// section 8).
const HEAD_START: Duration = Duration::from_millis(250);
/// An attempt does nothing but wait.
const STACK: usize = 64 * 1024;
/// How long an address that failed comes last.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Addresses that are remembered; the oldest make room.
const MAX_REMEMBERED: usize = 32;

/// Addresses that lately did not answer.
#[derive(Debug, Default)]
pub struct Failed(Mutex<Vec<(SocketAddr, Instant)>>);

impl Failed {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// `addresses` in the order in which they are to be tried: families in turns,
    /// beginning with that of the first; who failed lately at the end.
    #[must_use]
    pub fn order(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let of_first = |address: &&SocketAddr| {
            addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4())
        };
        let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(of_first);
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        let mut order = Vec::new();
        for _ in addresses {
            order.extend(first.next().into_iter().chain(second.next()).copied());
        }
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |address: &SocketAddr| {
            failed.iter().any(|(known, at)| known == address && at.elapsed() < REMEMBERED)
        };
        order.sort_by_key(lately);
        order
    }

    /// What became of `address`.
    pub fn note(&self, address: SocketAddr, answered: bool) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|(known, _)| *known != address);
        if !answered {
            let over = failed.len().saturating_add(1).saturating_sub(MAX_REMEMBERED);
            failed.drain(..over);
            failed.push((address, Instant::now()));
        }
    }
}

/// Connects to the first of `addresses` that answers, until `until` at the latest.
/// An error is that of the last that failed.
pub fn connect(addresses: &[SocketAddr], until: Instant, failed: &Failed) -> io::Result<TcpStream> {
    if let [address] = addresses {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        return TcpStream::connect_timeout(address, left);
    }
    let (sender, results) = channel();
    let mut error = io::Error::from(ErrorKind::AddrNotAvailable);
    let mut pending: Vec<(SocketAddr, Instant)> = Vec::new();
    let mut waiting = failed.order(addresses).into_iter();
    loop {
        if let Some(address) = waiting.next() {
            pending.push((address, Instant::now()));
            attempt(address, until, waiting.len(), &sender);
        } else if pending.is_empty() {
            return Err(error);
        }
        let left = until.saturating_duration_since(Instant::now());
        let wait = if waiting.len() > 0 { left.min(HEAD_START) } else { left };
        match results.recv_timeout(wait) {
            Ok((address, Ok(stream))) => {
                failed.note(address, true);
                let late = |(other, began): &(SocketAddr, Instant)| {
                    *other != address && began.elapsed() >= HEAD_START
                };
                pending.iter().filter(|one| late(one)).for_each(|(other, _)| failed.note(*other, false));
                return Ok(stream);
            }
            Ok((address, Err(why))) => {
                failed.note(address, false);
                pending.retain(|(other, _)| *other != address);
                error = why;
            }
            Err(_) if left.is_zero() => {
                for (address, _) in &pending {
                    failed.note(*address, false);
                }
                return Err(ErrorKind::TimedOut.into());
            }
            Err(_) => {}
        }
    }
}

type Attempt = (SocketAddr, io::Result<TcpStream>);

/// Connects beside whoever waits for it; where no thread can be had, here, within
/// its share of the time.
fn attempt(address: SocketAddr, until: Instant, others: usize, sender: &Sender<Attempt>) {
    let left = move || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let results = sender.clone();
    let work = move || drop(results.send((address, TcpStream::connect_timeout(&address, left()))));
    if threads::start("connect", STACK, work).is_err() {
        let share =
            left().checked_div(u32::try_from(others).unwrap_or(1).saturating_add(1)).unwrap_or_default();
        let _ = sender.send((address, TcpStream::connect_timeout(&address, share)));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_who_failed_comes_last() {
        let failed = Failed::default();
        let all = ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"].map(address);
        let [v6, other_v6, v4, other_v4] = all;
        assert_eq!(failed.order(&all), [v6, v4, other_v6, other_v4]);
        failed.note(v6, false);
        assert_eq!(failed.order(&all), [v4, other_v6, other_v4, v6]);
        failed.note(v6, true);
        assert_eq!(failed.order(&[v4, v6]), [v4, v6]);
        assert_eq!(failed.order(&[]), []);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let failed = Failed::default();
        for last in 0..100 {
            failed.note(SocketAddr::from(([192, 0, 2, last], 1)), false);
        }
        assert_eq!(failed.0.lock().unwrap().len(), MAX_REMEMBERED);
    }

    /// An address where nobody takes connections any more: they queue up. None came
    /// through for so long that it is full, not slow.
    fn silent() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(900)) {
            waiting.push(stream);
        }
        (address, waiting, listener)
    }

    /// An address that refuses. Its port is that of a connection's own end, so that it
    /// is given to no other test as long as that lasts.
    fn refusing() -> (SocketAddr, TcpStream, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (stream.local_addr().unwrap(), stream, listener)
    }

    fn within(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_address_is_not_waited_for_and_comes_last_the_next_time() {
        let (dead, refusing) = (silent(), refusing());
        let closed = refusing.0;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let failed = Failed::default();
        let all = [dead.0, closed, alive];
        let began = Instant::now();
        assert_eq!(connect(&all, within(20), &failed).unwrap().peer_addr().unwrap(), alive);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(failed.order(&all), [alive, dead.0, closed]);
    }

    #[test]
    fn a_slow_address_is_heard_after_the_others_have_failed() {
        let (dead, refusing) = (silent(), refusing());
        let closed = refusing.0;
        let began = Instant::now();
        let error = connect(&[dead.0, closed], within(1), &Failed::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!((900..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        // By which number is the system's: one that emulates another mixes them up.
        let refused = connect(&[closed, closed], within(20), &Failed::default()).unwrap_err();
        assert_ne!(refused.kind(), ErrorKind::TimedOut);
    }
}
