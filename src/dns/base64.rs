//! Base64 (RFC 4648, section 4), in which secrets of TSIG keys are written.
//!
//! Left out: the URL-safe alphabet. Blanks are passed over, as BIND does;
//! padding may be missing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The bytes that `text` stands for; `None` when it is no base64.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let engine = if digits.ends_with(b"=") { STANDARD } else { STANDARD_NO_PAD };
    engine.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_are_read() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9v YmFy\n", "foobar"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["Z", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9vY", "Zm-_", "=", "====", "Z=m9", "Zm9vYg=a"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
