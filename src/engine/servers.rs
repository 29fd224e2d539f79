//! Jobs that go to one server: a few side by side, each over a connection that the one
//! before has left. One that is not answered in time holds up nobody.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Engine, Now};

/// Jobs side by side: more would cost connections and win nothing.
pub(super) const SIDE_BY_SIDE: usize = 4;

/// A job that takes longer counts no more among them.
pub(super) const UNANSWERED: Duration = Duration::from_secs(3);

/// Most jobs at one server, those unanswered among them.
pub(super) const MOST: usize = 16;

impl Engine {
    pub(super) fn is_full(&self, server: usize) -> bool {
        let jobs = || self.running.iter().filter(|job| job.server == server);
        jobs().count() >= MOST || jobs().filter(|job| !job.unanswered).count() >= SIDE_BY_SIDE
    }

    /// Passes a place at the server on, if there is one: each that is free has a group
    /// in the queue, as long as any waits.
    pub(super) fn call_next(&mut self, server: usize, now: Now) {
        if self.is_full(server) {
            return;
        }
        while let Some(group) = self.groups.get_mut(server).and_then(|first| first.waiting.pop_front()) {
            let due = self.groups.get(group).and_then(|group| group.due);
            // Otherwise it stands in the queue anew.
            if let Some(due) = due.filter(|due| *due <= now.elapsed) {
                self.queue.push(Reverse((due, server, group)));
                return;
            }
        }
    }

    /// Makes place for those that wait behind jobs which are not answered.
    pub(super) fn pass_over_unanswered(&mut self, now: Now) {
        let mut servers = Vec::new();
        for job in &mut self.running {
            if !job.unanswered && job.began.saturating_add(UNANSWERED) <= now.elapsed {
                job.unanswered = true;
                servers.push(job.server);
            }
        }
        for server in servers {
            self.call_next(server, now);
        }
    }

    pub(super) fn find_server_place(&mut self) {
        let holds_up = |server: usize| self.groups.get(server).is_some_and(|first| !first.waiting.is_empty());
        let jobs = self.running.iter().filter(|job| !job.unanswered && holds_up(job.server));
        self.server_place_at = jobs.map(|job| job.began.saturating_add(UNANSWERED)).min();
    }
}
