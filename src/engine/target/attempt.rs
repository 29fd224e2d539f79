//! The attempts at one target: at most two at once, the second only because a newer
//! address is there while the first hangs.

use std::time::Duration;

use super::{TargetStatus, UpdateKind, Wanted, merge};
use crate::address::Addresses;
use crate::backoff::Random;
use crate::engine::Now;
use crate::engine::report::{Level, Report};
use crate::engine::source_status::SourceStatus;
use crate::engine::state::{Accepted, TargetState};
use crate::updaters::{Outcome, Task};

/// How long an attempt may take before a newer address is sent beside it.
pub(in crate::engine) const HANGS: Duration = Duration::from_secs(5);

/// How long a request that was closed without an answer may still be worked on: what its
/// provider had received of it, or the system still delivers.
const ORPHAN: Duration = Duration::from_secs(30);

/// One attempt in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    job: u64,
    pub(super) wanted: Wanted,
    /// It only checks what is there.
    pub(super) checking: bool,
    began: Duration,
    /// An older one may have come after it.
    doubtful: bool,
    /// That it began must be known even if nobody learns how it ends.
    noted: bool,
}

pub(in crate::engine) struct Ended<'a> {
    pub(in crate::engine) job: u64,
    /// It was closed, because a newer address was there.
    pub(in crate::engine) closed: bool,
    pub(in crate::engine) took: Duration,
    /// How providers are reached ([`crate::config::Config::way`]).
    pub(in crate::engine) way: &'a str,
}

impl TargetStatus {
    /// When it may be sent `wanted` by what is in flight for it; `None`: not before
    /// that ends.
    pub(super) fn free_at(&self, wanted: &Wanted) -> Option<Duration> {
        let Some(attempt) = &self.in_flight else { return Some(Duration::ZERO) };
        let newer = merge(attempt.wanted.addresses, wanted.for_reasons()) != attempt.wanted.addresses;
        let repeatable = match self.kind {
            UpdateKind::Program => false,
            UpdateKind::Creates => self.state.accepted.is_some(),
            UpdateKind::Repeatable => true,
        };
        let free = newer && repeatable && self.overtaken.is_none();
        free.then(|| attempt.began.saturating_add(HANGS))
    }

    /// Whether it has yet to give its first answer to a change: a retry after a failure
    /// is none, nor is a check. `due`: its group can be sent to now.
    pub(in crate::engine) fn is_awaited(&self, sources: &[SourceStatus], due: bool, now: Now) -> bool {
        let failed = self.state.failed.as_ref().map(|failed| failed.sent);
        let sent = match &self.in_flight {
            Some(attempt) if attempt.checking => return false,
            Some(attempt) => Some(attempt.wanted.addresses),
            None if due && self.due_at(sources, now).is_some_and(|at| at <= now.elapsed) => {
                self.wanted(sources).ok().map(|wanted| wanted.addresses)
            }
            None => None,
        };
        self.state.blocked.is_none() && sent.is_some_and(|sent| failed != Some(sent))
    }

    /// Whether the newest attempt has not ended.
    pub(in crate::engine) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether an older attempt is still under way.
    pub(in crate::engine) fn has_overtaken(&self) -> bool {
        self.overtaken.is_some()
    }

    /// Starts an attempt when one is due.
    pub(in crate::engine) fn start(&mut self, job: u64, sources: &[SourceStatus], now: Now) -> Option<Task> {
        if self.due_at(sources, now)? > now.elapsed {
            return None;
        }
        let wanted = self.wanted(sources).ok()?;
        self.bucket.next(now.elapsed);
        self.bucket.take();
        self.limited = false;
        let checking = !self.must_be_sent(&wanted, now);
        self.orphan_until.take_if(|until| *until <= now.elapsed);
        let noted = self.begin_noted(now);
        let attempt = Attempt { job, wanted, checking, began: now.elapsed, doubtful: false, noted };
        self.overtaken = self.in_flight.replace(Box::new(attempt)).or(self.overtaken.take());
        self.tried = Some(now.elapsed);
        let mut addresses = wanted.addresses;
        addresses.ipv4 = addresses.ipv4.filter(|_| !wanted.private);
        let mut old = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        old.ipv4 = old.ipv4.filter(|old| !self.config.any_address || self.may_be_told((*old).into()));
        Some(Task { entry: self.config.entry, addresses, old })
    }

    /// Its line of the state file, where that must have the attempt in it.
    pub(in crate::engine) fn noted_try(&self) -> Option<String> {
        self.in_flight.as_ref().filter(|attempt| attempt.noted).map(|_| self.state.line(&self.config.id))
    }

    /// Takes the outcome of an attempt: its news for the state file, and what is told.
    /// `None`: the updater forgot it, which counts as a failure.
    pub(in crate::engine) fn finish(
        &mut self,
        outcome: Option<&Outcome>,
        ended: &Ended<'_>,
        now: Now,
        random: &mut Random,
    ) -> Option<(String, Report)> {
        let before = self.state.clone();
        let count = match outcome {
            Some(Outcome::Published { .. }) => &mut self.updates_ok,
            _ => &mut self.updates_failed,
        };
        *count = count.saturating_add(1);
        let report = if let Some(attempt) = self.overtaken.take_if(|attempt| attempt.job == ended.job) {
            self.overtaken_ended(outcome, *attempt)
        } else {
            let attempt = self.in_flight.take_if(|attempt| attempt.job == ended.job)?;
            self.ended(outcome, *attempt, ended, now, random)
        };
        self.note_way(ended.way);
        Some((self.news(&before), report))
    }

