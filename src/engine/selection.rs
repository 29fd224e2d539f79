//! Which address to believe: what each source said, and whose turn it is to
//! speak; pure.
//!
//! Sources stand in the order of the user's preference. One that has never
//! answered gives way at once; one that has answered keeps its place for
//! [`PATIENCE`] polls, so that nothing flaps while a router reboots. "There is
//! none" passes on only to a source of another kind: NAT-PMP must not overrule
//! what the same gateway said by UPnP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::ipv6_default::Ipv6Default;
use super::nat;
use crate::address::{Family, Finding, Observation, Prefix, Scope, scope};
use crate::backoff::TokenBucket;
use crate::config::Source;

/// Missed polls before the next source may speak for one that has answered.
const PATIENCE: u32 = 3;

/// What is asked of a source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressKind {
    Ipv4,
    Ipv6,
    /// The IPv6 prefix.
    Prefix,
}

impl AddressKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Prefix];

    /// Its name in the state file.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Prefix => "prefix",
        }
    }

    /// The family it belongs to.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Ipv4 => Family::V4,
            Self::Ipv6 | Self::Prefix => Family::V6,
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Prefix => "IPv6 prefix",
        }
    }
}

/// An address or prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressValue {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// An IPv6 prefix.
    Prefix(Prefix),
}

impl AddressValue {
    /// The address, of a prefix its first one.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Ipv4(address) => address.into(),
            Self::Ipv6(address) => address.into(),
            Self::Prefix(prefix) => prefix.address().into(),
        }
    }
}

/// Why `address` must not be published, if so.
#[must_use]
pub fn refusal(address: IpAddr, allow_private: bool) -> Option<&'static str> {
    match scope(address) {
        Scope::Global => None,
        Scope::Local(_) if allow_private => None,
        Scope::Local(why) | Scope::Unusable(why) => Some(why),
    }
}

