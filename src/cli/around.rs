//! What `discover` asks besides UPnP, and the lines to write after all of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use super::page::Page;
use crate::address::{Addresses, Family, Finding, Observation};
use crate::engine::nat::refusal;
use crate::natpmp;
use crate::pcp::client::{self as pcp, PcpFailure};
use crate::pcp::message::PcpError;
use crate::sources::interface::Interface;
use crate::system;

/// An answer comes at once or never.
const TIME: Duration = Duration::from_millis(800);
/// A mapping takes longer, and so does its removal.
const MAPPING_TIME: Duration = Duration::from_secs(4);

/// Whom the search asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tried {
    /// All routers.
    All,
    /// The one that was named: answers of others do not count.
    One,
    /// Nobody: the place was named.
    Place,
}

/// What the gateway says by other protocols than UPnP, and this host's kernel.
pub(super) struct Around {
    /// The default route's, or the one that was named.
    pub(super) gateway: Option<IpAddr>,
    /// From where it is asked.
    from: Option<IpAddr>,
    natpmp: Finding<Ipv4Addr>,
    pcp: String,
    /// The address that a mapping told.
    mapped: Option<Ipv4Addr>,
    host: Observation,
}

impl Around {
    /// Asks; `map`: PCP may map a port for a moment.
    pub(super) fn ask(gateway: Option<IpAddr>, map: bool) -> Self {
        let after = |time| Instant::now().checked_add(time).unwrap_or_else(Instant::now);
        let natpmp = match gateway.map(|gateway| natpmp::client::external_address(gateway, after(TIME))) {
            Some(Ok(answer)) => answer.finding(),
            Some(Err(error)) => Finding::Unknown(error.to_string()),
            None => Finding::Unknown("not asked: no default gateway is known".to_owned()),
        };
        let (pcp, mapped) = match gateway {
            Some(IpAddr::V4(gateway)) => ask_pcp(gateway, map, &after),
            _ => ("not asked".to_owned(), None),
        };
        let from = gateway.and_then(system::source_towards).or_else(system::default_source);
        let host = Interface::new(None, Addresses::default()).poll();
        Self { gateway, from, natpmp, pcp, mapped, host }
    }

    /// Whether a way other than UPnP tells an address that can be published.
    pub(super) fn is_of_use(&self) -> bool {
        self.natpmp.known().or(self.mapped).is_some_and(|address| is_public(address.into()))
    }

    /// What the gateway says besides UPnP; `has_upnp`: its section has begun.
    pub(super) fn put_gateway(&self, page: &mut Page, has_upnp: bool) {
        if let Some(gateway) = self.gateway {
            if !has_upnp {
                page.line(&format!("{gateway}, the gateway"));
                page.at(14, "  UPnP", "no answer that is of use");
                page.at(14, "  NAT-PMP", &finding(&self.natpmp));
            }
            page.at(14, "  PCP", &self.pcp);
            page.line("");
        }
    }

    /// What the kernel says.
    pub(super) fn put_host(&self, page: &mut Page) {
        page.line("this host");
        page.at(14, "  IPv4", &finding(&self.host.ipv4));
        page.at(14, "  IPv6", &finding(&self.host.ipv6));
        page.line("");
    }

    /// What to write, after what the gateway told by UPnP, and a `stranger`, who is asked
    /// only where he is named.
    pub(super) fn put_lines(&self, page: &mut Page, upnp: &[Ipv4Addr], stranger: Option<IpAddr>) {
        let is_default = self.gateway == default_gateway();
        let place = self.gateway.filter(|_| !is_default);
        let place = place.map_or_else(String::new, |gateway| format!(":{gateway}"));
        let told = upnp.iter().copied().chain(self.natpmp.known()).chain(self.mapped);
        let refused = told.clone().find_map(|address| Some((address, refusal(address.into(), false)?)));
        if upnp.iter().any(|address| is_public((*address).into())) {
            let needless = if is_default { "; nothing need be written. To be explicit" } else { ". Write" };
            page.line(&format!("IPv4 works by UPnP{needless}:"));
            page.at(4, "", &format!("ipv4 = [\"upnp{place}\"]"));
        } else if let Some(stranger) = stranger {
            page.line(&format!(
                "{stranger} tells a public address, but is not believed, as it is not the default route's \
                 gateway. If it is your router, write:"
            ));
            page.at(4, "", &format!("router_ip = \"{stranger}\""));
        } else if self.natpmp.known().is_some_and(|address| is_public(address.into())) {
            page.line(
                "IPv4 works by NAT-PMP, which any host in the network can forge. If all of them are trusted, write:",
            );
            page.at(4, "", &format!("ipv4 = [\"natpmp{place}\"]"));
        } else if self.mapped.is_some_and(|address| is_public(address.into())) {
            page.line("IPv4 works by PCP, which maps a port for a moment at each poll:");
            page.at(4, "", &format!("ipv4 = [\"pcp{place}\"]"));
        } else if let Some((address, why)) = refused {
            page.line(&format!(
                "{address} is not published: {why}. Ask your provider for a public address, or use IPv6 alone:"
            ));
            page.at(4, "", "ipv4 = []");
        }
        if self.host.ipv4.known().is_some_and(|address| is_public(address.into())) {
            page.line("This host has a public IPv4 address itself:");
            page.at(4, "", "ipv4 = [\"interface\"]");
        }
        if self.host.ipv6.known().is_some_and(|address| is_public(address.into())) {
            page.line("This host has a public IPv6 address. For this host's, and not the router's:");
            page.at(4, "", "ipv6 = [\"interface\"]");
        }
    }

