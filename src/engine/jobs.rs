//! Which group gets a job, and what is recorded before and after it.
//!
//! A job that takes longer than [`HANGS`] holds up nobody: it counts no more among
//! the [`MAX_JOBS`], and whatever else its group has to send goes in a second job
//! beside it; for a newer address of a target of both, the first sends nothing more.
//! Where an account takes one request at a time, the first is closed for a
//! newer address. A program is left alone.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use super::account_pause::AccountPause;
use super::target::{Ended, HANGS, TargetStatus};
use super::{Action, Engine, MAX_JOBS, MOST_JOBS, Now};
use crate::address::Addresses;
use crate::config::UpdaterConfig;
use crate::engine::state::{Change, trying};
use crate::updaters::Outcome;
use crate::updaters::run::Standing;

/// How many lines of marks are looked through for the address of the next one:
/// most targets hold one of a few combinations.
const FEW: usize = 8;

/// How long a closed job may take to end before the next begins: it can send nothing
/// more.
const CLOSED: Duration = Duration::from_secs(1);

/// Targets that are brought up to date in one job.
pub(super) struct Group {
    /// Indexes of its targets, by entry.
    pub(super) members: Vec<usize>,
    /// How its account wants to be left in peace.
    pub(super) pause: AccountPause,
    pub(super) manner: Manner,
    /// A program that comes after others.
    pub(super) waits: bool,
    /// The first group that goes to the same server.
    pub(super) server: usize,
    /// Those that are due and wait for a place at its server, where it is the first.
    pub(super) waiting: VecDeque<usize>,
    /// Its jobs in flight, at most two, the older first.
    jobs: Vec<InFlight>,
    /// When one of its targets is to be sent.
    ready: Option<Duration>,
    /// The same, after the pause of its account and what is in flight.
    pub(super) due: Option<Duration>,
    /// When it became due, where it is.
    pub(super) since: Option<Duration>,
    /// One of its targets owes the first answer to a change.
    awaited: bool,
}

/// What a group does while its job hangs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    /// Sends beside it.
    Beside,
    /// Closes it for a newer address.
    OneAtATime,
    /// Waits for its end.
    Program,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    job: u64,
    began: Duration,
    closed: Option<Duration>,
    /// It sends nothing more, as a newer address is sent beside it.
    overtaken: bool,
}

/// A job in flight, and whose it is.
pub(super) struct Running {
    job: u64,
    group: usize,
    pub(super) server: usize,
    pub(super) began: Duration,
    is_program: bool,
    /// It no longer counts among those at its server.
    pub(super) unanswered: bool,
}

impl Group {
    /// `server`: the first group that goes to the same one.
    pub(super) fn new(config: &UpdaterConfig, server: usize) -> Self {
        let manner = match config {
            UpdaterConfig::Dyndns(_) => Manner::OneAtATime,
            UpdaterConfig::Run(_) => Manner::Program,
            UpdaterConfig::Cloudflare(_) | UpdaterConfig::Url(_) | UpdaterConfig::Rfc2136(_) => {
                Manner::Beside
            }
        };
        let pause = AccountPause::new(config);
        Self {
            members: Vec::new(),
            pause,
            manner,
            waits: matches!(config, UpdaterConfig::Run(run) if run.wait),
            server,
            waiting: VecDeque::new(),
            jobs: Vec::new(),
            ready: None,
            due: None,
            since: None,
            awaited: false,
        }
    }

    /// When the job in flight began.
    pub(super) fn began(&self) -> Option<Duration> {
        self.jobs.first().map(|job| job.began)
    }

    /// From when on something may be done for it, beside what is in flight.
    fn free_at(&self) -> Option<Duration> {
        match (self.manner, self.jobs.as_slice()) {
            (_, []) => Some(self.pause.not_before),
            (Manner::OneAtATime, [InFlight { closed: Some(closed), .. }]) => {
                Some(closed.saturating_add(CLOSED).max(self.pause.not_before))
            }
            (Manner::OneAtATime | Manner::Beside, [first]) => Some(first.began.saturating_add(HANGS)),
            _ => None,
        }
    }

    /// The job that is to be closed before the next begins.
    fn unclosed(&mut self) -> Option<&mut InFlight> {
        self.jobs.first_mut().filter(|job| self.manner == Manner::OneAtATime && job.closed.is_none())
    }
}

