//! What survives a restart: which gateway worked, which sources have ever
//! answered, and what each target accepted last. Text to value and back; pure.
//!
//! One line a fact, fields separated by tabs:
//!
//! ```text
//! ddns-update-daemon state 1
//! gateway  SOURCE  http://192.168.1.1:5000/rootDesc.xml
//! has_answered   SOURCE  ipv4 ipv6
//! target   FINGERPRINT  name=…  accepted=192.0.2.1,-,-  at=1790000000  trying=…  blocked=…
//! ```
//!
//! A line that cannot be read is left out and counted: the worst that follows
//! is one repeated update, which is idempotent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::address::{Addresses, Prefix};
use crate::http::lan_url::LanUrl;

const TITLE: &str = "ddns-update-daemon state 1";

/// More than the largest configuration can need (10,000 targets).
pub const MAX_STATE: usize = 8 * 1024 * 1024;

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 300;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// The description of the gateway that answered last, by source.
    pub gateways: BTreeMap<String, LanUrl>,
    /// The kinds of address that a source has ever told, by source.
    pub has_answered: BTreeMap<String, Vec<String>>,
    /// What targets hold, by the fingerprint of their section.
    pub targets: BTreeMap<String, TargetState>,
}

/// What is known of one target.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TargetState {
    /// Its label, for people who read the file.
    pub name: String,
    /// What it accepted last.
    pub accepted: Option<Accepted>,
    /// What was being sent when the state was written. The target may hold it or
    /// not, so it is sent again whatever the address is now.
    pub trying: Option<Addresses>,
    /// Why nothing is sent until its section changes.
    pub blocked: Option<String>,
}

/// Addresses that a target confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The addresses.
    pub addresses: Addresses,
    /// When, in seconds of the Unix epoch; `None` when the clock was not set.
    pub at: Option<u64>,
}

impl State {
    /// Reads a state file and counts the lines that made no sense.
    #[must_use]
    pub fn parse(text: &str) -> (Self, usize) {
        let mut state = Self::default();
        let mut lines = text.lines();
        if lines.next().map(str::trim_end) != Some(TITLE) {
            return (state, usize::from(!text.is_empty()));
        }
        let damaged = lines.filter(|line| state.take(line).is_none()).count();
        (state, damaged)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        match (fields.next()?, unescape(fields.next()?)) {
            ("gateway", source) => {
                self.gateways.insert(source, LanUrl::parse(fields.next()?).ok()?);
            }
            ("has_answered", source) => {
                // Kinds are written as they are, so what is no word is left out.
                let words = fields.next()?.split(' ').filter(|word| !word.contains(char::is_control));
                let kinds = words.map(str::to_owned).collect();
                self.has_answered.insert(source, kinds);
            }
            ("target", fingerprint) => {
                self.targets.insert(fingerprint, TargetState::parse(fields)?);
            }
            _ => return None,
        }
        Some(())
    }

    /// The file's text.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = format!("{TITLE}\n");
        for (source, url) in &self.gateways {
            line(&mut text, &format!("gateway\t{}\t{url}", escape(source)));
        }
        for (source, kinds) in &self.has_answered {
            line(&mut text, &format!("has_answered\t{}\t{}", escape(source), kinds.join(" ")));
        }
        for (fingerprint, target) in &self.targets {
            line(&mut text, &format!("target\t{}\t{}", escape(fingerprint), target.write()));
        }
        text
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

impl TargetState {
    fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut target = Self::default();
        let (mut addresses, mut at) = (None, None);
        for field in fields {
            let (key, value) = field.split_once('=')?;
            match key {
                "name" => target.name = unescape(value),
                "accepted" => addresses = Some(parse_addresses(value)?),
                "at" => at = Some(value.parse().ok()?),
                "trying" => target.trying = Some(parse_addresses(value)?),
                "blocked" => target.blocked = Some(unescape(value)),
                _ => return None,
            }
        }
        target.accepted = addresses.map(|addresses| Accepted { addresses, at });
        Some(target)
    }

    fn write(&self) -> String {
        let mut text = format!("name={}", escape(&self.name));
        // Writing to a String cannot fail.
        if let Some(accepted) = &self.accepted {
            let _ = write!(text, "\taccepted={}", write_addresses(&accepted.addresses));
            if let Some(at) = accepted.at {
                let _ = write!(text, "\tat={at}");
            }
        }
        if let Some(trying) = &self.trying {
            let _ = write!(text, "\ttrying={}", write_addresses(trying));
        }
        if let Some(blocked) = &self.blocked {
            let reason: String = blocked.chars().take(MAX_REASON).collect();
            let _ = write!(text, "\tblocked={}", escape(&reason));
        }
        text
    }
}

fn write_addresses(addresses: &Addresses) -> String {
    fn part<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    format!("{},{},{}", part(addresses.ipv4), part(addresses.ipv6), part(addresses.ipv6_prefix))
}

fn parse_addresses(text: &str) -> Option<Addresses> {
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

fn parse_prefix(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/')?;
    Prefix::new(address.parse().ok()?, length.parse().ok()?)
}

/// Tabs, line ends and other control characters as `%XX`, and the `%` itself.
fn escape(text: &str) -> String {
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

fn unescape(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table<V, const N: usize>(pairs: [(&str, V); N]) -> BTreeMap<String, V> {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn example() -> State {
        let addresses = Addresses {
            ipv4: Some([192, 0, 2, 1].into()),
            ipv6: None,
            ipv6_prefix: Prefix::new("2001:db8::".parse().unwrap(), 56),
        };
        let target = TargetState {
            name: "A home.example\t100%\n".into(),
            accepted: Some(Accepted { addresses, at: Some(1_790_000_000) }),
            trying: Some(Addresses { ipv6: Some("2001:db8::1".parse().unwrap()), ..addresses }),
            blocked: Some("status 401".into()),
        };
        State {
            gateways: table([("upnp", LanUrl::parse("http://192.168.1.1:5000/x").unwrap())]),
            has_answered: table([("upnp", vec!["ipv4".into(), "ipv6".into()])]),
            targets: table([("abc", target), ("def", TargetState::default())]),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let state = example();
        assert_eq!(State::parse(&state.write()), (state, 0));
        assert_eq!(State::parse(&State::default().write()), (State::default(), 0));
    }

    #[test]
    fn every_cut_of_a_file_still_reads() {
        let text = example().write();
        for cut in 0..text.len() {
            let (state, damaged) = State::parse(text.get(..cut).unwrap_or_default());
            assert!(damaged <= 1 && state.targets.len() <= 2, "cut at {cut}");
        }
    }

    #[test]
    fn damaged_lines_cost_only_themselves() {
        let text = format!(
            "{TITLE}\nnonsense\ntarget\tabc\tname=x\taccepted=1.2.3\ntarget\tdef\tname=y\taccepted=1.2.3.4,-,-\n"
        );
        let (state, damaged) = State::parse(&text);
        assert_eq!(damaged, 2);
        assert_eq!(state.targets.keys().collect::<Vec<_>>(), ["def"]);
    }

    #[test]
    fn another_file_is_not_read_as_state() {
        assert_eq!(State::parse("interval = 5\n"), (State::default(), 1));
        assert_eq!(State::parse(""), (State::default(), 0));
    }
}
