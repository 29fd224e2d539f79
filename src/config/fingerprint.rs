//! Fingerprints: whether a section of the configuration is still the one that
//! a state was stored for.

use std::fmt::Write;

use ring::digest::{Context, SHA256};

/// How much of a fingerprint is kept: two of 10,000 are alike once in 10^11
/// configurations.
const ID: usize = 16;
/// The length of a whole fingerprint, without what tells copies apart.
const FINGERPRINT: usize = 64;

/// What a target with this fingerprint is called in the state file. What tells copies of
/// a section apart (`-2`) stands behind a whole fingerprint.
#[must_use]
pub fn id(fingerprint: &str) -> String {
    match (fingerprint.get(..ID), fingerprint.get(FINGERPRINT..)) {
        (Some(start), Some(copy)) => format!("{start}{copy}"),
        _ => fingerprint.to_owned(),
    }
}

/// A growing fingerprint. Every field is written with its length, so that no
/// two sections encode alike. Secrets go in; they cannot be read back, and a
/// random token cannot be guessed from it.
pub(super) struct Fingerprint(Context);

impl Fingerprint {
    /// Begins one; `kind` keeps different kinds of sections apart.
    pub(super) fn new(kind: &str) -> Self {
        Self(Context::new(&SHA256)).text(kind)
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        // A length in decimals ends with its colon, as in netstrings.
        self.0.update(format!("{}:", bytes.len()).as_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn flag(self, flag: bool) -> Self {
        self.text(if flag { "yes" } else { "no" })
    }

    /// `None` differs from an empty text.
    pub(super) fn maybe<T: ToString>(self, value: Option<T>) -> Self {
        match value {
            Some(value) => self.flag(true).text(&value.to_string()),
            None => self.flag(false),
        }
    }

    pub(super) fn list<'a>(self, texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let started = self.text(&texts.len().to_string());
        texts.fold(started, Self::text)
    }

    /// The hash in hexadecimal digits.
    pub(super) fn finish(self) -> String {
        self.0.finish().as_ref().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let of = |texts: &[&str]| Fingerprint::new("x").list(texts.iter().copied()).finish();
        let all = [
            of(&[]),
            of(&[""]),
            of(&["", ""]),
            of(&["a", "b"]),
            of(&["ab"]),
            of(&["ab", ""]),
            of(&["a1:b"]),
            Fingerprint::new("x").maybe(Some("")).finish(),
            Fingerprint::new("x").maybe(None::<&str>).finish(),
            Fingerprint::new("y").maybe(None::<&str>).finish(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 64);
            assert!(!all[..index].contains(one), "{index}");
        }
    }
}
