//! What to do next: (time, event) to actions; pure.
//!
//! ```text
//!         Tick, Hint, Observed, Finished
//!                      |
//!   rounds of polls -> choice of an address -> due targets -> jobs
//!                      |
//!            Poll, Save, Publish, Report
//! ```
//!
//! After every event the engine is drained: `action` until `None`; then nothing
//! is to be done before `deadline`. The invariants:
//!
//! - at most one job in flight for a group, and so for a target; the newest
//!   wanted address follows it
//! - never publish an address that no source currently vouches for
//! - "unknown" changes nothing; absence preserves records
//! - a failure schedules that target strictly later and touches no other
//! - a blocked target is silent until its configuration section changes
//! - restarts with an unchanged address publish nothing
//! - attempts at a target are bounded by its retry policy, whatever happens
//! - polls because of hints are bounded, however many hints come, and a hint is
//!   never lost: after it there is a poll
//! - an account that wants pauses gets one update at a time, and then a pause

mod account_pause;
mod nat;
mod report;
pub mod selection;
pub mod state;
mod target;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use crate::address::Observation;
use crate::backoff::{Random, early_poll, retry_poll};
use crate::config::Config;
use crate::engine::state::State;
use crate::http::lan_url::LanUrl;
use crate::updaters::{Outcome, Task};
use account_pause::AccountPause;
pub use report::{Level, Report};
use selection::{AddressKind, Selection, SourceStatus};
use target::TargetStatus;

/// Most jobs in flight, so that ten thousand targets cost no threads.
pub const MAX_JOBS: usize = 16;

/// How long to let a change settle after the first hint: gateways tell the loss
/// of the old address and the new one as two events some 40 ms apart.
const SETTLE: Duration = Duration::from_millis(50);

/// How long quick polls after a hint rest when they were in vain: less than a
/// reconnect takes, enough that forged hints gain nothing.
const EARLY_REST: Duration = Duration::from_secs(6);

/// The time of an event.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time since the start of the program; never goes back.
    pub elapsed: Duration,
    /// Seconds of the Unix epoch; `None` while the clock has not been set
    /// (routers without a battery start in 1970).
    pub unix: Option<u64>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The deadline has passed.
    Tick,
    /// Somebody says that a source may tell something new. Anyone can: it makes
    /// us poll sooner, and nothing else.
    Hint {
        /// Index into [`Config::sources`].
        source: usize,
    },
    /// A poll of a source has ended.
    Observed {
        /// Index into [`Config::sources`].
        source: usize,
        /// What it found.
        observation: Observation,
        /// The description of the gateway that answered.
        gateway: Option<LanUrl>,
    },
    /// A job has ended.
    Finished {
        /// Index into [`Config::groups`].
        group: usize,
        /// What became of each entry.
        outcomes: Vec<(usize, Outcome)>,
        /// How long it took.
        took: Duration,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Poll this source (index into [`Config::sources`]).
    Poll {
        /// The source.
        source: usize,
        /// A hint asked for it: a cheap "nothing new" will not do.
        hinted: bool,
    },
    /// Store this text, durably, before the next action.
    Save(String),
    /// Bring entries of a group up to date.
    Publish {
        /// Index into [`Config::groups`].
        group: usize,
        /// The entries and their addresses.
        tasks: Vec<Task>,
    },
    /// Tell the user.
    Report(Report),
}

/// The decisions of the daemon.
pub struct Engine {
    interval: Duration,
    sources: Vec<SourceStatus>,
    targets: Vec<TargetStatus>,
    /// For each group its targets, by entry, and whether a job is in flight.
    groups: Vec<(Vec<usize>, bool)>,
    /// For each group, how its account wants to be left in peace.
    paces: Vec<AccountPause>,
    state: State,
    random: Random,
    actions: VecDeque<Action>,
    round: u64,
    next_round: Duration,
}

impl Engine {
    /// An engine that has yet to look for the first time. `seed` is for jitter.
    #[must_use]
    pub fn new(config: &Config, state: State, seed: u64) -> Self {
        let mut sources: Vec<_> = config.sources.iter().map(SourceStatus::new).collect();
        for source in &mut sources {
            let has_answered = state.has_answered.get(&source.label);
            for kind in AddressKind::ALL {
                if has_answered.is_some_and(|kinds| kinds.iter().any(|id| id == kind.id())) {
                    source.has_spoken(kind);
                }
            }
        }
        let targets: Vec<_> = config.targets.iter().map(|t| TargetStatus::new(t, &state)).collect();
        let mut groups: Vec<_> = config.groups.iter().map(|_| (Vec::new(), false)).collect();
        for (index, target) in config.targets.iter().enumerate() {
            if let Some((members, _)) = groups.get_mut(target.group) {
                members.push(index);
            }
        }
        Self {
            interval: config.interval,
            sources,
            targets,
            groups,
            paces: config.groups.iter().map(AccountPause::new).collect(),
            state: State { targets: BTreeMap::default(), ..state },
            random: Random::new(seed),
            actions: VecDeque::new(),
            round: 0,
            next_round: Duration::ZERO,
        }
    }

