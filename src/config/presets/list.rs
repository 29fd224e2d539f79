//! The presets for people: the list, and a page about each.

use std::fmt::Write as _;

use super::{Answers, KEYS, Preset, Recipe, all, find, recipes};

/// How wide a line of a page may be.
const WIDTH: usize = 79;
/// Names are shorter.
const NAME_WIDTH: usize = 16;

/// A line for each provider: name, families, basis, and what it needs.
#[must_use]
pub fn list() -> String {
    let mut lines: Vec<(String, String)> = all()
        .iter()
        .map(|preset| {
            (preset.name.clone(), line(&preset.name, families(preset), preset.basis.name(), &needed(preset)))
        })
        .collect();
    lines.extend(recipes().into_iter().map(|Recipe { name, section, .. }| {
        let text = format!("{name:NAME_WIDTH$}no preset, but {section}: see `providers {name}`\n");
        (name, text)
    }));
    lines.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    let head = line("NAME", "FAMILIES", "BASIS", "NEEDS");
    lines.into_iter().fold(head, |list, (_, line)| list + &line)
}

fn line(name: &str, families: &str, basis: &str, needs: &str) -> String {
    format!("{name:NAME_WIDTH$}{families:11}{basis:9}{needs}\n")
}

fn families(preset: &Preset) -> &'static str {
    match (preset.knows_ipv6(), preset.record) {
        (true, false) => "IPv4+IPv6",
        (true, true) => "IPv4|IPv6",
        (false, _) => "IPv4",
    }
}

fn needed(preset: &Preset) -> String {
    KEYS.into_iter().filter(|key| preset.needs(key)).collect::<Vec<_>>().join(", ")
}

/// What there is to say about one provider, with a section to copy; the error names
/// the provider that was meant, if that can be told.
pub fn page(name: &str) -> Result<String, Option<String>> {
    let presets = all();
    let recipes = recipes();
    if let Some(recipe) = recipes.iter().find(|recipe| recipe.name == name) {
        return Ok(recipe_page(recipe));
    }
    match find(&presets, name) {
        Ok(preset) => Ok(preset_page(preset)),
        Err(meant) => Err(meant.map(str::to_owned)),
    }
}

fn recipe_page(recipe: &Recipe) -> String {
    let mut page = String::new();
    comment(&mut page, &format!("{}: no preset, but {}. {}", recipe.name, recipe.section, recipe.link));
    for line in &recipe.how {
        comment(&mut page, line);
    }
    page
}

fn preset_page(preset: &Preset) -> String {
    let mut page = String::new();
    let families = match families(preset) {
        "IPv4" => "IPv4 only",
        "IPv4|IPv6" => "IPv4 or IPv6: a section for each, as the credentials are of one record",
        _ => "IPv4 and IPv6",
    };
    comment(&mut page, &format!("{}: {families}; {}.", preset.name, preset.basis.sentence()));
    comment(&mut page, &format!("What it needs is found at {}", preset.link));
    for (what, words) in answers(preset) {
        comment(&mut page, &format!("{what}: {words}"));
    }
    if !preset.is_told() {
        comment(&mut page, "It takes no address but the one that the request comes from.");
    }
    if !preset.pause.is_zero() {
        comment(&mut page, &format!("Between two updates of an account pass {} s.", preset.pause.as_secs()));
    }
    page.push_str("\n[[dyndns]]\n");
    entry(&mut page, "provider", &preset.name, None);
    for key in KEYS.into_iter().filter(|key| preset.needs(key)) {
        entry(&mut page, key, &sample(preset, key), preset.meaning(key));
    }
    page
}

/// What stands in the section for a key.
fn sample(preset: &Preset, key: &str) -> String {
    let own_zone = preset.zone.as_deref() == Some("{username}");
    match (key, preset.zone.as_deref()) {
        ("hostname", _) if preset.id => "12345".to_owned(),
        ("hostname", Some(zone)) if !own_zone => format!("home.{zone}"),
        ("hostname", _) => "home.example.org".to_owned(),
        ("username", _) if own_zone => "example.org".to_owned(),
        (key, _) => format!("replace-this-{key}"),
    }
}

