//! From a preset, the user's section and addresses to a request.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address::{Addresses, Family};
use crate::config::Dyndns;
use crate::config::presets::Preset;
use crate::secret::Secret;
use crate::updaters::{Request, SHORT_REPLY};

/// The request that gives `addresses` to `hosts`. A template that splits
/// families gets one family only.
pub(super) fn request(config: &Dyndns, hosts: &[&str], addresses: &Addresses) -> Request {
    let preset = &config.preset;
    let ipv6 = addresses.ipv4.is_none();
    let values = Values { config, hosts, addresses };
    let url = preset.url6.as_deref().filter(|_| ipv6).unwrap_or(&preset.url);
    let mut headers = Vec::new();
    if let Some(user) = preset.basic.as_deref().and_then(|user| values.fill(user, str::to_owned)) {
        headers.push(("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(user))));
    }
    if let Some((name, text)) = &preset.header {
        headers.extend(values.fill(text, str::to_owned).map(|text| (name.clone(), text)));
    }
    if preset.form.is_some() {
        headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    if preset.json.is_some() {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let json = preset.json.as_deref().and_then(|json| values.fill(json, json_escaped));
    Request {
        method: preset.method,
        url: values.url(url),
        headers,
        body: preset.form.as_deref().map(|form| values.parameters(form)).or(json),
        max_reply: SHORT_REPLY,
        cut_will_do: false,
        family: asking_family(preset, url, ipv6),
    }
}

/// A service that is told no address takes the one that the request comes from:
/// it must come from the family that is wanted.
fn asking_family(preset: &Preset, url: &str, ipv6: bool) -> Option<Family> {
    let header = preset.header.iter().map(|(_, text)| text.as_str());
    let texts = [Some(url), preset.form.as_deref(), preset.json.as_deref()];
    if texts.into_iter().flatten().chain(header).any(|text| text.contains("{ip")) {
        return None;
    }
    Some(if ipv6 { Family::V6 } else { Family::V4 })
}

/// What placeholders stand for.
pub(super) struct Values<'a> {
    pub(super) config: &'a Dyndns,
    pub(super) hosts: &'a [&'a str],
    pub(super) addresses: &'a Addresses,
}

impl Values<'_> {
    fn url(&self, template: &str) -> String {
        let (path, query) = match template.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (template, None),
        };
        let mut url = self.fill(path, percent_encoded).unwrap_or_default();
        if let Some(query) = query {
            url.push('?');
            url.push_str(&self.parameters(query));
        }
        url
    }

    /// Parameters whose value there is not are left out.
    fn parameters(&self, template: &str) -> String {
        let filled: Vec<String> =
            template.split('&').filter_map(|parameter| self.fill(parameter, percent_encoded)).collect();
        filled.join("&")
    }

    /// `None`: it holds a placeholder that stands for nothing.
    pub(super) fn fill(&self, template: &str, encode: fn(&str) -> String) -> Option<String> {
        let (mut filled, mut rest) = (String::new(), template);
        while let Some((before, behind)) = rest.split_once('{') {
            filled.push_str(before);
            // Another one is JSON's.
            if !behind.starts_with(|c: char| c.is_ascii_lowercase()) {
                filled.push('{');
                rest = behind;
                continue;
            }
            let (placeholder, after) = behind.split_once('}')?;
            let (name, otherwise) = match placeholder.split_once('|') {
                Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
                None => (placeholder, None),
            };
            filled.push_str(&self.value(name, encode).or(otherwise)?);
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn value(&self, name: &str, encode: fn(&str) -> String) -> Option<String> {
        let host = || self.hosts.first().copied().filter(|host| !host.is_empty());
        let secret = |secret: &Option<Secret>| Some(secret.as_ref()?.reveal().to_owned());
        Some(match name {
            "host" => {
                host()?;
                self.hosts.iter().map(|host| encode(host)).collect::<Vec<_>>().join(",")
            }
            "label" => encode(label(host()?, self.zone().as_deref())),
            // The same, but nothing for the zone itself.
            "sub" => match label(host()?, self.zone().as_deref()) {
                "@" => String::new(),
                label => encode(label),
            },
            "apex" => (label(host()?, self.zone().as_deref()) == "@").to_string(),
            "type" => if self.addresses.ipv4.is_some() { "A" } else { "AAAA" }.to_owned(),
            "zone" => encode(&self.zone()?),
            "username" => encode(self.config.username.as_ref()?.reveal()),
            "password" => encode(&secret(&self.config.password)?),
            "token" => encode(&secret(&self.config.token)?),
            "raw_token" => query_encoded(&secret(&self.config.token)?),
            // Colons and commas may stand in a query (RFC 3986, section 3.4).
            "ipv4" => self.addresses.ipv4?.to_string(),
            "ipv6" => self.addresses.ipv6?.to_string(),
            "ip" => self.all().first()?.to_string(),
            "ips" => {
                let all: Vec<String> = self.all().iter().map(ToString::to_string).collect();
                if all.is_empty() { None } else { Some(all.join(",")) }?
            }
            _ => return None,
        })
    }

    fn all(&self) -> Vec<IpAddr> {
        addresses(self.addresses)
    }

    fn zone(&self) -> Option<String> {
        self.config.preset.zone_of(self.config.username.as_ref().map(Secret::reveal))
    }
}

/// IPv4 first.
pub(super) fn addresses(addresses: &Addresses) -> Vec<IpAddr> {
    let ipv4 = addresses.ipv4.map(IpAddr::from);
    ipv4.into_iter().chain(addresses.ipv6.map(IpAddr::from)).collect()
}

/// What of `host` stands in front of `zone`; `@` for the zone itself.
fn label<'h>(host: &'h str, zone: Option<&str>) -> &'h str {
    let Some(zone) = zone else { return host };
    match host.strip_suffix(zone) {
        Some("") => "@",
        Some(front) => front.strip_suffix('.').unwrap_or(host),
        None => host,
    }
}

