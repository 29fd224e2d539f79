//! How often a service on the internet is asked; pure.
//!
//! The services are run for nothing by others. Whatever the interval and
//! whatever the router announces, one is asked every [`GAP`] at most; in
//! between its last answer stands. A service that could not be reached at all
//! was not burdened, and is tried again sooner.

use std::time::Duration;

/// The shortest time between two asks.
pub const GAP: Duration = Duration::from_secs(5 * 60);

/// Every ask but the first is put off by up to this much, so that daemons that
/// were started together do not ask together.
pub const JITTER: Duration = Duration::from_secs(10);

/// An ask that would be allowed within this time is waited for, or an interval
/// as long as the gap would hit it every other time only.
const WORTH_WAITING: Duration = Duration::from_secs(30);

/// The first wait after a failure to reach the service; it doubles up to [`GAP`].
const FIRST_RETRY: Duration = Duration::from_secs(10);

/// The longest wait that a service may impose.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);

/// What to do with a poll.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// Ask, after waiting this long.
    Ask(Duration),
    /// Say again what was said last.
    Repeat,
    /// Say nothing: it is not time to ask, and the last answer is too old.
    Hold,
}

/// When the next ask is allowed. Times are since any moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoRateLimit {
    asked: Duration,
    not_before: Option<Duration>,
    unreached: u32,
}

impl EchoRateLimit {
    /// What to do with a poll now; `jitter` is random, up to [`JITTER`].
    #[must_use]
    pub fn turn(&self, now: Duration, jitter: Duration) -> Turn {
        let Some(not_before) = self.not_before else { return Turn::Ask(Duration::ZERO) };
        let wait = not_before.saturating_sub(now).max(jitter.min(JITTER));
        if wait <= WORTH_WAITING {
            return Turn::Ask(wait);
        }
        // Only a service that wants a longer pause gets here with an old answer.
        if now.saturating_sub(self.asked) <= GAP { Turn::Repeat } else { Turn::Hold }
    }

    /// The service was reached by an ask at `now`, whatever came of it; `wish`
    /// is the wait that it asked for.
    pub fn reached(&mut self, now: Duration, wish: Option<Duration>) {
        self.unreached = 0;
        self.asked = now;
        let wait = wish.map_or(GAP, |wish| wish.min(LONGEST_WISH).max(GAP));
        self.not_before = Some(now.saturating_add(wait));
    }

    /// Nothing of an ask at `now` got to the service.
    pub fn missed(&mut self, now: Duration) {
        self.asked = now;
        let factor = 1_u32.checked_shl(self.unreached.min(5)).unwrap_or(u32::MAX);
        self.unreached = self.unreached.saturating_add(1);
        self.not_before = Some(now.saturating_add(FIRST_RETRY.saturating_mul(factor).min(GAP)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When asks happen if polls come every `interval`.
    fn asks(interval: Duration, polls: u32) -> Vec<Duration> {
        let mut limit = EchoRateLimit::default();
        let mut asks = Vec::new();
        for poll in 0..polls {
            let now = interval * poll;
            if let Turn::Ask(wait) = limit.turn(now, SECOND * (poll * 7 % 11)) {
                asks.push(now + wait);
                limit.reached(now + wait, None);
            }
        }
        asks
    }

    #[test]
    fn the_gap_is_kept_at_every_interval() {
        for seconds in [1, 5, 60, 299, 300, 301, 3600] {
            let asks = asks(seconds * SECOND, 4000);
            assert!(asks.windows(2).all(|pair| pair[1] - pair[0] >= GAP), "{seconds}");
            assert!(asks.len() > 10);
        }
    }

    #[test]
    fn an_interval_of_five_minutes_misses_no_poll() {
        assert_eq!(asks(GAP, 1000).len(), 1000);
    }

    #[test]
    fn the_first_poll_waits_for_nothing() {
        assert_eq!(EchoRateLimit::default().turn(SECOND, JITTER), Turn::Ask(Duration::ZERO));
    }

    #[test]
    fn a_service_out_of_reach_is_tried_sooner_but_ever_less_often() {
        let mut limit = EchoRateLimit::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            limit.missed(Duration::ZERO);
            waits.push(limit.not_before.unwrap().as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        limit.reached(Duration::ZERO, None);
        assert_eq!(limit.not_before, Some(GAP));
        limit.missed(Duration::ZERO);
        assert_eq!(limit.not_before, Some(10 * SECOND));
    }

    #[test]
    fn a_wish_is_honoured_when_it_is_longer_and_sane() {
        let mut limit = EchoRateLimit::default();
        for (wish, wait) in [(1, 300), (4000, 4000), (u64::MAX, 86_400)] {
            limit.reached(Duration::ZERO, Some(Duration::from_secs(wish)));
            assert_eq!(limit.not_before, Some(Duration::from_secs(wait)));
            assert_eq!(limit.turn(SECOND, Duration::ZERO), Turn::Repeat);
        }
        assert_eq!(limit.turn(GAP, Duration::ZERO), Turn::Repeat);
        assert_eq!(limit.turn(GAP + SECOND, Duration::ZERO), Turn::Hold, "an answer gets old");
    }
}