impl Engine {
    /// What the target with this entry of a group is called.
    #[must_use]
    pub fn label(&self, group: usize, entry: usize) -> &str {
        let members = self.groups.get(group).map_or(&[][..], |group| &group.members);
        // Mostly at its own place.
        let found = members.get(entry..).unwrap_or_default().iter().chain(members);
        let mut targets = found.filter_map(|member| self.targets.get(*member));
        targets.find(|target| target.entry() == entry).map_or("", TargetStatus::label)
    }

    /// When the next job is due. While all places are taken, one that hangs gives up
    /// its own, or the end of a job is the next thing to happen.
    pub(super) fn next_job(&self) -> Option<Duration> {
        let queued = self.queue.peek().zip(self.place_at).map(|(Reverse((at, ..)), place)| place.max(*at));
        queued.into_iter().chain(self.programs_at).chain(self.server_place_at).min()
    }

    /// When there is a place for one more job; `None`: not before one ends.
    fn find_place(&self, now: Now) -> Option<Duration> {
        // Programs have a bound of their own, by their turns.
        let jobs = || self.running.iter().filter(|job| !job.is_program);
        let fresh = |job: &&Running| job.began.saturating_add(HANGS) > now.elapsed;
        if jobs().count() >= MOST_JOBS {
            return None;
        }
        if jobs().filter(fresh).count() < MAX_JOBS {
            return Some(Duration::ZERO);
        }
        // The first of them.
        jobs().find(fresh).map(|job| job.began.saturating_add(HANGS))
    }

    /// Whether something is to be sent now, or after the pause of an account.
    pub(super) fn owes(&self, now: Now) -> bool {
        self.groups.iter().any(|group| group.ready.is_some_and(|at| at <= now.elapsed))
    }

    pub(super) fn schedule_all(&mut self, now: Now) {
        let mut queue = std::mem::take(&mut self.queue).into_vec();
        queue.clear();
        self.groups.iter_mut().for_each(|group| group.waiting.clear());
        queue.extend((0..self.groups.len()).filter_map(|group| self.schedule(group, now)));
        self.queue = queue.into();
    }

    /// Works out when a group is due; its new entry of the queue.
    fn schedule(&mut self, index: usize, now: Now) -> Option<Reverse<(Duration, usize, usize)>> {
        let group = self.groups.get_mut(index)?;
        let targets = group.members.iter().filter_map(|member| self.targets.get(*member));
        // Nothing is closed for those that wait their turn.
        let closes =
            group.jobs.first().is_some_and(|job| job.closed.is_none()) && group.manner == Manner::OneAtATime;
        let targets = targets.filter(|target| !closes || target.is_in_flight());
        let ready = targets.filter_map(|target| target.due_at(&self.sources, now)).min();
        group.ready = ready;
        group.due = group.ready.zip(group.free_at()).map(|(ready, free)| ready.max(free));
        let is_due = group.due.is_some_and(|due| due <= now.elapsed);
        group.since = if is_due { group.since.or(Some(now.elapsed)) } else { None };
        let mut members = group.members.iter().filter_map(|member| self.targets.get(*member));
        let awaited = group.manner != Manner::Program
            && members.any(|target| target.is_awaited(&self.sources, is_due, now));
        if awaited != std::mem::replace(&mut group.awaited, awaited) {
            self.awaited =
                if awaited { self.awaited.saturating_add(1) } else { self.awaited.saturating_sub(1) };
        }
        let queued = group.manner != Manner::Program;
        queued.then_some(Reverse((group.due?, group.server, index)))
    }

    pub(super) fn reschedule(&mut self, group: usize, now: Now) {
        let entry = self.schedule(group, now);
        self.queue.extend(entry);
    }