    fn ended(
        &mut self,
        outcome: Option<&Outcome>,
        attempt: Attempt,
        ended: &Ended<'_>,
        now: Now,
        random: &mut Random,
    ) -> Report {
        // A check sends what is there anyway, or nothing.
        if !attempt.checking {
            self.doubt = self.doubt.or(attempt.wanted.covers);
        }
        let forgotten =
            || Outcome::Retry { why: "the updater gave no outcome".to_owned(), after: None, reached: true };
        let name = &self.config.name;
        match outcome {
            Some(Outcome::Published { changed }) => self.published(attempt, *changed, now, ended.took),
            Some(Outcome::Dropped { why }) => {
                let report =
                    Report::new(Level::Error, name, format!("{why}; it is not run again (retry = false)"));
                let _ = self.published(attempt, false, now, ended.took);
                report
            }
            Some(Outcome::Retry { .. }) | None if ended.closed => {
                let unreached = matches!(outcome, Some(Outcome::Retry { reached: false, .. }));
                if !attempt.checking && !unreached {
                    self.orphan_until = Some(now.elapsed.saturating_add(ORPHAN));
                }
                let text = "closed a request without an answer, as the address has changed".to_owned();
                Report::new(Level::Debug, name, text)
            }
            outcome => {
                let outcome = outcome.cloned().unwrap_or_else(forgotten);
                self.failed(&outcome, attempt, now, random)
            }
        }
    }

    /// What it holds now is what the newer attempt says, unless this one came after it.
    fn overtaken_ended(&mut self, outcome: Option<&Outcome>, attempt: Attempt) -> Report {
        let unreached = matches!(outcome, Some(Outcome::Retry { reached: false, .. }));
        let doubt = !attempt.checking && !unreached;
        match &mut self.in_flight {
            Some(newer) => newer.doubtful |= doubt,
            None if doubt => self.doubt = self.doubt.or(attempt.wanted.covers),
            // It holds what the newer one was sent.
            None if self.doubt.is_empty() => (self.state.trying, self.state.doubted) = (None, None),
            None => {}
        }
        let then = if doubt { "the newer address is sent once more" } else { "it reached nobody" };
        let text = format!("the older request with {} has ended; {then}", attempt.wanted.addresses);
        Report::new(Level::Debug, &self.config.name, text)
    }

    /// The line of the state file for what has changed since `before`.
    fn news(&self, before: &TargetState) -> String {
        if *before == self.state {
            return String::new();
        }
        let tried = before.trying.or(before.accepted.map(|accepted| accepted.addresses));
        let mut short = before.clone();
        let accepted = self.state.accepted.filter(|accepted| Some(accepted.addresses) == tried);
        match accepted.filter(|accepted| short.accept(accepted.at).is_some() && short == self.state) {
            Some(accepted) => TargetState::accepted_line(&self.config.id, accepted.at),
            None => self.state.line(&self.config.id),
        }
    }

    pub(super) fn published(&mut self, attempt: Attempt, changed: bool, now: Now, took: Duration) -> Report {
        let wanted = attempt.wanted;
        let old = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        let addresses = merge(old, wanted);
        let news = match () {
            () if old.is_empty() => Some("first sent"),
            () if old != addresses => Some("the address changed"),
            () if attempt.checking && changed => Some("somebody else had changed it"),
            () => None,
        };
        self.changed = news.map(|why| (now.elapsed, why)).or(self.changed);
        self.told_current = true;
        self.state.accepted = Some(Accepted { addresses, at: now.unix });
        // What it was not told now is as doubtful as before.
        if !attempt.doubtful {
            self.doubt = self.doubt.without(wanted.covers);
        }
        // As long as an older attempt may still come after it, no start believes it.
        let done = !attempt.doubtful && self.overtaken.is_none() && self.orphan_until.is_none();
        self.state.trying = if done && self.doubt.is_empty() { None } else { Some(addresses) };
        self.state.doubted = Some(self.doubt).filter(|doubt| done && !doubt.is_empty());
        (self.state.blocked, self.state.failed) = (None, None);
        self.not_before = now.elapsed;
        self.confirmed = now.elapsed;
        if attempt.checking {
            return self.checked(addresses, changed);
        }
        let text = match (changed, old.is_empty()) {
            _ if wanted.private => format!(
                "sent, as the router has {addresses}; that is behind a second NAT, and changes beyond it \
                 cannot be seen"
            ),
            (true, true) => format!("set to {addresses}"),
            (true, false) if old == addresses => format!("set to {addresses} again"),
            (true, false) => format!("{old} -> {addresses}"),
            (false, _) => format!("already {addresses}"),
        };
        let report = self.told(text, changed, addresses);
        Report { change: Some((old, addresses)), took: Some(took), ..report }
    }

    fn told(&mut self, text: String, changed: bool, new: Addresses) -> Report {
        let asked = std::mem::take(&mut self.owed);
        let needless =
            !changed && !asked && self.config.refresh.is_none() && self.unchanged.as_deref() == Some(&new);
        self.unchanged = (!changed).then(|| Box::new(new));
        // Providers call that abuse, so nobody should do it without being told.
        let (level, text) = if needless {
            (Level::Warning, format!("{text}, as the time before: this update was needless"))
        } else {
            (Level::Info, text)
        };
        Report::new(level, &self.config.name, text)
    }

    fn checked(&self, addresses: Addresses, changed: bool) -> Report {
        let (level, text) = if changed {
            (Level::Warning, format!("was changed by someone else; set to {addresses} again"))
        } else {
            (Level::Debug, format!("still {addresses}"))
        };
        Report::new(level, &self.config.name, text)
    }
}
