//! The daemon's sources in the simulated house: what they know between polls.

use std::net::Ipv4Addr;
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Finding, Observation, Prefix};
use ddns_update_daemon::config::{Config, Gateway as Place, Source};
use ddns_update_daemon::engine::state::State;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::Request;
use ddns_update_daemon::natpmp::message::ExternalAddress;
use ddns_update_daemon::soap::description::Service;
use ddns_update_daemon::soap::gateway::{self, StopAt, Wanted};
use ddns_update_daemon::sources::confirmation::Confirmation;

use crate::chance::Chance;
use crate::host::Host;
use crate::network::{Gateway, Line, Manner};

/// What a poll came to, and how long it took.
pub(crate) struct Polled {
    pub(crate) observation: Observation,
    pub(crate) gateway: Option<LanUrl>,
    pub(crate) took: Duration,
    /// A gateway was asked, and where that takes subscriptions to its events.
    pub(crate) is_gateway: bool,
    pub(crate) events: Option<LanUrl>,
    /// NAT-PMP has confirmed what SOAP told.
    pub(crate) confirmed: bool,
}

/// The longest poll.
const POLL: Duration = Duration::from_millis(4500);

/// One source.
pub(crate) enum Poller {
    Upnp(Box<UpnpPoller>),
    Interface(Addresses),
}

/// What is asked.
pub(crate) struct House<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) line: &'a Line,
    pub(crate) second: Option<&'a Line>,
    pub(crate) host: &'a Host,
    pub(crate) now: Duration,
}

impl Poller {
    pub(crate) fn new(config: &Config, index: usize, state: &State) -> Self {
        match &config.sources[index] {
            Source::Interface(_) => {
                let uses =
                    config.targets.iter().filter(|t| t.ipv4.contains(&index) || t.ipv6.contains(&index));
                let mut held = uses.filter_map(|target| state.targets.get(&*target.id)?.accepted);
                Self::Interface(held.next().map(|accepted| accepted.addresses).unwrap_or_default())
            }
            source => {
                let ipv6 = config.targets.iter().any(|target| target.ipv6.contains(&index));
                let told_ipv6 = state.has_told_ipv6(&source.to_string());
                let line = match source {
                    Source::Upnp(Place::Line(_, line)) => Some(line.clone()),
                    _ => None,
                };
                Self::Upnp(Box::new(UpnpPoller { line, ipv6, told_ipv6, ..UpnpPoller::default() }))
            }
        }
    }

    /// `events`: they have been seen to arrive.
    pub(crate) fn poll(
        &mut self,
        house: &House<'_>,
        hinted: bool,
        events: bool,
        chance: &mut Chance,
    ) -> Polled {
        match self {
            Self::Upnp(upnp) => {
                let (observation, gateway, took, confirmed) = match upnp
                    .confirmed(house, hinted, events, chance)
                {
                    Some(observation) => {
                        (observation, Some(house.gateway.location.clone()), Duration::from_millis(2), true)
                    }
                    None => {
                        let (observation, gateway, took) = upnp.poll(house, chance);
                        upnp.takes(&observation, house);
                        (observation, gateway, took, false)
                    }
                };
                let events = upnp.service.as_ref().and_then(|service| service.event.clone());
                Polled { observation, gateway, took, is_gateway: true, events, confirmed }
            }
            Self::Interface(held) => {
                let observation = house.host.poll(held, house.now);
                let took = Duration::from_millis(2);
                Polled { observation, gateway: None, took, is_gateway: false, events: None, confirmed: false }
            }
        }
    }
}

/// The daemon's way to one gateway, with what it remembers between polls.
#[derive(Default)]
pub(crate) struct UpnpPoller {
    /// The line that is meant.
    line: Option<String>,
    service: Option<Service>,
    /// The gateway has more than this one.
    several: bool,
    /// Somebody wants to know its IPv6 address.
    ipv6: bool,
    told_ipv6: bool,
    /// What a gateway that was well said while its line had this: the same answers
    /// lead to the same finding, which need not be worked out again.
    found: Option<(Had, Observation)>,
    natpmp: Confirmation,
    /// What SOAP told last, and when.
    by_soap: Option<(Observation, Duration)>,
}

