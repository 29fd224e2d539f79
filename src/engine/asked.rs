//! What a person asks for: to try again, to send now.

use std::time::Duration;

use super::{Action, Engine, Now};

/// How long a poll may take before what is known is sent.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// Frees the targets of what stands in their way.
    pub(super) fn retry(&mut self, now: Now, targets: &[usize]) {
        let mut lines = String::new();
        for index in targets {
            lines.extend(self.targets.get_mut(*index).and_then(|target| target.free(now)));
        }
        if !lines.is_empty() {
            self.record(&lines, false);
        }
        self.reconsider = true;
    }

    /// Polls, and sends to these targets afterwards.
    pub(super) fn update(&mut self, now: Now, targets: Vec<usize>) {
        for source in self.sources.iter_mut().filter(|source| source.wanted) {
            source.hint_at = Some(now.elapsed);
        }
        let (mut all, until) = self.asked.take().unwrap_or_default();
        all.extend(targets);
        let until = if until.is_zero() { now.elapsed.saturating_add(PATIENCE) } else { until };
        self.asked = Some((all, until));
    }

    /// Has the targets sent that were asked for, once the sources have answered.
    pub(super) fn owe_asked(&mut self, now: Now) {
        let polling = self.sources.iter().any(|s| s.wanted && (s.polling || s.hint_at.is_some()));
        let ripe = self.asked.take_if(|(_, until)| !polling || *until <= now.elapsed);
        for index in ripe.iter().flat_map(|(targets, _)| targets) {
            if let Some(target) = self.targets.get_mut(*index) {
                target.owe(now);
                self.actions.extend(target.told_at_start(now).map(Action::Report));
            }
            self.reconsider = true;
        }
    }
}
