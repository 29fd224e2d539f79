//! SSDP messages: UPnP Device Architecture 1.1 (UDA), sections 1.2 and 1.3.
//!
//! Bytes in, values out; the sockets live in `search.rs`. An answer's search
//! target (`ST`) is an echo, no proof: only the description decides what a
//! device is. Cache times are ignored, since real ones make no sense; so is
//! IPv6 discovery, which brings nothing towards an IPv4 address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::address;
use crate::address::Scope;
use crate::http::lan_url::{LanUrl, MAX_URL, UrlError};
use crate::http::{Head, HttpError};

/// Where searches and announcements go.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), PORT);

/// The port that devices listen on.
pub const PORT: u16 = 1900;

/// The longest datagram read, in bytes; real ones stay under 700.
pub const MAX_DATAGRAM: usize = 2048;

/// The longest target, name or server text kept, in bytes; real ones stay
/// under 150.
pub const MAX_TEXT: usize = 256;

/// A device's answer to our search (UDA 1.3.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The search target it answers.
    pub st: String,
    /// Where its description is; always on the host that answered.
    pub location: LanUrl,
}

/// What the search target or notification type of a message lets us hope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It names a part of an internet gateway.
    Gateway,
    /// It names nothing in particular; the description decides.
    Candidate,
    /// It names another kind of device.
    NotAGateway,
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerError {
    /// Longer than [`MAX_DATAGRAM`], or its target is longer than [`MAX_TEXT`].
    TooLong,
    /// No HTTP head.
    Head(HttpError),
    /// A message of another kind.
    Kind,
    /// A status other than 200, or an unknown kind of notification.
    Status,
    /// A field that has to occur exactly once does not.
    Missing(&'static str),
    /// LOCATION is no URL that we would follow.
    Location(UrlError),
    /// LOCATION names a host that the sender cannot be.
    Host,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the datagram is too long"),
            Self::Head(error) => error.fmt(f),
            Self::Kind => f.write_str("the datagram is of another kind"),
            Self::Status => f.write_str("the datagram reports no success"),
            Self::Missing(name) => write!(f, "expected exactly one {name}"),
            Self::Location(error) => write!(f, "unusable LOCATION: {error}"),
            Self::Host => f.write_str("LOCATION names a host that cannot be the sender"),
        }
    }
}

impl std::error::Error for AnswerError {}

impl Answer {
    /// Reads one datagram that came from `sender`.
    pub fn parse(datagram: &[u8], sender: IpAddr) -> Result<Self, AnswerError> {
        let head = head(datagram)?;
        match head.status() {
            Some(200) => {}
            Some(_) => return Err(AnswerError::Status),
            None => return Err(AnswerError::Kind),
        }
        Ok(Self { st: required(&head, "ST")?, location: location(&head, sender)? })
    }

    /// What its search target lets us hope.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict(&self.st)
    }
}

/// What a notification tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotifyKind {
    /// The device is there.
    Alive,
    /// It is about to leave.
    Byebye,
    /// Its numbers changed (UDA 1.1 only).
    Update,
}

/// A device's announcement (UDA 1.2). Anyone in the LAN can forge one: it is a
/// hint to poll, nothing more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notify {
    /// What it tells.
    pub kind: NotifyKind,
    /// What it is about: the counterpart of an answer's search target.
    pub nt: String,
    /// Where its description is, on the host that sent this; `alive` has one.
    pub location: Option<LanUrl>,
    /// Changes whenever the device restarts (UDA 1.1 only).
    pub boot_id: Option<u32>,
}

impl Notify {
    /// Reads one datagram that came from `sender`.
    pub fn parse(datagram: &[u8], sender: IpAddr) -> Result<Self, AnswerError> {
        let head = head(datagram)?;
        if head.start.split(' ').next() != Some("NOTIFY") {
            return Err(AnswerError::Kind);
        }
        let kind = match head.one("NTS").ok_or(AnswerError::Missing("NTS"))? {
            "ssdp:alive" => NotifyKind::Alive,
            "ssdp:byebye" => NotifyKind::Byebye,
            "ssdp:update" => NotifyKind::Update,
            _ => return Err(AnswerError::Status),
        };
        let location = match kind {
            NotifyKind::Alive => Some(location(&head, sender)?),
            NotifyKind::Byebye | NotifyKind::Update => location(&head, sender).ok(),
        };
        let boot_id = head.one("BOOTID.UPNP.ORG").and_then(|text| text.parse().ok());
        Ok(Self { kind, nt: required(&head, "NT")?, location, boot_id })
    }
}

