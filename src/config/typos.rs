//! Placeholders that were mistyped. They are sent as they are, as in 1.0, but
//! the user should know.

use super::problems::Problems;
use crate::nearest::nearest;

const PLACEHOLDERS: [&str; 3] = ["ipv4", "ipv6", "ipv6_prefix"];

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
    // Short enough for `nearest` to reject it, and common.
    if matches!(word, "ip" | "myip") { Some("ipv4") } else { nearest(word, PLACEHOLDERS) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
