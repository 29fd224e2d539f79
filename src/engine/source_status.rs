//! A source and what it said so far; pure.

use std::time::Duration;

use super::address_kind::{AddressKind, AddressValue};
use super::ipv6_default::Ipv6Default;
use super::report::{Level, Report};
use crate::address::{Finding, Observation, Prefix};
use crate::backoff::TokenBucket;
use crate::config::Source;

/// Missed polls before the next source may speak for one that has answered.
const PATIENCE: u32 = 3;

/// What a source has said of one kind of address.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceAnswers {
    /// It has told an address (or that there is none), now or in an earlier run.
    pub(super) has_answered: bool,
    /// Its last answer; `None` before the first poll.
    pub(super) last: Option<Finding<AddressValue>>,
    /// The last address that it told in this run.
    pub(super) known: Option<AddressValue>,
    /// Since when it answers so, other reasons aside.
    pub(super) since: Duration,
    missed: u32,
    missed_in: Option<u64>,
}

impl SourceAnswers {
    /// Whether it is another answer than before, other reasons aside.
    fn record(&mut self, finding: Finding<AddressValue>, round: u64, now: Duration) -> bool {
        let is_new = match (&self.last, &finding) {
            (Some(Finding::Known(old)), Finding::Known(new)) => old != new,
            (Some(Finding::Absent(_)), Finding::Absent(_))
            | (Some(Finding::Unknown(_)), Finding::Unknown(_)) => false,
            _ => true,
        };
        self.since = if is_new { now } else { self.since };
        if let Finding::Unknown(_) = finding {
            if self.missed_in != Some(round) {
                self.missed = self.missed.saturating_add(1);
                self.missed_in = Some(round);
            }
        } else {
            self.has_answered = true;
            self.missed = 0;
            self.missed_in = None;
        }
        self.known = match finding {
            Finding::Known(value) => Some(value),
            Finding::Absent(_) => None,
            Finding::Unknown(_) => self.known,
        };
        self.last = Some(finding);
        is_new
    }

    /// Whether it was asked and could not tell.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.last, Some(Finding::Unknown(_)))
    }

    /// Whether it speaks for its place: it answers, may still answer, or has
    /// answered until a moment ago.
    pub(super) fn holds(&self) -> bool {
        match self.last {
            None | Some(Finding::Known(_)) => true,
            Some(Finding::Absent(_)) => false,
            Some(Finding::Unknown(_)) => self.has_answered && self.missed < PATIENCE,
        }
    }
}

/// Who speaks through a source: what the same speaker says of "there is none" by
/// one protocol it does not overrule by another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The gateway.
    Gateway,
    /// This host's kernel.
    Kernel,
    /// A service on the internet, which speaks for itself.
    Echo,
}

/// A source and what is known of it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct SourceStatus {
    /// Its name in logs and in the state file.
    pub(super) label: String,
    /// Who speaks through it.
    pub(super) speaker: Origin,
    /// A poll is under way.
    pub(super) polling: bool,
    /// When the last poll began.
    pub(super) asked: Option<Duration>,
    /// Polls in this run.
    pub(super) polls: u64,
    /// Those that were no use.
    pub(super) failures: u64,
    /// When somebody announced news last.
    pub(super) heard: Option<Duration>,
    /// The round of its last poll, once it has ended.
    pub(super) seen_in: Option<u64>,
    /// Some target needs it.
    pub(super) wanted: bool,
    /// When to poll again before the next round.
    pub(super) poll_at: Option<Duration>,
    /// When to poll because of a hint.
    pub(super) hint_at: Option<Duration>,
    /// How many hints may lead to a poll.
    pub(super) hints: TokenBucket,
    /// How many of them are not counted, since the poll found something new.
    pub(super) true_hints: TokenBucket,
    /// The poll under way follows a hint.
    pub(super) by_hint: bool,
    /// When a hint was last followed.
    pub(super) followed: Option<Duration>,
    /// Quick polls so far after a hint that found nothing, while they last.
    pub(super) early: Option<usize>,
    /// When the last quick polls began.
    pub(super) early_since: Option<Duration>,
    /// Something it used to tell was missing from its last poll, or nothing was found.
    pub(super) failed: bool,
    /// Polls in a row that were no use.
    pub(super) misses: u32,
    /// Its failure has been reported.
    pub(super) in_trouble: bool,
    /// Which /64 the LAN has, as it told last.
    pub(super) lan: Option<Prefix>,
    /// Who speaks for IPv6 where it is a target's default.
    pub(super) ipv6: Option<Ipv6Default>,
    voices: [SourceAnswers; 3],
}