fn head(datagram: &[u8]) -> Result<Head, AnswerError> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(AnswerError::TooLong);
    }
    // A body may follow; it says nothing.
    Head::parse(datagram).map(|(head, _body)| head).map_err(AnswerError::Head)
}

fn required(head: &Head, name: &'static str) -> Result<String, AnswerError> {
    match head.one(name) {
        None | Some("") => Err(AnswerError::Missing(name)),
        Some(value) if value.len() > MAX_TEXT => Err(AnswerError::TooLong),
        Some(value) => Ok(value.to_owned()),
    }
}

fn location(head: &Head, sender: IpAddr) -> Result<LanUrl, AnswerError> {
    let text = head.one("LOCATION").ok_or(AnswerError::Missing("LOCATION"))?;
    let location = LanUrl::parse_from(sender, text).map_err(AnswerError::Location)?;
    let location = on_sender(&location, sender)?;
    if location.to_string().len() > MAX_URL {
        return Err(AnswerError::Location(UrlError::Length));
    }
    Ok(location)
}

/// A datagram must not send us to a third host. Gateways behind a floating
/// address name another one of theirs, and some a name, which is not resolved: we
/// ask whoever answered. But a host
/// that means something else on every machine (loopback, link-local, ...) or
/// in another family shows that the document is not for us.
fn on_sender(location: &LanUrl, sender: IpAddr) -> Result<LanUrl, AnswerError> {
    if location.host() == sender {
        return Ok(location.clone());
    }
    let unusable = matches!(address::scope(location.host()), Scope::Unusable(_));
    if unusable || !location.host().is_ipv4() || !sender.is_ipv4() {
        return Err(AnswerError::Host);
    }
    Ok(location.at(sender))
}

/// The parts of an internet gateway (InternetGatewayDevice:1 and :2).
const GATEWAY_TYPES: &[&str] = &[
    "device:InternetGatewayDevice",
    "device:WANDevice",
    "device:WANConnectionDevice",
    "service:Layer3Forwarding",
    "service:WANCommonInterfaceConfig",
    "service:WANIPConnection",
    "service:WANPPPConnection",
    "service:WANIPv6FirewallControl",
    "service:WANDSLLinkConfig",
    "service:WANCableLinkConfig",
    "service:WANEthernetLinkConfig",
    "service:WANPOTSLinkConfig",
];

/// What a search target or notification type lets us hope.
#[must_use]
pub fn verdict(target: &str) -> Verdict {
    if after(target, "uuid:").is_some() || ["upnp:rootdevice", "ssdp:all"].contains(&target) {
        return Verdict::Candidate;
    }
    let is_gateway = GATEWAY_TYPES.iter().any(|kind| {
        after(target, "urn:schemas-upnp-org:")
            .and_then(|rest| after(rest, kind))
            .is_some_and(|version| version.starts_with(':'))
    });
    if is_gateway { Verdict::Gateway } else { Verdict::NotAGateway }
}

/// What follows `prefix`, whatever its case.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The target every gateway should answer.
const FIRST_TARGET: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";

/// Some gateways answer only their own version, or only one of their services.
const OTHER_TARGETS: [&str; 4] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// Every device answers it, so it comes last.
const LAST_TARGET: &str = "upnp:rootdevice";

/// Most gateways answer within a few milliseconds; those get only one search.
const OTHERS_AFTER: Duration = Duration::from_millis(200);

/// UDP is lossy: UDA asks for more than one send, some 100 ms apart.
const RESENDS_AFTER: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(1400)];

/// The bytes of a search for `target` that is sent to `host`.
///
/// `MX: 1` asks for an answer within a second.
#[must_use]
pub fn search_request(target: &str, host: SocketAddrV4) -> String {
    format!("M-SEARCH * HTTP/1.1\r\nHOST: {host}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {target}\r\n\r\n")
}

