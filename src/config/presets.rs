//! The presets: `providers.toml` as values. That file says what each key means.

use std::fmt;
use std::time::Duration;

use toml::de::DeTable;

use crate::config::suggest::nearest;

const TABLE: &str = include_str!("providers.toml");

/// After `dnserr` and `911`, unless the provider says otherwise.
const FAULT: Duration = Duration::from_secs(30 * 60);

/// How a provider wants to be asked, and what it answers. Texts are templates.
/// `Debug` shows the name only: a URL of the user's own may hold a secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Preset {
    /// Its name in configurations; empty for a server of the user's own.
    pub name: String,
    /// The provider's page about it.
    pub link: String,
    /// The request's URL.
    pub url: String,
    /// The URL for IPv6, when that takes a request of its own.
    pub url6: Option<String>,
    /// In capitals.
    pub method: &'static str,
    /// The body, form-encoded.
    pub form: Option<String>,
    /// User and password of the Authorization header, with a colon between.
    pub basic: Option<String>,
    /// One more header field: name and value.
    pub header: Option<(String, String)>,
    /// How many host names one request may hold; at least 1.
    pub names: usize,
    /// What `{label}` stands in front of.
    pub zone: Option<String>,
    /// Whether the host name is a number or label of the provider.
    pub id: bool,
    /// Whether the credentials belong to one record, so to one family.
    pub record: bool,
    /// The shortest time between two updates of an account.
    pub pause: Duration,
    /// When to send an unchanged address again.
    pub refresh: Option<Duration>,
    /// How long to wait after a fault that the provider reports.
    pub fault: Duration,
    /// Answers that differ from dyndns2's.
    pub answers: Answers,
    /// What is meant by `hostname`, `username`, `password` and `token`.
    pub meanings: Vec<(&'static str, String)>,
}

impl fmt::Debug for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preset").field(&self.name).finish()
    }
}

/// Answers that differ from dyndns2's; the rules are explained in
/// `providers.toml`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answers {
    /// Changed. When there are any, dyndns2's `good` and `nochg` do not count.
    pub good: Vec<String>,
    /// Was so already.
    pub same: Vec<String>,
    /// Later.
    pub later: Vec<String>,
    /// Not until the configuration changes.
    pub stop: Vec<String>,
    /// A status of success is one, unless the answer is a known failure.
    pub any: bool,
    /// A status of success with an empty answer is one.
    pub empty: bool,
    /// The status that means an unknown name.
    pub nohost: Option<u16>,
}

/// What may stand in a section, and whether a preset has a use for it.
pub const KEYS: [&str; 4] = ["hostname", "username", "password", "token"];

impl Preset {
    /// Any dyndns2 server. A `url` without placeholders gets the parameters of
    /// the protocol, one family in each request: every such server knows that.
    #[must_use]
    pub fn own(url: &str, with_user: bool) -> Self {
        let joint = if url.contains('?') { '&' } else { '?' };
        let url = if url.contains('{') {
            url.to_owned()
        } else {
            format!("{url}{joint}hostname={{host}}&myip={{ip}}")
        };
        Self {
            name: String::new(),
            link: String::new(),
            url,
            url6: None,
            method: "GET",
            form: None,
            basic: with_user.then(|| "{username}:{password}".to_owned()),
            header: None,
            names: 1,
            zone: None,
            id: false,
            record: false,
            pause: Duration::ZERO,
            refresh: None,
            fault: FAULT,
            answers: Answers::default(),
            meanings: Vec::new(),
        }
    }

    /// Whether it can hold an IPv6 address.
    #[must_use]
    pub fn knows_ipv6(&self) -> bool {
        self.url6.is_some() || ["ip", "ips", "ipv6"].iter().any(|name| self.mentions(name))
    }

    /// Whether it can hold an IPv4 address; only own URLs may not.
    #[must_use]
    pub fn knows_ipv4(&self) -> bool {
        !self.mentions("ipv6") || self.url6.is_some() || self.mentions("ipv4")
    }

    /// Whether it is told the address, or takes the one that the request comes from.
    #[must_use]
    pub fn is_told(&self) -> bool {
        ["ip", "ips", "ipv4", "ipv6"].iter().any(|name| self.mentions(name))
    }

    /// Whether each family takes a request of its own.
    #[must_use]
    pub fn splits_families(&self) -> bool {
        self.url6.is_some() || self.mentions("ip")
    }

