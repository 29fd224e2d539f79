//! Which group gets a job, and what is recorded before and after it.

use std::cmp::Reverse;
use std::time::Duration;

use super::account_pause::AccountPause;
use super::{Action, Engine, MAX_JOBS, Now};
use crate::address::Addresses;
use crate::config::UpdaterConfig;
use crate::engine::state::trying;
use crate::updaters::{Outcome, Task};

/// How many lines of marks are looked through for the address of the next one:
/// most targets hold one of a few combinations.
const FEW: usize = 8;

/// Targets that are brought up to date in one job.
pub(super) struct Group {
    /// Indexes of its targets, by entry.
    pub(super) members: Vec<usize>,
    /// How its account wants to be left in peace.
    pub(super) pause: AccountPause,
    /// A job is in flight.
    busy: bool,
    /// When one of its targets is to be sent.
    ready: Option<Duration>,
    /// The same, after the pause of its account.
    due: Option<Duration>,
}

impl Group {
    pub(super) fn new(config: &UpdaterConfig) -> Self {
        Self { members: Vec::new(), pause: AccountPause::new(config), busy: false, ready: None, due: None }
    }
}

impl Engine {
    /// When the next job is due. While all places are taken, the end of a job is
    /// the next thing to happen.
    pub(super) fn next_job(&self) -> Option<Duration> {
        let Reverse((at, _)) = self.queue.peek()?;
        (self.in_flight < MAX_JOBS).then_some(*at)
    }

    /// Whether something is to be sent now, or after the pause of an account.
    pub(super) fn owes(&self, now: Now) -> bool {
        self.groups.iter().any(|group| group.ready.is_some_and(|at| at <= now.elapsed))
    }

    pub(super) fn schedule_all(&mut self, now: Now) {
        let mut queue = std::mem::take(&mut self.queue).into_vec();
        queue.clear();
        queue.extend((0..self.groups.len()).filter_map(|group| self.schedule(group, now)));
        self.queue = queue.into();
    }

    /// Works out when a group is due; its new entry of the queue.
    fn schedule(&mut self, index: usize, now: Now) -> Option<Reverse<(Duration, usize)>> {
        let group = self.groups.get_mut(index)?;
        let targets = group.members.iter().filter_map(|member| self.targets.get(*member));
        let ready = targets.filter_map(|target| target.due_at(&self.sources, now)).min();
        group.ready = ready.filter(|_| !group.busy);
        group.due = group.ready.map(|at| at.max(group.pause.not_before));
        Some(Reverse((group.due?, index)))
    }

    fn reschedule(&mut self, group: usize, now: Now) {
        let entry = self.schedule(group, now);
        self.queue.extend(entry);
    }

    /// Takes the next group from the queue that is due.
    fn take_due(&mut self, now: Now) -> Option<usize> {
        loop {
            let Reverse((at, index)) = *self.queue.peek()?;
            let current = self.groups.get(index).is_some_and(|group| group.due == Some(at));
            if current && at > now.elapsed {
                return None;
            }
            self.queue.pop();
            if current {
                return Some(index);
            }
        }
    }

    pub(super) fn start_jobs(&mut self, now: Now) {
        let mut jobs = Vec::new();
        while self.in_flight < MAX_JOBS {
            let Some(group) = self.take_due(now) else { break };
            let tasks = self.start_job(now, group);
            self.reschedule(group, now);
            if !tasks.is_empty() {
                self.in_flight = self.in_flight.saturating_add(1);
                jobs.push(Action::Publish { group, tasks });
            }
        }
        // Old entries would wake us for nothing.
        self.drop_old_entries();
        let started = jobs.iter().filter_map(|job| match job {
            Action::Publish { group, .. } => self.groups.get(*group),
            _ => None,
        });
        let started = started.flat_map(|group| &group.members);
        let started: Vec<_> = started.filter_map(|member| self.targets.get(*member)).collect();
        let tries: String = started.iter().filter_map(|target| target.blocked_try()).collect();
        let unmarked = started.iter().any(|target| target.is_unmarked());
        if !tries.is_empty() {
            // Rare, and a power cut must not turn it into a habit either.
            self.record(&tries, !unmarked);
        }
        if unmarked {
            self.mark_all(now);
        }
        self.actions.extend(jobs);
    }

    fn drop_old_entries(&mut self) {
        while let Some(Reverse((at, index))) = self.queue.peek() {
            if self.groups.get(*index).is_some_and(|group| group.due == Some(*at)) {
                return;
            }
            self.queue.pop();
        }
    }

    fn start_job(&mut self, now: Now, group: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        let Some(Group { members, pause, busy, .. }) = self.groups.get_mut(group) else { return tasks };
        for place in pause.order(members.len()) {
            let Some(index) = members.get(place) else { continue };
            if let Some(task) = self.targets.get_mut(*index).and_then(|t| t.start(&self.sources, now)) {
                tasks.push(task);
                if pause.takes_turns(place) {
                    break;
                }
            }
        }
        *busy = !tasks.is_empty();
        tasks
    }

    /// Marks every target that is to be sent, also those that wait for a job, a
    /// pause or their back-off: one flush is enough for all.
    fn mark_all(&mut self, now: Now) {
        let mut marks: Vec<(Addresses, Vec<String>)> = Vec::new();
        for target in &mut self.targets {
            let Some((addresses, id)) = target.mark(&self.sources, now) else { continue };
            match marks.iter_mut().rev().take(FEW).find(|(known, _)| *known == addresses) {
                Some((_, ids)) => ids.push(id.to_owned()),
                None => marks.push((addresses, vec![id.to_owned()])),
            }
        }
        self.record(&trying(&marks), true);
    }

    pub(super) fn finished(&mut self, now: Now, index: usize, outcomes: &[(usize, Outcome)], took: Duration) {
        let Some(group) = self.groups.get_mut(index).filter(|group| group.busy) else { return };
        group.busy = false;
        self.in_flight = self.in_flight.saturating_sub(1);
        group.pause.finished(outcomes, now.elapsed, &mut self.random);
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        outcomes.sort_by_key(|(entry, _)| *entry);
        let (mut reports, mut lines) = (Vec::new(), String::new());
        for member in &group.members {
            let Some(target) = self.targets.get_mut(*member) else { continue };
            let place = outcomes.binary_search_by_key(&target.entry(), |(entry, _)| *entry);
            let outcome = place.ok().and_then(|place| outcomes.get(place)).map(|(_, outcome)| outcome);
            if let Some((line, report)) = target.finish(outcome, now, took, &self.way, &mut self.random) {
                lines.push_str(&line);
                reports.push(Action::Report(report));
            }
        }
        // What is reported is recorded: whoever acts on the line may kill us.
        if !lines.is_empty() {
            self.record(&lines, false);
        }
        self.actions.extend(reports);
        self.reschedule(index, now);
    }

    fn record(&mut self, lines: &str, flush: bool) {
        let facts = if std::mem::take(&mut self.new_facts) { self.state.facts() } else { String::new() };
        self.unflushed = !flush;
        self.actions.push_back(Action::Record { lines: facts + lines, flush });
    }

    /// One flush when everything that was to be sent has been.
    pub(super) fn end_change(&mut self, now: Now) {
        if self.unflushed && self.in_flight == 0 && !self.owes(now) {
            self.record("", true);
        }
    }
}
