//! What a target's failures mean for it: when it is tried again, and what the user
//! is told.

use std::time::Duration;

use super::attempt::Attempt;
use super::{TargetStatus, UpdateKind, Wanted, rough};
use crate::backoff::{Backoff, LONGEST_WISH, Random, TokenBucket};
use crate::calendar;
use crate::engine::Now;
use crate::engine::report::{Level, Report};
use crate::engine::source_status::SourceStatus;
use crate::engine::state::{Blocked, Cause, Failed};
use crate::updaters::Outcome;

/// How often a blocked target is tried, and told.
pub(in crate::engine) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How often starts may try what a person has to mend, in seconds: a restart loop
/// hammers nobody.
const START_TRIES: u64 = 60 * 60;

/// When a blocked target is tried again after a try that reached nobody.
const UNREACHED: Duration = Duration::from_secs(60 * 60);

/// After what only a person can mend. It is done without touching us.
const PERSON: Duration = Duration::from_secs(30 * 60);

/// How long a single run waits for the next try: for the quick ones after a line that was
/// not there, and for a provider that asks for seconds.
const SOON: Duration = Duration::from_secs(10);

/// How old the last try must be before a new address is tried at a provider that
/// failed.
const NEW_ADDRESS: Duration = Duration::from_secs(10);

impl TargetStatus {
    /// Takes up what an earlier run left. `way`: how providers are reached now.
    pub(in crate::engine) fn resume(&mut self, now: Now, way: &str, once: bool) {
        self.once = once;
        self.state.blocked.take_if(|blocked| blocked.way.as_deref().is_some_and(|old| old != way));
        self.resume_blocked(now);
        let ago = |then: Option<u64>| now.unix?.checked_sub(then?).map(Duration::from_secs);
        if let Some(failed) = &self.state.failed {
            let left = now.unix.zip(failed.until).and_then(|(unix, until)| until.checked_sub(unix));
            // Nobody waits longer than this: the clock was wrong.
            let left = left.map(Duration::from_secs).filter(|left| *left <= LONGEST_WISH);
            // Nor longer than when it failed.
            let whole = failed.until.zip(failed.tried).and_then(|(until, tried)| until.checked_sub(tried));
            let left = left.map(|left| whole.map_or(left, |whole| left.min(Duration::from_secs(whole))));
            self.not_before = now.elapsed.saturating_add(left.unwrap_or_default());
            self.wished = if failed.cause == Cause::Wish { self.not_before } else { Duration::ZERO };
            self.tried =
                ago(failed.tried).and_then(|ago| now.elapsed.checked_sub(ago)).or(left.map(|_| now.elapsed));
            self.failing = now.elapsed;
            if failed.cause == Cause::Person && !once && may_start(now, failed.started) {
                (self.start_try, self.not_before) = (true, now.elapsed);
            }
        }
    }

    /// When a blocked one is tried; worked out again when a clock that was not set at the
    /// start has been set, unless it was tried meanwhile.
    pub(in crate::engine) fn resume_blocked(&mut self, now: Now) {
        let Some(blocked) = self.state.blocked.as_ref().filter(|_| self.tried.is_none()) else { return };
        let ago = |then: Option<u64>| now.unix?.checked_sub(then?).map(Duration::from_secs);
        let wait = match (now.unix, ago(blocked.tried)) {
            (Some(_), Some(ago)) => DAY.saturating_sub(ago),
            // A time that is missing or in the future tells nothing.
            (Some(_), None) => Duration::ZERO,
            (None, _) => DAY,
        };
        self.blocked_until = now.elapsed.saturating_add(wait);
        self.start_try = may_start(now, blocked.started) && !blocked.banned && !self.once;
    }

    /// When it may be tried, by what became of the last tries. A new address is a new
    /// try, but not before the time that its provider asked for.
    pub(super) fn earliest(&self, wanted: &Wanted) -> Duration {
        if self.state.blocked.is_some() {
            // A try that its provider answered with a wish is followed by none before.
            let wished = if self.state.failed.is_some() { self.not_before } else { Duration::ZERO };
            return if self.start_try { wished } else { self.blocked_until.max(wished) };
        }
        let Some(failed) = self.state.failed.as_ref().filter(|failed| wanted.is_news(failed.sent)) else {
            return self.not_before;
        };
        match failed.cause {
            Cause::Line => Duration::ZERO,
            Cause::Provider | Cause::Refusal | Cause::Wish | Cause::Person => {
                let rested = self.tried.map_or(Duration::ZERO, |tried| tried.saturating_add(NEW_ADDRESS));
                rested.max(self.wished).min(self.not_before)
            }
        }
    }

