//! What each target should hold while all is well.

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::placeholders::Needs;

use super::Sim;
use crate::host::suffix;
use crate::network::{lan, local, router};
use crate::plan::{Entry, Ipv6};
use crate::providers::Held;

/// What a target names that needs no IPv6.
const IPV4: Needs = Needs { ipv4: true, ipv6: false, ipv6_prefix: false };

impl Sim {
    /// Whether targets hold what they should.
    pub(super) fn check(&mut self, name: Option<&str>) {
        if !self.calm {
            return;
        }
        let entries = self.plan.entries.iter().filter(|entry| name.is_none_or(|name| entry.name == name));
        let entries = entries.filter(|entry| !self.watch.is_excused(&entry.name));
        let wrong = entries.filter_map(|entry| {
            let held = self.providers.get(&entry.host)?.records.get(&entry.record).copied();
            let held = held.unwrap_or_default();
            let truth = self.truth(entry, held)?;
            (held != truth).then_some((entry, held, truth))
        });
        if let Some((entry, held, truth)) = wrong.into_iter().next() {
            let text = format!("{}: holds {held:?} and not {truth:?} long after all was well", entry.name);
            self.watch.broken.get_or_insert(text);
        }
        let mut entries = self.plan.entries.iter().filter(|entry| name.is_none() && self.can_be_told(entry));
        let late = entries.find(|entry| self.watch.is_overdue(self.now, &entry.name));
        if let Some(entry) = late {
            self.watch.broken.get_or_insert(format!("{}: its refresh is late", entry.name));
        }
    }

    /// Whether its sources know all that a target names.
    pub(super) fn can_be_told(&self, entry: &Entry) -> bool {
        let can_tell = self.plan.ipv6 != Ipv6::Upnp || self.gateway.avm;
        entry.names == IPV4 || (self.line.has_ipv6 && can_tell)
    }

    /// What a target should hold that holds this; `None`: it is sent nothing.
    pub(super) fn truth(&self, entry: &Entry, held: Held) -> Option<Held> {
        let delegated = self.line.ipv6;
        let gateway =
            || Addresses { ipv6: delegated.map(router), ipv6_prefix: delegated, ..Addresses::default() };
        let host = || Addresses {
            ipv6: self.host.lan().map(local),
            ipv6_prefix: self.host.lan(),
            ..Addresses::default()
        };
        let by_gateway = self.gateway.avm && !matches!(self.plan.ipv6, Ipv6::Interface);
        let told = match self.plan.ipv6 {
            // It cannot tell, for ever.
            Ipv6::Upnp if !self.gateway.avm => None,
            Ipv6::List if delegated.is_none() => None,
            _ if by_gateway => Some(gateway()),
            // Unknown as soon as one was published.
            _ if self.host.lan().is_none() => None,
            _ => Some(host()),
        };
        let names = entry.names;
        let is_known = !(names.ipv6 || names.ipv6_prefix)
            || told.is_some_and(|told| told.ipv6.is_some() || entry.empties);
        if !is_known && entry.all_or_nothing {
            return None;
        }
        // What names IPv6 alone is sent nothing without one, but where its section says so.
        if !names.ipv4 && !entry.empties && told.is_some_and(|told| told.ipv6.is_none()) {
            return None;
        }
        let told = told.filter(|told| told.ipv6.is_some() || (entry.empties && entry.all_or_nothing));
        let mut truth = held;
        if names.ipv4 {
            let [first, second] = [Some(&self.line), self.second.as_ref()].map(|line| line?.reachable());
            truth.ipv4 = match entry.line {
                // It keeps what it has while its own line is down.
                Some(line) => Some([first, second][line]?),
                None if held.ipv4.is_some() && held.ipv4 == second => second,
                None => first.or(second),
            };
        }
        if let Some(told) = told {
            let other = || told.ipv6_prefix.map(lan).map(|lan| lan.host(suffix()));
            if names.ipv6 {
                truth.ipv6 = if entry.has_suffix { other() } else { told.ipv6 };
            }
            if names.ipv6_prefix {
                truth.ipv6_prefix = told.ipv6_prefix;
            }
        }
        Some(truth)
    }
}