/// What a source has said of one kind of address.
#[derive(Clone, Debug, Default)]
pub struct SourceAnswers {
    /// It has told an address (or that there is none), now or in an earlier run.
    pub has_answered: bool,
    /// Its last answer; `None` before the first poll.
    pub last: Option<Finding<AddressValue>>,
    /// The last address that it told in this run.
    pub known: Option<AddressValue>,
    /// Since when it answers so, other reasons aside.
    pub since: Duration,
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
    fn holds(&self) -> bool {
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
pub enum Origin {
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
pub struct SourceStatus {
    /// Its name in logs and in the state file.
    pub label: String,
    /// Who speaks through it.
    pub speaker: Origin,
    /// A poll is under way.
    pub polling: bool,
    /// When the last poll began.
    pub asked: Option<Duration>,
    /// Polls in this run.
    pub polls: u64,
    /// Those that were no use.
    pub failures: u64,
    /// When somebody announced news last.
    pub heard: Option<Duration>,
    /// The round of its last poll, once it has ended.
    pub seen_in: Option<u64>,
    /// Some target needs it.
    pub wanted: bool,
    /// When to poll again before the next round.
    pub poll_at: Option<Duration>,
    /// When to poll because of a hint.
    pub hint_at: Option<Duration>,
    /// How many hints may lead to a poll.
    pub hints: TokenBucket,
    /// How many of them are not counted, since the poll found something new.
    pub true_hints: TokenBucket,
    /// The poll under way follows a hint.
    pub by_hint: bool,
    /// When a hint was last followed.
    pub followed: Option<Duration>,
    /// Quick polls so far after a hint that found nothing, while they last.
    pub early: Option<usize>,
    /// When the last quick polls began.
    pub early_since: Option<Duration>,
    /// Something it used to tell was missing from its last poll, or nothing was found.
    pub failed: bool,
    /// Polls in a row that were no use.
    pub misses: u32,
    /// Its failure has been reported.
    pub in_trouble: bool,
    /// Which /64 the LAN has, as it told last.
    pub lan: Option<Prefix>,
    /// Who speaks for IPv6 where it is a target's default.
    pub(super) ipv6: Option<Ipv6Default>,
    voices: [SourceAnswers; 3],
}

impl SourceStatus {
    /// A source that has not been polled, and what it is called.
    #[must_use]
    pub fn new(source: &Source, label: String) -> Self {
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
    #[must_use]
    pub fn answers(&self, kind: AddressKind) -> &SourceAnswers {
        let [ipv4, ipv6, prefix] = &self.voices;
        match kind {
            AddressKind::Ipv4 => ipv4,
            AddressKind::Ipv6 => ipv6,
            AddressKind::Prefix => prefix,
        }
    }

    /// Remembers that it has has_answered of `kind` in an earlier run.
    pub fn has_spoken(&mut self, kind: AddressKind) {
        self.voice_mut(kind).has_answered = true;
    }

    /// Takes what a poll found. Returns whether an answer is another than before.
    pub fn record(&mut self, observation: &Observation, round: u64, now: Duration) -> bool {
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
    pub fn give_way(&mut self) {
        // What it has told in this run stands for the length of it.
        let silent = self.voices.iter_mut().filter(|answers| answers.known.is_none());
        silent.for_each(|answers| answers.missed = PATIENCE);
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

/// A reason, which is put into words only where it is shown.
pub type Why<'s> = Box<dyn FnOnce() -> String + 's>;

/// What the sources together say.
pub enum Selection<'s> {
    /// This, by the source with this index.
    Known(AddressValue, usize),
    /// There is none.
    Absent(&'s str),
    /// Nobody can tell at the moment.
    Unknown(Why<'s>),
    /// A source is still being asked for the first time.
    Pending,
}

/// Chooses among `preferred` (indexes into `sources`) for `kind`; `agree` of
/// them must say the same.
#[must_use]
pub fn select<'s>(
    sources: &'s [SourceStatus],
    preferred: &[usize],
    kind: AddressKind,
    agree: usize,
) -> Selection<'s> {
    if agree > 1 { vote(sources, preferred, kind, agree) } else { first(sources, preferred, kind) }
}

fn first<'s>(sources: &'s [SourceStatus], preferred: &[usize], kind: AddressKind) -> Selection<'s> {
    let mut absent = None;
    let mut reasons = Vec::new();
    for (index, source) in in_turn(sources, preferred, kind) {
        let answers = source.answers(kind);
        match &answers.last {
            None => return Selection::Pending,
            // What the router says decides whether this address leads here.
            Some(Finding::Known(_)) if awaits_witness(sources, preferred, kind, source) => {
                return Selection::Pending;
            }
            Some(Finding::Known(value)) => return Selection::Known(*value, index),
            Some(Finding::Absent(why)) => absent = Some(why.as_str()),
            Some(Finding::Unknown(why)) if answers.holds() => {
                return Selection::Unknown(Box::new(|| why.clone()));
            }
            Some(Finding::Unknown(why)) => reasons.push((&source.label, why)),
        }
    }
    let unknown = move || {
        let said: Vec<_> = reasons.iter().map(|(label, why)| format!("{label}: {why}")).collect();
        said.join("; ")
    };
    absent.map_or_else(|| Selection::Unknown(Box::new(unknown)), Selection::Absent)
}

/// Whether an echo service has told its address before a listed router was
/// asked at all.
fn awaits_witness(
    sources: &[SourceStatus],
    preferred: &[usize],
    kind: AddressKind,
    teller: &SourceStatus,
) -> bool {
    let unheard =
        |source: &SourceStatus| nat::is_witness(source, kind) && source.answers(kind).last.is_none();
    teller.speaker == Origin::Echo && listed(sources, preferred).any(|(_, source)| unheard(source))
}

fn vote<'s>(
    sources: &'s [SourceStatus],
    preferred: &[usize],
    kind: AddressKind,
    agree: usize,
) -> Selection<'s> {
    let voices: Vec<_> = listed(sources, preferred).map(|(index, s)| (index, s.answers(kind))).collect();
    for (index, answers) in &voices {
        if let Some(Finding::Known(value)) = answers.last {
            let votes = voices.iter().filter(|(_, v)| v.last == Some(Finding::Known(value))).count();
            let teller = sources.get(*index);
            if votes >= agree && !teller.is_some_and(|t| awaits_witness(sources, preferred, kind, t)) {
                return Selection::Known(value, *index);
            }
        }
    }
    if voices.iter().any(|(_, answers)| answers.last.is_none()) {
        return Selection::Pending;
    }
    Selection::Unknown(Box::new(move || disagreement(sources, &voices, agree)))
}

fn disagreement(sources: &[SourceStatus], voices: &[(usize, &SourceAnswers)], agree: usize) -> String {
    let said = |(index, answers): &(usize, &SourceAnswers)| {
        let label = sources.get(*index).map_or("", |source| source.label.as_str());
        match &answers.last {
            Some(Finding::Known(value)) => format!("{label} says {}", value.address()),
            Some(Finding::Absent(why) | Finding::Unknown(why)) => format!("{label}: {why}"),
            None => label.to_owned(),
        }
    };
    let mut said: Vec<String> = voices.iter().map(said).collect();
    let told: Vec<_> = voices
        .iter()
        .filter_map(|(index, answers)| match answers.last {
            Some(Finding::Known(AddressValue::Ipv4(address))) => {
                Some((address, sources.get(*index)?.speaker))
            }
            _ => None,
        })
        .collect();
    said.extend(nat::explain_disagreement(&told));
    format!("fewer than {agree} sources agree: {}", said.join("; "))
}

/// The sources of `preferred` that have to be polled to select `kind`.
#[must_use]
pub fn needed(sources: &[SourceStatus], preferred: &[usize], kind: AddressKind, agree: usize) -> Vec<usize> {
    let voters: Vec<_> = if agree > 1 {
        listed(sources, preferred).collect()
    } else {
        in_turn(sources, preferred, kind).collect()
    };
    let mut holding = 0_usize;
    let mut needed = Vec::new();
    for (index, source) in voters {
        if holding >= agree {
            break;
        }
        needed.push(index);
        holding = holding.saturating_add(usize::from(source.answers(kind).holds()));
    }
    // An echo service cannot know that the router is behind a NAT.
    let echoed = |index: &usize| sources.get(*index).is_some_and(|s| s.speaker == Origin::Echo);
    if needed.iter().any(echoed) {
        let routers = listed(sources, preferred).filter(|(_, source)| nat::is_witness(source, kind));
        needed.extend(routers.map(|(index, _)| index));
    }
    needed
}

/// The listed sources without those that must not overrule an earlier one of
/// their kind.
fn in_turn<'s>(
    sources: &'s [SourceStatus],
    preferred: &[usize],
    kind: AddressKind,
) -> impl Iterator<Item = (usize, &'s SourceStatus)> {
    let mut absent_by = None;
    listed(sources, preferred).filter(move |(_, source)| {
        let silenced = absent_by == Some(source.speaker);
        if !silenced && matches!(source.answers(kind).last, Some(Finding::Absent(_))) {
            absent_by = Some(source.speaker);
        }
        !silenced
    })
}

fn listed<'s>(
    sources: &'s [SourceStatus],
    preferred: &[usize],
) -> impl Iterator<Item = (usize, &'s SourceStatus)> {
    preferred.iter().filter_map(|index| Some((*index, sources.get(*index)?)))
}
