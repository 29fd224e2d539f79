//! Lines to the internet and the gateways in front of them: what they say, and how
//! they fail.

use std::net::Ipv4Addr;
use std::time::Duration;

use ddns_update_daemon::address::{Finding, Observation};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::{ExchangeError, Request};
use ddns_update_daemon::http::{Response, ResponseReader};
use ddns_update_daemon::soap::description::Service;
use ddns_update_daemon::soap::gateway::{self, StopAt, Wanted};

use crate::chance::Chance;

/// The addresses that a provider gives out, few enough that one comes back.
pub(crate) const POOL: [Ipv4Addr; 4] = [
    Ipv4Addr::new(84, 112, 7, 21),
    Ipv4Addr::new(84, 112, 9, 210),
    Ipv4Addr::new(91, 17, 200, 3),
    Ipv4Addr::new(91, 17, 33, 128),
];

/// A line to the internet.
pub(crate) struct Line {
    /// What the provider gave it; `None` while it is down.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// What the router holds instead, behind the provider's NAT.
    pub(crate) behind: Option<Ipv4Addr>,
    /// How many times it has come up.
    pub(crate) session: u64,
}

impl Line {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self { ipv4: Some(chance.pick(&POOL)), behind: None, session: 0 }
    }

    /// Comes up, mostly with another address than before.
    pub(crate) fn come_up(&mut self, chance: &mut Chance) {
        self.ipv4 = Some(chance.pick(&POOL));
        self.session += 1;
    }

    /// What the router's interface has.
    pub(crate) fn wan(&self) -> Option<Ipv4Addr> {
        self.ipv4.map(|ipv4| self.behind.unwrap_or(ipv4))
    }

    /// The address by which this house can be reached.
    pub(crate) fn reachable(&self) -> Option<Ipv4Addr> {
        self.ipv4.filter(|_| self.behind.is_none())
    }
}

/// How a gateway behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    Well,
    /// Nobody listens.
    Rebooting,
    /// Takes connections and says nothing.
    Silent,
    /// Every answer is cut somewhere.
    Cut,
    /// Every answer has a wrong byte that TCP did not see.
    Damaged,
    /// Answers with errors.
    Refusing,
    /// Says what its line had before, for a while.
    Stale(Option<Ipv4Addr>),
    /// Says what cannot be.
    Lying(&'static str),
    /// Takes its time.
    Slow,
}

/// What a lying gateway says.
const LIES: [&str; 14] = [
    "",
    "0.0.0.0",
    "127.0.0.1",
    "10.0.0.2",
    "192.168.1.1",
    "172.16.4.4",
    "100.64.3.9",
    "100.127.255.254",
    "169.254.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "84.112.7.256",
    "84.112.7.21.5",
    "unknown",
];

impl Manner {
    /// A manner that is not good, and its name.
    pub(crate) fn bad(chance: &mut Chance, line: &Line) -> (&'static str, Self) {
        match chance.below(8) {
            0 => ("router reboots", Self::Rebooting),
            1 => ("router silent", Self::Silent),
            2 => ("router's answers cut", Self::Cut),
            3 => ("router's answers damaged", Self::Damaged),
            4 => ("router refuses", Self::Refusing),
            5 => ("router stale", Self::Stale(line.wan())),
            6 => ("router lies", Self::Lying(chance.pick(&LIES))),
            _ => ("router slow", Self::Slow),
        }
    }
}

pub(crate) struct Gateway {
    pub(crate) manner: Manner,
    /// When its manner passes.
    pub(crate) until: Duration,
    pub(crate) location: LanUrl,
}

const CONNECTION: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

impl Gateway {
    pub(crate) fn new(host: &str) -> Self {
        let location = LanUrl::parse(&format!("http://{host}:5000/rootDesc.xml")).unwrap();
        Self { manner: Manner::Well, until: Duration::ZERO, location }
    }

    /// Answers one request, after some time.
    fn answer(
        &self,
        line: &Line,
        request: &Request,
        left: Duration,
        chance: &mut Chance,
    ) -> (Duration, Result<Response, ExchangeError>) {
        let quick = chance.millis(1, 20);
        let took = match self.manner {
            Manner::Rebooting if chance.one_in(2) => {
                return (quick, Err(ExchangeError::Connect(std::io::ErrorKind::ConnectionRefused)));
            }
            Manner::Rebooting | Manner::Silent => return (left, Err(ExchangeError::Timeout)),
            Manner::Slow => chance.millis(200, 3000),
            _ => quick,
        };
        if took > left {
            return (left, Err(ExchangeError::Timeout));
        }
        let mut bytes = self.bytes(line, request).into_bytes();
        match self.manner {
            Manner::Cut => bytes.truncate(chance.below(bytes.len())),
            Manner::Damaged => {
                // A changed digit would be another address, which nobody could tell.
                let at = chance.below(bytes.len());
                if !bytes[at].is_ascii_digit() && bytes[at] != b'.' {
                    bytes[at] ^= 1 << chance.below(8);
                }
            }
            _ => {}
        }
        let mut reader = ResponseReader::new(request.max_body);
        let answer = match reader.push(&bytes) {
            Ok(Some(response)) => Ok(response),
            Ok(None) => reader.finish(),
            Err(error) => Err(error),
        };
        (took, answer.map_err(ExchangeError::Http))
    }

