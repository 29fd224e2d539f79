//! The parts that a build may leave out: the features of Cargo.toml.

use std::fmt::Write as _;

/// Each feature, what it is called, and whether it is in this build.
const PARTS: [(&str, &str, bool); 5] = [
    ("tls", "TLS", cfg!(feature = "tls")),
    ("cloudflare", "Cloudflare", cfg!(feature = "cloudflare")),
    ("dyndns", "dyndns2 services", cfg!(feature = "dyndns")),
    ("rfc2136", "DNS UPDATE", cfg!(feature = "rfc2136")),
    ("monitor", "the monitor", cfg!(feature = "monitor")),
];

/// Why the part of this feature cannot be used; `None`: it can.
#[must_use]
pub fn left_out(feature: &str) -> Option<String> {
    let (_, name, _) = PARTS.iter().find(|(known, _, here)| *known == feature && !here)?;
    Some(format!("this build leaves {name} out (feature {feature:?}); use the full build"))
}

/// The program's name and version, and of a smaller build, what is in it.
#[must_use]
pub fn version() -> String {
    let mut text = concat!("ddns-update-daemon ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    if !PARTS.iter().all(|(.., here)| *here) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "features: {}\nleft out: {}", features(true), features(false));
    }
    text
}

fn features(wanted: bool) -> String {
    let found: Vec<&str> =
        PARTS.iter().filter(|(.., here)| *here == wanted).map(|(feature, ..)| *feature).collect();
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_left_out() {
        for (feature, name, here) in PARTS {
            let why = left_out(feature);
            assert_eq!(why.is_none(), here);
            assert!(why.is_none_or(|why| why.contains(name) && why.contains(&format!("{feature:?}"))));
        }
        assert_eq!(left_out("nothing"), None);
    }

    #[test]
    fn a_full_build_says_its_version_and_a_smaller_one_what_is_in_it() {
        let version = version();
        let (first, more) = version.split_once('\n').unwrap();
        assert_eq!(first, concat!("ddns-update-daemon ", env!("CARGO_PKG_VERSION")));
        assert_eq!(more.is_empty(), PARTS.iter().all(|(.., here)| *here), "{more}");
        let named = |(feature, ..): &(&str, &str, bool)| more.contains(feature);
        assert!(more.is_empty() || PARTS.iter().all(named), "{more}");
    }
}
