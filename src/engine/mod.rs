//! What to do next: (time, event) to actions; pure.
//!
//! ```text
//!         Tick, Hint, Observed, Finished
//!                      |
//!   rounds of polls -> choice of an address -> due targets -> jobs
//!                      |
//!            Poll, Record, Publish, Report
//! ```
//!
//! After every event the engine is drained: `action` until `None`; then nothing
//! is to be done before `deadline`. The invariants:
//!
//! - at most one job in flight for a group, and so for a target; the newest wanted
//!   address follows it, or is sent beside one that hangs, and then once more unless
//!   that surely reached nobody
//! - never publish an address that no source currently vouches for
//! - "unknown" changes nothing; absence preserves records
//! - a failure schedules that target strictly later and touches no other
//! - a blocked target is tried once a day, and once after a start, which counts once
//!   an hour; it is told at every start and once a day. A start tries likewise what
//!   waits for a person
//! - a new address ends a back-off that its provider did not wish for; waits survive
//!   a restart
//! - refresh and verify are due by the clock or by the running time, whichever is
//!   first
//! - restarts with an unchanged address publish nothing
//! - before the first request of a change, the marks of all its targets are
//!   recorded with one flush; an acceptance is recorded before it is reported; one
//!   flush ends the change; nothing else is recorded
//! - an event costs what it concerns: the end of a job one group, a poll all
//! - at most four jobs at one server that have taken less than 3 s, and 16 in all
//! - attempts at a target are bounded by its retry policy, whatever happens
//! - polls because of hints are bounded, however many hints come, and a hint is
//!   never lost: after it there is a poll
//! - an account that wants pauses gets one update at a time, and then a pause

mod account_pause;
mod address_kind;
mod asked;
mod event;
mod ipv6_default;
mod jobs;
mod lan;
pub mod nat;
mod programs;
mod report;
mod selection;
mod servers;
mod source_status;
mod start;
pub mod state;
pub mod status;
mod target;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::address::{Addresses, Observation};
use crate::backoff::{Random, early_poll, retry_poll};
use crate::engine::state::State;
use crate::http::lan_url::LanUrl;
use address_kind::AddressKind;
pub use event::{Action, Event, Now};
use ipv6_default::Ipv6Default;
use jobs::{Group, Running};
pub use report::{Level, Report};
use source_status::SourceStatus;
use target::{DAY, TargetStatus};

/// Most jobs in flight, so that ten thousand targets cost no threads. One that hangs
/// counts no more.
pub const MAX_JOBS: usize = 16;

/// Most jobs in flight, those that hang among them.
pub const MOST_JOBS: usize = 64;

/// How long to let a change settle after a hint that follows another: gateways tell
/// the loss of the old address and the new one as two events some 40 ms apart.
const SETTLE: Duration = Duration::from_millis(50);

/// A hint is followed at once where none was for so long.
const QUIET: Duration = Duration::from_secs(1);

/// How long quick polls after a hint rest when they were in vain: less than a
/// reconnect takes, enough that forged hints gain nothing.
const EARLY_REST: Duration = Duration::from_secs(6);

/// How long a single run waits for a source that is silent. Then the next one speaks for
/// it, as it does for the daemon after some polls.
const ONCE_PATIENCE: Duration = Duration::from_secs(13);

/// With more targets than this, those that are current at the start are told to who looks
/// for a fault.
const MANY: usize = 20;