/// To whom a search goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// To the gateway: it needs no multicast, and the answer passes a host
    /// firewall.
    Unicast,
    /// To the group: some gateways answer nothing else.
    Multicast,
}

/// One datagram to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScheduledSearch {
    /// When, counted from the start of the search.
    pub after: Duration,
    /// What is searched for.
    pub target: &'static str,
}

/// The datagrams of a whole search, in order of time; the same for both deliveries.
#[must_use]
pub fn schedule() -> Vec<ScheduledSearch> {
    let [first, last] = RESENDS_AFTER;
    let round =
        |after| [(after, FIRST_TARGET)].into_iter().chain(OTHER_TARGETS.map(|target| (after, target)));
    let mut steps = vec![(Duration::ZERO, FIRST_TARGET)];
    steps.extend(round(OTHERS_AFTER).skip(1).chain(round(first)).chain(round(last)));
    steps.push((last, LAST_TARGET));
    steps.into_iter().map(|(after, target)| ScheduledSearch { after, target }).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));

    fn answer(fields: &str) -> Result<Answer, AnswerError> {
        Answer::parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), ROUTER)
    }

    fn located(url: &str) -> Result<String, AnswerError> {
        answer(&format!("ST: upnp:rootdevice\r\nLOCATION: {url}\r\n")).map(|a| a.location.to_string())
    }

    #[test]
    fn an_answer_is_read() {
        let answer = answer(
            "EXT:\r\nLocation:http://192.168.1.1:5000/a.xml\r\nST:upnp:rootdevice\r\nUSN: uuid:x\r\nSERVER:\r\n",
        )
        .unwrap();
        assert_eq!(answer.st, "upnp:rootdevice");
        assert_eq!(answer.location.to_string(), "http://192.168.1.1:5000/a.xml");
    }

    #[test]
    fn every_other_message_is_refused_with_its_reason() {
        let read = |text: &str| Answer::parse(text.as_bytes(), ROUTER).unwrap_err();
        assert_eq!(read(""), AnswerError::Head(HttpError::NotHttp));
        assert_eq!(read("NOTIFY * HTTP/1.1\r\n\r\n"), AnswerError::Kind);
        assert_eq!(read(&search_request(FIRST_TARGET, GROUP)), AnswerError::Kind);
        assert_eq!(read("HTTP/1.1 404 Not Found\r\n\r\n"), AnswerError::Status);
        assert_eq!(read("HTTP/1.1 200 OK\r\nST: a\r\n\r\n"), AnswerError::Missing("LOCATION"));
        assert_eq!(read(&"x".repeat(MAX_DATAGRAM + 1)), AnswerError::TooLong);
        let location = "LOCATION: http://192.168.1.1/\r\n";
        assert_eq!(answer(location), Err(AnswerError::Missing("ST")));
        assert_eq!(answer(&format!("{location}ST: \r\n")), Err(AnswerError::Missing("ST")));
        assert_eq!(answer(&format!("{location}ST: a\r\nST: b\r\n")), Err(AnswerError::Missing("ST")));
        assert_eq!(answer(&format!("{location}{location}ST: a\r\n")), Err(AnswerError::Missing("LOCATION")));
        let long = format!("{location}ST: {}\r\n", "x".repeat(MAX_TEXT + 1));
        assert_eq!(answer(&long), Err(AnswerError::TooLong));
    }

    #[test]
    fn a_location_leads_to_the_sender_or_nowhere() {
        assert_eq!(located("http://10.0.0.1:5000/x").unwrap(), "http://192.168.1.1:5000/x");
        for host in
            ["127.0.0.1", "169.254.7.7", "0.0.0.0", "255.255.255.255", "239.1.1.1", "[::1]", "[fe80::1]"]
        {
            assert_eq!(located(&format!("http://{host}:1900/")), Err(AnswerError::Host), "{host}");
        }
        // A name is not resolved: the sender is asked under it.
        assert_eq!(located("http://router/").unwrap(), "http://192.168.1.1:80/");
        let named = answer("ST: a\r\nLOCATION: http://Home.Router:5000/x\r\n").unwrap().location;
        assert_eq!((named.host(), named.authority()), (ROUTER, "Home.Router:5000".to_owned()));
        for bad in ["me@router", "a b", "192.168.1", "router:1:2", "-", "r\u{f6}uter"] {
            assert!(matches!(located(&format!("http://{bad}/")), Err(AnswerError::Location(_))), "{bad}");
        }
        assert_eq!(located("http://fe80::1:5000/x"), Err(AnswerError::Location(UrlError::Host)));
        let long = format!("http://192.168.1.1/{}", "x".repeat(MAX_URL - 20));
        assert_eq!(located(&long), Err(AnswerError::Location(UrlError::Length)));
    }

    #[test]
    fn a_sender_may_name_itself_whatever_it_is() {
        for host in ["127.0.0.1", "169.254.7.7", "::1"] {
            let host: IpAddr = host.parse().unwrap();
            let location = LanUrl::parse(&format!("http://{}/x", SocketAddr::new(host, 5000))).unwrap();
            let text = format!("HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: {location}\r\n\r\n");
            assert_eq!(Answer::parse(text.as_bytes(), host).unwrap().location, location);
        }
    }

    #[test]
    fn notifications_are_told_apart() {
        let read = |fields: &str| {
            Notify::parse(format!("NOTIFY * HTTP/1.1\r\nNT: a\r\n{fields}\r\n\r\n").as_bytes(), ROUTER)
        };
        assert_eq!(read("NTS: ssdp:alive"), Err(AnswerError::Missing("LOCATION")));
        assert_eq!(read("NTS: upnp:propchange"), Err(AnswerError::Status));
        assert_eq!(read("X: y"), Err(AnswerError::Missing("NTS")));
        assert_eq!(read("NTS: ssdp:byebye\r\nLOCATION: junk").unwrap().location, None);
        assert_eq!(Notify::parse(b"HTTP/1.1 200 OK\r\n\r\n", ROUTER), Err(AnswerError::Kind));
    }

    #[test]
    fn targets_tell_what_to_hope() {
        for (target, expected) in [
            ("urn:schemas-upnp-org:device:InternetGatewayDevice:1", Verdict::Gateway),
            ("urn:schemas-upnp-org:device:internetgatewaydevice:9", Verdict::Gateway),
            ("urn:schemas-upnp-org:service:WANPPPConnection:2", Verdict::Gateway),
            ("urn:schemas-upnp-org:device:InternetGatewayDevice", Verdict::NotAGateway),
            ("urn:schemas-upnp-org:device:InternetGatewayDeviceX:1", Verdict::NotAGateway),
            ("urn:schemas-upnp-org:device:MediaServer:1", Verdict::NotAGateway),
            ("urn:dslforum-org:device:InternetGatewayDevice:1", Verdict::NotAGateway),
            ("upnp:rootdevice", Verdict::Candidate),
            ("UUID:anything", Verdict::Candidate),
            ("ssdp:all", Verdict::Candidate),
            ("é", Verdict::NotAGateway),
        ] {
            assert_eq!(verdict(target), expected, "{target}");
        }
    }

    #[test]
    fn no_prefix_of_an_answer_panics_or_lies() {
        let whole = "HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: http://192.168.1.1:5000/x\r\nUSN: b\r\n\r\n";
        for end in 0..whole.len() {
            if let Ok(answer) = Answer::parse(&whole.as_bytes()[..end], ROUTER) {
                assert_eq!(answer.location.host(), ROUTER);
            }
        }
    }

    #[test]
    fn a_search_has_the_bytes_that_devices_expect() {
        assert_eq!(
            search_request("upnp:rootdevice", GROUP),
            "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\
             ST: upnp:rootdevice\r\n\r\n"
        );
    }

    #[test]
    fn the_schedule_begins_with_one_datagram_and_ends_with_everybody() {
        let steps = schedule();
        assert!(steps.is_sorted_by_key(|step| step.after));
        assert_eq!(steps.iter().filter(|step| step.after < OTHERS_AFTER).count(), 1);
        assert_eq!(steps.first().map(|step| step.target), Some(FIRST_TARGET));
        assert_eq!(steps.last().map(|step| step.target), Some(LAST_TARGET));
        for target in OTHER_TARGETS.into_iter().chain([FIRST_TARGET]) {
            assert_eq!(steps.iter().filter(|step| step.target == target).count(), 3, "{target}");
        }
        assert_eq!(steps.len(), 16);
    }
}
