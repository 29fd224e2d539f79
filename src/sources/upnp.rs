//! The address as the gateway tells it by UPnP.
//!
//! The gateway that is known is asked first: by NAT-PMP whether anything has
//! changed (two datagrams), else by one SOAP call. Only when that fails is it
//! searched for. NAT-PMP can only confirm: whatever else it says, SOAP decides,
//! and every [`SOAP_EVERY`]th poll asks by SOAP in any case, since the NAT-PMP of
//! some gateways lags behind.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::Poll;
use super::candidates::Candidates;
use crate::address::{Finding, Observation, Scope, scope};
use crate::config::Gateway;
use crate::http::lan_url::LanUrl;
use crate::natpmp;
use crate::soap::description::Service;
use crate::soap::gateway::{GatewayReport, StopAt, Survey, Wanted};
use crate::system;
use crate::transport::lan;

/// At least every so many polls the address is asked for by SOAP.
const SOAP_EVERY: u32 = 4;

/// A gateway that has no IPv6 actions is asked for them again after so many polls:
/// somebody may switch IPv6 on, or a new firmware bring them.
const IPV6_AGAIN: u32 = 12;

/// How long NAT-PMP may take to confirm: it answers within a millisecond, and
/// SOAP waits behind it.
const CONFIRM_TIME: Duration = Duration::from_millis(300);

/// How long a known gateway may take before it is searched for anew, so that
/// both fit into one poll.
const KNOWN_TIME: Duration = Duration::from_secs(2);

/// A gateway that is asked by UPnP.
pub struct Upnp {
    gateway: Gateway,
    wanted: Wanted,
    remembered: Option<LanUrl>,
    known: Option<Known>,
    asked: Option<IpAddr>,
}

/// What is known of the gateway that answered last.
struct Known {
    location: LanUrl,
    service: Service,
    found: Observation,
    ipv6: Ipv6Actions,
    natpmp: Confirmation,
}

/// Whether this gateway is asked for IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ipv6Actions {
    /// Nobody wants it.
    NotWanted,
    /// At every poll.
    ServiceAnswer,
    /// It said that it has no such actions; asked again after so many polls.
    Missing(u32),
}

impl Ipv6Actions {
    fn after(wanted: bool, offered: bool) -> Self {
        match (wanted, offered) {
            (false, _) => Self::NotWanted,
            (true, true) => Self::ServiceAnswer,
            (true, false) => Self::Missing(IPV6_AGAIN),
        }
    }

    fn count_poll(&mut self) {
        if let Self::Missing(polls) = self {
            *polls = polls.saturating_sub(1);
        }
    }

    fn is_due(self) -> bool {
        matches!(self, Self::ServiceAnswer | Self::Missing(0))
    }
}

/// What NAT-PMP is good for at this gateway.
#[derive(Default)]
struct Confirmation {
    /// It does not speak NAT-PMP, or has told something stale.
    useless: bool,
    /// Polls since the last SOAP call.
    polls: u32,
}

impl Upnp {
    /// The gateway that the configuration means. `ipv6`: somebody wants its IPv6
    /// address or prefix. `remembered`: the description that worked last.
    #[must_use]
    pub fn new(gateway: Gateway, ipv6: bool, remembered: Option<LanUrl>) -> Self {
        Self { gateway, wanted: Wanted { ipv4: true, ipv6 }, remembered, known: None, asked: None }
    }

    /// Asks once. `hinted`: something is said to have changed, so NAT-PMP, which
    /// may lag behind, is not asked whether it has.
    /// A search ends early when there are `news`.
    pub fn poll(&mut self, hinted: bool, deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        let expected = self.expected_host();
        self.forget_another(expected);
        let poll = match self.ask_known(hinted, deadline) {
            Some(poll) => poll,
            None => self.search(expected, deadline, news),
        };
        self.asked = expected.or_else(|| poll.gateway.as_ref().map(LanUrl::host)).or(self.asked);
        poll
    }

    /// Whom it asked last, as far as is known.
    #[must_use]
    pub fn asked(&self) -> Option<IpAddr> {
        self.asked
    }

    /// Where the gateway that answered last takes subscriptions to events.
    #[must_use]
    pub fn events(&self) -> Option<LanUrl> {
        self.known.as_ref()?.service.event.clone()
    }

    /// Whose answers count; `None` when the system does not tell a default route.
    fn expected_host(&self) -> Option<IpAddr> {
        match &self.gateway {
            Gateway::At(address) => Some(*address),
            Gateway::Description(url) => Some(url.host()),
            Gateway::Any => system::default_route().and_then(|route| route.gateway),
        }
    }

    /// What another network's gateway said says nothing about this one.
    fn forget_another(&mut self, expected: Option<IpAddr>) {
        let is_other = |url: &LanUrl| expected.is_some_and(|host| host != url.host());
        if self.known.as_ref().is_some_and(|known| is_other(&known.location)) {
            self.known = None;
        }
        if self.remembered.as_ref().is_some_and(is_other) {
            self.remembered = None;
        }
    }