    /// Whether a single run waits for its next try.
    pub(in crate::engine) fn retries_soon(&self, sources: &[SourceStatus], now: Now) -> bool {
        let until = now.elapsed.saturating_add(SOON);
        self.state.failed.is_some() && self.due_at(sources, now).is_some_and(|at| at <= until)
    }

    /// A person has mended what stood in its way. Its line of the state file, when there
    /// was something.
    pub(in crate::engine) fn free(&mut self, now: Now) -> Option<String> {
        self.not_before = now.elapsed;
        let freed = self.state.free();
        freed.then(|| self.state.line(&self.config.id))
    }

    /// A person wants it sent. What its provider asked for holds, and so does a refusal.
    pub(in crate::engine) fn owe(&mut self, now: Now) {
        self.owed = true;
        if self.state.failed.is_some() {
            self.not_before = self.not_before.min(self.wished.max(now.elapsed));
        }
    }

    /// A try begins, of a blocked target or because of a start: whether that is to be in
    /// the state file even if nobody learns how it ends.
    pub(super) fn begin_noted(&mut self, now: Now) -> bool {
        let by_start = std::mem::take(&mut self.start_try);
        if let Some(blocked) = &mut self.state.blocked {
            blocked.tried = now.unix;
            blocked.started = if by_start { now.unix } else { blocked.started };
            self.blocked_until = now.elapsed.saturating_add(DAY);
        } else if let Some(failed) = self.state.failed.as_mut().filter(|_| by_start) {
            failed.started = now.unix;
        }
        by_start || self.state.blocked.is_some()
    }

    pub(super) fn failed(
        &mut self,
        outcome: &Outcome,
        attempt: Attempt,
        now: Now,
        random: &mut Random,
    ) -> Report {
        let (why, after, cause) = match outcome {
            Outcome::Blocked { why } => return self.block(why, outcome.is_ban(), now),
            Outcome::Retry { why, after, reached: false } => (why, *after, Cause::Line),
            Outcome::Retry { why, after, reached: true } => (why, *after, Cause::Provider),
            Outcome::NeedsPerson { why } => (why, None, Cause::Person),
            Outcome::Refused { why, after } => (why, *after, Cause::Refusal),
            Outcome::Published { .. } | Outcome::Dropped { .. } => (&String::new(), None, Cause::Line),
        };
        let name = self.config.name.clone();
        if self.state.blocked.is_some() {
            if cause == Cause::Line {
                self.blocked_until = now.elapsed.saturating_add(UNREACHED);
            }
            self.state.failed = None;
            if after.is_some() {
                let wait = Backoff::default().failed(true, after, random);
                let _ = self.note_failure(&attempt.wanted, cause, now);
                self.wait_for(wait, after, why, Cause::Wish, now);
            }
            return Report::new(Level::Warning, &name, format!("still blocked; this try ended with: {why}"));
        }
        let age = self.note_failure(&attempt.wanted, cause, now);
        if self.kind == UpdateKind::Program && age >= DAY {
            let text = format!("{why}; it is not run again for this address, after a day");
            let report = Report::new(Level::Error, &name, text);
            let _ = self.published(attempt, false, now, Duration::ZERO);
            return report;
        }
        let failed = self.state.failed.get_or_insert_default();
        let wait = match (cause, after) {
            (Cause::Refusal, None) => failed.waits.refused(age, random),
            (Cause::Person, _) => PERSON,
            _ => failed.waits.failed(cause != Cause::Line, after, random),
        };
        let repeats = match (failed.tries, failed.since) {
            (0 | 1, _) => String::new(),
            (tries, since) => {
                let since =
                    since.map_or_else(String::new, |since| format!(" since {}", calendar::iso(since)));
                format!("; failing{since}, {tries} times")
            }
        };
        self.wait_for(wait, after, why, if after.is_some() { Cause::Wish } else { cause }, now);
        Report::new(Level::Warning, &name, format!("{why}; next try in {}{repeats}", rough(wait)))
    }

    fn wait_for(&mut self, wait: Duration, wish: Option<Duration>, why: &str, cause: Cause, now: Now) {
        let failed = self.state.failed.get_or_insert_default();
        why.clone_into(&mut failed.why);
        failed.cause = cause;
        failed.until = now.unix.map(|unix| unix.saturating_add(wait.as_secs()));
        self.not_before = now.elapsed.saturating_add(wait);
        self.wished = wish.map_or(Duration::ZERO, |wish| now.elapsed.saturating_add(wish));
    }

