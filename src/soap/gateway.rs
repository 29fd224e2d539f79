//! One poll of a gateway: which questions to ask it, and what the answers mean.
//!
//! ```text
//! description --> IPv4 (each service until one tells a global address) --> IPv6 address --> IPv6 prefix
//! ```
//!
//! Straight functions that are given a way to ask: no socket, no clock. A failure
//! of one question never spoils the answer to another. Redirects are not followed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::actions;
use super::actions::{Answer, GET_EXTERNAL_IPV4, GET_EXTERNAL_IPV6, GET_IPV6_PREFIX, GET_STATUS};
use super::description::{Description, DescriptionError, Device, Service};
use super::envelope;
use super::envelope::{Reply, ReplyError};
use crate::address::{Finding, Observation, Prefix, Scope, scope};
use crate::http::Response;
use crate::http::lan_url::LanUrl;
use crate::http::request::{ExchangeError, Request};

/// The most services asked; gateways with four WAN ports exist, and one that
/// lists more must not keep us busy.
pub const MAX_ASKED: usize = 8;

/// The most requests of one survey: the description, and all that can be asked of
/// the services, each twice.
pub const MAX_REQUESTS: usize = 1 + 2 * (2 * MAX_ASKED + 2);

/// What to ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    pub ipv4: bool,
    /// The router's IPv6 address and the delegated prefix.
    pub ipv6: bool,
}

/// When to stop asking for the IPv4 address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopAt {
    /// At the first service that is up and tells a global one.
    UntilGlobal,
    /// After all services, up to [`MAX_ASKED`].
    EveryService,
}

/// Why a survey found no service to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SurveyError {
    /// The description did not come.
    Exchange(ExchangeError),
    /// It came with another status than 200.
    Status(u16),
    /// It cannot be understood.
    Description(DescriptionError),
    /// The device has no service that tells an external address.
    NoService,
    /// It has none of the number or name that the user gave.
    NoLine,
}

impl fmt::Display for SurveyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(error) => error.fmt(f),
            Self::Status(status) => write!(f, "it answered with HTTP status {status} for its description"),
            Self::Description(error) => error.fmt(f),
            Self::NoService => f.write_str("it has no service that tells an external address"),
            Self::NoLine => f.write_str("it has no connection of that number, or not just one of that name"),
        }
    }
}

impl std::error::Error for SurveyError {}

/// A service and what it said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAnswer {
    /// The service.
    pub service: Service,
    /// The external IPv4 address by its word.
    pub ipv4: Finding<Ipv4Addr>,
    /// An IPv6 address that it told where IPv4 was asked for.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether its connection is up; `None`: not asked, or no plain answer.
    pub up: Option<bool>,
    /// Whether it understood a question. Where no service did, the control URLs
    /// are stale: discover again.
    pub answered: bool,
}

/// What a survey found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayReport {
    /// What the gateway says of itself; only where a description was read.
    pub device: Option<Device>,
    /// All usable services, at least one.
    pub services: Vec<ServiceAnswer>,
    /// Which of them to rely on from now on; none when none answered.
    pub chosen: Option<usize>,
    pub observation: Observation,
    /// How long the IPv6 prefix, or else the address, stays valid.
    pub ipv6_valid_seconds: Option<u32>,
}

impl GatewayReport {
    /// The service to rely on, with what it said.
    #[must_use]
    pub fn chosen(&self) -> Option<&ServiceAnswer> {
        self.services.get(self.chosen?)
    }

    /// Whether a service that was asked is down: another may be up.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.services.iter().any(|asked| asked.up == Some(false))
    }
}

/// Sends one request to the gateway and waits for its answer.
pub type Ask<'a> = dyn FnMut(&Request) -> Result<Response, ExchangeError> + 'a;

