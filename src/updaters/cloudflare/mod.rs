//! Cloudflare: brings its records up to date.
//!
//! A job is a straight line: find each record's zone, read the records, decide, send
//! the changes of a zone in batches. A change costs a look-up and a PATCH, and nothing
//! is sent when the record already holds the address. The look-up is never skipped: it
//! shows what people did in the meantime, and a remembered record id would not. Many
//! look-ups become one list of the zone, several changes one batch. Zones are
//! remembered between jobs.
//!
//! Left out: deleting, other types than A and AAAA.

mod api;
mod changes;
mod credential;
mod decide;
mod records;
mod reply;
mod session;
mod zones;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use self::api::{Api, kind_name};
use self::changes::{MAX_BATCH, Work};
use self::decide::{full_name, outside};
use self::records::{Key, Records};
use self::session::{Scope, Session, Stop, blocked};
use self::zones::Zones;
use super::{Ask, Outcome, Task, Tested, Updater, needs_person};
use crate::address::Addresses;
use crate::config;
use crate::config::CloudflareRecord;
use crate::config::idn::is_relative;

/// With more records than this to look up, the whole zone is listed once, and so
/// are the zones.
const FEW: usize = 3;
/// Pages of a list; beyond, each record is looked up by its name.
const MAX_PAGES: usize = 100;

/// One `[cloudflare]` section at work.
#[derive(Debug)]
pub struct Cloudflare {
    config: config::Cloudflare,
    zones: Zones,
}

/// One record to bring up to date.
#[derive(Debug)]
struct Item<'c> {
    entry: usize,
    record: &'c CloudflareRecord,
    /// As configured, or in full once the zone's name is known.
    name: String,
    address: IpAddr,
    /// What was accepted last, as far as known.
    old: Option<IpAddr>,
    /// The comments by which other entries with the same name and type know their records.
    taken: Vec<&'c str>,
    zone: Option<usize>,
    /// `None`: still to be done.
    outcome: Option<Outcome>,
}

impl Updater for Cloudflare {
    fn update(&mut self, tasks: Vec<Task>, ask: &mut Ask<'_>) -> Vec<(usize, Outcome)> {
        let Self { config, zones } = self;
        let mut items = items(config, &tasks);
        let mut session = Session::new(config, ask);
        if let Err(stop) = update_all(config, zones, &mut items, &mut session) {
            end(&mut items, &stop.outcome);
        }
        let known: HashMap<usize, Option<Outcome>> =
            items.into_iter().map(|item| (item.entry, item.outcome)).collect();
        let outcome = |task: &Task| {
            let none = || retry("there is no such record, or no address for it".to_owned(), None);
            (task.entry, known.get(&task.entry).cloned().flatten().unwrap_or_else(none))
        };
        let outcomes: Vec<_> = tasks.iter().map(outcome).collect();
        if outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Published { .. })) {
            zones.doubt();
        }
        outcomes
    }
}

impl config::Cloudflare {
    /// What its token may do, by questions that change nothing.
    pub fn test(&self, ask: &mut Ask<'_>) -> Vec<Tested> {
        credential::test(self, ask)
    }

    /// The updater of this section.
    #[must_use]
    pub fn updater(&self) -> Box<dyn Updater> {
        Box::new(Cloudflare::new(self.clone()))
    }

    /// What a job would do, for people.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        format!("set the record to {} at {}", task.addresses, self.shown_api_url())
    }
}

impl Cloudflare {
    /// An updater that knows nothing yet.
    #[must_use]
    pub fn new(config: config::Cloudflare) -> Self {
        let zones = Zones::new(&config);
        Self { config, zones }
    }
}

impl Item<'_> {
    fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    fn key(&self) -> Key {
        (self.name.clone(), self.record.aaaa)
    }
}

/// What there is to do for each task that has a record and an address.
fn items<'c>(config: &'c config::Cloudflare, tasks: &[Task]) -> Vec<Item<'c>> {
    // Compared as configured; that of another spelling is still told apart by its
    // comment once it is there.
    let mut alike: HashMap<(&str, bool), Vec<&CloudflareRecord>> = HashMap::new();
    for record in &config.records {
        alike.entry((&record.name, record.aaaa)).or_default().push(record);
    }
    let item = |task: &Task| {
        let record = config.records.get(task.entry)?;
        let of = |addresses: &Addresses| {
            let ipv4 = addresses.ipv4.map(IpAddr::V4);
            if record.aaaa { addresses.ipv6.map(IpAddr::V6) } else { ipv4 }
        };
        let others = alike.get(&(record.name.as_str(), record.aaaa)).into_iter().flatten();
        let others = others.filter(|other| !std::ptr::eq(**other, record));
        Some(Item {
            entry: task.entry,
            record,
            name: record.name.clone(),
            address: of(&task.addresses)?,
            old: of(&task.old),
            taken: others.filter_map(|other| other.comment.as_deref()).collect(),
            zone: None,
            outcome: None,
        })
    };
    tasks.iter().filter_map(item).collect()
}

