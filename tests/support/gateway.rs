//! An internet gateway device whose every answer can be made faulty.
//!
//! Healthy, it serves a description and the answers of its WAN services. A
//! [`Play`] takes the place of either; it gets the healthy body and sends what
//! it likes.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wire::{Exchange, Request, Server, Wire};

/// Where the description lies.
pub(crate) const DESCRIPTION: &str = "/desc.xml";

/// The action that the daemon asks the address with.
pub(crate) const GET_IPV4: &str = "GetExternalIPAddress";

/// AVM's action for the gateway's own IPv6 address.
pub(crate) const GET_IPV6: &str = "X_AVM_DE_GetExternalIPv6Address";

/// Requests closer together than this count as one poll: rather one too few than
/// one too many.
const ONE_POLL: Duration = Duration::from_millis(400);

/// What the gateway was asked, and what it would say when healthy.
pub(crate) struct Ask<'a> {
    pub(crate) body: &'a str,
    pub(crate) generation: u32,
    pub(crate) path: &'a str,
    pub(crate) action: &'a str,
    pub(crate) address: &'a str,
}

/// A way to answer.
pub(crate) type Play = Arc<dyn Fn(&Ask<'_>, &mut Wire<'_>) -> io::Result<()> + Send + Sync>;

/// Which kind of answer is played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Description,
    Soap,
}

#[derive(Default)]
struct State {
    address: String,
    ipv6: Option<String>,
    /// Part of the control path: after a reboot the old one is unknown.
    generation: u32,
    plays: Plays,
    served: [Vec<u32>; 2],
}

impl State {
    fn play(&mut self, plays: Plays, address: &str) {
        self.served = [vec![0; plays.description.len()], vec![0; plays.soap.len()]];
        self.plays = plays;
        if address.contains(':') {
            self.ipv6 = Some(address.to_owned());
        } else {
            address.clone_into(&mut self.address);
        }
    }
}

/// What is played instead of healthy answers.
#[derive(Clone, Default)]
pub(crate) struct Plays {
    pub(crate) description: Vec<Play>,
    pub(crate) soap: Vec<Play>,
    /// Other actions than this are answered as always.
    pub(crate) only: Option<&'static str>,
}

/// The gateway.
pub(crate) struct Gateway {
    server: Option<Server>,
    past: Vec<Exchange>,
    state: Arc<Mutex<State>>,
}

impl Gateway {
    pub(crate) fn start(at: SocketAddr, address: &str) -> Self {
        let state = State { address: address.to_owned(), ..State::default() };
        let mut gateway = Self { server: None, past: Vec::new(), state: Arc::new(Mutex::new(state)) };
        gateway.power_on(at);
        gateway
    }

    /// Starts to listen, at another place than before or the same.
    pub(crate) fn power_on(&mut self, at: SocketAddr) {
        let state = Arc::clone(&self.state);
        self.server = Some(Server::start(at, Arc::new(move |request, wire| answer(&state, request, wire))));
    }

