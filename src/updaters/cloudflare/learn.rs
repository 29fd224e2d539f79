//! Learning: what a reply, or its absence, means for the job.

use std::collections::VecDeque;
use std::mem;

use super::api::{Kind, LIST_REPLY, Page, Record, Refusal, Zone};
use super::plan::several_zones;
use super::{Call, Cloudflare, Key, LIMITED, List, MAX_FAULTS, MAX_PAGES, PERSON, retry};
use crate::updaters::{Failure, Outcome, Reply};

impl Cloudflare {
    pub(super) fn absorb(&mut self, call: Call, reply: Result<Reply, Failure>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => return self.lost(call, failure),
        };
        let read = match &call {
            // Cut off: its records are too large for pages of our size.
            Call::List(zone, _) if reply.body.len() >= LIST_REPLY => {
                self.job.lists.insert(zone.clone(), List::TooLong);
                Ok(())
            }
            Call::FindZone(name) => self.api.read_zones(&reply).map(|page| self.found_zones(name, page)),
            Call::ListZones(page) => self.api.read_zones(&reply).map(|zones| self.listed_zones(*page, zones)),
            Call::ListActiveZones(page) => {
                self.api.read_zones(&reply).map(|zones| self.listed_active_zones(*page, zones))
            }
            Call::Find(key) => self.api.read_records(&reply).map(|page| self.found_records(key, page)),
            Call::List(zone, page) => {
                self.api.read_records(&reply).map(|records| self.listed_records(zone, *page, records))
            }
            Call::Change(key, _) | Call::Create(key) => {
                self.api.read_changed(&reply).map(|record| self.changed(key, record))
            }
            Call::Batch(batch) => {
                self.absorb_batch(batch.clone(), &reply);
                Ok(())
            }
        };
        if let Err(refusal) = read {
            self.refused(&call, refusal);
        }
    }

    fn found_zones(&mut self, name: &str, page: Page<Zone>) {
        let mut zones: Vec<Zone> = page.entries.into_iter().filter(|zone| zone.name == name).collect();
        match (zones.len(), zones.pop()) {
            (1, Some(zone)) => self.zones.push(zone),
            (0, _) | (_, None) => {
                self.no_zones.insert(name.to_owned());
            }
            (count, _) => self.finish(several_zones(name, count)),
        }
    }

    fn listed_zones(&mut self, page: usize, zones: Page<Zone>) {
        let ours = self.config.zone_id.as_ref();
        if let Some(zone) = zones.entries.into_iter().find(|zone| Some(&zone.id) == ours) {
            self.zones.push(zone);
        } else if zones.last || page >= MAX_PAGES {
            self.job.nameless =
                Some("the token may not read the name of the zone with this zone_id".to_owned());
        } else {
            self.job.zones_page = page.saturating_add(1);
        }
    }

    fn listed_active_zones(&mut self, page: usize, zones: Page<Zone>) {
        if page == 1 {
            self.zones.clear();
        }
        // Each once: a list shifts when someone adds a zone meanwhile.
        let new = zones.entries.into_iter().filter(|zone| self.zones.iter().all(|known| known.id != zone.id));
        let new: Vec<Zone> = new.collect();
        self.zones.extend(new);
        let dear = zones.pages.is_some_and(|pages| pages.saturating_sub(page) > self.job.items.len());
        self.zone_list = match zones.last {
            true => List::Complete,
            false if page >= MAX_PAGES || dear => List::TooLong,
            false => List::Next(page.saturating_add(1)),
        };
    }

    /// More than a page of one name cannot be; a server that leaves our filter
    /// unheeded is asked for everything, once.
    fn found_records(&mut self, key: &Key, page: Page<Record>) {
        self.add_records(&key.0, page.entries);
        if page.last || self.job.lists.contains_key(&key.0) {
            self.job.looked_up.insert(key.clone());
        } else {
            self.job.lists.insert(key.0.clone(), List::Next(1));
        }
    }

    fn listed_records(&mut self, zone: &str, page: usize, records: Page<Record>) {
        // A large zone is not read for the sake of a few records.
        let dear = records.pages.is_some_and(|pages| pages.saturating_sub(page) > self.waiting_in(zone));
        let state = match records.last {
            true => List::Complete,
            false if page >= MAX_PAGES || dear => List::TooLong,
            false => List::Next(page.saturating_add(1)),
        };
        self.add_records(zone, records.entries);
        self.job.lists.insert(zone.to_owned(), state);
    }

    /// Each once: a list shifts when someone deletes a record meanwhile.
    fn add_records(&mut self, zone: &str, new: Vec<Record>) {
        for record in new {
            let key = (zone.to_owned(), record.name.clone(), record.aaaa);
            let records = self.job.records.entry(key).or_default();
            if records.iter().all(|known| known.id != record.id) {
                records.push(record);
            }
        }
    }

    /// No reply: the others would wait for theirs in vain, too.
    fn lost(&mut self, call: Call, failure: Failure) {
        // The line failed, not Cloudflare, even if it answered before: after a
        // reconnect the old connection is dead and a new one works at once.
        let outcome = |why| Outcome::Retry { why, after: None, reached: false };
        if let Call::Batch(batch) = call {
            self.batch_lost(batch, &failure, outcome);
            return self.finish_all(&outcome(failure.why));
        }
        let Failure { why, maybe_done } = failure;
        if maybe_done && matches!(call, Call::Change(..) | Call::Create(_)) {
            self.finish(outcome(format!("could not confirm: {why}")));
        }
        self.finish_all(&outcome(why));
    }

    pub(super) fn refused(&mut self, call: &Call, refusal: Refusal) {
        let Refusal { kind, said, wait } = refusal;
        match kind {
            Kind::Token => self.finish_all(&Outcome::Blocked {
                why: format!("Cloudflare refused the API token ({said}); correct it and restart"),
            }),
            Kind::Denied => self.denied(call, &said),
            Kind::Limited => {
                let why = format!("Cloudflare asks for fewer requests ({said})");
                self.finish_all(&retry(why, Some(wait.unwrap_or(LIMITED))));
            }
            Kind::Fault => self.fault(&retry(format!("Cloudflare has a fault ({said})"), wait)),
            Kind::Gone | Kind::NoRecord | Kind::BadId => self.gone(call, &said),
            Kind::Exists => {
                self.look_again(call, retry(format!("another record is in the way ({said})"), Some(PERSON)));
            }
            Kind::Conflict => {
                let why = format!(
                    "another record, perhaps a CNAME, owns the name ({said}); delete it at Cloudflare"
                );
                self.finish(retry(why, Some(PERSON)));
            }
            Kind::Setting => self.finish(Outcome::Blocked {
                why: format!("Cloudflare refused ttl, proxied or comment ({said}); correct it and restart"),
            }),
            Kind::Other => {
                self.finish(retry(format!("Cloudflare refused the request ({said})"), Some(PERSON)));
            }
        }
    }

    /// One record's fault is its own, three are the server's.
    pub(super) fn fault(&mut self, outcome: &Outcome) {
        self.job.faults = self.job.faults.saturating_add(1);
        if self.job.faults >= MAX_FAULTS {
            self.finish_all(outcome);
        } else {
            self.finish(outcome.clone());
        }
    }

    fn denied(&mut self, call: &Call, said: &str) {
        let zone = match call {
            Call::ListZones(_) => {
                self.job.nameless = Some(format!("the token may not read the zone's name ({said})"));
                return;
            }
            Call::FindZone(_) | Call::ListActiveZones(_) => {
                let why = format!(
                    "Cloudflare refused to show the zones ({said}): the API token is wrong or expired, or lacks the \
                     permission Zone:Read; correct it or set zone_id, and restart"
                );
                return self.finish_all(&Outcome::Blocked { why });
            }
            Call::List(zone, _)
            | Call::Find((zone, ..))
            | Call::Change((zone, ..), _)
            | Call::Create((zone, ..)) => zone,
            // Its records are sent one by one, and then it is known which.
            Call::Batch(_) => return,
        };
        let why = format!(
            "Cloudflare refused access to the zone's records ({said}): the API token is wrong or expired, or lacks \
             the permission DNS:Edit for this zone; correct it and restart"
        );
        self.finish_zone(zone, &Outcome::Blocked { why });
    }

    fn gone(&mut self, call: &Call, said: &str) {
        let zone = match call {
            Call::Change(..) => {
                let why = format!("the record disappears as soon as it is found ({said})");
                return self.look_again(call, retry(why, None));
            }
            Call::FindZone(_) | Call::ListZones(_) | Call::ListActiveZones(_) => {
                let why = format!("Cloudflare knows no list of zones ({said}); check api_url");
                return self.finish_all(&retry(why, Some(PERSON)));
            }
            Call::List(zone, _) | Call::Find((zone, ..)) | Call::Create((zone, ..)) => zone,
            Call::Batch(_) => return,
        };
        if self.config.zone_id.is_some() {
            let why = format!("Cloudflare knows no zone with this zone_id ({said}); correct it and restart");
            return self.finish_all(&Outcome::Blocked { why });
        }
        // A zone that moved to another account has a new id.
        self.zones.retain(|known| known.id != *zone);
        self.look_again(
            call,
            retry(format!("the zone disappears as soon as it is found ({said})"), Some(PERSON)),
        );
    }

    /// Forgets the records of the item in front, once; then `otherwise`.
    fn look_again(&mut self, call: &Call, otherwise: Outcome) {
        if let Call::Change(key, _) | Call::Create(key) | Call::Find(key) = call {
            self.job.records.remove(key);
            self.job.looked_up.remove(key);
        }
        match self.job.items.front_mut() {
            Some(item) if !item.again => item.again = true,
            _ => self.finish(otherwise),
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        if let Some(item) = self.job.items.pop_front() {
            self.job.outcomes.push((item.entry, outcome));
        }
    }

    pub(super) fn finish_all(&mut self, outcome: &Outcome) {
        self.put_all_back();
        while !self.job.items.is_empty() {
            self.finish(outcome.clone());
        }
    }

    /// The item in front and all others of its zone.
    fn finish_zone(&mut self, zone: &str, outcome: &Outcome) {
        self.finish(outcome.clone());
        self.put_all_back();
        let items = mem::take(&mut self.job.items);
        let (ended, left): (VecDeque<_>, VecDeque<_>) =
            items.into_iter().partition(|item| self.belongs(item, zone));
        self.job.outcomes.extend(ended.into_iter().map(|item| (item.entry, outcome.clone())));
        self.job.items = left;
    }
}
