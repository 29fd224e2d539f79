//! Where a request goes: the parts of a provider's URL, checked (RFC 3986,
//! section 3; RFC 9110, section 4.2). Pure.

use std::fmt;

use crate::config::{Proxies, Proxy, UrlParts};

/// A server and what to ask it for. `Debug` shows the host alone.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Place<'a> {
    /// Whether it is reached by TLS.
    pub https: bool,
    /// An IPv6 address stands in brackets.
    host: &'a str,
    /// The port, that of the scheme if none is given.
    pub port: u16,
    path: &'a str,
    query: Option<&'a str>,
    /// `user:password` as they stand in the URL.
    pub user: Option<&'a str>,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("host", &self.host).finish_non_exhaustive()
    }
}

impl<'a> Place<'a> {
    /// The place of an absolute URL without placeholders; `None` if it is not one,
    /// or holds what may not stand in a request line.
    #[must_use]
    pub fn of(url: &'a str) -> Option<Self> {
        let parts = UrlParts::split(url).ok()?;
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || parts.check().is_err() {
            return None;
        }
        let UrlParts { https, user, host, port, path, query } = parts;
        let given = port.filter(|digits| !digits.is_empty()).and_then(|digits| digits.parse().ok());
        let port = given.unwrap_or(default_port(https));
        Some(Self { https, host, port, path: if path.is_empty() { "/" } else { path }, query, user })
    }

    /// The host without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(self.host)
    }

    /// Host and port, as a proxy is told them.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Host and port, as they stand in a `Host` field: without the default port.
    #[must_use]
    pub fn host_field(&self) -> String {
        if self.port == default_port(self.https) { self.host.to_owned() } else { self.authority() }
    }

    /// Path and query, as they stand in a request line.
    #[must_use]
    pub fn target(&self) -> String {
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.path)
    }

    /// The URL without credentials and fragment.
    #[must_use]
    pub fn plain(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host_field(), self.target())
    }

    /// Through whom the server is reached, unless directly.
    #[must_use]
    pub fn proxy<'p>(&self, proxies: &'p Proxies) -> Option<&'p Proxy> {
        proxies.choose(self.https, self.host(), self.port)
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// `text` with `%40` as `@`; what is no UTF-8 then is replaced.
#[must_use]
pub fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let place = Place::of("HTTPS://me:p@w@Ddns.example:8443/a/b?c=d#e").unwrap();
        assert_eq!((place.https, place.host(), place.port), (true, "Ddns.example", 8443));
        assert_eq!((place.target().as_str(), place.user), ("/a/b?c=d", Some("me:p@w")));
        assert_eq!(place.host_field(), "Ddns.example:8443");
        assert_eq!(place.plain(), "https://Ddns.example:8443/a/b?c=d");
        let place = Place::of("http://[::1]?x").unwrap();
        assert_eq!((place.host(), place.port, place.target().as_str()), ("::1", 80, "/?x"));
        assert_eq!((place.host_field().as_str(), place.authority().as_str()), ("[::1]", "[::1]:80"));
        assert_eq!(Place::of("http://x:/").map(|place| place.port), Some(80));
    }

    #[test]
    fn debug_does_not_tell() {
        let shown = format!("{:?}", Place::of("https://me:hunter2@ddns.example/hunter2?hunter2").unwrap());
        assert!(shown.contains("ddns.example") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_could_break_a_request_is_no_place() {
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
            assert_eq!(Place::of(url), None, "{url}");
        }
    }
}