    fn bytes(&self, line: &Line, request: &Request) -> String {
        let (status, body) = if request.method == "GET" {
            ("200 OK", description())
        } else if self.manner == Manner::Refusing {
            ("500 Internal Server Error", fault(501, "Action Failed"))
        } else if request.fields.iter().any(|(_, value)| value.contains("GetExternalIPAddress")) {
            let told = match self.manner {
                Manner::Lying(lie) => lie.to_owned(),
                Manner::Stale(old) => old.map(|old| old.to_string()).unwrap_or_default(),
                _ => line.wan().map(|wan| wan.to_string()).unwrap_or_default(),
            };
            (
                "200 OK",
                reply(
                    "GetExternalIPAddress",
                    &format!("<NewExternalIPAddress>{told}</NewExternalIPAddress>"),
                ),
            )
        } else if request.fields.iter().any(|(_, value)| value.contains("GetStatusInfo")) {
            let status = if line.ipv4.is_some() { "Connected" } else { "Disconnected" };
            let body = format!(
                "<NewConnectionStatus>{status}</NewConnectionStatus><NewLastConnectionError>ERROR_NONE</NewLastConnectionError>\
                 <NewUptime>7</NewUptime>"
            );
            ("200 OK", reply("GetStatusInfo", &body))
        } else {
            ("500 Internal Server Error", fault(401, "Invalid Action"))
        };
        format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }
}

fn description() -> String {
    let device = |kind: &str, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType><friendlyName>sim</friendlyName>\
             <UDN>uuid:00000000-0000-0000-0000-000000000001</UDN>{inner}</device>"
        )
    };
    let service = format!(
        "<serviceList><service><serviceType>{CONNECTION}</serviceType>\
         <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/ctl/IPConn</controlURL>\
         <eventSubURL>/evt/IPConn</eventSubURL><SCPDURL>/WANIPCn.xml</SCPDURL></service></serviceList>"
    );
    let list = |inner: String| format!("<deviceList>{inner}</deviceList>");
    let connection = list(device("WANConnectionDevice", &service));
    let wan = list(device("WANDevice", &connection));
    let root = device("InternetGatewayDevice", &wan);
    format!("<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{root}</root>")
}

fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{inner}</s:Body></s:Envelope>"
    )
}

fn reply(action: &str, inner: &str) -> String {
    envelope(&format!("<u:{action}Response xmlns:u=\"{CONNECTION}\">{inner}</u:{action}Response>"))
}

fn fault(code: u16, words: &str) -> String {
    envelope(&format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
         <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{words}</errorDescription></UPnPError></detail></s:Fault>"
    ))
}

/// The daemon's way to one gateway, with what it remembers between polls.
#[derive(Default)]
pub(crate) struct UpnpPoller {
    service: Option<Service>,
    /// What a gateway that was well said while its line had this: the same answers
    /// lead to the same finding, which need not be worked out again.
    found: Option<(Option<Ipv4Addr>, Observation)>,
}

/// What a poll came to, and how long it took.
pub(crate) struct Polled {
    pub(crate) observation: Observation,
    pub(crate) gateway: Option<LanUrl>,
    pub(crate) took: Duration,
}

/// The longest poll.
const POLL: Duration = Duration::from_millis(4500);

impl UpnpPoller {
    pub(crate) fn poll(&mut self, gateway: &Gateway, line: &Line, chance: &mut Chance) -> Polled {
        let wanted = Wanted { ipv4: true, ipv6: false };
        let mut took = Duration::ZERO;
        let mut ask = |request: &Request| {
            let left = POLL.saturating_sub(took).min(Duration::from_secs(2));
            let (time, answer) = gateway.answer(line, request, left, chance);
            took += time;
            answer
        };
        let location = Some(gateway.location.clone());
        let well = gateway.manner == Manner::Well;
        if let Some((wan, observation)) = &self.found
            && well
            && *wan == line.wan()
        {
            return Polled {
                observation: observation.clone(),
                gateway: location,
                took: Duration::from_millis(9),
            };
        }
        self.found = None;
        if let Some(service) = self.service.take() {
            let answer = gateway::ask_service(service.clone(), false, wanted, &mut ask);
            self.found =
                Some((line.wan(), answer.observation.clone())).filter(|_| well && answer.chosen.is_some());
            if answer.chosen.is_some() {
                self.service = Some(service);
                return Polled { observation: answer.observation, gateway: location, took };
            }
        }
        match gateway::survey(&gateway.location, None, wanted, StopAt::UntilGlobal, &mut ask) {
            Ok(report) => {
                self.service = report.chosen().map(|chosen| chosen.service.clone());
                let found = self.service.is_some();
                Polled { observation: report.observation, gateway: location.filter(|_| found), took }
            }
            Err(error) => {
                Polled { observation: Observation::unknown(&error.to_string()), gateway: None, took }
            }
        }
    }
}

/// The address that an observation vouches for.
pub(crate) fn vouched(observation: &Observation) -> Option<Ipv4Addr> {
    match observation.ipv4 {
        Finding::Known(address) => Some(address),
        Finding::Absent(_) | Finding::Unknown(_) => None,
    }
}
