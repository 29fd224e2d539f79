//! Cloudflare: which requests bring its records up to date.
//!
//! A job is driven by what is known. For the record in front, [`Cloudflare::plan`]
//! looks at that and names the one request still missing, or the outcome;
//! `absorb` adds what a reply tells. A change costs a look-up and a PATCH, and
//! nothing is sent when the record already holds the address. The look-up is
//! never skipped: it shows what people did in the meantime, and a remembered
//! record id would not. Many look-ups become one list of the zone, several
//! changes of a zone one batch. Zones are remembered between jobs.
//!
//! Left out: deleting, other types than A and AAAA.

mod api;
mod batch;
mod choice;
mod learn;
mod plan;

use std::collections::BTreeMap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use self::api::{Api, Record, Zone};
use self::batch::{MAX_BATCH, Ready};
use super::{Failure, Outcome, Reply, Request, Step, Task, Updater};
use crate::config;
use crate::config::CloudflareRecord;

/// After what only a person can mend at Cloudflare.
const PERSON: Duration = Duration::from_secs(30 * 60);
/// After 429 without `Retry-After`: the API blocks for so long.
const LIMITED: Duration = Duration::from_secs(5 * 60);
/// Half of what a user may send in five minutes, all programs together.
const MAX_REQUESTS: usize = 600;
/// With more records than this to look up, the whole zone is listed once, and so
/// are the zones.
const FEW: usize = 3;
/// Pages of a list; beyond, each record is looked up by its name.
const MAX_PAGES: usize = 100;
/// Faults of the server in one job, before it is left in peace.
const MAX_FAULTS: usize = 3;

/// One `[cloudflare]` section at work.
#[derive(Debug)]
pub struct Cloudflare {
    config: config::Cloudflare,
    api: Api,
    /// Entries of the configuration by name and type, which several lines share.
    entries: HashMap<(String, bool), Vec<usize>>,
    /// Zones found so far, kept between jobs.
    zones: Vec<Zone>,
    /// Names that are no zones, kept until something goes wrong: a record that
    /// is missed may have moved into a new zone.
    no_zones: HashSet<String>,
    /// How far the list of all zones is; kept and dropped likewise.
    zone_list: List,
    job: Job,
}

/// What a job has to do and has learnt.
#[derive(Debug, Default)]
struct Job {
    items: VecDeque<Item>,
    outcomes: Vec<(usize, Outcome)>,
    asked: Option<Call>,
    requests: usize,
    faults: usize,
    /// The next page of the list of zones, in search of `zone_id`'s name.
    zones_page: usize,
    /// Why `zone_id`'s name cannot be learnt.
    nameless: Option<String>,
    records: HashMap<Key, Vec<Record>>,
    /// What was looked up by name.
    looked_up: HashSet<Key>,
    lists: BTreeMap<String, List>,
    /// Changes that are decided, and what they change.
    ready: Vec<Ready>,
    decided: HashSet<Key>,
    /// Entries that follow another of their name.
    held: VecDeque<Item>,
    /// Changes to be sent, each batch in one call.
    batches: VecDeque<Vec<Ready>>,
    batch_size: usize,
}

/// Zone id, name, AAAA.
type Key = (String, String, bool);

/// How far a list is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum List {
    Next(usize),
    Complete,
    TooLong,
}

/// One record to bring up to date.
#[derive(Clone, Debug)]
struct Item {
    entry: usize,
    record: CloudflareRecord,
    address: IpAddr,
    /// Whether it was already looked up again after a surprise.
    again: bool,
    /// Whether it is to be sent by itself.
    alone: bool,
}

/// A request, in our terms.
#[derive(Clone, Debug)]
enum Call {
    FindZone(String),
    ListZones(usize),
    ListActiveZones(usize),
    Find(Key),
    List(String, usize),
    Change(Key, String),
    Create(Key),
    Batch(Vec<Ready>),
}

impl Updater for Cloudflare {
    fn start(&mut self, tasks: Vec<Task>) {
        self.job = Job { zones_page: 1, batch_size: MAX_BATCH, ..Job::default() };
        for task in tasks {
            match self.item(&task) {
                Ok(item) => self.job.items.push_back(item),
                Err(why) => self.job.outcomes.push((task.entry, retry(why, None))),
            }
        }
    }