/// Reads the description at `location`, then asks the services that it lists, or
/// only the `line` that the user named. Where that is down and another one is up,
/// what it goes on to name is not its address now.
pub fn survey(
    location: &LanUrl,
    line: Option<&str>,
    wanted: Wanted,
    stop_at: StopAt,
    ask: &mut Ask<'_>,
) -> Result<GatewayReport, SurveyError> {
    let response = ask(&envelope::get(location.clone())).map_err(SurveyError::Exchange)?;
    if response.status != 200 {
        return Err(SurveyError::Status(response.status));
    }
    let found = Description::parse(&response.body, location).map_err(SurveyError::Description)?;
    if found.services.is_empty() {
        return Err(SurveyError::NoService);
    }
    let several = found.services.len() > 1;
    let services = match line {
        Some(line) => vec![pick(&found.services, line).cloned().ok_or(SurveyError::NoLine)?],
        None => found.services.clone(),
    };
    let mut report = ask_services(services, several, wanted, stop_at, ask);
    let mut is_up = |line: &Service| actions::is_up(&call(line, GET_STATUS, ask)) == Some(true);
    if line.is_some() && report.is_down() && found.services.iter().take(MAX_ASKED).any(&mut is_up) {
        report.observation = Observation::unknown("this connection of it is down, and another one is up");
    }
    Ok(GatewayReport { device: Some(found.device), ..report })
}

/// The service of this number, counted from 1, or the only one of this name.
fn pick<'a>(services: &'a [Service], line: &str) -> Option<&'a Service> {
    let mut named = services.iter().filter(|service| service.name == line);
    match line.parse::<usize>() {
        Ok(number) => services.get(number.checked_sub(1)?),
        Err(_) => named.next().filter(|_| named.next().is_none()),
    }
}

/// Asks a service that is known already, also whether it is up where it is one of
/// `several`.
pub fn ask_service(service: Service, several: bool, wanted: Wanted, ask: &mut Ask<'_>) -> GatewayReport {
    ask_services(vec![service], several, wanted, StopAt::UntilGlobal, ask)
}

fn ask_services(
    services: Vec<Service>,
    several: bool,
    wanted: Wanted,
    stop_at: StopAt,
    ask: &mut Ask<'_>,
) -> GatewayReport {
    let new = |service| ServiceAnswer { service, ipv4: not_asked(), ipv6: None, up: None, answered: false };
    let mut services: Vec<ServiceAnswer> = services.into_iter().map(new).collect();
    if wanted.ipv4 {
        for asked in services.iter_mut().take(MAX_ASKED) {
            asked.ask_ipv4(several, ask);
            if stop_at == StopAt::UntilGlobal && asked.rank() == 0 {
                break;
            }
        }
    }
    let chosen = choose(&services);
    let mut ipv6 =
        Ipv6 { address: not_asked(), prefix: not_asked(), valid_seconds: None, actions: Vec::new() };
    if wanted.ipv6 {
        // AVM has one service for both families. Where IPv4 is not asked for,
        // nothing has shown which service is the right one.
        let right = |index| if wanted.ipv4 { chosen == Some(index) } else { index < MAX_ASKED };
        for (_, asked) in services.iter_mut().enumerate().filter(|(index, _)| right(*index)) {
            ipv6.ask(asked, ask);
            if !matches!((&ipv6.address, &ipv6.prefix), (Finding::Unknown(_), Finding::Unknown(_))) {
                break;
            }
        }
    }
    report(services, wanted, ipv6)
}

fn call(service: &Service, action: &str, ask: &mut Ask<'_>) -> Answer {
    let request = envelope::call(service, action);
    let mut once = || {
        let response = ask(&request).map_err(ReplyError::Exchange)?;
        Reply::parse(response.status, &response.body, action)
    };
    match once() {
        // So some routers answer to the first POST after a pause.
        Err(ReplyError::Http(400)) => once(),
        answer => answer,
    }
}

impl ServiceAnswer {
    fn ask_ipv4(&mut self, several: bool, ask: &mut Ask<'_>) {
        let answer = call(&self.service, GET_EXTERNAL_IPV4, ask);
        self.answered = understood(&answer) && !not_offered(&answer);
        self.ipv4 = actions::external_ipv4(&answer, &self.service);
        self.ipv6 = actions::ipv6_instead(&answer);
        // Services that are down name the address that they had when they were up.
        if several && !matches!(self.ipv4, Finding::Unknown(_)) {
            self.up = actions::is_up(&call(&self.service, GET_STATUS, ask));
        }
    }

