//! What is remembered of one target, and the fields of its line; pure.

use std::fmt::Write as _;
use std::sync::Arc;

use super::text::{
    escape, parse_addresses, parse_kinds, parse_times, unescape, write_addresses, write_kinds, write_times,
};
use crate::address::Addresses;
use crate::backoff::Backoff;
use crate::config::placeholders::Needs;

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 300;

/// What is known of one target.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TargetState {
    /// Its label, for people who read the file.
    pub name: Arc<str>,
    /// What it accepted last.
    pub accepted: Option<Accepted>,
    /// What it was to hold when the state was written. The target may hold it or
    /// not, so it is sent again whatever the address is now.
    pub trying: Option<Addresses>,
    /// Of which kinds that is so, where it was sent the others since.
    pub doubted: Option<Needs>,
    /// Set while its provider refuses it for good.
    pub blocked: Option<Box<Blocked>>,
    /// Its last failure, until it is mended.
    pub failed: Option<Box<Failed>>,
    /// Since when the IPv4 address, the IPv6 address and the prefix that it holds are
    /// definitely gone, in seconds of the Unix epoch.
    pub gone: Option<Box<[Option<u64>; 3]>>,
}

/// Why a target is tried once a day only.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Blocked {
    /// What the provider said, and what to correct.
    pub why: String,
    /// A start is no reason to try either: the provider has banned us.
    pub banned: bool,
    /// Since when, in seconds of the Unix epoch.
    pub since: Option<u64>,
    /// When it was tried last, likewise.
    pub tried: Option<u64>,
    /// When it was tried last because the daemon started.
    pub started: Option<u64>,
    /// The proxy and TLS settings at that time ([`crate::config::Config::way`]).
    pub way: Option<String>,
}

/// A failure that is tried again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Failed {
    pub why: String,
    /// Whose fault it was.
    pub cause: Cause,
    pub sent: Addresses,
    /// The first of the failures in a row, in seconds of the Unix epoch.
    pub since: Option<u64>,
    /// The last of them.
    pub tried: Option<u64>,
    /// How many they are.
    pub tries: u32,
    /// When to try again.
    pub until: Option<u64>,
    /// When it was tried last because the daemon started.
    pub started: Option<u64>,
    /// How long to wait after the next.
    pub waits: Backoff,
}

/// What was in the way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cause {
    /// Nobody was reached.
    #[default]
    Line,
    /// The provider failed.
    Provider,
    /// The provider said how long to wait.
    Wish,
    /// Somebody refused, not in the provider's own words.
    Refusal,
    /// Nothing but a person can help.
    Person,
}

impl Cause {
    const ALL: [(Self, &str); 5] = [
        (Self::Line, "line"),
        (Self::Provider, "provider"),
        (Self::Wish, "wish"),
        (Self::Refusal, "refusal"),
        (Self::Person, "person"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(cause, _)| *cause == self).map_or("line", |(_, word)| word)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(cause, _)| *cause)
    }
}

/// Addresses that a target confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted {
    pub addresses: Addresses,
    /// When, in seconds of the Unix epoch; `None` when the clock was not set.
    pub at: Option<u64>,
}

