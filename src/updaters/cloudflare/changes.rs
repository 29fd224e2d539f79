//! Sending what was decided for one zone.
//!
//! Several changes are one call and one transaction: a refusal means that nothing was
//! done. One that a single record may have caused halves the batch until that record is
//! alone; one of the call itself (a plan, a token, a stand-in without it) has the rest
//! of the job sent one by one.

use std::collections::HashSet;

use super::api::{Batch, Fields};
use super::decide::{Decision, decide};
use super::records::Records;
use super::reply::{Record, RefusalKind, Trouble};
use super::session::{About, Scope, Session, Stop};
use super::{Item, needs_person, reply, retry};
use crate::updaters::Outcome;

/// The most that the free plan takes in one call.
pub(super) const MAX_BATCH: usize = 200;

/// A change that is decided.
#[derive(Debug)]
struct Change {
    item: usize,
    /// `None`: the record is to be created.
    id: Option<String>,
}

/// Items of one zone, and its records as far as they are known.
pub(super) struct Work<'w, 'c, 's, 'a> {
    pub(super) zone: &'w str,
    pub(super) items: &'w mut [Item<'c>],
    pub(super) records: &'w mut Records<'c>,
    pub(super) session: &'w mut Session<'s, 'a>,
}

impl Work<'_, '_, '_, '_> {
    /// Decides and sends until every item has its outcome. Of entries with the same name
    /// and type, each is decided after the one before is done: that one may have taken
    /// the record.
    pub(super) fn run(&mut self) -> Result<(), Stop> {
        loop {
            let mut busy = HashSet::new();
            let mut changes = Vec::new();
            for (index, item) in self.items.iter_mut().enumerate().filter(|(_, item)| item.is_open()) {
                if busy.contains(&item.key()) {
                    continue;
                }
                let id = match decide(item, self.records.get(&item.key())) {
                    Decision::Done(outcome) => {
                        item.outcome = Some(outcome);
                        continue;
                    }
                    Decision::Change(id) => Some(id),
                    Decision::Create => None,
                };
                busy.insert(item.key());
                changes.push(Change { item: index, id });
            }
            if changes.is_empty() {
                return Ok(());
            }
            self.send(&changes)?;
        }
    }

    fn send(&mut self, changes: &[Change]) -> Result<(), Stop> {
        match changes {
            [one] => self.send_one(one.item, one.id.clone()),
            all if self.session.one_by_one => {
                all.iter().try_for_each(|one| self.send_one(one.item, one.id.clone()))
            }
            all if all.len() > MAX_BATCH => all.chunks(MAX_BATCH).try_for_each(|some| self.send(some)),
            all => self.send_batch(all),
        }
    }