    fn block(&mut self, why: &str, banned: bool, now: Now) -> Report {
        let before = self.state.blocked.take().unwrap_or_default();
        let since = before.since.or(now.unix);
        // The try of a start that ends so was one, too.
        let started = before.started.or(self.state.failed.as_ref().and_then(|failed| failed.started));
        let blocked = Blocked { why: why.to_owned(), banned, since, tried: now.unix, started, way: None };
        // What it was blocked by, and the way out, were told at the start or a day ago.
        let text = if before.why == why {
            "still blocked, by the same answer".to_owned()
        } else {
            self.way_out(&blocked)
        };
        self.state.blocked = Some(Box::new(blocked));
        self.state.failed = None;
        self.blocked_until = now.elapsed.saturating_add(DAY);
        Report::new(Level::Error, &self.config.name, text)
    }

    /// Counts one more failure in a row, and says for how long they have lasted.
    fn note_failure(&mut self, wanted: &Wanted, cause: Cause, now: Now) -> Duration {
        if self.state.failed.is_none() {
            self.failing = now.elapsed;
        }
        let new = Failed { since: now.unix, ..Failed::default() };
        let failed = self.state.failed.get_or_insert_with(|| Box::new(new));
        if wanted.is_news(failed.sent) && cause == Cause::Line {
            // After a reconnect the line is often back within a second.
            failed.waits = Backoff::default();
        }
        (failed.sent, failed.tried, failed.tries) =
            (wanted.addresses, now.unix, failed.tries.saturating_add(1));
        let by_clock = now.unix.zip(failed.since).and_then(|(unix, since)| unix.checked_sub(since));
        let age = by_clock.map(Duration::from_secs).unwrap_or_default();
        age.max(now.elapsed.saturating_sub(self.failing))
    }

    /// Notes by which way a blocked target was refused.
    pub(in crate::engine) fn note_way(&mut self, way: &str) {
        if let Some(blocked) = self.state.blocked.as_mut().filter(|blocked| blocked.way.is_none()) {
            blocked.way = Some(way.to_owned());
        }
    }

    /// What is told at every start: that it is blocked, or waits for an earlier run's
    /// failure to pass.
    pub(in crate::engine) fn told_at_start(&self, now: Now) -> Option<Report> {
        let text = match (&self.state.blocked, &self.state.failed) {
            (Some(blocked), _) => self.way_out(blocked),
            (None, Some(failed)) if self.not_before > now.elapsed => {
                let left = rough(self.not_before.saturating_sub(now.elapsed));
                format!("{}; next try in {left}", failed.why)
            }
            _ => return None,
        };
        Some(Report::new(Level::Warning, &self.config.name, text))
    }

    /// What is told once a day.
    pub(in crate::engine) fn told_daily(&self) -> Option<Report> {
        let blocked = self.state.blocked.as_ref()?;
        Some(Report::new(Level::Warning, &self.config.name, self.way_out(blocked)))
    }

    /// The line that says that the limit of attempts holds it back, once between two of them.
    pub(in crate::engine) fn limit_report(&mut self, sources: &[SourceStatus], now: Now) -> Option<Report> {
        let free = self.bucket.next(now.elapsed);
        if free <= now.elapsed || self.limited || self.in_flight.is_some() {
            return None;
        }
        let wanted = self.wanted(sources).ok().filter(|wanted| self.is_stale(wanted, now))?;
        if self.earliest(&wanted) >= free {
            return None;
        }
        self.limited = true;
        let wait = rough(free.saturating_sub(now.elapsed));
        let limit = TokenBucket::ATTEMPTS_AN_HOUR;
        let text = format!(
            "{} is sent in {wait}: the address changes so often that the limit of {limit} updates an hour holds it back",
            wanted.addresses
        );
        Some(Report::new(Level::Warning, &self.config.name, text))
    }

    /// What is told of a blocked target.
    fn way_out(&self, blocked: &Blocked) -> String {
        let start = if blocked.banned || self.once {
            ""
        } else {
            ", after a start of the daemon (once an hour at most)"
        };
        format!(
            "blocked: {}; tried again once a day{start}, when its section, the proxy or [tls] changes, and at once \
             by: {}",
            blocked.why,
            self.config.retry_call()
        )
    }
}

/// Whether a start, the last of which was `started`, tries what a person may have mended.
fn may_start(now: Now, started: Option<u64>) -> bool {
    match (now.unix, started) {
        (Some(unix), Some(started)) => unix.checked_sub(started).is_none_or(|ago| ago >= START_TRIES),
        (unix, None) => unix.is_some(),
        (None, Some(_)) => false,
    }
}
