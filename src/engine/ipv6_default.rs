//! Who speaks for IPv6 where the user lists no sources: the gateway or this host; pure.
//!
//! An address of the router and one of this host are different things, so neither
//! fills in for the other. A gateway that has actions for IPv6 speaks, also while it is
//! silent; one that has none leaves it to this host, as does a network without any.
//! Who spoke last goes on until an answer says otherwise, over restarts as well.

use std::sync::Arc;
use std::time::Duration;

use super::report::{Level, Report};
use super::state::{Ipv6Speaker, State};
use super::{Action, Engine, Now, ONCE_PATIENCE};
use crate::address::{Finding, Observation};
use crate::config::Target;

/// How long a gateway is waited for where none has ever answered, and how long one that
/// spoke must say that it cannot before it is believed: it may be starting.
const WAIT: Duration = Duration::from_secs(3 * 60);

/// What is known of the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    /// None has answered, in this run or an earlier one.
    Nobody,
    /// One has answered, but does not say at the moment.
    Open,
    /// It has actions for IPv6.
    Actions,
    /// It definitely has none.
    NoActions,
}

/// Who speaks, if that is known. `waited`: long enough for a gateway that is starting.
fn speaker(shown: Shown, last: Option<Ipv6Speaker>, waited: bool) -> Option<Ipv6Speaker> {
    match (shown, last) {
        (Shown::Actions, _) => Some(Ipv6Speaker::Gateway),
        (Shown::NoActions, Some(Ipv6Speaker::Gateway)) if !waited => last,
        (Shown::NoActions, _) => Some(Ipv6Speaker::Host),
        (Shown::Open, _) | (Shown::Nobody, Some(_)) => last,
        (Shown::Nobody, None) => waited.then_some(Ipv6Speaker::Host),
    }
}

/// Where the decision about a gateway and this host stands.
#[derive(Clone, Debug)]
pub(super) struct Ipv6Default {
    shown: Shown,
    /// Who spoke last.
    pub(super) speaker: Option<Ipv6Speaker>,
    /// Since when the gateway shows what it shows.
    since: Duration,
    wait: Duration,
    /// Who the user knows to speak.
    told: Option<Ipv6Speaker>,
    /// An address of this family is a reason to send something.
    counts: bool,
}

impl Ipv6Default {
    /// What an earlier run left for the source with this `index`, called `label`; `None`
    /// where it is nobody's default.
    pub(super) fn of(index: usize, label: &str, targets: &[Arc<Target>], state: &State) -> Option<Self> {
        let is_its = |target: &&Arc<Target>| target.follows_gateway && target.ipv6.first() == Some(&index);
        let targets: Vec<&Arc<Target>> = targets.iter().filter(is_its).collect();
        let told = state.ipv6_speakers.get(label).copied();
        let counts = targets.iter().any(|target| {
            let reasons = target.required.or(target.optional);
            !target.any_address && (reasons.ipv6 || reasons.ipv6_prefix)
        });
        let shown = if state.gateways.contains_key(label) { Shown::Open } else { Shown::Nobody };
        let speaker = told.or_else(|| infer(label, &targets, state));
        let (since, wait) = (Duration::ZERO, WAIT);
        (!targets.is_empty()).then_some(Self { shown, speaker, since, wait, told, counts })
    }

    pub(super) fn once(&mut self) {
        self.wait = ONCE_PATIENCE;
    }

    fn decided_at(&self) -> Duration {
        self.since.saturating_add(self.wait)
    }

    /// Takes what a poll of the gateway found.
    fn observe(&mut self, seen: &Observation, answered: bool, now: Duration) {
        let told = !matches!((&seen.ipv6, &seen.ipv6_prefix), (Finding::Unknown(_), Finding::Unknown(_)));
        let shown = match (seen.offers_ipv6, self.shown) {
            _ if told => Shown::Actions,
            (Some(true), _) => Shown::Actions,
            (Some(false), _) => Shown::NoActions,
            (None, Shown::Nobody) if !answered => Shown::Nobody,
            (None, _) => Shown::Open,
        };
        if shown != self.shown {
            (self.shown, self.since) = (shown, now);
        }
    }

    /// When to ask again, instead of believing the first "I have none" of a gateway that
    /// spoke.
    pub(super) fn asks_again_at(&self) -> Option<Duration> {
        let in_doubt = self.shown == Shown::NoActions && self.speaker == Some(Ipv6Speaker::Gateway);
        in_doubt.then(|| self.decided_at())
    }

    /// When nobody will have been found for long enough.
    pub(super) fn gives_up_at(&self) -> Option<Duration> {
        (self.shown == Shown::Nobody && self.speaker.is_none()).then(|| self.decided_at())
    }

    /// Whether a single run waits for it.
    pub(super) fn is_open(&self) -> bool {
        self.counts && self.gives_up_at().or(self.asks_again_at()).is_some()
    }

    /// Decides; the line for the log when it is somebody else than before.
    fn decide(&mut self, label: &str, now: Duration) -> Option<Report> {
        self.speaker = speaker(self.shown, self.speaker, now >= self.decided_at());
        let speaker = self.speaker?;
        let why = match (speaker, self.shown) {
            (Ipv6Speaker::Gateway, Shown::Actions) => {
                "as it has actions for it; write ipv6 = [\"interface\"] to publish this host's address"
                    .to_owned()
            }
            (Ipv6Speaker::Host, Shown::NoActions) => "as the router has no actions for it".to_owned(),
            (Ipv6Speaker::Host, Shown::Nobody) if now >= self.decided_at() => {
                format!("as no router was found in {} s", self.wait.as_secs())
            }
            _ => return None,
        };
        let news = self.told.replace(speaker) != Some(speaker);
        let level = if self.counts { Level::Info } else { Level::Debug };
        news.then(|| Report::new(level, label, format!("{}, {why}", speaker.words())))
    }

