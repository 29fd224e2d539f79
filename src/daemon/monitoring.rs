//! What the daemon shows of itself: `[monitor]` and `metrics_file`.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::log::Log;
use super::{Daemon, Message};
use crate::config::Config;
use crate::engine::Level;
use crate::monitor::{listener, metrics};

/// How long the loop may take to answer: it never waits for anybody but a disk.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two writes of the metrics.
const REST: Duration = Duration::from_secs(60);

/// When the file of metrics is written.
#[derive(Default)]
pub(super) struct MetricsFile {
    pub(super) due: Option<Duration>,
    rests_until: Duration,
    failed: bool,
}

/// Opens the socket, where one is wanted.
pub(super) fn open(config: &Config, sender: &Sender<Message>, log: Log) {
    let Some(monitor) = &config.showing.monitor else { return };
    let sender = sender.clone();
    let ask = move || {
        let (reply, status) = channel();
        sender.send(Message::Status(reply)).ok()?;
        status.recv_timeout(PATIENCE).ok()
    };
    let (level, text) = match listener::open(&monitor.listen, &monitor.hosts, Box::new(ask)) {
        Ok(()) => (Level::Debug, format!("[monitor] listens at {}", monitor.listen)),
        Err(error) => {
            let listen = &monitor.listen;
            (Level::Error, format!("[monitor] cannot listen at {listen}: {error}; all else works"))
        }
    };
    log.say(level, text);
}

impl Daemon<'_> {
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

/// Whole or not at all: who reads it may come at any time.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}
