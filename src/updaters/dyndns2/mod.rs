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
use std::sync::Arc;

use self::answer::{Sent, Verdict, worse};
use super::{Ask, Outcome, Request, Task, Updater};
use crate::address::Addresses;
use crate::config;

/// One account at work.
#[derive(Debug)]
pub struct Dyndns {
    config: Arc<config::Dyndns>,
    /// What each entry surely holds, as far as this run of the program knows.
    held: Vec<Addresses>,
    /// The provider took offence at a list of names.
    one_by_one: bool,
}

/// What goes into one request.
#[derive(Clone, Debug)]
struct UpdateRequest {
    entries: Vec<usize>,
    addresses: Addresses,
}

impl Updater for Dyndns {
    fn update(&mut self, tasks: Vec<Task>, ask: &mut Ask<'_>) -> Vec<(usize, Outcome)> {
        // What is known of each entry so far; of those without a task nothing ever is.
        let mut outcomes: Vec<Option<Outcome>> = vec![None; self.config.hostnames.len()];
        let mut waiting = self.requests(&tasks);
        while let Some(mut update) = waiting.pop_front() {
            // The other family of a name that was refused would fare no better.
            update.entries.retain(|entry| !is_refused(&outcomes, *entry));
            if update.entries.is_empty() {
                continue;
            }
            self.forget(&update);
            let reply = ask(&self.request(&update));
            let hosts = self.hosts(&update);
            match (Sent { config: &self.config, hosts: &hosts, addresses: &update.addresses }).judge(reply) {
                Verdict::OneByOne => {
                    self.one_by_one = true;
                    for entry in update.entries.iter().rev() {
                        waiting.push_front(UpdateRequest { entries: vec![*entry], ..update });
                    }
                }
                Verdict::Names(verdicts) => {
                    for (entry, outcome) in update.entries.iter().zip(verdicts) {
                        self.note(*entry, &update.addresses, outcome, &mut outcomes);
                    }
                }
                Verdict::Account(outcome) => {
                    let unsent = waiting.drain(..).flat_map(|update| update.entries);
                    let unsent = unsent.filter(|entry| !is_refused(&outcomes, *entry));
                    let all: Vec<usize> = update.entries.iter().copied().chain(unsent).collect();
                    for entry in all {
                        self.note(entry, &update.addresses, outcome.clone(), &mut outcomes);
                    }
                }
            }
        }
        outcomes.into_iter().enumerate().filter_map(|(entry, outcome)| Some((entry, outcome?))).collect()
    }
}

fn is_refused(outcomes: &[Option<Outcome>], entry: usize) -> bool {
    let outcome = outcomes.get(entry).and_then(Option::as_ref);
    outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Published { .. }))
}

impl config::Dyndns {
    /// The updater of this account.
    #[must_use]
    pub fn updater(self: &Arc<Self>) -> Box<dyn Updater> {
        Box::new(Dyndns::new(Arc::clone(self)))
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
    pub fn new(config: Arc<config::Dyndns>) -> Self {
        let held = vec![Addresses::default(); config.hostnames.len()];
        Self { config, held, one_by_one: false }
    }

    fn request(&self, update: &UpdateRequest) -> Request {
        request::request(&self.config, &self.hosts(update), &update.addresses)
    }

    fn hosts(&self, update: &UpdateRequest) -> Vec<&str> {
        let host = |entry: &usize| self.config.hostnames.get(*entry).map_or("", |name| &**name);
        update.entries.iter().map(host).collect()
    }

    /// The requests for `tasks`; names that take the same addresses share one as far
    /// as the provider lets them.
    fn requests(&self, tasks: &[Task]) -> VecDeque<UpdateRequest> {
        let most = if self.one_by_one { 1 } else { self.config.preset.names };
        let mut requests: VecDeque<UpdateRequest> = VecDeque::new();
        for task in tasks {
            for addresses in self.parts(task) {
                let room = requests.back_mut();
                match room.filter(|last| last.addresses == addresses && last.entries.len() < most) {
                    Some(last) => last.entries.push(task.entry),
                    None => requests.push_back(UpdateRequest { entries: vec![task.entry], addresses }),
                }
            }
        }
        requests
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

    /// From now on nobody knows what it holds, until the answer is there.
    fn forget(&mut self, update: &UpdateRequest) {
        for entry in &update.entries {
            if let Some(held) = self.held.get_mut(*entry) {
                *held = without(*held, &update.addresses);
            }
        }
    }

    fn note(&mut self, entry: usize, sent: &Addresses, outcome: Outcome, outcomes: &mut [Option<Outcome>]) {
        if let (Outcome::Published { .. }, Some(held)) = (&outcome, self.held.get_mut(entry)) {
            *held = with(*held, sent);
        }
        if let Some(known) = outcomes.get_mut(entry) {
            *known = Some(match known.take() {
                Some(known) => worse(known, outcome),
                None => outcome,
            });
        }
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
