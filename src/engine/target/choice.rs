//! Which sources speak for a target, and for what it is sent.

use super::{TargetStatus, has};
use crate::address::Family;
use crate::config::placeholders::Needs;
use crate::engine::address_kind::AddressKind;
use crate::engine::ipv6_default::Ipv6Default;
use crate::engine::selection::{Selection, needed, select};
use crate::engine::source_status::SourceStatus;
use crate::engine::state::Ipv6Speaker;

impl TargetStatus {
    /// The sources it needs polled.
    pub(in crate::engine) fn sources<'a>(
        &'a self,
        sources: &'a [SourceStatus],
    ) -> impl Iterator<Item = usize> + 'a {
        self.kinds().flat_map(|kind| {
            let needed = needed(sources, self.preferred(sources, kind), kind, self.config.agree);
            // A gateway that left it to this host may have something to say again.
            let gateway = self.ipv6_default(sources, kind).and(self.config.ipv6.first());
            needed.into_iter().chain(gateway.copied())
        })
    }

    /// Whether it uses the source with this index for something nobody can tell.
    pub(in crate::engine) fn misses(&self, sources: &[SourceStatus], source: usize) -> bool {
        let counts = self.counts(sources);
        self.kinds().filter(|kind| has(counts, *kind)).any(|kind| {
            self.preferred(sources, kind).contains(&source)
                && matches!(self.choice(sources, kind), Selection::Unknown(_))
        })
    }

    /// Whether the source with this index may speak for it about `kind`.
    pub(in crate::engine) fn lists(
        &self,
        sources: &[SourceStatus],
        source: usize,
        kind: AddressKind,
    ) -> bool {
        self.kinds().any(|needed| needed == kind) && self.preferred(sources, kind).contains(&source)
    }

    pub(in crate::engine) fn choice<'s>(
        &self,
        sources: &'s [SourceStatus],
        kind: AddressKind,
    ) -> Selection<'s> {
        let choice = select(sources, self.preferred(sources, kind), kind, self.config.agree);
        match (choice, self.ipv6_default(sources, kind)) {
            (Selection::Unknown(why), Some(ipv6)) => {
                Selection::Unknown(Box::new(move || ipv6.explain(&why())))
            }
            (choice, _) => choice,
        }
    }

    /// The sources that may speak, by preference.
    pub(super) fn preferred(&self, sources: &[SourceStatus], kind: AddressKind) -> &[usize] {
        match (kind, self.ipv6_default(sources, kind), self.config.ipv6.split_first()) {
            (AddressKind::Ipv4, ..) => &self.config.ipv4,
            (_, Some(ipv6), Some((_, host))) if ipv6.speaker == Some(Ipv6Speaker::Host) => host,
            (_, Some(_), Some((gateway, _))) => std::slice::from_ref(gateway),
            _ => &self.config.ipv6,
        }
    }

    /// Who speaks for IPv6, where its user has listed no sources.
    fn ipv6_default<'a>(&self, sources: &'a [SourceStatus], kind: AddressKind) -> Option<&'a Ipv6Default> {
        let follows = kind.family() == Family::V6 && self.config.follows_gateway;
        sources.get(*self.config.ipv6.first().filter(|_| follows)?)?.ipv6.as_ref()
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = AddressKind> + '_ {
        let needs = self.config.required.or(self.config.optional).or(self.config.extra);
        AddressKind::ALL.into_iter().filter(move |kind| has(needs, *kind))
    }

    /// Of which kinds a new address is a reason to send it. What names no address follows
    /// the router's, as in 1.0, and none that this host has by default.
    pub(super) fn counts(&self, sources: &[SourceStatus]) -> Needs {
        let counts = self.config.required.or(self.config.optional);
        let default = self.ipv6_default(sources, AddressKind::Ipv6);
        let by_host = default.is_some_and(|ipv6| ipv6.speaker == Some(Ipv6Speaker::Host));
        let counts_ipv6 = !(self.config.any_address && by_host);
        Needs { ipv6: counts.ipv6 && counts_ipv6, ipv6_prefix: counts.ipv6_prefix && counts_ipv6, ..counts }
    }
}