    /// Asks the gateway that answered last; `None` when it has to be searched for.
    fn ask_known(&mut self, hinted: bool, deadline: Instant) -> Option<Poll> {
        let known = self.known.as_mut()?;
        known.ipv6.count_poll();
        if !hinted && known.is_confirmed() {
            return Some(known.poll());
        }
        let deadline = deadline.min(Instant::now().checked_add(KNOWN_TIME)?);
        let wanted = Wanted { ipv6: known.ipv6.is_due(), ..self.wanted };
        let survey = Survey::of_service(known.service.clone(), wanted);
        let answer = lan::run(survey, deadline, KNOWN_TIME).result.ok()?;
        if known.settles(&answer.observation) {
            if wanted.ipv6 {
                known.ipv6 = Ipv6Actions::after(true, answer.ipv6_offered);
            }
            known.take(answer.observation);
            return Some(known.poll());
        }
        // The connection in use may have changed, for example to the second line.
        let location = known.location.clone();
        let survey = Survey::of_description(location.clone(), self.wanted, StopAt::UntilGlobal);
        let found = lan::run(survey, deadline, KNOWN_TIME).result.ok()?;
        found.chosen.is_some().then(|| self.adopt(location, found))
    }

    fn search(&mut self, expected: Option<IpAddr>, deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        let last = self.known.take().map(|known| known.location);
        let mut candidates = Candidates::new(self.wanted, deadline);
        match &self.gateway {
            Gateway::Description(url) => candidates.try_first(url.clone()),
            Gateway::At(_) | Gateway::Any => {
                if let Some(location) = last.or_else(|| self.remembered.clone()) {
                    candidates.try_first(location);
                }
                if let Err(why) = candidates.search(expected) {
                    return Poll { observation: Observation::unknown(why), gateway: None };
                }
            }
        }
        match candidates.best(news) {
            Ok((location, found)) => self.adopt(location, found),
            Err(why) => Poll { observation: Observation::unknown(&why), gateway: None },
        }
    }

    fn adopt(&mut self, location: LanUrl, found: GatewayReport) -> Poll {
        self.remembered = Some(location.clone());
        let observation = found.observation.clone();
        self.known = found.chosen().cloned().map(|service| Known {
            location: location.clone(),
            service,
            found: found.observation,
            ipv6: Ipv6Actions::after(self.wanted.ipv6, found.ipv6_offered),
            natpmp: Confirmation::default(),
        });
        Poll { observation, gateway: Some(location) }
    }
}

impl Known {
    fn poll(&self) -> Poll {
        Poll { observation: self.found.clone(), gateway: Some(self.location.clone()) }
    }

    /// Whether NAT-PMP says that the IPv4 address is still the same one, and
    /// that is all we want to know this time.
    fn is_confirmed(&mut self) -> bool {
        let Finding::Known(address) = self.found.ipv4 else { return false };
        let due = self.natpmp.polls.saturating_add(1) >= SOAP_EVERY;
        if self.natpmp.useless || self.ipv6.is_due() || due {
            return false;
        }
        let told = self.ask_natpmp();
        self.natpmp.useless = told.is_none();
        let confirmed = told == Some(Finding::Known(address));
        self.natpmp.polls = if confirmed { self.natpmp.polls.saturating_add(1) } else { 0 };
        confirmed
    }

    fn ask_natpmp(&self) -> Option<Finding<Ipv4Addr>> {
        let deadline = Instant::now().checked_add(CONFIRM_TIME)?;
        let answer = natpmp::client::external_address(self.location.host(), deadline);
        answer.ok().map(|answer| answer.finding())
    }

    /// Whether this answer stands by itself: an address that can be published, or
    /// the one that the whole survey came to.
    fn settles(&self, answer: &Observation) -> bool {
        match answer.ipv4 {
            Finding::Known(address) => {
                scope(address.into()) == Scope::Global || answer.ipv4 == self.found.ipv4
            }
            Finding::Absent(_) | Finding::Unknown(_) => false,
        }
    }

    fn take(&mut self, answer: Observation) {
        // NAT-PMP was not asked this time. If it still tells what is no longer so,
        // it lags.
        if self.natpmp.polls > 0 && answer.ipv4 != self.found.ipv4 {
            self.natpmp.useless = self.ask_natpmp().as_ref() == Some(&self.found.ipv4);
        }
        self.natpmp.polls = 0;
        self.found = answer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_ipv6_actions_are_asked_for_again_after_some_polls() {
        let mut actions = Ipv6Actions::after(true, false);
        for _ in 1..IPV6_AGAIN {
            actions.count_poll();
            assert!(!actions.is_due());
        }
        actions.count_poll();
        assert!(actions.is_due());
        assert!(Ipv6Actions::after(true, true).is_due());
        assert!(!Ipv6Actions::after(false, true).is_due());
    }
}
