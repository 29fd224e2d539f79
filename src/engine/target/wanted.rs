//! What a target should hold by what the sources say.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::TargetStatus;
use crate::address::{Addresses, Family};
use crate::config::placeholders::Needs;
use crate::engine::address_kind::{AddressKind, AddressValue};
use crate::engine::lan::lan_host;
use crate::engine::nat;
use crate::engine::nat::{Why, refusal};
use crate::engine::selection::Selection;
use crate::engine::source_status::{Origin, SourceStatus};

/// What a target should hold now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) addresses: Addresses,
    /// Which kinds it speaks of; the others stay as they are.
    pub(super) covers: Needs,
    /// Which kinds are a reason to send it; the others are only given along.
    pub(super) counts: Needs,
    /// Not before, because a family is given time to appear.
    pub(super) ready: Duration,
    /// Its IPv4 address is the router's private one, which is told to nobody.
    pub(super) private: bool,
}

/// Why there is nothing to send.
pub(super) enum Waiting<'s> {
    /// A first answer is on its way.
    Pending,
    /// The sources cannot say; what they said of it is reported elsewhere.
    Unknown(Why<'s>),
    /// The answer is no use to this target, and somebody should know.
    Useless(Why<'s>),
}

impl TargetStatus {
    pub(super) fn may_be_told(&self, address: IpAddr) -> bool {
        refusal(address, self.config.allow_private).is_none()
    }

    pub(super) fn wanted<'s>(&self, sources: &'s [SourceStatus]) -> Result<Wanted, Waiting<'s>> {
        let mut wanted = Wanted {
            addresses: Addresses::default(),
            covers: Needs::default(),
            counts: self.counts(sources),
            ready: Duration::ZERO,
            private: false,
        };
        let mut refused = None;
        let mut private = None;
        for kind in self.kinds() {
            let required = has(self.config.required, kind);
            let from = self.empty_from(kind).or(self.config.empty_when_absent.then_some(Duration::ZERO));
            if required
                && let Some(from) = from
                && self.is_absent(sources, kind)
            {
                wanted.ready = wanted.ready.max(from);
                wanted.cover(kind);
                continue;
            }
            match self.choice(sources, kind) {
                Selection::Known(value, source) => match self.publishable(sources, value, source) {
                    Ok((value, host)) => wanted.put(value, host),
                    Err(why) => {
                        let label = sources.get(source).map_or("", |source| source.label.as_str());
                        let why: Why<'s> = Box::new(move || format!("{label}: {}", why()));
                        if required {
                            return Err(Waiting::Useless(why));
                        }
                        private = private.or(self.private(sources, value, source));
                        refused.get_or_insert(why);
                    }
                },
                Selection::Pending => return Err(Waiting::Pending),
                Selection::Absent(why) if required => {
                    return Err(Waiting::Useless(Box::new(move || absent(kind, why))));
                }
                Selection::Unknown(why) if required => {
                    return Err(Waiting::Unknown(Box::new(move || unknown(kind, &why()))));
                }
                Selection::Absent(_) | Selection::Unknown(_) => {}
            }
        }
        if let Some(value) = private {
            wanted.put(value, None);
            wanted.private = true;
        }
        if wanted.reasons(wanted.addresses).is_empty() {
            // The only one that it names is gone; where both are, so is the line.
            let named = wanted.covers.and(self.config.required);
            let from = self.absent_from(if named.ipv4 { Family::V4 } else { Family::V6 });
            if let Some(ready) = from.filter(|_| !self.config.both_families && !named.is_empty()) {
                return Ok(Wanted { ready, ..wanted });
            }
            let unknown = || Waiting::Unknown(Box::new(move || nothing_known(&wanted.addresses)));
            return Err(refused.map_or_else(unknown, Waiting::Useless));
        }
        Ok(wanted)
    }

    /// The router's private IPv4 address, for a target that tells it to nobody.
    fn private(&self, sources: &[SourceStatus], value: AddressValue, source: usize) -> Option<AddressValue> {
        let by_router = sources.get(source).is_some_and(|source| source.speaker == Origin::Gateway);
        let local = matches!(value, AddressValue::Ipv4(ipv4) if refusal(ipv4.into(), true).is_none());
        (self.config.any_address && by_router && local).then_some(value)
    }

    /// `value`, by the source with this index, and the host that it makes with the
    /// suffix; or why it is not published.
    fn publishable<'s>(
        &self,
        sources: &'s [SourceStatus],
        value: AddressValue,
        source: usize,
    ) -> Result<(AddressValue, Option<Ipv6Addr>), Why<'s>> {
        let lan = sources.get(source).and_then(|source| source.lan);
        let host = match (value, self.config.ipv6_suffix) {
            (AddressValue::Prefix(prefix), Some(suffix)) => {
                Some(lan_host(prefix, suffix, lan).map_err(|why| Box::new(|| why) as Why<'s>)?)
            }
            _ => None,
        };
        let address = host.map_or_else(|| value.address(), Into::into);
        let speaker = sources.get(source).map(|source| source.speaker);
        let mut objection = nat::objection(address, speaker, self.config.allow_private);
        if objection.is_none() && !self.config.allow_private {
            objection = nat::contradiction(sources, &self.config.ipv4, value, source);
        }
        objection.map_or(Ok((value, host)), Err)
    }
}

