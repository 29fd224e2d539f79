//! Which name server, and over what.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::name::Name;
use super::resolv::PORT;

/// A name server.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Server {
    pub host: Host,
    /// Its port; 53 as a rule.
    pub port: u16,
}

/// The address of a server, or its name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Host {
    Address(IpAddr),
    /// A name, in ASCII, that the system looks up.
    Name(String),
}

/// Over what a server is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    /// TCP; UDP where nobody can be reached by TCP.
    #[default]
    Auto,
    /// TCP alone.
    Tcp,
    /// UDP; TCP for what does not fit.
    Udp,
}

impl Transport {
    /// As it stands in a configuration; `None` when nothing needs to.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Tcp => Some("tcp"),
            Self::Udp => Some("udp"),
        }
    }
}

impl Server {
    /// A server with this name, as an SOA record tells it.
    #[must_use]
    pub fn named(name: &Name) -> Self {
        Self { host: Host::Name(name.to_string()), port: PORT }
    }

    /// Reads `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`,
    /// `ns1.example` or `ns1.example:5353`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = |address: IpAddr, port| Self { host: Host::Address(address.to_canonical()), port };
        if let Ok(found) = text.parse::<SocketAddr>() {
            return (found.port() != 0).then(|| address(found.ip(), found.port()));
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(found) = bare.parse::<IpAddr>() {
            return Some(address(found, PORT));
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, port.parse().ok().filter(|port| *port != 0)?),
            None => (text, PORT),
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // What consists of digits is an address that was mistyped.
        let mistyped = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if mistyped || !name.bytes().all(letters) {
            return None;
        }
        let name = Name::from_text(name).ok()?;
        Some(Self { host: Host::Name(name.to_string()), port })
    }
}

/// As it stands in a configuration.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Address(address), PORT) => write!(f, "{address}"),
            (Host::Address(address), port) => write!(f, "{}", SocketAddr::new(*address, port)),
            (Host::Name(name), PORT) => f.write_str(name),
            (Host::Name(name), port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_or_names_with_a_port() {
        for (text, shown) in [
            ("192.0.2.53", "192.0.2.53"),
            ("192.0.2.53:53", "192.0.2.53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "2001:db8::53"),
            ("[2001:db8::53]", "2001:db8::53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("::ffff:192.0.2.53", "192.0.2.53"),
            ("NS1.Example", "ns1.example"),
            ("ns1.example:5353", "ns1.example:5353"),
            ("localhost", "localhost"),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!(server.to_string(), shown, "{text}");
            assert_eq!(Server::parse(shown), Some(server), "{text}");
        }
        for text in
            ["", "a b", "192.0.2", "192.0.2.53:0", "a:99999", "a:b", "a/b", "dns://a", "[::1", "a..b", "a:"]
        {
            assert_eq!(Server::parse(text), None, "{text}");
        }
    }
}
