//! Signals that a running daemon follows. SIGTERM and SIGINT end it, as always: at any
//! time that is harmless.

use std::io;
#[cfg(unix)]
use std::os::unix::net::UnixStream;

#[cfg(unix)]
use signal_hook::iterator::backend::SignalDelivery;
#[cfg(unix)]
use signal_hook::iterator::exfiltrator::SignalOnly;

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

/// Signals that came since [`catch`], for [`listen`].
#[cfg(unix)]
pub struct Caught(SignalDelivery<UnixStream, SignalOnly>);

#[cfg(not(unix))]
pub struct Caught;

/// Keeps signals from now on, which would end the process otherwise: to be called first of
/// all, as one may follow a reload, which is a new start, at once.
#[cfg(unix)]
pub fn catch() -> io::Result<Caught> {
    use std::io::IsTerminal as _;

    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};

    let mut wanted = vec![SIGUSR1, SIGUSR2];
    // To a program in a terminal it says that the terminal is gone.
    if !io::stderr().is_terminal() {
        wanted.push(SIGHUP);
    }
    let (read, write) = UnixStream::pair()?;
    Ok(Caught(SignalDelivery::with_pipe(read, write, SignalOnly, &wanted)?))
}

/// The kernel spares the first process of a container SIGTERM and SIGINT, unless it asks
/// for them: they end it with the status that a shell shows.
#[cfg(unix)]
pub fn end_as_first_process() {
    use std::sync::Arc;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag::register_conditional_shutdown;

    if std::process::id() == 1 {
        for signal in [SIGTERM, SIGINT] {
            // Without it the runtime kills, some seconds later.
            let _ =
                register_conditional_shutdown(signal, 128_i32.saturating_add(signal), Arc::new(true.into()));
        }
    }
}

/// Calls `tell` for each signal that was caught, and for each to come.
#[cfg(unix)]
pub(super) fn listen(
    caught: Caught,
    watch: &Watch,
    tell: impl Fn(Signal) + Send + 'static,
) -> io::Result<()> {
    use std::os::fd::{AsFd as _, BorrowedFd};

    use signal_hook::consts::{SIGHUP, SIGUSR1};

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

    watch.add(Box::new(Signals(caught.0, tell)))
}

/// There are none.
#[cfg(not(unix))]
pub fn catch() -> io::Result<Caught> {
    Ok(Caught)
}

#[cfg(not(unix))]
pub fn end_as_first_process() {}

#[cfg(not(unix))]
pub(super) fn listen(_: Caught, _: &Watch, _: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    Ok(())
}