/// The decisions of the daemon.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Engine {
    interval: Duration,
    sources: Vec<SourceStatus>,
    targets: Vec<TargetStatus>,
    groups: Vec<Group>,
    /// When which group is due, those of one server together; entries that no longer
    /// agree with the group are old.
    queue: BinaryHeap<Reverse<(Duration, usize, usize)>>,
    /// When a job makes place for one that waits at its server, unless it ends before.
    server_place_at: Option<Duration>,
    /// Jobs in flight, in the order of their beginning.
    running: Vec<Running>,
    /// When there is a place for one more.
    place_at: Option<Duration>,
    /// Groups that are programs, in the order of the file.
    programs: Vec<usize>,
    /// When the next of them may start.
    programs_at: Option<Duration>,
    /// Groups that owe the first answer to a change.
    awaited: usize,
    /// The number of the next job.
    next_id: u64,
    /// What sources answered has changed since it was last decided which to poll.
    reconsider: bool,
    /// What is known of the sources is not recorded.
    new_facts: bool,
    /// Something that should survive a power cut is recorded without a flush.
    unflushed: bool,
    state: State,
    random: Random,
    actions: VecDeque<Action>,
    round: u64,
    next_round: Duration,
    /// How providers are reached ([`Config::way`]).
    way: String,
    /// A single run: starts are no reason to try what is blocked.
    once: bool,
    /// Until when a single run waits for silent sources.
    waits_until: Option<Duration>,
    /// When blocked targets are told again.
    remind_at: Duration,
    /// The clock was not set at the start, and is not yet.
    blind: bool,
    /// A source answers otherwise than before.
    news: bool,
    /// Targets to be sent after a poll, and when at the latest.
    asked: Option<(Vec<usize>, Duration)>,
}