    /// Takes the next group from the queue that is due.
    fn take_due(&mut self, now: Now) -> Option<usize> {
        loop {
            let Reverse((at, _, index)) = *self.queue.peek()?;
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
        self.pass_over_unanswered(now);
        while self.find_place(now).is_some_and(|at| at <= now.elapsed) {
            let Some(group) = self.take_due(now) else { break };
            let server = self.groups.get(group).map_or(group, |group| group.server);
            if let Some(first) = self.groups.get_mut(group).and_then(Group::unclosed) {
                first.closed = Some(now.elapsed);
                self.actions.push_back(Action::Close { job: first.job });
            } else if self.is_full(server) {
                if let Some(first) = self.groups.get_mut(server) {
                    first.waiting.push_back(group);
                }
                continue;
            } else {
                jobs.extend(self.start_job(now, group));
            }
            self.reschedule(group, now);
            self.call_next(server, now);
        }
        self.find_server_place();
        self.place_at = self.find_place(now);
        self.start_programs(now, &mut jobs);
        // Old entries would wake us for nothing.
        self.drop_old_entries();
        let started = jobs.iter().filter_map(|job| match job {
            Action::Publish { group, .. } => self.groups.get(*group),
            _ => None,
        });
        let started = started.flat_map(|group| &group.members);
        let started: Vec<_> = started.filter_map(|member| self.targets.get(*member)).collect();
        let tries: String = started.iter().filter_map(|target| target.noted_try()).collect();
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
        while let Some(Reverse((at, _, index))) = self.queue.peek() {
            if self.groups.get(*index).is_some_and(|group| group.due == Some(*at)) {
                return;
            }
            self.queue.pop();
        }
    }

    pub(super) fn start_job(&mut self, now: Now, index: usize) -> Option<Action> {
        let (mut tasks, mut newer) = (Vec::new(), false);
        let group = self.groups.get_mut(index)?;
        let job = self.next_id;
        for place in group.pause.order(group.members.len()) {
            let Some(member) = group.members.get(place) else { continue };
            let Some(target) = self.targets.get_mut(*member) else { continue };
            if let Some(task) = target.start(job, &self.sources, now) {
                tasks.push(task);
                newer |= target.has_overtaken();
                if group.pause.takes_turns(place) {
                    break;
                }
            }
        }
        if tasks.is_empty() {
            return None;
        }
        self.next_id = self.next_id.wrapping_add(1);
        // The older address must not come after the newer.
        let older = group.jobs.first_mut().filter(|_| newer && group.manner == Manner::Beside);
        if let Some(first) = older.filter(|first| !first.overtaken) {
            first.overtaken = true;
            self.actions.push_back(Action::Overtake { job: first.job });
        }
        group.jobs.push(InFlight { job, began: now.elapsed, closed: None, overtaken: false });
        let is_program = group.manner == Manner::Program;
        let (server, began) = (group.server, now.elapsed);
        self.running.push(Running { job, group: index, server, began, is_program, unanswered: false });
        let standing = if is_program { self.standing(now) } else { Standing::default() };
        Some(Action::Publish { job, group: index, tasks, standing })
    }

    /// Marks every target that is to be sent, also those that wait for a job, a
    /// pause or their back-off, but not for the limit of attempts: one flush is enough
    /// for all.
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

    pub(super) fn finished(&mut self, now: Now, job: u64, outcomes: &[(usize, Outcome)], took: Duration) {
        let Some(place) = self.running.iter().position(|running| running.job == job) else { return };
        let Running { group: index, server, .. } = self.running.remove(place);
        let Some(group) = self.groups.get_mut(index) else { return };
        let closed = group.jobs.iter().any(|known| known.job == job && known.closed.is_some());
        group.jobs.retain(|known| known.job != job);
        if group.jobs.is_empty() {
            group.jobs = Vec::new();
        }
        let ended = Ended { job, closed, took, way: &self.way };
        group.pause.finished(outcomes, now.elapsed, &mut self.random);
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        outcomes.sort_by_key(|(entry, _)| *entry);
        let (mut reports, mut lines) = (Vec::new(), String::new());
        for member in &group.members {
            let Some(target) = self.targets.get_mut(*member) else { continue };
            let place = outcomes.binary_search_by_key(&target.entry(), |(entry, _)| *entry);
            let outcome = place.ok().and_then(|place| outcomes.get(place)).map(|(_, outcome)| outcome);
            if let Some((line, report)) = target.finish(outcome, &ended, now, &mut self.random) {
                lines.push_str(&line);
                if let Some((old, new)) = report.change.filter(|(old, new)| old != new) {
                    let change = Change { at: now.unix, name: target.label().to_owned(), old, new };
                    lines.extend(self.state.note_change(change));
                }
                reports.push(Action::Report(report));
            }
        }
        // What is reported is recorded: whoever acts on the line may kill us.
        if !lines.is_empty() {
            self.record(&lines, false);
        }
        self.actions.extend(reports);
        self.reschedule(index, now);
        self.call_next(server, now);
    }

    pub(super) fn record(&mut self, lines: &str, flush: bool) {
        let facts = if std::mem::take(&mut self.new_facts) { self.state.facts() } else { String::new() };
        self.unflushed = !flush;
        self.actions.push_back(Action::Record { lines: facts + lines, flush });
    }

    /// One flush when everything that was to be sent has been.
    pub(super) fn end_change(&mut self, now: Now) {
        if self.unflushed && self.running.is_empty() && !self.owes(now) {
            self.record("", true);
        }
    }
}
