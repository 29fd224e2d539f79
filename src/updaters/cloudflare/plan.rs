//! Deciding: what a record needs next, from what is known.

use super::api::{Zone, kind_name};
use super::choice::Choice;
use super::{Call, Cloudflare, FEW, Item, Key, List, PERSON, choice, is_within, retry};
use crate::updaters::Outcome;

impl Cloudflare {
    /// What `item` needs next, or how it ended.
    pub(super) fn plan(&self, item: &Item) -> Result<Call, Outcome> {
        let (zone, zone_name) = match &self.config.zone_id {
            Some(id) => (id.clone(), self.zones.iter().find(|zone| zone.id == *id).map(|zone| &zone.name)),
            None => match self.search_zone(&item.record.name)? {
                Ok(zone) => (zone.id.clone(), Some(&zone.name)),
                Err(call) => return Ok(call),
            },
        };
        let own_name = &item.record.name;
        // With the zone's id, a name with a dot is tried as it is before the
        // zone's name is asked for: that takes a permission more.
        let name = match zone_name {
            Some(zone_name) => full_name(own_name, zone_name),
            None if own_name.contains('.') => own_name.clone(),
            None => return self.name_zone(item),
        };
        let key = (zone, name, item.record.aaaa);
        if let Some(call) = self.look_up(item, &key) {
            return Ok(call);
        }
        match self.choose(item, &key) {
            Choice::Ours(record) if choice::holds(record, item) => Err(Outcome::Published { changed: false }),
            Choice::Ours(record) => Ok(Call::Change(key, record.id.clone())),
            Choice::Missing if zone_name.is_none() => self.name_zone(item),
            Choice::Missing if item.record.create => Ok(Call::Create(key)),
            Choice::Missing => Err(missing(item, &key.1)),
            Choice::Unclear(count) => Err(unclear(item, &key.1, count)),
        }
    }

    /// The zone that holds `name`: the longest part of it that is one. Either
    /// the zone, or the request that may find it.
    fn search_zone(&self, name: &str) -> Result<Result<&Zone, Call>, Outcome> {
        if !name.contains('.') {
            let why =
                format!("{name:?} is relative, to what is not known; set zone_id or write the full name");
            return Err(Outcome::Blocked { why });
        }
        let mut part = name.strip_prefix("*.").unwrap_or(name);
        loop {
            let mut named = self.zones.iter().filter(|zone| zone.name == part);
            match (named.next(), named.count()) {
                (Some(zone), 0) => return Ok(Ok(zone)),
                (Some(_), others) => return Err(several_zones(part, others.saturating_add(1))),
                (None, _) => {}
            }
            if self.zone_list != List::Complete && !self.no_zones.contains(part) {
                return Ok(Err(self.find_zone(part)));
            }
            // A top-level domain is nobody's zone at Cloudflare.
            match part.split_once('.') {
                Some((_, rest)) if rest.contains('.') => part = rest,
                _ => break,
            }
        }
        let why = format!(
            "no active zone that the token may read holds {name:?}; check the name, and that the token has Zone:Read \
             for the zone, or set zone_id"
        );
        Err(retry(why, Some(PERSON)))
    }

    fn find_zone(&self, name: &str) -> Call {
        match self.zone_list {
            List::Next(page) if page > 1 || self.job.items.len() > FEW => Call::ListActiveZones(page),
            _ => Call::FindZone(name.to_owned()),
        }
    }

    /// Learns the name of the zone with the configured id.
    fn name_zone(&self, item: &Item) -> Result<Call, Outcome> {
        let Some(why) = &self.job.nameless else {
            return Ok(Call::ListZones(self.job.zones_page));
        };
        let name = &item.record.name;
        if !name.contains('.') {
            let why = format!("{why}; {name:?} needs it: give the token Zone:Read, or write the full name");
            return Err(Outcome::Blocked { why });
        }
        let kind = kind_name(item.record.aaaa);
        let why = format!(
            "the zone has no {kind} record {name:?}, and whether that name is relative cannot be told: {why}; create \
             the record, or give the token Zone:Read"
        );
        Err(retry(why, Some(PERSON)))
    }

    /// The request that shows the records of `key`, unless they are known.
    fn look_up(&self, item: &Item, key: &Key) -> Option<Call> {
        let (zone, ..) = key;
        if self.job.looked_up.contains(key) {
            return None;
        }
        match self.job.lists.get(zone) {
            Some(List::Complete) if !item.again => None,
            Some(List::Next(page)) => Some(Call::List(zone.clone(), *page)),
            None if !item.again && self.waiting_in(zone) > FEW => Some(Call::List(zone.clone(), 1)),
            _ => Some(Call::Find(key.clone())),
        }
    }

    pub(super) fn waiting_in(&self, zone: &str) -> usize {
        self.job.items.iter().filter(|item| self.belongs(item, zone)).count()
    }

    /// Whether `item` is in the zone, as far as that is known.
    pub(super) fn belongs(&self, item: &Item, zone: &str) -> bool {
        if self.config.zone_id.is_some() {
            return true;
        }
        self.zones.iter().any(|known| known.id == zone && is_within(&item.record.name, &known.name))
    }

    fn choose(&self, item: &Item, key: &Key) -> Choice<'_> {
        let matching = self.job.records.get(key).map(Vec::as_slice).unwrap_or_default().iter().collect();
        // Compared as configured; that of another spelling is still told apart
        // by its comment once it is there.
        let entries = self.entries.get(&(item.record.name.clone(), item.record.aaaa));
        let others = entries.into_iter().flatten().filter(|entry| **entry != item.entry);
        let others = others.filter_map(|entry| self.config.records.get(*entry));
        let taken: Vec<&str> = others.filter_map(|other| other.comment.as_deref()).collect();
        choice::choose(item, matching, &taken)
    }
}

pub(super) fn several_zones(name: &str, count: usize) -> Outcome {
    let why = format!("the token reads {count} active zones {name:?}; set zone_id to the right one");
    retry(why, Some(PERSON))
}

fn missing(item: &Item, name: &str) -> Outcome {
    let kind = kind_name(item.record.aaaa);
    retry(
        format!("the zone has no {kind} record {name:?}; create it at Cloudflare, or set create = true"),
        Some(PERSON),
    )
}

fn unclear(item: &Item, name: &str, count: usize) -> Outcome {
    let kind = kind_name(item.record.aaaa);
    let todo = match &item.record.comment {
        Some(comment) => format!("exactly one of them must bear the comment {comment:?}"),
        None => "set comment here to that of the right one, or delete the others".to_owned(),
    };
    retry(format!("the zone has {count} {kind} records {name:?}, none was changed; {todo}"), Some(PERSON))
}

/// `@`, relative or full, as a full name.
fn full_name(name: &str, zone: &str) -> String {
    if name == "@" {
        zone.to_owned()
    } else if is_within(name, zone) {
        name.to_owned()
    } else {
        format!("{name}.{zone}")
    }
}
