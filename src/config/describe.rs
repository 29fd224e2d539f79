//! The effective configuration as text, for `--check`. It is TOML, and with the
//! hidden values put back it reads as the same configuration.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::path::Path;
use std::time::Duration;

use super::provider_url::{hide, hide_in_argument};
use super::{Cloudflare, CloudflareRecord, Config, Dyndns, Group, Rfc2136, Run, Target, Url};
use crate::updaters::placeholders::Needs;

/// Stands for every hidden value; refused as a value itself where one is needed.
const HIDDEN: &str = "<hidden>";

/// A provider's URL to be shown: without credentials and query values.
#[must_use]
pub fn hidden_url(url: &str) -> String {
    hide(url, HIDDEN)
}

impl Config {
    /// The effective configuration as TOML. Tokens, header values, bodies, and
    /// credentials and query values of URLs are hidden; paths of URLs are not.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut page = Page(String::new());
        page.entry("interval", minutes(self.interval));
        page.entry("events", self.events);
        page.maybe("state_file", self.state_file.as_deref().map(path));
        self.write_proxy(&mut page);
        page.header("[tls]");
        page.maybe("ca_file", self.tls.ca_file.as_deref().map(path));
        page.entry("builtin_roots", self.tls.builtin_roots);
        if let Some(client) = &self.tls.client {
            let certificate = client.certificate_file.as_deref().map(path);
            page.entry("client_cert", certificate.unwrap_or_else(|| quoted(&client.certificate)));
            page.entry("client_key", client.key_file.as_deref().map_or_else(|| quoted(HIDDEN), path));
        }
        let targets: HashMap<_, _> =
            self.targets.iter().map(|target| ((target.group, target.entry), target)).collect();
        let mut names = false;
        for (index, group) in self.groups.iter().enumerate() {
            let target = |entry: usize| targets.get(&(index, entry)).copied();
            match group {
                Group::Cloudflare(account) => self.write_account(&mut page, account, target),
                Group::Url(request) => {
                    page.header("[[urls]]");
                    page.maybe("name", target(0).map(|target| quoted(&target.name)));
                    page.request(request);
                    self.write_common(&mut page, target(0));
                }
                Group::Dyndns(_) if names => {}
                Group::Dyndns(_) => {
                    names = true;
                    self.write_names(&mut page);
                }
                Group::Rfc2136(zone) => self.write_zone(&mut page, zone, target),
                Group::Run(run) => {
                    page.header("[[runs]]");
                    page.maybe("name", target(0).map(|target| quoted(&target.name)));
                    page.program(run);
                    page.maybe("at_start", target(0).map(|target| target.at_start));
                    self.write_common(&mut page, target(0));
                }
            }
        }
        page.0
    }

    fn write_proxy(&self, page: &mut Page) {
        if !self.proxies.configured {
            return;
        }
        let proxy = self.proxies.https.as_ref().map(|proxy| hidden_url(proxy.url.reveal()));
        page.entry("proxy", quoted(proxy.as_deref().unwrap_or("none")));
        if !self.proxies.exceptions.is_empty() {
            page.entry("no_proxy", list(self.proxies.exceptions.iter().cloned()));
        }
    }

    fn write_account<'a>(
        &self,
        page: &mut Page,
        account: &Cloudflare,
        target: impl Fn(usize) -> Option<&'a Target>,
    ) {
        page.header("[[cloudflare]]");
        page.entry("api_token", quoted(HIDDEN));
        page.maybe("zone_id", account.zone_id.as_deref().map(quoted));
        page.entry("api_url", quoted(&account.api_url));
        for (entry, record) in account.records.iter().enumerate() {
            page.header("[[cloudflare.records]]");
            page.record(record);
            self.write_common(page, target(entry));
        }
    }

    /// A section for each name, in the order of the targets; those of one account
    /// are one group again.
    fn write_names(&self, page: &mut Page) {
        for target in &self.targets {
            let Some(Group::Dyndns(account)) = self.groups.get(target.group) else { continue };
            page.header("[[dyndns]]");
            page.entry("name", quoted(&target.name));
            page.account(account, account.hostnames.get(target.entry).map_or("", String::as_str));
            self.write_common(page, Some(target));
        }
    }

    fn write_zone<'a>(&self, page: &mut Page, zone: &Rfc2136, target: impl Fn(usize) -> Option<&'a Target>) {
        page.header("[[rfc2136]]");
        page.maybe("server", zone.server.as_ref().map(|server| quoted(&server.to_string())));
        page.maybe("zone", zone.zone.as_ref().map(|zone| quoted(&zone.to_string())));
        if let Some(key) = &zone.key {
            page.entry("key", quoted(&key.name.to_string()));
            page.entry("algorithm", quoted(key.algorithm.name()));
            page.entry("secret", quoted(HIDDEN));
        }
        page.entry("ttl", zone.ttl);
        page.maybe("transport", zone.transport.name().map(quoted));
        for (entry, record) in zone.records.iter().enumerate() {
            page.header("[[rfc2136.records]]");
            page.entry("name", quoted(&record.name.to_string()));
            page.entry("type", quoted(if record.aaaa { "AAAA" } else { "A" }));
            self.write_common(page, target(entry));
        }
    }

    fn write_common(&self, page: &mut Page, target: Option<&Target>) {
        let Some(target) = target else { return };
        // An empty list is a family switched off for a target that takes what
        // there is, and one without any use for the others.
        let group = self.groups.get(target.group);
        let both = matches!(group, Some(Group::Run(_) | Group::Dyndns(_)));
        let any = both || target.required == Needs::default();
        for (key, indexes) in [("ipv4", &target.ipv4), ("ipv6", &target.ipv6)] {
            if any || !indexes.is_empty() {
                let used = indexes.iter().filter_map(|index| self.sources.get(*index));
                page.entry(key, list(used.map(ToString::to_string)));
            }
        }
        page.entry("agree", target.agree);
        page.entry("allow_private", target.allow_private);
        page.maybe("ipv6_suffix", target.ipv6_suffix.map(|suffix| quoted(&suffix.to_string())));
        page.maybe("refresh", target.refresh.map(days));
        page.maybe("verify", target.verify.map(hours));
        page.maybe("when_absent", target.empty_when_absent.then(|| quoted("empty")));
    }
}

