//! The address as the gateway tells it by UPnP.
//!
//! The gateway that is known is asked first: by NAT-PMP whether anything has
//! changed (two datagrams, [`Confirmation`]; [`Upnp::confirm`] where somebody waits who has
//! little time), else by one SOAP call. Only when that fails is it searched for.

mod lan_prefix;
mod lines;

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use self::lan_prefix::with_lan;
use self::lines::Lines;
use super::Poll;
use super::candidates::{ANSWER_TIME, CANDIDATE_TIME, Candidates};
use super::confirmation::Confirmation;
use crate::address::{Addresses, Family, Finding, Observation, Scope, scope};
use crate::config::Gateway;
use crate::http::lan_url::LanUrl;
use crate::http::request::{ExchangeError, Request};
use crate::natpmp;
use crate::soap::description::{Device, Service};
use crate::soap::gateway::{self, GatewayReport, StopAt, Wanted};
use crate::ssdp::filter::same_network;
use crate::system;
use crate::system::resolve::look_up;
use crate::system::{DefaultRoute, InterfaceAddress};
use crate::transport::lan;

/// A gateway that has no IPv6 actions is asked for them again after so many polls:
/// somebody may switch IPv6 on, or a new firmware bring them.
const IPV6_AGAIN: u32 = 12;

/// How long NAT-PMP may take to confirm: it answers within a millisecond, and
/// SOAP waits behind it.
const CONFIRM_TIME: Duration = Duration::from_millis(300);

/// How long [`Upnp::confirm`] waits for NAT-PMP: a gateway on a wire, or near the access
/// point, answers within a few milliseconds.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How long a known gateway may take before it is searched for anew, so that
/// both fit into one poll. One whose answers were slow gets [`CANDIDATE_TIME`].
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
    lines: Lines,
    /// Of a search that a slow gateway has not ended, and whose answers count.
    pending: Option<(Vec<IpAddr>, Candidates)>,
    /// Places of the last search that were of no use.
    failed: Vec<LanUrl>,
    asked: Option<IpAddr>,
    /// It has shown that it can tell IPv6 addresses, in this run or an earlier one.
    told_ipv6: bool,
    /// It has been told that nobody says which gateway is the right one.
    advised: bool,
    /// Events of its gateway have been seen to arrive.
    events_arrive: bool,
}

/// Whose answers count.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Trusted {
    /// Those of these hosts.
    Hosts(Vec<IpAddr>),
    /// The first usable gateway's: nobody can tell which is the right one.
    First,
    /// Nobody's.
    Nobody(String),
}

