//! How a target stands, for [`Status`](crate::engine::status::Status).

use super::{TargetStatus, Waiting};
use crate::calendar;
use crate::engine::Now;
use crate::engine::report::{Level, Report};
use crate::engine::source_status::SourceStatus;
use crate::engine::state::Change;
use crate::engine::status::{Clock, Held, Target, Time};

impl TargetStatus {
    /// `history`: the last ones, of earlier runs as well.
    pub(in crate::engine) fn shown(&self, sources: &[SourceStatus], history: &[Change], now: Now) -> Target {
        let (state, trouble, since) = self.trouble_shown(sources, now);
        let advice = match state {
            "blocked" => Some(format!("correct that, then: {}", self.config.retry_call())),
            _ => None,
        };
        let holds = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        let clock = Clock(now);
        let because = self.changed.map(|(_, why)| why.to_owned());
        let changed = self.changed.map_or_else(|| self.changed_at(history), |(at, _)| clock.at(at));
        Target {
            name: self.config.name.to_string(),
            kind: self.provider.to_owned(),
            state: state.to_owned(),
            holds: Held::from(&holds),
            confirmed: self.state.accepted.and_then(|accepted| accepted.at).map(Time),
            changed,
            changed_because: because,
            trouble,
            trouble_since: since.map(Time),
            failures: self.state.failed.as_ref().map_or(0, |failed| failed.tries),
            next: self.due_at(sources, now).and_then(|at| clock.at(at.max(now.elapsed))),
            advice,
            updates_ok: self.updates_ok,
            updates_failed: self.updates_failed,
        }
    }

    /// When what it holds changed last in an earlier run.
    fn changed_at(&self, history: &[Change]) -> Option<Time> {
        let accepted = self.state.accepted?;
        let change = history.iter().rev().find(|change| change.new == accepted.addresses);
        change.and_then(|change| change.at).map(Time)
    }

    /// At the start: that it holds what it should. `brief`: to who looks for a fault.
    pub(in crate::engine) fn told_current(
        &mut self,
        sources: &[SourceStatus],
        history: &[Change],
        now: Now,
        brief: bool,
    ) -> Option<Report> {
        if self.told_current || self.behind(sources, now).is_some() {
            return None;
        }
        self.told_current = true;
        let accepted = self.state.accepted?;
        let since = self.changed_at(history).or(accepted.at.map(Time));
        let since = since.map_or_else(String::new, |since| format!("since {}: ", calendar::iso(since.0)));
        let level = if brief { Level::Debug } else { Level::Info };
        Some(Report::new(level, &self.config.name, format!("current {since}{}", accepted.addresses)))
    }

    /// State, what is wrong, since when.
    fn trouble_shown(
        &self,
        sources: &[SourceStatus],
        now: Now,
    ) -> (&'static str, Option<String>, Option<u64>) {
        if let Some(blocked) = &self.state.blocked {
            return ("blocked", Some(blocked.why.clone()), blocked.since);
        }
        if let Some(failed) = &self.state.failed {
            return ("retrying", Some(failed.why.clone()), failed.since);
        }
        match self.wanted(sources) {
            Err(Waiting::Unknown(why) | Waiting::Useless(why)) => ("waiting", Some(why()), None),
            Err(Waiting::Pending) => ("waiting", Some("its sources have not answered yet".to_owned()), None),
            Ok(wanted) if self.must_be_sent(&wanted, now) => {
                let what =
                    if self.in_flight.is_some() { "it is being sent" } else { "it is about to be sent" };
                ("waiting", Some(what.to_owned()), None)
            }
            Ok(_) => ("ok", None, None),
        }
    }
}
