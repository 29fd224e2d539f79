//! A family that is absent from the beginning, for targets that name both: it is
//! sent as an empty text, as in 1.0.

use std::time::Duration;

use super::{TargetStatus, has};
use crate::address::{Addresses, Family};
use crate::engine::Now;
use crate::engine::selection::{AddressKind, Origin, Selection, SourceStatus};

/// How long a family must be absent from the beginning before it is sent as an
/// empty text: a router that has just come up may have none yet.
const ABSENT: Duration = Duration::from_secs(10);

impl TargetStatus {
    /// Keeps in mind since when a family is absent.
    pub(in crate::engine) fn note_absence(&mut self, sources: &[SourceStatus], now: Now) {
        for (index, family) in [Family::V4, Family::V6].into_iter().enumerate() {
            let absent = self
                .kinds()
                .filter(|kind| kind.family() == family && has(self.config.required, *kind))
                .all(|kind| self.is_absent(sources, kind));
            if let Some(since) = self.absent_since.get_mut(index) {
                *since = absent.then(|| since.unwrap_or(now.elapsed));
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
        let [ipv4, ipv6] = self.absent_since;
        let since = if kind.family() == Family::V4 { ipv4 } else { ipv6 };
        since.filter(|_| self.config.both_families && !was_sent).map(|since| since.saturating_add(ABSENT))
    }

    /// Whether it is sent as soon as a family has been absent for long enough.
    pub(in crate::engine) fn awaits_absence(&self, sources: &[SourceStatus], now: Now) -> bool {
        let ready = self.wanted(sources).is_ok_and(|wanted| wanted.ready > now.elapsed);
        ready && self.state.failed.is_none() && self.due_at(sources, now).is_some()
    }
}