/// What is known of the gateway that answered last.
struct Known {
    location: LanUrl,
    service: Service,
    /// The gateway has more than this one.
    several: bool,
    found: Observation,
    /// Some answer took long when it was found.
    slow: bool,
    ipv6: Ipv6Actions,
    natpmp: Confirmation,
    /// The last SOAP call.
    asked: Instant,
    natpmp_client: natpmp::client::Kept,
    /// A FRITZ!Box gives its LAN the first subnet of what is delegated to it.
    is_fritz: bool,
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
    /// `told`: it has told IPv6 addresses before, and may do so again at any moment.
    fn after(wanted: bool, offers: Option<bool>, told: bool) -> Self {
        match (wanted, offers) {
            (false, _) => Self::NotWanted,
            (true, Some(false)) if !told => Self::Missing(IPV6_AGAIN),
            (true, _) => Self::ServiceAnswer,
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

impl Upnp {
    /// The gateway that the configuration means. `ipv6`: somebody wants its IPv6 address or
    /// prefix. `remembered`: the description that worked last. `held`: what was sent last.
    #[must_use]
    pub fn new(gateway: Gateway, ipv6: bool, remembered: Option<LanUrl>, held: Addresses) -> Self {
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
            lines: Lines::new(held),
            pending: None,
            failed: Vec::new(),
            asked: None,
            told_ipv6: false,
            advised: false,
            events_arrive: false,
        }
    }

    /// One that has told IPv6 addresses in an earlier run.
    #[must_use]
    pub fn that_told_ipv6(self, told_ipv6: bool) -> Self {
        Self { told_ipv6, ..self }
    }

    /// For a single run.
    pub fn once(&mut self) {
        self.lines.once();
    }

    /// Says whether events of its gateway have been seen to arrive.
    pub fn rely_on_events(&mut self, arrive: bool) {
        self.events_arrive = arrive;
    }

    /// Asks once. `hinted`: something is said to have changed, so NAT-PMP, which
    /// may lag behind, is not asked whether it has.
    /// A search ends early when there are `news`.
    pub fn poll(&mut self, hinted: bool, deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        let is_quiet =
            !hinted && self.known.as_ref().is_some_and(|known| known.may_be_confirmed(self.events_arrive));
        let hosts = match self.trusted(is_quiet) {
            Trusted::Hosts(hosts) => hosts,
            Trusted::First => Vec::new(),
            Trusted::Nobody(why) => return Poll::failed(&why),
        };
        self.forget_others(&hosts);
        let poll = match self.ask_known(hinted) {
            Some(poll) => poll,
            None => self.search(&hosts, deadline, news),
        };
        if let Some(known) = &self.known {
            self.lines.told(&known.service, &poll.observation);
        }
        let answered = poll.gateway.as_ref().map(LanUrl::host);
        self.asked = answered.or_else(|| hosts.first().copied()).or(self.asked);
        self.advise(poll, &hosts)
    }

    /// What a poll finds that NAT-PMP confirms at once; `None`: poll. Does nothing that a
    /// poll would not do again.
    pub fn confirm(&mut self) -> Option<Poll> {
        if matches!(self.gateway, Gateway::Named(..)) {
            // Its address is to be asked for.
            return None;
        }
        let known = self.known.as_mut()?;
        let mut ipv6 = known.ipv6;
        ipv6.count_poll();
        if ipv6.is_due() || !known.may_be_confirmed(self.events_arrive) {
            return None;
        }
        let location = known.location.host();
        if !matches!(self.trusted(true), Trusted::Hosts(hosts) if hosts.contains(&location)) {
            return None;
        }
        let known = self.known.as_mut()?;
        let told = known.natpmp_client.answers_within(AT_ONCE)?.finding();
        if told != known.found.ipv4 {
            return None;
        }
        known.ipv6 = ipv6;
        known.natpmp.takes(Some(&told), &known.found.ipv4);
        Some(known.poll())
    }

    /// Says once that the gateway was found by chance.
    fn advise(&mut self, poll: Poll, hosts: &[IpAddr]) -> Poll {
        let chosen = poll.gateway.as_ref().filter(|_| hosts.is_empty()).map(LanUrl::host);
        let is_time = !self.advised && poll.advice.is_none();
        let Some(host) = chosen.filter(|_| is_time) else { return poll };
        self.advised = true;
        let advice = format!(
            "this system does not tell its default gateway, so the first that answered is asked from now on: \
             router_ip = \"{host}\" would make it certain"
        );
        Poll { advice: Some(advice), ..poll }
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

    /// `quiet`: the default route may be one that the kernel would have told a change of.
    fn trusted(&self, quiet: bool) -> Trusted {
        match &self.gateway {
            Gateway::At(addresses) => Trusted::Hosts(addresses.clone()),
            Gateway::Description(url) => Trusted::Hosts(vec![url.host()]),
            Gateway::Named(name, _) => {
                resolve(name).map_or_else(Trusted::Nobody, |host| Trusted::Hosts(vec![host]))
            }
            Gateway::Any | Gateway::Line(..) => {
                let route =
                    if quiet { system::known_default_route() } else { system::default_route(Family::V4) };
                trust(&route, self.remembered.as_ref().map(LanUrl::host))
            }
        }
    }

    /// What another network's gateway said says nothing about this one.
    fn forget_others(&mut self, hosts: &[IpAddr]) {
        let is_other = |url: &LanUrl| !hosts.is_empty() && !hosts.contains(&url.host());
        if self.known.as_ref().is_some_and(|known| is_other(&known.location)) {
            self.known = None;
        }
        if self.remembered.as_ref().is_some_and(is_other) {
            self.remembered = None;
            self.lines.forget();
        }
        self.pending.take_if(|(before, _)| before != hosts);
    }

    /// Asks the gateway that answered last; `None` when it has to be searched for.
    fn ask_known(&mut self, hinted: bool) -> Option<Poll> {
        let known = self.known.as_mut()?;
        known.ipv6.count_poll();
        if !hinted && known.is_confirmed(self.events_arrive) {
            return Some(known.poll());
        }
        let wanted = Wanted { ipv6: known.ipv6.is_due(), ..self.wanted };
        let (slow, silent) = (known.slow, Cell::new(false));
        let time = if slow { CANDIDATE_TIME } else { KNOWN_TIME };
        let mut ask = lan::asker(Instant::now().checked_add(time)?, ANSWER_TIME);
        let mut ask = |request: &Request| {
            let answer = ask(request);
            silent.set(silent.get() || answer == Err(ExchangeError::Timeout));
            answer
        };
        let answer = gateway::ask_service(known.service.clone(), known.several, wanted, &mut ask);
        if known.settles(&answer) {
            let mut seen = answer.observation;
            if wanted.ipv6 {
                let is_avm = known.is_fritz || known.service.is_avm();
                seen.offers_ipv6 = offers_ipv6(seen.offers_ipv6, is_avm, self.told_ipv6);
                known.ipv6 = Ipv6Actions::after(true, seen.offers_ipv6, self.told_ipv6);
                self.told_ipv6 |= seen.offers_ipv6 == Some(true);
            } else {
                seen.offers_ipv6 = known.found.offers_ipv6;
            }
            known.take(seen);
            return Some(known.poll());
        }
        if silent.get() {
            return None;
        }
        // The connection in use may have changed, for example to the second line.
        let location = known.location.clone();
        let line = self.line.as_deref();
        let found = gateway::survey(&location, line, self.wanted, StopAt::UntilGlobal, &mut ask).ok()?;
        found.chosen.is_some().then(|| self.adopt(location, found, slow))
    }

    fn search(&mut self, hosts: &[IpAddr], deadline: Instant, news: &dyn Fn() -> bool) -> Poll {
        self.lines.lost();
        let last = self.known.take().map(|known| known.location).or_else(|| self.remembered.clone());
        let pending = self.pending.take().map(|(_, candidates)| candidates);
        let mut candidates = pending.unwrap_or_else(|| {
            Candidates::new(self.wanted, self.line.clone(), std::mem::take(&mut self.failed))
        });
        let named = match (&self.gateway, hosts.first()) {
            (Gateway::Description(url), _) => Some(url.clone()),
            (Gateway::Named(_, Some(url)), Some(host)) => Some(url.at(*host)),
            _ => None,
        };
        let is_named = named.is_some();
        if let Some(location) = named.or(last) {
            candidates.try_first(location);
        }
        if !is_named
            && !candidates.have_settled()
            && let Err(why) = candidates.search(hosts, deadline)
        {
            return Poll::failed(why);
        }
        match candidates.best(deadline, news) {
            Ok((location, found, slow)) => self.adopt(location, found, slow),
            Err(why) => {
                if candidates.is_worth_waiting() {
                    self.pending = Some((hosts.to_vec(), candidates));
                    return Poll::failed(&why);
                }
                self.lines.silent();
                self.failed = candidates.into_failed();
                Poll::failed(&natpmp_advice(hosts).map_or(why.clone(), |advice| format!("{why}; {advice}")))
            }
        }
    }

    fn adopt(&mut self, location: LanUrl, mut found: GatewayReport, slow: bool) -> Poll {
        // What another one told says nothing of this one.
        self.told_ipv6 &= self.remembered.as_ref() == Some(&location);
        self.remembered = Some(location.clone());
        let (is_any, now) = (self.line.is_none(), Instant::now());
        let right = if is_any { self.lines.choose(&mut found, &location, now) } else { Ok(None) };
        let chosen = found.chosen().cloned();
        let is_fritz = found.device.as_ref().is_some_and(is_fritz);
        let mut observation = with_lan(found.observation, is_fritz);
        if self.wanted.ipv6 {
            let is_avm = is_fritz || chosen.as_ref().is_some_and(|chosen| chosen.service.is_avm());
            observation.offers_ipv6 = offers_ipv6(observation.offers_ipv6, is_avm, self.told_ipv6);
        }
        let offers = observation.offers_ipv6;
        let advice = match right {
            Ok(advice) => advice,
            Err(why) => {
                let observation = Observation { offers_ipv6: offers, ..Observation::unknown(why) };
                return Poll { observation, gateway: Some(location), advice: None };
            }
        };
        let several = found.services.len() > 1 || self.line.is_some();
        self.known = chosen.map(|chosen| Known {
            location: location.clone(),
            service: chosen.service,
            several,
            found: observation.clone(),
            is_fritz,
            slow,
            ipv6: Ipv6Actions::after(self.wanted.ipv6, offers, self.told_ipv6),
            natpmp: Confirmation::new(several),
            asked: now,
            natpmp_client: natpmp::client::Kept::default(),
        });
        self.told_ipv6 |= offers == Some(true);
        Poll { observation, gateway: Some(location), advice }
    }
}

impl Known {
    fn poll(&self) -> Poll {
        Poll { observation: self.found.clone(), gateway: Some(self.location.clone()), advice: None }
    }

    /// Whether NAT-PMP says that the IPv4 address is still the same one, and
    /// that is all we want to know this time.
    fn is_confirmed(&mut self, events_arrive: bool) -> bool {
        self.may_be_confirmed(events_arrive) && {
            let told = ask_natpmp(&mut self.natpmp_client, &self.location);
            self.natpmp.takes(told.as_ref(), &self.found.ipv4)
        }
    }

    fn may_be_confirmed(&self, events_arrive: bool) -> bool {
        let is_known = self.found.ipv4.known().is_some();
        is_known && !self.ipv6.is_due() && self.natpmp.is_enough(events_arrive, self.asked.elapsed())
    }

    /// Whether this answer stands by itself: an address that can be published, or
    /// the one that the whole survey came to.
    fn settles(&self, answer: &GatewayReport) -> bool {
        let ipv4 = &answer.observation.ipv4;
        match ipv4 {
            Finding::Known(address) if !answer.is_down() => {
                scope((*address).into()) == Scope::Global || *ipv4 == self.found.ipv4
            }
            Finding::Known(_) | Finding::Absent(_) | Finding::Unknown(_) => false,
        }
    }

    fn take(&mut self, answer: Observation) {
        let Self { natpmp, natpmp_client, location, .. } = self;
        natpmp.soap_told(&answer.ipv4, &self.found.ipv4, || ask_natpmp(natpmp_client, location));
        self.asked = Instant::now();
        self.found = with_lan(answer, self.is_fritz);
    }
}

fn ask_natpmp(client: &mut natpmp::client::Kept, gateway: &LanUrl) -> Option<Finding<Ipv4Addr>> {
    let deadline = Instant::now().checked_add(CONFIRM_TIME)?;
    client.external_address(gateway.host(), deadline).ok().map(|answer| answer.finding())
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

/// Whether a gateway that was asked can tell IPv6 addresses. Only AVM's have actions for
/// it; of any other whose answer is neither theirs nor plain, nothing is to be expected,
/// unless it has told one before.
fn offers_ipv6(offers: Option<bool>, is_avm: bool, told: bool) -> Option<bool> {
    offers.or_else(|| (!is_avm && !told).then_some(false))
}

fn is_fritz(device: &Device) -> bool {
    device.manufacturer.starts_with("AVM") || device.model.contains("FRITZ!")
}

/// Whom to believe where the user names nobody: the default gateway. Where a route
/// has none (PPPoE, LTE, a VPN), or where there is none at the moment, only the
/// gateway that was asked before: whoever answers first might be a stranger.
fn trust(route: &DefaultRoute, remembered: Option<IpAddr>) -> Trusted {
    match (route, route.gateway().or(remembered)) {
        (_, Some(host)) => Trusted::Hosts(vec![host]),
        (DefaultRoute::NotTold, None) => Trusted::First,
        (DefaultRoute::None, None) => Trusted::Nobody("this host has no default route, so no gateway; router_ip = \"ADDRESS\" names one".to_owned()),
        (DefaultRoute::Known(_), None) => Trusted::Nobody(
            "the default route has no gateway (a point-to-point line, a VPN); write router_ip = \"ADDRESS\" if \
             there is a router, or ipv4 = [\"interface\"]"
                .to_owned(),
        ),
    }
}

/// The line to write where none of these gateways speaks UPnP, and one NAT-PMP.
#[must_use]
pub fn natpmp_advice(hosts: &[IpAddr]) -> Option<String> {
    let answers = |host: &&IpAddr| {
        let deadline = Instant::now().checked_add(CONFIRM_TIME);
        let answer = deadline.map(|deadline| natpmp::client::external_address(**host, deadline));
        answer.is_some_and(|answer| answer.is_ok_and(|answer| answer.finding().known().is_some()))
    };
    let host = hosts.iter().find(answers)?;
    Some(format!(
        "{host} answers NAT-PMP, which any host in the network can forge: if all of them are trusted, write \
         ipv4 = [\"upnp\", \"natpmp:{host}\"]"
    ))
}

#[cfg(test)]
mod tests;