impl SourceStatus {
    /// A source that has not been polled, and what it is called.
    pub(super) fn new(source: &Source, label: String) -> Self {
        Self {
            label,
            speaker: match source {
                Source::Upnp(_) | Source::NatPmp(_) | Source::Pcp(_) => Origin::Gateway,
                Source::Interface(_) => Origin::Kernel,
                Source::Echo(_) => Origin::Echo,
            },
            polling: false,
            asked: None,
            polls: 0,
            failures: 0,
            heard: None,
            seen_in: None,
            wanted: false,
            poll_at: None,
            hint_at: None,
            hints: if matches!(source, Source::Interface(_)) {
                TokenBucket::NOTICES
            } else {
                TokenBucket::HINTS
            },
            true_hints: TokenBucket::HINTS,
            by_hint: false,
            followed: None,
            early: None,
            early_since: None,
            failed: false,
            misses: 0,
            in_trouble: false,
            lan: None,
            ipv6: None,
            voices: Default::default(),
        }
    }

    /// What it said of `kind`.
    pub(super) fn answers(&self, kind: AddressKind) -> &SourceAnswers {
        let [ipv4, ipv6, prefix] = &self.voices;
        match kind {
            AddressKind::Ipv4 => ipv4,
            AddressKind::Ipv6 => ipv6,
            AddressKind::Prefix => prefix,
        }
    }

    /// Remembers that it has has_answered of `kind` in an earlier run.
    pub(super) fn has_spoken(&mut self, kind: AddressKind) {
        self.voice_mut(kind).has_answered = true;
    }

    /// Takes what a poll found. Returns whether an answer is another than before.
    pub(super) fn record(&mut self, observation: &Observation, round: u64, now: Duration) -> bool {
        let findings = [
            lift(&observation.ipv4, AddressValue::Ipv4),
            lift(&observation.ipv6, AddressValue::Ipv6),
            lift(&observation.ipv6_prefix, AddressValue::Prefix),
        ];
        self.lan = observation.lan.or(self.lan);
        let mut silent = true;
        let mut lost = false;
        let mut news = false;
        for (kind, finding) in AddressKind::ALL.into_iter().zip(findings) {
            let answers = self.voice_mut(kind);
            let unknown = matches!(finding, Finding::Unknown(_));
            silent &= unknown;
            lost |= unknown && answers.has_answered;
            news |= answers.record(finding, round, now);
        }
        self.failed = silent || lost;
        self.failures = self.failures.saturating_add(u64::from(self.failed));
        if std::mem::take(&mut self.by_hint) && news && self.true_hints.next(now) <= now {
            self.true_hints.take();
            self.hints.give_back();
        }
        news
    }

    /// Lets the next source speak while this one is silent, whatever it told in an earlier run.
    pub(super) fn give_way(&mut self) {
        // What it has told in this run stands for the length of it.
        let silent = self.voices.iter_mut().filter(|answers| answers.known.is_none());
        silent.for_each(|answers| answers.missed = PATIENCE);
    }

    /// The line to write when it starts to fail, and when it is well again.
    pub(super) fn trouble(&mut self, failing: bool) -> Option<Report> {
        if failing == self.in_trouble {
            return None;
        }
        self.in_trouble = failing;
        let (level, text) = if failing {
            (
                Level::Warning,
                format!("{}; polling again every few seconds, what is published stays", self.reason()),
            )
        } else {
            (Level::Info, "answers again".to_owned())
        };
        Some(Report::new(level, &self.label, text))
    }

    /// The first reason among those that matter.
    fn reason(&self) -> &str {
        let unknown = |kind: AddressKind| match &self.answers(kind).last {
            Some(Finding::Unknown(why)) => Some((self.answers(kind).has_answered, why.as_str())),
            _ => None,
        };
        let mut reasons: Vec<_> = AddressKind::ALL.into_iter().filter_map(unknown).collect();
        reasons.sort_by_key(|(has_answered, _)| !has_answered);
        reasons.first().map_or("does not answer", |(_, why)| why)
    }

    fn voice_mut(&mut self, kind: AddressKind) -> &mut SourceAnswers {
        let [ipv4, ipv6, prefix] = &mut self.voices;
        match kind {
            AddressKind::Ipv4 => ipv4,
            AddressKind::Ipv6 => ipv6,
            AddressKind::Prefix => prefix,
        }
    }
}

fn lift<T: Copy>(finding: &Finding<T>, wrap: impl Fn(T) -> AddressValue) -> Finding<AddressValue> {
    match finding {
        Finding::Known(value) => Finding::Known(wrap(*value)),
        Finding::Absent(why) => Finding::Absent(why.clone()),
        Finding::Unknown(why) => Finding::Unknown(why.clone()),
    }
}
