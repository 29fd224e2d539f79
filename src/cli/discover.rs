//! `discover`: which gateways are there, and what do they say?
//!
//! Asks everybody who answers, not only at the default gateway, and asks
//! every connection of each: for the person who wants to know why the daemon
//! finds what it finds. Writes a page or JSON; changes nothing, but for `--pcp`,
//! which maps a port for a moment.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::around::{self, Around, Tried, is_public};
use super::page::Page;
use crate::address::{Family, Finding};
use crate::config::Gateway;
use crate::engine::nat::refusal;
use crate::http::lan_url::LanUrl;
use crate::natpmp::client::{NatPmpError, external_address};
use crate::natpmp::message::ExternalAddress;
use crate::soap::gateway::{self, GatewayReport, ServiceAnswer, StopAt, Wanted};
use crate::sources::upnp;
use crate::ssdp::search;
use crate::ssdp::search::Search;
use crate::system::{self, DefaultRoute, threads};
use crate::transport::lan;

/// How long answers are waited for: three rounds of the search, and MX.
const SEARCH_TIME: Duration = Duration::from_millis(2500);

/// The time for one gateway with all its services.
const ASK_TIME: Duration = Duration::from_secs(15);

/// The time for one exchange.
const EXCHANGE_TIME: Duration = Duration::from_secs(4);

/// Waits for NAT-PMP: an answer comes at once or never.
const NATPMP_TIME: Duration = Duration::from_millis(800);

const STACK: usize = 256 * 1024;

/// A gateway and what it said.
pub struct Discovered {
    location: LanUrl,
    report: GatewayReport,
    natpmp: Result<ExternalAddress, NatPmpError>,
}

/// What was found.
pub struct Discovery {
    /// The gateways that could be asked.
    pub gateways: Vec<Discovered>,
    /// A line for each place that answered a search, or was named, and is of no use.
    pub failures: Vec<String>,
    around: Option<Around>,
    tried: Tried,
    /// Who is asked by default is a matter of the default route.
    by_route: bool,
}

/// How to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct How {
    /// JSON: UPnP alone counts.
    pub json: bool,
    /// PCP may map a port for a moment.
    pub pcp: bool,
}

/// Asks the named gateway, or all that can be found. An error names what could
/// not be asked at all.
pub fn discover(gateway: Option<&Gateway>, how: How) -> Result<Discovery, String> {
    let progress = Progress::begin();
    let asked = match gateway {
        Some(Gateway::At(addresses)) => addresses.first().copied(),
        Some(Gateway::Description(url)) => Some(url.host()),
        _ => around::default_gateway(),
    };
    let around = thread::Builder::new()
        .name("around".to_owned())
        .stack_size(STACK)
        .spawn(move || (!how.json).then(|| Around::ask(asked, how.pcp)));
    let found = search_all(gateway);
    let around = around.ok().and_then(|around| around.join().ok().flatten());
    progress.end();
    let (gateways, failures) = found?;
    let by_route = gateway.is_none() && !matches!(system::default_route(Family::V4), DefaultRoute::NotTold);
    let tried = match gateway {
        Some(Gateway::Description(_) | Gateway::Named(_, Some(_))) => Tried::Place,
        Some(Gateway::At(_) | Gateway::Named(..)) => Tried::One,
        _ => Tried::All,
    };
    Ok(Discovery { gateways, failures, around, tried, by_route })
}

/// A line on a terminal, which is overwritten in the end.
struct Progress(bool);

impl Progress {
    fn begin() -> Self {
        let shown = std::io::stderr().is_terminal();
        if shown {
            let from = system::default_source();
            let from = from.map_or_else(String::new, |from| format!(" from {from}"));
            eprint!("Looking for routers{from} ...");
        }
        Self(shown)
    }

    fn end(self) {
        if self.0 {
            eprint!("\r\x1b[K");
        }
    }
}

/// The gateways that could be asked, and what became of the others.
type Found = (Vec<Discovered>, Vec<String>);

fn search_all(gateway: Option<&Gateway>) -> Result<Found, String> {
    let (sender, receiver) = channel();
    let ask = |location: LanUrl| {
        let sender = sender.clone();
        let work = move || drop(sender.send(examine(location)));
        threads::start("discover", STACK, work)
            .map_err(|error| format!("no thread could be started: {error}"))
    };
    let gateway = match gateway {
        // All lines of a gateway are shown.
        Some(Gateway::Line(gateway, _)) => Some(&**gateway),
        gateway => gateway,
    };
    match gateway {
        Some(Gateway::Description(url)) => ask(url.clone())?,
        Some(Gateway::Named(name, url)) => {
            let host = upnp::resolve(name)?;
            match url {
                Some(url) => ask(url.at(host))?,
                None => find(&[host], true, ask)?,
            }
        }
        Some(Gateway::At(addresses)) => {
            if addresses.iter().any(IpAddr::is_ipv6) {
                return Err(
                    "a router cannot be searched for by its IPv6 address: give the URL of its description"
                        .into(),
                );
            }
            find(addresses, true, ask)?;
        }
        Some(Gateway::Any | Gateway::Line(..)) | None => {
            let default: Vec<IpAddr> = around::default_gateway().into_iter().collect();
            find(&default, false, ask)?;
        }
    }
    drop(sender);
    let (mut gateways, mut failures) = (Vec::new(), Vec::new());
    for result in receiver {
        match result {
            Ok(discovered) => gateways.push(discovered),
            Err(why) => failures.push(why),
        }
    }
    gateways.sort_by_key(|discovered| discovered.location.to_string());
    Ok((gateways, failures))
}

