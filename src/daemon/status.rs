//! When the status file is written: after news, at most once a second.

use std::io;
use std::time::Duration;

use super::Daemon;
use crate::config::Source;
use crate::engine::status::Status;

/// The shortest time between two that nobody asked for, and its share of the processor's
/// with thousands of targets.
const REST: Duration = Duration::from_secs(1);
const SHARE: u32 = 50;

impl Daemon<'_> {
    /// What is known now.
    pub(super) fn status(&self) -> Status {
        let mut status = self.engine.status(self.now());
        status.config = self.places.store.config().display().to_string();
        status.left_out.clone_from(&self.config.left_out);
        for (index, (shown, source)) in status.sources.iter_mut().zip(&self.config.sources).enumerate() {
            if let Source::Upnp(_) = source {
                let told = || self.channels.trouble(index).unwrap_or_else(|| "yes".to_owned());
                shown.events = Some(if self.config.events { told() } else { "events = false".to_owned() });
            }
        }
        status
    }

    /// Writes it when there is `news`, or has been. Only who can be found keeps one.
    pub(super) fn keep_status(&mut self, news: bool) {
        let now = self.now().elapsed;
        if news && self.places.runtime.is_announced() {
            self.status_due = self.status_due.or(Some(self.status_rests_until));
        }
        if self.status_due.is_some_and(|due| due <= now) {
            // Who asks is told what is in the way.
            let _ = self.write_status();
        }
    }

    pub(super) fn write_status(&mut self) -> io::Result<()> {
        let began = self.now().elapsed;
        let written = self.places.runtime.write_status(&self.status().to_json());
        let ended = self.now().elapsed;
        let rest = ended.saturating_sub(began).saturating_mul(SHARE).max(REST);
        (self.status_due, self.status_rests_until) = (None, ended.saturating_add(rest));
        written
    }
}
