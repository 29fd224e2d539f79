//! `router_ip` and the lists of sources, `ipv4` and `ipv6`.

use std::net::IpAddr;

use super::idn::ascii_name;
use super::section::Value;
use super::{Gateway, Source, provider_url};
use crate::address::Family;
use crate::config::suggest::nearest;
use crate::http::lan_url::{LanUrl, UrlError};
use crate::transport::url::HttpUrl;

/// More in one configuration would be asked for ever.
pub(super) const MAX_SOURCES: usize = 64;

/// Each is searched for: more than share one gateway's duties.
const MAX_ROUTERS: usize = 8;

const KINDS: [&str; 4] = ["upnp", "natpmp", "pcp", "interface"];

/// What may stand in a list of sources.
const EXPECTED: &str =
    "expected \"upnp\", \"natpmp\", \"pcp\", \"interface\" or an echo service's URL (\"https://...\")";

/// Longer ones are no echo service's.
const MAX_URL: usize = 256;

/// What `router_ip` says.
#[derive(Clone)]
pub(super) enum Router {
    /// Nothing: the default route's gateway.
    Any,
    /// Watch this host instead of a gateway.
    ThisHost,
    At(Vec<IpAddr>),
    Description(LanUrl),
    Named(String, Option<LanUrl>),
}

impl Router {
    /// Reads one address or URL, or a list of addresses: routers that share one
    /// address answer from their own, too, and the gateway may not be the default
    /// route's (a VPN, a second router).
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        if !value.is_list() {
            return Self::read_one(value);
        }
        let mut all = Vec::new();
        for entry in value.list()? {
            match Self::read_one(&entry)? {
                Self::At(addresses) if all.len() < MAX_ROUTERS => all.extend(addresses),
                Self::At(_) => return value.refuse(&format!("expected at most {MAX_ROUTERS} addresses")),
                _ => {
                    return entry
                        .refuse("expected a router's IP address; only addresses can stand in a list");
                }
            }
        }
        if all.is_empty() {
            return value
                .refuse("expected at least one address; leave router_ip out for the default route's");
        }
        Some(Self::At(all))
    }

    fn read_one(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?.trim();
        if text.is_empty() {
            return Some(Self::Any);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            return match usable(address) {
                _ if address.is_loopback() => Some(Self::ThisHost),
                Ok(()) => Some(Self::At(vec![address])),
                Err(problem) => value.refuse(problem),
            };
        }
        // Credentials are dropped, as 1.0 did: no gateway asks for any.
        let plain = HttpUrl::split(text).map_or_else(|_| text.to_owned(), |parts| parts.to_send());
        match read_place(&plain) {
            Ok(Some(Gateway::Description(url))) => Some(Self::Description(url)),
            Ok(Some(Gateway::Named(name, url))) => Some(Self::Named(name, url)),
            Err(problem) => value.refuse_hidden(&problem),
            Ok(_) => value.refuse(
                "expected the router's IP address (\"192.168.1.1\") or name (\"fritz.box\"), a loopback \
                 address to watch this host, the URL of the router's description \
                 (\"http://192.168.1.1:5000/rootDesc.xml\"), or a list of addresses",
            ),
        }
    }

    /// The sources of a family for which none are listed.
    pub(super) fn default_sources(&self, family: Family) -> Vec<Source> {
        if matches!(self, Self::ThisHost) {
            return vec![Source::Interface(None)];
        }
        match family {
            Family::V4 => vec![Source::Upnp(self.upnp())],
            Family::V6 => vec![Source::Upnp(self.upnp()), Source::Interface(None)],
        }
    }

    fn upnp(&self) -> Gateway {
        match self {
            Self::Any | Self::ThisHost => Gateway::Any,
            Self::At(addresses) => Gateway::At(addresses.clone()),
            Self::Description(url) => Gateway::Description(url.clone()),
            Self::Named(name, url) => Gateway::Named(name.clone(), url.clone()),
        }
    }

    /// A source for the protocols that we speak over IPv4 only: a router pinned
    /// by its IPv6 address has none.
    fn over_ipv4(&self, make: MakeSource) -> Option<Source> {
        match self {
            Self::Any | Self::ThisHost => Some(make(None)),
            Self::At(addresses) => {
                addresses.iter().find(|address| address.is_ipv4()).map(|address| make(Some(*address)))
            }
            Self::Description(url) => url.host().is_ipv4().then(|| make(Some(url.host()))),
            Self::Named(..) => None,
        }
    }
}

