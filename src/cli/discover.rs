//! `discover`: which gateways are there, and what do they say?
//!
//! Asks everybody who answers, not only at the default gateway, and asks
//! every connection of each: for the person who wants to know why the daemon
//! finds what it finds. Writes a table or JSON; changes nothing.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::address::{Family, Finding};
use crate::config::Gateway;
use crate::engine::selection::refusal;
use crate::http::lan_url::LanUrl;
use crate::natpmp::client::{NatPmpError, external_address};
use crate::natpmp::message::ExternalAddress;
use crate::soap::gateway::{self, GatewayReport, ServiceAnswer, StopAt, Wanted};
use crate::sources::upnp;
use crate::ssdp::search;
use crate::ssdp::search::Search;
use crate::system;
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
    /// What else the user may write, where no address was told by UPnP.
    pub advice: Option<String>,
}

/// Asks the named gateway, or all that can be found. An error names what could
/// not be asked at all.
pub fn discover(gateway: Option<&Gateway>) -> Result<Discovery, String> {
    let (sender, receiver) = channel();
    let ask = |location: LanUrl| {
        let sender = sender.clone();
        let work = move || drop(sender.send(examine(location)));
        thread::Builder::new()
            .name("discover".to_owned())
            .stack_size(STACK)
            .spawn(work)
            .map(drop)
            .map_err(|error| format!("no thread could be started: {error}"))
    };
    let gateway = match gateway {
        // All lines of a gateway are shown.
        Some(Gateway::Line(gateway, _)) => Some(&**gateway),
        gateway => gateway,
    };
    let hosts = match gateway {
        Some(Gateway::Description(url)) => {
            ask(url.clone())?;
            vec![url.host()]
        }
        Some(Gateway::Named(name, url)) => {
            let host = upnp::resolve(name)?;
            match url {
                Some(url) => ask(url.at(host))?,
                None => find(&[host], true, ask)?,
            }
            vec![host]
        }
        Some(Gateway::At(addresses)) => {
            if addresses.iter().any(IpAddr::is_ipv6) {
                return Err(
                    "a router cannot be searched for by its IPv6 address: give the URL of its description"
                        .into(),
                );
            }
            find(addresses, true, ask)?;
            addresses.clone()
        }
        Some(Gateway::Any | Gateway::Line(..)) | None => {
            let default: Vec<IpAddr> = system::default_route(Family::V4).gateway().into_iter().collect();
            find(&default, false, ask)?;
            default
        }
    };
    drop(sender);
    let (mut gateways, mut failures) = (Vec::new(), Vec::new());
    for result in receiver {
        match result {
            Ok(discovered) => gateways.push(discovered),
            Err(why) => failures.push(why),
        }
    }
    gateways.sort_by_key(|discovered| discovered.location.to_string());
    let told = gateways.iter().any(|discovered| discovered.report.observation.ipv4.known().is_some());
    let advice = if told { None } else { upnp::natpmp_advice(&hosts) };
    Ok(Discovery { gateways, failures, advice })
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

/// A table for people.
#[must_use]
pub fn to_text(found: &[Discovered]) -> String {
    found.iter().map(Discovered::to_text).collect::<Vec<_>>().join("\n")
}

impl Discovered {
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

    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.location);
        // Writing to a String cannot fail.
        if let Some(device) = &self.report.device {
            let name = printable(&device.friendly_name);
            let made = printable(&format!("{} {}", device.manufacturer, device.model));
            let _ = writeln!(text, "  device      {name} ({})", made.trim());
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
            let _ = writeln!(text, "  connection  #{number} {name} ({kind}), {}{up}", asked.service.control);
            let _ = writeln!(text, "  IPv4        {}", ipv4_to_text(asked));
        }
        let observation = &self.report.observation;
        let _ = writeln!(text, "  IPv6        {}", finding_to_text(&observation.ipv6));
        let _ = writeln!(text, "  prefix      {}", finding_to_text(&observation.ipv6_prefix));
        let natpmp = match &self.natpmp {
            Ok(answer) => finding_to_text(&answer.finding()),
            Err(error) => error.to_string(),
        };
        let _ = writeln!(text, "  NAT-PMP     {natpmp}");
        text
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