impl Wanted {
    /// Without what is only given along.
    pub(super) fn for_reasons(self) -> Self {
        Self { covers: self.covers.and(self.counts), ..self }
    }

    /// Whether it differs from what was `sent` in what is a reason to send it.
    pub(super) fn is_news(&self, sent: Addresses) -> bool {
        self.reasons(sent) != self.reasons(self.addresses)
    }

    fn reasons(&self, addresses: Addresses) -> Addresses {
        Addresses {
            ipv4: addresses.ipv4.filter(|_| self.counts.ipv4),
            ipv6: addresses.ipv6.filter(|_| self.counts.ipv6),
            ipv6_prefix: addresses.ipv6_prefix.filter(|_| self.counts.ipv6_prefix),
        }
    }

    /// `host`: what the target's suffix makes of a prefix.
    fn put(&mut self, value: AddressValue, host: Option<Ipv6Addr>) {
        match value {
            AddressValue::Ipv4(address) => {
                self.addresses.ipv4 = Some(address);
                self.cover(AddressKind::Ipv4);
            }
            AddressValue::Ipv6(address) => {
                self.addresses.ipv6 = Some(address);
                self.cover(AddressKind::Ipv6);
            }
            AddressValue::Prefix(prefix) => {
                self.addresses.ipv6_prefix = Some(prefix);
                self.cover(AddressKind::Prefix);
                if let Some(host) = host {
                    self.put(AddressValue::Ipv6(host), None);
                }
            }
        }
    }

    pub(super) fn cover(&mut self, kind: AddressKind) {
        match kind {
            AddressKind::Ipv4 => self.covers.ipv4 = true,
            AddressKind::Ipv6 => self.covers.ipv6 = true,
            AddressKind::Prefix => self.covers.ipv6_prefix = true,
        }
    }
}

/// What a target holds once it has taken `wanted`.
pub(super) fn merge(old: Addresses, wanted: Wanted) -> Addresses {
    let Wanted { addresses: new, covers, .. } = wanted;
    Addresses {
        ipv4: if covers.ipv4 { new.ipv4 } else { old.ipv4 },
        ipv6: if covers.ipv6 { new.ipv6 } else { old.ipv6 },
        ipv6_prefix: if covers.ipv6_prefix { new.ipv6_prefix } else { old.ipv6_prefix },
    }
}

pub(super) fn has(needs: Needs, kind: AddressKind) -> bool {
    match kind {
        AddressKind::Ipv4 => needs.ipv4,
        AddressKind::Ipv6 => needs.ipv6,
        AddressKind::Prefix => needs.ipv6_prefix,
    }
}

fn nothing_known(given_along: &Addresses) -> String {
    let mut why = "no address is known".to_owned();
    if given_along.ipv6.is_some() {
        why.push_str(
            "; this host's IPv6 address is no reason to send what names none (write ipv6 = [\"interface\"] if it is)",
        );
    }
    why
}

fn absent(kind: AddressKind, why: &str) -> String {
    format!("it needs an {}, and there is none: {why}", kind.words())
}

fn unknown(kind: AddressKind, why: &str) -> String {
    format!("it needs an {}, which is not known: {why}", kind.words())
}
