//! `proxy` and `no_proxy`: through whom web servers are reached.
//!
//! What the file says holds; where it says nothing, the usual environment
//! variables do, which the caller passes in.

use super::files::{Files, is_placeholder};
use super::provider_url::check;
use super::section::Section;
use crate::quote::percent_decoded;
use crate::secret::Secret;
use crate::transport::proxy::{Proxies, Proxy};
use crate::transport::url::HttpUrl;

/// Turns a proxy of the environment off.
const NONE: &str = "none";
/// More than anyone lists.
const MAX_EXCEPTIONS: usize = 256;

impl Proxies {
    /// Fills in what the environment says, unless the file has its own say.
    /// Returns what is wrong with it, one sentence each.
    pub fn complete(&mut self, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut problems = Vec::new();
        if self.configured {
            return problems;
        }
        // Lower case first, as everywhere.
        let given = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()].into_iter().find_map(|name| {
                variable(&name).filter(|text| !text.trim().is_empty()).map(|text| (name, text))
            })
        };
        let mut read = |name: &str| {
            let (name, text) = given(name).or_else(|| given("all_proxy"))?;
            match Proxy::read(&text) {
                Ok(proxy) => Some(proxy),
                Err(why) => {
                    problems.push(format!("the proxy in the environment variable {name} is not used: {why}"));
                    None
                }
            }
        };
        (self.http, self.https) = (read("http_proxy"), read("https_proxy"));
        let exceptions = given("no_proxy").map_or(String::new(), |(_, text)| text);
        let entries = exceptions.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        self.exceptions = entries.take(MAX_EXCEPTIONS).map(str::to_ascii_lowercase).collect();
        problems.dedup();
        problems
    }
}

impl Proxy {
    /// Reads `http://user:password@host:port`; the scheme may be left out.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        if !["http://", "https://"].iter().any(|scheme| full.to_ascii_lowercase().starts_with(scheme)) {
            return Err("expected a proxy that speaks HTTP: http://host:port".to_owned());
        }
        let url = check(&full, super::idn::ascii_name)?;
        let parts = HttpUrl::split(&url)?;
        if !matches!(parts.path, "" | "/") || parts.query.is_some() || url.contains('{') {
            return Err("expected a proxy without a path: http://host:port".to_owned());
        }
        Ok(Self {
            url: Secret::new(url.clone()),
            tls: parts.https,
            host: parts.bare_host().to_owned(),
            port: parts.port(),
            credentials: parts.user.map(|user| Secret::new(percent_decoded(user))),
        })
    }
}