    /// What `{zone}` stands for, and `{label}` in front of.
    #[must_use]
    pub fn zone_of(&self, username: Option<&str>) -> Option<String> {
        match self.zone.as_deref()? {
            "{username}" => Some(username?.trim_end_matches('.').to_ascii_lowercase()),
            zone => Some(zone.to_owned()),
        }
    }

    /// Whether it has a use for one of [`KEYS`].
    #[must_use]
    pub fn needs(&self, key: &str) -> bool {
        match key {
            "hostname" => ["host", "label"].iter().any(|name| self.mentions(name)),
            "token" => ["token", "raw_token"].iter().any(|name| self.mentions(name)),
            key => self.mentions(key),
        }
    }

    /// What is meant by one of [`KEYS`], where that is not obvious.
    #[must_use]
    pub fn meaning(&self, key: &str) -> Option<&str> {
        self.meanings.iter().find(|(name, _)| *name == key).map(|(_, meaning)| meaning.as_str())
    }

    /// Whether some template holds this placeholder.
    fn mentions(&self, name: &str) -> bool {
        let (plain, filled) = (format!("{{{name}}}"), format!("{{{name}|"));
        self.templates().any(|text| text.contains(&plain) || text.contains(&filled))
    }

    fn templates(&self) -> impl Iterator<Item = &str> {
        let header = self.header.as_ref().map(|(_, value)| value);
        let more = [&self.url6, &self.form, &self.basic, &self.zone].into_iter().flatten();
        [&self.url].into_iter().chain(more).chain(header).map(String::as_str)
    }
}

/// Every preset, by name.
#[must_use]
pub fn all() -> Vec<Preset> {
    // It is ours; a test reads every line of it.
    let Ok(table) = DeTable::parse(TABLE) else { return Vec::new() };
    let rows = table.get_ref().iter();
    rows.filter_map(|(name, row)| read(name.get_ref(), row.get_ref().as_table()?)).collect()
}

/// The preset with this name, or the name that was meant, if that can be told.
pub fn find<'p>(presets: &'p [Preset], name: &str) -> Result<&'p Preset, Option<&'p str>> {
    let names = || presets.iter().map(|preset| preset.name.as_str());
    let meant = longer(name, names()).or_else(|| nearest(name, names()));
    presets.iter().find(|preset| preset.name == name).ok_or(meant)
}

/// The longest name that `word` begins with, whatever dots and hyphens stand in
/// it: "noip", "duckdns.org".
fn longer<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let letters = |text: &str| text.to_ascii_lowercase().replace(['-', '.', '_', ' '], "");
    let word = letters(word);
    names.filter(|name| word.starts_with(&letters(name))).max_by_key(|name| letters(name).len())
}

/// The presets for people: name, families, what is needed, link; one a line.
#[must_use]
pub fn list() -> String {
    let mut presets = all();
    presets.sort_by_key(|preset| preset.name.to_ascii_lowercase());
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let needs: Vec<String> = presets.iter().map(needed).collect();
    let name_width = wide(&mut presets.iter().map(|preset| preset.name.len()));
    let needs_width = wide(&mut needs.iter().map(String::len));
    presets.iter().zip(&needs).fold(String::new(), |lines, (preset, needs)| {
        let (name, families, link) = (&preset.name, families(preset), &preset.link);
        lines + &format!("{name:name_width$}  {families:9}  {needs:needs_width$}  {link}\n")
    })
}

fn families(preset: &Preset) -> &'static str {
    match (preset.knows_ipv6(), preset.record) {
        (true, false) => "IPv4+IPv6",
        (true, true) => "IPv4|IPv6",
        (false, _) => "IPv4",
    }
}

fn needed(preset: &Preset) -> String {
    let keys = KEYS.iter().filter(|key| preset.needs(key));
    let texts: Vec<String> = keys
        .map(|key| match preset.meaning(key) {
            Some(meaning) => format!("{key} ({meaning})"),
            None => (*key).to_owned(),
        })
        .collect();
    texts.join(", ")
}

