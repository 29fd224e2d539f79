//! The fields of the state file: addresses and names, to text and back; pure.

use std::fmt::Write as _;
use std::num::ParseIntError;

use crate::address::{Addresses, Prefix};
use crate::config::placeholders::Needs;
use crate::engine::address_kind::AddressKind;

pub(super) fn write_addresses(addresses: &Addresses) -> String {
    fn part<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    format!("{},{},{}", part(addresses.ipv4), part(addresses.ipv6), part(addresses.ipv6_prefix))
}

pub(super) fn parse_addresses(text: &str) -> Option<Addresses> {
    let &[ipv4, ipv6, prefix] = text.split(',').collect::<Vec<_>>().as_slice() else {
        return None;
    };
    let mut addresses = Addresses::default();
    if ipv4 != "-" {
        addresses.ipv4 = Some(ipv4.parse().ok()?);
    }
    if ipv6 != "-" {
        addresses.ipv6 = Some(ipv6.parse().ok()?);
    }
    if prefix != "-" {
        addresses.ipv6_prefix = Some(parse_prefix(prefix)?);
    }
    Some(addresses)
}

/// As `ipv4,-,-`.
pub(super) fn write_kinds(kinds: Needs) -> String {
    let marked = AddressKind::ALL.into_iter().zip([kinds.ipv4, kinds.ipv6, kinds.ipv6_prefix]);
    marked.map(|(kind, is_one)| if is_one { kind.id() } else { "-" }).collect::<Vec<_>>().join(",")
}

pub(super) fn parse_kinds(text: &str) -> Option<Needs> {
    let &[ipv4, ipv6, ipv6_prefix] = text.split(',').collect::<Vec<_>>().as_slice() else {
        return None;
    };
    Some(Needs { ipv4: ipv4 != "-", ipv6: ipv6 != "-", ipv6_prefix: ipv6_prefix != "-" })
}

pub(super) fn write_times(times: [Option<u64>; 3]) -> String {
    times.map(|time| time.map_or_else(|| "-".to_owned(), |time| time.to_string())).join(",")
}

/// A time, or `-` for none.
pub(super) fn parse_time(text: &str) -> Result<Option<u64>, ParseIntError> {
    if text == "-" { Ok(None) } else { text.parse().map(Some) }
}

pub(super) fn parse_times(text: &str) -> Option<[Option<u64>; 3]> {
    let mut times = [None; 3];
    let mut parts = text.split(',');
    for time in &mut times {
        *time = parse_time(parts.next()?).ok()?;
    }
    parts.next().is_none().then_some(times)
}

fn parse_prefix(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/')?;
    Prefix::new(address.parse().ok()?, length.parse().ok()?)
}

/// Tabs, line ends and other control characters as `%XX`, and the `%` itself.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '%' | '\0'..='\x1f' | '\x7f' => {
                let _ = write!(escaped, "%{:02x}", u32::from(character));
            }
            '\u{80}'..='\u{9f}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

pub(super) fn unescape(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (code, piece.get(2..)) {
            (Some(code), Some(rest)) if code.is_ascii() => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    plain
}