/// Makes a source of a gateway's address; `None`: the default route's.
type MakeSource = fn(Option<IpAddr>) -> Source;

/// Reads a list of sources; an empty one switches the family off.
pub(super) fn read_list(value: &Value<'_>, family: Family, router: &Router) -> Option<Vec<Source>> {
    let entries = value.list()?;
    if entries.len() > MAX_SOURCES {
        return value.refuse(&format!("expected at most {MAX_SOURCES} sources"));
    }
    let mut sources = Vec::new();
    for entry in entries {
        let source = read_source(&entry, family, router)?;
        if sources.contains(&source) {
            return entry.refuse("this source is listed twice");
        }
        sources.push(source);
    }
    Some(sources)
}

fn read_source(value: &Value<'_>, family: Family, router: &Router) -> Option<Source> {
    let text = value.text()?;
    let (kind, place) = match text.split_once(':') {
        Some((kind, place)) => (kind, Some(place)),
        None => (text, None),
    };
    match (kind, place) {
        (kind, Some(_)) if kind.eq_ignore_ascii_case("https") || kind.eq_ignore_ascii_case("http") => {
            read_echo(text, family).map_or_else(|problem| value.refuse_hidden(&problem), Some)
        }
        ("natpmp" | "pcp", _) if family == Family::V6 => {
            let name = if kind == "pcp" { "PCP" } else { "NAT-PMP" };
            value.refuse(&format!("{name} tells no IPv6 address; expected \"upnp\" or \"interface\""))
        }
        ("upnp", None) => Some(Source::Upnp(router.upnp())),
        ("upnp", Some(line)) if line.starts_with('#') => match read_gateway(line) {
            Ok(Gateway::Line(_, line)) => Some(Source::Upnp(Gateway::Line(Box::new(router.upnp()), line))),
            Ok(_) => None,
            Err(problem) => value.refuse(&problem),
        },
        ("upnp", Some(place)) => read_gateway(place)
            .map_or_else(|problem| value.refuse_hidden(&problem), |gateway| Some(Source::Upnp(gateway))),
        ("natpmp", place) => read_over_ipv4(value, kind, place, router, Source::NatPmp),
        ("pcp", place) => read_over_ipv4(value, kind, place, router, Source::Pcp),
        ("interface", None) => Some(Source::Interface(None)),
        ("interface", Some(name)) if is_interface(name) => Some(Source::Interface(Some(name.to_owned()))),
        ("interface", Some(_)) => {
            value.refuse("expected an interface's name behind the colon, as in \"interface:eth0\"")
        }
        // It might hold credentials.
        _ if text.contains("://") => value.refuse_hidden(&format!("no such source; {EXPECTED}")),
        (kind, _) => match nearest(kind, KINDS) {
            Some(meant) => value.refuse(&format!("no such source; did you mean {meant:?}?")),
            None => value.refuse(&format!("no such source; {EXPECTED}")),
        },
    }
}

