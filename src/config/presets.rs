//! The presets: `providers.toml` as values. That file says what each key means;
//! [`list`] shows them.

pub mod list;

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
    /// The URL for IPv6 alone: where `url` has no place for it, each family takes a
    /// request of its own.
    pub url6: Option<String>,
    /// In capitals.
    pub method: &'static str,
    /// The body, form-encoded.
    pub form: Option<String>,
    /// The body, in JSON.
    pub json: Option<String>,
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
    /// Whether groups of names may be updated: the name is the group's then, and
    /// the user `group:user`.
    pub group: bool,
    /// What it rests on.
    pub basis: Basis,
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

/// What a preset rests on. None was tried with an account of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// The provider's own page.
    Page,
    /// Other clients that work with it.
    Clients,
    /// Neither: common knowledge.
    Neither,
}

impl Basis {
    fn parse(text: &str) -> Option<Self> {
        [Self::Page, Self::Clients, Self::Neither].into_iter().find(|basis| basis.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Clients => "clients",
            Self::Neither => "neither",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Page => "as the provider's page says",
            Self::Clients => "as other clients do it; the provider's page does not say so much",
            Self::Neither => "from common knowledge: neither the provider's page nor other clients were seen",
        }
    }
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
            json: None,
            basic: with_user.then(|| "{username}:{password}".to_owned()),
            header: None,
            names: 1,
            zone: None,
            id: false,
            record: false,
            group: false,
            basis: Basis::Neither,
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
        let both = ["{ipv6", "{ips"].iter().any(|name| self.url.contains(name));
        self.mentions("ip") || (self.url6.is_some() && !both)
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
            "hostname" => ["host", "label", "sub"].iter().any(|name| self.mentions(name)),
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
        let header = self.header.iter().map(|(_, value)| value);
        let more = [&self.url6, &self.form, &self.json, &self.basic, &self.zone].into_iter().flatten();
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

/// A provider whose interface no preset can speak: by what it can be updated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipe {
    /// Its name in the list.
    pub name: String,
    /// The provider's page about it.
    pub link: String,
    /// `[[urls]]` or `[[runs]]`.
    pub section: String,
    /// Why, and how, a line each.
    pub how: Vec<String>,
}

/// The providers without a preset, by name.
#[must_use]
pub fn recipes() -> Vec<Recipe> {
    let Ok(table) = DeTable::parse(TABLE) else { return Vec::new() };
    let recipe = |name: &str, row: Row<'_>| {
        let (link, by, how) = (row.text("link")?, row.text("by")?, row.list("how"));
        Some(Recipe { name: name.to_owned(), link, section: format!("[[{by}]]"), how })
    };
    let rows = table.get_ref().iter();
    rows.filter_map(|(name, row)| recipe(name.get_ref(), Row(row.get_ref().as_table()?))).collect()
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
        method: row.method(),
        form: row.text("form"),
        json: row.text("json"),
        basic: row.text("basic"),
        header: row.text("header").as_deref().and_then(field),
        names: row.number("names").and_then(|names| usize::try_from(names).ok()).unwrap_or(1),
        zone: row.text("zone"),
        id: row.flag("id"),
        record: row.flag("record"),
        group: row.flag("group"),
        basis: Basis::parse(&row.text("basis")?)?,
        pause: seconds("pause", 1).unwrap_or_default(),
        refresh: seconds("refresh", 24 * 60 * 60),
        fault: seconds("fault", 60).unwrap_or(FAULT),
        answers: row.answers(),
        meanings: meanings.into_iter().filter_map(|(key, of)| Some((key, row.text(of)?))).collect(),
    })
}

fn field(line: &str) -> Option<(String, String)> {
    line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))
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

    /// A text stands for a list of one.
    fn list(&self, key: &str) -> Vec<String> {
        let value = self.0.get(key).map(toml::Spanned::get_ref);
        let texts = value.and_then(|value| value.as_array()).into_iter().flat_map(|array| array.iter());
        let texts = texts.filter_map(|value| value.get_ref().as_str());
        value.and_then(|value| value.as_str()).into_iter().chain(texts).map(str::to_owned).collect()
    }

    fn method(&self) -> &'static str {
        match self.text("method").as_deref() {
            None => "GET",
            Some("PUT") => "PUT",
            Some("PATCH") => "PATCH",
            Some(_) => "POST",
        }
    }

    fn answers(&self) -> Answers {
        Answers {
            good: self.list("good"),
            same: self.list("same"),
            later: self.list("later"),
            stop: self.list("stop"),
            any: self.flag("any"),
            empty: self.flag("empty"),
            nohost: self.number("nohost").and_then(|status| u16::try_from(status).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "link basis url url6 method form json basic header names zone id record group pause refresh fault \
        good same later stop any empty nohost hostname_is username_is password_is token_is";

    #[test]
    fn every_row_is_read_and_holds_only_known_keys() {
        let table = DeTable::parse(TABLE).unwrap();
        assert_eq!(all().len() + recipes().len(), table.get_ref().len());
        for (name, row) in table.get_ref() {
            let row = row.get_ref().as_table().unwrap();
            let known = if row.contains_key("by") { "link by how" } else { KNOWN };
            for key in row.keys() {
                assert!(known.split_whitespace().any(|known| known == key.get_ref()), "{name:?}: {key:?}");
            }
        }
        for recipe in recipes() {
            assert!(["[[urls]]", "[[runs]]"].contains(&recipe.section.as_str()), "{recipe:?}");
            assert!(!recipe.how.is_empty() && recipe.link.starts_with("https://"), "{recipe:?}");
        }
    }

    #[test]
    fn presets_hold_together() {
        for preset in all() {
            let name = &preset.name;
            // The one provider without TLS.
            assert!(preset.url.starts_with("https://") || name == "3322.org", "{name}");
            assert!(preset.link.starts_with("http"), "{name}");
            let body = preset.form.is_some() || preset.json.is_some();
            assert!(preset.method == "GET" || body || preset.basic.is_some(), "{name}");
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
}