    /// Forgets that some accounts want pauses: for dry runs, which send nothing.
    #[must_use]
    pub fn without_pauses(mut self) -> Self {
        self.paces = self.paces.iter().map(|_| AccountPause::default()).collect();
        self
    }

    /// The next thing to do; `None` when there is nothing before [`Self::deadline`].
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due, in time since the start of the program.
    #[must_use]
    pub fn deadline(&self, now: Now) -> Duration {
        let polls = self.sources.iter().filter(|s| s.wanted && !s.polling);
        let polls = polls.flat_map(|source| [source.poll_at, source.hint_at]).flatten();
        let free = self.groups.iter().zip(&self.paces).filter(|((_, busy), _)| !busy);
        let targets = free.flat_map(|((members, _), pause)| members.iter().map(move |index| (index, pause)));
        let targets = targets.filter_map(|(index, pause)| {
            let due = self.targets.get(*index)?.due_at(&self.sources, now)?;
            Some(due.max(pause.not_before))
        });
        // A target that is due and waits for a free job waits for an event.
        let targets = targets.filter(|at| *at > now.elapsed);
        polls.chain(targets).fold(self.next_round, Duration::min)
    }

    /// Takes an event; the actions that follow are to be drained.
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Tick => {}
            Event::Hint { source } => self.hinted(now, source),
            Event::Observed { source, observation, gateway } => {
                self.observed(now, source, &observation, gateway);
            }
            Event::Finished { group, outcomes, took } => self.finished(now, group, &outcomes, took),
        }
        if now.elapsed >= self.next_round {
            self.round = self.round.saturating_add(1);
            self.next_round = now.elapsed.saturating_add(self.interval);
        }
        self.start_polls(now);
        self.start_jobs(now);
    }

    /// Whether nothing is under way and nothing is due: the end of `--once`.
    #[must_use]
    pub fn is_settled(&self, now: Now) -> bool {
        self.round > 0
            && !self.sources.iter().any(|source| source.polling)
            && !self.groups.iter().any(|(_, busy)| *busy)
            && !self.targets.iter().any(|t| t.due_at(&self.sources, now).is_some_and(|at| at <= now.elapsed))
    }

    /// The targets that do not hold what they should, with the reason.
    pub fn behind(&self, now: Now) -> impl Iterator<Item = (&str, String)> {
        self.targets.iter().filter_map(move |target| target.behind(&self.sources, now))
    }

    fn observed(&mut self, now: Now, index: usize, seen: &Observation, gateway: Option<LanUrl>) {
        let Some(source) = self.sources.get_mut(index) else { return };
        source.polling = false;
        source.seen_in = Some(self.round);
        source.poll_at = None;
        source.failed = source.record(seen, self.round);
        match (source.failed, source.early) {
            (true, Some(step)) if early_poll(step).is_some() => {}
            (true, _) => source.misses = source.misses.saturating_add(1),
            (false, _) => (source.misses, source.early) = (0, None),
        }
        if let Some(gateway) = gateway {
            let before = self.state.gateways.insert(source.label.clone(), gateway.clone());
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
            self.state.has_answered.insert(source.label.clone(), has_answered);
        }
        for index in 0..self.sources.len() {
            self.note_trouble(now, index);
        }
        for target in &mut self.targets {
            if let Some(report) = target.complaint(&self.sources) {
                self.actions.push_back(Action::Report(report));
            }
        }
    }

    /// Polls a source again soon whose failure leaves somebody without an
    /// address, and says so once.
    fn note_trouble(&mut self, now: Now, index: usize) {
        let missed = self.targets.iter().any(|target| target.misses(&self.sources, index));
        let Some(source) = self.sources.get_mut(index) else { return };
        let trouble = source.failed && missed;
        if !trouble {
            source.poll_at = None;
            source.early = source.early.filter(|_| source.polling);
        } else if !source.polling && source.poll_at.is_none() {
            let wait = source.early.and_then(early_poll);
            source.early = wait.and(source.early).map(|step| step.saturating_add(1));
            let wait = wait.unwrap_or_else(|| retry_poll(source.misses, self.interval));
            source.poll_at = Some(now.elapsed.saturating_add(wait));
        }
        // A reconnect that is over within a second is not worth a line.
        if trouble && source.early.is_some() {
            return;
        }
        if let Some(report) = report::trouble(source, trouble) {
            self.actions.push_back(Action::Report(report));
        }
    }

    /// Whoever speaks through the source speaks through others as well: what the
    /// gateway announces by one protocol concerns all that it tells.
    fn hinted(&mut self, now: Now, index: usize) {
        let Some(speaker) = self.sources.get(index).map(|source| source.speaker) else { return };
        for source in self.sources.iter_mut().filter(|source| source.speaker == speaker) {
            if source.hint_at.is_none() {
                let settled = now.elapsed.saturating_add(SETTLE);
                source.hint_at = Some(source.hints.next(now.elapsed).max(settled));
            }
        }
    }

    fn start_polls(&mut self, now: Now) {
        let mut wanted = vec![false; self.sources.len()];
        for index in self.targets.iter().flat_map(|target| target.sources(&self.sources)) {
            if let Some(wanted) = wanted.get_mut(index) {
                *wanted = true;
            }
        }
        for ((index, source), wanted) in self.sources.iter_mut().enumerate().zip(wanted) {
            source.wanted = wanted;
            if !wanted {
                (source.poll_at, source.early) = (None, None);
            }
            let this_round = source.seen_in == Some(self.round);
            let again = source.poll_at.is_some_and(|at| at <= now.elapsed);
            let hinted = source.hint_at.is_some_and(|at| at <= now.elapsed);
            if wanted && !source.polling && (!this_round || again || hinted) {
                source.polling = true;
                source.poll_at = None;
                if hinted {
                    follow_hint(source, now.elapsed);
                }
                self.actions.push_back(Action::Poll { source: index, hinted });
            }
        }
    }

    fn start_jobs(&mut self, now: Now) {
        for group in 0..self.groups.len() {
            let busy = self.groups.iter().filter(|(_, busy)| *busy).count();
            if busy >= MAX_JOBS {
                return;
            }
            self.start_job(now, group);
        }
    }

    fn start_job(&mut self, now: Now, group: usize) {
        let Some((members, busy)) = self.groups.get_mut(group) else { return };
        let Some(pause) = self.paces.get_mut(group) else { return };
        if *busy || now.elapsed < pause.not_before {
            return;
        }
        let mut tasks = Vec::new();
        for place in pause.order(members.len()) {
            let Some(index) = members.get(place) else { continue };
            if let Some(task) = self.targets.get_mut(*index).and_then(|t| t.start(&self.sources, now)) {
                tasks.push(task);
                if pause.takes_turns(place) {
                    break;
                }
            }
        }
        if !tasks.is_empty() {
            *busy = true;
            self.save();
            self.actions.push_back(Action::Publish { group, tasks });
        }
    }

    fn finished(&mut self, now: Now, group: usize, outcomes: &[(usize, Outcome)], took: Duration) {
        let Some((members, busy)) = self.groups.get_mut(group) else { return };
        *busy = false;
        if let Some(pause) = self.paces.get_mut(group) {
            pause.finished(outcomes, now.elapsed, &mut self.random);
        }
        let mut reports = Vec::new();
        for index in members.iter() {
            let Some(target) = self.targets.get_mut(*index) else { continue };
            let outcome = outcomes.iter().find(|(entry, _)| *entry == target.entry()).map(|(_, o)| o);
            reports.extend(target.finish(outcome, now, took, &mut self.random));
        }
        // What is reported is on the disk: whoever acts on the line may kill us.
        self.save();
        self.actions.extend(reports.into_iter().map(Action::Report));
    }

    fn save(&mut self) {
        let mut state = self.state.clone();
        state.targets = self.targets.iter().filter_map(TargetStatus::remember).collect();
        self.actions.push_back(Action::Save(state.write()));
    }

    /// What the sources say of `kind` to the target with this index.
    #[must_use]
    pub fn choice(&self, target: usize, kind: AddressKind) -> Option<Selection> {
        Some(self.targets.get(target)?.choice(&self.sources, kind))
    }
}

/// Counts the hint that a poll is about to follow.
fn follow_hint(source: &mut SourceStatus, now: Duration) {
    source.hint_at = None;
    source.hints.next(now);
    source.hints.take();
    let rested = source.early_since.is_none_or(|since| now.saturating_sub(since) >= EARLY_REST);
    if rested {
        (source.early, source.early_since) = (Some(0), Some(now));
    }
}

#[cfg(test)]
mod tests;