    /// The line about what an earlier run left.
    fn recalled(&self, label: &str) -> Option<Report> {
        let text = format!("{}, as before", self.speaker?.words());
        Some(Report::new(Level::Debug, label, text))
    }

    /// Why there is no address, with what that means.
    pub(super) fn explain(&self, why: &str) -> String {
        match (self.speaker, self.shown) {
            (Some(Ipv6Speaker::Host), _) => why.to_owned(),
            (Some(Ipv6Speaker::Gateway), _) => format!(
                "{why}; the router spoke for IPv6, and this host's address does not fill in for it (write \
                 ipv6 = [\"interface\"] to publish that)"
            ),
            (None, Shown::Nobody) => {
                let wait = self.wait.as_secs();
                format!("{why}; if no router is found in {wait} s, this host's address is taken")
            }
            (None, _) => format!(
                "{why}; whether the router speaks for IPv6 is not known yet (write ipv6 = [\"interface\"] to \
                 publish this host's address)"
            ),
        }
    }
}

/// Who spoke in a run that did not write it down: a gateway that has ever told an IPv6
/// address; else this host, if a target holds one.
fn infer(label: &str, targets: &[&Arc<Target>], state: &State) -> Option<Ipv6Speaker> {
    if state.has_told_ipv6(label) {
        return Some(Ipv6Speaker::Gateway);
    }
    let holds = |target: &&Arc<Target>| {
        let held = state.targets.get(&*target.id);
        let accepted = held.and_then(|held| held.accepted).map(|accepted| accepted.addresses);
        let all = accepted.into_iter().chain(held.and_then(|held| held.trying));
        all.into_iter().any(|addresses| addresses.ipv6.is_some())
    };
    targets.iter().any(holds).then_some(Ipv6Speaker::Host)
}

impl Engine {
    /// Says what an earlier run left.
    pub(super) fn tell_ipv6(&mut self) {
        let defaults = self.sources.iter().filter_map(|source| Some((&source.label, source.ipv6.as_ref()?)));
        let reports = defaults.filter_map(|(label, ipv6)| ipv6.recalled(label));
        self.actions.extend(reports.map(Action::Report));
    }

    /// Takes what a poll of the gateway with this index showed.
    pub(super) fn observe_ipv6(&mut self, now: Now, index: usize, seen: &Observation, answered: bool) {
        let Some(source) = self.sources.get_mut(index) else { return };
        let Some(ipv6) = &mut source.ipv6 else { return };
        ipv6.observe(seen, answered, now.elapsed);
        self.decide_ipv6(now, index);
    }

    /// Gives up to wait for gateways, when it is time.
    pub(super) fn give_up_ipv6(&mut self, now: Now) {
        for index in 0..self.sources.len() {
            let at = self.sources.get(index).and_then(|source| source.ipv6.as_ref()?.gives_up_at());
            if at.is_some_and(|at| at <= now.elapsed) {
                self.decide_ipv6(now, index);
            }
        }
    }

    /// Decides who speaks, and says so when it is somebody else than before.
    fn decide_ipv6(&mut self, now: Now, index: usize) {
        let Some(source) = self.sources.get_mut(index) else { return };
        let Some(ipv6) = &mut source.ipv6 else { return };
        let report = ipv6.decide(&source.label, now.elapsed);
        if let Some(speaker) = ipv6.speaker {
            let before = self.state.ipv6_speakers.insert(source.label.clone(), speaker);
            self.new_facts |= before != Some(speaker);
            self.reconsider |= before != Some(speaker);
        }
        self.actions.extend(report.map(Action::Report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Option<Ipv6Speaker> = Some(Ipv6Speaker::Gateway);
    const HOST: Option<Ipv6Speaker> = Some(Ipv6Speaker::Host);

    #[test]
    fn the_gateway_speaks_where_it_can_and_nobody_fills_in_for_it() {
        // What the gateway shows, who spoke last; who speaks before and after the wait.
        for (shown, last, before, after) in [
            (Shown::Actions, None, GATEWAY, GATEWAY),
            (Shown::Actions, GATEWAY, GATEWAY, GATEWAY),
            (Shown::Actions, HOST, GATEWAY, GATEWAY),
            // Definitely none: this host; but one that spoke may be starting.
            (Shown::NoActions, None, HOST, HOST),
            (Shown::NoActions, HOST, HOST, HOST),
            (Shown::NoActions, GATEWAY, GATEWAY, HOST),
            // It is silent, or says neither: nothing changes, however long.
            (Shown::Open, None, None, None),
            (Shown::Open, GATEWAY, GATEWAY, GATEWAY),
            (Shown::Open, HOST, HOST, HOST),
            // None was ever found: this host, after the wait.
            (Shown::Nobody, None, None, HOST),
            (Shown::Nobody, GATEWAY, GATEWAY, GATEWAY),
            (Shown::Nobody, HOST, HOST, HOST),
        ] {
            let found = [false, true].map(|waited| speaker(shown, last, waited));
            assert_eq!(found, [before, after], "{shown:?}, {last:?}");
        }
    }
}
