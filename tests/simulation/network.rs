//! Lines to the internet and the gateways in front of them: what they say, and how
//! they fail.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Prefix};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::{ExchangeError, Request};
use ddns_update_daemon::http::{Response, ResponseReader};
use ddns_update_daemon::natpmp::message::{ExternalAddress, ResultCode};
use ddns_update_daemon::soap::actions::{GET_EXTERNAL_IPV6, GET_IPV6_PREFIX};

use crate::chance::Chance;

/// The addresses that the provider of each line gives out, few enough that one comes back.
pub(crate) const POOLS: [&[Ipv4Addr]; 2] = [
    &[
        Ipv4Addr::new(84, 112, 7, 21),
        Ipv4Addr::new(84, 112, 9, 210),
        Ipv4Addr::new(91, 17, 200, 3),
        Ipv4Addr::new(91, 17, 33, 128),
    ],
    &[Ipv4Addr::new(62, 4, 8, 15), Ipv4Addr::new(62, 4, 16, 23), Ipv4Addr::new(62, 4, 42, 1)],
];

/// Of this the provider delegates a new part every time.
const DELEGATED: u8 = 56;

pub(crate) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// Whether an address is one that a line had, or a host behind it.
pub(crate) fn is_of_the_provider(address: Ipv6Addr) -> bool {
    address.octets().starts_with(&[0x2a, 0x02, 0x81, 0x08])
}

/// Why nobody may ever be sent these: addresses that no line ever had, or not the one
/// that the target names.
pub(crate) fn never(addresses: &Addresses, line: Option<usize>) -> Option<&'static str> {
    let has = |pool: usize| addresses.ipv4.is_none_or(|address| POOLS[pool].contains(&address));
    if line.is_some_and(|line| !has(line) && has(1 - line)) {
        return Some("which is the other line's");
    }
    let of_a_line = (has(0) || has(1))
        && addresses.ipv6.is_none_or(is_of_the_provider)
        && addresses.ipv6_prefix.is_none_or(|prefix| is_of_the_provider(prefix.address()));
    (!of_a_line).then_some("which no line ever had")
}

/// The LAN that the router makes of a delegated prefix: not the first.
pub(crate) fn lan(delegated: Prefix) -> Prefix {
    Prefix::new(delegated.host(v6("::1:0:0:0:0")), 64).unwrap()
}

/// This host's address in it.
pub(crate) fn local(lan: Prefix) -> Ipv6Addr {
    lan.host(v6("::211:32ff:fe00:9"))
}

/// The router's own address.
pub(crate) fn router(delegated: Prefix) -> Ipv6Addr {
    delegated.host(v6("::ff:0:0:0:1"))
}

/// A line to the internet.
pub(crate) struct Line {
    /// What the provider gave it; `None` while it is down.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// What the router holds instead, behind the provider's NAT.
    pub(crate) behind: Option<Ipv4Addr>,
    /// What the provider delegated to it; `None` also while it is down.
    pub(crate) ipv6: Option<Prefix>,
    /// It has IPv6, mostly.
    pub(crate) has_ipv6: bool,
    /// How many times it has come up, and no other line's number.
    pub(crate) session: u64,
    pool: &'static [Ipv4Addr],
    /// What its router held while it was up.
    last: Option<Ipv4Addr>,
    delegated: u16,
    /// What it gets next, where that is no matter of chance.
    pub(crate) next: Option<Ipv4Addr>,
}