/// Lines of TOML.
struct Page(String);

impl Page {
    fn header(&mut self, header: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "\n{header}");
    }

    fn entry(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.entry(key, value);
        }
    }

    fn record(&mut self, record: &CloudflareRecord) {
        self.entry("name", quoted(&record.name));
        self.entry("type", quoted(if record.aaaa { "AAAA" } else { "A" }));
        self.maybe("ttl", record.ttl);
        self.maybe("proxied", record.proxied);
        self.maybe("comment", record.comment.as_deref().map(quoted));
        self.entry("create", record.create);
    }

    fn request(&mut self, request: &Url) {
        self.entry("method", quoted(&request.method.to_ascii_lowercase()));
        self.entry("url", quoted(&hidden_url(request.url.reveal())));
        if !request.headers.is_empty() {
            let headers = request.headers.iter();
            let headers: Vec<String> =
                headers.map(|(name, _)| format!("{} = {}", quoted(name), quoted(HIDDEN))).collect();
            self.entry("headers", format!("{{ {} }}", headers.join(", ")));
        }
        self.maybe("body", request.body.as_ref().map(|_| quoted(HIDDEN)));
        self.maybe("expect", request.expect.as_ref().map(|words| list(words.iter().cloned())));
    }

    fn account(&mut self, account: &Dyndns, hostname: &str) {
        match &account.url {
            Some(url) => self.entry("url", quoted(&hide(url.reveal(), HIDDEN))),
            None => self.entry("provider", quoted(&account.preset.name)),
        }
        self.maybe("hostname", (!hostname.is_empty()).then(|| quoted(hostname)));
        self.maybe("username", account.username.as_deref().map(quoted));
        self.maybe("password", account.password.as_ref().map(|_| quoted(HIDDEN)));
        self.maybe("token", account.token.as_ref().map(|_| quoted(HIDDEN)));
    }

    fn program(&mut self, run: &Run) {
        self.entry("cmd", list(run.cmd.iter().map(|argument| hide_in_argument(argument, HIDDEN))));
        self.entry("timeout", run.timeout.as_secs());
    }
}

fn minutes(interval: Duration) -> f64 {
    interval.as_secs_f64() / 60.0
}

fn days(refresh: Duration) -> f64 {
    refresh.as_secs_f64() / 86_400.0
}

fn hours(verify: Duration) -> f64 {
    verify.as_secs_f64() / 3600.0
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
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
