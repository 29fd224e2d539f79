//! Names of DNS records and hosts as users write them.

/// A record's name: `@`, relative or full, possibly with `*` as its first
/// label. Lower case, in ASCII, without a dot at its end.
pub(super) fn record_name(text: &str) -> Result<String, String> {
    match text.strip_suffix('.').unwrap_or(text) {
        "@" => Ok("@".to_owned()),
        "*" => Ok("*".to_owned()),
        name => match name.strip_prefix("*.") {
            Some(rest) => ascii_name(rest).map(|rest| format!("*.{rest}")),
            None => ascii_name(name),
        },
    }
}

/// A name in ASCII and lower case.
///
/// This is the one place that knows how names become ASCII.
pub(super) fn ascii_name(name: &str) -> Result<String, String> {
    if !name.is_ascii() {
        return Err("only ASCII letters may stand in names".to_owned());
    }
    let name = name.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    // Limits of RFC 1035, section 2.3.4.
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("this is no DNS name".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_names_are_normalised() {
        for (text, name) in [
            ("@", "@"),
            ("*", "*"),
            ("www", "www"),
            ("*.Home.Example.ORG.", "*.home.example.org"),
            ("_dmarc.x", "_dmarc.x"),
        ] {
            assert_eq!(record_name(text).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in ["", ".", "a..b", "a b", "*a", "a.*", "www.@", "a/b", long.as_str()] {
            assert!(record_name(text).is_err(), "{text}");
        }
    }
}
