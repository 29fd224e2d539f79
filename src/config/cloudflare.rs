//! `[cloudflare]` and `[[cloudflare.records]]`.

use std::time::Duration;

use super::builder::{Builder, NewTarget};
use super::defaults::{MAX_DAYS, TargetDefaults};
use super::describe::{Entries, HIDDEN, TomlWriter, hidden_url, toml_string};
use super::files::{Files, is_placeholder};
use super::fingerprint::Fingerprint;
use super::idn::{ascii_name, is_absolute, is_relative};
use super::repeated::in_url;
use super::section::{Section, Sections, Value};
use super::sources::Router;
use super::units::HOUR;
use super::{Config, UpdaterConfig, record, units};
use crate::config::error::Problems;
use crate::config::placeholders::Needs;
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

const API_URL: &str = "https://api.cloudflare.com/client/v4";

/// Cloudflare's own limit is 500 at most, less on cheaper plans.
const MAX_COMMENT: usize = 500;

/// The longest time between two checks of the records.
const MAX_HOURS: u32 = MAX_DAYS * 24;

/// Hexadecimal digits of Cloudflare's older key to a whole account.
const GLOBAL_KEY: usize = 37;

const RECORDS: &str = "[[cloudflare.records]]";

/// A `[cloudflare]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cloudflare {
    pub api_token: Secret,
    /// The zone's id; `None`: found from the records' names.
    pub zone_id: Option<String>,
    /// The API's base URL, without a slash at its end.
    pub api_url: String,
    pub records: Vec<CloudflareRecord>,
}

/// A `[[cloudflare.records]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloudflareRecord {
    /// `@`, relative or full, in ASCII (IDN already in punycode), lower case,
    /// without a dot at its end.
    pub name: String,
    /// AAAA instead of A.
    pub aaaa: bool,
    /// Seconds; 1 means automatic. Sent only when given.
    pub ttl: Option<u32>,
    /// Sent only when given.
    pub proxied: Option<bool>,
    /// Sent only when given; it also says which of several records is ours.
    pub comment: Option<String>,
    /// Whether a missing record is created.
    pub create: bool,
}

impl Cloudflare {
    pub(super) fn secrets(&self) -> Vec<String> {
        let url = Some(&self.api_url).filter(|url| *url != API_URL);
        let url = url.into_iter().flat_map(|url| in_url(url));
        [self.api_token.reveal().to_owned()].into_iter().chain(url).collect()
    }

    /// Only the path of Cloudflare's own is nobody's secret.
    #[must_use]
    pub fn shown_api_url(&self) -> String {
        if self.api_url == API_URL { API_URL.to_owned() } else { hidden_url(&self.api_url) }
    }

    /// Writes it as TOML, its token hidden.
    pub(super) fn write(&self, config: &Config, page: &mut TomlWriter, target: &Entries<'_>) {
        page.header("[[cloudflare]]");
        page.entry("api_token", toml_string(HIDDEN));
        page.maybe("zone_id", self.zone_id.as_deref().map(toml_string));
        page.entry("api_url", toml_string(&self.shown_api_url()));
        for (entry, record) in self.records.iter().enumerate() {
            page.header("[[cloudflare.records]]");
            page.entry("name", toml_string(&record.name));
            page.entry("type", toml_string(if record.aaaa { "AAAA" } else { "A" }));
            page.maybe("ttl", record.ttl);
            page.maybe("proxied", record.proxied);
            page.maybe("comment", record.comment.as_deref().map(toml_string));
            page.entry("create", record.create);
            config.write_common(page, target(entry));
        }
    }
}

/// Reads the sections, with their records.
pub(super) fn read<'a>(
    sections: Sections<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    for section in sections {
        read_section(section, defaults, router, files, problems, builder);
    }
}

