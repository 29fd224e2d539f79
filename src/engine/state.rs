//! What survives a restart: which gateway worked, which sources have ever
//! answered, and where each target stands. Text to value and back; pure.
//!
//! One line a fact, fields separated by tabs. A later line of a target replaces an
//! earlier one, so that news are appended:
//!
//! ```text
//! ddns-update-daemon state 2 certain
//! # lines like this one are the keeper's (daemon/state_file.rs)
//! gateway  SOURCE  http://192.168.1.1:5000/rootDesc.xml
//! has_answered   SOURCE  ipv4 ipv6
//! ipv6_by  SOURCE  gateway
//! target   ID  name=…  accepted=192.0.2.1,-,-  at=1790000000  blocked=…  failed=…
//! trying   192.0.2.2,-,-  ID ID ID
//! accepted ID  1790000300
//! changed  1790000300  192.0.2.1,-,-  192.0.2.2,-,-  NAME
//! ```
//!
//! `trying` stands before the request leaves: its targets may hold the address or
//! not. `accepted`: the target holds what it was trying. Where a target was sent some
//! kinds of address since, `doubted=-,ipv6,-` in its line names those that it was not. An
//! ID is the beginning of the fingerprint of the target's section.
//!
//! A last line without its end was cut by a power cut and is left out. After any
//! other line that makes no sense, and under the title `doubted`, no target is
//! believed to hold what is written here: each is sent its address once more.
//! Format 1, with whole fingerprints and without news, is read as well.

mod target;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::text::{escape, parse_addresses, parse_time, unescape, write_addresses};
use crate::address::Addresses;
use crate::config::fingerprint::id;
use crate::engine::address_kind::AddressKind;
use crate::http::lan_url::LanUrl;
pub use target::{Accepted, Blocked, Cause, Failed, TargetState};

/// The first line of a file that is believed.
pub const TITLE: &str = "ddns-update-daemon state 2 certain";

/// The first line of a file that is not: as long as [`TITLE`], to be written in
/// its place where nothing can be added.
pub const DOUBTED: &str = "ddns-update-daemon state 2 doubted";

/// The first line of files of the first release.
const FIRST: &str = "ddns-update-daemon state 1";

/// More than the largest configuration can need (10,000 targets).
pub const MAX_STATE: usize = 8 * 1024 * 1024;

/// How many changes are remembered.
const MAX_CHANGES: usize = 20;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// The description of the gateway that answered last, by source.
    pub gateways: BTreeMap<String, LanUrl>,
    /// The kinds of address that a source has ever told, by source.
    pub has_answered: BTreeMap<String, Vec<String>>,
    /// Who spoke for IPv6 last where a source is a target's default, by source.
    pub ipv6_speakers: BTreeMap<String, Ipv6Speaker>,
    /// Where targets stand, by [`Target::id`](crate::config::Target::id).
    pub targets: BTreeMap<String, TargetState>,
    /// The last changes, the oldest first.
    pub changes: Vec<Change>,
}

/// Who speaks for IPv6 where it is a target's default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv6Speaker {
    /// The gateway.
    Gateway,
    /// This host, by its interface that leads to the internet.
    Host,
}

impl Ipv6Speaker {
    /// Its name in the state file.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Host => "host",
        }
    }

    /// The speaker of this name.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        [Self::Gateway, Self::Host].into_iter().find(|speaker| speaker.id() == id)
    }

    /// What the log says of it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Gateway => "the router speaks for IPv6 (AAAA)",
            Self::Host => "this host's interface speaks for IPv6 (AAAA)",
        }
    }
}

/// Another address than before that a target accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// When, in seconds of the Unix epoch; `None` when the clock was not set.
    pub at: Option<u64>,
    /// The label of the first target that accepted it.
    pub name: String,
    /// What it held before.
    pub old: Addresses,
    /// What it holds since.
    pub new: Addresses,
}

impl Change {
    /// Its line.
    fn line(&self) -> String {
        let at = self.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let (old, new) = (write_addresses(&self.old), write_addresses(&self.new));
        format!("changed\t{at}\t{old}\t{new}\t{}\n", escape(&self.name))
    }

    /// Whether a target holds what another was sent for the same reason.
    fn is_alike(&self, other: &Self) -> bool {
        (self.old, self.new) == (other.old, other.new)
    }

    /// Whether both are about the same kind of address.
    fn is_of_kind(&self, other: &Self) -> bool {
        let kinds = |a: &Addresses| (a.ipv4.is_some(), a.ipv6.is_some(), a.ipv6_prefix.is_some());
        kinds(&self.new) == kinds(&other.new)
    }
}

/// Whose file it is, by its first line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Ours, of today.
    Current,
    /// Ours, of the first release.
    First,
    /// Of a release to come, which must not lose it.
    Newer,
    /// No state file, or a damaged one.
    Unknown,
}

impl Format {
    /// The format of a file with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.split('\n').next().unwrap_or_default().trim_end() {
            TITLE | DOUBTED => Self::Current,
            FIRST => Self::First,
            other => {
                let number = other.strip_prefix("ddns-update-daemon state ").and_then(|rest| {
                    let digits = rest.split(' ').next()?;
                    digits.parse::<u32>().ok()
                });
                if number.is_some_and(|number| number > 2) { Self::Newer } else { Self::Unknown }
            }
        }
    }
}