    /// Nothing was found: what was tried, why it may be, what else there is.
    pub(super) fn put_reasons(&self, page: &mut Page, tried: Tried, searched: Duration) {
        let from = self.from.map_or_else(|| "this host".to_owned(), |from| from.to_string());
        page.line(&format!("No router told its address. What was tried from {from}:"));
        let seconds = searched.as_secs_f64();
        let whose = if tried == Tried::One { "of that router" } else { "that is of use" };
        if tried != Tried::Place {
            let said = format!(" no answer {whose} in {seconds} s");
            page.at(34, "  search to all (239.255.255.250)", &said);
        }
        match self.gateway {
            _ if tried == Tried::Place => {}
            Some(gateway) => page.at(34, &format!("  search to {gateway}"), " no answer that is of use"),
            None => page.at(34, "  search to the gateway", " none is known: there is no default route"),
        }
        page.at(34, "  NAT-PMP", &format!(" {}", finding(&self.natpmp)));
        page.at(34, "  PCP", &format!(" {}", self.pcp));
        page.line("");
        page.line("The most likely reasons:");
        let router = "UPnP is off in the router. FRITZ!Box: Home Network > Network > Network Settings, \"Transmit \
             status information over UPnP\". Others: look for UPnP; port forwarding may stay off.";
        let firewall = format!(
            "A firewall on this host drops the answers, which come by UDP from port 1900 of the router; for \
             example: ufw allow from {}",
            self.gateway.map_or_else(|| "ROUTER".to_owned(), |gateway| gateway.to_string())
        );
        let container = "This is a container without the host's network: give it that (--network host).";
        let is_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
        let mut reasons = vec![router.to_owned(), firewall];
        reasons.insert(if is_container { 0 } else { 2 }, container.to_owned());
        reasons.push("The router has none of these protocols.".to_owned());
        for (number, reason) in (1..).zip(&reasons) {
            page.at(5, &format!("  {number}."), reason);
        }
        page.line("");
        page.line("What works without them:");
        page.at(4, "", "ipv4 = [\"https://api.ipify.org\"]");
        page.at(8, "", "an echo service sees where you come from");
        page.at(4, "", "ipv4 = [\"interface\"]");
        page.at(8, "", "only if this host has the public address itself");
        page.line("");
    }
}

/// What PCP says, and the address that a mapping told.
fn ask_pcp(gateway: Ipv4Addr, map: bool, after: &impl Fn(Duration) -> Instant) -> (String, Option<Ipv4Addr>) {
    if map {
        return match pcp::external_address(gateway, after(MAPPING_TIME)) {
            Ok(told) => (shown(told.address), Some(told.address)),
            Err(error) => (error.to_string(), None),
        };
    }
    let said = match pcp::announce(gateway, after(TIME)) {
        Ok(()) | Err(PcpFailure::Answer(PcpError::Refused(_))) => {
            "spoken; it tells the address only for a mapping, for a moment: discover --pcp".to_owned()
        }
        Err(PcpFailure::Answer(PcpError::Version(0))) => "not spoken, NAT-PMP is".to_owned(),
        Err(error) => error.to_string(),
    };
    (said, None)
}

pub(super) fn is_public(address: IpAddr) -> bool {
    refusal(address, false).is_none()
}

fn shown(address: impl Into<IpAddr>) -> String {
    let address = address.into();
    match refusal(address, false) {
        Some(why) => format!("{address}, not published: {why}"),
        None => address.to_string(),
    }
}

fn finding<T: Into<IpAddr> + Copy>(finding: &Finding<T>) -> String {
    match finding {
        Finding::Known(address) => shown(*address),
        Finding::Absent(why) => format!("none: {why}"),
        Finding::Unknown(why) => why.clone(),
    }
}

/// The default route's gateway.
pub(super) fn default_gateway() -> Option<IpAddr> {
    system::default_route(Family::V4).gateway()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Ipv4Addr = Ipv4Addr::new(11, 22, 33, 44);

    fn lines(upnp: &[Ipv4Addr], stranger: Option<&str>) -> String {
        let unknown = || Finding::Unknown("no answer".to_owned());
        let around = Around {
            gateway: Some("192.168.77.1".parse().unwrap()),
            from: None,
            natpmp: unknown(),
            pcp: String::new(),
            mapped: None,
            host: Observation::unknown("not asked"),
        };
        let mut page = Page::default();
        around.put_lines(&mut page, upnp, stranger.map(|host| host.parse().unwrap()));
        page.0.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_is_not_believed_must_be_named() {
        let named = "192.168.77.3 tells a public address, but is not believed, as it is not the default \
                     route's gateway. If it is your router, write: router_ip = \"192.168.77.3\"";
        assert_eq!(lines(&[], Some("192.168.77.3")), named);
        assert_eq!(lines(&[Ipv4Addr::new(100, 64, 1, 1)], Some("192.168.77.3")), named);
        assert!(lines(&[OURS], Some("192.168.77.3")).starts_with("IPv4 works by UPnP"));
    }
}