fn read_section<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    let mut defaults = defaults.clone();
    take_common(&mut defaults, &mut section, router);
    let token = read_token(&mut section, files);
    let zone_id = section.take("zone_id").map(|value| read_zone(&value, problems));
    // Without these the section is left out; its records are checked all the same.
    let works = token.is_some() && zone_id.as_ref().is_none_or(Option::is_some);
    let api_url = section.take("api_url").map_or_else(|| Some(API_URL.to_owned()), |url| read_api_url(&url));
    let account = Cloudflare {
        api_token: Secret::new(token.unwrap_or_default()),
        zone_id: zone_id.flatten(),
        api_url: api_url.unwrap_or_default(),
        records: Vec::new(),
    };
    let sections = section.take_sections("records", RECORDS, false);
    section.finish();
    let mut records: Vec<CloudflareRecord> = Vec::new();
    for section in sections {
        read_records(section, &defaults, router, &account, (works, &mut records), builder);
    }
    if works && account.zone_id.is_none() {
        for record in records.iter().filter(|record| is_relative(&record.name)) {
            let name = &record.name;
            problems.warn(format!(
                "{RECORDS}: {name:?} is relative, to what is not known; set zone_id or write the full name"
            ));
        }
    }
    if works {
        builder.groups.push(UpdaterConfig::Cloudflare(Box::new(Cloudflare { records, ..account })));
    }
}

fn take_common<'a>(defaults: &mut TargetDefaults<'a>, section: &mut Section<'a>, router: &Router) {
    if let Some(value) = section.take("when_absent") {
        value.refuse::<()>("a DNS record cannot be empty; leave this key out");
    }
    defaults.take(section, router);
    if let Some(verify) = section.take("verify").and_then(|value| read_verify(&value)) {
        defaults.verify = Some(verify);
    }
}

fn read_verify(value: &Value<'_>) -> Option<Duration> {
    let hours = value.number()?;
    if !(1.0..=MAX_HOURS.into()).contains(&hours) {
        return value.refuse(&format!("expected 1 to {MAX_HOURS} hours"));
    }
    Some(units::time(hours, HOUR))
}

fn read_token(section: &mut Section<'_>, files: &Files<'_>) -> Option<String> {
    let inline = section.has("api_token");
    let found = files.require(section, "api_token", "api_token_file")?;
    let token = found.text.trim();
    if let Some(problem) = misplaced(token) {
        return found.value.stop_hidden(&format!("expected an API token; this is {problem}"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return found.value.stop_hidden("expected an API token without blanks and special characters");
    }
    if inline {
        files.saw_inline_secret();
    }
    Some(token.to_owned())
}

/// What `token` is instead of one, where its form tells: tokens are letters, digits,
/// `-` and `_`.
fn misplaced(token: &str) -> Option<&'static str> {
    let words = || token.split(['-', '_']).map(str::to_ascii_lowercase);
    let is_wordy = token.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte));
    let is_name = token.contains('_') && !token.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_example = words().any(|word| matches!(word.as_str(), "your" | "here" | "changeme"));
    if token.to_ascii_lowercase().starts_with("bearer ") {
        Some("one with the word Bearer, which is written without that")
    } else if is_placeholder(token) || is_wordy && (is_name || is_example) {
        Some("only a placeholder for one")
    } else if token.starts_with(['$', '%', '{', '[']) || token.contains("${") || token.contains("{{") {
        Some("a variable, and nothing replaces those here; api_token_file takes the token from a file")
    } else if token.contains(['/', '\\']) {
        Some("a path; the file that holds the token is given as api_token_file")
    } else if token.len() == GLOBAL_KEY && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Some(
            "the global API key, which opens the whole account; make a token that may edit the zone's records",
        )
    } else {
        None
    }
}

fn read_zone(value: &Value<'_>, problems: &Problems<'_>) -> Option<String> {
    let zone = value.hidden_text()?.trim();
    let expected = "expected a zone id as Cloudflare's overview page of the zone shows it, or none at all";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if zone.is_empty() || zone.len() > 64 || !zone.bytes().all(allowed) {
        return value.stop_hidden(expected);
    }
    if zone.len() != 32 || !zone.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Not shown: it might be the token, put in the wrong place.
        problems.warn("zone_id does not look like one: they have 32 hexadecimal digits".to_owned());
    }
    Some(zone.to_owned())
}

