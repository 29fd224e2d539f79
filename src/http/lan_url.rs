//! URLs inside the LAN: plain HTTP towards an IP address.
//!
//! RFC 3986 as far as UPnP needs it. A name is never resolved (that would need
//! DNS, and open the door to rebinding): where a gateway writes one, it stands for
//! the gateway, and goes into the Host field only. User info, fragments and every
//! byte that could end a request line early are refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest URL accepted, in bytes; real gateways stay under 100.
pub const MAX_URL: usize = 512;

/// Ports that no gateway serves UPnP on and where a POST could do harm: mail,
/// name and file services, printers, databases.
const REFUSED_PORTS: &[u16] = &[
    110, 111, 119, 135, 137, 138, 139, 143, 389, 445, 465, 513, 514, 515, 548, 563, 587, 631, 636, 873, 993,
    995, 1433, 1521, 2049, 3306, 3389, 5432, 6379, 9100, 11211, 27017,
];

/// The lowest port accepted: below are mail, name and remote shell services.
const LOWEST_PORT: u16 = 80;

/// `http://ADDRESS:PORT/PATH?QUERY`, checked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct LanUrl {
    host: IpAddr,
    /// What the host calls itself.
    name: Option<String>,
    port: u16,
    path: String,
}

/// Why a text is no URL that we would follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UrlError {
    /// Longer than [`MAX_URL`], or empty.
    Length,
    /// Not `http://`.
    Scheme,
    /// A byte that is not printable ASCII.
    Byte,
    /// The host is no IP literal, or where a name may stand, no name.
    Host,
    /// No port, or one that is not for UPnP.
    Port,
    /// It names another host than the document it stands in came from.
    OtherHost,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "expected 1 to {MAX_URL} bytes"),
            Self::Scheme => f.write_str("expected http://"),
            Self::Byte => f.write_str("only printable ASCII may stand in a URL"),
            Self::Host => f.write_str("the host must be an IP address, as in http://192.168.1.1:5000/"),
            Self::Port => f.write_str("the port is not one that gateways use"),
            Self::OtherHost => f.write_str("it leads to another host"),
        }
    }
}

impl std::error::Error for UrlError {}

