//! What the daemon knows and did, for people and for programs that watch it.

use std::io::{self, Write};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::address_kind::{AddressKind, AddressValue};
use super::selection::Selection;
use super::source_status::{SourceAnswers, SourceStatus};
use super::{Engine, Now};
use crate::address::{Addresses, Finding};
use crate::calendar;

/// How late a poll may be before something is wrong with the daemon itself.
const LATE: Duration = Duration::from_secs(120);

/// Seconds of the Unix epoch; in JSON ISO 8601.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&calendar::iso(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        calendar::parse(&text).map(Self).ok_or_else(|| D::Error::custom("no time"))
    }
}

/// All of it. Times are absent while the clock has not been set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Whether the daemon that wrote this still runs; true where it is written.
    pub running: bool,
    /// The configuration file; filled in by the daemon.
    pub config: String,
    /// The start of the daemon.
    pub running_since: Option<Time>,
    /// When this was true.
    pub written: Option<Time>,
    /// Seconds between two polls.
    pub interval: f64,
    /// Whether every source was asked when it should have been.
    pub polls_in_time: bool,
    /// Where addresses come from; those that no target needs now were not asked.
    pub sources: Vec<Source>,
    /// What is kept up to date, in the order of the file.
    pub targets: Vec<Target>,
    /// Sections that cannot work, with place and reason; filled in by the daemon.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The last changes, the newest first.
    pub history: Vec<Change>,
}

impl Status {
    /// Writes it as programs read it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_json(&self, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *to, self)?;
        to.write_all(b"\n")
    }

    /// The same as a text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        // Text, numbers and lists of them cannot fail.
        let _ = self.write_json(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Source {
    /// As it stands in the configuration.
    pub name: String,
    /// The gateway that answered last.
    pub gateway: Option<String>,
    /// Some target needs it now.
    pub wanted: bool,
    /// The last poll.
    pub asked: Option<Time>,
    /// The next one, unless something is announced before.
    pub next: Option<Time>,
    /// Polls since the start.
    pub polls: u64,
    /// Polls that found nothing of use.
    pub poll_failures: u64,
    /// Whether the gateway's events arrive, in words; filled in by the daemon.
    pub events: Option<String>,
    /// When a change was announced last, by whomever.
    pub last_event: Option<Time>,
    /// What it says, one entry a kind of address that some target needs of it.
    pub addresses: Vec<Address>,
}

/// What a source says of one kind of address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Address {
    /// `ipv4`, `ipv6` or `prefix`.
    pub kind: String,
    /// `known`, `absent`, `unknown`; `pending` before the first answer.
    pub state: String,
    /// The address, or the last one that is known.
    pub value: Option<String>,
    /// Why it is absent or unknown.
    pub why: Option<String>,
    /// Since when it is so.
    pub since: Option<Time>,
    /// Some target is sent this.
    pub used: bool,
}

/// A target.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Target {
    /// Its label.
    pub name: String,
    /// `cloudflare`, `dyndns`, `rfc2136`, `url` or `program`.
    pub kind: String,
    /// `ok`, `waiting` (for an address or its turn), `retrying` or `blocked`.
    pub state: String,
    /// What its provider holds, as far as it has said so.
    pub holds: Held,
    /// When it confirmed that last.
    pub confirmed: Option<Time>,
    /// When what it holds changed last.
    pub changed: Option<Time>,
    /// Why.
    pub changed_because: Option<String>,
    /// What is wrong, in words.
    pub trouble: Option<String>,
    /// Since when.
    pub trouble_since: Option<Time>,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried next; absent for those that wait for another address.
    pub next: Option<Time>,
    /// What a person can do.
    pub advice: Option<String>,
    /// Updates and checks since the start that ended well.
    pub updates_ok: u64,
    /// And that did not.
    pub updates_failed: u64,
}

/// Addresses as text.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// The IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<String>,
    /// The IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// The IPv6 prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix: Option<String>,
}

impl From<&Addresses> for Held {
    fn from(addresses: &Addresses) -> Self {
        Self {
            ipv4: addresses.ipv4.map(|address| address.to_string()),
            ipv6: addresses.ipv6.map(|address| address.to_string()),
            ipv6_prefix: addresses.ipv6_prefix.map(|prefix| prefix.to_string()),
        }
    }
}

impl Held {
    /// Each of them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.ipv4, &self.ipv6, &self.ipv6_prefix].into_iter().flatten().map(String::as_str)
    }
}