impl State {
    /// Reads a state file and counts the lines that made no sense.
    #[must_use]
    pub fn parse(text: &str) -> (Self, usize) {
        let mut state = Self::default();
        let format = Format::of(text);
        if !matches!(format, Format::Current | Format::First) {
            return (state, usize::from(!text.is_empty()));
        }
        let Some((whole, _cut)) = text.rsplit_once('\n') else { return (state, 0) };
        let lines = whole.split('\n').skip(1).filter(|line| !line.starts_with('#'));
        let damaged = lines.filter(|line| state.take(line).is_none()).count();
        if damaged > 0 || text.starts_with(DOUBTED) {
            state.doubt();
        }
        (state, damaged)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        match (fields.next()?, unescape(fields.next()?)) {
            ("gateway", source) => {
                self.gateways.insert(source, LanUrl::parse(fields.next()?).ok()?);
            }
            // 2.0.0 wrote the other word.
            ("has_answered" | "spoken", source) => {
                // Kinds are written as they are, so what is no word is left out.
                let words = fields.next()?.split(' ').filter(|word| !word.contains(char::is_control));
                let kinds = words.map(str::to_owned).collect();
                self.has_answered.insert(source, kinds);
            }
            ("ipv6_by", source) => {
                self.ipv6_speakers.insert(source, Ipv6Speaker::parse(fields.next()?)?);
            }
            ("target", fingerprint) => {
                let (target, short) = (TargetState::parse(fields.by_ref())?, id(&fingerprint));
                // Else it is no fingerprint, and would be another one when read again.
                if !short.is_ascii() || id(&short) != short {
                    return None;
                }
                self.targets.insert(short, target);
            }
            ("trying", addresses) => {
                let addresses = parse_addresses(&addresses)?;
                for id in fields.next()?.split(' ') {
                    let target = self.targets.get_mut(id)?;
                    (target.trying, target.doubted) = (Some(addresses), None);
                }
            }
            ("changed", at) => {
                let at = parse_time(&at).ok()?;
                let (old, new) = (parse_addresses(fields.next()?)?, parse_addresses(fields.next()?)?);
                self.push_change(Change { at, old, new, name: unescape(fields.next()?) });
            }
            ("accepted", id) => {
                let at = parse_time(fields.next()?).ok()?;
                self.targets.get_mut(&id)?.accept(at)?;
            }
            _ => return None,
        }
        fields.next().is_none().then_some(())
    }

    /// Whether the source called `label` has ever told an IPv6 address.
    #[must_use]
    pub fn has_told_ipv6(&self, label: &str) -> bool {
        let is_ipv6 =
            |id: &String| [AddressKind::Ipv6, AddressKind::Prefix].iter().any(|kind| kind.id() == id);
        self.has_answered.get(label).is_some_and(|told| told.iter().any(is_ipv6))
    }

    fn push_change(&mut self, change: Change) {
        self.changes.push(change);
        if self.changes.len() > MAX_CHANGES {
            self.changes.remove(0);
        }
    }

    /// Remembers a change, once for all targets; its line, when it is news.
    pub(super) fn note_change(&mut self, change: Change) -> Option<String> {
        let last = self.changes.iter().rev().find(|last| last.is_of_kind(&change));
        if last.is_some_and(|last| last.is_alike(&change)) {
            return None;
        }
        let line = change.line();
        self.push_change(change);
        Some(line)
    }

    /// No target is believed to hold what it accepted.
    pub fn doubt(&mut self) {
        for target in self.targets.values_mut() {
            target.trying = target.trying.or(target.accepted.map(|accepted| accepted.addresses));
            target.doubted = None;
        }
    }

    /// The file's text behind its title.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = self.facts();
        for (id, target) in &self.targets {
            text.push_str(&target.line(id));
        }
        text.extend(self.changes.iter().map(Change::line));
        text
    }

    /// The lines about sources.
    #[must_use]
    pub fn facts(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (source, url) in &self.gateways {
            let _ = writeln!(text, "gateway\t{}\t{url}", escape(source));
        }
        for (source, kinds) in &self.has_answered {
            let _ = writeln!(text, "has_answered\t{}\t{}", escape(source), kinds.join(" "));
        }
        for (source, speaker) in &self.ipv6_speakers {
            let _ = writeln!(text, "ipv6_by\t{}\t{}", escape(source), speaker.id());
        }
        text
    }
}

/// The lines that say what is about to be sent: addresses, and the IDs of those
/// that are to hold them.
#[must_use]
pub fn trying(groups: &[(Addresses, Vec<String>)]) -> String {
    let mut text = String::new();
    for (addresses, ids) in groups {
        let ids: Vec<String> = ids.iter().map(|id| escape(id)).collect();
        let _ = writeln!(text, "trying\t{}\t{}", write_addresses(addresses), ids.join(" "));
    }
    text
}

#[cfg(test)]
mod tests;
