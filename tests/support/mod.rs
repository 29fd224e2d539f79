//! What the fault tests share: a scripted TCP server, a gateway and a provider
//! made of it, and the daemon as a child process.

pub(crate) mod daemon;
pub(crate) mod gateway;
pub(crate) mod scene;
pub(crate) mod ssdp;
pub(crate) mod wire;

use std::io::Write;
use std::process::{Command, Stdio};
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

/// `command` runs this program once more, with the one test of a `module_path!()`.
pub(crate) fn only_test(command: &mut Command, module: &str, test: &str) {
    let file = module.split_once("::").unwrap().1;
    command.args(["--exact", &format!("{file}::{test}"), "--include-ignored", "--nocapture"]);
}

/// Whether it ran just that and passed; what it printed as errors is seen here, too.
pub(crate) fn passed_alone(command: &mut Command) -> bool {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("test result: ok. 1 passed")
}

/// Shows `text` even when the test passes and its output is captured.
pub(crate) fn show(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}
