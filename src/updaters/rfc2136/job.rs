//! What a job has to do: records whose zone is not known yet, and batches of
//! records that change in one message.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::super::{Outcome, Task};
use crate::config;
use crate::dns::message::{Question, Rdata, class, kind};
use crate::dns::name::Name;
use crate::dns::server::Server;

/// Records in one message; with the longest names they take 28 KiB.
const MAX_ITEMS: usize = 50;

/// One record to bring up to date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Item {
    pub(super) entry: usize,
    pub(super) name: Name,
    pub(super) address: IpAddr,
}

impl Item {
    pub(super) fn kind(&self) -> u16 {
        if self.address.is_ipv4() { kind::A } else { kind::AAAA }
    }

    pub(super) fn data(&self) -> Rdata {
        match self.address {
            IpAddr::V4(address) => Rdata::A(address),
            IpAddr::V6(address) => Rdata::Aaaa(address),
        }
    }
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Querying what this item holds.
    Query(usize),
    /// Sending the update.
    Update,
    /// Querying again what this item holds.
    Check(usize),
}

/// Records of one zone that change together.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) zone: Name,
    pub(super) server: Server,
    pub(super) items: Vec<Item>,
    pub(super) phase: Phase,
    pub(super) signed_questions: bool,
    /// What to say if the check does not find the addresses.
    pub(super) doubt: Option<String>,
}

impl Batch {
    fn new(zone: &Name, server: &Server, items: Vec<Item>) -> Self {
        let (zone, server) = (zone.clone(), server.clone());
        Self { zone, server, items, phase: Phase::Query(0), signed_questions: true, doubt: None }
    }

    /// The item that is queried.
    pub(super) fn item(&self) -> Option<&Item> {
        match self.phase {
            Phase::Query(index) | Phase::Check(index) => self.items.get(index),
            Phase::Update => None,
        }
    }

    /// What to ask about it.
    pub(super) fn asked(&self) -> Option<Question> {
        let item = self.item()?;
        Some(Question { name: item.name.clone(), kind: item.kind(), class: class::IN })
    }

    /// Every item was queried.
    pub(super) fn advance(&mut self) {
        match self.phase {
            Phase::Query(_) => self.phase = Phase::Update,
            Phase::Update => {}
            Phase::Check(_) => self.items.clear(),
        }
    }

    /// Leaves the item as it is and goes on to the next.
    pub(super) fn step(&mut self) {
        if let Phase::Query(index) | Phase::Check(index) = &mut self.phase {
            *index = index.saturating_add(1);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Job {
    /// Items whose zone or server is not known.
    pub(super) lost: VecDeque<Item>,
    pub(super) batches: VecDeque<Batch>,
    pub(super) outcomes: Vec<(usize, Outcome)>,
}

impl Job {
    pub(super) fn new(config: &config::Rfc2136, tasks: Vec<Task>) -> Self {
        let mut job = Self::default();
        let mut items = Vec::new();
        for task in tasks {
            match item(config, &task) {
                Ok(item) => items.push(item),
                Err(why) => job.outcomes.push((task.entry, super::person(why.to_owned()))),
            }
        }
        // A and AAAA of one name stand together, and so change together.
        items.sort_by(|one, other| (&one.name, one.entry).cmp(&(&other.name, other.entry)));
        match (&config.zone, &config.server) {
            (Some(zone), Some(server)) => job.add(zone, server, items),
            _ => job.lost = items.into(),
        }
        job
    }

    /// Adds batches; none divides a name.
    fn add(&mut self, zone: &Name, server: &Server, items: Vec<Item>) {
        for item in items {
            let fits = |batch: &&mut Batch| {
                let same = batch.items.last().is_some_and(|last| last.name == item.name);
                batch.zone == *zone && batch.server == *server && (same || batch.items.len() < MAX_ITEMS)
            };
            match self.batches.back_mut().filter(fits) {
                Some(batch) => batch.items.push(item),
                None => self.batches.push_back(Batch::new(zone, server, vec![item])),
            }
        }
    }

    /// Says where the lost items belong: `all`, or those with the first one's name.
    pub(super) fn place(&mut self, all: bool, zone: &Name, server: &Server) {
        let Some(name) = self.lost.front().map(|item| item.name.clone()) else { return };
        let (here, elsewhere): (Vec<Item>, Vec<Item>) =
            self.lost.drain(..).partition(|item| all || item.name == name);
        self.lost = elsewhere.into();
        self.add(zone, server, here);
    }

    pub(super) fn end_lost(&mut self, outcome: &Outcome) {
        self.outcomes.extend(self.lost.drain(..).map(|item| (item.entry, outcome.clone())));
    }

    pub(super) fn end_name(&mut self, name: &Name, outcome: &Outcome) {
        let (here, elsewhere): (Vec<Item>, Vec<Item>) =
            self.lost.drain(..).partition(|item| item.name == *name);
        self.lost = elsewhere.into();
        self.outcomes.extend(here.into_iter().map(|item| (item.entry, outcome.clone())));
    }

    /// Ends the item that is queried.
    pub(super) fn end_item(&mut self, outcome: Outcome) {
        let Some(batch) = self.batches.front_mut() else { return };
        let (Phase::Query(index) | Phase::Check(index)) = batch.phase else { return };
        if index < batch.items.len() {
            let item = batch.items.remove(index);
            self.outcomes.push((item.entry, outcome));
        }
    }

    pub(super) fn end_batch(&mut self, outcome: &Outcome) {
        for item in self.batches.pop_front().into_iter().flat_map(|batch| batch.items) {
            self.outcomes.push((item.entry, outcome.clone()));
        }
    }

    /// Ends every batch for this server.
    pub(super) fn end_server(&mut self, server: &Server, outcome: &Outcome) {
        for batch in self.batches.iter_mut().filter(|batch| batch.server == *server) {
            self.outcomes.extend(batch.items.drain(..).map(|item| (item.entry, outcome.clone())));
        }
    }

    /// Sends each item of the batch by itself, so that one that is refused does
    /// not keep the others back.
    pub(super) fn split(&mut self) {
        let Some(batch) = self.batches.pop_front() else { return };
        for item in batch.items.iter().rev() {
            self.batches.push_front(Batch { items: vec![item.clone()], ..batch.clone() });
        }
    }
}

fn item(config: &config::Rfc2136, task: &Task) -> Result<Item, &'static str> {
    let record = config.records.get(task.entry).ok_or("there is no such record in the configuration")?;
    let address =
        if record.aaaa { task.addresses.ipv6.map(IpAddr::V6) } else { task.addresses.ipv4.map(IpAddr::V4) };
    let address = address.ok_or("there is no address for it")?;
    Ok(Item { entry: task.entry, name: record.name.clone(), address })
}