impl Engine {
    /// The next thing to do; `None` when there is nothing before [`Self::deadline`].
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due, in time since the start of the program.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let polls = self.sources.iter().filter(|s| s.wanted && !s.polling);
        let polls = polls.flat_map(|source| [source.poll_at, source.hint_at]).flatten();
        let asked = self.asked.as_ref().map(|(_, until)| *until);
        let defaults = self.sources.iter().filter_map(|source| source.ipv6.as_ref()?.gives_up_at());
        polls
            .chain(defaults)
            .chain(self.waits_until)
            .chain(self.next_job())
            .chain(asked)
            .fold(self.next_round.min(self.remind_at), Duration::min)
    }

    /// Takes an event; the actions that follow are to be drained.
    pub fn handle(&mut self, now: Now, event: Event) {
        if self.round == 0 {
            self.resume(now);
            self.blind = now.unix.is_none();
        } else if self.blind && now.unix.is_some() {
            self.blind = false;
            self.targets.iter_mut().for_each(|target| target.resume_blocked(now));
            self.reconsider = true;
        }
        match event {
            Event::Tick => {}
            Event::Hint { source } => self.hinted(now, source),
            Event::Retry { targets } => self.retry(now, &targets),
            Event::Update { targets } => self.update(now, targets),
            Event::Observed { source, observation, gateway } => {
                self.observed(now, source, &observation, gateway);
            }
            Event::Finished { job, outcomes, took } => self.finished(now, job, &outcomes, took),
        }
        if now.elapsed >= self.next_round {
            self.round = self.round.saturating_add(1);
            self.next_round = now.elapsed.saturating_add(self.interval);
        }
        if now.elapsed >= self.remind_at {
            self.remind_at = now.elapsed.saturating_add(DAY);
            let reports = self.targets.iter().filter_map(TargetStatus::told_daily);
            self.actions.extend(reports.map(Action::Report));
        }
        self.give_up_ipv6(now);
        if self.waits_until.take_if(|until| *until <= now.elapsed).is_some() {
            self.sources.iter_mut().for_each(SourceStatus::give_way);
            self.reconsider = true;
        }
        self.owe_asked(now);
        if std::mem::take(&mut self.reconsider) {
            self.choose_sources();
            self.schedule_all(now);
        }
        self.start_polls(now);
        self.start_jobs(now);
        self.end_change(now);
    }

    /// Takes up what an earlier run left, and tells what stands in the way.
    fn resume(&mut self, now: Now) {
        self.tell_ipv6();
        for target in &mut self.targets {
            target.resume(now, &self.way, self.once);
            self.actions.extend(target.told_at_start(now).map(Action::Report));
        }
    }

    /// Whether nothing is under way and nothing is due: the end of `--once`.
    #[must_use]
    pub fn is_settled(&self, now: Now) -> bool {
        let gave_way = self.once && self.waits_until.is_none();
        let waits = |source: &SourceStatus| {
            // One that was silent all the time, and for which another has spoken.
            let needless = || gave_way && source.seen_in.is_some() && self.behind(now).next().is_none();
            let again = self.waits_until.is_some() && source.wanted && source.poll_at.is_some();
            (source.polling && !needless()) || again
        };
        self.round > 0
            && !self.sources.iter().any(waits)
            && self.running.is_empty()
            && self.asked.is_none()
            && !self.sources.iter().any(|source| source.ipv6.as_ref().is_some_and(Ipv6Default::is_open))
            && !self.owes(now)
            && !(self.once && self.targets.iter().any(|target| target.retries_soon(&self.sources, now)))
            && !self.targets.iter().any(|target| target.awaits_absence(&self.sources, now))
    }

    /// The targets that do not hold what they should, with the reason.
    pub fn behind(&self, now: Now) -> impl Iterator<Item = (&str, String)> {
        let reason = move |target: &TargetStatus| Some(target.behind(&self.sources, now)?());
        self.targets.iter().filter_map(move |target| Some((target.label(), reason(target)?)))
    }

    /// What the target of this name accepted last, as far as known.
    #[must_use]
    pub fn holds(&self, name: &str) -> Option<Addresses> {
        self.targets.iter().find(|target| target.label() == name)?.holds()
    }

    fn observed(&mut self, now: Now, index: usize, seen: &Observation, gateway: Option<LanUrl>) {
        let Some(source) = self.sources.get_mut(index) else { return };
        self.reconsider = true;
        let answered = gateway.is_some();
        source.polling = false;
        source.seen_in = Some(self.round);
        source.poll_at = None;
        self.news |= source.record(seen, self.round, now.elapsed);
        match (source.failed, source.early) {
            (true, Some(step)) if early_poll(step).is_some() => {}
            (true, _) => source.misses = source.misses.saturating_add(1),
            (false, _) => (source.misses, source.early) = (0, None),
        }
        if let Some(gateway) = gateway {
            let before = self.state.gateways.insert(source.label.clone(), gateway.clone());
            self.new_facts |= before.as_ref() != Some(&gateway);
            if let Some(report) = report::gateway_change(&source.label, before.as_ref(), &gateway) {
                self.actions.push_back(Action::Report(report));
            }
        }
        let has_answered: Vec<String> = AddressKind::ALL
            .iter()
            .filter(|k| source.answers(**k).has_answered)
            .map(|k| k.id().to_owned())
            .collect();
        if !has_answered.is_empty() {
            let before = self.state.has_answered.insert(source.label.clone(), has_answered.clone());
            self.new_facts |= before != Some(has_answered);
        }
        self.observe_ipv6(now, index, seen, answered);
        for index in 0..self.sources.len() {
            self.note_trouble(now, index);
        }
        let mut lines = String::new();
        let brief = self.once || self.targets.len() > MANY;
        for target in &mut self.targets {
            target.note_absence(&self.sources, now);
            let (line, reports) = target.note_gone(&self.sources, now);
            lines.extend(line.into_iter().chain(target.unmark(&self.sources, now)));
            self.actions.extend(reports.into_iter().map(Action::Report));
            let current = target.told_current(&self.sources, &self.state.changes, now, brief);
            let reports = [current, target.complaint(&self.sources), target.limit_report(&self.sources, now)];
            self.actions.extend(reports.into_iter().flatten().map(Action::Report));
        }
        if !lines.is_empty() {
            self.record(&lines, false);
        }
    }

    /// Polls a source again soon whose failure leaves somebody without an
    /// address, and says so once.
    fn note_trouble(&mut self, now: Now, index: usize) {
        let failed = self.sources.get(index).is_some_and(|source| source.failed);
        let trouble = failed && self.targets.iter().any(|target| target.misses(&self.sources, index));
        let silent = self.is_silent(index);
        let Some(source) = self.sources.get_mut(index) else { return };
        if !trouble {
            source.poll_at = None;
            source.early = source.early.filter(|_| source.polling);
        } else if !source.polling && source.poll_at.is_none() {
            let wait = source.early.and_then(early_poll);
            source.early = wait.and(source.early).map(|step| step.saturating_add(1));
            let wait = wait.unwrap_or_else(|| retry_poll(source.misses, self.interval));
            source.poll_at = Some(now.elapsed.saturating_add(wait));
        }
        let again = source.ipv6.as_ref().and_then(Ipv6Default::asks_again_at);
        source.poll_at = source.poll_at.into_iter().chain(again).min();
        // A reconnect that is over within a second is not worth a line.
        if trouble && source.early.is_some() {
            return;
        }
        // Another source may speak for it meanwhile.
        let failing = trouble || (source.in_trouble && silent);
        if let Some(report) = source.trouble(failing) {
            self.actions.push_back(Action::Report(report));
        }
    }

    /// Whether a source does not tell something that it is listed for, and has told
    /// before, or nothing of all that.
    fn is_silent(&self, index: usize) -> bool {
        let is_asked =
            |kind: &AddressKind| self.targets.iter().any(|target| target.lists(&self.sources, index, *kind));
        let Some(source) = self.sources.get(index).filter(|source| source.failed) else { return false };
        let asked: Vec<_> =
            AddressKind::ALL.into_iter().filter(is_asked).map(|kind| source.answers(kind)).collect();
        asked.iter().any(|answers| answers.has_answered && answers.is_unknown())
            || asked.iter().all(|answers| answers.is_unknown())
    }

    /// Whoever speaks through the source speaks through others as well: what the
    /// gateway announces by one protocol concerns all that it tells.
    fn hinted(&mut self, now: Now, index: usize) {
        let Some(speaker) = self.sources.get(index).map(|source| source.speaker) else { return };
        for source in self.sources.iter_mut().filter(|source| source.speaker == speaker) {
            source.heard = Some(now.elapsed);
            if source.hint_at.is_none() {
                let quiet = source.followed.is_none_or(|at| now.elapsed.saturating_sub(at) >= QUIET);
                let settle = if quiet { Duration::ZERO } else { SETTLE };
                let settled = now.elapsed.saturating_add(settle);
                source.hint_at = Some(source.hints.next(now.elapsed).max(settled));
            }
        }
    }

    /// Decides which sources are needed.
    fn choose_sources(&mut self) {
        let mut wanted = vec![false; self.sources.len()];
        for index in self.targets.iter().flat_map(|target| target.sources(&self.sources)) {
            if let Some(wanted) = wanted.get_mut(index) {
                *wanted = true;
            }
        }
        for (source, wanted) in self.sources.iter_mut().zip(wanted) {
            source.wanted = wanted;
        }
    }

    fn start_polls(&mut self, now: Now) {
        for (index, source) in self.sources.iter_mut().enumerate() {
            let wanted = source.wanted;
            if !wanted {
                (source.poll_at, source.early) = (None, None);
            }
            let this_round = source.seen_in == Some(self.round);
            let again = source.poll_at.is_some_and(|at| at <= now.elapsed);
            let hinted = source.hint_at.is_some_and(|at| at <= now.elapsed);
            if wanted && !source.polling && (!this_round || again || hinted) {
                source.polling = true;
                source.polls = source.polls.saturating_add(1);
                (source.poll_at, source.asked) = (None, Some(now.elapsed));
                if hinted {
                    follow_hint(source, now.elapsed);
                }
                self.actions.push_back(Action::Poll { source: index, hinted });
            }
        }
    }

    /// All that is known, for a state file that is written anew.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let mut state = self.state.clone();
        state.targets = self.targets.iter().filter_map(TargetStatus::remember).collect();
        state.write()
    }
}

/// Counts the hint that a poll is about to follow.
fn follow_hint(source: &mut SourceStatus, now: Duration) {
    source.hint_at = None;
    source.followed = Some(now);
    source.by_hint = true;
    source.hints.next(now);
    source.hints.take();
    let rested = source.early_since.is_none_or(|since| now.saturating_sub(since) >= EARLY_REST);
    if rested {
        (source.early, source.early_since) = (Some(0), Some(now));
    }
}

#[cfg(test)]
mod tests;