    fn send_batch(&mut self, changes: &[Change]) -> Result<(), Stop> {
        let request = self.session.api.batch(self.zone, &self.batch(changes));
        let reply = self.session.reply(&request);
        // Other front ends than Cloudflare's own do not know the call.
        let unknown = reply.as_ref().is_ok_and(|reply| matches!(reply.status, 405 | 501));
        let trouble = match reply.and_then(|reply| reply::batch(&reply)) {
            Ok((patched, posted)) => {
                self.settle_batch(changes, &patched, posted);
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        match trouble.kind {
            _ if unknown => self.send_one_by_one(changes),
            RefusalKind::Denied | RefusalKind::Forbidden | RefusalKind::Gone | RefusalKind::Other => {
                self.send_one_by_one(changes)
            }
            RefusalKind::NoRecord | RefusalKind::Exists | RefusalKind::Conflict | RefusalKind::Setting => {
                let (front, behind) = changes.split_at(changes.len().div_ceil(2));
                self.send(front)?;
                self.send(behind)
            }
            // One answer is one fault, however many records it concerns.
            _ => self.fail(changes.iter().map(|change| change.item), trouble),
        }
    }

    fn send_one_by_one(&mut self, changes: &[Change]) -> Result<(), Stop> {
        self.session.one_by_one = true;
        self.send(changes)
    }

    /// Created records are shown in the order of the request, changed ones bear their ids.
    fn settle_batch(&mut self, changes: &[Change], patched: &[Record], posted: Vec<Record>) {
        let mut posted = posted.into_iter();
        for Change { item, id } in changes {
            let shown = match id {
                Some(id) => patched.iter().find(|record| record.id == *id).cloned(),
                None => posted.next(),
            };
            self.settle(*item, shown);
        }
    }

    fn batch<'b>(&'b self, changes: &'b [Change]) -> Batch<'b> {
        let mut batch = Batch::default();
        for Change { item, id } in changes {
            let Some(item) = self.items.get(*item) else { continue };
            let part = if id.is_some() { &mut batch.patches } else { &mut batch.posts };
            part.push(Fields::new(id.as_deref(), &item.name, item.address, item.record));
        }
        batch
    }

    /// Changes one record, or creates it.
    fn send_one(&mut self, index: usize, mut id: Option<String>) -> Result<(), Stop> {
        for last in [false, true] {
            let Some(item) = self.items.get_mut(index) else { return Ok(()) };
            let fields = Fields::new(id.as_deref(), &item.name, item.address, item.record);
            let request = self.session.api.record(self.zone, &fields);
            let reply = self.session.reply(&request);
            let trouble = match reply.and_then(|reply| reply::changed(&reply)) {
                Ok(shown) => {
                    self.settle(index, shown);
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            let gone = id.is_some() && matches!(trouble.kind, RefusalKind::NoRecord | RefusalKind::Gone);
            if !gone && trouble.kind != RefusalKind::Exists {
                return self.fail([index], trouble);
            }
            if last {
                item.outcome = Some(changed_twice(gone, &trouble.said));
                return Ok(());
            }
            // Somebody changed the record meanwhile: it is read once more, and no third time.
            let key = item.key();
            let decision = match self.records.find(self.zone, &key, self.session) {
                Err(Stop { scope: Scope::Record, outcome }) => Decision::Done(outcome),
                found => {
                    found?;
                    decide(item, self.records.get(&key))
                }
            };
            id = match decision {
                Decision::Change(id) => Some(id),
                Decision::Create => None,
                Decision::Done(outcome) => {
                    item.outcome = Some(outcome);
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    /// The record is as the reply shows it, for the sake of others of its name.
    fn settle(&mut self, item: usize, shown: Option<Record>) {
        let Some(item) = self.items.get_mut(item) else { return };
        let odd = match &shown {
            Some(shown) if shown.content != Some(item.address) => Some("shows another address".to_owned()),
            Some(shown) if shown.name != item.name => {
                Some(format!("made it of {}; delete that there and correct the name", made_of(shown, item)))
            }
            _ => None,
        };
        item.outcome = Some(match odd {
            Some(odd) => needs_person(format!("Cloudflare accepted the change, but {odd}")),
            None => Outcome::Published { changed: true },
        });
        if let Some(shown) = shown {
            self.records.set(shown);
        }
    }

    /// What `trouble` with a change of `items` ends; `Err`: more than these.
    fn fail(&mut self, items: impl IntoIterator<Item = usize>, trouble: Trouble) -> Result<(), Stop> {
        let unsure =
            (trouble.kind == RefusalKind::Lost(true)).then(|| format!("could not confirm: {}", trouble.said));
        let stop = self.session.stop(trouble, About::Records);
        let outcome = match unsure {
            Some(why) => Outcome::Retry { why, after: None, reached: true },
            None if stop.scope == Scope::Record => stop.outcome.clone(),
            None => return Err(stop),
        };
        for index in items {
            if let Some(item) = self.items.get_mut(index) {
                item.outcome = Some(outcome.clone());
            }
        }
        if stop.scope == Scope::Record { Ok(()) } else { Err(stop) }
    }
}

/// The name that a record got, where it repeats nothing but ours: one that is taken for
/// relative gets the zone's once more.
fn made_of(shown: &Record, item: &Item<'_>) -> String {
    match shown.name.strip_prefix(&item.name) {
        Some(rest) if item.name.ends_with(rest) => format!("{:?}", shown.name),
        _ => "another name".to_owned(),
    }
}

/// The record is another one again than a moment ago.
fn changed_twice(gone: bool, said: &str) -> Outcome {
    if gone {
        retry(format!("the record disappears as soon as it is found ({said})"), None)
    } else {
        needs_person(format!("another record is in the way ({said})"))
    }
}