impl LanUrl {
    /// Reads an absolute URL whose host is an address.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::read(text, None)
    }

    /// Reads an absolute URL that `host` wrote: a name in it is its own.
    pub fn parse_from(host: IpAddr, text: &str) -> Result<Self, UrlError> {
        Self::read(text, Some(host))
    }

    fn read(text: &str, named: Option<IpAddr>) -> Result<Self, UrlError> {
        check_bytes(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme);
        }
        let rest = without_fragment(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        let path = if path.starts_with('/') { remove_dot_segments(path) } else { format!("/{path}") };
        Self { host: Ipv4Addr::UNSPECIFIED.into(), name: None, port: 80, path }
            .with_authority(authority, named)
    }

    fn with_authority(mut self, authority: &str, named: Option<IpAddr>) -> Result<Self, UrlError> {
        let port = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
            self.host = host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?.into();
            port
        } else {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at_checked(end).ok_or(UrlError::Host)?;
            (self.host, self.name) = match (host.parse::<Ipv4Addr>(), named) {
                (Ok(host), _) => (host.into(), None),
                (Err(_), Some(own)) if is_name(host) && port.matches([':', '@']).count() < 2 => {
                    (own, Some(host.to_owned()))
                }
                _ => return Err(UrlError::Host),
            };
            port
        };
        // "http://host:/" is allowed by RFC 3986 and means the default port.
        match port.strip_prefix(':') {
            Some(digits) if !digits.is_empty() => self.port = parse_port(digits)?,
            None if !port.is_empty() => return Err(UrlError::Host),
            None | Some(_) => {}
        }
        Ok(self)
    }

    /// Resolves what a description says against its base (RFC 3986, section
    /// 5.2). The result leads to the same host, or is refused: a document must
    /// not send us to a third one.
    pub fn resolve(&self, reference: &str) -> Result<Self, UrlError> {
        check_bytes(reference)?;
        if reference.starts_with("//") {
            return Err(UrlError::OtherHost);
        }
        if has_scheme(reference) {
            let absolute = Self::parse_from(self.host, reference)?;
            return if absolute.host == self.host { Ok(absolute) } else { Err(UrlError::OtherHost) };
        }
        let reference = without_fragment(reference);
        let base = self.path.split('?').next().unwrap_or("/");
        let path = if reference.starts_with('/') {
            remove_dot_segments(reference)
        } else if reference.starts_with('?') {
            format!("{base}{reference}")
        } else if reference.is_empty() {
            self.path.clone()
        } else {
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            remove_dot_segments(&format!("{folder}/{reference}"))
        };
        check_bytes(&path)?;
        Ok(Self { path, ..self.clone() })
    }

    /// The same place on `host`: for answers that name a wrong address.
    #[must_use]
    pub fn at(&self, host: IpAddr) -> Self {
        Self { host, ..self.clone() }
    }

    /// The same place at another port: what the user writes may lead to any.
    #[must_use]
    pub fn at_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    #[must_use]
    pub fn host(&self) -> IpAddr {
        self.host
    }

    /// Where to connect to.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Path and query, as they stand in a request line.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host (by the name that it gave itself) and port, as they stand in a `Host`
    /// field: without the default port.
    #[must_use]
    pub fn authority(&self) -> String {
        let port = if self.port == 80 { String::new() } else { format!(":{}", self.port) };
        match (&self.name, self.host) {
            (Some(name), _) => format!("{name}{port}"),
            (None, IpAddr::V4(host)) => format!("{host}{port}"),
            (None, IpAddr::V6(host)) => format!("[{host}]{port}"),
        }
    }
}

impl fmt::Display for LanUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.socket(), self.path)
    }
}

fn check_bytes(text: &str) -> Result<(), UrlError> {
    if text.len() > MAX_URL || text.is_empty() {
        return Err(UrlError::Length);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UrlError::Byte);
    }
    Ok(())
}

fn without_fragment(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

/// A colon before any of `/?#` ends a scheme (RFC 3986, section 4.2). Paths of
/// Broadcom gateways hold colons too, but behind a slash.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?', '#']).unwrap_or(reference.len());
    reference.get(end..).is_some_and(|rest| rest.starts_with("://"))
}

/// A host name as people give one to a router.
fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.bytes().all(good) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    let port = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    port.filter(|port| *port >= LOWEST_PORT && !REFUSED_PORTS.contains(port)).ok_or(UrlError::Port)
}