    /// What its answer is worth, the best first. A router whose status is wrong
    /// still has its global address, unless another line that is up tells one.
    fn rank(&self) -> u8 {
        let global = self.ipv4.known().map(|address| scope(IpAddr::V4(address)) == Scope::Global);
        match (&self.ipv4, global, self.up) {
            (_, Some(true), Some(true) | None) => 0,
            (_, Some(false), Some(true)) => 1,
            (_, Some(true), Some(false)) => 2,
            (Finding::Known(_), ..) => 3,
            (Finding::Absent(_), ..) => 4,
            (Finding::Unknown(_), ..) => 5,
        }
    }
}

/// The first of the best that answered.
fn choose(services: &[ServiceAnswer]) -> Option<usize> {
    let answered = services.iter().enumerate().filter(|(_, asked)| asked.answered);
    answered.min_by_key(|(_, asked)| asked.rank()).map(|(index, _)| index)
}

/// What is known of IPv6.
struct Ipv6 {
    address: Finding<Ipv6Addr>,
    prefix: Finding<Prefix>,
    valid_seconds: Option<u32>,
    /// Whether it has each action that it was asked for, as far as its answer shows.
    actions: Vec<Option<bool>>,
}

impl Ipv6 {
    /// Address and prefix, each on its own.
    fn ask(&mut self, service: &mut ServiceAnswer, ask: &mut Ask<'_>) {
        self.address = actions::external_ipv6(&self.call(service, GET_EXTERNAL_IPV6, ask));
        self.prefix = actions::ipv6_prefix(&self.call(service, GET_IPV6_PREFIX, ask));
    }

    fn call(&mut self, service: &mut ServiceAnswer, action: &str, ask: &mut Ask<'_>) -> Answer {
        let answer = call(&service.service, action, ask);
        self.actions.push(if not_offered(&answer) { Some(false) } else { answer.is_ok().then_some(true) });
        self.valid_seconds = actions::valid_seconds(&answer).or(self.valid_seconds);
        service.answered |= understood(&answer);
        answer
    }
}

fn report(services: Vec<ServiceAnswer>, wanted: Wanted, ipv6: Ipv6) -> GatewayReport {
    let chosen = choose(&services);
    let speaker = services.get(chosen.unwrap_or(0));
    let has_none = !ipv6.actions.is_empty() && !ipv6.actions.contains(&None);
    let offers = if ipv6.actions.contains(&Some(true)) { Some(true) } else { has_none.then_some(false) };
    let mut observation = Observation {
        ipv4: speaker.map_or_else(not_asked, |asked| asked.ipv4.clone()),
        ipv6: ipv6.address,
        ipv6_prefix: ipv6.prefix,
        lan: None,
        offers_ipv6: offers,
    };
    if let (Finding::Unknown(why), true, true) = (&observation.ipv4, wanted.ipv6, ipv6.actions.is_empty()) {
        // Nobody answered: IPv6 is unknown for the same reason.
        observation = Observation::unknown(&why.clone());
    }
    if let (Some(address), true) = (speaker.and_then(|asked| asked.ipv6), wanted.ipv6)
        && observation.ipv6.known().is_none()
    {
        observation = Observation { ipv6: Finding::Known(address), offers_ipv6: Some(true), ..observation };
    }
    GatewayReport { device: None, services, chosen, observation, ipv6_valid_seconds: ipv6.valid_seconds }
}

fn not_asked<T>() -> Finding<T> {
    Finding::Unknown("not asked".to_owned())
}

/// It speaks SOAP, whatever it says.
fn understood(answer: &Answer) -> bool {
    matches!(answer, Ok(_) | Err(ReplyError::Fault { .. }))
}

fn not_offered(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(ReplyError::not_offered)
}

#[cfg(test)]
mod tests;
