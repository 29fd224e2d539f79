//! The address as the gateway tells it by UPnP.
//!
//! The gateway that is known is asked first: by NAT-PMP whether anything has
//! changed (two datagrams), else by one SOAP call. Only when that fails is it
//! searched for. NAT-PMP can only confirm: whatever else it says, SOAP decides,
//! and every [`SOAP_EVERY`]th poll asks by SOAP in any case, since the NAT-PMP of
//! some gateways lags behind, and anybody in the LAN can forge its answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::Poll;
use super::candidates::{ANSWER_TIME, CANDIDATE_TIME, Candidates};
use crate::address::{Finding, Observation, Scope, scope};
use crate::config::Gateway;
use crate::http::lan_url::LanUrl;
use crate::natpmp;
use crate::soap::description::Service;
use crate::soap::gateway::{self, GatewayReport, StopAt, Wanted};
use crate::ssdp::filter::same_network;
use crate::system;
use crate::system::InterfaceAddress;
use crate::system::resolve::look_up;
use crate::transport::lan;

/// At least every so many polls the address is asked for by SOAP.
const SOAP_EVERY: u32 = 4;

/// No longer than this is NAT-PMP alone believed, however rare polls are; a minute
/// more than [`SOAP_EVERY`] polls of the default interval take.
const SOAP_WITHIN: Duration = Duration::from_secs(21 * 60);

/// A gateway that has no IPv6 actions is asked for them again after so many polls:
/// somebody may switch IPv6 on, or a new firmware bring them.
const IPV6_AGAIN: u32 = 12;

/// How long NAT-PMP may take to confirm: it answers within a millisecond, and
/// SOAP waits behind it.
const CONFIRM_TIME: Duration = Duration::from_millis(300);

/// How long a known gateway may take before it is searched for anew, so that
/// both fit into one poll. One that needed longer for its survey gets twice that,
/// up to [`CANDIDATE_TIME`].
const KNOWN_TIME: Duration = Duration::from_secs(2);

/// How long the resolver may take for a router's name.
const RESOLVE_TIME: Duration = Duration::from_secs(2);

/// A gateway that is asked by UPnP.
pub struct Upnp {
    gateway: Gateway,
    line: Option<String>,
    wanted: Wanted,
    remembered: Option<LanUrl>,
    known: Option<Known>,
    /// Of a search that a slow gateway has not ended, and whose answers count.
    pending: Option<(Option<IpAddr>, Candidates)>,
    /// Places of the last search that were of no use.
    failed: Vec<LanUrl>,
    asked: Option<IpAddr>,
}

/// What is known of the gateway that answered last.
struct Known {
    location: LanUrl,
    service: Service,
    /// The gateway has more than this one.
    several: bool,
    up: Option<bool>,
    found: Observation,
    /// How long it may take.
    patience: Duration,
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
struct Confirmation {
    /// It does not speak NAT-PMP, has told something stale, or has several lines and
    /// does not say of which one it speaks.
    useless: bool,
    /// Polls since the last SOAP call.
    polls: u32,
    /// The last SOAP call.
    asked_by_soap: Instant,
}

impl Confirmation {
    fn new(useless: bool) -> Self {
        Self { useless, polls: 0, asked_by_soap: Instant::now() }
    }

    /// Whether SOAP is to be asked now, or would be too late at the next poll.
    fn is_over(&self) -> bool {
        let polls = self.polls.saturating_add(1);
        let passed = self.asked_by_soap.elapsed();
        let next = passed.saturating_add(passed.checked_div(polls).unwrap_or_default());
        polls >= SOAP_EVERY || next > SOAP_WITHIN
    }
}

impl Upnp {
    /// The gateway that the configuration means. `ipv6`: somebody wants its IPv6
    /// address or prefix. `remembered`: the description that worked last.
    #[must_use]
    pub fn new(gateway: Gateway, ipv6: bool, remembered: Option<LanUrl>) -> Self {
        let (gateway, line) = match gateway {
            Gateway::Line(gateway, line) => (*gateway, Some(line)),
            gateway => (gateway, None),
        };
        let wanted = Wanted { ipv4: true, ipv6 };
        Self {
            gateway,
            line,
            wanted,
            remembered,
            known: None,
            pending: None,
            failed: Vec::new(),
            asked: None,
        }
    }

