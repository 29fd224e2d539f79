//! Quoting what a server says, without the secrets that it may say back.

/// The longest quotation; a line of a log should stay one.
const MAX_QUOTE: usize = 80;
/// Shorter texts are no secrets worth the name, and would hide half of every
/// answer.
const SHORTEST_SECRET: usize = 4;
/// What stands for a secret.
const HIDDEN: &str = "<hidden>";

/// The first line of `text` in quotation marks, cut, with every one of
/// `secrets` hidden and control characters escaped.
#[must_use]
pub fn quoted<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<&str> =
        secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
    // A secret within another must not save the rest of the other.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut shown = line.to_owned();
    for secret in secrets {
        shown = shown.replace(secret, HIDDEN);
    }
    let cut: String = shown.chars().take(MAX_QUOTE).collect();
    if cut.len() < shown.len() {
        format!("{:?}", format!("{}…", cut.trim_end()))
    } else {
        format!("{cut:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_short_and_tells_no_secret() {
        assert_eq!(quoted("\n bad\u{1b}auth \nmore", []), r#""bad\u{1b}auth ""#);
        assert_eq!(quoted(&"x".repeat(81), []), format!("\"{}…\"", "x".repeat(80)));
        assert_eq!(quoted(&"x".repeat(80), []), format!("\"{}\"", "x".repeat(80)));
        assert_eq!(
            quoted("token abcdefgh of abcd", ["abcd", "abcdefgh", "of"]),
            r#""token <hidden> of <hidden>""#
        );
        let late = format!("{}s3cret", "x".repeat(77));
        assert!(!quoted(&late, ["s3cret"]).contains("s3c"));
    }
}
