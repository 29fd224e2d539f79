//! Signals that a running daemon follows. SIGTERM and SIGINT end it, as always: at any
//! time that is harmless.

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

/// Calls `tell` for each signal from now on, on a thread of its own.
#[cfg(unix)]
pub(super) fn listen(tell: impl Fn(Signal) + Send + 'static) -> std::io::Result<()> {
    use std::io::IsTerminal as _;

    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};

    let mut wanted = vec![SIGUSR1, SIGUSR2];
    // To a program in a terminal it says that the terminal is gone.
    if !std::io::stderr().is_terminal() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(&wanted)?;
    let work = move || {
        for signal in signals.forever() {
            tell(match signal {
                SIGHUP => Signal::Reload,
                SIGUSR1 => Signal::Update,
                _ => Signal::Request,
            });
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024).spawn(work).map(drop)
}

/// There are none.
#[cfg(not(unix))]
pub(super) fn listen(_: impl Fn(Signal) + Send + 'static) -> std::io::Result<()> {
    Ok(())
}
