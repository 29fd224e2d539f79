//! dyndns2 and its simple cousins: one engine, and presets as data.
//!
//! A job asks for what its tasks need, one request after the other: one for each
//! name (or list of names, where the provider takes such), with both families
//! together or one after the other, as the preset says. What a provider has
//! taken is remembered, so that of two families in requests of their own only
//! the new one is sent. A refusal of the account ends the job; nothing more is
//! sent with credentials that were just refused. Left out: deleting, `offline`
//! and the other parameters of old.

mod answer;

mod request;

use std::collections::VecDeque;

use self::answer::{Sent, Verdict, worse};
pub use self::request::zone;
use super::{Failure, Outcome, Reply, Request, Step, Task, Updater};
use crate::address::Addresses;
use crate::config;

/// One account at work.
#[derive(Debug)]
pub struct Dyndns {
    config: config::Dyndns,
    /// What each entry surely holds, as far as this run of the program knows.
    held: Vec<Addresses>,
    /// The provider took offence at a list of names.
    one_by_one: bool,
    job: Job,
}

#[derive(Debug, Default)]
struct Job {
    waiting: VecDeque<UpdateRequest>,
    sent: Option<UpdateRequest>,
    /// What is known of each entry so far; of those without a task nothing ever is.
    outcomes: Vec<Option<Outcome>>,
}

/// What goes into one request.
#[derive(Clone, Debug)]
struct UpdateRequest {
    entries: Vec<usize>,
    addresses: Addresses,
}

impl Updater for Dyndns {
    fn start(&mut self, tasks: Vec<Task>) {
        let outcomes = vec![None; self.config.hostnames.len()];
        self.job = Job { outcomes, ..Job::default() };
        for task in tasks {
            for addresses in self.parts(&task) {
                self.enqueue(task.entry, addresses);
            }
        }
    }

    fn next(&mut self, reply: Option<Result<Reply, Failure>>) -> Step {
        if let (Some(parcel), Some(reply)) = (self.job.sent.take(), reply) {
            let hosts = self.hosts(&parcel);
            let sent = Sent { config: &self.config, hosts: &hosts, addresses: &parcel.addresses };
            let verdict = sent.judge(reply);
            self.absorb(&parcel, verdict);
        }
        let Some(parcel) = self.job.waiting.pop_front() else { return Step::Done(self.conclude()) };
        // From now on nobody knows what it holds, until the answer is there.
        for entry in &parcel.entries {
            if let Some(held) = self.held.get_mut(*entry) {
                *held = without(*held, &parcel.addresses);
            }
        }
        let request = self.request(&parcel);
        self.job.sent = Some(parcel);
        Step::Send(request)
    }
}

impl config::Dyndns {
    /// The updater of this account.
    #[must_use]
    pub fn updater(&self) -> Box<dyn Updater> {
        Box::new(Dyndns::new(self.clone()))
    }

    /// What a job would do, for people.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        let preset = self.preset.name.as_str();
        let whose = if preset.is_empty() { "a dyndns2 server" } else { preset };
        format!("send {} to {whose}", task.addresses)
    }
}

impl Dyndns {
    /// An updater that knows nothing yet.
    #[must_use]
    pub fn new(config: config::Dyndns) -> Self {
        let held = vec![Addresses::default(); config.hostnames.len()];
        Self { config, held, one_by_one: false, job: Job::default() }
    }

    fn request(&self, parcel: &UpdateRequest) -> Request {
        let ipv6 = parcel.addresses.ipv4.is_none();
        request::request(&self.config, &self.hosts(parcel), &parcel.addresses, ipv6)
    }

    fn hosts(&self, parcel: &UpdateRequest) -> Vec<&str> {
        let host = |entry: &usize| self.config.hostnames.get(*entry).map_or("", String::as_str);
        parcel.entries.iter().map(host).collect()
    }

