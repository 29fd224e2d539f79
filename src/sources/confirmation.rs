//! When NAT-PMP is enough, and SOAP is not asked; pure.
//!
//! NAT-PMP can only confirm what SOAP told: some gateways' lags behind, and anybody in
//! the LAN can forge its answers.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::address::Finding;

/// At least every so many polls the address is asked for by SOAP, and where the gateway's
/// events arrive, which tell of changes.
const SOAP_EVERY: u32 = 4;
const SOAP_EVERY_WITH_EVENTS: u32 = 12;

/// No longer than this is NAT-PMP alone believed, however rare polls are: 20 minutes,
/// and what [`SOAP_EVERY`] polls of the default interval take themselves.
const SOAP_WITHIN: Duration = Duration::from_secs(20 * 60 + 5);

/// After so many SOAP calls a gateway that was silent is asked again: two datagrams in a
/// row are lost at times, and who never speaks it costs few.
const SILENT_FOR: u32 = 12;

/// What NAT-PMP is good for at one gateway.
#[derive(Clone, Debug, Default)]
pub struct Confirmation {
    /// It has told something stale, or has several lines and does not say of which one
    /// it speaks.
    useless: bool,
    /// How many SOAP calls come before it is asked again: it was silent.
    silent: u32,
    /// Polls since the last SOAP call.
    polls: u32,
}

impl Confirmation {
    /// `useless`: it is never asked.
    #[must_use]
    pub fn new(useless: bool) -> Self {
        Self { useless, silent: 0, polls: 0 }
    }

    /// Whether it is asked now. SOAP was asked `passed` ago, and must not be too late at
    /// the next poll.
    #[must_use]
    pub fn is_enough(&self, events_arrive: bool, passed: Duration) -> bool {
        let every = if events_arrive { SOAP_EVERY_WITH_EVENTS } else { SOAP_EVERY };
        let polls = self.polls.saturating_add(1);
        let next = passed.saturating_add(passed.checked_div(polls).unwrap_or_default());
        !self.useless && self.silent == 0 && polls < every && next <= SOAP_WITHIN
    }

    /// Takes its answer, if one came: whether it is what SOAP told.
    pub fn takes(&mut self, told: Option<&Finding<Ipv4Addr>>, by_soap: &Finding<Ipv4Addr>) -> bool {
        self.silent = if told.is_none() { SILENT_FOR } else { 0 };
        let confirmed = told == Some(by_soap);
        self.polls = if confirmed { self.polls.saturating_add(1) } else { 0 };
        confirmed
    }

    /// SOAP was asked and told `now` instead of `before`; `ask` asks NAT-PMP as well. If
    /// that still tells what is no longer so, it lags.
    pub fn soap_told(
        &mut self,
        now: &Finding<Ipv4Addr>,
        before: &Finding<Ipv4Addr>,
        ask: impl FnOnce() -> Option<Finding<Ipv4Addr>>,
    ) {
        if self.polls > 0 && now != before {
            self.useless = ask().as_ref() == Some(before);
        }
        self.silent = self.silent.saturating_sub(1);
        self.polls = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Finding<Ipv4Addr> = Finding::Known(Ipv4Addr::new(1, 1, 1, 1));
    const NEW: Finding<Ipv4Addr> = Finding::Known(Ipv4Addr::new(2, 2, 2, 2));

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn three_polls_of_four_are_confirmed_and_eleven_of_twelve_with_events() {
        for (events, every, least) in [(false, 3, 5), (true, 11, 1)] {
            let mut natpmp = Confirmation::new(false);
            for poll in 1..=every {
                assert!(natpmp.is_enough(events, minutes(least * poll)), "{poll}");
                assert!(natpmp.takes(Some(&OLD), &OLD));
            }
            assert!(!natpmp.is_enough(events, minutes(least * (every + 1))));
            natpmp.soap_told(&OLD, &OLD, || panic!("nothing has changed"));
            assert!(natpmp.is_enough(events, minutes(least)));
        }
    }

    #[test]
    fn polls_that_are_rare_are_confirmed_for_twenty_minutes() {
        let mut natpmp = Confirmation::new(false);
        assert!(natpmp.is_enough(true, minutes(10)), "the next is at 20 minutes");
        assert!(natpmp.takes(Some(&OLD), &OLD));
        assert!(!natpmp.is_enough(true, minutes(20)), "the next would be at 30");
        assert!(!Confirmation::new(false).is_enough(false, minutes(11)));
    }

    /// What SECURITY.md promises of whoever forges it, for every interval and with pauses.
    #[test]
    fn whatever_natpmp_says_soap_is_asked_again_within_twenty_minutes() {
        let cases = (1..1800).flat_map(|interval| [(false, interval, 0), (true, interval, interval / 3)]);
        for (events, interval, pause) in cases {
            let (mut natpmp, mut passed, mut confirmed) = (Confirmation::new(false), 0, 0);
            for poll in 0..60 {
                passed += interval + if poll % 5 == 0 { pause } else { 0 };
                if natpmp.is_enough(events, Duration::from_secs(passed)) {
                    assert!(natpmp.takes(Some(&OLD), &OLD));
                    confirmed = passed;
                } else {
                    // Its last word was for a poll that came then.
                    assert!(confirmed <= 20 * 60 + 5, "{confirmed} s, every {interval} s");
                    assert!(
                        passed <= 20 * 60 + 5 + 5 * pause || confirmed == 0,
                        "{passed} s, every {interval} s"
                    );
                    natpmp.soap_told(&OLD, &OLD, || None);
                    (passed, confirmed) = (0, 0);
                }
            }
        }
    }

    /// The polls, of the first 40, at which it is asked, and it answers those of `answers`.
    fn asked(answers: fn(u32) -> bool) -> Vec<u32> {
        let mut natpmp = Confirmation::new(false);
        let mut asked = Vec::new();
        for poll in 1..=40 {
            let confirmed = natpmp.is_enough(false, minutes(1)) && {
                asked.push(poll);
                natpmp.takes(Some(&OLD).filter(|_| answers(poll)), &OLD)
            };
            if !confirmed {
                natpmp.soap_told(&OLD, &OLD, || panic!("nothing has changed"));
            }
        }
        asked
    }

    #[test]
    fn who_never_answers_is_asked_every_twelfth_poll() {
        assert_eq!(asked(|_| false), [1, 13, 25, 37]);
    }

    #[test]
    fn one_silence_costs_twelve_polls_by_soap() {
        let polls = asked(|poll| poll != 6);
        assert_eq!(polls[..6], [1, 2, 3, 5, 6, 18]);
        assert_eq!(polls[6..], [19, 20, 22, 23, 24, 26, 27, 28, 30, 31, 32, 34, 35, 36, 38, 39, 40]);
    }

    #[test]
    fn what_lags_is_asked_no_more() {
        let mut natpmp = Confirmation::new(false);
        assert!(!natpmp.takes(Some(&NEW), &OLD), "SOAP decides");
        assert!(natpmp.is_enough(false, minutes(1)));
        Confirmation::new(false).soap_told(&NEW, &OLD, || panic!("nobody relied on it"));
        for (still, useful) in [(OLD, false), (NEW, true)] {
            let mut natpmp = Confirmation::new(false);
            assert!(natpmp.takes(Some(&OLD), &OLD));
            natpmp.soap_told(&NEW, &OLD, || Some(still));
            assert_eq!(natpmp.is_enough(false, minutes(1)), useful);
        }
        assert!(!Confirmation::new(true).is_enough(false, minutes(1)));
    }
}
