//! `{ipv4}`, `{ipv6}` and `{ipv6_prefix}` in texts of the configuration.

use crate::address::Addresses;

/// Which addresses something needs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "a set of three, not a state")]
pub struct Needs {
    pub ipv4: bool,
    pub ipv6: bool,
    pub ipv6_prefix: bool,
}

impl Needs {
    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What is needed beside `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 && !other.ipv4,
            ipv6: self.ipv6 && !other.ipv6,
            ipv6_prefix: self.ipv6_prefix && !other.ipv6_prefix,
        }
    }

    /// What both of them need.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 && other.ipv4,
            ipv6: self.ipv6 && other.ipv6,
            ipv6_prefix: self.ipv6_prefix && other.ipv6_prefix,
        }
    }

    /// What either of the two needs.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 || other.ipv4,
            ipv6: self.ipv6 || other.ipv6,
            ipv6_prefix: self.ipv6_prefix || other.ipv6_prefix,
        }
    }
}

/// The words that stand in braces.
pub const PLACEHOLDERS: [&str; 3] = ["ipv4", "ipv6", "ipv6_prefix"];

const IPV4: &str = "{ipv4}";
const IPV6: &str = "{ipv6}";
const IPV6_PREFIX: &str = "{ipv6_prefix}";

/// Which placeholders `text` mentions.
#[must_use]
pub fn mentioned(text: &str) -> Needs {
    Needs { ipv4: text.contains(IPV4), ipv6: text.contains(IPV6), ipv6_prefix: text.contains(IPV6_PREFIX) }
}

/// `text` with every placeholder replaced; by nothing where there is no address.
#[must_use]
pub fn fill(text: &str, addresses: &Addresses) -> String {
    fn written<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    text.replace(IPV4, &written(addresses.ipv4))
        .replace(IPV6, &written(addresses.ipv6))
        .replace(IPV6_PREFIX, &written(addresses.ipv6_prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_and_filled() {
        let text = "a={ipv4}&b={ipv6}&c={ipv6_prefix}&d={ipv5}&a={ipv4}";
        assert_eq!(mentioned(text), Needs { ipv4: true, ipv6: true, ipv6_prefix: true });
        assert_eq!(mentioned("{ipv6_prefix}"), Needs { ipv6_prefix: true, ..Needs::default() });
        let addresses = Addresses { ipv4: Some([1, 2, 3, 4].into()), ..Addresses::default() };
        assert_eq!(fill(text, &addresses), "a=1.2.3.4&b=&c=&d={ipv5}&a=1.2.3.4");
    }
}
