//! Asking a gateway over HTTP and SOAP: UPnP Device Architecture 1.1, sections
//! 2 to 4; WANIPConnection:1 and :2.
//!
//! [`description`], [`envelope`] and [`actions`] turn bytes into values,
//! [`survey`] decides which questions to ask, [`client`] carries them. [`event`],
//! [`subscription`] and [`listener`] hear of changes, and [`keeper`] keeps that
//! up. Control of anything is no part of it.

pub mod actions;
pub mod client;
pub mod description;
pub mod envelope;
pub mod event;
pub mod keeper;
pub mod listener;
pub mod subscription;
pub mod survey;

/// The most characters of a gateway's own words that we print.
const MAX_QUOTE: usize = 80;

/// Words of a gateway, safe to print: escaped and cut.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_gateway_are_escaped_and_cut() {
        assert_eq!(quoted("a\r\n\u{1b}[1m\""), "\"a\\r\\n\\u{1b}[1m\\\"\"");
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}\"...", "ä".repeat(80)));
    }
}