    /// Asks once. `hinted`: something is said to have changed, so NAT-PMP, which
    /// may lag behind, is not asked whether it has.
    /// A search ends early when there are `news`.
    pub fn poll(&mut self, hinted: bool, deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        let expected = match self.expected_host() {
            Ok(expected) => expected,
            Err(why) => return Poll { observation: Observation::unknown(&why), gateway: None },
        };
        self.forget_another(expected);
        let poll = match self.ask_known(hinted) {
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
    fn expected_host(&self) -> Result<Option<IpAddr>, String> {
        Ok(match &self.gateway {
            Gateway::At(address) => Some(*address),
            Gateway::Description(url) => Some(url.host()),
            Gateway::Named(name, _) => Some(resolve(name)?),
            Gateway::Any | Gateway::Line(..) => system::default_route().and_then(|route| route.gateway),
        })
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
        self.pending.take_if(|(host, _)| *host != expected);
    }

    /// Asks the gateway that answered last; `None` when it has to be searched for.
    fn ask_known(&mut self, hinted: bool) -> Option<Poll> {
        let known = self.known.as_mut()?;
        known.ipv6.count_poll();
        if !hinted && known.is_confirmed() {
            return Some(known.poll());
        }
        let wanted = Wanted { ipv6: known.ipv6.is_due(), ..self.wanted };
        let started = Instant::now();
        let mut ask = lan::asker(started.checked_add(known.patience)?, known.patience.min(ANSWER_TIME));
        let answer = gateway::ask_service(known.service.clone(), known.several, wanted, &mut ask);
        if known.settles(&answer) {
            if wanted.ipv6 {
                known.ipv6 = Ipv6Actions::after(true, answer.ipv6_offered);
            }
            known.take(answer.observation);
            return Some(known.poll());
        }
        // The connection in use may have changed, for example to the second line.
        let location = known.location.clone();
        let line = self.line.as_deref();
        let found = gateway::survey(&location, line, self.wanted, StopAt::UntilGlobal, &mut ask).ok()?;
        found.chosen.is_some().then(|| self.adopt(location, found, started.elapsed()))
    }

    fn search(&mut self, expected: Option<IpAddr>, deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        let last = self.known.take().map(|known| known.location).or_else(|| self.remembered.clone());
        let pending = self.pending.take().map(|(_, candidates)| candidates);
        let mut candidates = pending.unwrap_or_else(|| Candidates::new(self.wanted, self.line.clone()));
        let named = match (&self.gateway, expected) {
            (Gateway::Description(url), _) => Some(url.clone()),
            (Gateway::Named(_, Some(url)), Some(host)) => Some(url.at(host)),
            _ => None,
        };
        let is_named = named.is_some();
        if let Some(location) = named.or(last).filter(|_| !candidates.is_worth_waiting()) {
            candidates.try_first(location);
        }
        if !is_named && let Err(why) = candidates.search(expected, &self.failed, deadline) {
            return Poll { observation: Observation::unknown(why), gateway: None };
        }
        match candidates.best(deadline, news) {
            Ok((location, found, took)) => self.adopt(location, found, took),
            Err(why) => {
                if candidates.is_worth_waiting() {
                    self.pending = Some((expected, candidates));
                } else {
                    self.failed = candidates.into_failed();
                }
                Poll { observation: Observation::unknown(&why), gateway: None }
            }
        }
    }

    fn adopt(&mut self, location: LanUrl, found: GatewayReport, took: Duration) -> Poll {
        self.remembered = Some(location.clone());
        let observation = found.observation.clone();
        self.known = found.chosen().cloned().map(|chosen| Known {
            location: location.clone(),
            service: chosen.service,
            several: found.services.len() > 1,
            up: chosen.up,
            found: found.observation,
            patience: took.saturating_mul(2).clamp(KNOWN_TIME, CANDIDATE_TIME),
            ipv6: Ipv6Actions::after(self.wanted.ipv6, found.ipv6_offered),
            natpmp: Confirmation::new(found.services.len() > 1 || self.line.is_some()),
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
        if self.natpmp.useless || self.ipv6.is_due() || self.natpmp.is_over() {
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
    fn settles(&self, answer: &GatewayReport) -> bool {
        let went_down = answer.services.iter().any(|asked| asked.up == Some(false)) && self.up != Some(false);
        let ipv4 = &answer.observation.ipv4;
        match ipv4 {
            Finding::Known(address) if !went_down => {
                scope((*address).into()) == Scope::Global || *ipv4 == self.found.ipv4
            }
            Finding::Known(_) | Finding::Absent(_) | Finding::Unknown(_) => false,
        }
    }

    fn take(&mut self, answer: Observation) {
        // NAT-PMP was not asked this time. If it still tells what is no longer so,
        // it lags.
        if self.natpmp.polls > 0 && answer.ipv4 != self.found.ipv4 {
            self.natpmp.useless = self.ask_natpmp().as_ref() == Some(&self.found.ipv4);
        }
        self.natpmp = Confirmation::new(self.natpmp.useless || self.several);
        self.found = answer;
    }
}

/// The address of a router that the user named. The name is the user's, what it
/// resolves to is not: it has to be a private or a neighbour's address.
pub fn resolve(name: &str) -> Result<IpAddr, String> {
    let found = look_up(name, 0, RESOLVE_TIME).map_err(|error| format!("{name}: {error}"))?;
    let addresses = system::addresses().unwrap_or_default();
    let is_near = |host: &IpAddr| {
        let on_link = |ours: &InterfaceAddress| match (host, ours.address) {
            (IpAddr::V4(host), IpAddr::V4(own)) => same_network(*host, own, ours.prefix_length),
            _ => false,
        };
        matches!(scope(*host), Scope::Local(_)) || host.is_loopback() || addresses.iter().any(on_link)
    };
    let mut near = found.iter().map(SocketAddr::ip).filter(IpAddr::is_ipv4).filter(is_near);
    near.next().ok_or_else(|| {
        format!("{name} has no private IPv4 address, nor one in a network of this host: set router_ip to the router's address")
    })
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
