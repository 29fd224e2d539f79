//! Through whom web servers are reached. Hosts of this machine are never asked
//! through a proxy. Left out: SOCKS, and proxy scripts. Pure.

use std::net::IpAddr;

use crate::secret::Secret;

/// A proxy server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proxy {
    /// As it was given, credentials included.
    pub url: Secret,
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// Its name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// `user:password`, percent-decoded.
    pub credentials: Option<Secret>,
}

/// Through whom to reach which servers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proxies {
    pub http: Option<Proxy>,
    pub https: Option<Proxy>,
    /// Whom to reach directly: names with all below them, addresses, networks,
    /// each with or without a port; `*` is everyone.
    pub exceptions: Vec<String>,
    /// Whether the file says anything of it; then the environment does not count.
    pub configured: bool,
}

impl Proxies {
    /// The proxy for a server; `host` may stand in brackets.
    #[must_use]
    pub fn choose(&self, https: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if https { &self.https } else { &self.http };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        if is_this_machine(&host) || self.exceptions.iter().any(|entry| excepts(entry, &host, port)) {
            return None;
        }
        proxy.as_ref()
    }
}

impl Proxy {
    /// Its host and port, for errors.
    #[must_use]
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn excepts(entry: &str, host: &str, port: u16) -> bool {
    let (entry, only) = match entry.rsplit_once(':') {
        // The colons of an IPv6 address are none before a port, unless behind a bracket.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            (name, digits.parse::<u16>().ok())
        }
        _ => (entry, None),
    };
    if only.is_some_and(|only| only != port) {
        return false;
    }
    let entry = entry.trim_matches(['[', ']']);
    if entry == "*" {
        return true;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => is_within(entry, address),
        Err(_) => {
            let name = entry.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
            !name.is_empty()
                && host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    }
}

/// Whether an address is `entry`, or in the network `entry`.
fn is_within(entry: &str, address: IpAddr) -> bool {
    let (base, length) = entry.split_once('/').map_or((entry, None), |(base, length)| (base, Some(length)));
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let Some(length) = length else { return base == address };
    let Ok(length) = length.parse::<u32>() else { return false };
    let (difference, bits) = match (base, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32_u32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return false,
    };
    match bits.checked_sub(length) {
        Some(free) => difference.checked_shr(free).unwrap_or(0) == 0,
        None => false,
    }
}