impl Line {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let pool = POOLS[0];
        let (ipv4, has_ipv6) = (Some(chance.pick(pool)), !chance.one_in(4));
        let (session, last) = (0, None);
        let mut line =
            Self { ipv4, behind: None, ipv6: None, has_ipv6, session, pool, last, delegated: 0, next: None };
        line.delegate();
        line
    }

    /// A second line, which has no IPv6.
    pub(crate) fn second(chance: &mut Chance) -> Self {
        let mut line = Self::new(chance);
        (line.pool, line.has_ipv6, line.ipv6, line.session) = (POOLS[1], false, None, 1 << 32);
        line.ipv4 = Some(chance.pick(line.pool));
        line
    }

    /// Goes down.
    pub(crate) fn go_down(&mut self) {
        self.last = self.wan().or(self.last);
        (self.ipv4, self.ipv6) = (None, None);
    }

    /// Whether what went out by it at that time can come back.
    pub(crate) fn carries(&self, session: u64) -> bool {
        self.ipv4.is_some() && self.session == session
    }

    /// Comes up, mostly with another address than before.
    pub(crate) fn come_up(&mut self, chance: &mut Chance) {
        self.ipv4 = self.next.take().or_else(|| Some(chance.pick(self.pool)));
        self.delegate();
        self.session += 1;
    }

    /// Gets another prefix, if it has IPv6.
    pub(crate) fn delegate(&mut self) {
        self.delegated += 1;
        let address = Ipv6Addr::new(0x2a02, 0x8108, self.delegated, 0x4200, 0, 0, 0, 0);
        self.ipv6 = Prefix::new(address, DELEGATED).filter(|_| self.has_ipv6);
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
    Stale(Option<Ipv4Addr>, Option<Prefix>),
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

/// What it says of IPv6, and for how long.
const LIES_V6: [(&str, &str); 9] = [
    ("", "7200"),
    ("::", "7200"),
    ("fe80::1", "7200"),
    ("::1", "7200"),
    ("ff02::1", "7200"),
    ("2001:db8::1", "7200"),
    ("fd00:1::1", "7200"),
    ("2a02:8108:1::1", "0"),
    ("2a02:8108:1::1", "soon"),
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
            5 => ("router stale", Self::Stale(line.wan(), line.ipv6)),
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
    /// It has AVM's actions for IPv6.
    pub(crate) avm: bool,
    /// Its NAT-PMP still tells this: it lags, or somebody forges its answers.
    pub(crate) lags: Option<Ipv4Addr>,
}

const CONNECTION: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

impl Gateway {
    pub(crate) fn new(host: &str, avm: bool) -> Self {
        let location = LanUrl::parse(&format!("http://{host}:5000/rootDesc.xml")).unwrap();
        Self { manner: Manner::Well, until: Duration::ZERO, location, avm, lags: None }
    }

    /// Answers one request, after some time.
    pub(crate) fn answer(
        &self,
        line: &Line,
        second: Option<&Line>,
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
        let mut bytes = self.bytes(line, second, request).into_bytes();
        match self.manner {
            Manner::Cut => bytes.truncate(chance.below(bytes.len())),
            // One service less, and the second would be the first: nobody could tell.
            Manner::Damaged if second.is_some() && request.method == "GET" => {}
            Manner::Damaged => {
                // A changed digit would be another address, which nobody could tell.
                let at = chance.below(bytes.len());
                if !bytes[at].is_ascii_hexdigit() && !b".:".contains(&bytes[at]) {
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

    /// Answers NAT-PMP, if it does in time.
    pub(crate) fn natpmp(&self, line: &Line, chance: &mut Chance) -> Option<Vec<u8>> {
        let told = match self.manner {
            Manner::Rebooting | Manner::Silent | Manner::Refusing => return None,
            Manner::Slow if chance.one_in(2) => return None,
            Manner::Stale(old, _) => old,
            Manner::Lying(lie) => lie.parse().ok(),
            _ => self.lags.or(line.wan()),
        };
        let result = if told.is_some() { ResultCode::Success } else { ResultCode::NetworkFailure };
        let address = told.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut bytes = ExternalAddress { result, epoch: 7, address }.to_bytes();
        match self.manner {
            Manner::Cut => bytes.truncate(chance.below(bytes.len())),
            Manner::Damaged => {
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
            }
            _ => {}
        }
        Some(bytes)
    }

    fn bytes(&self, line: &Line, second: Option<&Line>, request: &Request) -> String {
        // Each line has a service of its own.
        let its_own = second.filter(|_| request.url.path().ends_with('2'));
        let asks = |action: &str| request.fields.iter().any(|(_, value)| value.contains(action));
        let (status, body) = if request.method == "GET" {
            ("200 OK", description(&["IPConn", "IPConn2"][..=usize::from(second.is_some())]))
        } else if self.manner == Manner::Refusing {
            ("500 Internal Server Error", fault(501, "Action Failed"))
        } else if asks("GetExternalIPAddress") {
            let told = match self.manner {
                Manner::Lying(lie) => lie.to_owned(),
                Manner::Stale(old, _) if its_own.is_none() => {
                    old.map(|old| old.to_string()).unwrap_or_default()
                }
                _ => {
                    // One with several says what a line that is down had.
                    let told = its_own.unwrap_or(line);
                    let told = told.wan().or(told.last.filter(|_| second.is_some()));
                    told.map(|told| told.to_string()).unwrap_or_default()
                }
            };
            (
                "200 OK",
                reply(
                    "GetExternalIPAddress",
                    &format!("<NewExternalIPAddress>{told}</NewExternalIPAddress>"),
                ),
            )
        } else if asks("GetStatusInfo") {
            let status = if its_own.unwrap_or(line).ipv4.is_some() { "Connected" } else { "Disconnected" };
            let body = format!(
                "<NewConnectionStatus>{status}</NewConnectionStatus><NewLastConnectionError>ERROR_NONE</NewLastConnectionError>\
                 <NewUptime>7</NewUptime>"
            );
            ("200 OK", reply("GetStatusInfo", &body))
        } else if let Some(action) =
            [GET_EXTERNAL_IPV6, GET_IPV6_PREFIX].into_iter().find(|action| asks(action)).filter(|_| self.avm)
        {
            ("200 OK", reply(action, &self.ipv6(line, action)))
        } else {
            ("500 Internal Server Error", fault(401, "Invalid Action"))
        };
        format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }
}

impl Gateway {
    /// The arguments of an answer to one of AVM's actions.
    fn ipv6(&self, line: &Line, action: &str) -> String {
        let told = if let Manner::Stale(_, old) = self.manner { old } else { line.ipv6 };
        let is_prefix = action == GET_IPV6_PREFIX;
        let (text, valid) = match (self.manner, told) {
            (Manner::Lying(lie), _) => {
                let (text, valid) = LIES_V6[lie.len() % LIES_V6.len()];
                (text.to_owned(), valid)
            }
            (_, Some(prefix)) if is_prefix => (prefix.address().to_string(), "7200"),
            (_, Some(prefix)) => (router(prefix).to_string(), "7200"),
            (_, None) => (String::new(), "0"),
        };
        let name = if is_prefix { "NewIPv6Prefix" } else { "NewExternalIPv6Address" };
        let length = if is_prefix { DELEGATED } else { 64 };
        format!(
            "<{name}>{text}</{name}><NewPrefixLength>{length}</NewPrefixLength>\
             <NewValidLifetime>{valid}</NewValidLifetime><NewPreferedLifetime>{valid}</NewPreferedLifetime>"
        )
    }
}

fn description(services: &[&str]) -> String {
    let device = |kind: &str, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType><friendlyName>sim</friendlyName>\
             <UDN>uuid:00000000-0000-0000-0000-000000000001</UDN>{inner}</device>"
        )
    };
    let service = |(index, name): (usize, &&str)| {
        format!(
            "<service><serviceType>{CONNECTION}</serviceType>\
             <serviceId>urn:upnp-org:serviceId:WANIPConn{}</serviceId><controlURL>/ctl/{name}</controlURL>\
             <eventSubURL>/evt/{name}</eventSubURL><SCPDURL>/WANIPCn.xml</SCPDURL></service>",
            index + 1
        )
    };
    let services: String = services.iter().enumerate().map(service).collect();
    let service = format!("<serviceList>{services}</serviceList>");
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
