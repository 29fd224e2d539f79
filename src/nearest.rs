//! Which known word somebody meant when they mistyped one.

/// Longer words are no typing mistakes, and comparing them costs time.
const MAX_WORD: usize = 40;

/// The word of `known` that is nearest to `word`, if it is near enough to be
/// what was meant: one mistake in three letters, at most three. Letter case is
/// no mistake.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = word.chars().count().div_ceil(3).min(3);
    known
        .into_iter()
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
}