/// Brings everything up to date; what ends it early ends all items that are left.
fn update_all<'c>(
    config: &'c config::Cloudflare,
    zones: &mut Zones,
    items: &mut [Item<'c>],
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    for last in [false, true] {
        zones.place(config, items, session)?;
        items.sort_by_key(|item| item.zone);
        let mut lost = Vec::new();
        for group in items.chunk_by_mut(|one, next| one.zone == next.zone) {
            let Some(zone) = group.first().and_then(|item| item.zone) else { continue };
            match update_zone(config, zones, zone, group, session) {
                Ok(()) => {}
                Err(stop) if stop.scope == Scope::Job => return Err(stop),
                // A zone that is remembered and no longer there is looked for once more.
                Err(stop) if stop.scope == Scope::LostZone && !last => lost.push(zone),
                Err(stop) => end(group, &stop.outcome),
            }
        }
        if lost.is_empty() {
            break;
        }
        zones.forget(&lost);
    }
    Ok(())
}

/// Brings the records of one zone up to date.
fn update_zone<'c>(
    config: &'c config::Cloudflare,
    zones: &mut Zones,
    zone: usize,
    items: &mut [Item<'c>],
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let Some(id) = zones.id(zone).map(str::to_owned) else { return Ok(()) };
    let needs_zone = |item: &Item<'_>| item.is_open() && is_relative(&item.name);
    if zones.name(zone).is_none() && items.iter().any(needs_zone) {
        zones.learn_name(session)?;
    }
    complete_names(items, zones.name(zone), zones.nameless(), &session.api);
    let wanted: HashSet<Key> = items.iter().filter(|item| item.is_open()).map(Item::key).collect();
    let mut records = Records::new(config);
    if items.iter().filter(|item| item.is_open()).count() > FEW {
        records.list(&id, &wanted, session)?;
    }
    // With a request for each record, the first are changed before the last are read.
    let size = if records.complete { items.len() } else { MAX_BATCH };
    for items in items.chunks_mut(size) {
        look_up(&mut records, &id, items, session)?;
        let is_missing = |item: &Item<'_>| item.is_open() && records.get(&item.key()).is_empty();
        // With the zone's id, a full name is tried as it is before the zone's name is
        // asked for: that takes a permission more. Without a record it may belong
        // elsewhere, and Cloudflare would create it below the zone.
        if zones.name(zone).is_none() && items.iter().any(is_missing) {
            zones.learn_name(session)?;
            complete_names(items, zones.name(zone), zones.nameless(), &session.api);
            if zones.name(zone).is_none() {
                items
                    .iter_mut()
                    .filter(|item| is_missing(item))
                    .for_each(|item| refuse_to_guess(item, zones.nameless()));
            }
        }
        Work { zone: &id, items, records: &mut records, session }.run()?;
    }
    Ok(())
}

fn look_up(
    records: &mut Records<'_>,
    zone: &str,
    items: &mut [Item<'_>],
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    for item in items.iter_mut().filter(|item| item.is_open()) {
        if records.knows(&item.key()) {
            continue;
        }
        match records.find(zone, &item.key(), session) {
            Err(Stop { scope: Scope::Record, outcome }) => item.outcome = Some(outcome),
            found => found?,
        }
    }
    Ok(())
}

/// Makes names full; `why` the zone's is not known.
fn complete_names(items: &mut [Item<'_>], zone: Option<&str>, why: &str, api: &Api<'_>) {
    for item in items.iter_mut().filter(|item| item.is_open()) {
        let name = match zone {
            Some(zone) => full_name(&item.name, zone).ok_or_else(|| outside(&item.name, &api.shown(zone))),
            None if is_relative(&item.name) => Err(blocked(format!(
                "{why}, and {:?} needs it; write the full name, or give the token Zone:Read",
                item.name
            ))),
            None => continue,
        };
        match name {
            Ok(name) => item.name = name,
            Err(outcome) => item.outcome = Some(outcome),
        }
    }
}

fn refuse_to_guess(item: &mut Item<'_>, why: &str) {
    let (kind, name) = (kind_name(item.record.aaaa), &item.name);
    let why = format!(
        "the zone has no {kind} record {name:?}, and whether that name belongs to it cannot be told: {why}; create the \
         record, or give the token Zone:Read"
    );
    item.outcome = Some(needs_person(why));
}

/// Ends all items that are left.
fn end(items: &mut [Item<'_>], outcome: &Outcome) {
    items.iter_mut().filter(|item| item.is_open()).for_each(|item| item.outcome = Some(outcome.clone()));
}

fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn retry(why: String, after: Option<Duration>) -> Outcome {
    Outcome::Retry { why, after, reached: true }
}

#[cfg(test)]
mod tests;
