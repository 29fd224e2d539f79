//! Domain names: RFC 1035, sections 2.3 and 3.1.
//!
//! A name is kept in its wire form, without compression and in lower case (RFC
//! 4343), so that equal names are equal bytes and can be signed as they are.

use std::fmt::{self, Write as _};

/// The longest name on the wire, with its final zero (RFC 1035, section 2.3.4).
pub const MAX_NAME: usize = 255;
/// The longest label.
pub const MAX_LABEL: usize = 63;

/// A domain name.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Vec<u8>);

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameError {
    /// Nothing there, or nothing between two dots.
    EmptyLabel,
    /// More than 63 bytes between two dots.
    LongLabel,
    /// More than 253 bytes in all.
    LongName,
    /// A character outside of ASCII, a blank or a backslash.
    Character,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a domain name has no empty parts",
            Self::LongLabel => "between two dots of a domain name are at most 63 characters",
            Self::LongName => "a domain name has at most 253 characters",
            Self::Character => "a domain name holds no blanks, backslashes and characters outside of ASCII",
        })
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// The root, `.`.
    #[must_use]
    pub fn root() -> Self {
        Self(vec![0])
    }

    /// Reads `host.example`; a dot at the end changes nothing.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(NameError::Character);
        }
        let mut name = Self(Vec::new());
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            match label.len() {
                0 => return Err(NameError::EmptyLabel),
                1..=MAX_LABEL => name.push(label.as_bytes()).ok_or(NameError::LongName)?,
                _ => return Err(NameError::LongLabel),
            }
        }
        name.end().ok_or(NameError::LongName)
    }

    /// Builds a name from labels; `None` when one of them or the whole is too long.
    pub(super) fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut name = Self(Vec::new());
        for label in labels {
            name.push(label)?;
        }
        name.end()
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        let length = u8::try_from(label.len()).ok().filter(|length| usize::from(*length) <= MAX_LABEL)?;
        self.0.push(length);
        self.0.extend(label.iter().map(u8::to_ascii_lowercase));
        (self.0.len() < MAX_NAME).then_some(())
    }

    fn end(mut self) -> Option<Self> {
        self.0.push(0);
        (self.0.len() <= MAX_NAME).then_some(self)
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `zone` or below it.
    #[must_use]
    pub fn is_within(&self, zone: &Self) -> bool {
        let (mine, theirs): (Vec<_>, Vec<_>) = (self.labels().collect(), zone.labels().collect());
        mine.ends_with(&theirs)
    }

    /// Whether it is `.`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == [0]
    }

    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            (!label.is_empty()).then_some(label)
        })
    }
}

/// As in zone files, without the dot at the end.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    byte if byte.is_ascii_graphic() => f.write_char(char::from(*byte))?,
                    byte => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    #[test]
    fn names_are_written_as_labels_in_lower_case() {
        assert_eq!(name("Host.Example.").wire(), b"\x04host\x07example\0");
        assert_eq!(name("Host.Example").to_string(), "host.example");
        assert_eq!(name("."), Name::root());
        assert_eq!(Name::root().to_string(), ".");
        let odd = Name::from_labels([b"a.\\\x07".as_slice(), b"b"].into_iter()).unwrap();
        assert_eq!(odd.to_string(), "a\\.\\\\\\007.b");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(name(&longest).wire().len(), 255);
        for (text, error) in [
            ("", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a b", NameError::Character),
            ("ä", NameError::Character),
            ("a\\.b", NameError::Character),
            (&"a".repeat(64), NameError::LongLabel),
            (&format!("{longest}a"), NameError::LongName),
            (&"a.".repeat(300), NameError::LongName),
        ] {
            assert_eq!(Name::from_text(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_name_is_within_its_zone_label_by_label() {
        let zone = name("home.example");
        for (text, within) in [
            ("home.example", true),
            ("nas.home.example", true),
            ("nashome.example", false),
            ("example", false),
            ("home.example.org", false),
        ] {
            assert_eq!(name(text).is_within(&zone), within, "{text}");
            assert!(name(text).is_within(&Name::root()));
        }
    }
}