/// A change of address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Change {
    /// When.
    pub at: Option<Time>,
    /// The first target that accepted it.
    pub target: String,
    /// What it held before.
    pub old: Held,
    /// What it holds since.
    pub new: Held,
}

/// Turns times since the start into those of the clock.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) Now);

impl Clock {
    pub(super) fn at(self, then: Duration) -> Option<Time> {
        let Now { elapsed, unix } = self.0;
        let past = elapsed.saturating_sub(then).as_secs();
        Some(Time(unix?.saturating_sub(past).saturating_add(then.saturating_sub(elapsed).as_secs())))
    }
}

impl Engine {
    /// What is known at this time; the daemon adds what it alone knows.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let clock = Clock(now);
        let targets = self.targets.iter().map(|target| target.shown(&self.sources, &self.state.changes, now));
        let history = self.state.changes.iter().rev().map(|change| Change {
            at: change.at.map(Time),
            target: change.name.clone(),
            old: Held::from(&change.old),
            new: Held::from(&change.new),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running: true,
            config: String::new(),
            running_since: clock.at(Duration::ZERO),
            written: now.unix.map(Time),
            interval: self.interval.as_secs_f64(),
            polls_in_time: self.polls_in_time(now),
            sources: (0..self.sources.len()).filter_map(|index| self.source_shown(index, clock)).collect(),
            targets: targets.collect(),
            left_out: Vec::new(),
            history: history.collect(),
        }
    }

    /// Whether something has changed since the last call that a person would want to
    /// know and that is told by no [`Action`](super::Action).
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Whether every source was asked when it should have been.
    #[must_use]
    pub fn polls_in_time(&self, now: Now) -> bool {
        let longest = self.interval.saturating_add(LATE);
        let in_time = |source: &SourceStatus| {
            let ago = now.elapsed.saturating_sub(source.asked.unwrap_or_default());
            ago <= if source.polling { LATE } else { longest }
        };
        self.sources.iter().filter(|source| source.wanted).all(in_time)
    }

    fn source_shown(&self, index: usize, clock: Clock) -> Option<Source> {
        let source = self.sources.get(index)?;
        let again = source.poll_at.into_iter().chain(source.hint_at).fold(self.next_round, Duration::min);
        let addresses = AddressKind::ALL.into_iter().filter_map(|kind| {
            let users = self.targets.iter().filter(|target| target.lists(&self.sources, index, kind));
            let mut choices = users.map(|target| target.choice(&self.sources, kind)).peekable();
            choices.peek()?;
            let used = choices.any(|choice| matches!(choice, Selection::Known(_, by) if by == index));
            Some(self.address_shown(source, kind, used, clock))
        });
        Some(Source {
            name: source.label.clone(),
            gateway: self.state.gateways.get(&source.label).map(|url| url.host().to_string()),
            wanted: source.wanted,
            asked: source.asked.and_then(|asked| clock.at(asked)),
            next: if source.wanted && !source.polling { clock.at(again) } else { None },
            polls: source.polls,
            poll_failures: source.failures,
            events: None,
            last_event: source.heard.and_then(|heard| clock.at(heard)),
            addresses: addresses.collect(),
        })
    }

    fn address_shown(&self, source: &SourceStatus, kind: AddressKind, used: bool, clock: Clock) -> Address {
        let answers = source.answers(kind);
        let (state, why) = match &answers.last {
            None => ("pending", None),
            Some(Finding::Known(_)) => ("known", None),
            Some(Finding::Absent(why)) => ("absent", Some(why.clone())),
            Some(Finding::Unknown(why)) => ("unknown", Some(why.clone())),
        };
        let since = answers.last.as_ref().and_then(|_| self.since(answers, clock));
        let value = answers.known.map(|value| match value {
            AddressValue::Prefix(prefix) => prefix.to_string(),
            other => other.address().to_string(),
        });
        Address { kind: kind.id().to_owned(), state: state.to_owned(), value, why, since, used }
    }

    /// Since when a source answers so: where it has all the time of this run, since it was
    /// published first, as far as that is remembered.
    fn since(&self, answers: &SourceAnswers, clock: Clock) -> Option<Time> {
        let text = answers.known.map(|value| value.address().to_string());
        let published = || {
            let newest = self.state.changes.iter().rev();
            let same = newest.take_while(|change| change.new.texts().any(|new| Some(&new) == text.as_ref()));
            same.last()?.at.map(Time)
        };
        let now = clock.at(answers.since);
        let known = matches!(answers.last, Some(Finding::Known(_)));
        let earlier = if known && answers.since < LATE { published() } else { None };
        earlier.into_iter().chain(now).min()
    }
}