/// The keys `proxy`, `proxy_file` and `no_proxy` at the top of the file.
pub(super) fn read(top: &mut Section<'_>, files: &Files<'_>) -> Proxies {
    let inline = top.has("proxy");
    let configured = inline || top.has("proxy_file");
    let proxy = files.text(top, "proxy", "proxy_file").and_then(|found| {
        let text = found.text.trim();
        if text.eq_ignore_ascii_case(NONE) {
            return None;
        }
        if is_placeholder(text) {
            return found.value.refuse_hidden("expected http://host:port, or \"none\"");
        }
        match Proxy::read(text) {
            Ok(proxy) => {
                if inline && proxy.credentials.is_some() {
                    files.saw_inline_secret();
                }
                Some(proxy)
            }
            Err(why) => found.value.refuse_hidden(&why),
        }
    });
    let exceptions = top.take("no_proxy").and_then(|value| {
        if !configured {
            return value.refuse_key("means nothing without proxy");
        }
        let entries = value.list()?;
        if entries.len() > MAX_EXCEPTIONS {
            return value.refuse(&format!("expected at most {MAX_EXCEPTIONS} entries"));
        }
        entries.iter().map(|entry| entry.line().map(|line| line.trim().to_ascii_lowercase())).collect()
    });
    Proxies { http: proxy.clone(), https: proxy, exceptions: exceptions.unwrap_or_default(), configured }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> (Proxies, Vec<String>) {
        let mut proxies = Proxies::default();
        let find =
            |name: &str| variables.iter().find(|known| known.0 == name).map(|known| known.1.to_owned());
        let problems = proxies.complete(find);
        (proxies, problems)
    }

    #[test]
    fn the_usual_variables_are_understood() {
        let place = |proxy: &Option<Proxy>| proxy.as_ref().map(Proxy::place);
        for (variables, http, https) in [
            (&[][..], None, None),
            (&[("HTTP_PROXY", "http://a:3128")], Some("a:3128"), None),
            (&[("https_proxy", "a:3128"), ("HTTPS_PROXY", "b:1")], None, Some("a:3128")),
            (&[("ALL_PROXY", "http://a"), ("HTTPS_PROXY", "http://b")], Some("a:80"), Some("b:80")),
            (
                &[("http_proxy", ""), ("HTTP_PROXY", "http://[2001:db8::1]:8080/")],
                Some("[2001:db8::1]:8080"),
                None,
            ),
        ] {
            let (proxies, problems) = from(variables);
            assert_eq!((place(&proxies.http).as_deref(), place(&proxies.https).as_deref()), (http, https));
            assert!(problems.is_empty(), "{problems:?}");
        }
        let (proxies, problems) = from(&[("all_proxy", "socks5://me:s3cret@a:1080")]);
        assert!(proxies.http.is_none() && problems.len() == 1, "{problems:?}");
        assert!(problems[0].contains("all_proxy") && !problems[0].contains("s3cret"), "{problems:?}");
    }

    #[test]
    fn a_proxy_may_be_spoken_to_by_tls() {
        let (proxies, problems) = from(&[("https_proxy", "https://a")]);
        let proxy = proxies.https.map(|proxy| (proxy.place(), proxy.tls));
        if cfg!(feature = "tls") {
            assert_eq!(proxy, Some(("a:443".to_owned(), true)));
        } else {
            assert!(proxy.is_none() && problems[0].contains("leaves TLS out"), "{problems:?}");
        }
    }

    #[test]
    fn the_file_comes_before_the_environment() {
        let mut proxies = Proxies { configured: true, ..Proxies::default() };
        assert!(proxies.complete(|_| Some("http://a:3128".to_owned())).is_empty());
        assert!(proxies.https.is_none());
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = Proxy::read("http://me:p%40ss@a:1").unwrap();
        assert_eq!(proxy.credentials.as_ref().map(Secret::reveal), Some("me:p@ss"));
        assert!(!format!("{proxy:?} {}", proxy.place()).contains("ss@"), "{proxy:?}");
        for text in
            ["ftp://a", "http://a/x", "http://a?b", "http://a b", "http://", "http://a:0", "http://{ipv4}"]
        {
            assert!(Proxy::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exceptions_and_this_machine_are_reached_directly() {
        let all =
            "*.lan, example.org,.corp, 10.0.0.0/8 192.168.1.7,2001:db8::/32,[2001:dead::1],a.example:8443";
        let (proxies, _) = from(&[("all_proxy", "http://p:1"), ("NO_PROXY", all)]);
        for (host, direct) in [
            ("x.lan", true),
            ("example.org", true),
            ("ddns.Example.org.", true),
            ("notexample.org", false),
            ("y.corp", true),
            ("10.9.8.7", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.70", false),
            ("[2001:db8:1::1]", true),
            ("[2001:dead::1]", true),
            ("[2001:dead::2]", false),
            ("a.example", false),
            ("localhost", true),
            ("127.0.0.9", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("api.cloudflare.com", false),
        ] {
            assert_eq!(proxies.choose(true, host, 443).is_none(), direct, "{host}");
        }
        assert!(proxies.choose(true, "a.example", 8443).is_none());
        let (proxies, _) = from(&[("all_proxy", "http://p:1"), ("no_proxy", "*")]);
        assert!(proxies.choose(false, "a.example", 80).is_none());
    }
}