/// Everything but the unreserved characters encoded (RFC 3986, section 2.3).
pub(super) fn percent_encoded(text: &str) -> String {
    encoded(text, b"-._~")
}

/// As it stands within a string of JSON.
fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// As it is, as far as it may stand in a query.
pub(super) fn query_encoded(text: &str) -> String {
    encoded(text, b"-._~!$'()*+,;=:@/?")
}

fn encoded(text: &str, allowed: &[u8]) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || allowed.contains(&byte) {
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
    fn awkward_texts_are_encoded() {
        assert_eq!(percent_encoded("a&b=c d%ö#+/?"), "a%26b%3Dc%20d%25%C3%B6%23%2B%2F%3F");
        assert_eq!(query_encoded("Ab+/=:1&#%\""), "Ab+/=:1%26%23%25%22");
    }

    #[test]
    fn awkward_texts_stay_one_string_of_json() {
        assert_eq!(json_escaped("a\"b\\c\u{1}{ip}"), "a\\\"b\\\\c\\u0001{ip}");
    }

    #[test]
    fn labels_stand_in_front_of_their_zone() {
        for (host, zone, expected) in [
            ("home.example.org", Some("example.org"), "home"),
            ("a.b.example.org", Some("example.org"), "a.b"),
            ("example.org", Some("example.org"), "@"),
            ("notexample.org", Some("example.org"), "notexample.org"),
            ("home", Some("duckdns.org"), "home"),
            ("home.example.org", None, "home.example.org"),
        ] {
            assert_eq!(label(host, zone), expected);
        }
    }

    #[test]
    fn each_placeholder_stands_for_its_value() {
        let mut preset = Preset::own("https://dyn.example/", false);
        preset.zone = Some("example.org".to_owned());
        let config = Dyndns {
            preset: preset.into(),
            url: None,
            username: Some(Secret::new("me&you".into())),
            password: Some(Secret::new("a b".into())),
            token: Some(Secret::new("t=0/+".into())),
            hostnames: Vec::new(),
        };
        let filled = |host: &str, [ipv4, ipv6]: [&str; 2], template: &str| {
            let addresses = Addresses { ipv4: ipv4.parse().ok(), ipv6: ipv6.parse().ok(), ipv6_prefix: None };
            let hosts: Vec<&str> = host.split(' ').collect();
            Values { config: &config, hosts: &hosts, addresses: &addresses }.fill(template, percent_encoded)
        };
        let (both, ipv6) = (["192.0.2.1", "2001:db8::1"], ["", "2001:db8::1"]);
        for (host, addresses, template, expected) in [
            ("nas.example.org", both, "{host} {label} {sub} {apex}", "nas.example.org nas nas false"),
            ("example.org", both, "{host} {label} [{sub}] {apex}", "example.org %40 [] true"),
            ("a.example.org b.example.org", both, "{host}", "a.example.org,b.example.org"),
            ("nas.example.org", both, "{type} {ip} {ips}", "A 192.0.2.1 192.0.2.1,2001:db8::1"),
            ("nas.example.org", ipv6, "{type} {ip} {ips}", "AAAA 2001:db8::1 2001:db8::1"),
            ("nas.example.org", ipv6, "{ipv4|none} {ipv6}", "none 2001:db8::1"),
            ("nas.example.org", both, "{zone} {username} {password}", "example.org me%26you a%20b"),
            ("nas.example.org", both, "{token} {raw_token}", "t%3D0%2F%2B t=0/+"),
        ] {
            assert_eq!(filled(host, addresses, template).as_deref(), Some(expected), "{host} {template}");
        }
        for (host, addresses, template) in [
            ("nas.example.org", ipv6, "{ipv4}"),
            ("nas.example.org", ["", ""], "{ips}"),
            ("nas.example.org", both, "{word}"),
            ("", both, "{label}"),
        ] {
            assert_eq!(filled(host, addresses, template), None, "it stands for nothing: {template}");
        }
    }
}
