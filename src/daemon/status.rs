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

/// When the status file is to be written, and when it may be.
#[derive(Default)]
pub(super) struct Pace {
    /// `None`: it says what is known, or there is none.
    pub(super) due: Option<Duration>,
    rests_until: Duration,
}

impl Pace {
    /// There is something that it does not say yet.
    fn news(&mut self) {
        self.due = self.due.or(Some(self.rests_until));
    }

    fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// It was written meanwhile.
    fn written(&mut self, began: Duration, ended: Duration) {
        let rest = ended.saturating_sub(began).saturating_mul(SHARE).max(REST);
        *self = Self { due: None, rests_until: ended.saturating_add(rest) };
    }
}

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
            self.status_pace.news();
        }
        if self.status_pace.is_due(now) {
            // Who asks is told what is in the way.
            let _ = self.write_status();
        }
    }

    pub(super) fn write_status(&mut self) -> io::Result<()> {
        let began = self.now().elapsed;
        let written = self.places.runtime.write_status(&self.status());
        self.status_pace.written(began, self.now().elapsed);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// When it is written, with news every 10 ms for 5 s, if that takes so long.
    fn written(takes: Duration) -> Vec<u128> {
        let (mut pace, mut times) = (Pace::default(), Vec::new());
        for now in (0..500).map(|turn| turn * 10 * MS) {
            pace.news();
            if pace.is_due(now) {
                pace.written(now, now + takes);
                times.push(now.as_millis());
            }
        }
        times
    }

    #[test]
    fn it_is_written_once_a_second_at_most_and_seldomer_where_that_takes_long() {
        assert_eq!(written(Duration::ZERO), [0, 1000, 2000, 3000, 4000]);
        assert_eq!(written(5 * MS), [0, 1010, 2020, 3030, 4040]);
        assert_eq!(written(40 * MS), [0, 2040, 4080]);
    }

    #[test]
    fn the_last_news_are_not_lost_and_without_news_nothing_is_written() {
        let mut pace = Pace::default();
        assert_eq!(pace.due, None);
        pace.news();
        pace.written(Duration::ZERO, Duration::ZERO);
        assert_eq!(pace.due, None);
        pace.news();
        assert!(!pace.is_due(999 * MS) && pace.is_due(1000 * MS));
        pace.written(1000 * MS, 1000 * MS);
        assert!(!pace.is_due(Duration::MAX));
    }
}
