//! Changes of one zone, gathered and sent in one call.
//!
//! The call is one transaction: a refusal means that nothing was done. One that
//! a single record may have caused halves the batch until that record is alone;
//! one of the call itself (a plan, a token, a stand-in without it) has the rest
//! of the job sent one by one. Two entries with the same name never share a
//! batch, since the first decides which record is left for the second.

use std::mem;

use serde_json::{Map, Value, json};

use super::api::{Kind, Record, Refusal, wanted};
use super::{Call, Cloudflare, Item, Key, PERSON, retry};
use crate::updaters::{Failure, Outcome, Reply};

/// The most that the free plan takes in one call.
pub(super) const MAX_BATCH: usize = 200;

/// A change that is decided and waits for others of its zone.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    item: Item,
    key: Key,
    /// `None`: it is to be created.
    id: Option<String>,
}

impl Cloudflare {
    /// Puts the item in front aside, to be sent with others as `call` says.
    pub(super) fn defer(&mut self, call: Call) {
        let (key, id) = match call {
            Call::Change(key, id) => (key, Some(id)),
            Call::Create(key) => (key, None),
            _ => return,
        };
        let Some(item) = self.job.items.pop_front() else { return };
        if self.job.decided.insert(key.clone()) {
            self.job.ready.push(Ready { item, key, id });
        } else {
            self.job.held.push_back(item);
        }
    }

    /// The next batch once every item is decided. `None`: there may be items
    /// again, or the job is at its end.
    pub(super) fn next_batch(&mut self) -> Option<Call> {
        if self.job.batches.is_empty() {
            self.form_batches();
        }
        match self.job.batches.pop_front() {
            Some(batch) if batch.len() > 1 => return Some(Call::Batch(batch)),
            Some(single) => self.put_back(single, true),
            None => self.job.items = mem::take(&mut self.job.held),
        }
        None
    }

    fn form_batches(&mut self) {
        self.job.decided.clear();
        let mut ready = mem::take(&mut self.job.ready);
        while let Some(first) = ready.first() {
            let zone = first.key.0.clone();
            let (mine, others): (Vec<_>, Vec<_>) = ready.into_iter().partition(|r| r.key.0 == zone);
            self.job.batches.extend(mine.chunks(self.job.batch_size.max(1)).map(<[Ready]>::to_vec));
            ready = others;
        }
    }

    /// Makes items of a batch again; `alone`: each with a request of its own.
    pub(super) fn put_back(&mut self, batch: Vec<Ready>, alone: bool) {
        for ready in batch.into_iter().rev() {
            self.job.items.push_front(Item { alone, ..ready.item });
        }
    }

    /// Makes items of everything that waits.
    pub(super) fn put_all_back(&mut self) {
        self.job.decided.clear();
        let waiting: Vec<Ready> =
            self.job.batches.drain(..).flatten().chain(mem::take(&mut self.job.ready)).collect();
        self.job.items.extend(waiting.into_iter().map(|ready| ready.item));
        self.job.items.append(&mut self.job.held);
    }

    /// What the call sends.
    pub(super) fn batch_body(batch: &[Ready]) -> Map<String, Value> {
        let (mut patches, mut posts) = (Vec::new(), Vec::new());
        for Ready { item, key: (_, name, _), id } in batch {
            let mut fields = wanted(&item.record, name, item.address);
            if let Some(id) = id {
                fields.insert("id".to_owned(), json!(id));
                patches.push(Value::Object(fields));
            } else {
                fields.entry("ttl").or_insert(json!(1));
                fields.entry("proxied").or_insert(json!(false));
                posts.push(Value::Object(fields));
            }
        }
        let parts = [("patches", patches), ("posts", posts)];
        parts
            .into_iter()
            .filter(|(_, part)| !part.is_empty())
            .map(|(name, part)| (name.to_owned(), Value::Array(part)))
            .collect()
    }

    pub(super) fn batch_zone(batch: &[Ready]) -> &str {
        batch.first().map_or("", |ready| &ready.key.0)
    }

    pub(super) fn absorb_batch(&mut self, batch: Vec<Ready>, reply: &Reply) {
        match self.api.read_batch(reply) {
            Ok((patched, posted)) => self.batch_done(batch, &patched, posted),
            // Other front ends than Cloudflare's own do not know the call.
            Err(_) if matches!(reply.status, 405 | 501) => self.one_by_one(batch),
            Err(refusal) => self.batch_refused(batch, refusal),
        }
    }

    /// Created records are shown in the order of the request, changed ones bear
    /// their ids.
    fn batch_done(&mut self, batch: Vec<Ready>, patched: &[Record], posted: Vec<Record>) {
        let mut posted = posted.into_iter();
        for Ready { item, key, id } in batch {
            let shown = match &id {
                Some(id) => patched.iter().find(|record| record.id == *id).cloned(),
                None => posted.next(),
            };
            self.job.items.push_front(item);
            self.changed(&key, shown);
        }
    }

    fn batch_refused(&mut self, batch: Vec<Ready>, refusal: Refusal) {
        match refusal.kind {
            Kind::Token | Kind::Limited => {
                self.put_back(batch, false);
                self.refused(&Call::Batch(Vec::new()), refusal);
            }
            Kind::Fault => {
                let outcome = retry(format!("Cloudflare has a fault ({})", refusal.said), refusal.wait);
                let last = batch.len().saturating_sub(1);
                for (index, ready) in batch.into_iter().enumerate() {
                    self.job.items.push_front(ready.item);
                    // One answer is one fault, however many records it concerns.
                    if index == last { self.fault(&outcome) } else { self.finish(outcome.clone()) }
                }
            }
            Kind::NoRecord | Kind::Exists | Kind::Conflict | Kind::Setting => self.halve(batch),
            Kind::Denied | Kind::Gone | Kind::BadId | Kind::Other => self.one_by_one(batch),
        }
    }

    fn halve(&mut self, mut batch: Vec<Ready>) {
        let behind = batch.split_off(batch.len().div_ceil(2));
        self.job.batches.push_front(behind);
        self.job.batches.push_front(batch);
    }

    fn one_by_one(&mut self, batch: Vec<Ready>) {
        self.job.batch_size = 1;
        self.job.batches.push_front(batch);
        let all = mem::take(&mut self.job.batches);
        self.job.batches = all.into_iter().flatten().map(|ready| vec![ready]).collect();
    }

    /// No reply. `outcome` is what it means for a record.
    pub(super) fn batch_lost(
        &mut self,
        batch: Vec<Ready>,
        failure: &Failure,
        outcome: impl Fn(String) -> Outcome,
    ) {
        self.put_back(batch.clone(), false);
        if failure.maybe_done {
            for _ in batch {
                self.finish(outcome(format!("could not confirm: {}", failure.why)));
            }
        }
    }

    /// The record is as the reply shows it, for the sake of others of its name.
    pub(super) fn changed(&mut self, key: &Key, shown: Option<Record>) {
        if let Some(shown) = shown {
            let other = |item: &Item| shown.content.parse() != Ok(item.address);
            if self.job.items.front().is_some_and(other) {
                let why = "Cloudflare accepted the change, but shows another address".to_owned();
                return self.finish(retry(why, Some(PERSON)));
            }
            let records = self.job.records.entry(key.clone()).or_default();
            records.retain(|record| record.id != shown.id);
            records.push(shown);
        }
        self.finish(Outcome::Published { changed: true });
    }
}