fn find(
    gateways: &[IpAddr],
    only_gateway: bool,
    ask: impl Fn(LanUrl) -> Result<(), String>,
) -> Result<(), String> {
    let addresses = system::addresses().unwrap_or_default();
    let deadline = Instant::now().checked_add(SEARCH_TIME).unwrap_or_else(Instant::now);
    let mut answers =
        search::start(Search::new(gateways, only_gateway, &addresses, system::default_source()), deadline);
    let mut asked = Vec::new();
    while let Some((location, _)) = answers.next(deadline) {
        if !asked.contains(&location) {
            asked.push(location.clone());
            ask(location)?;
        }
    }
    Ok(())
}

fn examine(location: LanUrl) -> Result<Discovered, String> {
    let after = |time| Instant::now().checked_add(time).unwrap_or_else(Instant::now);
    let wanted = Wanted { ipv4: true, ipv6: true };
    let mut ask = lan::asker(after(ASK_TIME), EXCHANGE_TIME);
    let report = gateway::survey(&location, None, wanted, StopAt::EveryService, &mut ask)
        .map_err(|error| format!("{location}: {error}"))?;
    let natpmp = external_address(location.host(), after(NATPMP_TIME));
    Ok(Discovered { location, report, natpmp })
}

/// A JSON array, an object for each gateway.
#[must_use]
pub fn to_json(found: &[Discovered]) -> String {
    let gateways: Vec<GatewayJson<'_>> = found.iter().map(Discovered::to_json).collect();
    // Text and numbers cannot fail.
    serde_json::to_string_pretty(&gateways).unwrap_or_default() + "\n"
}

/// A gateway as JSON; keys in the order of the alphabet, here and below.
#[derive(Serialize)]
struct GatewayJson<'a> {
    address: String,
    friendly_name: Option<&'a str>,
    ipv6: Option<Ipv6Json>,
    location: String,
    manufacturer: Option<&'a str>,
    model: Option<&'a str>,
    natpmp: NatPmpJson,
    root_type: Option<&'a str>,
    services: Vec<ServiceJson<'a>>,
}

#[derive(Serialize)]
struct Ipv6Json {
    address: Option<Ipv6Addr>,
    prefix: Option<Ipv6Addr>,
    prefix_length: Option<u8>,
    valid_seconds: Option<u32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum NatPmpJson {
    Known { epoch: u32, external_ipv4: Ipv4Addr },
    Failed { error: String },
}

#[derive(Serialize)]
struct ServiceJson<'a> {
    control_url: String,
    event_url: Option<String>,
    external_ipv4: Ipv4Json<'a>,
    r#type: &'a str,
}

#[derive(Default, Serialize)]
struct Ipv4Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<&'a str>,
    publishable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Ipv4Addr>,
}

impl Discovery {
    /// Whether a gateway was found, by whatever protocol.
    #[must_use]
    pub fn is_of_use(&self) -> bool {
        !self.gateways.is_empty() || self.around.as_ref().is_some_and(Around::is_of_use)
    }

    /// A page for people: each gateway, what it says by other protocols, and what to write.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut page = Page::default();
        let gateway = self.around.as_ref().and_then(|around| around.gateway);
        // The one that is believed comes last, before what it says by other protocols.
        let (ours, others): (Vec<_>, Vec<_>) =
            self.gateways.iter().partition(|discovered| Some(discovered.location.host()) == gateway);
        for (place, discovered) in (1..).zip(others.iter().chain(&ours)) {
            discovered.put(&mut page);
            if place <= others.len() {
                page.line("");
            }
        }
        if let Some(around) = &self.around {
            if self.is_of_use() {
                around.put_gateway(&mut page, !ours.is_empty());
            } else {
                around.put_reasons(&mut page, self.tried, SEARCH_TIME);
            }
            around.put_host(&mut page);
            let is_stranger = |one: &&Discovered| self.by_route && Some(one.location.host()) != gateway;
            let (strangers, believed): (Vec<_>, Vec<_>) = self.gateways.iter().partition(is_stranger);
            let told: Vec<Ipv4Addr> = believed.into_iter().flat_map(Discovered::addresses).collect();
            let mut routers =
                strangers.into_iter().filter(|one| one.addresses().any(|told| is_public(told.into())));
            let stranger = routers.next().map(|one| one.location.host());
            around.put_lines(&mut page, &told, stranger);
        }
        page.0
    }
}