    /// The addresses of each request for a task. With a request for each
    /// family, one that is surely there already is left out; but something is
    /// sent, since the engine does not ask without need.
    fn parts(&self, task: &Task) -> Vec<Addresses> {
        let Addresses { ipv4, ipv6, .. } = task.addresses;
        if !self.config.preset.splits_families() {
            return vec![Addresses { ipv4, ipv6, ipv6_prefix: None }];
        }
        let ipv4 = ipv4.map(|ipv4| Addresses { ipv4: Some(ipv4), ..Addresses::default() });
        let ipv6 = ipv6.map(|ipv6| Addresses { ipv6: Some(ipv6), ..Addresses::default() });
        let all: Vec<Addresses> = ipv4.into_iter().chain(ipv6).collect();
        let held = self.held.get(task.entry).copied().unwrap_or_default();
        let new: Vec<Addresses> = all.iter().copied().filter(|part| with(held, part) != held).collect();
        if new.is_empty() { all } else { new }
    }

    /// Puts it into a request that goes out for other names anyway, or a new one.
    fn enqueue(&mut self, entry: usize, addresses: Addresses) {
        let most = if self.one_by_one { 1 } else { self.config.preset.names };
        let room = self.job.waiting.back_mut();
        let room = room.filter(|parcel| parcel.addresses == addresses && parcel.entries.len() < most);
        match room {
            Some(parcel) => parcel.entries.push(entry),
            None => self.job.waiting.push_back(UpdateRequest { entries: vec![entry], addresses }),
        }
    }

    fn absorb(&mut self, parcel: &UpdateRequest, verdict: Verdict) {
        match verdict {
            Verdict::OneByOne => {
                self.one_by_one = true;
                for entry in parcel.entries.iter().rev() {
                    let single = UpdateRequest { entries: vec![*entry], addresses: parcel.addresses };
                    self.job.waiting.push_front(single);
                }
            }
            Verdict::Names(outcomes) => {
                for (entry, outcome) in parcel.entries.iter().zip(outcomes) {
                    self.note(*entry, &parcel.addresses, outcome);
                }
            }
            Verdict::Account(outcome) => {
                let left: Vec<UpdateRequest> = self.job.waiting.drain(..).collect();
                for entry in parcel.entries.iter().chain(left.iter().flat_map(|parcel| &parcel.entries)) {
                    self.note(*entry, &parcel.addresses, outcome.clone());
                }
            }
        }
    }

    fn note(&mut self, entry: usize, addresses: &Addresses, outcome: Outcome) {
        if let Outcome::Published { .. } = outcome {
            if let Some(held) = self.held.get_mut(entry) {
                *held = with(*held, addresses);
            }
        } else {
            // Its other family would fare no better.
            for parcel in &mut self.job.waiting {
                parcel.entries.retain(|waiting| *waiting != entry);
            }
            self.job.waiting.retain(|parcel| !parcel.entries.is_empty());
        }
        if let Some(known) = self.job.outcomes.get_mut(entry) {
            *known = Some(match known.take() {
                Some(known) => worse(known, outcome),
                None => outcome,
            });
        }
    }

    fn conclude(&mut self) -> Vec<(usize, Outcome)> {
        let outcomes = std::mem::take(&mut self.job).outcomes;
        outcomes.into_iter().enumerate().filter_map(|(entry, outcome)| Some((entry, outcome?))).collect()
    }
}

/// `old` with the families of `new` replaced.
fn with(old: Addresses, new: &Addresses) -> Addresses {
    Addresses { ipv4: new.ipv4.or(old.ipv4), ipv6: new.ipv6.or(old.ipv6), ipv6_prefix: None }
}

/// `old` without the families of `sent`.
fn without(old: Addresses, sent: &Addresses) -> Addresses {
    Addresses {
        ipv4: old.ipv4.filter(|_| sent.ipv4.is_none()),
        ipv6: old.ipv6.filter(|_| sent.ipv6.is_none()),
        ipv6_prefix: None,
    }
}

#[cfg(test)]
mod tests;
