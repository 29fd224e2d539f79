//! `discover`: which gateways are there, and what do they say?
//!
//! Asks everybody who answers, not only at the default gateway, and asks
//! every connection of each: for the person who wants to know why the daemon
//! finds what it finds. Writes a table or JSON; changes nothing.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::address::Finding;
use crate::config::Gateway;
use crate::engine::selection::refusal;
use crate::http::lan_url::LanUrl;
use crate::natpmp::client::{NatPmpError, external_address};
use crate::natpmp::message::ExternalAddress;
use crate::soap::gateway::{GatewayReport, ServiceAnswer, StopAt, Survey, Wanted};
use crate::ssdp::search;
use crate::ssdp::search::Search;
use crate::system;
use crate::transport::lan;

/// How long answers are waited for: three rounds of the search, and MX.
const SEARCH_TIME: Duration = Duration::from_millis(2500);

/// The time for one gateway with all its services.
const ASK_TIME: Duration = Duration::from_secs(5);

/// The time for one exchange.
const EXCHANGE_TIME: Duration = Duration::from_secs(2);

/// Waits for NAT-PMP: an answer comes at once or never.
const NATPMP_TIME: Duration = Duration::from_millis(800);

const STACK: usize = 256 * 1024;

/// A gateway and what it said.
pub struct Discovered {
    location: LanUrl,
    report: GatewayReport,
    natpmp: Result<ExternalAddress, NatPmpError>,
}

/// Asks the named gateway, or all that can be found. An error names what could
/// not be asked at all.
pub fn discover(gateway: Option<&Gateway>) -> Result<Vec<Discovered>, String> {
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
    match gateway {
        Some(Gateway::Description(url)) => ask(url.clone())?,
        Some(Gateway::At(IpAddr::V6(_))) => {
            return Err(
                "a router cannot be searched for by its IPv6 address: give the URL of its description".into(),
            );
        }
        Some(Gateway::At(IpAddr::V4(address))) => find(Some(*address), true, ask)?,
        Some(Gateway::Any) | None => {
            let default = system::default_route().and_then(|route| route.gateway);
            let default = match default {
                Some(IpAddr::V4(address)) => Some(address),
                _ => None,
            };
            find(default, false, ask)?;
        }
    }
    drop(sender);
    let mut found: Vec<Discovered> = std::iter::from_fn(|| receiver.recv().ok()).flatten().collect();
    found.sort_by_key(|discovered| discovered.location.to_string());
    Ok(found)
}

fn find(
    gateway: Option<std::net::Ipv4Addr>,
    only_gateway: bool,
    ask: impl Fn(LanUrl) -> Result<(), String>,
) -> Result<(), String> {
    let addresses = system::addresses().unwrap_or_default();
    let deadline = Instant::now().checked_add(SEARCH_TIME).unwrap_or_else(Instant::now);
    let mut answers = search::start(Search::new(gateway, only_gateway, &addresses), deadline);
    let mut asked = Vec::new();
    while let Some(answer) = answers.next(deadline) {
        if !asked.contains(&answer.location) {
            asked.push(answer.location.clone());
            ask(answer.location)?;
        }
    }
    Ok(())
}

/// `None`: it answers searches, but is no gateway.
fn examine(location: LanUrl) -> Option<Discovered> {
    let deadline = Instant::now().checked_add(ASK_TIME)?;
    let wanted = Wanted { ipv4: true, ipv6: true };
    let survey = Survey::of_description(location.clone(), wanted, StopAt::EveryService);
    let report = lan::run(survey, deadline, EXCHANGE_TIME).result.ok()?;
    let natpmp = external_address(location.host(), Instant::now().checked_add(NATPMP_TIME)?);
    Some(Discovered { location, report, natpmp })
}

/// A JSON array, an object for each gateway.
#[must_use]
pub fn to_json(found: &[Discovered]) -> String {
    let gateways: Vec<Value> = found.iter().map(Discovered::to_json).collect();
    format!("{:#}\n", Value::from(gateways))
}

/// A table for people.
#[must_use]
pub fn to_text(found: &[Discovered]) -> String {
    found.iter().map(Discovered::to_text).collect::<Vec<_>>().join("\n")
}

impl Discovered {
    fn to_json(&self) -> Value {
        let device = self.report.device.as_ref();
        let services: Vec<Value> = self.report.services.iter().map(service_to_json).collect();
        json!({
            "location": self.location.to_string(),
            "address": self.location.host().to_string(),
            "root_type": device.map(|device| device.root_type.as_str()),
            "friendly_name": device.map(|device| device.friendly_name.as_str()),
            "manufacturer": device.map(|device| device.manufacturer.as_str()),
            "model": device.map(|device| device.model.as_str()),
            "services": services,
            "ipv6": self.ipv6_to_json(),
            "natpmp": match &self.natpmp {
                Ok(answer) => match answer.finding() {
                    Finding::Known(address) => {
                        json!({ "external_ipv4": address.to_string(), "epoch": answer.epoch })
                    }
                    Finding::Absent(why) | Finding::Unknown(why) => json!({ "error": why }),
                },
                Err(error) => json!({ "error": error.to_string() }),
            },
        })
    }

    fn ipv6_to_json(&self) -> Value {
        let address = self.report.observation.ipv6.known();
        let prefix = self.report.observation.ipv6_prefix.known();
        if address.is_none() && prefix.is_none() {
            return Value::Null;
        }
        json!({
            "address": address.map(|address| address.to_string()),
            "prefix": prefix.map(|prefix| prefix.address().to_string()),
            "prefix_length": prefix.map(|prefix| prefix.length()),
            "valid_seconds": self.report.ipv6_valid_seconds,
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
        for asked in &self.report.services {
            let kind = asked.service.service_type.as_str();
            let kind = kind.rsplit_once(":service:").map_or(kind, |(_, name)| name);
            let _ = writeln!(text, "  connection  {kind}, {}", asked.service.control);
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

fn service_to_json(asked: &ServiceAnswer) -> Value {
    let ipv4 = match &asked.ipv4 {
        Finding::Known(address) => match refusal((*address).into(), false) {
            None => json!({ "value": address.to_string(), "publishable": true }),
            Some(why) => json!({ "value": address.to_string(), "publishable": false, "reason": why }),
        },
        Finding::Absent(why) => json!({ "none": why, "publishable": false }),
        Finding::Unknown(why) => json!({ "error": why, "publishable": false }),
    };
    json!({
        "type": asked.service.service_type.as_str(),
        "control_url": asked.service.control.to_string(),
        "event_url": asked.service.event.as_ref().map(ToString::to_string),
        "external_ipv4": ipv4,
    })
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
