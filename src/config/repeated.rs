//! What of a configuration a server could say back to us: the secrets that must
//! not be shown then, and the names that may be.

use super::provider_url::{hide_in_arguments, names_secret};
use super::{Config, Source, UpdaterConfig, Url};
use crate::quote::{Secrets, percent_decoded};
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

/// Pieces of update URLs and bodies that are nobody's secret. They stand in most
/// answers, too.
const PLAIN: [&str; 24] = [
    "a", "aaaa", "api", "content", "data", "ddns", "dns", "domains", "dynamic", "dyndns", "http", "https",
    "index", "json", "name", "nic", "php", "record", "records", "true", "ttl", "type", "update", "zones",
];
/// Fields of a request that are no secret, and beginnings of such that are.
const PLAIN_FIELDS: [&str; 5] = ["accept", "content-type", "host", "user-agent", "accept-language"];
const SCHEMES: [&str; 4] = ["basic", "bearer", "token", "apikey"];
/// Keys of a query whose value is a host's name.
const NAMES: [&str; 8] = ["host", "hostname", "hostnames", "domain", "domains", "name", "subdomain", "zone"];

impl Config {
    /// For [`Config::secrets`].
    pub(super) fn gather_secrets(&self) -> Secrets {
        let mut all: Vec<String> = self.groups.iter().flat_map(UpdaterConfig::secrets).collect();
        for notify in &self.telling.notify {
            all.extend(in_url(notify.url.reveal()));
            all.extend(notify.token.iter().map(|token| token.reveal().to_owned()));
            all.extend(in_headers(&notify.headers));
            all.extend(in_arguments(&notify.cmd));
        }
        let heartbeat = self.telling.heartbeat.iter().flat_map(|heartbeat| in_url(heartbeat.url.reveal()));
        let proxies = [&self.proxies.http, &self.proxies.https].into_iter().flatten();
        let echoes = self.sources.iter().filter_map(|source| match source {
            Source::Echo(url) => Some(in_url(url)),
            _ => None,
        });
        all.extend(echoes.flatten());
        all.extend(heartbeat.chain(proxies.flat_map(|proxy| in_url(proxy.url.reveal()))));
        all.retain(|secret| !SCHEMES.contains(&secret.to_ascii_lowercase().as_str()));
        Secrets::new(all.iter().map(String::as_str))
    }
}

impl UpdaterConfig {
    fn secrets(&self) -> Vec<String> {
        match self {
            Self::Cloudflare(account) => account.secrets(),
            Self::Url(url) => url.secrets(),
            Self::Dyndns(account) => account.secrets(),
            Self::Rfc2136(zone) => zone.secrets(),
            Self::Run(run) => in_arguments(&run.cmd).collect(),
        }
    }
}

impl Url {
    /// What must not be shown of an answer.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = in_url(self.url.reveal());
        secrets.extend(in_headers(&self.headers));
        secrets.extend(in_body(self.body.as_ref().map_or("", Secret::reveal)));
        secrets.retain(|secret| !SCHEMES.contains(&secret.to_ascii_lowercase().as_str()));
        secrets
    }

    /// Its own names: the host, and those that the query speaks of.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Ok(parts) = HttpUrl::split(self.url.reveal()) else { return Vec::new() };
        let names = pieces(&parts).filter(is_name).map(|(_, value)| percent_decoded(value));
        [parts.host.to_owned()].into_iter().chain(names).collect()
    }
}

fn in_headers(headers: &[(String, Secret)]) -> impl Iterator<Item = String> {
    let fields =
        headers.iter().filter(|(name, _)| !PLAIN_FIELDS.contains(&name.to_ascii_lowercase().as_str()));
    fields.flat_map(|(_, value)| value.reveal().split_whitespace()).map(str::to_owned)
}

/// What of a program's arguments is not shown.
fn in_arguments(arguments: &[String]) -> impl Iterator<Item = String> {
    let shown = hide_in_arguments(arguments, "");
    let hidden = arguments.iter().zip(shown).filter(|(argument, shown)| *argument != shown);
    hidden.flat_map(|(argument, _)| in_body(argument))
}

/// User, password, and every piece of path and query that could be secret.
pub(super) fn in_url(url: &str) -> Vec<String> {
    let Ok(parts) = HttpUrl::split(url) else { return vec![url.to_owned()] };
    let user = parts.user.unwrap_or_default();
    let user = [user].into_iter().chain(user.split(':'));
    let pieces = pieces(&parts).filter(|piece| !is_name(piece)).map(|(_, value)| value);
    user.chain(pieces).filter(|piece| is_secret(piece)).map(str::to_owned).collect()
}

/// The segments of the path, and the values of the query with their keys. A key
/// without a value could be a token.
fn pieces<'a>(parts: &HttpUrl<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let path = parts.path.split(['/', ';', '.']).map(|segment| ("", segment));
    let query = parts.query.unwrap_or_default().split(['&', ';']);
    let query = query.map(|piece| match piece.split_once('=') {
        Some((key, value)) if !value.is_empty() => (key, value),
        _ => ("", piece.trim_end_matches('=')),
    });
    path.chain(query)
}

fn is_name((key, value): &(&str, &str)) -> bool {
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._,".contains(c);
    NAMES.contains(&key.to_ascii_lowercase().as_str()) && value.contains('.') && value.chars().all(is_host)
}

fn is_secret(piece: &str) -> bool {
    let placeholder = piece.starts_with('{') && piece.ends_with('}');
    !piece.is_empty() && !placeholder && !PLAIN.contains(&piece.to_ascii_lowercase().as_str())
}

/// The values of a form or of JSON; keys are no secret, nor is what is neither.
fn in_body(body: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    let is_end = |c: char| c.is_whitespace() || "\"'&=:,{}[]<>".contains(c);
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, behind) =
            rest.split_at_checked(rest.find(is_end).unwrap_or(rest.len())).unwrap_or((rest, ""));
        let mut ends = behind.chars().filter(|c| !c.is_whitespace() && !"\"'".contains(*c));
        let key = ends.next().is_some_and(|c| c == ':' || c == '=');
        if is_secret(piece) && !(key && is_word(piece)) {
            secrets.push(piece.to_owned());
        }
        rest = behind.get(behind.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    secrets
}

/// Whether it looks like a key that somebody chose for people to read.
fn is_word(piece: &str) -> bool {
    piece.len() <= 20 && piece.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte))
        || names_secret(piece) && piece.len() <= 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_request_that_could_be_secret_is_one() {
        let url = Url {
            method: "POST",
            url: Secret::new(
                "https://me:p%40w@a.example/nic/update/s3gment?hostname=h.example.org&token=t0ken&bare&k=&ip={ipv4}"
                    .into(),
            ),
            headers: vec![
                ("Content-Type".into(), Secret::new("application/json".into())),
                ("Authorization".into(), Secret::new("Bearer b3arer".into())),
            ],
            body: Some(Secret::new(r#"{"name": "nas", "key": "b0dy", "ip": "{ipv4}"}&pass=f0rm"#.into())),
            expect: None,
        };
        let expected =
            ["me:p%40w", "me", "p%40w", "s3gment", "t0ken", "bare", "k", "b3arer", "nas", "b0dy", "f0rm"];
        let mut found = url.secrets();
        found.retain(|secret| !secret.contains("ipv4"));
        assert_eq!(found, expected);
        assert_eq!(url.names(), ["a.example", "h.example.org"]);
    }
}