/// RFC 3986, section 5.2.4, on the path; a query stays as it is.
fn remove_dot_segments(path: &str) -> String {
    let end = path.find('?').unwrap_or(path.len());
    let (path, query) = path.split_at_checked(end).unwrap_or((path, ""));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !dots || segments.peek().is_none() {
            kept.push(if dots { "" } else { segment });
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> LanUrl {
        LanUrl::parse(text).unwrap()
    }

    #[test]
    fn urls_of_gateways_are_read() {
        for (text, written) in [
            ("http://192.168.1.1:5000/rootDesc.xml", "http://192.168.1.1:5000/rootDesc.xml"),
            ("HTTP://192.168.1.1", "http://192.168.1.1:80/"),
            ("http://192.168.1.1:/x", "http://192.168.1.1:80/x"),
            ("http://192.168.1.1?a", "http://192.168.1.1:80/?a"),
            ("http://[fe80::1]:5000/a#b", "http://[fe80::1]:5000/a"),
            (
                "http://192.168.0.1:5431/dyndev/uuid:0000e068-20a0",
                "http://192.168.0.1:5431/dyndev/uuid:0000e068-20a0",
            ),
            ("http://192.168.0.1/a/../b/./c/..", "http://192.168.0.1:80/b/"),
        ] {
            assert_eq!(url(text).to_string(), written);
        }
        assert_eq!(url("http://192.168.1.1/").authority(), "192.168.1.1");
        assert_eq!(url("http://[::1]:8080/").authority(), "[::1]:8080");
    }

    #[test]
    fn ports_of_other_services_are_refused() {
        let at = |port: u16| LanUrl::parse(&format!("http://192.168.1.1:{port}/"));
        for port in [80, 81, 443, 1024, 1900, 2869, 5000, 5431, 8080, 49000, 49152, 65535] {
            assert!(at(port).is_ok(), "{port}");
        }
        for port in [
            1, 21, 22, 23, 25, 53, 79, 110, 111, 119, 135, 137, 138, 139, 143, 389, 445, 465, 513, 514, 515,
            548, 563, 587, 631, 636, 873, 993, 995, 1433, 1521, 2049, 3306, 3389, 5432, 6379, 9100, 11211,
            27017,
        ] {
            assert_eq!(at(port), Err(UrlError::Port), "{port}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let long = format!("http://1.2.3.4/{}", "a".repeat(MAX_URL));
        for (text, error) in [
            ("", UrlError::Length),
            (long.as_str(), UrlError::Length),
            ("https://192.168.1.1/", UrlError::Scheme),
            ("example.com/file[/].html", UrlError::Scheme),
            ("http://router/", UrlError::Host),
            ("http://me@192.168.1.1/", UrlError::Host),
            ("http://192.168.1/", UrlError::Host),
            ("http://fe80::1:5000/", UrlError::Host),
            ("http://[fe80::1%25eth0]:5000/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://[::1]5/", UrlError::Host),
            ("http://192.168.1.1:0/", UrlError::Port),
            ("http://192.168.1.1:+80/", UrlError::Port),
            ("http://192.168.1.1:-80/", UrlError::Port),
            ("http://192.168.1.1:65536/", UrlError::Port),
            ("http://192.168.1.1:25/", UrlError::Port),
            ("http://192.168.1.1:9100/", UrlError::Port),
            ("http://192.168.1.1/a b", UrlError::Byte),
            ("http://192.168.1.1/a\r\nX: y", UrlError::Byte),
            ("http://192.168.1.1/ä", UrlError::Byte),
        ] {
            assert_eq!(LanUrl::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_says() {
        // Section 5.4, as far as the scheme and host allow.
        let base = url("http://1.2.3.4/b/c/d;p?q");
        for (reference, path) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            (";x", "/b/c/;x"),
            (".", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("g/../h", "/b/c/h"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("uuid:1/WANIPConnection:1", "/b/c/uuid:1/WANIPConnection:1"),
            ("/control?WANIPConnection", "/control?WANIPConnection"),
        ] {
            assert_eq!(base.resolve(reference).unwrap().path(), path, "{reference}");
        }
        assert_eq!(base.resolve("http://1.2.3.4:4444/x").unwrap().to_string(), "http://1.2.3.4:4444/x");
    }

    #[test]
    fn a_reference_cannot_leave_the_host() {
        let base = url("http://1.2.3.4:5000/a");
        for reference in ["//5.6.7.8/", "http://5.6.7.8/", "//1.2.3.4/"] {
            assert_eq!(base.resolve(reference), Err(UrlError::OtherHost), "{reference}");
        }
        assert_eq!(base.resolve("ftp://1.2.3.4/"), Err(UrlError::Scheme));
        let named = base.resolve("http://router.lan:6000/b").unwrap();
        assert_eq!(named.socket(), "1.2.3.4:6000".parse().unwrap());
        assert_eq!(
            (named.authority().as_str(), named.to_string().as_str()),
            ("router.lan:6000", "http://1.2.3.4:6000/b")
        );
        assert_eq!(base.resolve(""), Err(UrlError::Length));
    }
}