/// What the lines had, and the host in the LAN, and whether the gateway has actions for IPv6.
type Had = ([Option<Ipv4Addr>; 2], Option<Prefix>, Option<Prefix>, bool);

impl UpnpPoller {
    /// What SOAP told, where NAT-PMP confirms it and nothing else is wanted.
    fn confirmed(
        &mut self,
        house: &House<'_>,
        hinted: bool,
        events: bool,
        chance: &mut Chance,
    ) -> Option<Observation> {
        let (before, asked) = self.by_soap.as_ref().filter(|_| !hinted && !self.ipv6)?;
        let passed = house.now.saturating_sub(*asked);
        if before.ipv4.known().is_none() || !self.natpmp.is_enough(events, passed) {
            return None;
        }
        let told = ask_natpmp(house, chance);
        self.natpmp.takes(told.as_ref(), &before.ipv4).then(|| before.clone())
    }

    /// SOAP has told this, or nothing that counts.
    fn takes(&mut self, observation: &Observation, house: &House<'_>) {
        match self.by_soap.take().filter(|_| self.service.is_some()) {
            Some((before, _)) => {
                let mut chance = Chance::new(house.now.as_secs());
                let ask = || ask_natpmp(house, &mut chance);
                self.natpmp.soap_told(&observation.ipv4, &before.ipv4, ask);
            }
            None => self.natpmp = Confirmation::new(self.several || self.line.is_some()),
        }
        self.by_soap = self.service.as_ref().map(|_| (observation.clone(), house.now));
    }

    fn poll(&mut self, house: &House<'_>, chance: &mut Chance) -> (Observation, Option<LanUrl>, Duration) {
        let House { gateway, line, second, .. } = *house;
        let wanted = Wanted { ipv4: true, ipv6: self.ipv6 };
        let mut took = Duration::ZERO;
        let mut ask = |request: &Request| {
            let left = POLL.saturating_sub(took).min(Duration::from_secs(2));
            let (time, answer) = gateway.answer(line, second, request, left, chance);
            took += time;
            answer
        };
        let location = Some(gateway.location.clone());
        let had = ([line.wan(), second.and_then(Line::wan)], line.ipv6, house.host.lan(), gateway.avm);
        let well = gateway.manner == Manner::Well;
        if let Some((before, observation)) = &self.found
            && well
            && *before == had
        {
            let took = Duration::from_millis(9);
            return (observation.clone(), location, took);
        }
        self.found = None;
        let known = self.service.take();
        let mut answer = known.map(|service| gateway::ask_service(service, self.several, wanted, &mut ask));
        let settles = |answer: &gateway::GatewayReport| answer.chosen.is_some() && !answer.is_down();
        if !answer.as_ref().is_some_and(settles) {
            match gateway::survey(
                &gateway.location,
                self.line.as_deref(),
                wanted,
                StopAt::UntilGlobal,
                &mut ask,
            ) {
                Ok(report) => {
                    self.several = report.services.len() > 1;
                    answer = Some(report);
                }
                Err(error) => {
                    let observation = Observation::unknown(&error.to_string());
                    return (observation, None, took);
                }
            }
        }
        let answer = answer.expect("asked or surveyed");
        let mut observation = answer.observation.clone();
        self.service = answer.chosen().map(|chosen| chosen.service.clone());
        if wanted.ipv6 && self.service.is_some() {
            // Only AVM's can be expected to have actions for it.
            let vague = !gateway.avm && !self.told_ipv6;
            observation.offers_ipv6 = observation.offers_ipv6.or_else(|| vague.then_some(false));
            self.told_ipv6 |= observation.offers_ipv6 == Some(true);
            if let Finding::Known(prefix) = observation.ipv6_prefix {
                let is_within = |lan: &Prefix| Prefix::new(lan.address(), prefix.length()) == Some(prefix);
                observation.lan = house.host.lan().filter(is_within);
            }
        }
        self.found = Some((had, observation.clone())).filter(|_| well && self.service.is_some());
        let gateway = location.filter(|_| self.service.is_some());
        (observation, gateway, took)
    }
}

fn ask_natpmp(house: &House<'_>, chance: &mut Chance) -> Option<Finding<Ipv4Addr>> {
    let answer = house.gateway.natpmp(house.line, chance)?;
    ExternalAddress::parse(&answer).ok().map(|answer| answer.finding())
}