impl Discovered {
    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.report.services.iter().filter_map(|asked| asked.ipv4.known())
    }

    fn to_json(&self) -> GatewayJson<'_> {
        let device = self.report.device.as_ref();
        GatewayJson {
            address: self.location.host().to_string(),
            friendly_name: device.map(|device| device.friendly_name.as_str()),
            ipv6: self.ipv6_to_json(),
            location: self.location.to_string(),
            manufacturer: device.map(|device| device.manufacturer.as_str()),
            model: device.map(|device| device.model.as_str()),
            natpmp: match self.natpmp.as_ref().map(|answer| (answer.finding(), answer.epoch)) {
                Ok((Finding::Known(external_ipv4), epoch)) => NatPmpJson::Known { epoch, external_ipv4 },
                Ok((Finding::Absent(why) | Finding::Unknown(why), _)) => NatPmpJson::Failed { error: why },
                Err(error) => NatPmpJson::Failed { error: error.to_string() },
            },
            root_type: device.map(|device| device.root_type.as_str()),
            services: self.report.services.iter().map(service_to_json).collect(),
        }
    }

    fn ipv6_to_json(&self) -> Option<Ipv6Json> {
        let address = self.report.observation.ipv6.known();
        let prefix = self.report.observation.ipv6_prefix.known();
        (address.is_some() || prefix.is_some()).then(|| Ipv6Json {
            address,
            prefix: prefix.map(|prefix| prefix.address()),
            prefix_length: prefix.map(|prefix| prefix.length()),
            valid_seconds: self.report.ipv6_valid_seconds,
        })
    }

    fn put(&self, page: &mut Page) {
        page.line(&self.location.to_string());
        let mut put = |label: &str, text: &str| page.at(14, &format!("  {label}"), text);
        if let Some(device) = &self.report.device {
            let name = printable(&device.friendly_name);
            let made = printable(&format!("{} {}", device.manufacturer, device.model));
            put("device", &format!("{name} ({})", made.trim()));
        }
        for (number, asked) in (1..).zip(&self.report.services) {
            let kind = asked.service.service_type.as_str();
            let kind = kind.rsplit_once(":service:").map_or(kind, |(_, name)| name);
            let up = match asked.up {
                Some(true) => ", connected",
                Some(false) => ", not connected",
                None => "",
            };
            let name = printable(&asked.service.name);
            put("connection", &format!("#{number} {name} ({kind}), {}{up}", asked.service.control));
            put("IPv4", &ipv4_to_text(asked));
        }
        let observation = &self.report.observation;
        put("IPv6", &finding_to_text(&observation.ipv6));
        put("prefix", &finding_to_text(&observation.ipv6_prefix));
        let events = self.report.services.iter().any(|asked| asked.service.event.is_some());
        put("events", if events { "offered" } else { "not offered: changes are noticed by polling" });
        match &self.natpmp {
            Ok(answer) => put("NAT-PMP", &finding_to_text(&answer.finding())),
            Err(error) => put("NAT-PMP", &error.to_string()),
        }
    }
}

fn service_to_json(asked: &ServiceAnswer) -> ServiceJson<'_> {
    ServiceJson {
        control_url: asked.service.control.to_string(),
        event_url: asked.service.event.as_ref().map(ToString::to_string),
        external_ipv4: match &asked.ipv4 {
            Finding::Known(address) => {
                let reason = refusal((*address).into(), false);
                Ipv4Json {
                    publishable: reason.is_none(),
                    reason,
                    value: Some(*address),
                    ..Ipv4Json::default()
                }
            }
            Finding::Absent(why) => Ipv4Json { none: Some(why), ..Ipv4Json::default() },
            Finding::Unknown(why) => Ipv4Json { error: Some(why), ..Ipv4Json::default() },
        },
        r#type: asked.service.service_type.as_str(),
    }
}

fn ipv4_to_text(asked: &ServiceAnswer) -> String {
    let text = finding_to_text(&asked.ipv4);
    match asked.ipv4.known().and_then(|address| refusal(address.into(), false)) {
        Some(why) => format!("{text}, not published: {why}"),
        None => text,
    }
}

fn finding_to_text<T: ToString>(finding: &Finding<T>) -> String {
    match finding {
        Finding::Known(value) => value.to_string(),
        Finding::Absent(why) => format!("none: {why}"),
        Finding::Unknown(why) => format!("unknown: {why}"),
    }
}

/// What a device calls itself must not speak to the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
