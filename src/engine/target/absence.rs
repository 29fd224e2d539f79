//! A family that is absent: from the beginning, for targets that name both, it is sent
//! as an empty text, as in 1.0; later it is told daily that a record still holds it.

use std::time::Duration;

use super::{DAY, TargetStatus, has};
use crate::address::{Addresses, Family};
use crate::engine::Now;
use crate::engine::address_kind::AddressKind;
use crate::engine::report::{Level, Report};
use crate::engine::selection::Selection;
use crate::engine::source_status::{Origin, SourceStatus};

/// How long a family must be absent from the beginning before it is sent as an
/// empty text: a router that has just come up may have none yet.
const ABSENT: Duration = Duration::from_secs(10);

/// How long one must be gone before that is written down, for the flash's sake.
const KEPT_AFTER: Duration = Duration::from_secs(60 * 60);

/// Since when, in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Absence {
    /// There is definitely no IPv4 and no IPv6 address for it.
    families: [Option<Duration>; 2],
    /// An address that it holds is definitely gone.
    gone: [Option<Duration>; 3],
    /// When that is told again.
    told: [Duration; 3],
}

impl TargetStatus {
    /// Keeps in mind since when a family is absent, where that is sent.
    pub(in crate::engine) fn note_absence(&mut self, sources: &[SourceStatus], now: Now) {
        if !self.config.both_families && !self.config.empty_when_absent {
            return;
        }
        for (index, family) in [Family::V4, Family::V6].into_iter().enumerate() {
            let absent = self
                .kinds()
                .filter(|kind| kind.family() == family && has(self.config.required, *kind))
                .all(|kind| self.is_absent(sources, kind));
            if absent || self.absence.is_some() {
                let families = &mut self.absence.get_or_insert_default().families;
                if let Some(since) = families.get_mut(index) {
                    *since = absent.then(|| since.unwrap_or(now.elapsed));
                }
            }
        }
    }

    /// Whether there is definitely none; local addresses of this host are none.
    pub(super) fn is_absent(&self, sources: &[SourceStatus], kind: AddressKind) -> bool {
        match self.choice(sources, kind) {
            Selection::Absent(_) => true,
            Selection::Known(value, source) => {
                let by_host = sources.get(source).is_some_and(|source| source.speaker == Origin::Kernel);
                by_host && kind.family() == Family::V6 && !self.may_be_told(value.address())
            }
            Selection::Unknown(_) | Selection::Pending => false,
        }
    }

    /// From when on a family that was absent from the beginning is sent as an
    /// empty text; `None` for one that the target has been sent.
    pub(super) fn empty_from(&self, kind: AddressKind) -> Option<Duration> {
        let held = |addresses: &Addresses| match kind.family() {
            Family::V4 => addresses.ipv4.is_some(),
            Family::V6 => addresses.ipv6.is_some() || addresses.ipv6_prefix.is_some(),
        };
        let accepted = self.state.accepted.as_ref().map(|accepted| &accepted.addresses);
        let was_sent = accepted.into_iter().chain(&self.state.trying).any(held);
        self.absent_from(kind.family()).filter(|_| self.config.both_families && !was_sent)
    }

    /// From when on a family has been absent for long enough; `None` while it is not.
    pub(super) fn absent_from(&self, family: Family) -> Option<Duration> {
        let [ipv4, ipv6] = self.absence.as_ref()?.families;
        let since = if family == Family::V4 { ipv4 } else { ipv6 };
        since.map(|since| since.saturating_add(ABSENT))
    }

    /// Whether it is sent as soon as a family has been absent for long enough.
    pub(in crate::engine) fn awaits_absence(&self, sources: &[SourceStatus], now: Now) -> bool {
        let ready = self.wanted(sources).is_ok_and(|wanted| wanted.ready > now.elapsed);
        ready && self.state.failed.is_none() && self.due_at(sources, now).is_some()
    }

    /// Notes since when what it holds is definitely gone: its line of the state file, when
    /// that is news, and what is told once a day. While a source says nothing, neither.
    pub(in crate::engine) fn note_gone(
        &mut self,
        sources: &[SourceStatus],
        now: Now,
    ) -> (Option<String>, Vec<Report>) {
        let held = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        let held = [held.ipv4.is_some(), held.ipv6.is_some(), held.ipv6_prefix.is_some()];
        let (before, mut reports) = (self.state.gone.clone(), Vec::new());
        for (place, (kind, held)) in AddressKind::ALL.into_iter().zip(held).enumerate() {
            let used = held && has(self.counts(sources), kind);
            match used.then(|| self.choice(sources, kind)) {
                Some(Selection::Absent(_)) => reports.extend(self.is_gone(place, kind, now)),
                Some(Selection::Unknown(_) | Selection::Pending) => {}
                Some(Selection::Known(..)) | None => self.forget_gone(place),
            }
        }
        ((before != self.state.gone).then(|| self.state.line(&self.config.id)), reports)
    }

    fn is_gone(&mut self, place: usize, kind: AddressKind, now: Now) -> Option<Report> {
        let absence = self.absence.get_or_insert_default();
        let since = *absence.gone.get_mut(place)?.get_or_insert(now.elapsed);
        let kept = self.state.gone.as_ref().and_then(|gone| *gone.get(place)?);
        let by_clock = now.unix.zip(kept).and_then(|(unix, since)| unix.checked_sub(since));
        let age = now.elapsed.saturating_sub(since).max(Duration::from_secs(by_clock.unwrap_or(0)));
        if age >= KEPT_AFTER && kept.is_none() {
            let since = now.unix.map(|unix| unix.saturating_sub(age.as_secs()));
            self.state.gone_since(place, since);
        }
        let told = absence.told.get_mut(place)?;
        if age < DAY || now.elapsed < *told {
            return None;
        }
        *told = now.elapsed.saturating_add(DAY);
        let text = format!(
            "there has been no {} for a day or more, and its record still holds one; delete the record there \
             if it is not to come back",
            kind.words()
        );
        Some(Report::new(Level::Warning, &self.config.name, text))
    }

    fn forget_gone(&mut self, place: usize) {
        let gone = self.absence.as_mut().and_then(|absence| absence.gone.get_mut(place));
        if let Some(since) = gone {
            *since = None;
        }
        self.state.gone_since(place, None);
    }
}
