//! URLs of providers: http or https, taken apart and checked (RFC 3986, section 3;
//! RFC 9110, section 4.2). Pure.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};

use super::proxy::{Proxies, Proxy};

/// A provider's URL. The texts are as they stand in it; `Debug` shows the host alone.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct HttpUrl<'a> {
    /// Whether the server is reached by TLS.
    pub https: bool,
    /// `user:password`.
    pub user: Option<&'a str>,
    /// A name or an address; an IPv6 address stands in brackets.
    pub host: &'a str,
    pub(super) port: Option<&'a str>,
    /// With its slash; may be empty.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: Option<&'a str>,
}

impl fmt::Debug for HttpUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUrl").field("host", &self.host).finish_non_exhaustive()
    }
}

impl<'a> HttpUrl<'a> {
    /// An absolute URL without placeholders; `None` if it is not one, or holds what
    /// may not stand in a request line.
    #[must_use]
    pub fn parse(url: &'a str) -> Option<Self> {
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        Self::split(url).ok().filter(|parts| plain && parts.check().is_ok())
    }

    /// Takes an absolute URL apart, which may hold placeholders; a fragment is dropped.
    pub fn split(url: &'a str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("expected a URL: https://...")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("expected https:// or http:// at its beginning"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        // 1.0 read it as a slash, others do as a part of the name: whose it is stays open.
        if place.contains('\\') || path.contains('\\') {
            return Err("expected / in place of \\");
        }
        let (host, port) = split_port(place);
        Ok(Self { https, user, host, port, path, query })
    }

    /// Whether host and port are such.
    pub fn check(&self) -> Result<(), &'static str> {
        self.check_host()?;
        self.check_port()
    }

    fn check_host(&self) -> Result<(), &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = match self.host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
            // As long as a name can be (RFC 1035, section 2.3.4).
            None => !self.host.is_empty() && self.host.len() <= 253 && self.host.bytes().all(allowed),
        };
        if valid { Ok(()) } else { Err("the host is neither a name nor an address") }
    }

    fn check_port(&self) -> Result<(), &'static str> {
        let digits = self.port.filter(|port| !port.is_empty()).unwrap_or("443");
        let valid = digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u16>().is_ok_and(|port| port > 0);
        if valid { Ok(()) } else { Err("expected a port from 1 to 65535") }
    }

    /// The host without the brackets of an IPv6 address.
    #[must_use]
    pub fn bare_host(&self) -> &'a str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(self.host)
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.bare_host().parse().ok()
    }

    /// Whether the host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.address();
        self.host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
    }

    /// The port, that of the scheme if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        let given = self.port.and_then(|digits| digits.parse().ok());
        given.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Host and port, as a proxy is told them.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// What a connection leads to.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{} {}", self.https, self.authority().to_ascii_lowercase())
    }

    /// The URL as it is asked for: without credentials and fragment, the braces of its
    /// path, which are no placeholders any more, encoded.
    #[must_use]
    pub fn to_send(&self) -> String {
        let path = self.path.replace('{', "%7B").replace('}', "%7D");
        HttpUrl { path: &path, ..*self }.write(self.host, None, self.query)
    }

    /// Through whom the server is reached, unless directly.
    #[must_use]
    pub fn proxy<'p>(&self, proxies: &'p Proxies) -> Option<&'p Proxy> {
        proxies.choose(self.https, self.bare_host(), self.port())
    }

    /// The URL without its port.
    #[must_use]
    pub fn on_default_port(self) -> Self {
        Self { port: None, ..self }
    }

    /// The URL with another path, and without a query.
    #[must_use]
    pub fn with_path(self, path: &'a str) -> Self {
        Self { path, query: None, ..self }
    }

    /// The URL with another host, other credentials and another query.
    #[must_use]
    pub fn write(&self, host: &str, user: Option<&str>, query: Option<&str>) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.filter(|port| !port.is_empty());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = if self.path.is_empty() { "/" } else { self.path };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{user}{host}{port}{path}{query}")
    }
}

fn split_port(place: &str) -> (&str, Option<&str>) {
    match place.rsplit_once(':') {
        // The last colon of an IPv6 address stands before its bracket.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    }
}

/// A path as it is asked for: `.` and `..` are taken out, also where their dots are
/// encoded (RFC 3986, section 5.2.4).
#[must_use]
pub fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        match &*dots {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// Percent-encodes what may not stand in a URL (RFC 3986, section 2).
#[must_use]
pub fn encode(url: &str) -> String {
    url.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_graphic() && !b"\"<>`".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = HttpUrl::parse("HTTPS://me:p@w@Ddns.example:8443/a/b?c=d#e").unwrap();
        assert_eq!((url.https, url.bare_host(), url.port()), (true, "Ddns.example", 8443));
        assert_eq!((url.path, url.query, url.user), ("/a/b", Some("c=d"), Some("me:p@w")));
        assert_eq!(url.to_send(), "https://Ddns.example:8443/a/b?c=d");
        let url = HttpUrl::parse("http://[::1]?x").unwrap();
        assert_eq!((url.bare_host(), url.port(), url.authority().as_str()), ("::1", 80, "[::1]:80"));
        assert_eq!(url.to_send(), "http://[::1]/?x");
        assert_eq!(HttpUrl::parse("http://x:/").map(|url| url.port()), Some(80));
    }

    #[test]
    fn dots_are_taken_out_of_a_path() {
        // The first ten are what 1.0.1 sent, the last two stand in RFC 3986, section 5.2.4.
        for (path, asked) in [
            ("/a/../u", "/u"),
            ("/a/./u", "/a/u"),
            ("/a/%2e%2E/u", "/u"),
            ("/u/.%2e/%2E/x", "/x"),
            ("/../u", "/u"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a//u", "/a//u"),
            ("/a/...//../u", "/a/.../u"),
            ("/u%2f..%2fx", "/u%2f..%2fx"),
            ("", "/"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/mid/content=5/../6", "/mid/6"),
        ] {
            assert_eq!(without_dots(path), asked, "{path}");
        }
    }

    #[test]
    fn braces_of_a_path_are_encoded() {
        let url = HttpUrl::split("http://u:p@x.example/a{b}?{c}#d").unwrap();
        assert_eq!(url.to_send(), "http://x.example/a%7Bb%7D?{c}");
    }

    #[test]
    fn debug_does_not_tell() {
        let shown =
            format!("{:?}", HttpUrl::parse("https://me:hunter2@ddns.example/hunter2?hunter2").unwrap());
        assert!(shown.contains("ddns.example") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_could_break_a_request_is_refused() {
        for url in [
            "x",
            "ftp://x/",
            "http://",
            "http:///x",
            "http://x/a b",
            "http://x/a\r\nX: y",
            "http://x/\u{e9}",
            "http://x:0/",
            "http://x:70000/",
            "http://x:+1/",
            "http://[::1/",
            "http://a\"b/",
        ] {
            assert_eq!(HttpUrl::parse(url), None, "{url}");
        }
    }
}
