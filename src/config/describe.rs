//! The effective configuration as text, for `--check`. It is TOML, and with the
//! hidden values put back it reads as the same configuration.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::Path;

use super::provider_url::{hide, hide_in_arguments};
use super::units::{DAY, HOUR, MINUTE};
use super::{Config, Gateway, Run, Source, Target, UpdaterConfig, Url, units};
use crate::config::placeholders::Needs;
use crate::secret::Secret;

/// Stands for every hidden value; refused as a value itself where one is needed.
pub(super) const HIDDEN: &str = "<hidden>";

/// Stands for the default, which no list means.
const DEFAULT_IPV6: &str = "ipv6: of the router where it has actions for it (FRITZ!Box), else of this host";

/// A provider's URL to be shown: scheme, host, port and placeholders.
#[must_use]
pub fn hidden_url(url: &str) -> String {
    hide(url, HIDDEN)
}

impl Config {
    /// The effective configuration as TOML. Tokens, header values, bodies, and
    /// credentials, paths and queries of URLs are hidden.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut page = TomlWriter(String::new());
        page.entry("interval", units::number(self.interval, MINUTE));
        page.entry("events", self.events);
        page.maybe("router_ip", self.followed_router());
        page.maybe("state_file", self.state_file.as_deref().map(path));
        self.showing.write_top(&mut page);
        self.write_proxy(&mut page);
        self.tls.write(&mut page);
        self.telling.write(&mut page);
        self.showing.write(&mut page);
        let targets: BTreeMap<_, _> =
            self.targets.iter().map(|target| ((target.group, target.entry), &**target)).collect();
        let mut dyndns = false;
        for (index, group) in self.groups.iter().enumerate() {
            let target = |entry: usize| targets.get(&(index, entry)).copied();
            match group {
                UpdaterConfig::Cloudflare(account) => account.write(self, &mut page, &target),
                UpdaterConfig::Url(request) => {
                    page.header("[[urls]]");
                    page.maybe("name", target(0).map(|target| toml_string(&target.name)));
                    page.request(request);
                    self.write_common(&mut page, target(0));
                }
                UpdaterConfig::Dyndns(_) if dyndns => {}
                UpdaterConfig::Dyndns(account) => {
                    dyndns = true;
                    account.write_all(self, &mut page);
                }
                UpdaterConfig::Rfc2136(zone) => zone.write(self, &mut page, &target),
                UpdaterConfig::Run(run) => {
                    page.header("[[runs]]");
                    page.maybe("name", target(0).map(|target| toml_string(&target.name)));
                    page.program(run);
                    page.maybe("at_start", target(0).map(|target| target.at_start));
                    self.write_common(&mut page, target(0));
                }
            }
        }
        page.0
    }

    /// The `router_ip` that targets follow for IPv6.
    fn followed_router(&self) -> Option<String> {
        let mut followers = self.targets.iter().filter(|target| target.follows_gateway);
        let source = self.sources.get(*followers.next()?.ipv6.first()?)?;
        match source {
            Source::Upnp(Gateway::At(addresses)) if addresses.len() > 1 => {
                Some(list(addresses.iter().map(ToString::to_string)))
            }
            Source::Upnp(gateway) => gateway.to_string().strip_prefix(':').map(toml_string),
            _ => None,
        }
    }

    fn write_proxy(&self, page: &mut TomlWriter) {
        if !self.proxies.configured {
            return;
        }
        let proxy = self.proxies.https.as_ref().map(|proxy| hidden_url(proxy.url.reveal()));
        page.entry("proxy", toml_string(proxy.as_deref().unwrap_or("none")));
        if !self.proxies.exceptions.is_empty() {
            page.entry("no_proxy", list(self.proxies.exceptions.iter().cloned()));
        }
    }

    /// The keys that every target has.
    pub(super) fn write_common(&self, page: &mut TomlWriter, target: Option<&Target>) {
        let Some(target) = target else { return };
        // An empty list is a family switched off for a target that takes what
        // there is, and one without any use for the others.
        let group = self.groups.get(target.group);
        let both = matches!(group, Some(UpdaterConfig::Run(_) | UpdaterConfig::Dyndns(_)));
        let any = both || target.required == Needs::default();
        for (key, indexes) in [("ipv4", &target.ipv4), ("ipv6", &target.ipv6)] {
            if key == "ipv6" && target.follows_gateway {
                page.comment(DEFAULT_IPV6);
            } else if any || !indexes.is_empty() {
                let used = indexes.iter().filter_map(|index| self.sources.get(*index));
                page.entry(key, list(used.map(ToString::to_string)));
            }
        }
        page.entry("agree", target.agree);
        page.entry("allow_private", target.allow_private);
        page.maybe("ipv6_suffix", target.ipv6_suffix.map(|suffix| toml_string(&suffix.to_string())));
        page.maybe("refresh", target.refresh.map(|refresh| units::number(refresh, DAY)));
        page.maybe("verify", target.verify.map(|verify| units::number(verify, HOUR)));
        page.maybe("when_absent", target.empty_when_absent.then(|| toml_string("empty")));
    }
}

/// Which target an entry of a group is.
pub(super) type Entries<'a> = dyn Fn(usize) -> Option<&'a Target> + 'a;

pub(super) struct TomlWriter(String);

impl TomlWriter {
    pub(super) fn header(&mut self, header: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "\n{header}");
    }

    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.0, "# {text}");
    }

    pub(super) fn entry(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    pub(super) fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.entry(key, value);
        }
    }

    fn request(&mut self, request: &Url) {
        self.entry("method", toml_string(&request.method.to_ascii_lowercase()));
        self.entry("url", toml_string(&hidden_url(request.url.reveal())));
        self.headers(&request.headers);
        self.maybe("body", request.body.as_ref().map(|_| toml_string(HIDDEN)));
        self.maybe("expect", request.expect.as_ref().map(|words| list(words.iter().cloned())));
    }

    pub(super) fn headers(&mut self, headers: &[(String, Secret)]) {
        if headers.is_empty() {
            return;
        }
        let headers: Vec<String> = headers
            .iter()
            .map(|(name, _)| format!("{} = {}", toml_string(name), toml_string(HIDDEN)))
            .collect();
        self.entry("headers", format!("{{ {} }}", headers.join(", ")));
    }

    fn program(&mut self, run: &Run) {
        self.entry("cmd", list(hide_in_arguments(&run.cmd, HIDDEN).into_iter()));
        self.entry("timeout", run.timeout.as_secs());
        self.entry("retry", run.retry);
        self.entry("wait", run.wait);
    }
}

pub(super) fn path(path: &Path) -> String {
    toml_string(&path.display().to_string())
}

pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| toml_string(&text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML basic string.
pub(super) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
