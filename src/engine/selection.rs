//! Which address to believe: what each source said, and whose turn it is to
//! speak; pure.
//!
//! Sources stand in the order of the user's preference. One that has never
//! answered gives way at once; one that has answered keeps its place for
//! [`PATIENCE`] polls, so that nothing flaps while a router reboots. "There is
//! none" passes on only to a source of another kind: NAT-PMP must not overrule
//! what the same gateway said by UPnP.

use super::address_kind::{AddressKind, AddressValue};
use super::nat::{self, Why};
use super::source_status::{Origin, SourceAnswers, SourceStatus};
use crate::address::Finding;

/// What the sources together say.
pub(super) enum Selection<'s> {
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
pub(super) fn select<'s>(
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
pub(super) fn needed(
    sources: &[SourceStatus],
    preferred: &[usize],
    kind: AddressKind,
    agree: usize,
) -> Vec<usize> {
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