    /// Stops to listen; the control path is another one afterwards.
    pub(crate) fn power_off(&mut self) {
        self.state.lock().unwrap().generation += 1;
        if let Some(server) = self.server.take() {
            self.past.extend(server.exchanges());
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.as_ref().unwrap().port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{DESCRIPTION}", self.server.as_ref().unwrap().address())
    }

    /// Plays from now on, with `address` as the external one of its family.
    pub(crate) fn play(&self, plays: Plays, address: &str) {
        self.state.lock().unwrap().play(plays, address);
    }

    /// The same at another control path, for which the daemon has to read the
    /// description again. Both at once: a poll in between would meet only half.
    pub(crate) fn play_elsewhere(&self, plays: Plays, address: &str) {
        let mut state = self.state.lock().unwrap();
        state.generation += 1;
        state.play(plays, address);
    }

    /// Healthy from now on.
    pub(crate) fn heal(&self, address: &str) {
        self.play(Plays::default(), address);
    }

    /// How often each play of `place` was begun.
    pub(crate) fn served(&self, place: Place) -> Vec<u32> {
        self.state.lock().unwrap().served[place as usize].clone()
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        let now = self.server.as_ref().map(Server::exchanges).unwrap_or_default();
        self.past.iter().cloned().chain(now).collect()
    }

    /// When polls that began after `since` began and ended. Who reads the description
    /// after it has asked what stands in it begins another one.
    pub(crate) fn polls(&self, since: Instant) -> Vec<(Instant, Instant)> {
        let mut polls: Vec<(Instant, Instant)> = Vec::new();
        let (mut has_read, mut has_asked) = (false, false);
        for exchange in self.exchanges().iter().filter(|exchange| exchange.started >= since) {
            let reads = exchange.request.method == "GET";
            match polls.last_mut() {
                Some(poll) if exchange.started < poll.1 + ONE_POLL && !(reads && has_asked) => {
                    poll.1 = poll.1.max(exchange.end());
                }
                _ => {
                    polls.push((exchange.started, exchange.end()));
                    (has_read, has_asked) = (false, false);
                }
            }
            has_read |= reads;
            has_asked |= has_read && !reads;
        }
        polls
    }
}

fn answer(state: &Mutex<State>, request: &Request, wire: &mut Wire<'_>) -> io::Result<()> {
    let action = request.field("SOAPAction").trim_matches('"');
    let (service, action) = action.split_once('#').unwrap_or_default();
    let place = if request.method == "GET" { Place::Description } else { Place::Soap };
    let (status, body, generation, address, play) = {
        let mut state = state.lock().unwrap();
        let (status, body) = healthy(&state, request, service, action);
        let play = if status == "404 Not Found" { None } else { choose(&mut state, place, action) };
        let address =
            if action == GET_IPV6 { state.ipv6.clone().unwrap_or_default() } else { state.address.clone() };
        (status, body, state.generation, address, play)
    };
    let Some(play) = play else {
        return wire.reply(status, "Content-Type: text/xml; charset=\"utf-8\"\r\n", body.as_bytes());
    };
    wire.mark_faulty();
    play(&Ask { body: &body, generation, path: &request.path, action, address: &address }, wire)
}

/// The next play of `place`, if any; they take turns.
fn choose(state: &mut State, place: Place, action: &str) -> Option<Play> {
    if place == Place::Soap && state.plays.only.is_some_and(|only| only != action) {
        return None;
    }
    let plays = if place == Place::Description { &state.plays.description } else { &state.plays.soap };
    let served = &mut state.served[place as usize];
    let (index, count) = served.iter_mut().enumerate().min_by_key(|(_, count)| **count)?;
    *count += 1;
    Some(Arc::clone(&plays[index]))
}

fn healthy(state: &State, request: &Request, service: &str, action: &str) -> (&'static str, String) {
    if request.method == "GET" && request.path == DESCRIPTION {
        return ("200 OK", description(&[service_entry("WANIPConnection:1", state.generation)]));
    }
    let known = request.path.ends_with(&format!("-{}", state.generation));
    if request.method != "POST" || !known {
        return ("404 Not Found", String::new());
    }
    match (action, &state.ipv6) {
        (GET_IPV4, _) => ("200 OK", response(service, action, &[("NewExternalIPAddress", &state.address)])),
        (GET_IPV6, Some(address)) => ("200 OK", ipv6_response(service, address, "3600")),
        ("GetStatusInfo", _) => {
            ("200 OK", response(service, action, &[("NewConnectionStatus", "Connected")]))
        }
        _ => ("500 Internal Server Error", soap_fault("401", "Invalid Action")),
    }
}

/// A service's type and its control path.
pub(crate) fn service_entry(service: &str, generation: u32) -> (String, String) {
    (format!("urn:schemas-upnp-org:service:{service}"), format!("/ctl/wan-{generation}"))
}

/// A description of a gateway with these WAN services.
pub(crate) fn description(services: &[(String, String)]) -> String {
    let mut list = String::new();
    for (index, (service, path)) in services.iter().enumerate() {
        write!(
            list,
            "<service><serviceType>{service}</serviceType>\
             <serviceId>urn:upnp-org:serviceId:WANConn{index}</serviceId>\
             <controlURL>{path}</controlURL><eventSubURL>/evt{index}</eventSubURL>\
             <SCPDURL>/scpd{index}.xml</SCPDURL></service>"
        )
        .unwrap();
    }
    let device = |kind: &str, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>\
             <friendlyName>Fault gateway</friendlyName><manufacturer>Nobody</manufacturer>\
             <modelName>Stand-in</modelName><UDN>uuid:00000000-0000-4000-8000-00000000fa17</UDN>{inner}</device>"
        )
    };
    let inside = |inner: &str| format!("<deviceList>{inner}</deviceList>");
    let connection = device("WANConnectionDevice", &format!("<serviceList>{list}</serviceList>"));
    let wan = device("WANDevice", &inside(&connection));
    let root = device("InternetGatewayDevice", &inside(&wan));
    format!(
        "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">\
         <specVersion><major>1</major><minor>0</minor></specVersion>{root}</root>\n"
    )
}

fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{inner}</s:Body></s:Envelope>\n"
    )
}

/// A successful answer to `action`.
pub(crate) fn response(service: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: Vec<String> =
        arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    let arguments = arguments.concat();
    envelope(&format!("<u:{action}Response xmlns:u=\"{service}\">{arguments}</u:{action}Response>"))
}

/// AVM's answer to [`GET_IPV6`].
pub(crate) fn ipv6_response(service: &str, address: &str, lifetime: &str) -> String {
    let arguments = [
        ("NewExternalIPv6Address", address),
        ("NewPrefixLength", "64"),
        ("NewValidLifetime", lifetime),
        ("NewPreferedLifetime", lifetime),
    ];
    response(service, GET_IPV6, &arguments)
}

/// A refusal (UDA 1.0, section 3.2.2).
pub(crate) fn soap_fault(code: &str, text: &str) -> String {
    envelope(&format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
         <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{text}</errorDescription></UPnPError></detail></s:Fault>"
    ))
}
