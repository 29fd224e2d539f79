//! Signals that a running daemon follows. SIGTERM and SIGINT end it, as always: at any
//! time that is harmless.

use std::io;

#[cfg(unix)]
use crate::system::watch::Channel;
use crate::system::watch::Watch;

/// What is asked by a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: poll and send now.
    Update,
    /// SIGUSR2: a request lies in the runtime folder.
    Request,
}

/// Calls `tell` for each signal from now on.
#[cfg(unix)]
pub(super) fn listen(watch: &Watch, tell: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    use std::io::IsTerminal as _;
    use std::os::fd::{AsFd as _, BorrowedFd};
    use std::os::unix::net::UnixStream;

    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::backend::SignalDelivery;
    use signal_hook::iterator::exfiltrator::SignalOnly;

    struct Signals<T>(SignalDelivery<UnixStream, SignalOnly>, T);

    impl<T: Fn(Signal) + Send> Channel for Signals<T> {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.get_read().as_fd()
        }

        fn take(&mut self) -> bool {
            for signal in self.0.pending() {
                (self.1)(match signal {
                    SIGHUP => Signal::Reload,
                    SIGUSR1 => Signal::Update,
                    _ => Signal::Request,
                });
            }
            true
        }
    }

    let mut wanted = vec![SIGUSR1, SIGUSR2];
    // To a program in a terminal it says that the terminal is gone.
    if !io::stderr().is_terminal() {
        wanted.push(SIGHUP);
    }
    let (read, write) = UnixStream::pair()?;
    let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, &wanted)?;
    watch.add(Box::new(Signals(delivery, tell)))
}

/// There are none.
#[cfg(not(unix))]
pub(super) fn listen(_: &Watch, _: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    Ok(())
}
