//! `[[urls]]`: requests to any provider.

use super::builder::{Builder, NewTarget};
use super::defaults::TargetDefaults;
use super::files::{Files, TextFrom, is_placeholder};
use super::fingerprint::Fingerprint;
use super::provider_url::{check, holds_secret, names_secret};
use super::section::{Section, Value};
use super::sources::Router;
use super::suggest::warn_of_typos;
use super::{UpdaterConfig, Url};
use crate::config::error::Problems;
use crate::config::placeholders::{Needs, mentioned};
use crate::config::suggest::nearest;
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

/// Without CONNECT, which 1.0 knew: it opens a tunnel and updates nothing, and it
/// would put the URL's credentials into the request line.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "TRACE", "PATCH", "OPTIONS"];

/// Far beyond what a provider takes, far below what would fill memory.
const MAX_HEADERS: usize = 64;

pub(super) fn read<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    let mut defaults = defaults.clone();
    TargetDefaults::refuse_verify(&mut section);
    defaults.take(&mut section, router);
    let label = section.take("name").and_then(|value| value.line());
    let method = section.take("method").map_or(Some("GET"), |value| read_method(&value));
    let inline = section.has("url");
    let url = files.require(&mut section, "url", "url_file").and_then(|found| read_url(&found));
    let headers = section.take("headers").map_or_else(Vec::new, |value| read_headers(&value, files));
    let body = files.text(&mut section, "body", "body_file").map(|found| found.text);
    let expect = section.take("expect").and_then(|value| read_expect(&value));
    if let Some((url, method)) = url.zip(method) {
        if inline && holds_secret(&url) {
            files.saw_inline_secret();
        }
        let name = label.map_or_else(|| default_name(&url), str::to_owned);
        warn_of_plain_http(&name, &url, &headers, problems);
        let body = body.filter(|body| !body.is_empty()).map(Secret::new);
        let request = Url { method, url: Secret::new(url), headers, body, expect };
        warn_of_typos(&name, request.texts(), problems);
        builder.add(&section, &defaults, draft(name, &request, &defaults));
        builder.groups.push(UpdaterConfig::Url(Box::new(request)));
    }
    section.finish();
}

fn draft(name: String, request: &Url, defaults: &TargetDefaults<'_>) -> NewTarget {
    let mut required = request.texts().map(mentioned).fold(Needs::default(), Needs::or);
    let mut optional = Needs::default();
    if required == optional {
        optional = Needs { ipv4: true, ipv6: true, ipv6_prefix: false };
    }
    if defaults.ipv6_suffix.is_some() {
        required = from_prefix(required);
        optional = from_prefix(optional);
    }
    let headers: Vec<&str> =
        request.headers.iter().flat_map(|(name, value)| [name.as_str(), value.reveal()]).collect();
    let expect = request.expect.iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let fingerprint = Fingerprint::new("url")
        .text(request.method)
        .text(request.url.reveal())
        .list(headers.into_iter())
        .maybe(request.body.as_ref().map(Secret::reveal))
        .flag(request.expect.is_some())
        .list(expect.into_iter())
        .maybe(defaults.ipv6_suffix)
        .flag(defaults.empty_when_absent)
        .finish();
    let both_families = names_both(required);
    let any_address = required == Needs::default();
    NewTarget { name, fingerprint, required, optional, both_families, any_address, ..NewTarget::default() }
}

/// With a suffix, the IPv6 address is made of the prefix.
pub(super) fn from_prefix(needs: Needs) -> Needs {
    Needs { ipv6: false, ipv6_prefix: needs.ipv6 || needs.ipv6_prefix, ..needs }
}

/// Whether placeholders speak of IPv4 and of IPv6.
pub(super) fn names_both(needs: Needs) -> bool {
    needs.ipv4 && (needs.ipv6 || needs.ipv6_prefix)
}

impl Url {
    /// Every text that may hold placeholders.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter().map(|(_, value)| value);
        [&self.url].into_iter().chain(headers).chain(&self.body).map(Secret::reveal)
    }
}

fn default_name(url: &str) -> String {
    format!("url {}", HttpUrl::split(url).map_or("", |parts| parts.host))
}

fn read_method(value: &Value<'_>) -> Option<&'static str> {
    let text = value.text()?;
    let known = METHODS.into_iter().find(|method| method.eq_ignore_ascii_case(text));
    known.or_else(|| match nearest(text, METHODS) {
        Some(meant) => value.refuse(&format!("did you mean {:?}?", meant.to_ascii_lowercase())),
        None => value.refuse("expected an HTTP method, for example \"get\", \"post\" or \"put\""),
    })
}

fn read_url(found: &TextFrom<'_>) -> Option<String> {
    if is_placeholder(&found.text) {
        return found.value.stop_hidden("expected a URL; this is only a placeholder for one");
    }
    match check(&found.text, super::idn::ascii_name) {
        Ok(url) => Some(url),
        Err(problem) => found.value.stop_hidden(&problem),
    }
}

pub(super) fn read_headers(value: &Value<'_>, files: &Files<'_>) -> Vec<(String, Secret)> {
    let Some(section) = value.section("{ NAME = \"value\" }") else { return Vec::new() };
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for value in section.take_all() {
        let Some((name, text)) = read_header(&value) else { continue };
        if headers.len() >= MAX_HEADERS {
            value.refuse_key::<()>(&format!("expected at most {MAX_HEADERS} headers"));
            break;
        }
        if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            value.refuse_key::<()>("this header is given twice");
            continue;
        }
        if names_secret(&name) {
            files.saw_inline_secret();
        }
        headers.push((name, Secret::new(text)));
    }
    headers
}

fn read_header(value: &Value<'_>) -> Option<(String, String)> {
    // RFC 9110, section 5.6.2.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if value.key().is_empty() || !value.key().bytes().all(token) {
        return value.refuse_key("this is no name of an HTTP header");
    }
    let text = value.hidden_text()?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return value.refuse_hidden("no line breaks or control characters may stand in a header");
    }
    Some((value.key().to_owned(), text.to_owned()))
}

fn read_expect(value: &Value<'_>) -> Option<Vec<String>> {
    let words = value.list()?;
    if words.is_empty() {
        return value.refuse("expected at least one word, or no such key");
    }
    words.iter().map(read_word).collect()
}

fn read_word(value: &Value<'_>) -> Option<String> {
    let word = value.line()?;
    if word.contains(char::is_whitespace) {
        return value.refuse("expected a single word: the first one of an accepted answer");
    }
    Some(word.to_owned())
}

pub(super) fn warn_of_plain_http(
    name: &str,
    url: &str,
    headers: &[(String, Secret)],
    problems: &Problems<'_>,
) {
    let Ok(parts) = HttpUrl::split(url) else { return };
    let secret = holds_secret(url) || headers.iter().any(|(name, _)| names_secret(name));
    if !parts.https && !parts.is_loopback() && secret {
        problems
            .warn(format!("{name}: its credentials travel unencrypted; use https:// if the server has it"));
    }
}