impl TargetState {
    pub(super) fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut target = Self::default();
        let (mut addresses, mut at) = (None, None);
        for field in fields {
            let (key, value) = field.split_once('=')?;
            match key {
                "name" => target.name = unescape(value).into(),
                "accepted" => addresses = Some(parse_addresses(value)?),
                "at" => at = Some(value.parse().ok()?),
                "trying" => target.trying = Some(parse_addresses(value)?),
                "doubted" => target.doubted = Some(parse_kinds(value)?),
                "blocked" => target.blocked.get_or_insert_default().why = unescape(value),
                "banned" => target.blocked.get_or_insert_default().banned = value == "yes",
                "blocked_since" => target.blocked.get_or_insert_default().since = Some(value.parse().ok()?),
                "blocked_tried" => target.blocked.get_or_insert_default().tried = Some(value.parse().ok()?),
                "blocked_started" => {
                    target.blocked.get_or_insert_default().started = Some(value.parse().ok()?);
                }
                "way" => target.blocked.get_or_insert_default().way = Some(unescape(value)),
                "gone" => {
                    target.gone = Some(parse_times(value)?).filter(|gone| *gone != [None; 3]).map(Box::new);
                }
                "failed" => target.failed.get_or_insert_default().why = unescape(value),
                "cause" => target.failed.get_or_insert_default().cause = Cause::parse(value)?,
                "sent" => target.failed.get_or_insert_default().sent = parse_addresses(value)?,
                "since" => target.failed.get_or_insert_default().since = Some(value.parse().ok()?),
                "tried" => target.failed.get_or_insert_default().tried = Some(value.parse().ok()?),
                "tries" => target.failed.get_or_insert_default().tries = value.parse().ok()?,
                "until" => target.failed.get_or_insert_default().until = Some(value.parse().ok()?),
                "failed_started" => {
                    target.failed.get_or_insert_default().started = Some(value.parse().ok()?);
                }
                "waits" => target.failed.get_or_insert_default().waits = Backoff::parse(value)?,
                _ => return None,
            }
        }
        target.accepted = addresses.map(|addresses| Accepted { addresses, at });
        Some(target)
    }

    /// Of which kinds it may hold something that it was not known to accept.
    pub(in crate::engine) fn doubt(&self) -> Needs {
        let Some(trying) = &self.trying else { return Needs::default() };
        let held = self.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        let all = Needs {
            ipv4: trying.ipv4.or(held.ipv4).is_some(),
            ipv6: trying.ipv6.or(held.ipv6).is_some(),
            ipv6_prefix: trying.ipv6_prefix.or(held.ipv6_prefix).is_some(),
        };
        // What it was not known to be rid of may be of any kind.
        let any = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
        self.doubted.unwrap_or(if all.is_empty() { any } else { all })
    }

    /// Whether what it is sent may arrive without a start knowing of it.
    pub(in crate::engine) fn is_unmarked(&self) -> bool {
        self.accepted.is_some() && (self.trying.is_none() || self.doubted.is_some())
    }

    /// Takes what it was trying, or what it held all along, as accepted.
    pub(in crate::engine) fn accept(&mut self, at: Option<u64>) -> Option<()> {
        let held = self.accepted.map(|accepted| accepted.addresses);
        let addresses = self.trying.or(held)?;
        *self = Self {
            name: std::mem::take(&mut self.name),
            accepted: Some(Accepted { addresses, at }),
            gone: self.gone.take(),
            ..Self::default()
        };
        Some(())
    }

    /// Notes since when the kind at `place` is gone.
    pub(in crate::engine) fn gone_since(&mut self, place: usize, since: Option<u64>) {
        let mut gone = self.gone.as_deref().copied().unwrap_or_default();
        if let Some(known) = gone.get_mut(place) {
            *known = since;
        }
        self.gone = (gone != [None; 3]).then(|| Box::new(gone));
    }

    /// Forgets what stands in the way; whether there was something.
    pub fn free(&mut self) -> bool {
        self.blocked.take().is_some() | self.failed.take().is_some()
    }

    #[must_use]
    pub fn line(&self, id: &str) -> String {
        format!("target\t{}\t{}\n", escape(id), self.write())
    }

    /// The short line for a target that has just accepted what the file says it
    /// was trying, and has no other news.
    #[must_use]
    pub fn accepted_line(id: &str, at: Option<u64>) -> String {
        let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        format!("accepted\t{}\t{at}\n", escape(id))
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
        maybe(&mut text, &[("doubted", self.doubted.map(write_kinds))]);
        if let Some(gone) = &self.gone {
            let _ = write!(text, "\tgone={}", write_times(**gone));
        }
        if let Some(blocked) = &self.blocked {
            blocked.write(&mut text);
        }
        if let Some(failed) = &self.failed {
            failed.write(&mut text);
        }
        text
    }
}

/// The fields that not every line has.
fn maybe<T: ToString>(text: &mut String, fields: &[(&str, Option<T>)]) {
    for (key, value) in fields {
        if let Some(value) = value {
            let _ = write!(text, "\t{key}={}", escape(&value.to_string()));
        }
    }
}

fn reason(why: &str) -> String {
    escape(&why.chars().take(MAX_REASON).collect::<String>())
}

impl Blocked {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "\tblocked={}", reason(&self.why));
        maybe(text, &[("banned", self.banned.then_some("yes"))]);
        let times =
            [("blocked_since", self.since), ("blocked_tried", self.tried), ("blocked_started", self.started)];
        maybe(text, &times);
        maybe(text, &[("way", self.way.as_ref())]);
    }
}

impl Failed {
    fn write(&self, text: &mut String) {
        let (why, cause, sent) = (reason(&self.why), self.cause.word(), write_addresses(&self.sent));
        let _ = write!(text, "\tfailed={why}\tcause={cause}\tsent={sent}\twaits={}", self.waits);
        let tries = Some(u64::from(self.tries)).filter(|tries| *tries > 0);
        maybe(text, &[("since", self.since), ("tried", self.tried), ("tries", tries), ("until", self.until)]);
        maybe(text, &[("failed_started", self.started)]);
    }
}
