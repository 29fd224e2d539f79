//! Which known word or placeholder somebody meant when they mistyped one. A
//! mistyped placeholder is sent as it is, as in 1.0, but the user should know.

use super::error::Problems;
use super::placeholders::PLACEHOLDERS;

/// Longer words are no typing mistakes, and comparing them costs time.
const MAX_WORD: usize = 40;

/// What stands in configurations of this program and of others.
const USUAL: &str = "address after agree algorithm allow_private api_key api_token api_token_file api_url at_start \
                     body body_file builtin_roots ca ca_file chat client_cert client_key client_key_file cloudflare cmd \
                     comment create domain dyndns email events every expect headers heartbeat host hostname hostnames \
                     hosts interval ip ipv4 ipv6 ipv6_suffix key key_file listen log_level login method metrics_file \
                     monitor name names no_proxy notify on password password_file port preset provider proxied proxy \
                     proxy_file record records refresh retry rfc2136 router_ip runs script secret secret_file server \
                     service state_file system_roots timeout tls token token_file transport ttl type types url url_file \
                     urls user username verify wait when_absent zone zone_id";

/// What other programs call the same.
const SAME: [&[&str]; 3] = [
    &["hostname", "name", "host", "domain", "subdomain"],
    &["username", "user", "login", "email"],
    &["cmd", "command", "exec", "script", "program"],
];
/// Keys that are often written in another section; the first are those of the whole file.
const HOMES: [(&str, &str); 6] = [
    (
        "",
        "interval router_ip events state_file proxy proxy_file no_proxy metrics_file cloudflare dyndns urls runs",
    ),
    ("[tls]", "ca_file builtin_roots system_roots client_cert client_key client_key_file"),
    ("[cloudflare]", "api_token api_token_file api_url zone_id"),
    ("[[dyndns]]", "provider hostname hostnames username password password_file"),
    ("[[runs]]", "cmd at_start retry"),
    ("[monitor]", "listen hosts"),
];

/// The section that a key belongs in.
pub(super) fn home(key: &str) -> Option<&'static str> {
    HOMES.iter().find(|(_, keys)| keys.split(' ').any(|known| known == key)).map(|(home, _)| *home)
}

/// The word of `known` that other programs call `word`, or that begins or ends with it.
pub(super) fn alike<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let is_known = |word: &str| known.clone().any(|known| known == word);
    let mut same = SAME.iter().filter(|words| words.contains(&word)).flat_map(|words| words.iter().copied());
    // Where there are not several, a name is a label.
    let named = same.find(|word| is_known(word) && (*word != "name" || is_known("names")));
    let part = |known: &str| {
        let ends = |long: &str, short: &str| {
            let rest = long.strip_prefix(short).or_else(|| long.strip_suffix(short));
            rest.is_some_and(|rest| rest.starts_with('_') || rest.ends_with('_') || rest == "name")
        };
        word.len() > 2 && (ends(known, word) || ends(word, known) && is_usual(word))
    };
    named.or_else(|| known.filter(|known| part(known)).min_by_key(|known| known.len()))
}

/// Whether a key is a usual word, and so none of its owner's own; or nothing.
pub(super) fn is_usual(key: &str) -> bool {
    key.is_empty() || USUAL.split(' ').any(|word| word == key)
}

/// The word of `known` that is nearest to `word`, if it is near enough to be
/// what was meant: one mistake in three letters, at most three. Letter case is
/// no mistake.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let letters = word.chars().count();
    let allowed = letters.div_ceil(3).min(3);
    known
        .into_iter()
        // It takes a mistake at least for each letter that one has more than the other.
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= allowed)
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters to insert, remove or replace (Levenshtein, row by row).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line.saturating_add(1);
        let mut next = vec![before];
        for (to, above) in right.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(*to != from));
            before = replaced.min(above.saturating_add(1)).min(before.saturating_add(1));
            next.push(before);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Warns of words in braces that are almost a placeholder. The texts may be
/// secret and are not shown.
pub(super) fn warn_of_typos<'t>(name: &str, texts: impl Iterator<Item = &'t str>, problems: &Problems<'_>) {
    for meant in texts.flat_map(|text| text.split('{').skip(1)).filter_map(meant) {
        problems.warn(format!("{name}: something in braces is almost {{{meant}}}, and is sent as it is"));
    }
}

/// What the word between two braces was meant to be, when it is not that.
fn meant(behind_brace: &str) -> Option<&'static str> {
    let (word, _) = behind_brace.split_once('}')?;
    if PLACEHOLDERS.contains(&word) {
        return None;
    }
    // Short enough for `nearest` to reject it, and defaults.
    if matches!(word, "ip" | "myip") { Some("ipv4") } else { nearest(word, PLACEHOLDERS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        for (left, right, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ipv4", "ipv6", 1)]
        {
            assert_eq!(distance(left, right), count, "{left} {right}");
        }
    }

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_none() {
        let known = ["interval", "router_ip", "urls", "runs", "ipv4", "ipv6"];
        for (word, meant) in [
            ("intervall", Some("interval")),
            ("routerip", Some("router_ip")),
            ("Router_IP", Some("router_ip")),
            ("url", Some("urls")),
            ("ip4", Some("ipv4")),
            ("dyndns", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn a_key_of_another_program_finds_ours() {
        let of = |known: &'static str| move |word| alike(word, known.split(' '));
        let (record, account, url) =
            (of("name names type ttl"), of("name hostname username token"), of("name url"));
        assert_eq!(["host", "domain", "ttls"].map(record), [Some("name"), Some("name"), None]);
        assert_eq!(
            ["host", "domain", "login"].map(account),
            [Some("hostname"), Some("hostname"), Some("username")]
        );
        assert_eq!(["host", "user", "ur", "hunter_url"].map(url), [None; 4]);
        assert_eq!(["user", "api_token", "en"].map(account), [Some("username"), Some("token"), None]);
    }

    #[test]
    fn every_key_of_the_example_is_usual() {
        let lines =
            include_str!("../../examples/full.toml").lines().map(|line| line.trim_start_matches(['#', ' ']));
        let named = lines.filter_map(|line| {
            let key = line.split_once(" = ").map(|(key, _)| key);
            key.or_else(|| Some(line.trim().strip_suffix(']')?.trim_start_matches('[')))
        });
        let is_key = |key: &&str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let unknown: Vec<&str> = named.filter(is_key).filter(|key| !is_usual(key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(is_usual("") && !is_usual("hunter") && !is_usual("ip ipv4"));
    }

    #[test]
    fn almost_a_placeholder_is_noticed() {
        for (text, expected) in [
            ("ipv4}", None),
            ("ip4} and more", Some("ipv4")),
            ("IPv6}", Some("ipv6")),
            ("ip}", Some("ipv4")),
            ("ipv6prefix}", Some("ipv6_prefix")),
            ("\"a\": 1}", None),
            ("ip4", None),
            ("}", None),
        ] {
            assert_eq!(meant(text), expected, "{text}");
        }
    }
}
