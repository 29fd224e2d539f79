//! What the fault tests share: a scripted TCP server, a gateway and a provider
//! made of it, and the daemon as a child process.

pub(crate) mod daemon;
pub(crate) mod gateway;
pub(crate) mod scene;
pub(crate) mod ssdp;
pub(crate) mod wire;

use std::io::Write;
use std::time::{Duration, Instant};

/// How often a condition is polled while waiting for it.
const TICK: Duration = Duration::from_millis(5);

/// Waits until `condition` gives something, at most `limit`.
pub(crate) fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(TICK);
    }
}

/// Shows `text` even when the test passes and its output is captured.
pub(crate) fn show(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}