fn read(name: &str, row: &DeTable<'_>) -> Option<Preset> {
    let row = Row(row);
    let seconds =
        |key, unit| row.number(key).map(|count: u64| Duration::from_secs(count.saturating_mul(unit)));
    let meanings = [
        ("hostname", "hostname_is"),
        ("username", "username_is"),
        ("password", "password_is"),
        ("token", "token_is"),
    ];
    Some(Preset {
        name: name.to_owned(),
        link: row.text("link")?,
        url: row.text("url")?,
        url6: row.text("url6"),
        method: if row.text("method").is_some() { "POST" } else { "GET" },
        form: row.text("form"),
        basic: row.text("basic"),
        header: row
            .text("header")
            .and_then(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))),
        names: row.number("names").and_then(|names| usize::try_from(names).ok()).unwrap_or(1),
        zone: row.text("zone"),
        id: row.flag("id"),
        record: row.flag("record"),
        pause: seconds("pause", 1).unwrap_or_default(),
        refresh: seconds("refresh", 24 * 60 * 60),
        fault: seconds("fault", 60).unwrap_or(FAULT),
        answers: Answers {
            good: row.list("good"),
            same: row.list("same"),
            later: row.list("later"),
            stop: row.list("stop"),
            any: row.flag("any"),
            empty: row.flag("empty"),
            nohost: row.number("nohost").and_then(|status| u16::try_from(status).ok()),
        },
        meanings: meanings.into_iter().filter_map(|(key, of)| Some((key, row.text(of)?))).collect(),
    })
}

struct Row<'a>(&'a DeTable<'a>);

impl Row<'_> {
    fn text(&self, key: &str) -> Option<String> {
        Some(self.0.get(key)?.get_ref().as_str()?.to_owned())
    }

    fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(|value| value.get_ref().as_bool()).unwrap_or(false)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.get_ref().as_integer()?.as_str().parse().ok()
    }

    fn list(&self, key: &str) -> Vec<String> {
        let texts = self.0.get(key).and_then(|value| value.get_ref().as_array());
        let texts = texts.into_iter().flat_map(|array| array.iter());
        texts.filter_map(|value| value.get_ref().as_str().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 24] = [
        "link",
        "url",
        "url6",
        "method",
        "form",
        "basic",
        "header",
        "names",
        "zone",
        "id",
        "record",
        "pause",
        "refresh",
        "fault",
        "good",
        "same",
        "later",
        "stop",
        "any",
        "empty",
        "nohost",
        "username_is",
        "password_is",
        "token_is",
    ];

    #[test]
    fn every_row_is_read_and_holds_only_known_keys() {
        let table = DeTable::parse(TABLE).unwrap();
        assert_eq!(all().len(), table.get_ref().len());
        for (name, row) in table.get_ref() {
            for key in row.get_ref().as_table().unwrap().keys() {
                let known = KNOWN.contains(&key.get_ref().as_ref()) || key.get_ref() == "hostname_is";
                assert!(known, "{}: {}", name.get_ref(), key.get_ref());
            }
        }
    }

    #[test]
    fn presets_hold_together() {
        for preset in all() {
            let name = &preset.name;
            // The one provider without TLS.
            assert!(preset.url.starts_with("https://") || name == "3322.org", "{name}");
            assert!(preset.link.starts_with("http"), "{name}");
            assert!(preset.method == "GET" || preset.form.is_some() || preset.basic.is_some(), "{name}");
            assert!(preset.needs("password") || preset.needs("token"), "{name}");
            assert!(!preset.splits_families() || preset.names == 1, "{name}");
            for (key, _) in &preset.meanings {
                assert!(preset.needs(key), "{name}: {key}");
            }
        }
    }

    #[test]
    fn names_are_found_or_guessed() {
        let presets = all();
        assert_eq!(find(&presets, "no-ip").unwrap().names, 1);
        for (word, meant) in [
            ("noip", "no-ip"),
            ("No-IP.com", "no-ip"),
            ("duckdns.org", "duckdns"),
            ("he.net", "he"),
            ("infomanaik", "infomaniak"),
        ] {
            assert_eq!(find(&presets, word), Err(Some(meant)));
        }
        assert_eq!(find(&presets, "frobnicate"), Err(None));
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let list = list();
        assert_eq!(list.lines().count(), all().len());
        let line = list.lines().find(|line| line.starts_with("namecheap ")).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[1..4], ["IPv4", "hostname,", "username"]);
        assert!(line.contains("username (the domain), password (its Dynamic DNS password)"), "{line}");
        assert!(words.last().unwrap().starts_with("https://www.namecheap.com/"));
    }
}