fn read_api_url(value: &Value<'_>) -> Option<String> {
    let text = value.hidden_text()?.trim();
    let url = match super::provider_url::check(text, ascii_name) {
        Ok(url) => url,
        Err(problem) => return value.refuse_hidden(&problem),
    };
    let Ok(parts) = HttpUrl::split(&url) else { return value.refuse_hidden("expected a URL") };
    if parts.user.is_some() || parts.query.is_some() || url.contains('{') {
        return value.refuse_hidden("expected a URL without credentials, query and placeholders");
    }
    if !parts.https && !parts.is_loopback() {
        return value.refuse_hidden("expected https://, as the API token must not travel unencrypted");
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// Reads one section; its records are added to those of the account, which `works`.
fn read_records<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    account: &Cloudflare,
    (works, records): (bool, &mut Vec<CloudflareRecord>),
    builder: &mut Builder<'a>,
) {
    let own_suffix = section.has("ipv6_suffix");
    let mut defaults = defaults.clone();
    take_common(&mut defaults, &mut section, router);
    let (names, types) = (record::names(&mut section), record::types(&mut section));
    let ttl = section.take("ttl").and_then(|value| read_ttl(&value));
    let proxied = section.take("proxied").and_then(|value| value.flag());
    let comment = section.take("comment").and_then(|value| read_comment(&value));
    let create = section.take("create").and_then(|value| value.flag()).unwrap_or(true);
    if own_suffix && types == [false] {
        section.refuse("ipv6_suffix belongs to records of type AAAA");
    }
    for value in names {
        let others = if works && account.zone_id.is_some() { records.as_slice() } else { &[] };
        let Some(name) = read_name(&value, others) else { continue };
        for aaaa in types.iter().copied() {
            let (name, comment) = (name.clone(), comment.clone());
            let record = CloudflareRecord { name, aaaa, ttl, proxied, comment, create };
            if works {
                let suffix = defaults.ipv6_suffix.filter(|_| aaaa);
                let defaults = TargetDefaults { ipv6_suffix: suffix, ..defaults.clone() };
                builder.add(&section, &defaults, draft(account, &record, &defaults, records.len()));
            }
            records.push(record);
        }
    }
    section.finish();
}

fn draft(
    account: &Cloudflare,
    record: &CloudflareRecord,
    defaults: &TargetDefaults<'_>,
    entry: usize,
) -> NewTarget {
    let kind = if record.aaaa { "AAAA" } else { "A" };
    let suffix = defaults.ipv6_suffix;
    NewTarget {
        name: format!("{kind} {}", record.name),
        host: record.name.as_str().into(),
        entry,
        fingerprint: Fingerprint::new("cloudflare")
            .text(account.api_token.reveal())
            .maybe(account.zone_id.as_deref())
            .text(&account.api_url)
            .text(&record.name)
            .text(kind)
            .maybe(record.ttl)
            .maybe(record.proxied)
            .maybe(record.comment.as_deref())
            .flag(record.create)
            .maybe(suffix)
            .finish(),
        required: Needs {
            ipv4: !record.aaaa,
            ipv6: record.aaaa && suffix.is_none(),
            ipv6_prefix: record.aaaa && suffix.is_some(),
        },
        optional: Needs::default(),
        ..NewTarget::default()
    }
}

/// `others` are to be in the same zone.
fn read_name(value: &Value<'_>, others: &[CloudflareRecord]) -> Option<String> {
    let text = value.line()?.trim();
    let name = match ascii_name(text) {
        Ok(name) => name,
        Err(problem) => return value.stop(&problem),
    };
    if is_relative(&name) {
        // With a dot at its end it is absolute, and then a top-level domain.
        if text != "@" && is_absolute(text) {
            return value.refuse("no zone holds this name; without the dot at its end it is one in the zone");
        }
        return Some(name);
    }
    // No zone has less than two labels.
    let zone_of = |name: &str| name.rsplit('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let first = others.iter().map(|record| &record.name).find(|name| !is_relative(name));
    if let Some(other) = first.filter(|first| zone_of(first) != zone_of(&name)) {
        return value.refuse(&format!(
            "{name:?} and {other:?} cannot both be inside the zone that zone_id names; only one label is completed, \
             any other name is written in full"
        ));
    }
    Some(name)
}

fn read_ttl(value: &Value<'_>) -> Option<u32> {
    let expected = "expected 30 to 86400 seconds, or 1 for automatic";
    let ttl = value.integer(1..=86_400, expected)?;
    if (2..30).contains(&ttl) { value.refuse(expected) } else { Some(ttl) }
}

fn read_comment(value: &Value<'_>) -> Option<String> {
    let comment = value.line()?;
    if comment.chars().count() > MAX_COMMENT {
        return value.refuse(&format!("expected at most {MAX_COMMENT} characters"));
    }
    Some(comment.to_owned())
}
