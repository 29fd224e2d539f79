//! Base64 (RFC 4648, section 4), in which secrets of TSIG keys are written.
//!
//! Left out: the URL-safe alphabet. Blanks are passed over, as BIND does;
//! padding may be missing.

/// The bytes that `text` stands for; `None` when it is no base64.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let padding = digits.iter().rev().take_while(|byte| **byte == b'=').count();
    digits.truncate(digits.len().saturating_sub(padding));
    if padding > 2 || (padding > 0 && digits.len().saturating_add(padding) % 4 != 0) {
        return None;
    }
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        bytes.extend(decode_group(group)?);
    }
    Some(bytes)
}

/// Two to four digits are one to three bytes; bits left over must be zero.
fn decode_group(group: &[u8]) -> Option<impl Iterator<Item = u8>> {
    let mut bits: u32 = 0;
    for place in 0..4 {
        let digit = group.get(place).map_or(Some(0), |digit| value(*digit))?;
        bits = (bits << 6) | digit;
    }
    let [_, bytes @ ..] = bits.to_be_bytes();
    let count = group.len().checked_sub(1).filter(|count| *count > 0)?;
    let rest = bytes.iter().skip(count).all(|byte| *byte == 0);
    rest.then(|| bytes.into_iter().take(count))
}

fn value(digit: u8) -> Option<u32> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    u32::try_from(ALPHABET.iter().position(|known| *known == digit)?).ok()
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
