//! Secrets as a server may say them back, and pieces of them in the log.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// So many bytes of a spelling are no chance.
const PIECE: usize = 8;
/// Ways to write a secret.
pub(crate) const SPELLINGS: usize = 8;

/// `secret` in one of so many spellings.
pub(crate) fn spelled(secret: &str, spelling: usize) -> String {
    let each = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    match spelling % SPELLINGS {
        0 => secret.to_owned(),
        1 => secret.to_ascii_uppercase(),
        2 => STANDARD.encode(secret),
        3 => STANDARD.encode(format!("someone:{secret}")),
        4 => each(|byte| format!("%{byte:02x}")),
        5 => each(|byte| format!("\\u{byte:04x}")),
        6 => each(|byte| format!("{byte} ")),
        _ => each(|byte| format!("{} ", char::from(byte))),
    }
}

/// What must not stand in the log.
#[derive(Default)]
pub(crate) struct Secrets(HashSet<[u8; PIECE]>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) {
        for spelling in 0..SPELLINGS {
            self.0.extend(
                spelled(secret, spelling).as_bytes().windows(PIECE).flat_map(<[u8; PIECE]>::try_from),
            );
        }
    }

    /// The first piece of one.
    pub(crate) fn find(&self, text: &str) -> Option<String> {
        let text = text.replace("\\\\", "\\");
        let found = text.as_bytes().windows(PIECE).find(|piece| self.0.contains(*piece));
        found.map(|piece| String::from_utf8_lossy(piece).into_owned())
    }
}