fn entry(page: &mut String, key: &str, value: &str, meaning: Option<&str>) {
    // Writing to a String cannot fail.
    let _ = write!(page, "{key} = \"{value}\"");
    let _ = match meaning {
        Some(meaning) => writeln!(page, "  # {meaning}"),
        None => writeln!(page),
    };
}

/// What its answers mean.
fn answers(preset: &Preset) -> Vec<(&'static str, String)> {
    let Answers { good, same, later, stop, any, empty, nohost } = &preset.answers;
    let own = !good.is_empty();
    let usual = |usual: &[&str]| usual.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let all = |own: &[String], usual: Vec<String>| {
        own.iter().map(|rule| shown(rule)).chain(usual).collect::<Vec<_>>()
    };
    let mut changed = all(good, if own { Vec::new() } else { usual(&["good"]) });
    changed.extend(empty.then(|| "an empty answer".to_owned()));
    changed.extend(any.then(|| "any answer of success that tells no failure".to_owned()));
    let same = all(same, if own { Vec::new() } else { usual(&["nochg"]) });
    let mut refused =
        all(stop, usual(&["badauth", "nohost", "notfqdn", "!yours", "!active", "!donator", "abuse"]));
    refused.extend(nohost.map(|status| format!("status {status}")));
    let later = all(later, usual(&["911", "dnserr"]));
    [
        ("Changed", changed),
        ("Already so", same),
        ("Tried again later", later),
        ("Refused, until the section changes", refused),
    ]
    .into_iter()
    .filter(|(_, words)| !words.is_empty())
    .map(|(what, words)| (what, words.join(", ")))
    .collect()
}

/// A rule of `providers.toml` as people read it.
fn shown(rule: &str) -> String {
    match (rule.strip_prefix('*'), rule.strip_suffix('*')) {
        (Some(within), _) => format!("... {} ...", within.trim_end_matches('*')),
        (None, Some(start)) => format!("{}...", start.trim_end()),
        (None, None) => rule.to_owned(),
    }
}

/// Lines of comment, broken at blanks.
fn comment(page: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() > 1 && line.len().saturating_add(word.len()) >= WIDTH {
            page.push_str(&line);
            page.push('\n');
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    page.push_str(&line);
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_that_fits_a_terminal() {
        let list = list();
        assert_eq!(list.lines().count(), 1 + all().len() + recipes().len());
        assert!(list.lines().all(|line| line.len() <= 80), "{list}");
        let line = |name: &str| {
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("namecheap"), "namecheap IPv4 clients hostname, username, password");
        assert_eq!(line("cloudns"), "cloudns IPv4|IPv6 clients token");
        assert!(line("transip").contains("no preset, but [[runs]]"));
    }

    #[test]
    fn a_page_says_what_is_needed_and_what_answers_mean() {
        let text = page("infomaniak").unwrap();
        for words in [
            "IPv4 and IPv6",
            "https://www.infomaniak.com/",
            "Changed: good, successfully_changed",
            "Already so: nochg, no_change",
            "provider = \"infomaniak\"\nhostname = \"home.example.org\"\nusername = ",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert!(page("transip").unwrap().contains("[[runs]]"));
        assert_eq!(page("infomanaik"), Err(Some("infomaniak".to_owned())));
        assert_eq!(page("frobnicate"), Err(None));
    }

    /// Most services are reached over TLS alone; without it their sections are refused.
    #[cfg(feature = "tls")]
    #[test]
    fn a_section_of_a_page_is_one_to_copy() {
        for preset in all() {
            let text = page(&preset.name).unwrap();
            let config = crate::config::parse(&text, std::path::Path::new("c.toml"), &|_| Err(String::new()));
            let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(config.targets.len(), 1, "{text}");
        }
    }
}
