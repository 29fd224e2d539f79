//! Names of DNS records and hosts as users write them.

use crate::updaters::idn;

/// A name in ASCII and lower case, without a dot at its end: `@`, relative or
/// full, possibly with `*` as its first label.
pub(super) fn ascii_name(name: &str) -> Result<String, String> {
    idn::to_ascii(name).map_err(|error| error.to_string())
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
            ("Köln", "xn--kln-sna"),
        ] {
            assert_eq!(ascii_name(text).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in ["", ".", "a..b", "a b", "*a", "a.*", "www.@", "a/b", long.as_str()] {
            assert!(ascii_name(text).is_err(), "{text}");
        }
    }
}
