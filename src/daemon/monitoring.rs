//! What the daemon shows of itself: `[monitor]` and `metrics_file`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::runtime::set_mode;
use super::{Daemon, Message};
use crate::engine::Level;
use crate::monitor::{listener, metrics};

/// How long the loop may take to answer: it never waits for anybody but a disk.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two writes of the metrics.
const REST: Duration = Duration::from_secs(60);

/// When the file of metrics is written, and how far the socket is.
#[derive(Default)]
pub(super) struct MetricsFile {
    listening: Listening,
    pub(super) due: Option<Duration>,
    rests_until: Duration,
    failed: bool,
}

/// How far the socket of `[monitor]` is.
#[derive(Default)]
enum Listening {
    /// Open, or not wanted.
    #[default]
    Settled,
    Wanted,
    /// Said; an address that is not there yet may come.
    Failed,
}

impl Daemon<'_> {
    /// Wants the socket from now on.
    pub(super) fn monitor(&mut self) {
        self.metrics.listening = Listening::Wanted;
        self.keep_listening();
    }

    /// Opens the socket where it is wanted and not open.
    pub(super) fn keep_listening(&mut self) {
        let Some(monitor) = &self.config.showing.monitor else { return };
        if matches!(self.metrics.listening, Listening::Settled) {
            return;
        }
        let sender = self.sender.clone();
        let ask = move || {
            let (reply, status) = channel();
            sender.send(Message::Status(reply)).ok()?;
            status.recv_timeout(PATIENCE).ok()
        };
        let listen = &monitor.listen;
        let opened = listener::open(listen, &monitor.hosts, Box::new(ask));
        let listening = if opened.is_ok() { Listening::Settled } else { Listening::Failed };
        let before = std::mem::replace(&mut self.metrics.listening, listening);
        let again = matches!(before, Listening::Failed);
        let (level, text) = match opened {
            Ok(()) if again => (Level::Info, format!("[monitor] listens at {listen} now")),
            Ok(()) => (Level::Debug, format!("[monitor] listens at {listen}")),
            Err(_) if again => return,
            Err(error) => (
                Level::Error,
                format!(
                    "[monitor] cannot listen at {listen}: {error}; it is tried again at every poll, all else works"
                ),
            ),
        };
        self.log.say(level, text);
    }

    /// Writes the metrics when there is `news`, or has been, once a minute at most.
    pub(super) fn keep_metrics(&mut self, news: bool) {
        let Some(path) = &self.config.showing.metrics_file else { return };
        if self.mode.dry_run {
            return;
        }
        let now = self.now().elapsed;
        if news {
            self.metrics.due = self.metrics.due.or(Some(self.metrics.rests_until));
        }
        if self.metrics.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        self.metrics.rests_until = now.saturating_add(REST);
        let written = replace(path, &metrics::write(&self.status()));
        if let (Err(error), false) = (&written, self.metrics.failed) {
            let text = format!("the metrics cannot be written to {}: {error}", path.display());
            self.log.say(Level::Warning, text);
        }
        self.metrics.failed = written.is_err();
    }
}

/// Whole or not at all: who reads it may come at any time, and is another user, whatever
/// the umask of a service is.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    set_mode(&file, 0o644)?;
    fs::rename(&new, path)
}
