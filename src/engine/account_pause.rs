//! The pauses that a provider wants between two updates of an account; pure.

use std::time::Duration;

use crate::backoff::Random;
use crate::config::UpdaterConfig;
use crate::updaters::Outcome;

/// Where an account stands. Without a pause it is always ready, and everything
/// that is due goes into one job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AccountPause {
    pause: Duration,
    pub(super) not_before: Duration,
    /// Whose turn it is, so that one that fails again and again holds up nobody.
    turn: usize,
}

impl AccountPause {
    pub(super) fn new(group: &UpdaterConfig) -> Self {
        Self { pause: group.pause(), ..Self::default() }
    }

    /// The places of the group's members in the order in which they are asked.
    pub(super) fn order(&self, members: usize) -> impl Iterator<Item = usize> + use<> {
        let turn = if self.turn < members { self.turn } else { 0 };
        (turn..members).chain(0..turn)
    }

    /// Whether the member at `place`, which has something to send, is to be the
    /// only one of its job.
    pub(super) fn takes_turns(&mut self, place: usize) -> bool {
        if self.pause.is_zero() {
            return false;
        }
        self.turn = place.saturating_add(1);
        true
    }

    /// A job has ended; one that surely reached nobody does not count.
    pub(super) fn finished(&mut self, outcomes: &[(usize, Outcome)], now: Duration, random: &mut Random) {
        let unreached = |outcome: &Outcome| matches!(outcome, Outcome::Retry { reached: false, .. });
        let counts = outcomes.is_empty() || !outcomes.iter().all(|(_, outcome)| unreached(outcome));
        if counts && !self.pause.is_zero() {
            self.not_before = now.saturating_add(random.with_jitter(self.pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reached_nobody_is_followed_by_no_pause() {
        let ended = |reached| (0, Outcome::Retry { why: String::new(), after: None, reached });
        for (outcomes, pauses) in [
            (vec![ended(false)], false),
            (vec![ended(true)], true),
            (vec![ended(false), ended(true)], true),
            (Vec::new(), true),
        ] {
            let mut account = AccountPause { pause: Duration::from_secs(600), ..AccountPause::default() };
            account.finished(&outcomes, Duration::from_secs(1), &mut Random::new(1));
            let until = account.not_before.as_secs();
            assert!(if pauses { (601..=751).contains(&until) } else { until == 0 }, "{outcomes:?}: {until}");
        }
    }
}