/// Reads an echo service's URL. Its host is shown in the log, and whoever answers in
/// its place chooses what is published.
fn read_echo(text: &str, family: Family) -> Result<Source, String> {
    let url = provider_url::check(text, ascii_name)?;
    let parts = HttpUrl::split(&url)?;
    if parts.user.is_some() || parts.query.is_some() || url.contains(['{', '}']) || url.len() > MAX_URL {
        return Err(format!(
            "expected an echo service's URL without credentials, query and placeholders, \
             of at most {MAX_URL} characters"
        ));
    }
    let address = parts.address();
    if !parts.https && !parts.is_loopback() && !address.is_some_and(is_local) {
        return Err("expected https://, as whoever forges the answer chooses what is published \
             (http:// only towards loopback and private addresses)"
            .to_owned());
    }
    match address {
        Some(address) if address.is_ipv4() != (family == Family::V4) => {
            Err(format!("this echo service can be asked over {} only", other(family)))
        }
        _ => Ok(Source::Echo(url)),
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}

/// Whether an address lies in the user's own network.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Reads `natpmp` and `pcp`, with or without a gateway.
fn read_over_ipv4(
    value: &Value<'_>,
    kind: &str,
    place: Option<&str>,
    router: &Router,
    make: MakeSource,
) -> Option<Source> {
    let Some(place) = place else {
        return router.over_ipv4(make).or_else(|| {
            value.refuse(&format!("router_ip is no IPv4 address, which {kind} needs: \"{kind}:192.168.1.1\""))
        });
    };
    match place.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if address.is_ipv4() && usable(address).is_ok() => Some(make(Some(address))),
        _ => value.refuse(&format!(
            "expected a gateway's IPv4 address behind the colon, as in \"{kind}:192.168.1.1\""
        )),
    }
}

/// Reads which gateway to ask: an address, several with commas between them, or
/// the URL of a description.
pub fn read_gateway(text: &str) -> Result<Gateway, String> {
    let addresses: Result<Vec<IpAddr>, _> = text.split(',').map(|one| one.trim().parse()).collect();
    if let Ok(addresses) = addresses {
        let addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
        addresses.iter().try_for_each(|address| usable(*address)).map_err(str::to_owned)?;
        if addresses.len() > MAX_ROUTERS {
            return Err(format!("expected at most {MAX_ROUTERS} addresses"));
        }
        return Ok(Gateway::At(addresses));
    }
    if let Some((gateway, line)) = text.split_once('#') {
        let good = !line.is_empty() && line.len() <= 64 && line.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            return Err("expected the number or name of a connection behind the #, as in \"#2\"".to_owned());
        }
        let gateway = if gateway.is_empty() { Gateway::Any } else { read_gateway(gateway)? };
        return Ok(Gateway::Line(Box::new(gateway), line.to_owned()));
    }
    let expected = "expected a gateway's IP address, its name or the URL of its description";
    read_place(text)?.ok_or_else(|| expected.to_owned())
}

/// A URL or a name of a router.
fn read_place(text: &str) -> Result<Option<Gateway>, String> {
    let nowhere = IpAddr::from([0, 0, 0, 0]);
    if !text.contains("://") {
        // It has the form of a name if it can stand for one in a URL. A single word is
        // rather a mistake.
        let name = LanUrl::parse_from(nowhere, &format!("http://{text}/"));
        let good =
            name.is_ok_and(|url| url.authority() == text && url.host() == nowhere && text.contains('.'));
        return Ok(good.then(|| Gateway::Named(text.to_owned(), None)));
    }
    let url = read_url(nowhere, text).map_err(|error| format!("this is no gateway's URL: {error}"))?;
    let authority = url.authority();
    match authority.split(':').next() {
        Some(name) if url.host() == nowhere && name != "0.0.0.0" => {
            Ok(Some(Gateway::Named(name.to_owned(), Some(url))))
        }
        _ => Ok(Some(Gateway::Description(url))),
    }
}

/// Any port may be meant.
fn read_url(nowhere: IpAddr, text: &str) -> Result<LanUrl, UrlError> {
    match HttpUrl::split(text) {
        Ok(parts) if parts.user.is_none() && parts.check().is_ok() => {
            let url = LanUrl::parse_from(nowhere, &parts.on_default_port().to_send())?;
            Ok(url.at_port(parts.port()))
        }
        _ => LanUrl::parse_from(nowhere, text),
    }
}

fn usable(address: IpAddr) -> Result<(), &'static str> {
    let broadcast = address == IpAddr::from([255, 255, 255, 255]);
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err("no router can have this address");
    }
    Ok(())
}

/// Names as the kernel allows them (and longer: other systems have long ones).
fn is_interface(name: &str) -> bool {
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '"';
    !name.is_empty() && name.len() <= 255 && !name.contains(bad)
}