    fn next(&mut self, reply: Option<Result<Reply, Failure>>) -> Step {
        if let (Some(call), Some(reply)) = (self.job.asked.take(), reply) {
            self.absorb(call, reply);
        }
        loop {
            let call = match self.job.items.front() {
                Some(item) => match self.plan(item) {
                    Ok(call) if !item.alone && matches!(call, Call::Change(..) | Call::Create(_)) => {
                        self.defer(call);
                        continue;
                    }
                    Ok(call) => call,
                    Err(outcome) => {
                        self.finish(outcome);
                        continue;
                    }
                },
                None => match self.next_batch() {
                    Some(call) => call,
                    None if self.job.items.is_empty() => return Step::Done(self.end()),
                    None => continue,
                },
            };
            if let Some(request) = self.send(call) {
                return Step::Send(request);
            }
        }
    }
}

impl config::Cloudflare {
    /// The updater of this section.
    #[must_use]
    pub fn updater(&self) -> Box<dyn Updater> {
        Box::new(Cloudflare::new(self.clone()))
    }

    /// What a job would do, for people.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        format!("set the record to {} at {}", task.addresses, self.api_url)
    }
}

impl Cloudflare {
    /// An updater that knows nothing yet.
    #[must_use]
    pub fn new(config: config::Cloudflare) -> Self {
        let api = Api { url: config.api_url.clone(), token: config.api_token.clone() };
        let (zones, no_zones) = (Vec::new(), HashSet::new());
        let mut entries: HashMap<_, Vec<_>> = HashMap::new();
        for (entry, record) in config.records.iter().enumerate() {
            entries.entry((record.name.clone(), record.aaaa)).or_default().push(entry);
        }
        Self { config, api, entries, zones, no_zones, zone_list: List::Next(1), job: Job::default() }
    }

    fn item(&self, task: &Task) -> Result<Item, String> {
        let record =
            self.config.records.get(task.entry).ok_or("there is no such record in the configuration")?;
        let address = if record.aaaa {
            task.addresses.ipv6.map(IpAddr::V6)
        } else {
            task.addresses.ipv4.map(IpAddr::V4)
        };
        let address = address.ok_or("there is no address for it")?;
        Ok(Item { entry: task.entry, record: record.clone(), address, again: false, alone: false })
    }

    fn send(&mut self, call: Call) -> Option<Request> {
        if self.job.requests >= MAX_REQUESTS {
            if let Call::Batch(batch) = call {
                self.put_back(batch, false);
            }
            let why = "too many requests in one go; the rest follows".to_owned();
            self.finish_all(&retry(why, Some(LIMITED)));
            return None;
        }
        let request = self.request(&call)?;
        self.job.requests = self.job.requests.saturating_add(1);
        self.job.asked = Some(call);
        Some(request)
    }

    fn end(&mut self) -> Vec<(usize, Outcome)> {
        let outcomes = mem::take(&mut self.job).outcomes;
        if outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Published { .. })) {
            self.no_zones.clear();
            self.zone_list = List::Next(1);
        }
        outcomes
    }

    fn request(&self, call: &Call) -> Option<Request> {
        let wanted = |name: &str| {
            let item = self.job.items.front()?;
            Some(api::wanted(&item.record, name, item.address))
        };
        Some(match call {
            Call::FindZone(name) => self.api.zones_named(name),
            Call::ListZones(page) => self.api.zones(*page),
            Call::ListActiveZones(page) => self.api.active_zones(*page),
            Call::Find((zone, name, aaaa)) => self.api.records_named(zone, name, *aaaa),
            Call::List(zone, page) => self.api.records(zone, *page),
            Call::Change((zone, name, _), id) => self.api.change(zone, id, wanted(name)?),
            Call::Create((zone, name, _)) => self.api.create(zone, wanted(name)?),
            Call::Batch(batch) => self.api.batch(Self::batch_zone(batch), Self::batch_body(batch)),
        })
    }
}

fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn retry(why: String, after: Option<Duration>) -> Outcome {
    Outcome::Retry { why, after, reached: true }
}

#[cfg(test)]
mod tests;
