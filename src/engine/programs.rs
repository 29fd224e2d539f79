//! Programs: one after the other in the order of the file, behind the first answers of
//! the other targets of the same change.

use std::time::Duration;

use super::jobs::Group;
use super::{Action, Engine, Now};
use crate::updaters::run::Standing;

/// How long a program waits for the first answers of others.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits for the end of the one before.
const TURN: Duration = Duration::from_secs(30);

/// What stands before the next program.
#[derive(Clone, Copy, Default)]
struct Queue {
    /// Until when one that runs has its turn, and one that waits for nobody.
    turns: [Duration; 2],
    /// One that comes first still waits.
    held: bool,
}

impl Engine {
    /// Starts the programs whose turn it is.
    pub(super) fn start_programs(&mut self, now: Now, jobs: &mut Vec<Action>) {
        let mut queue = Queue::default();
        for group in self.programs.iter().filter_map(|index| self.groups.get(*index)) {
            let turn = group.began().map_or(Duration::ZERO, |began| began.saturating_add(TURN));
            let [all, hasty] = &mut queue.turns;
            *all = turn.max(*all);
            *hasty = if group.waits { *hasty } else { turn.max(*hasty) };
        }
        self.programs_at = None;
        for place in 0..self.programs.len() {
            let Some(index) = self.programs.get(place).copied() else { continue };
            let Some(at) = self.groups.get(index).and_then(|group| self.turn(group, &mut queue, now)) else {
                continue;
            };
            if at > now.elapsed {
                self.programs_at = Some(self.programs_at.unwrap_or(at).min(at));
                continue;
            }
            let waits = self.groups.get(index).is_some_and(|group| group.waits);
            if let Some(job) = self.start_job(now, index) {
                jobs.push(job);
                let turn = now.elapsed.saturating_add(TURN);
                queue.turns = if waits { [turn, queue.turns[1]] } else { [turn; 2] };
            }
            self.reschedule(index, now);
        }
    }

    /// When the program of this group may start.
    fn turn(&self, group: &Group, queue: &mut Queue, now: Now) -> Option<Duration> {
        let due = group.due?;
        if due > now.elapsed {
            return Some(due);
        }
        let [all, hasty] = queue.turns;
        if !group.waits {
            return Some(hasty);
        }
        let patient = group.since.unwrap_or(due).saturating_add(PATIENCE);
        let patient = if self.awaited > 0 { patient } else { Duration::ZERO };
        let at = patient.max(all);
        // The end of a job is the next thing to happen.
        if queue.held {
            return None;
        }
        queue.held = at > now.elapsed;
        Some(at)
    }

    /// How the targets stand that are no programs.
    pub(super) fn standing(&self, now: Now) -> Standing {
        let mut standing = Standing::default();
        for target in self.targets.iter().filter(|target| !target.is_program()) {
            let labels = match target.stands(&self.sources, now) {
                Some(true) => &mut standing.ok,
                Some(false) => &mut standing.failed,
                None => &mut standing.pending,
            };
            labels.push(target.label().to_owned());
        }
        standing
    }
}
